//! What may be told of keys: to operators, by the command line and over HTTP.

use serde::Serialize;

use super::{KeyRing, RingKey};
use crate::clock::UnixSeconds;

/// A ring at one moment, without anything secret.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RingView {
    /// When this was true.
    pub now: String,
    /// Names the content of the ring; equal on replicas that hold the same.
    pub fingerprint: String,
    /// All keys, each use's oldest first.
    pub keys: Vec<KeyView>,
    /// Names of revoked keys, whether or not their key is among `keys`.
    pub revoked: Vec<String>,
    /// Who is cut off, as far as that tells replicas apart.
    pub cutoffs: CutoffsView,
    /// When some key changes its state next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_change: Option<String>,
    /// What an operator should act on.
    pub warnings: Vec<String>,
}

/// Cut-offs, without whom they are about.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct CutoffsView {
    /// How many there are.
    pub count: usize,
    /// 16 hex digits; equal on replicas that cut off the same.
    pub digest: String,
}

/// A key at one moment. Times are RFC 3339.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct KeyView {
    /// `ticket` or `jwt`.
    #[serde(rename = "use")]
    pub key_use: &'static str,
    /// 8 hex digits.
    pub kid: String,
    /// What its bytes are.
    pub alg: &'static str,
    /// Where it stands in its life.
    pub state: &'static str,
    /// When it was made.
    pub created: String,
    /// As in its file.
    pub seal_from: String,
    /// As in its file.
    pub seal_until: String,
    /// When it really stops sealing: a successor may come earlier.
    pub seals_until: String,
    /// When it stops opening.
    pub opens_until: String,
    /// Longest life of what it seals.
    pub max_ttl_s: u64,
}

#[doc(hidden)]
impl KeyRing {
    /// The ring at `now`, to be told.
    #[must_use]
    pub fn view(&self, now: UnixSeconds) -> RingView {
        RingView {
            now: now.to_string(),
            fingerprint: self.fingerprint().to_string(),
            keys: self.keys().map(|ring_key| ring_key.view(now)).collect(),
            revoked: self.revoked().iter().map(ToString::to_string).collect(),
            cutoffs: CutoffsView { count: self.cutoffs().count(), digest: hex::encode(self.cutoffs().digest()) },
            next_change: self.next_change(now).map(|at| at.to_string()),
            warnings: self.concerns(now).iter().map(ToString::to_string).collect(),
        }
    }
}

impl RingKey {
    fn view(&self, now: UnixSeconds) -> KeyView {
        let spec = self.key().spec();
        KeyView {
            key_use: spec.key_use.as_str(),
            kid: self.key().kid().to_string(),
            alg: spec.alg.as_str(),
            state: self.state(now).as_str(),
            created: spec.created.to_string(),
            seal_from: spec.seal_from.to_string(),
            seal_until: spec.seal_until.to_string(),
            seals_until: self.end().to_string(),
            opens_until: self.dead_at().to_string(),
            max_ttl_s: spec.max_ttl_s,
        }
    }
}
