//! Calls to a platform, as all routes make them: timed for operators, stopped for a while when they fail again and again.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{App, AppState};
use crate::breaker::{Breaker, BreakerOptions, Pass, Stopped};
use crate::clock::LEEWAY_S;
use crate::keyring::AppId;
use crate::platform::{DateSeen, PlatformError};

/// So many outages in a row, and the interface is left alone; first for a second, at most for half a minute.
const BREAKER: BreakerOptions =
    BreakerOptions { failures: 10, shortest_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30) };

/// What a platform is called for. Each is an interface of its own: one may be out of order while the others are well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Interface {
    Exchange,
    Phone,
    VouchesFor,
    CheckSession,
    ResetSession,
}

impl Interface {
    pub(super) const ALL: [Self; 5] =
        [Self::Exchange, Self::Phone, Self::VouchesFor, Self::CheckSession, Self::ResetSession];

    /// Its name for operators.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Phone => "phone",
            Self::VouchesFor => "vouches_for",
            Self::CheckSession => "check_session",
            Self::ResetSession => "reset_session",
        }
    }
}

/// Whether an interface may be called, for each of each app's platform.
#[derive(Debug)]
pub(super) struct Breakers(HashMap<AppId, [Breaker; Interface::ALL.len()]>);

impl Breakers {
    pub(super) fn new(apps: &[App]) -> Self {
        Self(apps.iter().map(|app| (app.id.clone(), Interface::ALL.map(|_| Breaker::new(BREAKER)))).collect())
    }

    fn admit(&self, app: &App, interface: Interface, now: Instant) -> Result<Option<Pass>, Stopped> {
        let breaker = self.0.get(&app.id).and_then(|of_app| of_app.get(interface as usize));
        breaker.map(|breaker| breaker.admit(now)).transpose()
    }
}

/// Waits for `answer`, which `interface` of the platform of `app` gives, and tells operators how that went. While the
/// interface is left alone, nothing of `answer` is begun.
pub(super) async fn call<T>(
    state: &Arc<AppState>,
    app: &App,
    interface: Interface,
    answer: impl Future<Output = Result<T, PlatformError>>,
) -> Result<T, PlatformError> {
    let began = Instant::now();
    let pass = state.breakers.admit(app, interface, began);
    let pass = pass.map_err(|stopped| PlatformError::Stopped { retry_after_s: stopped.retry_after_s() })?;
    let result = answer.await;
    compare_clocks(state, app);
    state.metrics.called(app.id.as_str(), interface, began.elapsed(), result.as_ref().err());
    note_refusal(state, app, interface, result.as_ref().err());
    if let Some(pass) = pass {
        tell(state, app, interface, pass, result.as_ref().err().filter(|error| error.is_outage()));
    }
    result
}

/// How long an answer may have taken, and how long ago it may have come, for its date to say something about the clock.
const SOON: Duration = Duration::from_secs(3);

/// By how many seconds this server's clock is ahead of the platform's (behind, if negative), for each app, where that is
/// more than the leeway.
pub(super) type ClockDifferences = Mutex<BTreeMap<String, i64>>;

/// Compares this server's clock with the date of the platform's last answer. Only informs.
fn compare_clocks(state: &AppState, app: &App) {
    let quick = |seen: &DateSeen| seen.took < SOON && seen.at.elapsed() < SOON;
    let Some(seen) = app.platform.date_seen().filter(quick) else { return };
    let now = state.now();
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let ahead_s = signed(now.since(seen.date)) - signed(seen.date.since(now));
    let appid = app.id.as_str();
    state.metrics.clock_compared(appid, ahead_s);
    let mut differences = state.clock_differences.lock().unwrap_or_else(PoisonError::into_inner);
    // Dates have whole seconds.
    if ahead_s.unsigned_abs() <= LEEWAY_S + 1 + seen.took.as_secs() {
        if differences.remove(appid).is_some() {
            tracing::info!(appid, "the clock agrees with the platform's again");
        }
    } else if differences.insert(appid.to_owned(), ahead_s).is_none() {
        tracing::warn!(appid, "{}", describe_difference(ahead_s));
    }
}

/// For operators: which clock is ahead, and what to do.
pub(super) fn describe_difference(ahead_s: i64) -> String {
    let (seconds, which) = (ahead_s.unsigned_abs(), if ahead_s < 0 { "behind" } else { "ahead of" });
    format!("this server's clock is {seconds} s {which} the platform's: compare it with NTP")
}

/// Keeps for operators that the platform refuses this server, until the same interface works again.
fn note_refusal(state: &AppState, app: &App, interface: Interface, error: Option<&PlatformError>) {
    let (appid, call) = (app.id.as_str(), interface.as_str());
    match error {
        Some(PlatformError::Misconfigured { client_may_cause: true, .. }) => {}
        Some(error @ PlatformError::Misconfigured { .. }) => {
            let remedy = app.platform.remedy(error).unwrap_or_else(|| "the log says more".to_owned());
            state.notices.refusal(appid, call, Some(format!("{error}: {remedy}")));
        }
        // It looked at what the client sent, so it accepted everything else.
        None
        | Some(
            PlatformError::InvalidCode(_)
            | PlatformError::CodeUsed(_)
            | PlatformError::UserBlocked(_)
            | PlatformError::RateLimited(_),
        ) => state.notices.refusal(appid, call, None),
        Some(_) => {}
    }
}

/// Tells the breaker how a call went, and operators when that changes something.
fn tell(state: &AppState, app: &App, interface: Interface, pass: Pass, outage: Option<&PlatformError>) {
    let (appid, call) = (app.id.as_str(), interface.as_str());
    if let Some(cause) = outage {
        if let Some(pause) = pass.failed(Instant::now()) {
            state.metrics.platform_paused(appid, interface, true);
            state.notices.pause(appid, call, Some(cause.to_string()));
            let pause_s = pause.as_secs();
            tracing::warn!(appid, call, pause_s, "the platform does not answer and is left alone for a while: {cause}");
        }
    } else if pass.worked() {
        state.metrics.platform_paused(appid, interface, false);
        state.notices.pause(appid, call, None);
        tracing::info!(appid, call, "the platform answers again");
    }
}
