//! What a client is told when something goes wrong: one JSON shape, one table of names and statuses.
//!
//! The only place where an error of the core meets a status code. `error` and `error_description` are the names of
//! RFC 6749 section 5.2; the challenge of a 401 is that of RFC 6750 section 3.

use std::borrow::Cow;
use std::net::IpAddr;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use tracing::field::display;

use super::limits::Limit;
use crate::bearer::Refusal;
use crate::hook::CallError;
use crate::jwt::JwtError;
use crate::platform::{EncryptedError, PlatformError, Unreachable};
use crate::request_id::RequestId;
use crate::ticket::{OpenError, SealError};

/// How soon to try again when the server itself is short of something, in seconds.
const RETRY_SOON_S: u64 = 5;
/// How soon to try again when an operator has to act first, in seconds.
const RETRY_LATER_S: u64 = 30;

/// The names that clients may rely on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ErrorCode {
    InvalidRequest,
    InvalidTicket,
    TicketExpired,
    TicketRevoked,
    InvalidClient,
    InvalidTarget,
    InvalidScope,
    UnsupportedGrantType,
    InvalidPhoneCode,
    BadUserData,
    SessionKeyStale,
    InvalidCode,
    CodeUsed,
    UserBlocked,
    WrongApp,
    AppRequired,
    NotBound,
    HostNotAllowed,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    HeadersTooLarge,
    RateLimited,
    ServerMisconfigured,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamBusy,
    NoSealingKey,
    Overloaded,
}

impl ErrorCode {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidTicket => "invalid_ticket",
            Self::TicketExpired => "ticket_expired",
            Self::TicketRevoked => "ticket_revoked",
            Self::InvalidClient => "invalid_client",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidPhoneCode => "invalid_phone_code",
            Self::BadUserData => "bad_user_data",
            Self::SessionKeyStale => "session_key_stale",
            Self::InvalidCode => "invalid_code",
            Self::CodeUsed => "code_used",
            Self::UserBlocked => "user_blocked",
            Self::WrongApp => "wrong_app",
            Self::AppRequired => "app_required",
            Self::NotBound => "not_bound",
            Self::HostNotAllowed => "host_not_allowed",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RateLimited => "rate_limited",
            Self::ServerMisconfigured => "server_misconfigured",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBusy => "upstream_busy",
            Self::NoSealingKey => "no_sealing_key",
            Self::Overloaded => "overloaded",
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::InvalidTarget
            | Self::InvalidScope
            | Self::UnsupportedGrantType
            | Self::InvalidPhoneCode
            | Self::BadUserData
            | Self::SessionKeyStale => StatusCode::BAD_REQUEST,
            Self::InvalidTicket
            | Self::TicketExpired
            | Self::TicketRevoked
            | Self::InvalidClient
            | Self::InvalidCode
            | Self::CodeUsed => StatusCode::UNAUTHORIZED,
            Self::UserBlocked | Self::WrongApp | Self::AppRequired | Self::NotBound | Self::HostNotAllowed => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::ServerMisconfigured => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UpstreamFailed => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::UpstreamBusy | Self::NoSealingKey | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether it means that somebody tried to pass for somebody and did not. An expired ticket is no such thing: clients
    /// come back with old ones every day.
    const fn fails_to_authenticate(self) -> bool {
        matches!(
            self,
            Self::InvalidTicket | Self::TicketRevoked | Self::InvalidCode | Self::CodeUsed | Self::InvalidClient
        )
    }

    /// Whether it means that the client's ticket was looked at and refused.
    const fn refuses_a_ticket(self) -> bool {
        matches!(self, Self::InvalidTicket | Self::TicketExpired | Self::TicketRevoked)
    }
}

/// A refusal: what the client is told, and apart from that what the log says.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    code: ErrorCode,
    /// ASCII without `"` and `\`, as RFC 6749 has it.
    description: Cow<'static, str>,
    errcode: Option<i64>,
    retry_after_s: Option<u64>,
    ticket_was_sent: bool,
    basic_was_sent: bool,
    closes_connection: bool,
    /// The limit that was reached, for operators to count.
    limit: Option<Limit>,
    cause: Option<Cause>,
}

/// For the log only. Never holds a secret, a ticket or a code.
#[derive(Clone, Debug)]
enum Cause {
    /// Made into text only if somebody reads it: floods of forged tickets come here.
    NotOpened(OpenError),
    Told(String),
}

/// The one shape of all refusals.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    errcode: Option<i64>,
    error: &'static str,
    error_description: &'a str,
    request_id: &'a RequestId,
}

