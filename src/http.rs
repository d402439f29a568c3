//! The server: state, routes, and the layer that all answers pass. No handler bodies.

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
mod identity;
mod introspect;
mod limits;
mod login;
mod metrics;
mod openapi;
mod peer;
mod phone;
mod rates;
mod request;
mod session;
mod session_key;
mod settings;
mod token;
mod upstream;
mod user_data;
mod verify;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{BoxError, Router};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use serde::Serialize;
use serde_json::Value;
use tower::ServiceExt;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use connection::{ConnectionLimits, serve};
pub use limits::ClientLimits;
pub use metrics::ConnectionCount;
pub use rates::Rate;
pub use settings::{App, CompatSettings, JwtSettings, Service, Settings, Subject};

pub use crate::rescan::Rescans;

use crate::bearer;
use crate::clock::{Clock, UnixSeconds};
use crate::jwt::{JwtError, Signers};
use crate::keyring::{AppId, KeyRing, KeyUse, Purpose};
use crate::platform::Phone;
use crate::request_id::RequestId;
use crate::ticket::{OpenError, SealError, SealedTicket, Session, Ticket, UnverifiedTicket};
use error::{ApiError, ErrorCode};
use flight::Flights;
use limits::{Limit, Limits};
use metrics::{Metrics, OpenedUnder};
use peer::Peer;
use request::{MAX_HEADER_SECTION, header_section_len};
use upstream::{Asks, Breakers};
use verify::{Check, IdentityHeaders};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What `--version` says, too.
const BUILD_VERSION: &str = env!("BUILD_VERSION");

/// Takes log directives; says whether it understood them.
type LogDial = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What all requests share. Nothing in it outlives the process or is told to another.
pub struct AppState {
    settings: Settings,
    /// What `/openapi.json` answers.
    description: Value,
    apps: HashMap<AppId, Served, foldhash::fast::RandomState>,
    services: Vec<Service>,
    live: ArcSwap<Live>,
    clock: Arc<dyn Clock>,
    login_flights: Flights<Arc<Session>>,
    handle_flights: Flights<Arc<Session>>,
    phone_flights: Flights<Phone>,
    asks: Asks,
    limits: Limits,
    breakers: Breakers,
    rescans: Rescans,
    metrics: Metrics,
    reload_failed: AtomicBool,
    log_dial: OnceLock<LogDial>,
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
            metrics.platform_paused(app.id.as_str(), false);
        }
        let breakers = Breakers::new(&apps);
        let limits = Limits::new(&settings.limits);
        let apps = apps.into_iter().map(|app| (app.id.clone(), Served { identity: IdentityHeaders::new(&app), app }));
        Ok(Arc::new(Self {
            description: openapi::description(&settings),
            settings,
            apps: apps.collect(),
            services,
            live,
            clock,
            login_flights: Flights::default(),
            handle_flights: Flights::default(),
            phone_flights: Flights::default(),
            asks: Asks::default(),
            limits,
            breakers,
            rescans: Rescans::default(),
            metrics,
            reload_failed: AtomicBool::new(false),
            log_dial: OnceLock::new(),
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
        self.reload_failed.store(false, Ordering::Relaxed);
    }

    /// Puts the old ring in place with what else is revoked or cut off; operators are told that the directory is not right.
    pub fn ring_kept(&self, ring: KeyRing) {
        self.swap_ring(ring);
        self.metrics.reloaded(false);
        self.reload_failed.store(true, Ordering::Relaxed);
    }

    /// Lets operators choose what is logged: `dial` takes directives as `RUST_LOG` does, and says whether it took them.
    pub fn set_log_dial(&self, dial: impl Fn(&str) -> bool + Send + Sync + 'static) {
        // Set once, at start; a second dial would have no other log to turn.
        let _ = self.log_dial.set(Box::new(dial));
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
    async fn open(
        &self,
        claimed: impl Fn() -> Result<UnverifiedTicket, ApiError>,
        purpose: Purpose,
    ) -> Result<Ticket, ApiError> {
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
            Err(OpenError::UnknownKey(_)) => self.metrics.unknown_kid(),
            result => live.opened.count(kid, result.as_ref().err().copied()),
        }
        result
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
        self.app(ticket.app().as_str()).ok_or(ApiError::invalid_ticket())
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

/// What a listener answers with: checks first, then what the router has.
#[derive(Clone, Debug)]
pub struct Routes {
    checks: Option<Arc<AppState>>,
    router: Router,
}

impl Routes {
    /// The answer to `request`, whose sender is at `peer`, if it came over a network.
    pub async fn answer<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(state) = &self.checks
            && let Some(check) = Check::of(request.uri().path())
        {
            let mut response = check.answer(state, request.headers()).await;
            // A check waits for no body, so a connection on which one may still come ends with the answer, and says so.
            if !request.body().is_end_stream() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            return response;
        }
        let mut request = request.map(Body::new);
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer));
        }
        // In a box, because a connection has room for the larger of both for as long as it lives.
        let answered = Box::pin(self.router.clone().oneshot(request)).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

/// Without checks.
impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self { checks: None, router }
    }
}

