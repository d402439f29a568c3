//! `POST /v1/introspect`: what a ticket is, for services that would rather ask than check (RFC 7662).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::http::answer::json_answer;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::identity::{IdentityFields, subject};
use crate::http::services::client_auth::{TokenClient, caller};
use crate::http::services::form::Form;
use crate::http::services::token::live_ticket;
use crate::http::state::AppState;
use crate::ticket::Ticket;

#[derive(Serialize)]
struct Introspection<'a> {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    client_id: &'a str,
    token_type: &'static str,
    exp: u64,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(flatten)]
    identity: IdentityFields<'a>,
}

/// `token=TICKET` -> who it is; only `{"active":false}` for anything but a live ticket of the service's apps.
pub(crate) async fn introspect(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let form = Form::read(request, state.settings.body_timeout).await?;
    let TokenClient::Service(service) = caller(&state, &headers, &form)? else {
        return Err(ApiError::new(ErrorCode::InvalidClient, "introspection is for services"));
    };
    let ticket = live_ticket(&state, form.required("token")?).await.filter(|ticket| service.sees(ticket));
    let answer = ticket.as_ref().and_then(|ticket| active(&state, ticket));
    Ok(answer.map_or_else(|| json_answer(&json!({ "active": false })), |active| json_answer(&active)))
}

fn active<'a>(state: &'a AppState, ticket: &'a Ticket) -> Option<Introspection<'a>> {
    let app = state.app(ticket.app().as_str())?;
    Some(Introspection {
        active: true,
        sub: subject(app.subject, ticket.session()),
        client_id: ticket.app().as_str(),
        token_type: "AuthTicket",
        exp: ticket.expires_at().as_u64(),
        iat: ticket.issued_at().as_u64(),
        iss: state.settings.issuer.as_deref(),
        identity: IdentityFields::new(ticket, app),
    })
}
