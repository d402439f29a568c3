//! What a service may know of a ticket, and how an axum handler gets it.

use std::fmt;
use std::sync::Arc;

use ::http::request::Parts;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::Response;

use super::answer;
use crate::bearer::Refusal;
use crate::claims::{OwnerClaims, PhoneNumber, PlatformId};
use crate::clock::UnixSeconds;
use crate::keyring::{AppId, LoginId};
use crate::ticket::Ticket;

/// Says that a layer has looked for a ticket, whether or not there was one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked;

/// Who sent the request, as a good ticket says. Cheap to clone; there is no `session_key` in it.
///
/// As an argument of an axum handler it answers 401 where the layer let a request without a ticket through;
/// `Option<AuthTicket>` is `None` there. Both answer 500 on a route that has no layer. Elsewhere it is among the request's
/// extensions.
#[derive(Clone)]
pub struct AuthTicket(Arc<TicketFacts>);

struct TicketFacts {
    app: AppId,
    openid: PlatformId,
    unionid: Option<PlatformId>,
    phone: Option<PhoneNumber>,
    claims: Option<OwnerClaims>,
    login_id: LoginId,
    auth_time: UnixSeconds,
    expires_at: UnixSeconds,
    session_expires_at: UnixSeconds,
}

impl AuthTicket {
    pub(super) fn new(ticket: &Ticket) -> Self {
        let session = ticket.session();
        Self(Arc::new(TicketFacts {
            app: ticket.app().clone(),
            openid: session.openid,
            unionid: session.unionid,
            phone: session.phone,
            claims: session.owner_claims,
            login_id: session.login_id,
            auth_time: session.auth_time,
            expires_at: ticket.expires_at(),
            session_expires_at: ticket.session_expires_at(),
        }))
    }

    /// The app that the user has logged in to.
    #[must_use]
    pub fn app(&self) -> &AppId {
        &self.0.app
    }

    /// The user's id within the app.
    #[must_use]
    pub fn openid(&self) -> &str {
        self.0.openid.as_str()
    }

    /// The user's id across the apps of one owner, if the platform gave one.
    #[must_use]
    pub fn unionid(&self) -> Option<&str> {
        self.0.unionid.as_ref().map(PlatformId::as_str)
    }

    /// A phone number that the platform has vouched for, such as `+8613800000000`.
    #[must_use]
    pub fn phone(&self) -> Option<&str> {
        self.0.phone.as_ref().map(PhoneNumber::as_str)
    }

    /// The owner's own claims.
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        self.0.claims.as_ref().and_then(OwnerClaims::as_text)
    }

    /// Which login it is; the same in all tickets that were renewed from one another.
    #[must_use]
    pub fn login_id(&self) -> LoginId {
        self.0.login_id
    }

    /// When that login was.
    #[must_use]
    pub fn auth_time(&self) -> UnixSeconds {
        self.0.auth_time
    }

    /// The ticket's end.
    #[must_use]
    pub fn expires_at(&self) -> UnixSeconds {
        self.0.expires_at
    }

    /// The end of its session, whatever is renewed.
    #[must_use]
    pub fn session_expires_at(&self) -> UnixSeconds {
        self.0.session_expires_at
    }
}

/// Without whatever could name a person.
impl fmt::Debug for AuthTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthTicket(app {}, login {})", self.0.app, self.0.login_id)
    }
}

impl<S: Sync> FromRequestParts<S> for AuthTicket {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        found(parts)?.ok_or_else(|| answer::refusal(Refusal::NoTicket, &parts.headers))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for AuthTicket {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Response> {
        found(parts)
    }
}

#[expect(clippy::result_large_err, reason = "the framework wants the answer itself")]
fn found(parts: &Parts) -> Result<Option<AuthTicket>, Response> {
    if parts.extensions.get::<Checked>().is_none() {
        // Nobody has looked for a ticket, so that there is none means nothing.
        tracing::error!("a handler asks for a ticket on a route without a layer that checks tickets");
        return Err(answer::refusal(Refusal::NotSetUp, &parts.headers));
    }
    Ok(parts.extensions.get().cloned())
}
