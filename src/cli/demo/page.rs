//! The page of the demo, and the routes that only the demo has: how replicas see the keys, a rotation, a cut-off.
//!
//! They have no password. Whoever reaches them can add keys, up to a limit, and end a login whose ticket they hold: nothing that
//! harms anybody else. Pages of other origins must not reach them all the same: a request has to name this machine by an IP
//! address or as `localhost` (no name that a page could have resolve to it), and one that changes something has to be JSON from
//! this page's own origin, if a browser says from where.

use std::sync::Arc;

use auth_ticket::http::{AllowedHosts, Routes};
use auth_ticket::keyring::LoginId;
use auth_ticket::keystore::Directory;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::{Value, json};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::actions;
use super::server::DemoServer;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The header that a ticket is in.
const WEIXINAUTH: HeaderName = HeaderName::from_static("weixinauth");

/// What the routes know of the demo.
pub(super) struct Page {
    directory: Directory,
    /// What is the same in each answer about the replicas.
    apps: Value,
    replicas: Vec<ReplicaRoutes>,
}

/// A replica as the page sees it.
struct ReplicaRoutes {
    url: String,
    port: u16,
    clients: Routes,
    operators: Routes,
}

impl Page {
    pub(super) fn new(directory: Directory, apps: Value, replicas: &[DemoServer]) -> Self {
        let seen = |replica: &DemoServer| ReplicaRoutes {
            url: format!("http://{}", replica.address),
            port: replica.address.port(),
            clients: replica.clients.clone(),
            operators: replica.operators.clone(),
        };
        Self { directory, apps, replicas: replicas.iter().map(seen).collect() }
    }

    /// The routes that each replica has in front of the server's own: the first has the page, the second the one that is opened
    /// from a mini-program, which needs another origin.
    pub(super) fn routes(self) -> Vec<Router> {
        let port = |number: usize| self.replicas.get(number).map(|replica| replica.port).unwrap_or_default();
        // A policy has no way to name an IPv6 address; so it is any host, with this one port.
        let frames = format!("frame-src http://*:{}; frame-ancestors 'none'", port(1));
        let framed = format!("frame-ancestors http://*:{}", port(0));
        let count = self.replicas.len();
        let main = Router::new()
            .route("/", file(HTML, include_str!("page/index.html"), &frames))
            .route("/_demo/page.js", file(SCRIPT, include_str!("page/built/page.js"), ""))
            .route("/_demo/page.css", file(CSS, include_str!("page/page.css"), ""))
            .route("/_demo/icon.svg", file(SVG, include_str!("page/icon.svg"), ""))
            .route("/_demo/replicas", get(replicas))
            .route("/_demo/rotate", post(rotate))
            .route("/_demo/cutoff", post(cut_off))
            .with_state(Arc::new(self));
        let opened = Router::new()
            .route("/h5", file(HTML, include_str!("page/h5.html"), &framed))
            .route("/_demo/h5.js", file(SCRIPT, include_str!("page/built/h5.js"), ""))
            .route("/_demo/page.css", file(CSS, include_str!("page/page.css"), ""))
            .route("/_demo/icon.svg", file(SVG, include_str!("page/icon.svg"), ""));
        let mut all = vec![guarded(main), guarded(opened)];
        all.resize_with(count, Router::new);
        all
    }
}

/// Passes a request to `routes` only if no page of another origin can have made it.
fn guarded(routes: Router) -> Router {
    routes
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the route does not take this method")
        })
        .layer(middleware::from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    match refused(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn refused(request: &Request) -> Option<Response> {
    const HOST_NOT_ALLOWED: &str = "the demo is reached by IP address or as localhost";
    const NOT_JSON: &str = "the content type is not application/json";
    const OTHER_ORIGIN: &str = "the request comes from a page of another origin";
    if !AllowedHosts::new(Vec::new()).allow(request) {
        return Some(refusal(StatusCode::FORBIDDEN, "host_not_allowed", HOST_NOT_ALLOWED));
    }
    if request.method().is_safe() {
        return None;
    }
    if !is_own_origin(request.headers()) {
        return Some(refusal(StatusCode::FORBIDDEN, "origin_not_allowed", OTHER_ORIGIN));
    }
    // A page of another origin cannot send that without asking first.
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = media_type.is_some_and(|value| {
        value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    });
    (!is_json).then(|| refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", NOT_JSON))
}

/// Whether the request comes from a page of this server, or from no page: browsers say from which, other programs do not.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    headers.get_all(ORIGIN).iter().all(|origin| origin.as_bytes().strip_prefix(b"http://") == Some(host))
}

/// The shape of the server's own refusals.
fn refusal(status: StatusCode, error: &str, description: &str) -> Response {
    (status, json_answer(&json!({ "error": error, "error_description": description }))).into_response()
}

fn json_answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], value.to_string()).into_response()
}

