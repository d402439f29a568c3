//! Keys and tickets for unit tests of services: no directory, no clock, no watch. Not for anything that runs.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! # use auth_ticket::tower::{AuthTicket, Verifier};
//! # use axum::body::Body;
//! # use axum::http::Request;
//! # use axum::{Router, routing::get};
//! # use tower::ServiceExt;
//! # fn router(verifier: &Verifier) -> Router {
//! #     let orders = |ticket: AuthTicket| async move { format!("the orders of {}", ticket.openid()) };
//! #     let app = auth_ticket::keyring::AppId::parse("wx0123456789abcdef").unwrap();
//! #     Router::new().route("/orders", get(orders)).layer(verifier.layer(&app).unwrap())
//! # }
//! use auth_ticket::tower::test_util::TestKeys;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let keys = TestKeys::new("wx0123456789abcdef");
//! let request = Request::get("/orders").header("weixinauth", keys.ticket("o-alice").seal());
//! let answer = router(&keys.verifier()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
//! assert_eq!(answer.status(), 200);
//! # });
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::keys::Keys;
use super::{AuthTicket, Verifier};
use crate::claims::{OwnerClaims, PhoneNumber, PlatformId};
use crate::clock::{Clock, LEEWAY_S, SystemClock, UnixSeconds};
use crate::keyring::{AppId, Key, KeyRing, KeySpec, KeyUse, LoginId, Purpose, RingContent};
use crate::ticket::{Policy, Session, UnverifiedTicket};

const DAY_S: u64 = 86400;
const POLICY: Policy = Policy { ttl_s: 7200, max_session_s: 30 * DAY_S };

/// A new key of an app, and a verifier that has it.
#[derive(Clone, Debug)]
pub struct TestKeys {
    app: AppId,
    key: Arc<Key>,
    verifier: Verifier,
}

impl TestKeys {
    /// Draws a key for the app `appid`.
    ///
    /// # Panics
    /// `appid` is none.
    #[must_use]
    pub fn new(appid: &str) -> Self {
        let app = AppId::parse(appid).expect("an appid");
        let key = Arc::new(Key::generate(spec(SystemClock.now())).expect("these dates go together"));
        let verifier = Verifier::from_ring(ring(&app, [&key]), Duration::from_secs(POLICY.max_session_s));
        Self { app, key, verifier }
    }

    /// The ring of the key, for what needs one.
    #[must_use]
    pub fn ring(&self) -> KeyRing {
        ring(&self.app, [&self.key])
    }

    /// The app.
    #[must_use]
    pub const fn app(&self) -> &AppId {
        &self.app
    }

    /// What accepts these tickets.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// A ticket of a user who has just logged in.
    ///
    /// # Panics
    /// `openid` is none: 1 to 128 visible ASCII characters.
    pub fn ticket(&self, openid: &str) -> TestTicket {
        let now = SystemClock.now();
        let login_id = LoginId::generate().expect("randomness");
        let session = Session::new(PlatformId::parse(openid).expect("an openid"), login_id, now);
        TestTicket { keys: self.clone(), session, sealed_at: now }
    }

    /// Takes the key away, as `keys revoke` does: from now on every ticket is refused, and connections that wait for
    /// [`AuthTicket::until_refused`] end.
    pub fn revoke(&self) {
        let opener = &self.verifier.0.opener;
        opener.swap(Keys::Ring(ring(&self.app, [])));
        opener.rescans().begin().finish();
    }
}

/// A ticket to be: sealed as text, or opened as a handler would get it. Good for two hours.
#[derive(Debug)]
#[must_use]
pub struct TestTicket {
    keys: TestKeys,
    session: Session,
    sealed_at: UnixSeconds,
}

impl TestTicket {
    /// The user's id across the apps of one owner.
    ///
    /// # Panics
    /// It is none.
    pub fn unionid(mut self, unionid: &str) -> Self {
        self.session.unionid = Some(PlatformId::parse(unionid).expect("a unionid"));
        self
    }

    /// A phone number, such as `+8613800000000`.
    ///
    /// # Panics
    /// It is none.
    pub fn phone(mut self, phone: &str) -> Self {
        self.session.phone = Some(PhoneNumber::parse(phone).expect("a phone number"));
        self
    }

    /// The owner's own claims.
    ///
    /// # Panics
    /// They are not 1 to 64 visible ASCII characters.
    pub fn claims(mut self, claims: &str) -> Self {
        self.session.owner_claims = Some(OwnerClaims::parse(claims).expect("claims"));
        self
    }

    /// The id of the login, otherwise a random one.
    pub fn login_id(mut self, login_id: LoginId) -> Self {
        self.session.login_id = login_id;
        self
    }

    /// One that has expired.
    pub fn expired(mut self) -> Self {
        self.sealed_at = SystemClock.now().minus(POLICY.ttl_s + LEEWAY_S);
        self.session.auth_time = self.sealed_at;
        self
    }

    /// The ticket as a client sends it.
    ///
    /// # Panics
    /// The operating system has no randomness to give.
    #[must_use]
    pub fn seal(&self) -> String {
        let sealed = self.session.seal(&self.keys.ring(), &self.keys.app, Purpose::Ticket, self.sealed_at, &POLICY);
        sealed.expect("the key seals").text().to_owned()
    }

    /// The ticket as a handler gets it.
    ///
    /// # Panics
    /// It is expired, or its key revoked: no handler would get it.
    #[must_use]
    pub fn open(&self) -> AuthTicket {
        let opener = &self.keys.verifier.0.opener;
        let sealed = UnverifiedTicket::parse(self.seal()).expect("a ticket");
        let ticket = opener.current().open(opener, sealed).expect("a ticket that is good");
        AuthTicket::new(ticket, self.keys.verifier())
    }
}

impl Verifier {
    /// A verifier of a ring that never changes: for tests alone, since it learns of no revocation.
    #[must_use]
    pub fn from_ring(ring: KeyRing, max_session: Duration) -> Self {
        Self::of(ring, max_session, Arc::new(SystemClock))
    }
}

fn ring<'a>(app: &AppId, keys: impl IntoIterator<Item = &'a Arc<Key>>) -> KeyRing {
    let content = RingContent { keys: keys.into_iter().cloned().collect(), ..RingContent::default() };
    KeyRing::new(content, [app.clone()]).expect("one key and one app make a ring")
}

/// A key that has sealed for a day.
fn spec(now: UnixSeconds) -> KeySpec {
    let seal_from = now.minus(DAY_S);
    let (key_use, alg) = (KeyUse::Ticket, KeyUse::Ticket.default_alg());
    KeySpec { key_use, alg, created: seal_from, seal_from, seal_until: now.plus(DAY_S), max_ttl_s: DAY_S }
}