impl ApiError {
    pub(super) const fn new(code: ErrorCode, description: &'static str) -> Self {
        let retry_after_s = match code {
            ErrorCode::RateLimited | ErrorCode::UpstreamBusy | ErrorCode::Overloaded => Some(RETRY_SOON_S),
            ErrorCode::NoSealingKey => Some(RETRY_LATER_S),
            _ => None,
        };
        Self {
            code,
            description: Cow::Borrowed(description),
            errcode: None,
            retry_after_s,
            ticket_was_sent: code.refuses_a_ticket(),
            basic_was_sent: false,
            closes_connection: false,
            limit: None,
            cause: None,
        }
    }

    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// The owner's service said nothing of the user that could be used.
    pub(super) fn no_verdict(error: &CallError, description: &'static str) -> Self {
        let told = Self::new(ErrorCode::UpstreamBusy, description);
        let retry_after_s = match error {
            CallError::Stopped { retry_after_s } => Some(*retry_after_s),
            _ => told.retry_after_s,
        };
        let limit = matches!(error, CallError::Busy).then_some(Limit::ClaimsConcurrent);
        Self { retry_after_s, limit, ..told }.because(&format_args!("the owner's service: {error}"))
    }

    /// No ticket at all: a 401 whose challenge blames no token (RFC 6750 section 3.1).
    pub(super) const fn no_ticket() -> Self {
        Self::without_ticket(Refusal::NoTicket)
    }

    /// One that is not read as it was sent. The ticket may be good, so it is not blamed either.
    pub(super) const fn miswritten_ticket() -> Self {
        Self::without_ticket(Refusal::Miswritten)
    }

    const fn without_ticket(refusal: Refusal) -> Self {
        let mut error = Self::new(ErrorCode::InvalidTicket, refusal.description());
        error.ticket_was_sent = false;
        error
    }

    pub(super) const fn invalid_ticket() -> Self {
        Self::new(ErrorCode::InvalidTicket, Refusal::InvalidTicket.description())
    }

    /// The platform answered something that cannot be sealed.
    pub(super) const fn unusable_answer() -> Self {
        Self::new(ErrorCode::UpstreamFailed, "the platform gave no usable answer")
    }

    /// Says after how many seconds another try has a chance.
    pub(super) const fn after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The client had tried `Basic`, so that is what it is challenged to.
    pub(super) const fn after_basic(mut self) -> Self {
        self.basic_was_sent = true;
        self
    }

    /// After this answer the connection is of no more use: the rest of the request is not read.
    pub(super) const fn closing(mut self) -> Self {
        self.closes_connection = true;
        self
    }

    /// It is a limit of ours that refuses.
    pub(super) const fn at(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(super) fn because(mut self, cause: &impl ToString) -> Self {
        self.cause = Some(Cause::Told(cause.to_string()));
        self
    }

    /// Whether a ticket was refused because the ring does not hold its key, which a look at the keys may change.
    pub(super) const fn is_of_unknown_key(&self) -> bool {
        matches!(self.cause, Some(Cause::NotOpened(OpenError::UnknownKey(_))))
    }

    pub(super) const fn code(&self) -> ErrorCode {
        self.code
    }

    pub(super) fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// Name and description, as the client is told.
    pub(super) fn summary(&self) -> String {
        format!("{}: {}", self.code.as_str(), self.description)
    }

    pub(super) fn description(&self) -> &str {
        &self.description
    }

    fn cause(&self) -> Cow<'_, str> {
        match &self.cause {
            None => Cow::Borrowed(&*self.description),
            Some(Cause::NotOpened(error)) => Cow::Owned(error.to_string()),
            Some(Cause::Told(text)) => Cow::Borrowed(text),
        }
    }

    /// One line for the log, where the refusal is handled. `client` is whose request it was, as far as that is trusted.
    ///
    /// The message and the field `client` of a failed attempt are what programs such as fail2ban look for.
    pub(super) fn log(&self, request_id: &RequestId, client: Option<IpAddr>) {
        let is_attempt = self.ticket_was_sent || !self.code.refuses_a_ticket();
        if !(is_attempt && self.code.fails_to_authenticate()) {
            return self.log_check(request_id, client);
        }
        let (client, error) = (client.map(display), self.code.as_str());
        tracing::info!(%request_id, client, error, cause = &*self.cause(), "authentication failed");
    }

    /// The same for a check. Gateways ask with whatever their clients send, so a bad ticket is daily business.
    pub(super) fn log_check(&self, request_id: &RequestId, client: Option<IpAddr>) {
        let (client, error) = (client.map(display), self.code.as_str());
        match self.code {
            // The platform's line has said it at error level and what to do, once for each flood.
            ErrorCode::ServerMisconfigured => {
                tracing::debug!(%request_id, client, error, cause = &*self.cause(), "request refused");
            }
            code if code.status().is_server_error() => {
                tracing::warn!(%request_id, client, error, cause = &*self.cause(), "request refused");
            }
            ErrorCode::HostNotAllowed => {
                tracing::info!(%request_id, client, error, cause = &*self.cause(), "request refused");
            }
            _ => tracing::debug!(%request_id, client, error, cause = &*self.cause(), "request refused"),
        }
    }

