//! `POST /v1/handover` and `/v1/handover/redeem`: from a mini-program to a web page that it opens.
//!
//! A `web-view` shares nothing with its mini-program but the URL, and a ticket does not belong there. What travels instead is
//! worth something to one page for a minute only.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use hyper::HeaderMap;
use hyper::header::ORIGIN;
use serde::{Deserialize, Serialize};
use tracing::field::display;

use crate::bearer::presented_ticket;
use crate::claims::WebOrigin;
use crate::http::answer::json_answer;
use crate::http::clients::login::TicketObject;
use crate::http::error::ApiError;
use crate::http::request::{json_body, json_object};
use crate::http::state::AppState;
use crate::keyring::Purpose;
use crate::request_id::RequestId;

#[derive(Deserialize)]
struct HandoverRequest {
    origin: String,
}

#[derive(Serialize)]
struct HandoverObject<'a> {
    handover: &'a str,
    /// Seconds from now.
    expires_in: u64,
}

#[derive(Deserialize)]
struct RedeemRequest {
    handover: String,
}

const UNLISTED: ApiError = ApiError::invalid_request("the origin is not one of handover.origins");

/// Ticket header and `{"origin"}` -> something for the page at this origin to log in with.
pub(crate) async fn hand_over(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let body = json_body(request, state.settings.body_timeout).await?;
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    let HandoverRequest { origin } =
        json_object(&body).ok_or(ApiError::invalid_request("the body is not JSON with the text origin"))?;
    let origin = listed(&state, origin.as_bytes())?;
    let (sealed, now) = state.seal_handover(&app.id, ticket.session(), origin)?;
    Ok(json_answer(&HandoverObject { handover: sealed.text(), expires_in: sealed.expires_at().since(now) }))
}

/// `Origin` header and `{"handover"}` -> ticket object: the same login, without `session_key` and phone number.
pub(crate) async fn redeem(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let (request_id, client) = (RequestId::of_request(&request), state.limits.client(&request).map(display));
    let origin = listed(&state, presented_origin(request.headers())?)?;
    let body = json_body(request, state.settings.body_timeout).await?;
    let RedeemRequest { handover } =
        json_object(&body).ok_or(ApiError::invalid_request("the body is not JSON with the text handover"))?;
    let opened = state.open_handover(&handover, origin).await?;
    let (appid, session) = (opened.app().clone(), state.unsealed(&opened)?);
    let (sealed, now) = state.seal(&appid, &session, Purpose::Ticket)?;
    let (login_id, origin) = (session.login_id, origin.as_str());
    tracing::info!(%request_id, client, %appid, %login_id, origin, "handed over to a page");
    Ok(json_answer(&TicketObject::new(&sealed, now)))
}

/// What the browser says of the page.
fn presented_origin(headers: &HeaderMap) -> Result<&[u8], ApiError> {
    let mut values = headers.get_all(ORIGIN).iter();
    match (values.next(), values.next()) {
        (Some(origin), None) => Ok(origin.as_bytes()),
        _ => Err(ApiError::invalid_request("there is not exactly one Origin header; browsers send it")),
    }
}

/// The configured origin that `text` is, byte for byte.
fn listed<'a>(state: &'a AppState, text: &[u8]) -> Result<&'a WebOrigin, ApiError> {
    state.settings.handover_origins.iter().find(|origin| origin.as_str().as_bytes() == text).ok_or(UNLISTED)
}
