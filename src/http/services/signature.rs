//! `POST /v1/signature`: the platform's proof that a user is logged in, for a service that may have it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::field::display;

use crate::bearer::Refusal;
use crate::http::answer::json_answer;
use crate::http::clients::session_key;
use crate::http::error::{ApiError, ErrorCode, Stake, require};
use crate::http::request::{json_body, json_object};
use crate::http::services::client_auth::service_by_basic;
use crate::http::settings::Service;
use crate::http::state::AppState;
use crate::keyring::Purpose;
use crate::platform::{Capability, SignableData, UserSignature};
use crate::request_id::RequestId;
use crate::ticket::{Ticket, UnverifiedTicket};

#[derive(Deserialize)]
struct SignatureRequest {
    ticket: String,
    data: String,
    /// Whether the platform is asked first if the `session_key` lives. It is, unless this is false.
    check: Option<bool>,
}

#[derive(Serialize)]
struct SignatureObject<'a> {
    signature: &'a str,
    signature_method: &'static str,
}

const WRONG: ApiError =
    ApiError::invalid_request("the body is not JSON with the texts ticket and data, and perhaps the boolean check");

/// A service (Basic) and `{"ticket","data","check"}` -> the signature of the text `data` with the `session_key` in the ticket.
pub(crate) async fn signature(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let (request_id, client) = (RequestId::of_request(&request), state.limits.client(&request).map(display));
    let service = service_by_basic(&state, request.headers())?;
    if !service.may_sign {
        return Err(ApiError::new(ErrorCode::UnauthorizedClient, "this service may not have signatures made"));
    }
    let body = json_body(request, state.settings.body_timeout).await?;
    let SignatureRequest { ticket, data, check } = json_object(&body).ok_or(WRONG)?;
    let ticket = ticket_of(&state, service, &ticket).await?;
    let data_sha256 = hex::encode(Sha256::digest(&data));
    let is_checked = check.unwrap_or(true);
    let signature = sign(&state, &ticket, data, is_checked).await?;
    state.metrics.signed(&service.id);
    let (appid, login_id) = (ticket.app(), ticket.session().login_id);
    tracing::info!(%request_id, client, service = service.id, %appid, %login_id, data_sha256, is_checked, "signed");
    Ok(json_answer(&SignatureObject { signature: signature.expose(), signature_method: signature.method() }))
}

/// The ticket in `text`, if it is one of an app that the service may see.
async fn ticket_of(state: &AppState, service: &Service, text: &str) -> Result<Ticket, ApiError> {
    let ticket = state.open(|| UnverifiedTicket::parse(text.as_bytes()), Purpose::Ticket).await;
    let ticket = ticket.and_then(|ticket| {
        let is_foreign = ApiError::from(Refusal::InvalidTicket).because(&"of an app that the service may not see");
        if service.sees(&ticket) { Ok(ticket) } else { Err(is_foreign) }
    });
    ticket.map_err(ApiError::of_ticket_in_body)
}

async fn sign(
    state: &Arc<AppState>,
    ticket: &Ticket,
    data: String,
    is_checked: bool,
) -> Result<UserSignature, ApiError> {
    let app = state.app_of(ticket)?;
    require(app, Capability::UserSignatures)?;
    let data = SignableData::parse(data, ticket.session().openid.as_str())?;
    let session_key = &session_key::of_ticket(state, ticket).map_err(ApiError::of_ticket_in_body)?;
    if is_checked {
        require(app, Capability::CheckSession)?;
        session_key::require_live(state, app, ticket, session_key).await?;
    }
    app.platform.sign(session_key, &data).map_err(|error| ApiError::of_platform(&error, Stake::Nothing))
}
