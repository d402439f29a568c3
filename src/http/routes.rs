//! Which request goes where, and the layer that all answers but those of checks pass.

use std::borrow::Cow;
use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{BoxError, Router};
use futures_util::FutureExt as _;
use futures_util::future::Either;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Request};
use tower::ServiceExt;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Level;

use crate::bearer::{self, Credentials};
use crate::claims::WebOrigin;
use crate::http::admin;
use crate::http::answer::NO_STORE;
use crate::http::clients::{compat, handover, login, phone, session, session_key, user_data};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::Limit;
use crate::http::request::{LOG_TARGET, MAX_HEADER_SECTION, shown_path};
use crate::http::services::{discovery, introspect, signature, token};
use crate::http::settings::Settings;
use crate::http::state::AppState;
use crate::http::transport::host::{self, AllowedHosts};
use crate::http::transport::limits;
use crate::http::transport::peer::Peer;
use crate::http::transport::unread::Unread;
use crate::http::verify::GatewayCheck;
use crate::request_id::RequestId;

/// What a listener answers with: checks first, then what the router has.
#[derive(Clone, Debug)]
pub struct Routes {
    checks: Option<Arc<AppState>>,
    router: Router,
}

impl Routes {
    /// The same, with `more` in front of what the router has.
    #[must_use]
    pub fn with(self, more: Router) -> Self {
        Self { router: more.fallback_service(self.router), ..self }
    }

    /// Whether web pages may call some of them.
    pub(crate) fn are_for_pages(&self) -> bool {
        let settings = self.checks.as_ref().map(|state| &state.settings);
        settings.is_some_and(|settings| !settings.cors_origins.is_empty() || !settings.handover_origins.is_empty())
    }

    /// The answer to `request`, whose sender is at `peer`, if it has an address.
    ///
    /// A check is answered before there is a future, which then has nothing left to do but to give the answer. It waits only
    /// under an unknown key, for a look at the keys directory, if one is due: the key may have just arrived.
    pub fn answer<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> impl Future<Output = Response> + Send + use<B>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let check = self.checks.as_ref().zip(GatewayCheck::of(request.uri().path()));
        let Some((state, check)) = check else {
            // In a box, because a connection has room for the larger of both for as long as it lives.
            return Either::Right(route(self.router.clone(), request, peer).boxed());
        };
        let identity = check.identity(state, request.headers());
        if !identity.as_ref().is_err_and(ApiError::is_of_unknown_key) {
            return Either::Left(ready(check.answer(state, &request, peer, identity)));
        }
        let (state, check) = (Arc::clone(state), check.into_owned());
        Either::Right(
            async move {
                let looked = state.rescans().ask().await;
                let identity = if looked { check.identity(&state, request.headers()) } else { identity };
                check.answer(&state, &request, peer, identity)
            }
            .boxed(),
        )
    }
}

async fn route<B>(router: Router, request: Request<B>, peer: Option<IpAddr>) -> Response
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut request, unread) = Unread::watch(request.map(Body::new));
    request.extensions_mut().insert(Peer(peer));
    let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if let Some(unread) = unread {
        unread.settle(&mut response).await;
    }
    response
}

/// Without checks.
impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self { checks: None, router }
    }
}

/// The routes for clients and gateways.
pub fn routes(state: Arc<AppState>) -> Routes {
    let for_services = Router::new()
        .route("/v1/introspect", post(introspect::introspect))
        .route("/v1/signature", post(signature::signature));
    let others = Router::new()
        .merge(limited(for_services, &state))
        .route("/healthz", get(admin::alive))
        .route("/readyz", get(admin::ready_status))
        .layer(middleware::from_fn(bounded_head));
    let router = finish(others.merge(public_routes()).merge(client_routes(&state)), Arc::clone(&state));
    Routes { checks: Some(state), router }
}

/// What is the same for everybody. Any page may read it, and why it is not there.
fn public_routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/.well-known/jwks.json", get(discovery::jwks))
        .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
        .route("/.well-known/openid-configuration", get(discovery::openid_configuration))
        .route("/openapi.json", get(discovery::openapi))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(bounded_head))
        .layer(middleware::map_response(for_any_origin))
}

async fn for_any_origin(mut response: Response) -> Response {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// What mini-programs and pages call; and the answer to what nobody has, so that a page can read that, too.
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
        .route("/v1/handover", post(handover::hand_over))
        .route("/v1/token", post(token::exchange));
    if settings.compat.enabled {
        routes = routes
            .route(compat::LOGIN, get(compat::login).post(compat::login))
            .route(compat::LOGIN_CHECK, post(compat::login_check))
            .route(compat::PHONE, post(compat::phone));
    }
    // A fallback that is set after the layers would take their place, and with it preflights and the headers of a 404 and 405.
    let routes = limited(routes, state)
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(bounded_head));
    let origins = settings.cors_origins.iter().map(String::as_str);
    let routes = if settings.cors_origins.is_empty() { routes } else { routes.layer(cors(origins)) };
    routes.merge(page_routes(state))
}

