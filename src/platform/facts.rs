//! What there is to say of an app at its platform, apart from calls.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Capability, PlatformError};
use crate::clock::UnixSeconds;

/// What operators and clients learn of an app's platform without a call.
pub struct AppFacts {
    name: &'static str,
    capabilities: Vec<Capability>,
    date: LastDate,
    advice: fn(&PlatformError) -> Option<Advice>,
    /// Where the app's secret comes from, if anything says so.
    secret_source: Option<String>,
}

/// The `Date` of an answer.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what a header and two clocks say")]
pub struct DateSeen {
    /// What the header said.
    pub date: UnixSeconds,
    /// When the answer's head had come.
    pub at: Instant,
    /// How long after the request that was.
    pub took: Duration,
}

/// The latest of them, which the client of an app's calls writes.
#[derive(Clone, Default)]
pub(super) struct LastDate(Arc<Mutex<Option<DateSeen>>>);

impl LastDate {
    pub(super) fn see(&self, date: DateSeen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
    }

    fn get(&self) -> Option<DateSeen> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an operator does about an error.
pub(super) struct Advice {
    /// In words, without a full stop.
    pub(super) text: String,
    /// Whether the app's secret is to blame, so that its source is named, too.
    pub(super) blames_the_secret: bool,
}

impl Advice {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), blames_the_secret: false }
    }

    /// The same, if the secret is to blame.
    pub(super) fn about_the_secret(text: impl Into<String>) -> Self {
        Self { text: text.into(), blames_the_secret: true }
    }
}

impl AppFacts {
    /// Of the platform `name`, as configurations and answers call it, which has logins and nothing else.
    #[must_use]
    pub fn named(name: &'static str) -> Self {
        Self { name, capabilities: Vec::new(), date: LastDate::default(), advice: |_| None, secret_source: None }
    }

    /// The same for one that has more.
    #[must_use]
    pub fn with_capabilities(self, capabilities: Vec<Capability>) -> Self {
        Self { capabilities, ..self }
    }

    /// The same, with what an operator does about errors, and where the app's secret comes from.
    pub(super) fn with_advice(
        self,
        advice: fn(&PlatformError) -> Option<Advice>,
        secret_source: Option<String>,
    ) -> Self {
        Self { advice, secret_source, ..self }
    }

    /// The platform's name in configurations and answers, such as `weapp`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What there is beyond logins, with the configuration that the app has.
    #[must_use]
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Whether that has `capability`.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// What the platform's last answer said about the time. Only informs: nothing may be decided by it.
    #[must_use]
    pub fn date_seen(&self) -> Option<DateSeen> {
        self.date.get()
    }

    /// Where answers of the platform leave their dates.
    pub(super) fn last_date(&self) -> LastDate {
        self.date.clone()
    }

    /// What an operator does about `error`, where the platform's codes say it.
    #[must_use]
    pub fn remedy(&self, error: &PlatformError) -> Option<String> {
        let Advice { text, blames_the_secret } = (self.advice)(error)?;
        let source = self.secret_source.as_ref().filter(|_| blames_the_secret);
        let source = source.map(|source| {
            format!("; it comes from {source}, which a server reads when it starts: restart it after a change")
        });
        Some(text + &source.unwrap_or_default())
    }
}

impl fmt::Debug for AppFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppFacts").field("name", &self.name).finish_non_exhaustive()
    }
}
