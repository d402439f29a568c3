//! How a request carries a ticket, and how it is refused without a good one (RFC 6750).
//!
//! For whatever checks tickets by itself: a gateway's module, another web framework. It hands in the values of two headers.
//!
//! ```
//! use auth_ticket::bearer::{Refusal, ticket_in};
//!
//! let refusal: Refusal = ticket_in([], [&b"Basic YTpi"[..]]).err().unwrap().into();
//! assert_eq!((refusal.status_code(), refusal.challenge()), (401, Some("Bearer")));
//! assert_eq!(
//!     refusal.to_json("17"),
//!     r#"{"error":"invalid_ticket","error_description":"no ticket was sent","request_id":"17"}"#
//! );
//! ```

use std::fmt;

#[cfg(any(feature = "server", all(test, feature = "tower")))]
use ::http::HeaderName;
#[cfg(feature = "tower")]
use ::http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::ticket::{MAX_TICKET_LEN, OpenError, UnverifiedTicket};

/// The header of mini-programs for tickets.
#[cfg(any(feature = "server", all(test, feature = "tower")))]
pub(crate) const WEIXINAUTH: HeaderName = HeaderName::from_static("weixinauth");

/// Why a request presents nothing that could be opened. For logs; clients get a [`Refusal`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPresented {
    /// There is no ticket.
    #[error("no ticket was sent")]
    Nothing,
    /// There are two different ones, or one header twice.
    #[error("two tickets, or one header twice")]
    Ambiguous,
    /// There is one, but not as it has to be written.
    #[error("the ticket is not written as weixinauth: TICKET or Authorization: Bearer TICKET")]
    Miswritten,
    /// It cannot be a ticket.
    #[error(transparent)]
    NotATicket(OpenError),
}

/// What of a request's headers says who sent it, found in one pass.
#[derive(Default)]
pub(crate) struct Credentials<'a> {
    weixinauth: Option<&'a [u8]>,
    authorization: Option<&'a [u8]>,
    /// One of them came twice.
    is_ambiguous: bool,
    /// Length of the whole section: names, values and four bytes for each line.
    #[cfg(feature = "tower")]
    pub(crate) header_section_len: usize,
}

#[cfg(feature = "tower")]
impl<'a> Credentials<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            found.header_section_len += name.len() + value.len() + 4;
            let place = match name {
                "authorization" => &mut found.authorization,
                "weixinauth" => &mut found.weixinauth,
                _ => continue,
            };
            found.is_ambiguous |= place.replace(value.as_bytes().trim_ascii()).is_some();
        }
        found
    }
}

impl Credentials<'_> {
    /// The ticket that came in `weixinauth` or `Authorization: Bearer`.
    ///
    /// Beside a `weixinauth`, `Authorization` belongs to the service behind the gateway, unless it bears a ticket.
    ///
    /// # Errors
    /// [`NotPresented`].
    pub(crate) fn ticket(&self) -> Result<UnverifiedTicket, NotPresented> {
        let Self { weixinauth, authorization, is_ambiguous, .. } = *self;
        if is_ambiguous {
            return Err(NotPresented::Ambiguous);
        }
        let weixinauth = weixinauth.filter(|text| !text.is_empty());
        let text = match (weixinauth, authorization.and_then(bearer_token)) {
            (Some(one), Some(other)) if one != other && has_ticket_shape(other) && !is_behind_a_scheme(one) => {
                return Err(NotPresented::Ambiguous);
            }
            (Some(text), _) | (None, Some(text)) => text,
            (None, None) if authorization.is_some_and(|text| has_ticket_shape(text) || is_behind_a_scheme(text)) => {
                return Err(NotPresented::Miswritten);
            }
            (None, None) => return Err(NotPresented::Nothing),
        };
        UnverifiedTicket::parse(text).map_err(|error| {
            if is_behind_a_scheme(text) { NotPresented::Miswritten } else { NotPresented::NotATicket(error) }
        })
    }
}

/// [`Credentials::ticket`]
#[cfg(feature = "tower")]
pub(crate) fn presented_ticket(headers: &HeaderMap) -> Result<UnverifiedTicket, NotPresented> {
    Credentials::of(headers).ticket()
}

/// The ticket that came in `weixinauth` or `Authorization: Bearer`, of which these are all the values.
///
/// Beside a `weixinauth`, `Authorization` belongs to the service behind the gateway, unless it bears a ticket.
///
/// # Errors
/// [`NotPresented`].
#[inline]
pub fn ticket_in<'a>(
    weixinauth: impl IntoIterator<Item = &'a [u8]>,
    authorization: impl IntoIterator<Item = &'a [u8]>,
) -> Result<UnverifiedTicket, NotPresented> {
    let mut found = Credentials::default();
    for value in weixinauth {
        found.is_ambiguous |= found.weixinauth.replace(value.trim_ascii()).is_some();
    }
    for value in authorization {
        found.is_ambiguous |= found.authorization.replace(value.trim_ascii()).is_some();
    }
    found.ticket()
}

/// The credentials of the scheme `Bearer`, in any case (RFC 9110 section 11.1); `None` for another scheme or an empty one.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
    let token = token.trim_ascii_start();
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

