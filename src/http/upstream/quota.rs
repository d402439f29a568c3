//! Quotas for calls of platforms and of the owner's service: for each login, and for all logins of an app.
//!
//! Clients cause these calls and others pay for them: the platform's daily quota is the app's, and the owner's service is
//! everybody's. Each replica counts for itself. Login codes have limits of their own (`limits`).

use std::num::NonZeroU32;
use std::time::Duration;

use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::Limit;
use crate::http::settings::Rate;
use crate::http::transport::rates::Rates;
use crate::keyring::{AppId, LoginId};

/// One quota: for each login, and perhaps for all logins of an app.
#[derive(Debug)]
pub(crate) struct Quota {
    by_login: Rates<LoginId>,
    by_app: Option<Rates<AppId>>,
    refusal: ApiError,
}

/// Burst, and the same number again in each minute.
const fn a_minute(count: u32) -> Rate {
    Rate { count: at_least_one(count), per: Duration::from_secs(60) }
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

impl Quota {
    fn new(limit: Limit, description: &'static str, by_login: impl Into<governor::Quota>) -> Self {
        let refusal = ApiError::new(ErrorCode::RateLimited, description).at(limit);
        Self { by_login: Rates::new(by_login), by_app: None, refusal }
    }

    fn with_app(self, by_app: Rate) -> Self {
        Self { by_app: Some(Rates::new(by_app)), ..self }
    }

    /// Counts one call that `login` of `app` is about to cause.
    ///
    /// # Errors
    /// 429 with the time to wait: it is one too many. Nothing was sent.
    pub(crate) fn admit(&self, app: &AppId, login: LoginId) -> Result<(), ApiError> {
        let refused = |wait_s| self.refusal.clone().after_s(wait_s);
        // In this order, so that one login cannot use up the budget that all share.
        self.by_login.admit(&login).map_err(refused)?;
        self.by_app.as_ref().map_or(Ok(()), |rates| rates.admit(app)).map_err(refused)
    }
}

/// The quotas that a server has.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// Questions to the platform about a `session_key`: checks, resets, and why data cannot be used.
    pub(crate) session_key: Quota,
    /// Phone codes spent, and ciphertexts with a number that the platform is asked about.
    pub(crate) phone: Quota,
    /// Questions to the owner's service that a ticket or a login handle causes.
    pub(crate) claims: Quota,
}

impl Default for Quotas {
    fn default() -> Self {
        let session_key = governor::Quota::per_minute(at_least_one(6)).allow_burst(at_least_one(3));
        Self {
            session_key: Quota::new(Limit::SessionKeyAsks, "this login has asked the platform too often", session_key)
                .with_app(Rate { count: at_least_one(50), per: Duration::from_secs(1) }),
            phone: Quota::new(
                Limit::PhoneCalls,
                "this login has asked for phone numbers too often; nothing was spent, try later",
                a_minute(10),
            ),
            claims: Quota::new(
                Limit::ClaimsAsks,
                "this login was renewed too often; keep the ticket and try later",
                a_minute(20),
            ),
        }
    }
}
