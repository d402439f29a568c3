//! Why a platform did not do what it was asked for.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::{IdentityError, PhoneError};
use crate::outbound::Unreachable;

/// Why a call to a platform gave no result. Holds no URL, secret or code, and of the platform's wording only what was
/// recognised: an error code, a request id, an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The platform has no such interface. 400 `not_supported`; nothing was sent.
    #[error("the platform has no such interface")]
    Unsupported,
    /// The code is expired, of another app, or no code. 401 `invalid_code`; the client takes a new one.
    #[error("the platform does not know the code{0}")]
    InvalidCode(ErrorDetail),
    /// The code was spent before. 401 `code_used`; the client takes a new one.
    #[error("the code was used before{0}")]
    CodeUsed(ErrorDetail),
    /// The platform keeps this user out. 403 `user_blocked`.
    #[error("the platform blocks the user{0}")]
    UserBlocked(ErrorDetail),
    /// The platform names a user whom no server should let in. 403 `user_blocked`.
    #[error("{0}")]
    UserRefused(RefusedUser),
    /// This user logs in too often. 429 `rate_limited`.
    #[error("the platform limits how often the user may log in{0}")]
    RateLimited(ErrorDetail),
    /// The platform has no room, the daily quota is gone, or too many of our own calls are waiting; in the last case
    /// there is no errcode and the code is not spent. 503 `upstream_busy`.
    #[error("the platform is busy{detail}")]
    Busy {
        /// What the platform answered.
        detail: ErrorDetail,
        /// After how many seconds another login has a chance.
        retry_after_s: u64,
    },
    /// The platform refuses the app, not the user. 500 `server_misconfigured`: an operator has to act.
    #[error("the platform refuses this server{detail}")]
    Misconfigured {
        /// What the platform answered.
        detail: ErrorDetail,
        /// This server's address as the platform sees it, when that is what it refuses.
        address: Option<IpAddr>,
        /// Whether a client can cause it, with a code of another app.
        client_may_cause: bool,
    },
    /// A secret that the owner keeps fresh cannot be read, so nothing was sent and the code is not spent; says why and what to
    /// do. 500 `server_misconfigured`.
    #[error("no secret to call the platform with: {0}")]
    NoSecret(Box<str>),
    /// There is no answer that can be used. 502 `upstream_failed`; the code may be spent.
    #[error("the platform's answer is of no use: {0}")]
    Failed(FailedReason),
    /// No whole answer within the deadline. 504 `upstream_timeout`; the code may be spent.
    #[error("the platform did not answer in time")]
    Timeout,
    /// It has failed again and again, so nothing was sent and the code is not spent. 503 `upstream_busy`.
    #[error("the platform's circuit breaker is open after repeated failures")]
    Stopped {
        /// After how many seconds there is a chance.
        retry_after_s: u64,
    },
    /// The answer is the simulator's, and this server takes none of it. 500 `server_misconfigured`.
    #[error("the answer is not the platform's but the simulator's")]
    Simulated,
    /// No connection, so the code is not spent. 502 `upstream_failed`, or 504 `upstream_timeout` where that took too long.
    #[error("the platform cannot be reached: {0}")]
    Unreachable(Unreachable),
}

/// Why a user that a platform names is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedUser {
    /// A page shown to somebody who has not agreed to log in; strangers share one such account.
    #[error("the user is a virtual account, which strangers share")]
    Snapshot,
    /// The app may be used by several organisations, and this is another one than the configured one.
    #[error("the user is of another organisation than the configured one")]
    OtherCorp,
}

