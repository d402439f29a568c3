//! `POST /v1/renew` and `GET /v1/session`: what the holder of a ticket may do with it and know of it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use serde::Serialize;

use crate::bearer::presented_ticket;
use crate::http::answer::json_answer;
use crate::http::clients::login::TicketObject;
use crate::http::clients::owner_claims;
use crate::http::error::ApiError;
use crate::http::identity::IdentityFields;
use crate::http::labels::HookEvent;
use crate::http::state::AppState;
use crate::keyring::Purpose;

/// Ticket header -> ticket object with a later end.
pub(crate) async fn renew(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    let session = owner_claims::refresh(&state, app, state.unsealed(&ticket)?, HookEvent::Renewal).await?;
    // The ring is taken anew: the owner's service may have let us wait across a reload.
    let (sealed, now) = state.seal(&app.id, &session, Purpose::Ticket)?;
    Ok(json_answer(&TicketObject::new(&sealed, now)))
}

/// Ticket header -> who it is and until when. Never the `session_key`.
pub(crate) async fn show(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    Ok(json_answer(&SessionObject {
        active: true,
        identity: IdentityFields::new(&ticket, app),
        expires_at: ticket.expires_at().to_string(),
        session_expires_at: ticket.session_expires_at().to_string(),
    }))
}

#[derive(Serialize)]
struct SessionObject<'a> {
    active: bool,
    #[serde(flatten)]
    identity: IdentityFields<'a>,
    expires_at: String,
    session_expires_at: String,
}
