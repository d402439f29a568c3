//! Whether a request passes, and what its service is told. Pure: no I/O, no clock, nothing of nginx.

use std::fmt;

use auth_ticket::bearer::{NotPresented, Refusal, carries_a_ticket, ticket_in};
use auth_ticket::claims::{OwnerClaims, PhoneNumber, PlatformId};
use auth_ticket::clock::UnixSeconds;
use auth_ticket::ticket::{OpenError, Ticket};
use auth_ticket::verifier::{AppVerifier, Stale};

/// How old a verifier file may be by default, in seconds.
pub const DEFAULT_MAX_STALE_S: u64 = 600;

/// The headers that carry tickets, of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct TicketHeaders<'a> {
    weixinauth: Values<'a>,
    authorization: Values<'a>,
}

/// The values of one header. The second one matters only by being there.
#[derive(Clone, Copy, Debug, Default)]
struct Values<'a>([Option<&'a [u8]>; 2]);

impl<'a> Values<'a> {
    const fn add(&mut self, value: &'a [u8]) {
        match &mut self.0 {
            [first @ None, _] => *first = Some(value),
            [_, second] => *second = Some(value),
        }
    }

    fn all(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.into_iter().flatten()
    }
}

impl<'a> TicketHeaders<'a> {
    /// Takes a header of the request into account; `name` is in lower case.
    pub fn add(&mut self, name: &[u8], value: &'a [u8]) {
        match name {
            b"weixinauth" => self.weixinauth.add(value),
            b"authorization" => self.authorization.add(value),
            _ => {}
        }
    }
}

/// Whether the service must not see this header of the client: an identity that the client claims, in any spelling, or a
/// ticket. `name` is in lower case.
#[must_use]
pub fn is_kept_back(name: &[u8], value: &[u8]) -> bool {
    claims_identity(name)
        || match name {
            b"weixinauth" => carries_a_ticket("weixinauth", value),
            b"authorization" => carries_a_ticket("authorization", value),
            _ => false,
        }
}

/// Whether some service could read the header as one of `X-Auth-*`: CGI and its like fold all marks into `_`.
fn claims_identity(name: &[u8]) -> bool {
    matches!(name, [b'x', first, b'a', b'u', b't', b'h', second, _, ..]
        if !first.is_ascii_alphanumeric() && !second.is_ascii_alphanumeric())
}

/// The names of the headers that a service gets with every request, in the order of [`Identity::values`].
pub const IDENTITY_HEADERS: [&str; 9] = [
    "X-Auth-Appid",
    "X-Auth-Platform",
    "X-Auth-Openid",
    "X-Auth-Unionid",
    "X-Auth-Phone",
    "X-Auth-Claims",
    "X-Auth-Login-Id",
    "X-Auth-Expires-At",
    "X-Auth-Assertion",
];

/// The same in lower case.
pub const LOWER_CASE: [&str; 9] = [
    "x-auth-appid",
    "x-auth-platform",
    "x-auth-openid",
    "x-auth-unionid",
    "x-auth-phone",
    "x-auth-claims",
    "x-auth-login-id",
    "x-auth-expires-at",
    "x-auth-assertion",
];

/// Who sent the request.
#[derive(Debug)]
pub struct Identity<'v> {
    ticket: Ticket,
    platform: &'v str,
    login_id: String,
    expires_at: String,
}

impl Identity<'_> {
    /// The values of [`IDENTITY_HEADERS`], each empty if there is none. A verifier file cannot sign, so there is never an
    /// assertion.
    #[must_use]
    pub fn values(&self) -> [&str; 9] {
        let session = self.ticket.session();
        [
            self.ticket.app().as_str(),
            self.platform,
            session.openid.as_str(),
            session.unionid.as_ref().map_or("", PlatformId::as_str),
            session.phone.as_ref().map_or("", PhoneNumber::as_str),
            session.owner_claims.as_ref().and_then(OwnerClaims::as_text).unwrap_or_default(),
            &self.login_id,
            &self.expires_at,
            "",
        ]
    }
}

/// Why a request does not pass, as its sender sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejection {
    /// As the server would refuse it.
    Refused(Refusal),
    /// The verifier file is too old, or from the future, so a revocation may be missing.
    Unavailable,
}

/// How many seconds a client should wait when no ticket can be checked.
pub const RETRY_AFTER_S: &str = "5";

impl Rejection {
    /// 401 or 503.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status_code(),
            Self::Unavailable => 503,
        }
    }

    /// The name in the JSON.
    #[must_use]
    pub const fn error(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.error(),
            Self::Unavailable => "overloaded",
        }
    }

    /// The value of `WWW-Authenticate`, for a 401.
    #[must_use]
    pub const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => refusal.challenge(),
            Self::Unavailable => None,
        }
    }

    /// Whether the request carries no ticket at all.
    #[must_use]
    pub const fn is_for_no_ticket(self) -> bool {
        matches!(self, Self::Refused(Refusal::NoTicket))
    }

    /// The JSON of the answer, as of all errors of the server.
    #[must_use]
    pub fn to_json(self, request_id: &str) -> String {
        match self {
            Self::Refused(refusal) => refusal.to_json(request_id),
            Self::Unavailable => {
                let request_id: String = request_id.chars().filter(char::is_ascii_alphanumeric).collect();
                format!(
                    r#"{{"error":"overloaded","error_description":"the ticket cannot be checked at the moment","request_id":"{request_id}"}}"#
                )
            }
        }
    }
}

