//! The state of a server.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};
use serde::de::DeserializeOwned;

use crate::bearer::Refusal;
use crate::claims::WebOrigin;
use crate::clock::{Clock, UnixSeconds};
use crate::hook::Hook;
use crate::http::answer::PublicJson;
use crate::http::error::ApiError;
use crate::http::identity::IdentityHeaders;
use crate::http::metrics::notices::Notices;
use crate::http::metrics::{Metrics, OpenedUnder};
use crate::http::openapi;
use crate::http::settings::{App, LogControl, Service, Settings};
use crate::http::transport::admission::ConnectionCount;
use crate::http::transport::limits::Limits;
use crate::http::upstream::Upstream;
use crate::http::upstream::flight::Flights;
use crate::http::upstream::quota::Quotas;
use crate::jwt::{Jwks, JwtError, Signers, Signing, VerifyError};
use crate::keyring::{AppId, KeyId, KeyRing, KeyUse, Purpose};
use crate::opener::Opener;
use crate::platform::Phone;
use crate::rescan::Rescans;
use crate::ticket::{OpenError, SealError, SealedTicket, Session, Ticket, UnverifiedTicket};

/// What all requests share. Nothing in it outlives the process or is shared with another one.
pub struct AppState {
    pub(crate) settings: Settings,
    /// What `/openapi.json` answers.
    pub(crate) description: PublicJson,
    apps: HashMap<AppId, Arc<Served>, foldhash::fast::RandomState>,
    /// The app that is meant where none is named: the only one, or the default one of several. At hand, because each check
    /// asks for it.
    default_app: Option<Arc<Served>>,
    services: Vec<Service>,
    pub(crate) opener: Opener<Live>,
    pub(crate) login_flights: Flights<Arc<Session>>,
    pub(crate) handle_flights: Flights<Arc<Session>>,
    pub(crate) phone_flights: Flights<Phone>,
    pub(crate) quotas: Quotas,
    pub(crate) limits: Arc<Limits>,
    pub(crate) upstream: Upstream,
    pub(crate) notices: Arc<Notices>,
    pub(crate) metrics: Arc<Metrics>,
    /// Why the keys directory is not taken as it is now.
    pub(crate) reload_failed: ArcSwapOption<String>,
    pub(crate) log: OnceLock<Box<dyn LogControl>>,
}

/// An app, and what checks answer for it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) app: App,
    pub(crate) identity: IdentityHeaders,
    /// Whom assertions are for.
    pub(crate) assertion_audience: Option<String>,
    /// The owner's service, with permits for this app alone.
    pub(crate) hook: Option<Arc<Hook>>,
}

impl Served {
    fn new(app: App, settings: &Settings) -> Self {
        Self {
            identity: IdentityHeaders::new(&app),
            assertion_audience: settings.assertion_audiences.get(&app.id).cloned(),
            hook: settings.hook.as_ref().map(|hook| Arc::new(hook.for_app(app.id.as_str()))),
            app,
        }
    }
}

/// A ring, its JWT keys ready to sign, and what is counted of its keys: swapped together.
pub(crate) struct Live {
    ring: KeyRing,
    signers: Signers,
    opened: OpenedUnder,
}

impl Deref for Live {
    type Target = KeyRing;

    fn deref(&self) -> &KeyRing {
        &self.ring
    }
}

impl Live {
    fn new(ring: KeyRing, signers: Signers, metrics: &Metrics) -> Self {
        Self { opened: metrics.for_ring(&ring), ring, signers }
    }

    /// What JWTs are signed with at `now`.
    ///
    /// # Errors
    /// No key can sign.
    pub(crate) fn signing(&self, now: UnixSeconds) -> Result<Signing<'_>, JwtError> {
        self.signers.signing(&self.ring, now)
    }

    /// The claims of a JWT of the type `typ` that a live key has signed.
    pub(crate) fn verify<T: DeserializeOwned>(
        &self,
        now: UnixSeconds,
        typ: &str,
        token: &str,
    ) -> Result<T, VerifyError> {
        self.signers.verify(&self.ring, now, typ, token)
    }

    /// The public keys of everything that may still be alive at `now`.
    pub(crate) fn jwks(&self, now: UnixSeconds) -> Jwks<'_> {
        self.signers.jwks(&self.ring, now)
    }
}

