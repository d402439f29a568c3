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
mod login;
mod metrics;
mod openapi;
mod phone;
mod request;
mod session;
mod session_key;
mod settings;
mod token;
mod upstream;
mod user_data;
mod verify;

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post, put};
use hyper::body::Body as _;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Uri};
use serde::Serialize;
use serde_json::Value;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use connection::{ConnectionLimits, serve};
pub use metrics::ConnectionCount;
pub use settings::{App, CompatSettings, JwtSettings, Service, Settings, Subject};

pub use crate::rescan::Rescans;

use crate::bearer;
use crate::clock::{Clock, UnixSeconds};
use crate::jwt::Signers;
use crate::keyring::{AppId, KeyRing, KeyUse, Purpose};
use crate::platform::Phone;
use crate::request_id::RequestId;
use crate::ticket::{OpenError, SealError, SealedTicket, Session, Ticket, UnverifiedTicket};
use error::{ApiError, ErrorCode};
use flight::Flights;
use metrics::Metrics;
use upstream::{Asks, Breakers};

/// Largest section of request headers, names, values and four bytes for each line, in bytes.
const MAX_HEADER_SECTION: usize = 16 << 10;

const VERIFY: &str = "/v1/verify";
/// The same for Envoy, which appends the path that it asks about.
const EXT_AUTHZ: &str = "/v1/ext-authz";
const CHECKS_BELOW: [&str; 3] = ["/v1/verify/", "/v1/ext-authz/", EXT_AUTHZ_APP];
const EXT_AUTHZ_APP: &str = "/v1/ext-authz-app/";

/// What `--version` says, too.
const BUILD_VERSION: &str = env!("BUILD_VERSION");

/// Takes log directives; says whether it understood them.
type LogDial = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What all requests share. Nothing in it outlives the process or is told to another.
pub struct AppState {
    settings: Settings,
    /// What `/openapi.json` answers.
    description: Value,
    apps: Vec<App>,
    services: Vec<Service>,
    live: ArcSwap<Live>,
    clock: Arc<dyn Clock>,
    login_flights: Flights<Arc<Session>>,
    handle_flights: Flights<Arc<Session>>,
    phone_flights: Flights<Phone>,
    asks: Asks,
    breakers: Breakers,
    rescans: Rescans,
    metrics: Metrics,
    reload_failed: AtomicBool,
    log_dial: OnceLock<LogDial>,
}

/// A ring, and its JWT keys ready to sign: swapped together.
struct Live {
    ring: KeyRing,
    signers: Signers,
}

impl Live {
    fn new(ring: KeyRing) -> Self {
        // Start-up has refused keys that cannot sign; should a later one be such a key, tickets go on without JWTs.
        let signers = Signers::new(&ring).unwrap_or_else(|error| {
            tracing::error!("no JWTs: {error}");
            Signers::default()
        });
        Self { ring, signers }
    }
}

impl Deref for Live {
    type Target = KeyRing;

    fn deref(&self) -> &KeyRing {
        &self.ring
    }
}

impl AppState {
    /// The state of a server for `apps`, with `ring` to begin with. The ring must have been made for these apps.
    #[must_use]
    pub fn new(
        settings: Settings,
        apps: Vec<App>,
        services: Vec<Service>,
        ring: KeyRing,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let live = ArcSwap::from_pointee(Live::new(ring));
        let metrics = Metrics::new();
        metrics.ring_loaded(clock.now(), 0);
        for app in &apps {
            metrics.platform_paused(app.id.as_str(), false);
        }
        let breakers = Breakers::new(&apps);
        Arc::new(Self {
            description: openapi::description(&settings),
            settings,
            apps,
            services,
            live,
            clock,
            login_flights: Flights::default(),
            handle_flights: Flights::default(),
            phone_flights: Flights::default(),
            asks: Asks::default(),
            breakers,
            rescans: Rescans::default(),
            metrics,
            reload_failed: AtomicBool::new(false),
            log_dial: OnceLock::new(),
        })
    }

    /// Puts another ring in the place of the present one. Requests that run finish with the one they began with.
    pub fn swap_ring(&self, ring: KeyRing) {
        self.live.store(Arc::new(Live::new(ring)));
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
        let result = claimed.open(&self.ring(), purpose, self.now(), &self.settings.policy);
        self.metrics.opened(kid, result.as_ref().map_err(|error| *error));
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
        self.apps.iter().find(|app| app.id.as_str() == appid)
    }

    /// The app of a ticket. The ring opens none of an app that is not configured, so there always is one.
    fn app_of(&self, ticket: &Ticket) -> Result<&App, ApiError> {
        self.app(ticket.app().as_str()).ok_or(ApiError::invalid_ticket())
    }

