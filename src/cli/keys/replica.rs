//! What a replica tells of itself, and in what its ring differs from the directory here.

use std::collections::BTreeSet;

use auth_ticket::clock::{LEEWAY_S, UnixSeconds};
use auth_ticket::keyring::{KeyId, KeyName, KeyRing, KeyUse};
use serde::Deserialize;

/// What a replica tells at `/keys`. Older versions tell less.
#[derive(Deserialize)]
pub(super) struct Replica {
    pub(super) version: String,
    pub(super) ticket_version: u8,
    pub(super) fingerprint: String,
    now: Option<String>,
    #[serde(default)]
    keys: Vec<ReplicaKey>,
    revoked: Option<Vec<String>>,
    cutoffs: Option<ReplicaCutoffs>,
}

#[derive(Deserialize)]
struct ReplicaKey {
    #[serde(rename = "use")]
    key_use: String,
    kid: String,
}

#[derive(Deserialize)]
struct ReplicaCutoffs {
    count: u64,
    digest: String,
}

impl Replica {
    /// What is shown of it goes to a terminal, and it comes from whoever answers at the address.
    pub(super) fn is_printable(&self) -> bool {
        let is_plain = |text: &str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        };
        is_plain(&self.version) && is_plain(&self.fingerprint)
    }

    /// Whether its ring is that of the directory here.
    pub(super) fn is_like(&self, here: Option<&KeyRing>) -> bool {
        here.is_some_and(|here| here.fingerprint().to_string() == self.fingerprint)
    }

    /// Its clock, for comparison with others'.
    pub(super) fn clock(&self) -> Option<UnixSeconds> {
        UnixSeconds::parse_rfc3339(self.now.as_deref()?).ok()
    }

    /// What it lacks of the ring `here`, and what it has beside that; one phrase each.
    pub(super) fn differences(&self, here: &KeyRing) -> Vec<String> {
        let own: BTreeSet<KeyName> = here.keys().map(|ring_key| ring_key.key().name()).collect();
        let theirs = self.keys.iter().filter_map(|key| name(&key.key_use, &key.kid)).collect();
        let mut phrases = Vec::new();
        list(&mut phrases, "lacks the key", own.difference(&theirs));
        list(&mut phrases, "has a key that is not here,", theirs.difference(&own));
        if let Some(revoked) = &self.revoked {
            let theirs =
                revoked.iter().filter_map(|text| text.split_once('-')).filter_map(|(key_use, kid)| name(key_use, kid));
            let theirs: BTreeSet<KeyName> = theirs.collect();
            list(&mut phrases, "has not revoked", here.revoked().difference(&theirs));
            list(&mut phrases, "has revoked what is not revoked here,", theirs.difference(here.revoked()));
        }
        if let Some(ReplicaCutoffs { count, digest }) = &self.cutoffs
            && *digest != hex::encode(here.cutoffs().digest())
        {
            phrases.push(format!("has other cut-offs, {count}, and here are {}", here.cutoffs().count()));
        }
        if phrases.is_empty() {
            phrases.push("the files differ in what names and dates do not show".to_owned());
        }
        phrases
    }
}

fn list<'a>(phrases: &mut Vec<String>, what: &str, names: impl Iterator<Item = &'a KeyName>) {
    let names: Vec<String> = names.map(ToString::to_string).collect();
    if !names.is_empty() {
        phrases.push(format!("{what} {}", names.join(" ")));
    }
}

/// A text that is no name is a newer version's, or made up.
fn name(key_use: &str, kid: &str) -> Option<KeyName> {
    Some(KeyName { key_use: key_use.parse::<KeyUse>().ok()?, kid: KeyId::parse(kid).ok()? })
}

/// What is wrong between a replica's clock and one that was read at the same moment, in a phrase; both may be wrong.
pub(super) fn clocks_differ(theirs: UnixSeconds, ours: UnixSeconds) -> Option<String> {
    let (ahead, behind) = (theirs.since(ours), ours.since(theirs));
    let (apart, which) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    (apart > LEEWAY_S).then(|| format!("its clock is {apart} s {which} this machine's"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_the_leeway() {
        let at = UnixSeconds::new;
        assert_eq!(clocks_differ(at(1060), at(1000)), None);
        assert_eq!(clocks_differ(at(1000), at(1060)), None);
        assert_eq!(clocks_differ(at(1600), at(1000)).unwrap(), "its clock is 600 s ahead of this machine's");
        assert_eq!(clocks_differ(at(1000), at(1061)).unwrap(), "its clock is 61 s behind this machine's");
    }

    #[test]
    fn an_older_version_tells_less_and_what_is_made_up_is_not_shown() {
        let text = r#"{"version":"0.1","ticket_version":1,"fingerprint":"00","keys":[{"use":"\u001b[2J","kid":"x"}]}"#;
        let told: Replica = serde_json::from_str(text).unwrap();
        let here = KeyRing::new(auth_ticket::keyring::RingContent::default(), []).unwrap();
        assert_eq!(told.differences(&here), ["the files differ in what names and dates do not show"]);
        assert!(!told.is_like(Some(&here)) && !told.is_like(None) && told.clock().is_none());
    }
}