/// Whether the header `name`, in lower case, with this value carries a ticket, so that whoever forwards the request has to
/// remove it.
#[must_use]
pub fn carries_a_ticket(name: &str, value: &[u8]) -> bool {
    name == "weixinauth" || (name == "authorization" && bearer_token(value.trim_ascii()).is_some_and(has_ticket_shape))
}

/// Whether `text` looks like a ticket: base64url whose first byte is the version, 0x01. A JWT does not, nor does a password.
///
/// The files in `deploy/gateways` go by the same rule.
fn has_ticket_shape(text: &[u8]) -> bool {
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_');
    // All of it, which is short, because a loop that may end early looks at one byte at a time.
    let are_base64url = |rest: &[u8]| rest.iter().fold(true, |are, byte| are & is_base64url(byte));
    text.len() <= MAX_TICKET_LEN && matches!(text, [b'A', b'Q'..=b'Z' | b'a'..=b'f', rest @ ..] if are_base64url(rest))
}

/// Whether what looks like a ticket comes after a word, as after `Bearer`, `AuthTicket` or `Bearer:`.
fn is_behind_a_scheme(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|byte| matches!(byte, b' ' | b'\t')) else { return false };
    let (scheme, rest) = text.split_at(end);
    let is_word = scheme.len() <= 32 && scheme.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b':');
    is_word && has_ticket_shape(rest.trim_ascii_start())
}

/// Why a request is not let through, as its sender sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// It carries no ticket.
    NoTicket,
    /// It carries what looks like a ticket, but not as `weixinauth: TICKET` or `Authorization: Bearer TICKET`.
    Miswritten,
    /// Malformed, unknown, foreign, dead, unauthentic: one answer, so that nobody learns which.
    InvalidTicket,
    /// The ticket, or its session, has ended.
    TicketExpired,
    /// A cut-off refuses it.
    TicketRevoked,
    /// The ticket is good, but for another app.
    WrongApp,
    /// Nobody could check the ticket: a fault of the service, not of the client.
    NotSetUp,
}

impl Refusal {
    /// The name that clients may rely on.
    #[must_use]
    pub const fn error(self) -> &'static str {
        match self {
            Self::NoTicket | Self::Miswritten | Self::InvalidTicket => "invalid_ticket",
            Self::TicketExpired => "ticket_expired",
            Self::TicketRevoked => "ticket_revoked",
            Self::WrongApp => "wrong_app",
            Self::NotSetUp => "server_misconfigured",
        }
    }

    /// A sentence for people; ASCII without `"` and `\`, as RFC 6749 has it.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::NoTicket => "no ticket was sent",
            Self::Miswritten => "send the ticket as weixinauth: TICKET or as Authorization: Bearer TICKET",
            Self::InvalidTicket => "the ticket is not valid; log in again",
            Self::TicketExpired => "the ticket has expired; log in again",
            Self::TicketRevoked => "the login was revoked; log in again",
            Self::WrongApp => "the ticket is for another app",
            Self::NotSetUp => "the service cannot check tickets",
        }
    }

    /// 401, 403 or 500.
    #[must_use]
    pub const fn status_code(self) -> u16 {
        match self {
            Self::NoTicket | Self::Miswritten | Self::InvalidTicket | Self::TicketExpired | Self::TicketRevoked => 401,
            Self::WrongApp => 403,
            Self::NotSetUp => 500,
        }
    }

    /// The same as a type.
    #[cfg(feature = "tower")]
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self.status_code() {
            401 => StatusCode::UNAUTHORIZED,
            403 => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The JSON of the answer: `error`, `error_description` and `request_id`, as in all answers of the login server.
    #[must_use]
    pub fn to_json(self, request_id: &str) -> String {
        let object = RefusalObject { error: self.error(), error_description: self.description(), request_id };
        // Three texts always have JSON.
        serde_json::to_string(&object).unwrap_or_default()
    }

    /// The value of `WWW-Authenticate` for a 401; it blames no ticket where none was read (RFC 6750 section 3.1).
    #[must_use]
    pub const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::NoTicket | Self::Miswritten => Some("Bearer"),
            Self::InvalidTicket | Self::TicketExpired | Self::TicketRevoked => Some("Bearer error=\"invalid_token\""),
            Self::WrongApp | Self::NotSetUp => None,
        }
    }
}

/// The JSON of a refused ticket, in the shape that all errors of the login server have.
#[derive(Serialize)]
struct RefusalObject<'a> {
    error: &'static str,
    error_description: &'static str,
    request_id: &'a str,
}

/// [`Refusal::description`]
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for Refusal {}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Expired { .. } => Self::TicketExpired,
            OpenError::Revoked => Self::TicketRevoked,
            _ => Self::InvalidTicket,
        }
    }
}

impl From<NotPresented> for Refusal {
    fn from(why: NotPresented) -> Self {
        match why {
            NotPresented::Nothing => Self::NoTicket,
            NotPresented::Miswritten => Self::Miswritten,
            NotPresented::Ambiguous => Self::InvalidTicket,
            NotPresented::NotATicket(error) => error.into(),
        }
    }
}
