//! Tickets that were opened, or not, by key.

use std::fmt;
use std::sync::OnceLock;

use foldhash::HashMap;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::family::Family;

use super::sharded::ShardedCounter;
use crate::keyring::KeyId;
use crate::ticket::OpenError;

/// A kid without the text that a `String` label would be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Kid(pub(crate) KeyId);

impl EncodeLabelValue for Kid {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        use std::fmt::Write;
        write!(encoder, "{}", self.0)
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct Opened {
    kid: Kid,
    outcome: &'static str,
}

/// The outcome of an attempt to open a ticket under a known key.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Ok,
    Expired,
    CutOff,
    DeadKey,
    UnknownApp,
    Unauthentic,
    FromTheFuture,
    Malformed,
}

impl Outcome {
    const COUNT: usize = Self::Malformed as usize + 1;

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Expired => "expired",
            Self::CutOff => "cut_off",
            Self::DeadKey => "dead_key",
            Self::UnknownApp => "unknown_app",
            Self::Unauthentic => "unauthentic",
            Self::FromTheFuture => "from_the_future",
            Self::Malformed => "malformed",
        }
    }
}

/// Counts the outcomes of opening tickets under the keys of one ring. A label is made when it is first needed.
#[derive(Debug)]
pub(crate) struct OpenedUnder {
    family: Family<Opened, ShardedCounter>,
    by_kid: HashMap<KeyId, [OnceLock<ShardedCounter>; Outcome::COUNT]>,
}

impl OpenedUnder {
    pub(crate) fn new(family: Family<Opened, ShardedCounter>, kids: impl Iterator<Item = KeyId>) -> Self {
        Self { family, by_kid: kids.map(|kid| (kid, Default::default())).collect() }
    }

    /// `error` is why the ticket under `kid` was refused.
    pub(crate) fn count(&self, kid: KeyId, error: Option<OpenError>) {
        let outcome = match error {
            None => Outcome::Ok,
            Some(OpenError::Expired { .. }) => Outcome::Expired,
            Some(OpenError::Revoked) => Outcome::CutOff,
            Some(OpenError::DeadKey(_)) => Outcome::DeadKey,
            Some(OpenError::UnknownApp(_)) => Outcome::UnknownApp,
            Some(OpenError::Unauthentic) => Outcome::Unauthentic,
            Some(OpenError::FromTheFuture { .. }) => Outcome::FromTheFuture,
            Some(_) => Outcome::Malformed,
        };
        let Some(counter) = self.by_kid.get(&kid).and_then(|of_kid| of_kid.get(outcome as usize)) else { return };
        let labels = || Opened { kid: Kid(kid), outcome: outcome.as_str() };
        counter.get_or_init(|| self.family.get_or_create_owned(&labels())).inc();
    }
}