    /// The answer in the one shape that all routes share.
    pub(super) fn render(&self, request_id: &RequestId) -> Response {
        let told =
            Told { errcode: self.errcode, error: self.code.as_str(), error_description: &self.description, request_id };
        let text = serde_json::to_string(&told).expect("texts and a number are always JSON");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.code.status() == StatusCode::UNAUTHORIZED {
            let challenge = match (self.basic_was_sent, self.ticket_was_sent) {
                (true, _) => "Basic realm=\"auth-ticket\"",
                (false, true) => "Bearer error=\"invalid_token\"",
                (false, false) => "Bearer",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.closes_connection {
            headers.insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Carries the error to the outermost layer, which knows the request's id and renders it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        let refusal = Refusal::from(error);
        let code = match refusal {
            Refusal::TicketExpired => ErrorCode::TicketExpired,
            Refusal::TicketRevoked => ErrorCode::TicketRevoked,
            _ => ErrorCode::InvalidTicket,
        };
        Self { cause: Some(Cause::NotOpened(error)), ..Self::new(code, refusal.description()) }
    }
}

/// What a client sent of encrypted data: it may know, and it depends on no key.
impl From<EncryptedError> for ApiError {
    fn from(error: EncryptedError) -> Self {
        Self { description: Cow::Owned(error.to_string()), ..Self::invalid_request("") }
    }
}

impl From<JwtError> for ApiError {
    fn from(error: JwtError) -> Self {
        Self::new(ErrorCode::NoSealingKey, "the server has no key to sign with").because(&error)
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::SessionOver => Self::new(ErrorCode::TicketExpired, "the session is over; log in again"),
            SealError::NoSealingKey => Self::new(ErrorCode::NoSealingKey, "the server has no key to seal tickets with"),
            _ => Self::new(ErrorCode::Overloaded, "the server cannot seal a ticket now; try again"),
        }
        .because(&error)
    }
}

/// What was at stake in a call to a platform that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stake {
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

impl ApiError {
    /// What a client is told of a call to the platform that failed.
    pub(super) fn of_platform(error: &PlatformError, stake: Stake) -> Self {
        use PlatformError as E;
        let (code, description) = match error {
            E::InvalidCode(_) | E::CodeUsed(_) if stake == Stake::PhoneCode => {
                (ErrorCode::InvalidPhoneCode, "the platform refuses the phone code")
            }
            E::InvalidCode(_) => (ErrorCode::InvalidCode, "the platform refuses the code"),
            E::CodeUsed(_) => (ErrorCode::CodeUsed, "the code was used before"),
            E::UserBlocked(_) => (ErrorCode::UserBlocked, "the platform blocks this user"),
            E::RateLimited(_) => (ErrorCode::RateLimited, "the platform limits how often this user may do that"),
            E::Busy { .. } if error.errcode().is_none() => {
                (ErrorCode::UpstreamBusy, "too many calls wait for the platform")
            }
            E::Busy { .. } => (ErrorCode::UpstreamBusy, "the platform is busy"),
            E::Stopped { .. } => (ErrorCode::UpstreamBusy, "the platform has not answered for a while"),
            E::Misconfigured { .. } => (ErrorCode::ServerMisconfigured, "the server is not set up for this app"),
            E::Unreachable(Unreachable::Timeout) => (ErrorCode::UpstreamTimeout, "the platform cannot be reached"),
            E::Unreachable(_) => (ErrorCode::UpstreamFailed, "the platform cannot be reached"),
            E::Timeout => (ErrorCode::UpstreamTimeout, "the platform did not answer in time"),
            _ => (ErrorCode::UpstreamFailed, "the platform gave no usable answer"),
        };
        let told = Self::new(code, description);
        let description = match error {
            E::UserBlocked(_) | E::RateLimited(_) | E::Misconfigured { .. } => Cow::Borrowed(description),
            // Nothing was sent.
            E::Busy { .. } | E::Stopped { .. } | E::Unreachable(_)
                if error.errcode().is_none() && stake != Stake::Nothing =>
            {
                Cow::Owned(format!("{description}; the code is still good, try again with it"))
            }
            _ => Cow::Owned(format!("{description}; {}", stake.remedy())),
        };
        let retry_after_s = error.retry_after_s().or(told.retry_after_s);
        // Busy without an errcode are we ourselves.
        let is_ours = matches!(error, E::Busy { .. }) && error.errcode().is_none();
        let limit = is_ours.then_some(Limit::UpstreamConcurrent);
        // The number of a misconfiguration says something about the server, not about the client.
        let errcode = error.errcode().filter(|_| code != ErrorCode::ServerMisconfigured);
        Self { description, errcode, retry_after_s, limit, ..told }.because(error)
    }
}

/// For a login.
impl From<PlatformError> for ApiError {
    fn from(error: PlatformError) -> Self {
        Self::of_platform(&error, Stake::LoginCode)
    }
}
