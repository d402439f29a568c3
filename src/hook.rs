//! The owner's side of a login: one signed question goes out, [`OwnerClaims`] or a refusal come back.
//!
//! Knows neither sessions nor routes, and signs nothing: it sends the JWT that it is given. A question is sent once, is
//! followed nowhere, and has a deadline; a circuit breaker opens for a service that does not answer.

mod answer;
mod error;

pub use error::CallError;

use error::MAX_ANSWER_LEN;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::claims::OwnerClaims;
use crate::outbound;
use crate::outbound::circuit_breaker::{BreakerOptions, BreakerPermit, CircuitBreaker, CircuitOpen};
use crate::outbound::concurrency::{Busy, ConcurrencyLimit, Permit, Share, Shares};

/// The owner's service that says who a user is to them.
pub struct Hook {
    url: Url,
    audience: String,
    client: Client,
    concurrency: ConcurrencyLimit,
    timeout: Duration,
    breaker: CircuitBreaker,
    max_concurrent: usize,
    /// Whose users it is asked about, for the log.
    app: Option<Arc<str>>,
}

/// Permission to ask one question. What it holds is given back when it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub struct HookPermit {
    breaker: BreakerPermit,
    concurrency: Permit,
}

/// What a [`Hook`] is made from.
#[expect(clippy::exhaustive_structs, reason = "built by name, as a list of settings")]
pub struct HookOptions {
    /// Where to send questions: `http` or `https`, without user, password and fragment.
    pub url: Url,
    /// Whom the questions are for: the `aud` of their JWTs.
    pub audience: String,
    /// How long one may take, not counting up to half of that in which it waits for a permit; above 0.
    pub timeout: Duration,
    /// How many may be out at once, at least 1; for each app, if there are several.
    pub max_concurrent: usize,
}

/// Why there is no [`Hook`] with these options. Never holds the URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The URL is not `http` or `https`, or has a user, password or fragment.
    #[error("the URL is not http(s)://host[:port][/path][?query] and nothing more")]
    Url,
    /// The timeout is 0.
    #[error("the timeout is 0")]
    Timeout,
    /// No question may go out.
    #[error("the number of concurrent calls is 0")]
    NoConcurrency,
    /// The HTTP client could not be built, usually because the system has no trusted certificates.
    #[error("the HTTP client cannot be set up; are the system's CA certificates installed?")]
    Client,
}

/// What the owner says of a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the answers that the manual promises")]
pub enum Verdict {
    /// 200: let them in, with these claims.
    Known(Option<OwnerClaims>),
    /// 404: the owner's table does not have them yet.
    NotBound,
    /// 403: keep them out.
    Refused,
}

