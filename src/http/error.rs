//! Errors as clients see them: one JSON shape, with the names of RFC 6749 section 5.2.

mod code;
mod platform;

use std::borrow::Cow;
use std::net::IpAddr;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use tracing::field::display;

pub(crate) use code::ErrorCode;
pub(crate) use platform::{Stake, require};

use crate::bearer::{NotPresented, Refusal};
use crate::hook::CallError;
use crate::http::labels::Limit;
use crate::jwt::JwtError;
use crate::platform::{EncryptedError, Errcode, SignableError};
use crate::request_id::RequestId;
use crate::ticket::{OpenError, SealError};

/// How soon to try again when the server itself is short of something, in seconds.
const RETRY_SOON_S: u64 = 5;
/// How soon to try again when an operator has to act first, in seconds.
const RETRY_LATER_S: u64 = 30;

/// An error for the client, and, apart from that, its cause for the log.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    /// ASCII without `"` and `\`, as RFC 6749 has it.
    description: Cow<'static, str>,
    errcode: Option<Errcode>,
    retry_after_s: Option<u64>,
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
    ErrorObject(String),
}

/// The one shape of all refusals.
#[derive(Serialize)]
struct ErrorObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    errcode: Option<&'a Errcode>,
    error: &'static str,
    error_description: &'a str,
    request_id: &'a RequestId,
}

impl ApiError {
    pub(crate) const fn new(code: ErrorCode, description: &'static str) -> Self {
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
            basic_was_sent: false,
            closes_connection: false,
            limit: None,
            cause: None,
        }
    }

    pub(crate) const fn invalid_request(description: &'static str) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// The owner's service said nothing of the user that could be used.
    pub(crate) fn no_verdict(error: &CallError, description: &'static str) -> Self {
        let told = Self::new(ErrorCode::UpstreamBusy, description);
        let retry_after_s = match error {
            CallError::Stopped { retry_after_s } => Some(*retry_after_s),
            _ => told.retry_after_s,
        };
        let limit = matches!(error, CallError::Busy).then_some(Limit::ClaimsConcurrent);
        Self { retry_after_s, limit, ..told }.because(&format_args!("the owner's service: {error}"))
    }

    /// The platform answered something that cannot be sealed.
    pub(crate) const fn unusable_answer() -> Self {
        Self::new(ErrorCode::UpstreamFailed, "the platform gave no usable answer")
    }

    /// Says after how many seconds another try has a chance.
    pub(crate) const fn after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The client had tried `Basic`, so that is what it is challenged to.
    pub(crate) const fn after_basic(mut self) -> Self {
        self.basic_was_sent = true;
        self
    }

    /// After this answer the connection is of no more use: the rest of the request is not read.
    pub(crate) const fn closing(mut self) -> Self {
        self.closes_connection = true;
        self
    }

    /// For a ticket in a body: the same names with status 400, for the request itself was authenticated.
    pub(crate) const fn of_ticket_in_body(mut self) -> Self {
        if let ErrorCode::Refused(refusal) = self.code {
            self.code = ErrorCode::TicketInBody(refusal);
        }
        self
    }

    /// It is a limit of ours that refuses.
    pub(crate) const fn at(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn because(mut self, cause: &impl ToString) -> Self {
        self.cause = Some(Cause::ErrorObject(cause.to_string()));
        self
    }

    /// Whether a ticket was refused because the ring does not hold its key, which a look at the keys may change.
    pub(crate) const fn is_of_unknown_key(&self) -> bool {
        matches!(self.cause, Some(Cause::NotOpened(OpenError::UnknownKey(_))))
    }

    pub(crate) const fn code(&self) -> ErrorCode {
        self.code
    }

    pub(crate) fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// Name and description, as the client sees them.
    pub(crate) fn summary(&self) -> String {
        format!("{}: {}", self.code.as_str(), self.description)
    }

    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    fn cause(&self) -> Cow<'_, str> {
        match &self.cause {
            None => Cow::Borrowed(&*self.description),
            Some(Cause::NotOpened(error)) => Cow::Owned(error.to_string()),
            Some(Cause::ErrorObject(text)) => Cow::Borrowed(text),
        }
    }

    /// One line for the log, where the refusal is handled. `client` is whose request it was, as far as that is trusted.
    ///
    /// The message and the field `client` of a failed attempt are what programs such as fail2ban look for.
    pub(crate) fn log(&self, request_id: &RequestId, client: Option<IpAddr>) {
        if !self.code.is_failed_attempt() {
            return self.log_check(request_id, client);
        }
        let (client, error) = (client.map(display), self.code.as_str());
        tracing::info!(%request_id, client, error, cause = &*self.cause(), "authentication failed");
    }

    /// The same for a check. Gateways ask with whatever their clients send, so a bad ticket is daily business.
    pub(crate) fn log_check(&self, request_id: &RequestId, client: Option<IpAddr>) {
        let (client, error) = (client.map(display), self.code.as_str());
        match self.code {
            // The platform's line has said it at error level and what to do, once for each flood.
            ErrorCode::Refused(Refusal::NotSetUp) => {
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
    pub(crate) fn render(&self, request_id: &RequestId) -> Response {
        let told = ErrorObject {
            errcode: self.errcode.as_ref(),
            error: self.code.as_str(),
            error_description: &self.description,
            request_id,
        };
        let text = serde_json::to_string(&told).expect("texts and a number are always JSON");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let challenge = if self.basic_was_sent { Some("Basic realm=\"auth-ticket\"") } else { self.code.challenge() };
        if let Some(challenge) = challenge {
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

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorCode::Refused(refusal), refusal.description())
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        Self { cause: Some(Cause::NotOpened(error)), ..Refusal::from(error).into() }
    }
}

impl From<NotPresented> for ApiError {
    fn from(why: NotPresented) -> Self {
        match why {
            NotPresented::NotATicket(error) => error.into(),
            other => Refusal::from(other).into(),
        }
    }
}

/// What a client sent of encrypted data: it may know, and it depends on no key.
impl From<EncryptedError> for ApiError {
    fn from(error: EncryptedError) -> Self {
        Self { description: Cow::Owned(error.to_string()), ..Self::invalid_request("") }
    }
}

/// What a service wants signed: it depends on no key.
impl From<SignableError> for ApiError {
    fn from(error: SignableError) -> Self {
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
            SealError::SessionOver => {
                Self::new(ErrorCode::Refused(Refusal::TicketExpired), "the session is over; log in again")
            }
            SealError::NoSealingKey => Self::new(ErrorCode::NoSealingKey, "the server has no key to seal tickets with"),
            _ => Self::new(ErrorCode::Overloaded, "the server cannot seal a ticket now; try again"),
        }
        .because(&error)
    }
}
