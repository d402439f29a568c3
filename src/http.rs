//! The server: what all requests share. No handler bodies.

mod access_token;
mod admin;
mod claims;
mod client_auth;
mod compat;
mod connection;
mod discovery;
mod error;
mod flight;
mod form;
mod host;
mod identity;
mod introspect;
mod limits;
mod log;
mod login;
mod metrics;
mod notices;
mod openapi;
mod peer;
mod phone;
mod quota;
mod rates;
mod request;
mod routes;
mod session;
mod session_key;
mod settings;
mod token;
mod unread;
mod upstream;
mod user_data;
mod verify;

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use axum::body::Body;
use axum::response::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

pub use connection::{ConnectionLimits, serve};
pub use limits::ClientLimits;
pub use log::{LogChange, LogControl};
pub use metrics::ConnectionCount;
pub use rates::Rate;
pub use routes::{Routes, admin_routes, routes};
pub use settings::{App, CompatSettings, JwtSettings, Service, Settings, Subject};

pub use crate::rescan::Rescans;

use crate::bearer::Refusal;
use crate::clock::{Clock, UnixSeconds};
use crate::jwt::{JwtError, Signers};
use crate::keyring::{AppId, KeyId, KeyRing, KeyUse, Purpose};
use crate::platform::Phone;
use crate::ticket::{OpenError, SealError, SealedTicket, Session, Ticket, UnverifiedTicket};
use discovery::Public;
use error::ApiError;
use flight::Flights;
use limits::Limits;
use metrics::{Metrics, OpenedUnder};
use notices::Notices;
use quota::Quotas;
use upstream::{Breakers, ClockDifferences, Interface};
use verify::IdentityHeaders;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What `--version` says, too.
const BUILD_VERSION: &str = env!("BUILD_VERSION");

/// What all requests share. Nothing in it outlives the process or is told to another.
pub struct AppState {
    settings: Settings,
    /// What `/openapi.json` answers.
    description: Public,
    apps: HashMap<AppId, Served, foldhash::fast::RandomState>,
    services: Vec<Service>,
    live: ArcSwap<Live>,
    clock: Arc<dyn Clock>,
    login_flights: Flights<Arc<Session>>,
    handle_flights: Flights<Arc<Session>>,
    phone_flights: Flights<Phone>,
    quotas: Quotas,
    limits: Limits,
    breakers: Breakers,
    notices: Notices,
    rescans: Rescans,
    clock_differences: ClockDifferences,
    metrics: Metrics,
    /// Why the keys directory is not taken as it is now.
    reload_failed: ArcSwapOption<String>,
    log: OnceLock<Box<dyn LogControl>>,
}

/// An app, and what checks answer for it.
#[derive(Debug)]
struct Served {
    app: App,
    identity: IdentityHeaders,
}

