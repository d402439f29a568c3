//! What all simulated platforms share: the clock, planned faults, planted answers, counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::codes::PresentedCode;
use super::faults::{Fault, FaultPlan, Plans};
use super::planted::Planted;
use super::stats::Stats;
use super::users::{Name, is_appid};
use crate::clock::{Clock, UnixSeconds};

/// A success, and how long it takes.
pub(super) type Answer = (Duration, String);

pub(super) struct World {
    clock: Arc<dyn Clock>,
    shared: Mutex<WorldMemory>,
    answers: AtomicU64,
    /// Whom codes log in that nobody here has made.
    pub(super) stranger: Option<Name>,
}

/// What is remembered beside the platforms.
#[derive(Default)]
pub(super) struct WorldMemory {
    pub(super) plans: Plans,
    pub(super) planted: Planted,
    pub(super) stats: Stats,
}

impl World {
    pub(super) fn new(clock: Arc<dyn Clock>, stranger: Option<Name>) -> Self {
        Self { clock, shared: Mutex::default(), answers: AtomicU64::new(0), stranger }
    }

    pub(super) fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, WorldMemory> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login code as a request brings it.
    pub(super) fn login_code<'a>(&'a self, text: &'a str, appid: &'a str) -> PresentedCode<'a> {
        PresentedCode { text, once: "demo", appid, stranger: self.stranger.as_ref() }
    }

    /// A number of its own for an answer.
    pub(super) fn count_answer(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed)
    }

    /// Does what is planned for the interface, or else `run`, and counts it.
    pub(super) fn call(
        &self,
        interface: &'static str,
        appid: &str,
        run: impl FnOnce(UnixSeconds) -> Result<Answer, Fault>,
    ) -> Result<Answer, Fault> {
        let plan = self.shared().plans.take(interface);
        let outcome = match plan {
            Some(FaultPlan::Fail(fault)) => Err(fault),
            Some(FaultPlan::Slow(delay)) => run(self.now()).map(|(own, json)| (own.max(delay), json)),
            None => run(self.now()),
        };
        self.shared().stats.count(interface, if is_appid(appid) { appid } else { "" }, outcome.is_ok());
        outcome
    }
}