/// The routes for clients and gateways.
pub fn routes(state: Arc<AppState>) -> Routes {
    let introspection = Router::new().route("/v1/introspect", post(introspect::introspect));
    let routes = Router::new()
        .merge(limited(introspection, &state))
        .route("/.well-known/jwks.json", get(discovery::jwks))
        .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
        .route("/openapi.json", get(openapi::show))
        .route("/healthz", get(admin::alive))
        .route("/readyz", get(admin::ready_status));
    let router = finish(routes.merge(client_routes(&state)), Arc::clone(&state));
    Routes { checks: Some(state), router }
}

fn client_routes(state: &Arc<AppState>) -> Router<Arc<AppState>> {
    let settings = &state.settings;
    let mut routes = Router::new()
        .route("/v1/login", post(login::login))
        .route("/v1/renew", post(session::renew))
        .route("/v1/session", get(session::show))
        .route("/v1/session/check", post(session_key::check))
        .route("/v1/session/reset", post(session_key::reset))
        .route("/v1/phone", post(phone::phone))
        .route("/v1/userdata", post(user_data::user_data))
        .route("/v1/token", post(token::exchange));
    if settings.compat.enabled {
        routes = routes
            .route(compat::LOGIN, get(compat::login).post(compat::login))
            .route(compat::LOGIN_CHECK, post(compat::login_check))
            .route(compat::PHONE, post(compat::phone));
    }
    let routes = limited(routes, state);
    if settings.cors_origins.is_empty() {
        return routes;
    }
    // A fallback that is set after the layer would take its place, and with it preflights and the headers of a 405.
    routes.method_not_allowed_fallback(method_not_allowed).layer(cors(&settings.cors_origins))
}

/// Routes of which one address may not have too many requests in flight.
fn limited(routes: Router<Arc<AppState>>, state: &Arc<AppState>) -> Router<Arc<AppState>> {
    if !state.limits.limit_requests() {
        return routes;
    }
    routes.route_layer(middleware::from_fn_with_state(Arc::clone(state), limits::in_flight))
}

/// For web pages of the owner. No credentials: tickets travel in headers that the page sets, never in cookies.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, bearer::WEIXINAUTH])
        .max_age(Duration::from_secs(3600))
}

/// The routes for operators.
pub fn admin_routes(state: Arc<AppState>) -> Routes {
    let routes = Router::new()
        .route("/healthz", get(admin::alive))
        .route("/readyz", get(admin::ready))
        .route("/keys", get(admin::keys))
        .route("/metrics", get(admin::metrics))
        .route("/log", put(admin::set_log));
    finish(routes, state).into()
}

fn finish(router: Router<Arc<AppState>>, state: Arc<AppState>) -> Router {
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), answer))
        .with_state(state)
}

async fn no_such_route() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such route")
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "the route does not take this method")
}

/// Passes a request on and gives its answer the last touch: errors their shape, everything `no-store`.
async fn answer(State(state): State<Arc<AppState>>, mut request: Request<Body>, next: Next) -> Response {
    let request_id = RequestId::of(request.headers());
    request.extensions_mut().insert(request_id.clone());
    let style = Style::of(request.uri().path(), &state.settings);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = if header_section_len(request.headers()) > MAX_HEADER_SECTION {
        const TOO_LARGE: ApiError =
            ApiError::new(ErrorCode::HeadersTooLarge, "the request headers are larger than 16 KiB")
                .at(Limit::HeaderSize);
        TOO_LARGE.into_response()
    } else {
        next.run(request).await
    };
    if let Some(limit) = response.extensions().get().and_then(ApiError::limit) {
        state.metrics.limit_reached(limit);
    }
    let mut response = style.render_error(response, &request_id);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    state.metrics.answered(route, response.status().as_u16());
    tracing::debug!(%request_id, route, status = response.status().as_u16(), "answered");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
    response
}

/// How a route tells of errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Style {
    /// The one shape, with the right status.
    Plain,
    /// HTTP 200 always, the status inside.
    Compat,
}

impl Style {
    fn of(path: &str, settings: &Settings) -> Self {
        match path {
            compat::LOGIN | compat::LOGIN_CHECK | compat::PHONE if settings.compat.enabled => Self::Compat,
            _ => Self::Plain,
        }
    }

    fn render_error(self, mut response: Response, request_id: &RequestId) -> Response {
        let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
        error.log(request_id);
        let mut rendered = match self {
            Self::Compat => compat::failure(&error),
            Self::Plain => error.render(request_id),
        };
        // What inner layers added stays: Allow, and what web pages need.
        for (name, value) in response.headers() {
            rendered.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        rendered
    }
}

/// An answer of JSON with status 200: some platforms' clients take no other status for a success.
fn json_answer(value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).expect("answers have text for keys, so they are always JSON");
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
