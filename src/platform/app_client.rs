//! What the calls of one app have in common: the client, a permit, a deadline, and log lines that ask an operator to act.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::Value;

use super::alarms::Alarms;
use super::app_token::{AppToken, AppTokens};
use super::client::PlatformClient;
use super::facts::{Advice, AppFacts};
use super::{Errcode, ErrorDetail, FailedReason, Kind, PlatformError, PlatformOptions, SetupError};
use crate::outbound::concurrency::{Busy, ConcurrencyLimit, Share, Shares};
use crate::secret::SecretText;

/// `Retry-After` when the platform, or our own queue, is full for the moment.
pub(super) const BUSY_RETRY_AFTER_S: u64 = 2;

/// One app at its platform, as all of its calls need it.
pub(super) struct AppClient {
    pub(super) facts: AppFacts,
    pub(super) appid: String,
    secret: Option<SecretText>,
    pub(super) http: PlatformClient,
    pub(super) permits: ConcurrencyLimit,
    timeout: Duration,
    alarms: Alarms,
}

impl AppClient {
    /// Sets the client up; sends nothing. `advice` says what an operator does about the platform's errors. Of `options`, the
    /// app's settings are left for the platform.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub(super) fn new(
        kind: &Kind,
        options: &mut PlatformOptions,
        advice: fn(&PlatformError) -> Option<Advice>,
    ) -> Result<Self, SetupError> {
        options.check(kind)?;
        let PlatformOptions { timeout, max_concurrent, .. } = *options;
        let shares = Shares { logins: max_concurrent, others: max_concurrent.div_ceil(2) };
        let secret = options.secret.take();
        let source = secret.as_ref().and_then(SecretText::source).map(str::to_owned);
        let facts =
            AppFacts::named(kind.name).with_capabilities(kind.offered(&options.settings)).with_advice(advice, source);
        Ok(Self {
            appid: std::mem::take(&mut options.appid),
            secret,
            http: PlatformClient::of(kind, options.base_url.take(), timeout, &options.outbound, facts.last_date())?,
            facts,
            // Half the time is left to those who get a permit.
            permits: ConcurrencyLimit::new(max_concurrent, shares, timeout / 2),
            timeout,
            alarms: Alarms::default(),
        })
    }

    /// The app's secret. Of a platform without one it is empty.
    pub(super) fn secret(&self) -> &str {
        self.secret.as_ref().map(SecretText::expose).unwrap_or_default()
    }

    /// Does `work`, which calls `interface`, before the deadline, once there is a permit; and logs how it went. Without a permit
    /// nothing is sent, so a code is still good; an error without an errcode says that.
    pub(super) async fn run<T>(
        &self,
        share: Share,
        interface: &'static str,
        work: impl Future<Output = Result<T, PlatformError>>,
    ) -> Result<T, PlatformError> {
        self.timed(interface, async {
            let busy = |Busy| PlatformError::Busy { detail: ErrorDetail::default(), retry_after_s: BUSY_RETRY_AFTER_S };
            let _permit = self.permits.acquire(share).await.map_err(busy)?;
            work.await
        })
        .await
    }

    async fn timed<T>(
        &self,
        interface: &'static str,
        work: impl Future<Output = Result<T, PlatformError>>,
    ) -> Result<T, PlatformError> {
        let start = Instant::now();
        let outcome = timeout(self.timeout, work).await.unwrap_or(Err(PlatformError::Timeout));
        self.log(interface, outcome.as_ref().err(), start.elapsed());
        outcome
    }

    /// The app's access tokens, which `fetch` asks `interface` for. It is told when the question began. No permit is needed: the
    /// call that needs the token has one.
    pub(super) fn tokens<F>(
        self: &Arc<Self>,
        interface: &'static str,
        fetch: impl Fn(Arc<Self>, Instant) -> F + Send + Sync + 'static,
    ) -> AppTokens
    where
        F: Future<Output = Result<AppToken, PlatformError>> + Send + 'static,
    {
        let app = Arc::clone(self);
        AppTokens::new(Arc::new(move || {
            let (app, fetched) = (Arc::clone(&app), fetch(Arc::clone(&app), Instant::now()));
            Box::pin(async move { app.timed(interface, fetched).await })
        }))
    }

    /// Logs what `interface` refused by way of a client.
    pub(super) fn note(&self, interface: &'static str, error: &PlatformError) {
        self.log(interface, Some(error), Duration::ZERO);
    }

    /// One line for each call; and one for each flood that nobody overlooks where an operator has to act.
    fn log(&self, interface: &'static str, error: Option<&PlatformError>, duration: Duration) {
        let (platform, appid) = (self.facts.name(), &*self.appid);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let Some(error) = error else {
            tracing::debug!(appid, interface, duration_ms, "{platform}: answered");
            return;
        };
        let text = error.errcode().map(tracing::field::display);
        let number = error.errcode().and_then(Errcode::as_number);
        // A number stays one where lines are JSON.
        let errcode = number.as_ref().map(|number| number as &dyn Value);
        let errcode = errcode.or(text.as_ref().map(|text| text as &dyn Value));
        let rid = error.rid().map(tracing::field::display);
        tracing::debug!(appid, interface, errcode, rid = rid.as_ref(), duration_ms, "{platform}: {error}");
        let Some(remedy) = self.facts.remedy(error) else { return };
        let Some(untold) = self.alarms.due(interface, error.errcode(), Instant::now()) else { return };
        let rid = rid.as_ref();
        let what = match error {
            PlatformError::Misconfigured { .. } | PlatformError::Failed(FailedReason::AccessToken(_)) => {
                format!("{platform}: the platform refuses this server: {remedy}")
            }
            _ => format!("{platform}: {error}: {remedy}"),
        };
        if matches!(error, PlatformError::Misconfigured { client_may_cause: true, .. }) {
            tracing::warn!(appid, interface, errcode, rid, untold, "{what}");
        } else {
            tracing::error!(appid, interface, errcode, rid, untold, "{what}");
        }
    }
}