/// A part of the page: nothing from elsewhere, nothing that stands in the HTML itself runs, and `more` of the policy.
fn file<S: Clone + Send + Sync + 'static>(media_type: &'static str, text: &'static str, more: &str) -> MethodRouter<S> {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'";
    let policy = format!("{POLICY}; {more}").trim_end_matches([';', ' ']).to_owned();
    let headers = [
        (CONTENT_TYPE, media_type.to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        // Another version of the program may be at this address next.
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    get(async move || (headers, text))
}

/// How each replica sees the keys, and the ticket of the request, if it has one.
async fn replicas(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    let ticket = headers.get(WEIXINAUTH);
    let mut seen = Vec::new();
    for replica in &page.replicas {
        let (_, keys) = asked(&replica.operators, "/keys", None).await;
        let mut one = json!({ "url": replica.url, "port": replica.port, "keys": keys });
        if let (Some(ticket), Some(members)) = (ticket, one.as_object_mut()) {
            let (status, answer) = asked(&replica.clients, "/v1/session", Some(ticket)).await;
            let error = answer.get("error").cloned().unwrap_or_default();
            members.insert("check".to_owned(), json!({ "status": status.as_u16(), "error": error }));
        }
        seen.push(one);
    }
    json_answer(&json!({ "apps": page.apps, "replicas": seen }))
}

/// What `routes` answer to a GET of `path`, without a line for the terminal: the page asks every second.
async fn asked(routes: &Routes, path: &'static str, ticket: Option<&HeaderValue>) -> (StatusCode, Value) {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = hyper::Uri::from_static(path);
    if let Some(ticket) = ticket {
        request.headers_mut().insert(WEIXINAUTH, ticket.clone());
    }
    let answer = routes.answer(request, None).with_subscriber(Dispatch::none()).await;
    let status = answer.status();
    let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Adds a key that takes over in a moment.
async fn rotate(State(page): State<Arc<Page>>) -> Response {
    let directory = page.directory.clone();
    match blocking(move || actions::rotate(&directory)).await {
        Ok(key) => json_answer(&json!({ "kid": key.kid().to_string(), "seal_from": key.spec().seal_from.to_string() })),
        Err(refusal) => refusal,
    }
}

/// Ends the login whose ticket the request has.
async fn cut_off(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    let Some(first) = page.replicas.first() else { return StatusCode::NOT_FOUND.into_response() };
    let (status, session) = asked(&first.clients, "/v1/session", headers.get(WEIXINAUTH)).await;
    let login_id = session.get("login_id").and_then(Value::as_str).and_then(|text| LoginId::parse(text).ok());
    let Some(login_id) = login_id else { return (status, json_answer(&session)).into_response() };
    let directory = page.directory.clone();
    match blocking(move || actions::cut_off(&directory, login_id)).await {
        Ok(()) => json_answer(&json!({ "login_id": login_id.to_string() })),
        Err(refusal) => refusal,
    }
}

/// Runs what waits for the disk. What it cannot do is the answer.
async fn blocking<T: Send + 'static>(
    action: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Response> {
    let done = tokio::task::spawn_blocking(action).await;
    done.map_err(anyhow::Error::from)
        .and_then(|result| result)
        .map_err(|error| refusal(StatusCode::CONFLICT, "conflict", &format!("{error:#}")))
}
