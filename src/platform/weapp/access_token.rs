//! Access tokens: `POST /cgi-bin/stable_token`, and calls that need one.
//!
//! Kept in memory only. The interface gives the same token to everybody who asks while it is good, so any number of
//! replicas may ask without taking a token from each other; `force_refresh`, which would do that, is never set.
//! In the last five minutes of a token's life it makes a new one, and both are good until the old one ends. So whatever it
//! gives is good for five minutes at least, and asking for a new one earlier than five minutes before the end is in vain.
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-access-token/api_getstableaccesstoken>

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::Credentials;
use super::call::{Answer, CallError, Line, Request};
use super::refusal::Refused;
use crate::platform::{FailedReason, PlatformError, is_visible_ascii};
use crate::secret::SecretText;

/// What every token is good for, and how long before its end there is a new one.
const LAST_MINUTES: Duration = Duration::from_secs(300);
/// Replicas that started together do not ask together.
const MAX_JITTER_MS: u32 = 60_000;
/// The platform promises at most two hours.
const MAX_LIFE: Duration = Duration::from_secs(7200);
/// Between one fetch and the next one, whatever happens.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Between a fetch and the next one because of the token's age.
const MIN_USE: Duration = Duration::from_secs(60);
/// "Reserve at least 512 characters", says the platform.
const MAX_TOKEN_LEN: usize = 2048;

const PATH: &str = "cgi-bin/stable_token";

/// A token, and when it ends.
pub(super) struct AccessToken {
    text: SecretText,
    renew_at: Instant,
    ends_at: Instant,
}

type Fetched = Result<Arc<AccessToken>, PlatformError>;

/// The access tokens of one app. Clones share them.
#[derive(Clone)]
pub(super) struct AccessTokens {
    line: Arc<Line>,
    credentials: Arc<Credentials>,
    timeout: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<AccessToken>>,
    /// The fetch that runs now.
    fetch: Option<Shared<BoxFuture<'static, Fetched>>>,
    /// When the last one began.
    began_at: Option<Instant>,
    /// When the last one ended, if it failed.
    failed: Option<(Instant, PlatformError)>,
}

impl AccessTokens {
    pub(super) fn new(line: Arc<Line>, credentials: Arc<Credentials>, timeout: Duration) -> Self {
        Self { line, credentials, timeout, state: Arc::default() }
    }

    /// Sends `request` with an access token. If the answer says that the token was not good, so that nothing else was
    /// looked at, sends it once more with another.
    pub(super) async fn call(&self, request: &Request<'_>) -> Result<Answer, CallError> {
        let token = self.current().await?;
        match self.line.send(request, Some(&token.text)).await {
            Err(CallError::Refused(refused)) if refused.blames_the_access_token() => self.forget(&token),
            outcome => return outcome,
        }
        let token = self.current().await?;
        match self.line.send(request, Some(&token.text)).await {
            Err(CallError::Refused(refused)) if refused.blames_the_access_token() => {
                self.forget(&token);
                Err(FailedReason::AccessToken(refused.refusal()).into())
            }
            outcome => outcome,
        }
    }

    /// A token that is good as far as we know. Fetched if there is none; in the last minutes of one, the next one is
    /// fetched while this one is used.
    pub(super) async fn current(&self) -> Fetched {
        let fetch = {
            let mut state = self.state();
            let now = Instant::now();
            let token = state.token.clone().filter(|token| now < token.ends_at);
            let is_young = token.as_ref().is_some_and(|token| now < token.renew_at);
            let fetch = if is_young { None } else { Some(self.join_or_start(&mut state, now)) };
            match (token, fetch) {
                (Some(token), _) => return Ok(token),
                (None, Some(fetch)) => fetch?,
                (None, None) => return Err(PlatformError::Failed(FailedReason::Malformed)),
            }
        };
        fetch.await
    }

