//! Key rings for tests, made from numbers: the same number is the same secret, so two servers can share a key.

use std::collections::BTreeSet;
use std::sync::Arc;

use auth_ticket::clock::UnixSeconds;
use auth_ticket::keyring::{AppId, Cutoffs, Key, KeyRing, KeySpec, KeyUse, RingContent};
use auth_ticket::secret::KeyBytes;
use sha2::{Digest, Sha256};

use super::START;

/// A key. Use, number and times say all about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TestKey {
    pub(crate) key_use: KeyUse,
    pub(crate) number: u8,
    pub(crate) seal_from: UnixSeconds,
    pub(crate) seal_until: UnixSeconds,
    pub(crate) max_ttl_s: u64,
}

impl TestKey {
    /// Seals from `seal_from` for 90 days, tickets of a day at most.
    pub(crate) fn new(number: u8, seal_from: UnixSeconds) -> Self {
        Self { key_use: KeyUse::Ticket, number, seal_from, seal_until: seal_from.plus(90 * 86400), max_ttl_s: 86400 }
    }

    /// The same for JWTs.
    pub(crate) fn jwt(number: u8, seal_from: UnixSeconds) -> Self {
        Self { key_use: KeyUse::Jwt, ..Self::new(number, seal_from) }
    }

    pub(crate) fn kid(&self) -> String {
        self.key().kid().to_string()
    }

    fn key(&self) -> Key {
        let secret = hex::encode(Sha256::digest([self.number]));
        let spec = KeySpec {
            key_use: self.key_use,
            alg: self.key_use.default_alg(),
            created: self.seal_from,
            seal_from: self.seal_from,
            seal_until: self.seal_until,
            max_ttl_s: self.max_ttl_s,
        };
        Key::new(spec, KeyBytes::parse_hex(&secret).unwrap()).unwrap()
    }
}

/// What a ring is made of, as a keys directory would hold it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) keys: Vec<TestKey>,
    /// Numbers of revoked keys.
    pub(crate) revoked: Vec<u8>,
    /// Entries of `cutoffs.json`.
    pub(crate) cutoffs: Vec<serde_json::Value>,
}

impl Plan {
    /// One key, number 1, that has just begun to seal.
    pub(crate) fn one_key() -> Self {
        Self { keys: vec![TestKey::new(1, START)], revoked: Vec::new(), cutoffs: Vec::new() }
    }

    pub(crate) fn ring(&self, apps: &[AppId]) -> KeyRing {
        let revoked: BTreeSet<_> =
            self.keys.iter().filter(|key| self.revoked.contains(&key.number)).map(|key| key.key().name()).collect();
        let cutoffs = serde_json::json!({ "v": 1, "cutoffs": self.cutoffs }).to_string();
        let mut content = RingContent::of_keys(self.keys.iter().map(TestKey::key));
        content.revoked = revoked;
        content.cutoffs = Some(Arc::new(Cutoffs::parse(&cutoffs).unwrap()));
        KeyRing::new(content, apps.iter().cloned()).unwrap()
    }
}