/// A ring, its JWT keys ready to sign, and what is counted of its keys: swapped together.
struct Live {
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
        let metrics = Metrics::new();
        let signers = Signers::new(&ring)?;
        let live = ArcSwap::from_pointee(Live { opened: metrics.for_ring(&ring), ring, signers });
        metrics.ring_loaded(clock.now(), 0);
        for app in &apps {
            for interface in Interface::ALL {
                metrics.platform_paused(app.id.as_str(), interface, false);
            }
        }
        let breakers = Breakers::new(&apps);
        let limits = Limits::new(&settings.limits);
        let apps = apps.into_iter().map(|app| (app.id.clone(), Served { identity: IdentityHeaders::new(&app), app }));
        Ok(Arc::new(Self {
            description: Public::new(&openapi::description(&settings)),
            settings,
            apps: apps.collect(),
            services,
            live,
            clock,
            login_flights: Flights::default(),
            handle_flights: Flights::default(),
            phone_flights: Flights::default(),
            quotas: Quotas::default(),
            limits,
            breakers,
            notices: Notices::default(),
            rescans: Rescans::default(),
            clock_differences: ClockDifferences::default(),
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
        self.live.store(Arc::new(Live { opened: self.metrics.for_ring(&ring), ring, signers }));
    }

    /// Tells operators how many files the first ring's directory has that were left alone.
    pub fn files_passed_over(&self, count: usize) {
        self.metrics.ring_loaded(self.now(), count);
    }

    /// Puts a ring in place that came from a changed directory, with the number of files in it that were left alone.
    pub fn ring_reloaded(&self, ring: KeyRing, passed_over: usize) {
        self.swap_ring(ring);
        self.metrics.ring_loaded(self.now(), passed_over);
        self.metrics.reloaded(true);
        self.reload_failed.store(None);
    }

    /// Puts the old ring in place with what else is revoked or cut off; operators are told why the directory is not right.
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
        self.connection_count("clients").limited(self.limits.door())
    }

    /// Where requests ask for a look at the keys directory.
    #[must_use]
    pub const fn rescans(&self) -> &Rescans {
        &self.rescans
    }

    /// Opens what `claimed` gives as a thing of `purpose`; under an unknown kid, once more after a look at the keys.
    async fn open<E>(
        &self,
        claimed: impl Fn() -> Result<UnverifiedTicket, E>,
        purpose: Purpose,
    ) -> Result<Ticket, ApiError>
    where
        ApiError: From<E>,
    {
        match self.open_now(claimed()?, purpose) {
            Err(OpenError::UnknownKey(_)) if self.rescans.ask().await => Ok(self.open_now(claimed()?, purpose)?),
            result => Ok(result?),
        }
    }

    fn open_now(&self, claimed: UnverifiedTicket, purpose: Purpose) -> Result<Ticket, OpenError> {
        let kid = claimed.unverified_kid();
        let live = self.ring();
        let result = claimed.open(&live.ring, purpose, self.now(), &self.settings.policy);
        match &result {
            // The one label of all kids that a stranger made up.
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

    /// That there is a key to seal tickets with. Asked before a code is spent: without one it would be spent for nothing.
    fn can_seal(&self) -> Result<(), ApiError> {
        match self.ring().sealing_key(KeyUse::Ticket, self.now()) {
            Some(_) => Ok(()),
            None => Err(ApiError::from(SealError::NoSealingKey)),
        }
    }

    /// Seals `session` under the ring as it is now, which may have been reloaded since a ticket was opened.
    fn seal(&self, app: &AppId, session: &Session, purpose: Purpose) -> Result<(SealedTicket, UnixSeconds), ApiError> {
        let (ring, now) = (self.ring(), self.now());
        if session.is_cut_off(&ring, app) {
            return Err(ApiError::from(OpenError::Revoked));
        }
        let sealed = session.seal(&ring, app, purpose, now, &self.settings.policy)?;
        self.metrics.sealed(sealed.kid(), purpose);
        Ok((sealed, now))
    }

    fn ring(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    fn services(&self) -> &[Service] {
        &self.services
    }

    fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    fn app(&self, appid: &str) -> Option<&App> {
        self.served(appid).map(|served| &served.app)
    }

    fn served(&self, appid: &str) -> Option<&Served> {
        self.apps.get(appid)
    }

    /// The app of a ticket. The ring opens none of an app that is not configured, so there always is one.
    fn app_of(&self, ticket: &Ticket) -> Result<&App, ApiError> {
        self.app(ticket.app().as_str()).ok_or(Refusal::InvalidTicket.into())
    }

    fn only_app(&self) -> Option<&App> {
        let mut all = self.apps.values();
        all.next().filter(|_| all.next().is_none()).map(|served| &served.app)
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("settings", &self.settings).field("apps", &self.apps).finish_non_exhaustive()
    }
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("answers have text for keys, so they are always JSON")
}

/// An answer of JSON with status 200: some platforms' clients take no other status for a success.
fn json_answer(value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(json_text(value)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