    /// Drops `token` if it is still the one in use.
    pub(super) fn forget(&self, token: &Arc<AccessToken>) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            state.token = None;
        }
    }

    /// Everybody who wants a token meanwhile gets the result of one fetch, and a failure is remembered for a moment, so
    /// that no crowd asks a platform that has trouble.
    fn join_or_start(
        &self,
        state: &mut State,
        now: Instant,
    ) -> Result<Shared<BoxFuture<'static, Fetched>>, PlatformError> {
        if let Some(fetch) = &state.fetch {
            return Ok(fetch.clone());
        }
        if let Some((_, error)) = state.failed.as_ref().filter(|(failed_at, _)| now < *failed_at + MIN_PAUSE) {
            return Err(error.clone());
        }
        // A token that was refused at once may be replaced at once, but not again and again.
        let begins_at = state.began_at.map_or(now, |began_at| now.max(began_at + MIN_PAUSE));
        state.began_at = Some(begins_at);
        let tokens = self.clone();
        // A task, since whoever waits for it may go away, and others may not.
        let task = tokio::spawn(async move {
            // Made when the task runs, not before: a runtime that ends drops new tasks on the spot, under our lock.
            let _landing = Landing(Arc::clone(&tokens.state));
            sleep_until(begins_at).await;
            let outcome = tokens.fetch().await;
            let mut state = tokens.state();
            match &outcome {
                Ok(token) => (state.token, state.failed) = (Some(Arc::clone(token)), None),
                Err(error) => state.failed = Some((Instant::now(), error.clone())),
            }
            drop(state);
            outcome
        });
        let fetch = task.map(|joined| joined.unwrap_or(Err(FailedReason::CutOff.into()))).boxed().shared();
        state.fetch = Some(fetch.clone());
        Ok(fetch)
    }

    async fn fetch(&self) -> Fetched {
        let start = Instant::now();
        let outcome = timeout(self.timeout, self.ask(start)).await.unwrap_or(Err(PlatformError::Timeout));
        self.credentials.log(PATH, outcome.as_ref().err(), start.elapsed());
        outcome
    }

    async fn ask(&self, start: Instant) -> Fetched {
        let request = Request {
            path: PATH,
            query: Vec::new(),
            body: Some(json!({
                "grant_type": "client_credential",
                "appid": self.credentials.appid,
                "secret": self.credentials.secret.expose(),
                "force_refresh": false,
            })),
        };
        let answer = self.line.send(&request, None).await;
        let answer = answer.map_err(|error| error.meaning(Refused::of_an_access_token))?;
        Ok(Arc::new(AccessToken::parse(&answer, start)?))
    }

    #[cfg(test)]
    pub(super) fn are_being_fetched(&self) -> bool {
        self.state().fetch.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements, so a panic elsewhere leaves nothing half-done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessToken {
    fn parse(answer: &Answer, asked_at: Instant) -> Result<Self, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            access_token: String,
            #[serde(default)]
            expires_in: Value,
        }
        let Success { access_token, expires_in } = answer.read()?;
        let text = SecretText::new(access_token);
        let expires_in_s = match expires_in {
            Value::Null => Some(0),
            Value::Number(number) => number.as_u64(),
            Value::String(digits) => digits.parse().ok(),
            _ => None,
        };
        let is_token = matches!(text.expose().len(), 1..=MAX_TOKEN_LEN) && is_visible_ascii(text.expose());
        let Some(expires_in_s) = expires_in_s.filter(|_| is_token) else { return Err(FailedReason::Malformed.into()) };
        let life = Duration::from_secs(expires_in_s).clamp(LAST_MINUTES, MAX_LIFE);
        // Without randomness all replicas ask at once, which the platform can bear.
        let jitter_ms = getrandom::u32().map_or(0, |random| random % MAX_JITTER_MS);
        let renew_in = life.saturating_sub(LAST_MINUTES).max(MIN_USE) + Duration::from_millis(jitter_ms.into());
        Ok(Self { text, renew_at: asked_at + renew_in, ends_at: asked_at + life })
    }
}

/// Takes a fetch off when it ends, however it ends.
struct Landing(Arc<Mutex<State>>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fetch = None;
    }
}