/// Why a platform's answer is of no use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FailedReason {
    /// A refusal with a number that stands for nothing we know.
    #[error("an unknown refusal{0}")]
    UnknownErrcode(ErrorDetail),
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
    #[error("the access token is refused, and so is a new one{0}")]
    AccessToken(ErrorDetail),
    /// A success for another app than the one that asked.
    #[error("for another app")]
    OtherApp,
    /// An answer without the platform's signature, or with another one.
    #[error("not signed by the platform")]
    Signature,
    /// A success that this server cannot decrypt.
    #[error("not encrypted for this app's key")]
    Undecryptable,
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
    /// A refusal of the app, which no client can cause.
    pub(super) fn misconfigured(detail: ErrorDetail) -> Self {
        Self::Misconfigured { detail, address: None, client_may_cause: false }
    }

    /// The error code that the platform gave, if it gave one.
    #[must_use]
    pub fn errcode(&self) -> Option<&Errcode> {
        self.detail()?.errcode()
    }

    /// The platform's name for the request, if it gave one.
    #[must_use]
    pub fn rid(&self) -> Option<&Rid> {
        self.detail()?.rid()
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
    /// and for what was not sent, unless a secret is missing.
    #[must_use]
    pub fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Timeout => Some("timeout"),
            Self::NoSecret(_) => Some("no_secret"),
            Self::Simulated => Some("simulator"),
            Self::Unreachable(why) => Some(why.as_str()),
            Self::Failed(reason) => reason.as_str(),
            _ => None,
        }
    }

    fn detail(&self) -> Option<&ErrorDetail> {
        match self {
            Self::InvalidCode(detail)
            | Self::CodeUsed(detail)
            | Self::UserBlocked(detail)
            | Self::RateLimited(detail)
            | Self::Busy { detail, .. }
            | Self::Misconfigured { detail, .. }
            | Self::Failed(FailedReason::UnknownErrcode(detail) | FailedReason::AccessToken(detail)) => Some(detail),
            Self::Unsupported
            | Self::NoSecret(_)
            | Self::UserRefused(_)
            | Self::Failed(_)
            | Self::Timeout
            | Self::Stopped { .. }
            | Self::Simulated
            | Self::Unreachable(_) => None,
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
            Self::Signature => Some("bad_signature"),
            Self::Undecryptable => Some("undecryptable"),
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

/// A platform's code for an error: a number on most, a word on others.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Errcode {
    /// Such as `40029`.
    Number(i64),
    /// Such as `isv.code-invalid`: 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
    Text(Box<str>),
}

impl Errcode {
    /// Takes a word over if it has the form of one.
    #[must_use]
    pub fn parse_text(text: &str) -> Option<Self> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (matches!(text.len(), 1..=64) && text.bytes().all(is_word)).then(|| Self::Text(text.into()))
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

impl From<i64> for Errcode {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for Errcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What a platform said of an error: its code, and its name for the request. Both may be missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ErrorDetail {
    errcode: Option<Errcode>,
    rid: Option<Rid>,
}

impl ErrorDetail {
    /// An error code, and the platform's name for the request if there is one.
    #[must_use]
    pub fn new(errcode: impl Into<Errcode>, rid: Option<Rid>) -> Self {
        Self { errcode: Some(errcode.into()), rid }
    }

    /// The platform's code.
    #[must_use]
    pub const fn errcode(&self) -> Option<&Errcode> {
        self.errcode.as_ref()
    }

    /// The platform's name for the request.
    #[must_use]
    pub fn rid(&self) -> Option<&Rid> {
        self.rid.as_ref()
    }
}

/// ` (errcode 40029, rid 652d44d0-0e4a-...)`, or nothing: made to follow a sentence.
impl fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.errcode, &self.rid) {
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

/// The first address in what a platform says of one that it does not allow, such as
/// `invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist`.
pub(super) fn address_in(text: &str) -> Option<IpAddr> {
    text.split(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':').find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_a_word_is_shown_if_it_is_one() {
        let shown = |text: &str| Errcode::parse_text(text).map(|errcode| ErrorDetail::new(errcode, None).to_string());
        assert_eq!(shown("isv.code-invalid").as_deref(), Some(" (errcode isv.code-invalid)"));
        assert_eq!(serde_json::to_string(&Errcode::parse_text("a_1")).unwrap(), r#""a_1""#);
        assert_eq!(serde_json::to_string(&Errcode::from(-1)).unwrap(), "-1");
        for bad in ["", "a b", "a\"", "é", &"a".repeat(65)] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_error_shows_the_number_and_the_request_id() {
        let detail = ErrorDetail::new(40029, Rid::parse("652d44d0-0e4a1b2c-00000001"));
        let error = PlatformError::InvalidCode(detail.clone());
        assert_eq!(
            error.to_string(),
            "the platform does not know the code (errcode 40029, rid 652d44d0-0e4a1b2c-00000001)"
        );
        assert_eq!(error.errcode(), Some(&Errcode::Number(40029)));
        assert_eq!(error.rid(), detail.rid());
        let busy = PlatformError::Busy { detail: ErrorDetail::default(), retry_after_s: 2 };
        assert_eq!((busy.to_string().as_str(), busy.retry_after_s()), ("the platform is busy", Some(2)));
        assert_eq!(PlatformError::Timeout.errcode(), None);
    }

    #[test]
    fn a_request_id_is_letters_digits_and_dashes() {
        assert!(Rid::parse(&"a".repeat(64)).is_some());
        for bad in ["", "a b", "a\"", "a/b", "é", &"a".repeat(65)] {
            assert_eq!(Rid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_that_is_not_allowed_is_recognised() {
        for (errmsg, address) in [
            ("invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist", "203.0.113.7".parse().ok()),
            ("invalid ip 2001:db8::7, not in whitelist", "2001:db8::7".parse().ok()),
            ("invalid ip 999.0.113.7, not in whitelist", None),
            ("访问ip不在白名单之中,request ip=203.0.113.7", "203.0.113.7".parse().ok()),
            ("", None),
        ] {
            assert_eq!(address_in(errmsg), address, "{errmsg}");
        }
    }
}
