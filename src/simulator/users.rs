//! Simulated users: everything about one follows from the name, so there is nothing to register.

use std::collections::HashMap;
use std::hash::Hash;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::memory::Recent;

pub(super) const MAX_APPID_LEN: usize = 64;

pub(super) fn is_appid(text: &str) -> bool {
    matches!(text.len(), 1..=MAX_APPID_LEN) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A user's name: 1 to 64 visible ASCII characters without `-`, which ends a name within a code.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Name(String);

impl Name {
    pub(super) const MAX_LEN: usize = 64;

    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_name =
            matches!(text.len(), 1..=Self::MAX_LEN) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'-');
        is_name.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// `o` and 27 characters of base64url; another one in each app.
    pub(super) fn openid(&self, appid: &str) -> String {
        wechat_id(&self.digest("openid", &[appid]))
    }

    /// The same form, the same in every app.
    pub(super) fn unionid(&self) -> String {
        wechat_id(&self.digest("unionid", &[]))
    }

    /// A number from mainland China, or from Hong Kong for names that begin with `hk.`.
    pub(super) fn phone(&self) -> Phone {
        let number = self.number("phone");
        if self.0.starts_with("hk.") {
            Phone { country_code: 852, pure: format!("9{:07}", number % 10_000_000) }
        } else {
            Phone { country_code: 86, pure: format!("138{:08}", number % 100_000_000) }
        }
    }

    /// 43 characters of base64url, for whatever an app sees and nobody reads.
    pub(super) fn opaque(&self, what: &str, appid: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.digest(what, &[appid]))
    }

    /// A number, the same in every app.
    pub(super) fn number(&self, what: &str) -> u64 {
        self.digest(what, &[]).iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// Base64 of 16 bytes; `resets` counts how often it was replaced.
    fn session_key(&self, appid: &str, resets: u64) -> String {
        let digest = self.digest("session_key", &[appid, &resets.to_string()]);
        STANDARD.encode(digest.first_chunk::<16>().unwrap_or(&[0; 16]))
    }

    /// So many hex digits, at most 64, that follow from the name, from `what` they are, and from `scope`.
    pub(super) fn hex(&self, what: &str, scope: &str, len: usize) -> String {
        let mut digits = hex::encode(self.digest(what, &[scope]));
        digits.truncate(len);
        digits
    }

    /// No part can hold a zero byte, so no two lists of parts meet.
    fn digest(&self, what: &str, more: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix("auth-ticket simulator");
        for part in [what, self.as_str()].iter().chain(more) {
            hash.update([0]);
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn wechat_id(digest: &[u8; 32]) -> String {
    let mut id = format!("o{}", URL_SAFE_NO_PAD.encode(digest));
    id.truncate(28);
    id
}

/// What a simulated platform says about a user when asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SimulatedUser {
    /// The user's name within the app.
    pub openid: String,
    /// The user's name across apps.
    pub unionid: String,
    /// The phone number, without the country.
    pub phone: String,
    /// The country of the phone number: `86`, or `852` for names that begin with `hk.`.
    pub country_code: String,
}

impl SimulatedUser {
    /// What follows from the name.
    pub(super) fn named(appid: &str, name: &Name) -> Self {
        let phone = name.phone();
        Self {
            openid: name.openid(appid),
            unionid: name.unionid(),
            country_code: phone.country_code.to_string(),
            phone: phone.pure,
        }
    }
}

/// A phone number in its parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Phone {
    pub(super) country_code: u32,
    /// Without the country.
    pub(super) pure: String,
}

impl Phone {
    /// As the platform writes it: with the country in front if that is not mainland China.
    pub(super) fn full(&self) -> String {
        if self.country_code == 86 { self.pure.clone() } else { format!("+{}{}", self.country_code, self.pure) }
    }
}

/// What is remembered about users: who has been seen in which app, and how often a `session_key` was replaced.
#[derive(Debug)]
pub(super) struct Users {
    known: Recent<String, Name>,
    resets: HashMap<Name, u64>,
    resets_in_app: HashMap<String, u64>,
}

impl Default for Users {
    fn default() -> Self {
        Self { known: Recent::with_max_len(Self::MAX_USERS), resets: HashMap::new(), resets_in_app: HashMap::new() }
    }
}

impl Users {
    /// How many are known, and how many may have a replaced key.
    const MAX_USERS: usize = 1_000_000;

    /// From now on the platform knows `name` in this app by the openid.
    pub(super) fn meet(&mut self, name: &Name, appid: &str) {
        self.known.insert(name.openid(appid), name.clone());
    }

    /// Who has this openid in this app.
    pub(super) fn by_openid(&self, openid: &str, appid: &str) -> Option<Name> {
        self.known.get(openid).filter(|name| name.openid(appid) == openid).cloned()
    }

    pub(super) fn session_key(&self, name: &Name, appid: &str) -> String {
        let resets = self.resets.get(name).copied().unwrap_or_default();
        let resets_here = self.resets_in_app.get(&name.openid(appid)).copied().unwrap_or_default();
        name.session_key(appid, resets + resets_here)
    }

    /// Replaces the key of `name` in every app. Says how often that has happened, or nothing when the memory is full.
    pub(super) fn reset(&mut self, name: &Name) -> Option<u64> {
        count(&mut self.resets, name)
    }

    /// Replaces the key of `name` in one app.
    pub(super) fn reset_in(&mut self, name: &Name, appid: &str) -> Option<u64> {
        count(&mut self.resets_in_app, &name.openid(appid))
    }
}

/// Counts one more, unless that would be one more key than there is room for.
fn count<K: Clone + Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K) -> Option<u64> {
    if counts.len() >= Users::MAX_USERS && !counts.contains_key(key) {
        return None;
    }
    let count = counts.entry(key.clone()).or_default();
    *count += 1;
    Some(*count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_1_to_64_visible_characters_without_a_dash() {
        for good in ["a", "alice", "a.b_c/d", &"x".repeat(64)] {
            assert_eq!(name(good).as_str(), good);
        }
        for bad in ["", "a-b", "a b", "é", "a\0", &"x".repeat(65)] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_have_the_form_of_the_real_ones() {
        for user in ["alice", "bob", "x"].map(name) {
            for id in [user.openid("wx1"), user.unionid()] {
                assert!(id.starts_with('o') && URL_SAFE_NO_PAD.decode(&id).unwrap().len() == 21, "{id}");
            }
            assert_eq!(STANDARD.decode(Users::default().session_key(&user, "wx1")).unwrap().len(), 16);
            let phone = user.phone().full();
            assert!(phone.len() == 11 && phone.bytes().all(|byte| byte.is_ascii_digit()), "{phone}");
        }
    }

    #[test]
    fn an_openid_belongs_to_one_app_and_a_unionid_to_all() {
        let alice = name("alice");
        assert_ne!(alice.openid("wx1"), alice.openid("wx2"));
        assert_ne!(alice.openid("wx1"), name("bob").openid("wx1"));
        assert_ne!(alice.unionid(), name("bob").unionid());
        assert_ne!(alice.phone(), name("bob").phone());
        // Frozen: tests of other projects may hold these.
        assert_eq!(alice.openid("wx0123456789abcdef"), "oWnfn9z4C6sNGzXd-Pmq86PndD2j");
        assert_eq!(alice.unionid(), "oyXgdA5OpwGU3UyVAEClLXhqFSnF");
        assert_eq!(alice.phone().full(), "13891907315");
    }

    #[test]
    fn names_that_begin_with_hk_have_a_number_from_hong_kong() {
        let phone = name("hk.alice").phone();
        assert_eq!((phone.country_code, phone.pure.len()), (852, 8));
        assert_eq!(phone.full(), format!("+852{}", phone.pure));
        assert_eq!(name("hkalice").phone().country_code, 86);
    }

    #[test]
    fn a_reset_replaces_the_session_key_in_every_app() {
        let mut users = Users::default();
        let (alice, bob) = (name("alice"), name("bob"));
        let all =
            |users: &Users| [(&alice, "wx1"), (&alice, "wx2"), (&bob, "wx1")].map(|(n, app)| users.session_key(n, app));
        let before = all(&users);
        assert_eq!(users.reset(&alice), Some(1));
        let after = all(&users);
        assert!(before[0] != after[0] && before[1] != after[1] && before[2] == after[2]);
        assert_eq!(users.reset(&alice), Some(2));
        assert!(![before, after].concat().contains(&users.session_key(&alice, "wx1")));
    }

    #[test]
    fn a_reset_in_one_app_leaves_the_others_alone() {
        let mut users = Users::default();
        let alice = name("alice");
        let all = |users: &Users| ["wx1", "wx2"].map(|app| users.session_key(&alice, app));
        let before = all(&users);
        assert_eq!(users.reset_in(&alice, "wx1"), Some(1));
        let after = all(&users);
        assert!(before[0] != after[0] && before[1] == after[1]);
        users.reset(&alice);
        assert!(!after.contains(&users.session_key(&alice, "wx1")));
    }

    #[test]
    fn a_user_is_known_by_openid_in_the_app_where_it_was_seen() {
        let mut users = Users::default();
        let alice = name("alice");
        assert_eq!(users.by_openid(&alice.openid("wx1"), "wx1"), None);
        users.meet(&alice, "wx1");
        assert_eq!(users.by_openid(&alice.openid("wx1"), "wx1"), Some(alice.clone()));
        assert_eq!(users.by_openid(&alice.openid("wx1"), "wx2"), None);
        assert_eq!(users.by_openid(&alice.openid("wx2"), "wx2"), None);
    }
}
