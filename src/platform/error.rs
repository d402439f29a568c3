//! Why a platform did not do what it was asked for.

use std::fmt;
use std::net::IpAddr;

use super::{IdentityError, PhoneError};
use crate::outbound::Unreachable;

/// Why a code did not become an [`Identity`](super::Identity). Holds no URL, secret or code, and of a platform's wording only what was
/// recognised: a number, a request id, an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The code is expired, of another app, or no code. 401 `invalid_code`; the client takes a new one.
    #[error("the platform does not know the code{0}")]
    InvalidCode(Refusal),
    /// The code was spent before. 401 `code_used`; the client takes a new one.
    #[error("the code was used before{0}")]
    CodeUsed(Refusal),
    /// The platform keeps this user out. 403 `user_blocked`.
    #[error("the platform blocks the user{0}")]
    UserBlocked(Refusal),
    /// This user logs in too often. 429 `rate_limited`.
    #[error("the platform limits how often the user may log in{0}")]
    RateLimited(Refusal),
    /// The platform has no room, the daily quota is gone, or too many of our own calls are waiting; in the last case
    /// there is no errcode and the code is not spent. 503 `upstream_busy`.
    #[error("the platform is busy{refusal}")]
    Busy {
        /// What the platform answered.
        refusal: Refusal,
        /// After how many seconds another login has a chance.
        retry_after_s: u64,
    },
    /// The platform refuses the app, not the user. 500 `server_misconfigured`: an operator has to act.
    #[error("the platform refuses this server{refusal}")]
    Misconfigured {
        /// What the platform answered.
        refusal: Refusal,
        /// This server's address as the platform sees it, when that is what it refuses.
        address: Option<IpAddr>,
    },
    /// There is no answer that can be used. 502 `upstream_failed`; the code may be spent.
    #[error("the platform's answer is of no use: {0}")]
    Failed(FailedReason),
    /// No whole answer within the deadline. 504 `upstream_timeout`; the code may be spent.
    #[error("the platform did not answer in time")]
    Timeout,
    /// It has failed again and again, so nothing was sent and the code is not spent. 503 `upstream_busy`.
    #[error("the platform is left alone after repeated failures")]
    Stopped {
        /// After how many seconds there is a chance.
        retry_after_s: u64,
    },
    /// No connection, so the code is not spent. 502 `upstream_failed`, or 504 `upstream_timeout` where that took too long.
    #[error("the platform cannot be reached: {0}")]
    Unreachable(Unreachable),
}

/// Why a platform's answer is of no use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FailedReason {
    /// A refusal with a number that stands for nothing we know.
    #[error("an unknown refusal{0}")]
    UnknownErrcode(Refusal),
    /// Another HTTP status than 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Not JSON, or not the JSON that was promised.
    #[error("not the promised JSON")]
    Malformed,
    /// More than the given number of bytes.
    #[error("longer than {0} bytes")]
    TooLarge(usize),
    /// The connection ended, or ceased to be HTTP, before the answer was whole.
    #[error("cut off")]
    CutOff,
    /// A success that names nobody.
    #[error("no openid")]
    NoOpenid,
    /// The platform refuses an access token, and the one that it gives instead.
    #[error("the access token is refused, and so is the one after it{0}")]
    AccessToken(Refusal),
    /// A success for another app than the one that asked.
    #[error("for another app")]
    OtherApp,
    /// A success about another user than the one in question.
    #[error("about another user")]
    OtherUser,
    /// A success whose texts nobody may seal.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A success whose number is none.
    #[error(transparent)]
    Phone(#[from] PhoneError),
}

impl PlatformError {
    /// The number that the platform gave, if it gave one.
    #[must_use]
    pub fn errcode(&self) -> Option<i64> {
        self.refusal().and_then(Refusal::errcode)
    }

    /// The platform's name for the request, if it gave one.
    #[must_use]
    pub fn rid(&self) -> Option<&Rid> {
        self.refusal().and_then(Refusal::rid)
    }

    /// Whether it says that the platform as a whole is not there: no connection, no whole answer, or a gateway's 5xx. What
    /// it says of one code or one user does not.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Timeout | Self::Unreachable(_) | Self::Failed(FailedReason::CutOff) => true,
            Self::Failed(FailedReason::Status(status)) => (500..600).contains(status),
            _ => false,
        }
    }

    /// After how many seconds another login has a chance, for the variants that are answered with `Retry-After`.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            // The quota counts by the minute.
            Self::RateLimited(_) => Some(60),
            Self::Busy { retry_after_s, .. } | Self::Stopped { retry_after_s } => Some(*retry_after_s),
            _ => None,
        }
    }

    /// Why there is no answer that can be used, in one word for operators. Nothing for what the platform refuses by a number,
    /// and for what was not sent.
    #[must_use]
    pub fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Timeout => Some("timeout"),
            Self::Unreachable(why) => Some(why.as_str()),
            Self::Failed(reason) => reason.as_str(),
            _ => None,
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::InvalidCode(refusal)
            | Self::CodeUsed(refusal)
            | Self::UserBlocked(refusal)
            | Self::RateLimited(refusal)
            | Self::Busy { refusal, .. }
            | Self::Misconfigured { refusal, .. }
            | Self::Failed(FailedReason::UnknownErrcode(refusal) | FailedReason::AccessToken(refusal)) => Some(refusal),
            Self::Failed(_) | Self::Timeout | Self::Stopped { .. } | Self::Unreachable(_) => None,
        }
    }
}

impl FailedReason {
    const fn as_str(&self) -> Option<&'static str> {
        match self {
            Self::UnknownErrcode(_) | Self::AccessToken(_) => None,
            Self::Status(_) => Some("http_status"),
            Self::Malformed => Some("not_json"),
            Self::TooLarge(_) => Some("too_large"),
            Self::CutOff => Some("cut_off"),
            Self::NoOpenid => Some("no_openid"),
            Self::OtherApp => Some("other_app"),
            Self::OtherUser => Some("other_user"),
            Self::Identity(_) => Some("unusable_identity"),
            Self::Phone(_) => Some("unusable_phone_number"),
        }
    }
}

impl From<FailedReason> for PlatformError {
    fn from(reason: FailedReason) -> Self {
        Self::Failed(reason)
    }
}

/// What a platform said when it refused: its number, and its name for the request. Both may be missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refusal {
    errcode: Option<i64>,
    rid: Option<Rid>,
}

impl Refusal {
    /// A refusal with a number, and with the platform's name for the request if there is one.
    #[must_use]
    pub fn new(errcode: i64, rid: Option<Rid>) -> Self {
        Self { errcode: Some(errcode), rid }
    }

    /// The platform's number.
    #[must_use]
    pub fn errcode(&self) -> Option<i64> {
        self.errcode
    }

    /// The platform's name for the request.
    #[must_use]
    pub fn rid(&self) -> Option<&Rid> {
        self.rid.as_ref()
    }
}

/// ` (errcode 40029, rid 652d44d0-0e4a-...)`, or nothing: made to follow a sentence.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.errcode, &self.rid) {
            (Some(errcode), Some(rid)) => write!(f, " (errcode {errcode}, rid {rid})"),
            (Some(errcode), None) => write!(f, " (errcode {errcode})"),
            (None, Some(rid)) => write!(f, " (rid {rid})"),
            (None, None) => Ok(()),
        }
    }
}

/// A platform's name for one request, for its support staff: 1 to 64 ASCII letters, digits and dashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rid(String);

impl Rid {
    /// Takes a name over if it has the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_rid =
            matches!(text.len(), 1..=64) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_rid.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
