//! Calls to a platform, as all routes make them: measured, and behind a circuit breaker for each interface of each app.

pub(crate) mod flight;
pub(crate) mod quota;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, LEEWAY_S};
use crate::http::labels::Interface;
use crate::http::metrics::Metrics;
use crate::http::metrics::notices::Notices;
use crate::http::settings::App;
use crate::keyring::AppId;
use crate::outbound::circuit_breaker::{BreakerOptions, BreakerPermit, CircuitBreaker, CircuitOpen};
use crate::platform::{DateSeen, PlatformError};

/// Opens after ten consecutive outages, for a second at first and for half a minute at most.
const BREAKER: BreakerOptions =
    BreakerOptions { failures: 10, shortest_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30) };

/// Whether an interface may be called, for each of each app's platform.
#[derive(Debug)]
struct Breakers(HashMap<AppId, [CircuitBreaker; Interface::ALL.len()]>);

impl Breakers {
    fn new(apps: &[App]) -> Self {
        Self(apps.iter().map(|app| (app.id.clone(), Interface::ALL.map(|_| CircuitBreaker::new(BREAKER)))).collect())
    }

    fn admit(&self, app: &App, interface: Interface, now: Instant) -> Result<Option<BreakerPermit>, CircuitOpen> {
        let breaker = self.0.get(&app.id).and_then(|of_app| of_app.get(interface as usize));
        breaker.map(|breaker| breaker.admit(now)).transpose()
    }
}

/// Calls to platforms.
#[derive(Debug)]
pub(crate) struct Upstream {
    breakers: Breakers,
    clock: Arc<dyn Clock>,
    clock_differences: Mutex<ClockDifferences>,
    metrics: Arc<Metrics>,
    notices: Arc<Notices>,
}

impl Upstream {
    pub(crate) fn new(apps: &[App], clock: Arc<dyn Clock>, metrics: Arc<Metrics>, notices: Arc<Notices>) -> Self {
        Self { breakers: Breakers::new(apps), clock, clock_differences: Mutex::default(), metrics, notices }
    }

    /// Waits for `answer`, which `interface` of the platform of `app` gives, and tells operators how that went. While the
    /// circuit is open, nothing of `answer` is begun.
    pub(crate) async fn call<T>(
        &self,
        app: &App,
        interface: Interface,
        answer: impl Future<Output = Result<T, PlatformError>>,
    ) -> Result<T, PlatformError> {
        let began = Instant::now();
        let permit = self.breakers.admit(app, interface, began);
        let permit = permit.map_err(|open| PlatformError::Stopped { retry_after_s: open.retry_after_s() })?;
        let result = answer.await;
        self.compare_clocks(app);
        let error = result.as_ref().err();
        self.metrics.called(app.id.as_str(), interface, began.elapsed(), error);
        self.note_refusal(app, interface, error);
        if let Some(permit) = permit {
            self.report(app, interface, permit, error.filter(|error| error.is_outage()));
        }
        result
    }

    /// By how many seconds this server's clock is ahead of the platform's (behind, if negative), for each app, where that is
    /// more than the leeway.
    pub(crate) fn clock_differences(&self) -> ClockDifferences {
        self.clock_differences.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How long an answer may have taken, and how long ago it may have come, for its date to say something about the clock.
const SOON: Duration = Duration::from_secs(3);

/// See [`Upstream::clock_differences`].
pub(crate) type ClockDifferences = BTreeMap<String, i64>;

impl Upstream {
    /// Compares this server's clock with the date of the platform's last answer. Only informs.
    fn compare_clocks(&self, app: &App) {
        let quick = |seen: &DateSeen| seen.took < SOON && seen.at.elapsed() < SOON;
        let Some(seen) = app.platform.facts().date_seen().filter(quick) else { return };
        let now = self.clock.now();
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        let ahead_s = signed(now.since(seen.date)) - signed(seen.date.since(now));
        let appid = app.id.as_str();
        self.metrics.clock_compared(appid, ahead_s);
        let mut differences = self.clock_differences.lock().unwrap_or_else(PoisonError::into_inner);
        // Dates have whole seconds.
        if ahead_s.unsigned_abs() <= LEEWAY_S + 1 + seen.took.as_secs() {
            if differences.remove(appid).is_some() {
                tracing::info!(appid, "the clock agrees with the platform's again");
            }
        } else if differences.insert(appid.to_owned(), ahead_s).is_none() {
            tracing::warn!(appid, "{}", describe_difference(ahead_s));
        }
    }

    /// Keeps for operators that the platform refuses this server, until the same interface works again.
    fn note_refusal(&self, app: &App, interface: Interface, error: Option<&PlatformError>) {
        let (appid, call) = (app.id.as_str(), interface.as_str());
        match error {
            Some(PlatformError::Misconfigured { client_may_cause: true, .. }) => {}
            Some(error @ (PlatformError::Misconfigured { .. } | PlatformError::NoSecret(_))) => {
                let remedy = app.platform.facts().remedy(error).unwrap_or_else(|| "the log says more".to_owned());
                self.notices.refusal(appid, call, Some(format!("{error}: {remedy}")));
            }
            Some(error @ PlatformError::Simulated) => {
                let remedy = "remove base_url from the app; only a test system may say upstream.allow_simulator = true";
                if self.notices.refusal(appid, call, Some(format!("{error}: {remedy}"))) {
                    tracing::error!(appid, call, "{error}: {remedy}");
                }
            }
            // It looked at what the client sent, so it accepted everything else.
            None
            | Some(
                PlatformError::InvalidCode(_)
                | PlatformError::CodeUsed(_)
                | PlatformError::UserBlocked(_)
                | PlatformError::UserRefused(_)
                | PlatformError::RateLimited(_),
            ) => {
                self.notices.refusal(appid, call, None);
            }
            Some(_) => {}
        }
    }

    /// Tells the breaker how a call went, and operators when that changes something.
    fn report(&self, app: &App, interface: Interface, permit: BreakerPermit, outage: Option<&PlatformError>) {
        let (appid, call) = (app.id.as_str(), interface.as_str());
        if let Some(error) = outage {
            if let Some(pause) = permit.failed(Instant::now()) {
                self.metrics.platform_paused(appid, interface, true);
                self.notices.pause(appid, call, Some(error.to_string()));
                let pause_s = pause.as_secs();
                tracing::warn!(
                    appid,
                    call,
                    pause_s,
                    "the platform does not answer, its circuit breaker opens: {error}"
                );
            }
        } else if permit.succeeded() {
            self.metrics.platform_paused(appid, interface, false);
            self.notices.pause(appid, call, None);
            tracing::info!(appid, call, "the platform answers again");
        }
    }
}

/// For operators: which clock is ahead, and what to do.
pub(crate) fn describe_difference(ahead_s: i64) -> String {
    let (seconds, which) = (ahead_s.unsigned_abs(), if ahead_s < 0 { "behind" } else { "ahead of" });
    format!("this server's clock is {seconds} s {which} the platform's: compare it with NTP")
}
