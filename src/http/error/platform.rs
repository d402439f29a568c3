//! The error for a client when a call to the platform failed.

use std::borrow::Cow;

use super::{ApiError, ErrorCode};
use crate::bearer::Refusal;
use crate::http::labels::Limit;
use crate::http::settings::App;
use crate::platform::{Capability, FailedReason, PlatformError, Unreachable};

/// What was at stake in a call to a platform that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stake {
    LoginCode,
    PhoneCode,
    /// Nothing that can be spent.
    Nothing,
}

impl Stake {
    /// What a client does once the call may have reached the platform.
    const fn remedy(self) -> &'static str {
        match self {
            Self::LoginCode => "take a new code and log in again",
            Self::PhoneCode => "let the user press the phone button again",
            Self::Nothing => "try again",
        }
    }
}

/// Requires that the platform of `app` has `capability`.
///
/// # Errors
/// 400 `not_supported`.
pub(crate) fn require(app: &App, capability: Capability) -> Result<(), ApiError> {
    if app.platform.facts().has(capability) {
        Ok(())
    } else {
        Err(ApiError::of_platform(&PlatformError::Unsupported, Stake::Nothing))
    }
}

impl ApiError {
    /// The error for a client when a call to the platform failed.
    pub(crate) fn of_platform(error: &PlatformError, stake: Stake) -> Self {
        use PlatformError as E;
        const MISCONFIGURED: ErrorCode = ErrorCode::Refused(Refusal::NotSetUp);
        let (code, description) = match error {
            E::Unsupported => (ErrorCode::NotSupported, "the app's platform has no such interface"),
            E::InvalidCode(_) | E::CodeUsed(_) if stake == Stake::PhoneCode => {
                (ErrorCode::InvalidPhoneCode, "the platform refuses the phone code")
            }
            E::InvalidCode(_) => (ErrorCode::InvalidCode, "the platform refuses the code"),
            E::CodeUsed(_) => (ErrorCode::CodeUsed, "the code was used before"),
            E::UserBlocked(_) => (ErrorCode::UserBlocked, "the platform blocks this user"),
            E::UserRefused(_) => (ErrorCode::UserBlocked, "this user may not log in here"),
            E::RateLimited(_) => (ErrorCode::RateLimited, "the platform limits how often this user may do that"),
            E::Busy { .. } if error.errcode().is_none() => {
                (ErrorCode::UpstreamBusy, "too many calls wait for the platform")
            }
            E::Busy { .. } => (ErrorCode::UpstreamBusy, "the platform is busy"),
            E::Stopped { .. } => (ErrorCode::UpstreamBusy, "the platform has not answered for a while"),
            E::Misconfigured { .. } | E::NoSecret(_) | E::Simulated => {
                (MISCONFIGURED, "the server is not set up for this app")
            }
            E::Unreachable(Unreachable::Timeout) => (ErrorCode::UpstreamTimeout, "the platform cannot be reached"),
            E::Unreachable(_) => (ErrorCode::UpstreamFailed, "the platform cannot be reached"),
            E::Timeout => (ErrorCode::UpstreamTimeout, "the platform did not answer in time"),
            _ => (ErrorCode::UpstreamFailed, "the platform gave no usable answer"),
        };
        let told = Self::new(code, description);
        let description = match error {
            E::Unsupported
            | E::UserBlocked(_)
            | E::UserRefused(_)
            | E::RateLimited(_)
            | E::Misconfigured { .. }
            | E::NoSecret(_)
            | E::Simulated => Cow::Borrowed(description),
            _ if is_unspent(error) && stake != Stake::Nothing => {
                Cow::Owned(format!("{description}; the code is still good, try again with it"))
            }
            _ => Cow::Owned(format!("{description}; {}", stake.remedy())),
        };
        let retry_after_s = error.retry_after_s().or(told.retry_after_s);
        // Without an errcode it is our own queue that is full.
        let is_ours = matches!(error, E::Busy { .. }) && error.errcode().is_none();
        let limit = is_ours.then_some(Limit::UpstreamConcurrent);
        // The number of a misconfiguration says something about the server, not about the client.
        let errcode = error.errcode().filter(|_| code != MISCONFIGURED).cloned();
        Self { description, errcode, retry_after_s, limit, ..told }.because(error)
    }
}

/// Whether nothing has looked at the code: nothing was sent, or the platform went no further than an access token.
fn is_unspent(error: &PlatformError) -> bool {
    match error {
        PlatformError::Busy { .. } | PlatformError::Stopped { .. } | PlatformError::Unreachable(_) => {
            error.errcode().is_none()
        }
        PlatformError::Failed(reason) => matches!(reason, FailedReason::AccessToken(_)),
        _ => false,
    }
}

/// For a login.
impl From<PlatformError> for ApiError {
    fn from(error: PlatformError) -> Self {
        Self::of_platform(&error, Stake::LoginCode)
    }
}