    fn only_app(&self) -> Option<&App> {
        match self.apps.as_slice() {
            [app] => Some(app),
            _ => None,
        }
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("settings", &self.settings).field("apps", &self.apps).finish_non_exhaustive()
    }
}

/// The routes for clients and gateways.
pub fn router(state: Arc<AppState>) -> Router {
    let checks = Router::new()
        .route(VERIFY, any(verify::verify))
        .route("/v1/verify/{appid}", any(verify::verify_app))
        .route(EXT_AUTHZ, any(verify::verify))
        .route("/v1/ext-authz/", any(verify::verify))
        .route("/v1/ext-authz/{*ignored}", any(verify::verify))
        .route("/v1/ext-authz-app/{*appid_and_ignored}", any(verify::verify_app_below))
        .route("/v1/introspect", post(introspect::introspect))
        .route("/.well-known/jwks.json", get(discovery::jwks))
        .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
        .route("/openapi.json", get(openapi::show))
        .route("/healthz", get(admin::alive))
        .route("/readyz", get(admin::ready_status));
    finish(checks.merge(client_routes(&state.settings)), state)
}

fn client_routes(settings: &Settings) -> Router<Arc<AppState>> {
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
    if settings.cors_origins.is_empty() {
        return routes;
    }
    // A fallback that is set after the layer would take its place, and with it preflights and the headers of a 405.
    routes.method_not_allowed_fallback(method_not_allowed).layer(cors(&settings.cors_origins))
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
pub fn admin_router(state: Arc<AppState>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(admin::alive))
        .route("/readyz", get(admin::ready))
        .route("/keys", get(admin::keys))
        .route("/metrics", get(admin::metrics))
        .route("/log", put(admin::set_log));
    finish(routes, state)
}

fn finish(router: Router<Arc<AppState>>, state: Arc<AppState>) -> Router {
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), answer))
        .with_state(state)
}

async fn no_such_route(uri: Uri) -> ApiError {
    // Whatever stands below them is some gateway's mistake; it must not make a 404 of a check.
    if is_check(uri.path()) {
        return verify::no_such_app();
    }
    ApiError::new(ErrorCode::NotFound, "there is no such route")
}

/// Whether `path` is one of the routes for gateways or anything below them.
fn is_check(path: &str) -> bool {
    [VERIFY, EXT_AUTHZ].contains(&path) || CHECKS_BELOW.iter().any(|prefix| path.starts_with(prefix))
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "the route does not take this method")
}

/// Passes a request on and gives its answer the last touch: errors their shape, everything `no-store`.
async fn answer(State(state): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let request_id = RequestId::of(request.headers());
    request.extensions_mut().insert(request_id.clone());
    let style = Style::of(request.uri().path(), &state.settings);
    let route = request.extensions().get::<MatchedPath>().cloned();
    // A check waits for no body, so a connection on which one may still come ends with the answer, and says so.
    let leaves_body = style == Style::Verify && !request.body().is_end_stream();
    let response = if header_section_len(request.headers()) > MAX_HEADER_SECTION {
        style.headers_too_large()
    } else {
        next.run(request).await
    };
    let mut response = style.render_error(response, &request_id);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    state.metrics.answered(route, response.status().as_u16());
    tracing::debug!(%request_id, route, status = response.status().as_u16(), "answered");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if leaves_body {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn header_section_len(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// How a route tells of errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Style {
    /// The one shape, with the right status.
    Plain,
    /// The same, but never another status than 200, 401 or 403: nginx makes 500 of the rest.
    Verify,
    /// HTTP 200 always, the status inside.
    Compat,
}

impl Style {
    fn of(path: &str, settings: &Settings) -> Self {
        match path {
            compat::LOGIN | compat::LOGIN_CHECK | compat::PHONE if settings.compat.enabled => Self::Compat,
            _ if is_check(path) => Self::Verify,
            _ => Self::Plain,
        }
    }

    fn headers_too_large(self) -> Response {
        use axum::response::IntoResponse;
        match self {
            Self::Verify => ApiError::invalid_ticket().into_response(),
            _ => {
                ApiError::new(ErrorCode::HeadersTooLarge, "the request headers are larger than 16 KiB").into_response()
            }
        }
    }

    fn render_error(self, mut response: Response, request_id: &RequestId) -> Response {
        let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
        error.log(request_id);
        let mut rendered = match self {
            Self::Compat => compat::failure(&error),
            Self::Plain | Self::Verify => error.render(request_id),
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
