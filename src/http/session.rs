//! `POST /v1/renew` and `GET /v1/session`: what the holder of a ticket may do with it and know of it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use serde::Serialize;

use super::error::ApiError;
use super::login::TicketObject;
use super::request::presented_ticket;
use super::{AppState, json_answer};
use crate::keyring::Purpose;
use crate::ticket::{PhoneNumber, PlatformId};

/// Ticket header -> ticket object with a later end.
pub(super) async fn renew(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let now = state.now();
    let sealed = ticket.renew(&state.ring(), now, &state.settings.policy)?;
    state.metrics.sealed(sealed.kid(), Purpose::Ticket);
    Ok(json_answer(&TicketObject::new(&sealed, now)))
}

/// Ticket header -> who it is and until when. Never the `session_key`.
pub(super) async fn show(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let session = ticket.session();
    Ok(json_answer(&SessionObject {
        active: true,
        appid: ticket.app().as_str(),
        platform: state.app(ticket.app().as_str()).map(|app| app.platform.name()),
        openid: session.openid.as_str(),
        unionid: session.unionid.as_ref().map(PlatformId::as_str),
        phone_number: session.phone.as_ref().map(PhoneNumber::as_str),
        login_id: session.login_id.to_string(),
        auth_time: session.auth_time.as_u64(),
        expires_at: ticket.expires_at().to_string(),
        session_expires_at: ticket.session_expires_at().to_string(),
    }))
}

/// What the holder may know. The `session_key` has no field here.
#[derive(Serialize)]
struct SessionObject<'a> {
    active: bool,
    appid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'static str>,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    login_id: String,
    auth_time: u64,
    expires_at: String,
    session_expires_at: String,
}