impl AppState {
    /// The state of a server for `apps`, with `ring` to begin with. The ring must have been made for these apps.
    ///
    /// # Errors
    /// A JWT key of the ring cannot be used.
    pub fn new(
        settings: Settings,
        apps: Vec<App>,
        services: Vec<Service>,
        ring: KeyRing,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, JwtError> {
        let metrics = Arc::new(Metrics::new());
        let signers = Signers::new(&ring)?;
        metrics.ring_loaded(clock.now(), 0);
        let notices = Arc::new(Notices::default());
        let upstream = Upstream::new(&apps, Arc::clone(&clock), Arc::clone(&metrics), Arc::clone(&notices));
        let default_app = match apps.as_slice() {
            [only] => Some(only.id.clone()),
            _ => settings.default_app.clone(),
        };
        let apps = apps.into_iter().map(|app| (app.id.clone(), Arc::new(Served::new(app, &settings))));
        let apps: HashMap<_, _, _> = apps.collect();
        Ok(Arc::new(Self {
            description: PublicJson::new(&openapi::description(&settings)),
            default_app: default_app.and_then(|id| apps.get(&id).cloned()),
            apps,
            services,
            opener: Opener::new(Live::new(ring, signers, &metrics), settings.policy, clock),
            login_flights: Flights::default(),
            handle_flights: Flights::default(),
            phone_flights: Flights::default(),
            quotas: Quotas::default(),
            limits: Arc::new(Limits::new(&settings.limits)),
            settings,
            upstream,
            notices,
            metrics,
            reload_failed: ArcSwapOption::empty(),
            log: OnceLock::new(),
        }))
    }

    /// Puts another ring in the place of the present one. Requests that run finish with the one they began with.
    pub fn swap_ring(&self, ring: KeyRing) {
        // Start-up has refused keys that cannot sign; should a later one be such a key, tickets go on without JWTs.
        let signers = Signers::new(&ring).unwrap_or_else(|error| {
            tracing::error!("no JWTs: {error}");
            Signers::default()
        });
        self.opener.swap(Live::new(ring, signers, &self.metrics));
    }

    /// Sets how many files of the first ring's directory were passed over.
    pub fn files_passed_over(&self, count: usize) {
        self.metrics.ring_loaded(self.now(), count);
    }

    /// Takes the ring of a changed directory, of which `passed_over` files were passed over.
    pub fn ring_reloaded(&self, ring: KeyRing, passed_over: usize) {
        self.swap_ring(ring);
        self.metrics.ring_loaded(self.now(), passed_over);
        self.metrics.reloaded(true);
        self.reload_failed.store(None);
    }

    /// Keeps the old ring, with what else is revoked or cut off; `why` the directory was not taken is for operators.
    pub fn ring_kept(&self, ring: KeyRing, why: String) {
        self.swap_ring(ring);
        self.metrics.reloaded(false);
        self.reload_failed.store(Some(Arc::new(why)));
    }

    /// Lets operators choose what is logged, and see what was lost.
    pub fn set_log(&self, log: impl LogControl + 'static) {
        // Set once, at start; the process has one log.
        let _ = self.log.set(Box::new(log));
    }

    /// Counts the connections of `listener`, a name for operators.
    #[must_use]
    pub fn connection_count(&self, listener: &'static str) -> ConnectionCount {
        self.metrics.connections(listener)
    }

    /// The same for the listener of clients, whose connections are limited by address, too.
    #[must_use]
    pub fn client_connections(&self) -> ConnectionCount {
        self.connection_count("clients").limited(self.limits.admission())
    }

    /// Where requests ask for a look at the keys directory.
    #[must_use]
    pub const fn rescans(&self) -> &Rescans {
        self.opener.rescans()
    }

    /// Opens what `claimed` gives, for `purpose`; under an unknown kid once more after a look at the keys.
    pub(crate) async fn open<E>(
        &self,
        claimed: impl Fn() -> Result<UnverifiedTicket, E>,
        purpose: Purpose,
    ) -> Result<Ticket, ApiError>
    where
        ApiError: From<E>,
    {
        let attempt = || {
            let claimed = claimed()?;
            Ok(self.open_counted(claimed.unverified_kid(), |live| self.opener.open(live, claimed, purpose))?)
        };
        self.opener.with_look(attempt, |result| result.as_ref().is_err_and(ApiError::is_of_unknown_key)).await
    }

    /// Opens the hand-over `text`, which the page at `origin` presents; under an unknown kid as [`AppState::open`].
    pub(crate) async fn open_handover(&self, text: &str, origin: &WebOrigin) -> Result<Ticket, ApiError> {
        let attempt = || {
            let claimed = UnverifiedTicket::parse(text.as_bytes())?;
            let kid = claimed.unverified_kid();
            Ok(self.open_counted(kid, |live| self.opener.open_handover(live, claimed, origin))?)
        };
        self.opener.with_look(attempt, |result| result.as_ref().is_err_and(ApiError::is_of_unknown_key)).await
    }

    /// Opens `claimed` with the keys as they are, for `then`; the ticket is not moved.
    pub(crate) fn open_now<T>(
        &self,
        claimed: &mut UnverifiedTicket,
        purpose: Purpose,
        then: impl FnOnce(&Ticket) -> T,
    ) -> Result<T, OpenError> {
        let kid = claimed.unverified_kid();
        self.open_counted(kid, |live| self.opener.open_for(live, claimed, purpose, then))
    }

    /// Counts what opening a ticket under `kid` comes to.
    fn open_counted<T>(&self, kid: KeyId, open: impl FnOnce(&Live) -> Result<T, OpenError>) -> Result<T, OpenError> {
        let live = self.ring();
        let result = open(&live);
        match &result {
            // Forged kids share one label.
            Err(OpenError::UnknownKey(_)) => self.unknown_kid(kid),
            result => live.opened.count(kid, result.as_ref().err().copied()),
        }
        result
    }

    fn unknown_kid(&self, kid: KeyId) {
        self.metrics.unknown_kid();
        if self.notices.unknown_kid(kid, self.now()) {
            tracing::warn!(
                %kid,
                "many tickets name a key that this replica does not have: if another replica has it, copy the keys; see \
                 auth-ticket keys check --replica"
            );
        }
    }

    /// Requires a key to seal tickets with, before a code is spent for nothing.
    pub(crate) fn can_seal(&self) -> Result<(), ApiError> {
        match self.ring().sealing_key(KeyUse::Ticket, self.now()) {
            Some(_) => Ok(()),
            None => Err(ApiError::from(SealError::NoSealingKey)),
        }
    }

    /// All that `ticket` carries, with the seal of its `session_key` taken off: to be sealed anew.
    ///
    /// # Errors
    /// 401: what is sealed in it is no `session_key`.
    pub(crate) fn unsealed(&self, ticket: &Ticket) -> Result<Session, ApiError> {
        Ok(ticket.to_session(&self.ring(), self.now())?)
    }

    /// Seals `session` under the ring as it is now, which may have been reloaded since a ticket was opened.
    pub(crate) fn seal(
        &self,
        app: &AppId,
        session: &Session,
        purpose: Purpose,
    ) -> Result<(SealedTicket, UnixSeconds), ApiError> {
        let seal = |ring: &KeyRing, now| session.seal(ring, app, purpose, now, self.opener.policy());
        self.seal_counted(app, session, purpose, seal)
    }

    /// Seals of `session` what may go to the page at `origin`.
    pub(crate) fn seal_handover(
        &self,
        app: &AppId,
        session: &Session,
        origin: &WebOrigin,
    ) -> Result<(SealedTicket, UnixSeconds), ApiError> {
        let seal = |ring: &KeyRing, now| session.seal_handover(ring, app, origin, now, self.opener.policy());
        self.seal_counted(app, session, Purpose::Handover, seal)
    }

    fn seal_counted(
        &self,
        app: &AppId,
        session: &Session,
        purpose: Purpose,
        seal: impl FnOnce(&KeyRing, UnixSeconds) -> Result<SealedTicket, SealError>,
    ) -> Result<(SealedTicket, UnixSeconds), ApiError> {
        let (ring, now) = (self.ring(), self.now());
        if session.is_cut_off(&ring, app) {
            return Err(ApiError::from(OpenError::Revoked));
        }
        let sealed = seal(&ring, now)?;
        self.metrics.sealed(sealed.kid(), purpose);
        Ok((sealed, now))
    }

    pub(crate) fn ring(&self) -> Guard<Arc<Live>> {
        self.opener.current()
    }

    pub(crate) fn services(&self) -> &[Service] {
        &self.services
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        self.opener.now()
    }

    pub(crate) fn app(&self, appid: &str) -> Option<&App> {
        self.served(appid).map(|served| &served.app)
    }

    pub(crate) fn served(&self, appid: &str) -> Option<&Served> {
        self.apps.get(appid).map(|served| &**served)
    }

    /// The app of a ticket. The ring opens none of an app that is not configured, so there always is one.
    pub(crate) fn app_of(&self, ticket: &Ticket) -> Result<&App, ApiError> {
        self.app(ticket.app().as_str()).ok_or(Refusal::InvalidTicket.into())
    }

    /// The app that is meant where none is named.
    pub(crate) fn default_app(&self) -> Option<&Served> {
        self.default_app.as_deref()
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("settings", &self.settings).field("apps", &self.apps).finish_non_exhaustive()
    }
}