impl Hook {
    /// Opens after five consecutive outages, for a second at first and for half a minute at most.
    const BREAKER: BreakerOptions =
        BreakerOptions { failures: 5, shortest_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30) };

    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is out of its range, or the system has no trusted certificates for an `https` URL.
    pub fn new(options: HookOptions) -> Result<Self, HookError> {
        let HookOptions { url, audience, timeout, max_concurrent } = options;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.has_host();
        if !is_plain {
            return Err(HookError::Url);
        }
        if timeout.is_zero() {
            return Err(HookError::Timeout);
        }
        if max_concurrent == 0 {
            return Err(HookError::NoConcurrency);
        }
        let client = outbound::client(&url).build().map_err(|_| HookError::Client)?;
        let (concurrency, breaker) = (concurrency(max_concurrent, timeout), CircuitBreaker::new(Self::BREAKER));
        Ok(Self { url, audience, client, concurrency, timeout, breaker, max_concurrent, app: None })
    }

    /// The same service, asked about users of `app`, with permits and a circuit breaker of its own: what goes wrong for one
    /// app costs no other anything.
    #[must_use]
    pub fn for_app(&self, app: &str) -> Self {
        Self {
            url: self.url.clone(),
            audience: self.audience.clone(),
            client: self.client.clone(),
            concurrency: concurrency(self.max_concurrent, self.timeout),
            breaker: CircuitBreaker::new(Self::BREAKER),
            app: Some(app.into()),
            ..*self
        }
    }

    /// Whom questions are for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Permission to ask about a session that begins, to be had before anything is spent for it. Waits for it at most half of
    /// the timeout. Logins leave a quarter of the permits, so that they stop no renewal where the service is slow.
    ///
    /// # Errors
    /// [`CallError::Stopped`] and [`CallError::Busy`].
    pub async fn admit_login(&self) -> Result<HookPermit, CallError> {
        self.admit(Share::Logins).await
    }

    /// The same about a session that goes on. Renewals have at most half of the permits, so that they leave room to log in.
    ///
    /// # Errors
    /// As [`Hook::admit_login`].
    pub async fn admit_renewal(&self) -> Result<HookPermit, CallError> {
        self.admit(Share::Others).await
    }

    async fn admit(&self, share: Share) -> Result<HookPermit, CallError> {
        let stopped = |open: CircuitOpen| CallError::Stopped { retry_after_s: open.retry_after_s() };
        let breaker = self.breaker.admit(Instant::now()).map_err(stopped)?;
        let concurrency = self.concurrency.acquire(share).await.map_err(|Busy| CallError::Busy)?;
        Ok(HookPermit { breaker, concurrency })
    }

    /// Sends `jwt`, and says what came back and how long that took.
    ///
    /// Runs to its end also when nobody waits for it any more: clients that give up early hide no outage.
    pub async fn ask(self: &Arc<Self>, permit: HookPermit, jwt: String) -> (Result<Verdict, CallError>, Duration) {
        let hook = Arc::clone(self);
        let asking = tokio::spawn(async move {
            let began = Instant::now();
            let HookPermit { breaker, concurrency } = permit;
            let result = timeout_at(began + hook.timeout, hook.call(jwt)).await.unwrap_or(Err(CallError::Timeout));
            drop(concurrency);
            report(hook.app.as_deref(), breaker, result.as_ref().err().copied());
            (result, began.elapsed())
        });
        asking.await.unwrap_or((Err(CallError::CutOff), Duration::ZERO))
    }

    /// Whether anything answers where questions go. Asks nothing: a HEAD for `/`, whatever the answer.
    ///
    /// # Errors
    /// [`CallError::Unreachable`], [`CallError::Timeout`], [`CallError::CutOff`].
    pub async fn reach(&self) -> Result<(), CallError> {
        let mut url = self.url.clone();
        url.set_path("/");
        url.set_query(None);
        let answer = timeout(self.timeout, outbound::send(self.client.head(url))).await;
        answer.map_err(|_| CallError::Timeout)?.map(drop).map_err(CallError::of_call)
    }

    async fn call(&self, jwt: String) -> Result<Verdict, CallError> {
        let request = self.client.post(self.url.clone()).header("content-type", "application/jwt");
        let response = outbound::send(request.body(jwt)).await.map_err(CallError::of_call)?;
        match response.status() {
            StatusCode::OK => {
                let body = outbound::read_body(response, MAX_ANSWER_LEN).await.map_err(CallError::of_call)?;
                Ok(Verdict::Known(answer::parse(&body)?))
            }
            StatusCode::NOT_FOUND => Ok(Verdict::NotBound),
            StatusCode::FORBIDDEN => Ok(Verdict::Refused),
            other => Err(CallError::Status(other.as_u16())),
        }
    }
}

/// Without the URL, which may have something secret in its path or query.
impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Without the URL, which may hold a password before it is checked.
impl fmt::Debug for HookOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HookOptions");
        shown.field("timeout", &self.timeout).field("max_concurrent", &self.max_concurrent).finish_non_exhaustive()
    }
}

fn concurrency(max_concurrent: usize, timeout: Duration) -> ConcurrencyLimit {
    // With fewer than two there is nothing to divide.
    let shares = Shares { logins: max_concurrent - max_concurrent / 4, others: max_concurrent.div_ceil(2) };
    ConcurrencyLimit::new(max_concurrent, shares, timeout / 2)
}

/// Tells the breaker how it went, and operators when that changes something.
fn report(appid: Option<&str>, permit: BreakerPermit, error: Option<CallError>) {
    match error {
        Some(error) if error.is_outage() => {
            if let Some(pause) = permit.failed(Instant::now()) {
                let pause_s = pause.as_secs();
                tracing::warn!(
                    appid,
                    pause_s,
                    "claims: the owner's service does not answer, its circuit breaker opens: {error}"
                );
            }
        }
        _ => {
            if permit.succeeded() {
                tracing::info!(appid, "claims: the owner's service answers again");
            }
        }
    }
}
