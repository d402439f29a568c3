//! The owner's side of a login: one signed question goes out, [`OwnerClaims`] or a refusal come back.
//!
//! Knows neither sessions nor routes, and signs nothing: it sends the JWT that it is given. A question is sent once, is
//! followed nowhere, and has a deadline; an owner's service that does not answer is left alone for a while.

mod answer;
mod error;

pub use error::CallError;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::breaker::{Breaker, BreakerOptions, Pass, Stopped};
use crate::claims::OwnerClaims;
use crate::outbound::{self, Unreachable};

/// The owner's service that says who a user is to him.
pub struct Hook {
    url: Url,
    audience: String,
    client: Client,
    permits: Permits,
    timeout: Duration,
    breaker: Breaker,
}

/// What a question is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a session begins, or goes on")]
pub enum Share {
    /// A session begins. Always leaves a quarter of the permits, so that logins at a slow platform stop no renewal.
    Login,
    /// A session goes on. At most half of the permits, so that a crowd that renews leaves room to log in.
    Renewal,
}

/// How many questions may be out at once, in all and for each [`Share`].
struct Permits {
    all: Arc<Semaphore>,
    /// Taken before one of `all`, so that no more than these ever queue there.
    logins: Arc<Semaphore>,
    renewals: Arc<Semaphore>,
}

impl Permits {
    /// With fewer than two there is nothing to divide.
    fn new(count: usize) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS);
        let [all, logins, renewals] =
            [count, count - count / 4, count.div_ceil(2)].map(|count| Arc::new(Semaphore::new(count)));
        Self { all, logins, renewals }
    }

    async fn acquire(&self, share: Share) -> Option<[OwnedSemaphorePermit; 2]> {
        let share = match share {
            Share::Login => &self.logins,
            Share::Renewal => &self.renewals,
        };
        let of_share = Arc::clone(share).acquire_owned().await.ok()?;
        Some([of_share, Arc::clone(&self.all).acquire_owned().await.ok()?])
    }
}

/// Permission to ask one question, and the permits for it. They are given back when it is dropped.
#[derive(Debug)]
#[must_use = "permits are given back when it is dropped"]
pub struct Admission {
    pass: Pass,
    permits: [OwnedSemaphorePermit; 2],
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
    /// How many may be out at once, at least 1.
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
    /// The HTTP client could not be built, for want of trusted certificates as a rule.
    #[error("the HTTP client cannot be set up; are the system's CA certificates installed?")]
    Client,
}

/// What the owner says of a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the answers that the manual promises")]
pub enum Verdict {
    /// 200: let him in, with these claims.
    Known(Option<OwnerClaims>),
    /// 404: the owner's table does not have him yet.
    NotBound,
    /// 403: keep him out.
    Refused,
}

impl Hook {
    /// So many outages in a row, and it is left alone; first for a second, at most for half a minute.
    const BREAKER: BreakerOptions =
        BreakerOptions { failures: 5, shortest_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30) };
    /// A good answer is below 100 bytes.
    const MAX_ANSWER_LEN: usize = 4 << 10;

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
        let permits = Permits::new(max_concurrent);
        Ok(Self { url, audience, client, permits, timeout, breaker: Breaker::new(Self::BREAKER) })
    }

    /// Whom questions are for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Permission to ask one question, to be had before anything is spent for it. Waits for a permit at most half of the
    /// timeout.
    ///
    /// # Errors
    /// [`CallError::Stopped`] and [`CallError::Busy`].
    pub async fn admit(&self, share: Share) -> Result<Admission, CallError> {
        let stopped = |stopped: Stopped| CallError::Stopped { retry_after_s: stopped.retry_after_s() };
        let pass = self.breaker.admit(Instant::now()).map_err(stopped)?;
        match timeout(self.timeout / 2, self.permits.acquire(share)).await {
            Ok(Some(permits)) => Ok(Admission { pass, permits }),
            _ => Err(CallError::Busy),
        }
    }

    /// Sends `jwt`, and says what came back and how long that took.
    ///
    /// Runs to its end also when nobody waits for it any more: clients that give up early hide no outage.
    pub async fn ask(self: &Arc<Self>, admission: Admission, jwt: String) -> (Result<Verdict, CallError>, Duration) {
        let hook = Arc::clone(self);
        let asking = tokio::spawn(async move {
            let began = Instant::now();
            let Admission { pass, permits } = admission;
            let result = timeout_at(began + hook.timeout, hook.call(jwt)).await.unwrap_or(Err(CallError::Timeout));
            drop(permits);
            report(pass, result.as_ref().err().copied());
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
        let answer = timeout(self.timeout, self.client.head(url).send()).await.map_err(|_| CallError::Timeout)?;
        match answer.map_err(|error| classify(&error))?.status() {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(CallError::Unreachable(Unreachable::Proxy)),
            _ => Ok(()),
        }
    }

    async fn call(&self, jwt: String) -> Result<Verdict, CallError> {
        let request = self.client.post(self.url.clone()).header("content-type", "application/jwt");
        let response = request.body(jwt).send().await.map_err(|error| classify(&error))?;
        match response.status() {
            StatusCode::OK => Ok(Verdict::Known(answer::parse(&read_body(response).await?)?)),
            StatusCode::NOT_FOUND => Ok(Verdict::NotBound),
            StatusCode::FORBIDDEN => Ok(Verdict::Refused),
            // A proxy that says so has passed nothing on.
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(CallError::Unreachable(Unreachable::Proxy)),
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

/// Tells the breaker how it went, and operators when that changes something.
fn report(pass: Pass, error: Option<CallError>) {
    match error {
        Some(error) if error.is_outage() => {
            if let Some(pause) = pass.failed(Instant::now()) {
                let pause_s = pause.as_secs();
                tracing::warn!(pause_s, "claims: the owner's service is left alone for a while: {error}");
            }
        }
        _ => {
            if pass.worked() {
                tracing::info!("claims: the owner's service answers again");
            }
        }
    }
}

/// Of a client error only its kind is taken: its texts hold the URL.
fn classify(error: &reqwest::Error) -> CallError {
    match Unreachable::of(error) {
        Some(why) => CallError::Unreachable(why),
        None if error.is_timeout() => CallError::Timeout,
        None => CallError::CutOff,
    }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if chunk.len() > Hook::MAX_ANSWER_LEN - body.len() {
            return Err(CallError::TooLong(Hook::MAX_ANSWER_LEN));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
