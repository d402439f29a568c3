//! `/healthz` and `/readyz`: for probes on the clients' address, for operators with reasons on theirs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::json;

use crate::http::answer::{BUILD_VERSION, json_answer};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::request::read_body;
use crate::http::state::AppState;
use crate::http::upstream::describe_difference;
use crate::keyring::{Concern, KeyUse, RingView};
use crate::ticket::VERSION;

/// The process lives.
pub(crate) async fn alive() -> StatusCode {
    StatusCode::OK
}

/// Whether tickets can be opened, as a status alone.
pub(crate) async fn ready_status(State(state): State<Arc<AppState>>) -> StatusCode {
    if can_open(&state) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// The same, with what an operator should act on.
pub(crate) async fn ready(State(state): State<Arc<AppState>>) -> Response {
    let mut concerns = state.ring().concerns(state.now());
    // A ring without any key for JWTs is right as such, but not for a server that is to sign.
    if state.settings.signs() && state.ring().keys_of(KeyUse::Jwt).next().is_none() {
        concerns.push(Concern::CannotSeal(KeyUse::Jwt));
    }
    let mut reasons: Vec<String> = concerns.iter().map(ToString::to_string).collect();
    if let Some(why) = &*state.reload_failed.load() {
        reasons.push(format!("the keys directory is not right; the last good keys are in use: {why}"));
    }
    reasons.extend(
        state
            .upstream
            .clock_differences()
            .iter()
            .map(|(app, ahead_s)| format!("{app}: {}", describe_difference(*ahead_s))),
    );
    reasons.extend(state.rescans().trouble().map(|trouble| trouble.to_string()));
    let (status, word) = match (can_open(&state), reasons.is_empty()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "ok"),
    };
    let is_known = |kid| state.ring().keys_of(KeyUse::Ticket).any(|ring_key| ring_key.key().kid() == kid);
    reasons.extend(state.notices.reasons(state.now(), is_known));
    if state.settings.allow_simulator {
        reasons.push("upstream.allow_simulator is set: answers of a simulator count as a platform's".to_owned());
    }
    (status, json_answer(&json!({ "status": word, "reasons": reasons }))).into_response()
}

/// The keys, without anything secret, and what tells replicas apart.
pub(crate) async fn keys(State(state): State<Arc<AppState>>) -> Response {
    json_answer(&KeysObject { version: BUILD_VERSION, ticket_version: VERSION, ring: state.ring().view(state.now()) })
}

#[derive(Serialize)]
struct KeysObject {
    version: &'static str,
    ticket_version: u8,
    #[serde(flatten)]
    ring: RingView,
}

/// All numbers.
pub(crate) async fn metrics(State(state): State<Arc<AppState>>) -> Response {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    state.metrics.keys_looked_at(state.rescans().age());
    let lines_dropped = state.log.get().map_or(0, |log| log.lines_dropped());
    match state.metrics.encode(&state.ring(), state.now(), lines_dropped) {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => ApiError::new(ErrorCode::Overloaded, "the metrics cannot be written now").into_response(),
    }
}

/// Levels and targets as in `RUST_LOG`, such as `debug` or `auth_ticket::http=trace` -> what is logged from now on.
pub(crate) async fn set_log(State(state): State<Arc<AppState>>, request: Request) -> Result<StatusCode, ApiError> {
    const WHY: ApiError = ApiError::invalid_request(
        "the body is not a list of levels and targets such as info or warn,auth_ticket=debug",
    );
    let client = state.limits.client(&request).map(tracing::field::display);
    let body = read_body(request, state.settings.body_timeout).await?;
    let directives = str::from_utf8(&body).map_err(|_| WHY)?.trim();
    let log = state.log.get().ok_or(ApiError::new(ErrorCode::NotFound, "this server has no log to set"))?;
    let change = log.prepare(directives).ok_or(WHY)?;
    // Before it takes effect, and whatever the level: nobody turns the log off without a trace in it.
    tracing::info!(client, directives, "the log is set");
    change();
    Ok(StatusCode::OK)
}

fn can_open(state: &AppState) -> bool {
    let now = state.now();
    state.ring().keys_of(KeyUse::Ticket).any(|ring_key| ring_key.state(now).opens())
}
