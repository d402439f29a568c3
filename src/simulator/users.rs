//! Simulated users: everything about one follows from the name, so there is nothing to register.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

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

    /// Eleven digits without the country's `86`, as numbers from mainland China have them.
    pub(super) fn phone(&self) -> String {
        let digest = self.digest("phone", &[]);
        let number = digest.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        format!("138{:08}", number % 100_000_000)
    }

    /// Base64 of 16 bytes; `resets` counts how often it was replaced.
    fn session_key(&self, appid: &str, resets: u64) -> String {
        let digest = self.digest("session_key", &[appid, &resets.to_string()]);
        STANDARD.encode(digest.first_chunk::<16>().unwrap_or(&[0; 16]))
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

/// What changes about users: how often the `session_key` of each was reset.
#[derive(Default)]
pub(super) struct SessionKeys {
    resets: HashMap<Name, u64>,
}

impl SessionKeys {
    /// How many users may have a reset key; whoever has one keeps it.
    const MAX_USERS: usize = 1_000_000;

    pub(super) fn of(&self, name: &Name, appid: &str) -> String {
        name.session_key(appid, self.resets.get(name).copied().unwrap_or_default())
    }

    /// Replaces the key of `name` in every app. Says how often that has happened, or nothing when the memory is full.
    pub(super) fn reset(&mut self, name: &Name) -> Option<u64> {
        if let Some(resets) = self.resets.get_mut(name) {
            *resets += 1;
            return Some(*resets);
        }
        if self.resets.len() >= Self::MAX_USERS {
            return None;
        }
        self.resets.insert(name.clone(), 1);
        Some(1)
    }
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
            assert_eq!(STANDARD.decode(SessionKeys::default().of(&user, "wx1")).unwrap().len(), 16);
            let phone = user.phone();
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
        assert_eq!(alice.phone(), "13891907315");
    }

    #[test]
    fn a_reset_replaces_the_session_key_in_every_app() {
        let mut keys = SessionKeys::default();
        let (alice, bob) = (name("alice"), name("bob"));
        let all = |keys: &SessionKeys| [keys.of(&alice, "wx1"), keys.of(&alice, "wx2"), keys.of(&bob, "wx1")];
        let before = all(&keys);
        assert_eq!(keys.reset(&alice), Some(1));
        let after = all(&keys);
        assert!(before[0] != after[0] && before[1] != after[1] && before[2] == after[2]);
        assert_eq!(keys.reset(&alice), Some(2));
        assert!(!before.contains(&keys.of(&alice, "wx1")) && !after.contains(&keys.of(&alice, "wx1")));
    }
}
