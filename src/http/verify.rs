//! `/v1/verify`, for gateways: 200 with the identity in headers, 401, or 403. Nothing else, whatever is sent.
//!
//! No decision is made by anything but the ticket and the route's own appid: no path, no query, no `X-Forwarded-*`, no
//! body, no list of exceptions. Any doubt is 401.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Uri};

use super::access_token::AccessToken;
use super::error::{ApiError, ErrorCode};
use super::request::presented_ticket;
use super::{App, AppState, EXT_AUTHZ_APP};
use crate::keyring::Purpose;
use crate::ticket::{OwnerClaims, Ticket};

const APPID: HeaderName = HeaderName::from_static("x-auth-appid");
const PLATFORM: HeaderName = HeaderName::from_static("x-auth-platform");
const OPENID: HeaderName = HeaderName::from_static("x-auth-openid");
const UNIONID: HeaderName = HeaderName::from_static("x-auth-unionid");
const PHONE: HeaderName = HeaderName::from_static("x-auth-phone");
const LOGIN_ID: HeaderName = HeaderName::from_static("x-auth-login-id");
const CLAIMS: HeaderName = HeaderName::from_static("x-auth-claims");
const ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");
const EXPIRES_AT: HeaderName = HeaderName::from_static("x-auth-expires-at");

/// Any ticket of the only app; of any app where that is configured.
pub(super) async fn verify(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    if state.only_app().is_none() && !state.settings.any_app {
        // A back end that reads only the openid must not meet another app's users.
        return Err(ApiError::new(ErrorCode::AppRequired, "several apps are configured; use /v1/verify/APPID"));
    }
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app(ticket.app().as_str()).ok_or(ApiError::invalid_ticket())?;
    identity(&state, &ticket, app)
}

/// A ticket of the app that the route names.
pub(super) async fn verify_app(
    State(state): State<Arc<AppState>>,
    appid: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Ok(Path(appid)) = appid else { return Err(no_such_app()) };
    verify_for(&state, &appid, &headers).await
}

/// The same, with a path behind the appid that decides nothing, not even by being no UTF-8.
pub(super) async fn verify_app_below(
    State(state): State<Arc<AppState>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let appid = uri.path().strip_prefix(EXT_AUTHZ_APP).and_then(|rest| rest.split('/').next());
    verify_for(&state, appid.unwrap_or_default(), &headers).await
}

async fn verify_for(state: &AppState, appid: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let app = state.app(appid).ok_or(no_such_app())?;
    let ticket = state.open(|| presented_ticket(headers), Purpose::Ticket).await?;
    if *ticket.app() != app.id {
        return Err(ApiError::new(ErrorCode::WrongApp, "the ticket is for another app"));
    }
    identity(state, &ticket, app)
}

/// For an appid that is not configured, and for whatever else stands below the route.
pub(super) const fn no_such_app() -> ApiError {
    ApiError::new(ErrorCode::WrongApp, "this server has no such app")
}

/// All headers on every 200, empty where there is no value: a gateway then overwrites whatever a client made up.
fn identity(state: &AppState, ticket: &Ticket, app: &App) -> Result<Response, ApiError> {
    let session = ticket.session();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(10);
    let mut put = |name: HeaderName, value: &str| {
        // Every value was checked to be visible ASCII when it was sealed, so this never fails; if it did: 401.
        HeaderValue::from_str(value).map(|value| headers.insert(name, value)).map_err(|_| ApiError::invalid_ticket())
    };
    put(APPID, app.id.as_str())?;
    put(PLATFORM, app.platform.name())?;
    put(OPENID, session.openid.as_str())?;
    put(UNIONID, session.unionid.as_ref().map_or("", |unionid| unionid.as_str()))?;
    put(PHONE, session.phone.as_ref().map_or("", |phone| phone.as_str()))?;
    put(CLAIMS, session.owner_claims.as_ref().and_then(OwnerClaims::as_text).unwrap_or_default())?;
    put(LOGIN_ID, &session.login_id.to_string())?;
    put(EXPIRES_AT, &ticket.expires_at().as_u64().to_string())?;
    put(ASSERTION, &assertion(state, ticket, app).unwrap_or_default())?;
    Ok(response)
}

/// The same, signed for who must not trust the network between gateway and service.
///
/// Without a key that can sign there is none, and the check still goes by the ticket: a service that asks for an
/// assertion refuses the request.
fn assertion(state: &AppState, ticket: &Ticket, app: &App) -> Option<String> {
    let audience = state.settings.assertion_audience.as_deref()?;
    let signed = AccessToken::sign(state, ticket, app, audience, app.id.as_str());
    signed
        .inspect_err(|error| tracing::debug!(error = error.code().as_str(), "no assertion"))
        .ok()
        .map(|token| token.text)
}
