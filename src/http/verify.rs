//! Checks, for gateways: 200 with the identity in headers, 401, or 403. Nothing else, whatever is sent.
//!
//! Every request of every client waits for one, so they are answered ahead of the router and of the layers that other
//! answers pass. No decision is made by anything but the ticket and the route's own appid: no path, no query, no
//! `X-Forwarded-*`, no body, no list of exceptions. Any doubt is 401.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::net::IpAddr;

use axum::body::Body;
use axum::response::Response;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{HeaderMap, Request};
use percent_encoding::percent_decode_str;
use tracing::Level;

use crate::bearer::{Credentials, Refusal};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::{Limit, Route};
use crate::http::request::{LOG_TARGET, MAX_HEADER_SECTION};
use crate::http::services::access_token::{AccessToken, AccessTokenRequest};
use crate::http::state::{AppState, Served};
use crate::keyring::Purpose;
use crate::request_id::RequestId;
use crate::ticket::Ticket;

/// Whose tickets a check lets through.
#[derive(Debug, Eq, PartialEq)]
enum Wanted<'a> {
    /// Those of the only app, or of the default one; of any app where that is configured.
    Any,
    /// Those of the app that the route names.
    App(Cow<'a, str>),
}

/// A request of a gateway.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct GatewayCheck<'a> {
    route: Route,
    wanted: Wanted<'a>,
}

impl<'a> GatewayCheck<'a> {
    /// `None` for a path that belongs to the router.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/v1/verify") {
            return match rest.strip_prefix('/') {
                None if rest.is_empty() => Some(Self { route: Route::Verify, wanted: Wanted::Any }),
                None => None,
                Some(below) if below.is_empty() || below.contains('/') => Some(Self::nowhere()),
                Some(appid) => Some(Self::verify_app(appid)),
            };
        }
        // Envoy appends the path that it asks about. It decides nothing, not even by being no UTF-8.
        let rest = path.strip_prefix("/v1/ext-authz")?;
        if let Some(below) = rest.strip_prefix("-app/") {
            let appid = below.split('/').next().unwrap_or_default();
            return Some(Self { route: Route::ExtAuthzApp, wanted: Wanted::App(appid.into()) });
        }
        match rest.as_bytes() {
            [] | [b'/'] => Some(Self { route: Route::ExtAuthz, wanted: Wanted::Any }),
            [b'/', ..] => Some(Self { route: Route::ExtAuthzBelow, wanted: Wanted::Any }),
            _ => None,
        }
    }

    fn verify_app(appid: &'a str) -> Self {
        match percent_decode_str(appid).decode_utf8() {
            Ok(appid) => Self { route: Route::VerifyApp, wanted: Wanted::App(appid) },
            Err(_) => Self::nowhere(),
        }
    }

    /// No app has an empty id.
    const fn nowhere() -> Self {
        Self { route: Route::None, wanted: Wanted::App(Cow::Borrowed("")) }
    }

    /// The same, for longer than the request is there.
    pub(crate) fn into_owned(self) -> GatewayCheck<'static> {
        let wanted = match self.wanted {
            Wanted::Any => Wanted::Any,
            Wanted::App(appid) => Wanted::App(Cow::Owned(appid.into_owned())),
        };
        GatewayCheck { route: self.route, wanted }
    }

    /// The answer to `request`, of which `identity` was found. Its method and `peer` decide nothing and are for the log.
    pub(crate) fn answer(
        &self,
        state: &AppState,
        request: &Request<impl hyper::body::Body>,
        peer: Option<IpAddr>,
        identity: Result<HeaderMap, ApiError>,
    ) -> Response {
        let (method, headers) = (request.method(), request.headers());
        let request_id = LazyCell::new(|| RequestId::of(headers));
        let is_logged = tracing::enabled!(target: LOG_TARGET, Level::DEBUG);
        let outcome = identity.as_ref().err().filter(|_| is_logged).map(ApiError::summary);
        let mut response = match identity {
            Ok(identity) => {
                let mut response = Response::new(Body::empty());
                *response.headers_mut() = identity;
                response
            }
            Err(error) => {
                if let Some(limit) = error.limit() {
                    state.metrics.limit_reached(limit);
                }
                error.log_check(&request_id, state.limits.sender(peer, headers));
                error.render(&request_id)
            }
        };
        let status = response.status().as_u16();
        state.metrics.checked(self.route, status);
        if is_logged {
            let (route, outcome) = (self.route.as_str(), outcome.as_deref().unwrap_or("ok"));
            tracing::debug!(target: LOG_TARGET, request_id = %*request_id, %method, route, status, outcome, "answered");
        }
        // A check waits for no body, so a connection on which one may still come ends with the answer, and says so.
        if !request.body().is_end_stream() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Who sent a request with `headers`, in those of a 200; or why that is refused, with the keys as they are.
    pub(crate) fn identity(&self, state: &AppState, headers: &HeaderMap) -> Result<HeaderMap, ApiError> {
        let credentials = Credentials::of(headers);
        if credentials.header_section_len > MAX_HEADER_SECTION {
            return Err(ApiError::from(Refusal::InvalidTicket).at(Limit::HeaderSize));
        }
        let wanted = match &self.wanted {
            Wanted::Any if state.settings.any_app => None,
            // A back end that reads only the openid must not meet another app's users.
            Wanted::Any => Some(state.default_app().ok_or(SEVERAL_APPS)?),
            Wanted::App(appid) => Some(state.served(appid).ok_or(NO_SUCH_APP)?),
        };
        let mut claimed = credentials.ticket();
        // Borrowed, because they are moved otherwise.
        let claimed = claimed.as_mut().map_err(|why| *why)?;
        state.open_now(claimed, Purpose::Ticket, |ticket| {
            let served = match wanted {
                // The ring opens none of an app that is not configured, so there always is one.
                None => state.served(ticket.app().as_str()).ok_or(Refusal::InvalidTicket)?,
                Some(served) if served.app.id == *ticket.app() => served,
                Some(_) => return Err(Refusal::WrongApp.into()),
            };
            served.identity.of(ticket, assertion(state, ticket, served).as_deref())
        })?
    }
}

/// For an appid that is not configured, and for whatever else stands below the routes.
const NO_SUCH_APP: ApiError = ApiError::new(ErrorCode::Refused(Refusal::WrongApp), "this server has no such app");

const SEVERAL_APPS: ApiError =
    ApiError::new(ErrorCode::AppRequired, "several apps are configured; use /v1/verify/APPID");

/// The same, signed, for services that do not trust the network between the gateway and themselves.
///
/// Without a key that can sign there is none, and the check still goes by the ticket: a service that asks for an
/// assertion refuses the request.
fn assertion(state: &AppState, ticket: &Ticket, served: &Served) -> Option<String> {
    let Served { app, .. } = served;
    let audience = served.assertion_audience.as_deref()?;
    let signed = AccessToken::sign(
        &state.ring(),
        &state.settings,
        state.now(),
        AccessTokenRequest { ticket, app, audience, client_id: app.id.as_str(), scope: None, own: None },
    );
    signed
        .inspect_err(|error| tracing::debug!(error = error.code().as_str(), "no assertion"))
        .ok()
        .map(|token| token.text)
}
