//! What Douyin's numbers mean: `err_no` of most answers, `data.error_code` of those with an access token.

use serde::Deserialize;
use serde_json::Value;

use crate::platform::app_client::BUSY_RETRY_AFTER_S;
use crate::platform::client::{JsonAnswer, integer};
use crate::platform::facts::Advice;
use crate::platform::{Errcode, ErrorDetail, FailedReason, PlatformError, Rid};

/// `Retry-After` when the quota of an interface is gone.
const QUOTA_RETRY_AFTER_S: u64 = 600;

/// `err_no` and `log_id`. A success has an `err_no` of 0.
pub(super) fn refusal(answer: &JsonAnswer) -> Result<Option<ErrorDetail>, PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        err_no: Value,
        #[serde(default)]
        log_id: Value,
    }
    let Verdict { err_no, log_id } = answer.read()?;
    match integer(&err_no).ok_or(FailedReason::Malformed)? {
        0 => Ok(None),
        err_no => Ok(Some(ErrorDetail::new(err_no, log_id.as_str().and_then(Rid::parse)))),
    }
}

/// Whether the platform did not look at the request, because the access token with it has ended.
pub(super) fn blames_the_access_token(detail: &ErrorDetail) -> bool {
    number(detail) == Some(28_001_008)
}

/// As the interface for login codes means it: there is no number for a used code, a blocked user or a user's rate.
pub(super) fn of_a_login_code(detail: ErrorDetail) -> PlatformError {
    match number(&detail) {
        Some(40018 | 40019) => PlatformError::InvalidCode(detail),
        _ => in_general(detail),
    }
}

/// As the interface for phone numbers means it.
pub(super) fn of_a_phone_code(detail: ErrorDetail) -> PlatformError {
    match number(&detail) {
        Some(28_005_187) => PlatformError::InvalidCode(detail),
        _ => in_general(detail),
    }
}

/// As all interfaces mean it.
pub(super) fn in_general(detail: ErrorDetail) -> PlatformError {
    match number(&detail) {
        Some(-1 | 28_001_005) => PlatformError::Busy { detail, retry_after_s: BUSY_RETRY_AFTER_S },
        Some(28_003_017) => PlatformError::Busy { detail, retry_after_s: QUOTA_RETRY_AFTER_S },
        Some(28_003_018) => PlatformError::RateLimited(detail),
        Some(40014 | 40015 | 40017 | 28_001_016) => {
            PlatformError::Misconfigured { detail, address: None, client_may_cause: false }
        }
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    }
}

/// What an operator does about a [`PlatformError::Misconfigured`].
pub(super) fn advice(errcode: Option<&Errcode>) -> Advice {
    match errcode.and_then(Errcode::as_number) {
        Some(40015) => Advice::new("the platform does not know this appid; check it in the configuration"),
        Some(40017) => Advice::about_the_secret(
            "the app secret is wrong; compare it with the one on developer.open-douyin.com, or reset it there",
        ),
        Some(28_001_016) => Advice::new(
            "the app may not use this interface; look for notices and permissions on developer.open-douyin.com",
        ),
        _ => Advice::new("the platform misses a parameter that was sent; is something changing requests on their way?"),
    }
}

fn number(detail: &ErrorDetail) -> Option<i64> {
    detail.errcode().and_then(Errcode::as_number)
}
