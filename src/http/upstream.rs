//! Calls to a platform, as all routes make them: timed for operators, and bounded where the client decides how many.

use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

use super::{App, AppState};
use crate::platform::PlatformError;
use crate::ticket::LoginId;

/// Waits for `answer`, which `call` gets from the platform of `app`, and tells operators how that went.
pub(super) async fn call<T>(
    state: &Arc<AppState>,
    app: &App,
    call: &'static str,
    answer: impl Future<Output = Result<T, PlatformError>>,
) -> Result<T, PlatformError> {
    let began = Instant::now();
    let result = answer.await;
    state.metrics.called(app.id.as_str(), call, began.elapsed(), result.as_ref().err());
    result
}

/// How often the platform is asked about a `session_key`: by each login, and by all of them together.
///
/// Kept for this replica alone. A user whose data fails again and again must not use up what the platform grants the app.
pub(super) struct Asks {
    by_login: DefaultKeyedRateLimiter<LoginId>,
    in_total: DefaultDirectRateLimiter,
}

/// After how many seconds a login that has asked too often may ask again.
pub(super) const ASK_AGAIN_S: u64 = 10;

impl Asks {
    const PER_LOGIN: Quota = Quota::per_minute(NonZeroU32::new(6).unwrap()).allow_burst(NonZeroU32::new(3).unwrap());
    const IN_TOTAL: Quota = Quota::per_second(NonZeroU32::new(50).unwrap());
    /// From then on logins that may ask as if they never had are forgotten.
    const MANY_LOGINS: usize = 10_000;

    /// Whether `login` may ask now; if so, that counts.
    pub(super) fn may_ask(&self, login: LoginId) -> bool {
        if self.by_login.len() >= Self::MANY_LOGINS {
            self.by_login.retain_recent();
        }
        // In this order, so that one login does not use up what all have together.
        self.by_login.check_key(&login).is_ok() && self.in_total.check().is_ok()
    }
}

impl Default for Asks {
    fn default() -> Self {
        Self { by_login: RateLimiter::keyed(Self::PER_LOGIN), in_total: RateLimiter::direct(Self::IN_TOTAL) }
    }
}

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asks").finish_non_exhaustive()
    }
}