/// What pages inside of mini-programs call, whichever other pages may call.
fn page_routes(state: &Arc<AppState>) -> Router<Arc<AppState>> {
    let origins = &state.settings.handover_origins;
    let routes = Router::new().route("/v1/handover/redeem", post(handover::redeem));
    let routes =
        limited(routes, state).method_not_allowed_fallback(method_not_allowed).layer(middleware::from_fn(bounded_head));
    if origins.is_empty() { routes } else { routes.layer(cors(origins.iter().map(WebOrigin::as_str))) }
}

/// Routes of which one address may not have too many requests in flight.
fn limited(routes: Router<Arc<AppState>>, state: &Arc<AppState>) -> Router<Arc<AppState>> {
    if !state.limits.limit_requests() {
        return routes;
    }
    routes.route_layer(middleware::from_fn_with_state(Arc::clone(&state.limits), limits::in_flight))
}

/// For web pages of the owner. No credentials: tickets travel in headers that the page sets, never in cookies.
fn cors<'a>(origins: impl Iterator<Item = &'a str>) -> CorsLayer {
    let origins: Vec<&str> = origins.collect();
    let allowed = if origins.contains(&"*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, bearer::WEIXINAUTH])
        .expose_headers([RETRY_AFTER, WWW_AUTHENTICATE])
        .max_age(Duration::from_secs(3600))
}

/// The routes for operators, who reach them by an IP address, as `localhost`, or by one of `names`, in lower case.
pub fn admin_routes(state: Arc<AppState>, names: Vec<String>) -> Routes {
    let routes = Router::new()
        .route("/healthz", get(admin::alive))
        .route("/readyz", get(admin::ready))
        .route("/keys", get(admin::keys))
        .route("/metrics", get(admin::metrics))
        .route("/log", put(admin::set_log))
        .fallback(no_such_route)
        .layer(middleware::from_fn(bounded_head))
        .layer(middleware::from_fn_with_state(AllowedHosts::new(names), host::only_allowed));
    finish(routes, state).into()
}

fn finish(router: Router<Arc<AppState>>, state: Arc<AppState>) -> Router {
    router
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), answer))
        .with_state(state)
}

/// Refuses a head that is too large. Within the layer for web pages, which can read the answer only with its headers.
async fn bounded_head(request: Request<Body>, next: Next) -> Result<Response, ApiError> {
    const TOO_LARGE: ApiError =
        ApiError::new(ErrorCode::HeadersTooLarge, "the request headers are larger than 16 KiB").at(Limit::HeaderSize);
    if Credentials::of(request.headers()).header_section_len > MAX_HEADER_SECTION {
        Err(TOO_LARGE)
    } else {
        Ok(next.run(request).await)
    }
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
    let client = state.limits.client(&request);
    let style = Style::of(request.uri().path(), &state.settings);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_logged = tracing::enabled!(target: LOG_TARGET, Level::DEBUG);
    let asked = is_logged.then(|| (request.method().clone(), request.uri().path().to_owned()));
    let response = next.run(request).await;
    // Out here the request holds nothing any more but its connection.
    if response.extensions().get().map(ApiError::code) == Some(ErrorCode::InvalidClient) {
        // Before it waits: a client may be gone when the wait is over.
        state.metrics.limit_reached(Limit::WrongSecrets);
        state.limits.delay_refusal(client).await;
    }
    if let Some(limit) = response.extensions().get().and_then(ApiError::limit) {
        state.metrics.limit_reached(limit);
    }
    let outcome = asked.as_ref().map(|_| outcome(&response));
    let mut response = style.render_error(response, &request_id, client);
    let status = response.status().as_u16();
    state.metrics.answered(route.as_ref().map_or("none", MatchedPath::as_str), status);
    if let Some(((method, path), outcome)) = asked.zip(outcome) {
        let route = route.as_ref().map_or_else(|| shown_path(&path), MatchedPath::as_str);
        tracing::debug!(target: LOG_TARGET, %request_id, %method, route, status, outcome = &*outcome, "answered");
    }
    response.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
    response
}

/// What the line about a request says of `response`, before that is rendered.
fn outcome(response: &Response) -> Cow<'static, str> {
    response.extensions().get().map(ApiError::summary).map_or(Cow::Borrowed("ok"), Cow::Owned)
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

    fn render_error(self, mut response: Response, request_id: &RequestId, client: Option<IpAddr>) -> Response {
        let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
        error.log(request_id, client);
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
