//! The table of errors: the name that clients may rely on, and the status. Those of tickets are [`Refusal`]'s own.

use hyper::StatusCode;

use crate::bearer::Refusal;

/// What `error` says in an answer. Its names are those of RFC 6749 section 5.2 where that has one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ErrorCode {
    /// Refusals of tickets, under the same names as in services that check tickets themselves.
    Refused(Refusal),
    /// The same for a ticket that a service sends about somebody else: no attempt of the service to authenticate.
    TicketInBody(Refusal),
    InvalidRequest,
    NotSupported,
    InvalidClient,
    UnauthorizedClient,
    InvalidTarget,
    InvalidScope,
    UnsupportedGrantType,
    InvalidPhoneCode,
    BadUserData,
    SessionKeyStale,
    InvalidCode,
    CodeUsed,
    UserBlocked,
    AppRequired,
    NotBound,
    HostNotAllowed,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    HeadersTooLarge,
    RateLimited,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamBusy,
    NoSealingKey,
    Overloaded,
}

impl ErrorCode {
    const fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::Refused(refusal) => (refusal.error(), refusal.status()),
            Self::TicketInBody(refusal) => (refusal.error(), StatusCode::BAD_REQUEST),
            Self::InvalidRequest => ("invalid_request", StatusCode::BAD_REQUEST),
            Self::NotSupported => ("not_supported", StatusCode::BAD_REQUEST),
            Self::InvalidClient => ("invalid_client", StatusCode::UNAUTHORIZED),
            Self::UnauthorizedClient => ("unauthorized_client", StatusCode::FORBIDDEN),
            Self::InvalidTarget => ("invalid_target", StatusCode::BAD_REQUEST),
            Self::InvalidScope => ("invalid_scope", StatusCode::BAD_REQUEST),
            Self::UnsupportedGrantType => ("unsupported_grant_type", StatusCode::BAD_REQUEST),
            Self::InvalidPhoneCode => ("invalid_phone_code", StatusCode::BAD_REQUEST),
            Self::BadUserData => ("bad_user_data", StatusCode::BAD_REQUEST),
            Self::SessionKeyStale => ("session_key_stale", StatusCode::BAD_REQUEST),
            Self::InvalidCode => ("invalid_code", StatusCode::UNAUTHORIZED),
            Self::CodeUsed => ("code_used", StatusCode::UNAUTHORIZED),
            Self::UserBlocked => ("user_blocked", StatusCode::FORBIDDEN),
            Self::AppRequired => ("app_required", StatusCode::FORBIDDEN),
            Self::NotBound => ("not_bound", StatusCode::FORBIDDEN),
            Self::HostNotAllowed => ("host_not_allowed", StatusCode::FORBIDDEN),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::HeadersTooLarge => ("headers_too_large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
            Self::UpstreamFailed => ("upstream_failed", StatusCode::BAD_GATEWAY),
            Self::UpstreamTimeout => ("upstream_timeout", StatusCode::GATEWAY_TIMEOUT),
            Self::UpstreamBusy => ("upstream_busy", StatusCode::SERVICE_UNAVAILABLE),
            Self::NoSealingKey => ("no_sealing_key", StatusCode::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        self.row().0
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.row().1
    }

    /// The challenge of a 401 (RFC 6750 section 3).
    pub(crate) const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => refusal.challenge(),
            Self::InvalidClient | Self::InvalidCode | Self::CodeUsed => Some("Bearer"),
            _ => None,
        }
    }

    /// Whether an attempt to authenticate failed. An expired ticket is no such attempt: clients come back with old ones every
    /// day.
    pub(crate) const fn is_failed_attempt(self) -> bool {
        matches!(
            self,
            Self::Refused(Refusal::InvalidTicket | Refusal::TicketRevoked)
                | Self::InvalidCode
                | Self::CodeUsed
                | Self::InvalidClient
        )
    }
}
