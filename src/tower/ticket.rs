//! What a service may know of a ticket.

use std::fmt;
use std::sync::Arc;

use super::{Refusal, Verifier};
use crate::claims::{OwnerClaims, PhoneNumber, PlatformId};
use crate::clock::UnixSeconds;
use crate::keyring::{AppId, LoginId};
use crate::ticket::Ticket;

/// Says that a layer has looked for a ticket, whether or not there was one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked;

/// Who sent the request, as a good ticket says. Cheap to clone; there is no `session_key` in it.
///
/// With the feature `axum` it can be an argument of a handler: it answers 401 where the layer let a request without a ticket
/// through, and `Option<AuthTicket>` is `None` there. Both answer 500 on a route that has no layer. Elsewhere it is among
/// the request's extensions.
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// # use auth_ticket::tower::test_util::TestKeys;
/// use auth_ticket::tower::AuthTicket;
///
/// async fn orders(ticket: AuthTicket) -> String {
///     format!("the orders of {}", ticket.openid())
/// }
///
/// // With the feature `test-util`, a handler is tested without keys, layer or request.
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let ticket = TestKeys::new("wx0123456789abcdef").ticket("o-alice").open();
/// assert_eq!(orders(ticket).await, "the orders of o-alice");
/// # });
/// # }
/// ```
#[derive(Clone)]
pub struct AuthTicket(Arc<HeldTicket>);

struct HeldTicket {
    ticket: Ticket,
    verifier: Verifier,
}

impl AuthTicket {
    pub(super) fn new(ticket: Ticket, verifier: Verifier) -> Self {
        Self(Arc::new(HeldTicket { ticket, verifier }))
    }

    /// The app that the user has logged in to.
    #[must_use]
    pub fn app(&self) -> &AppId {
        self.0.ticket.app()
    }

    /// The user's id within the app.
    #[must_use]
    pub fn openid(&self) -> &str {
        self.0.ticket.session().openid.as_str()
    }

    /// The user's id across the apps of one owner, if the platform gave one.
    #[must_use]
    pub fn unionid(&self) -> Option<&str> {
        self.0.ticket.session().unionid.as_ref().map(PlatformId::as_str)
    }

    /// A phone number that the platform has vouched for, such as `+8613800000000`.
    #[must_use]
    pub fn phone(&self) -> Option<&str> {
        self.0.ticket.session().phone.as_ref().map(PhoneNumber::as_str)
    }

    /// The owner's own claims.
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        self.0.ticket.session().owner_claims.as_ref().and_then(OwnerClaims::as_text)
    }

    /// Which login it is; the same in all tickets that were renewed from one another.
    #[must_use]
    pub fn login_id(&self) -> LoginId {
        self.0.ticket.session().login_id
    }

    /// When that login was.
    #[must_use]
    pub fn auth_time(&self) -> UnixSeconds {
        self.0.ticket.session().auth_time
    }

    /// The ticket's end.
    #[must_use]
    pub fn expires_at(&self) -> UnixSeconds {
        self.0.ticket.expires_at()
    }

    /// The end of its session, whatever is renewed.
    #[must_use]
    pub fn session_expires_at(&self) -> UnixSeconds {
        self.0.ticket.session_expires_at()
    }

    /// Waits until the ticket would be refused, and says why: it has ended, it was revoked, or nobody looks at the keys any
    /// more.
    ///
    /// A ticket is checked when a request comes. A connection that the request opened, such as a `WebSocket` or a stream of
    /// events, would outlive it, so a handler that upgrades ends its connection with this:
    ///
    /// ```
    /// # use auth_ticket::tower::AuthTicket;
    /// # async fn talk() {}
    /// # async fn upgraded(ticket: AuthTicket) {
    /// tokio::select! {
    ///     () = talk() => {}
    ///     refusal = ticket.until_refused() => tracing::info!("closing: {refusal}"),
    /// }
    /// # }
    /// ```
    ///
    /// A revocation is noticed when the keys are looked at, an end within a second or two.
    pub fn until_refused(&self) -> impl Future<Output = Refusal> + Send + 'static + use<> {
        let held = Arc::clone(&self.0);
        async move { held.verifier.until_refused(&held.ticket).await }
    }
}

/// Without whatever could name a person.
impl fmt::Debug for AuthTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthTicket(app {}, login {})", self.app(), self.login_id())
    }
}
