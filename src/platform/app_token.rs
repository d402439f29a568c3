//! An app's access token: fetched once for all who need it, kept in memory only, replaced before it ends.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, sleep_until};

use super::{Errcode, ErrorDetail, FailedReason, PlatformError, is_visible_ascii};
use crate::secret::SecretText;

/// Replicas that started together do not ask together.
const MAX_JITTER_MS: u32 = 60_000;
/// Between one fetch and the next one, whatever happens.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Between a fetch and the next one because of the token's age.
const MIN_USE: Duration = Duration::from_secs(60);
/// "Reserve at least 512 characters", say the platforms.
const MAX_TOKEN_LEN: usize = 2048;

/// A platform where whoever asks for a token ends one of somebody else.
#[derive(Clone, Copy)]
pub(super) struct Crowd {
    /// A token that is refused so early was ended by others who have asked.
    pub(super) ends_tokens_within: Duration,
    /// Those who ask for another one then do so within this time, at random.
    pub(super) spread: Duration,
}

/// A token, and when it ends.
pub(super) struct AppToken {
    text: SecretText,
    asked_at: Instant,
    renew_at: Instant,
    ends_at: Instant,
}

type Fetched = Result<Arc<AppToken>, PlatformError>;

/// Asks the platform for a token.
pub(super) type FetchToken = Arc<dyn Fn() -> BoxFuture<'static, Result<AppToken, PlatformError>> + Send + Sync>;

/// The access tokens of one app. Clones share them.
#[derive(Clone)]
pub(super) struct AppTokens {
    fetch: FetchToken,
    crowd: Option<Crowd>,
    state: Arc<Mutex<TokenState>>,
}

#[derive(Default)]
struct TokenState {
    token: Option<Arc<AppToken>>,
    /// The fetch that runs now.
    fetch: Option<Shared<BoxFuture<'static, Fetched>>>,
    /// When the last one began.
    began_at: Option<Instant>,
    /// When the last one ended, if it failed.
    failed: Option<(Instant, PlatformError)>,
    /// Whether others have ended the last one.
    is_crowded: bool,
}

impl AppTokens {
    pub(super) fn new(fetch: FetchToken) -> Self {
        Self { fetch, crowd: None, state: Arc::default() }
    }

    /// The same where tokens end each other.
    pub(super) fn in_a(self, crowd: Crowd) -> Self {
        Self { crowd: Some(crowd), ..self }
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

    /// Makes `attempt`, a call with an access token. If the answer says that the token was not good, so that nothing else was
    /// looked at (`refused` has the answer's words then), drops the token and makes it once more with another.
    pub(super) async fn call<T, E, F>(
        &self,
        attempt: impl Fn(Arc<AppToken>) -> F,
        refused: impl Fn(&E) -> Option<ErrorDetail>,
    ) -> Result<T, E>
    where
        E: From<PlatformError>,
        F: Future<Output = Result<T, E>>,
    {
        let mut refusal = None;
        for _ in 0..2 {
            let token = self.current().await?;
            let outcome = attempt(Arc::clone(&token)).await;
            refusal = outcome.as_ref().err().and_then(&refused);
            if refusal.is_none() {
                return outcome;
            }
            self.forget(&token);
        }
        Err(PlatformError::from(FailedReason::AccessToken(refusal.unwrap_or_default())).into())
    }

    /// Drops `token` if it is still the one in use.
    pub(super) fn forget(&self, token: &Arc<AppToken>) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            state.token = None;
            state.is_crowded = self.crowd.is_some_and(|crowd| token.asked_at.elapsed() < crowd.ends_tokens_within);
        }
    }

    /// Everybody who wants a token meanwhile gets the result of one fetch, and a failure is remembered for a moment, so
    /// that no crowd asks a platform that has trouble.
    fn join_or_start(
        &self,
        state: &mut TokenState,
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
        let begins_at = begins_at + self.turn(std::mem::take(&mut state.is_crowded));
        state.began_at = Some(begins_at);
        let tokens = self.clone();
        // A task of its own: the caller that started it may go away while others still wait.
        let task = tokio::spawn(async move {
            // Made when the task runs, not before: a runtime that ends drops new tasks on the spot, under our lock.
            let _running = RunningFetch(Arc::clone(&tokens.state));
            sleep_until(begins_at).await;
            let outcome = (tokens.fetch)().await.map(Arc::new);
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

    /// How long to wait for one's turn in a crowd.
    fn turn(&self, is_crowded: bool) -> Duration {
        let spread = self.crowd.filter(|_| is_crowded).map_or(Duration::ZERO, |crowd| crowd.spread);
        spread.mul_f64(getrandom::u32().map_or(0.0, f64::from) / f64::from(u32::MAX))
    }

    #[cfg(test)]
    pub(super) fn are_in_a_crowd(&self) -> bool {
        self.state().is_crowded
    }

    #[cfg(test)]
    pub(super) fn are_being_fetched(&self) -> bool {
        self.state().fetch.is_some()
    }

    fn state(&self) -> MutexGuard<'_, TokenState> {
        // Whole between any two statements, so a panic elsewhere leaves nothing half-done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For [`AppTokens::call`]: an error with one of `numbers`, which its interface has given no other meaning, blames the token.
pub(super) fn blames_token(numbers: &'static [i64]) -> impl Fn(&PlatformError) -> Option<ErrorDetail> {
    |error| match error {
        PlatformError::Failed(FailedReason::UnknownErrcode(detail)) => {
            let number = detail.errcode().and_then(Errcode::as_number)?;
            numbers.contains(&number).then(|| detail.clone())
        }
        _ => None,
    }
}

impl AppToken {
    /// Takes a token over that lives for `life`, counted from `asked_at`. In the `overlap` before its end the platform makes
    /// the next one, and both are good.
    ///
    /// # Errors
    /// [`FailedReason::Malformed`]: not 1 to 2,048 visible ASCII characters.
    pub(super) fn new(
        text: SecretText,
        asked_at: Instant,
        life: Duration,
        overlap: Duration,
    ) -> Result<Self, PlatformError> {
        if !matches!(text.expose().len(), 1..=MAX_TOKEN_LEN) || !is_visible_ascii(text.expose()) {
            return Err(FailedReason::Malformed.into());
        }
        // Without randomness all replicas ask at once, which the platform can bear.
        let jitter_ms = getrandom::u32().map_or(0, |random| random % MAX_JITTER_MS);
        let renew_in = life.saturating_sub(overlap).max(MIN_USE) + Duration::from_millis(jitter_ms.into());
        Ok(Self { text, asked_at, renew_at: asked_at + renew_in, ends_at: asked_at + life })
    }

    pub(super) fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl fmt::Debug for AppToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppToken(..)")
    }
}

/// Drop guard: whatever ends a fetch, it no longer runs.
struct RunningFetch(Arc<Mutex<TokenState>>);

impl Drop for RunningFetch {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fetch = None;
    }
}