/// Why, for the log. Never holds a ticket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// Nothing that could be opened was sent.
    NotPresented(NotPresented),
    /// The ticket was not opened.
    NotOpened(OpenError),
    /// No verifier file is for the ticket's app.
    OtherApp,
    /// The verifier file is older than `auth_ticket_max_stale`, or from the future.
    Stale(Stale),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPresented(why) => why.fmt(f),
            Self::NotOpened(why) => why.fmt(f),
            Self::OtherApp => f.write_str("no verifier file is for the app of the ticket"),
            Self::Stale(why) => why.fmt(f),
        }
    }
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// For the sender.
    pub rejection: Rejection,
    /// For the log.
    pub cause: Cause,
}

impl From<Stale> for Rejected {
    fn from(why: Stale) -> Self {
        Self { rejection: Rejection::Unavailable, cause: Cause::Stale(why) }
    }
}

impl From<NotPresented> for Rejected {
    fn from(why: NotPresented) -> Self {
        Self { rejection: Rejection::Refused(why.into()), cause: Cause::NotPresented(why) }
    }
}

impl From<OpenError> for Rejected {
    fn from(why: OpenError) -> Self {
        Self { rejection: Rejection::Refused(why.into()), cause: Cause::NotOpened(why) }
    }
}

/// Who sent a request with these headers, if one of `verifiers` opens its ticket. The app of the ticket says which one; no
/// second one is tried.
///
/// # Errors
/// [`Rejected`]: no ticket, a bad one, or a verifier that is made too long ago (`max_stale_s`, unlimited if there is none).
pub fn check<'v>(
    verifiers: impl IntoIterator<Item = &'v AppVerifier>,
    headers: &TicketHeaders<'_>,
    now: UnixSeconds,
    max_stale_s: Option<u64>,
) -> Result<Identity<'v>, Rejected> {
    let ticket = ticket_in(headers.weixinauth.all(), headers.authorization.all())?;
    let tag = ticket.unverified_app_tag();
    let verifier = verifiers
        .into_iter()
        .find(|verifier| verifier.appid().tag() == tag)
        .ok_or(Rejected { rejection: Rejection::Refused(Refusal::InvalidTicket), cause: Cause::OtherApp })?;
    verifier.check_age(now, max_stale_s)?;
    let ticket = verifier.open_ticket(ticket, now)?;
    let login_id = ticket.session().login_id.to_string();
    let expires_at = ticket.expires_at().as_u64().to_string();
    Ok(Identity { ticket, platform: verifier.platform(), login_id, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_identity_is_kept_back_and_nothing_else() {
        for name in ["x-auth-openid", "x_auth_openid", "x.auth.phone", "x-auth_a", "x~auth|roles", "weixinauth"] {
            assert!(is_kept_back(name.as_bytes(), b"a"), "{name}");
        }
        for name in ["x-authentic", "x-auth", "x-auth-", "xauth-openid", "x-request-id", "authorization", "cookie"] {
            assert!(!is_kept_back(name.as_bytes(), b"Bearer eyJh.e30.c2ln"), "{name}");
        }
        assert!(is_kept_back(b"authorization", b"bearer AQID"));
        assert!(is_kept_back(b"x\xffauth\xffopenid", b""));
    }

    #[test]
    fn the_names_agree_and_are_kept_back() {
        for (name, lower_case) in IDENTITY_HEADERS.iter().zip(LOWER_CASE) {
            assert_eq!(name.to_ascii_lowercase(), lower_case);
            assert!(is_kept_back(lower_case.as_bytes(), b""));
        }
    }

    #[test]
    fn a_refusal_is_the_servers() {
        let rejected = check([], &TicketHeaders::default(), UnixSeconds::new(0), None).unwrap_err();
        assert!(rejected.rejection.is_for_no_ticket());
        assert_eq!((rejected.rejection.status(), rejected.rejection.challenge()), (401, Some("Bearer")));
        let twice = [&b"AQ"[..]; 3];
        let mut headers = TicketHeaders::default();
        for value in twice {
            headers.add(b"weixinauth", value);
        }
        let rejected = check([], &headers, UnixSeconds::new(0), None).unwrap_err();
        assert_eq!(rejected.cause, Cause::NotPresented(NotPresented::Ambiguous));
        assert_eq!(Rejection::Unavailable.to_json("\"a1\\"), Rejection::Unavailable.to_json("a1"));
    }
}
