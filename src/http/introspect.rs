//! `POST /v1/introspect`: what a ticket is, for services that would rather ask than check (RFC 7662).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::client_auth::{Caller, caller};
use super::error::{ApiError, ErrorCode};
use super::form::Form;
use super::token::{live_ticket, subject};
use super::{AppState, json_answer};
use crate::ticket::{PhoneNumber, PlatformId, Ticket};

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
    auth_time: u64,
    appid: &'a str,
    platform: &'static str,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    login_id: String,
}

/// `token=TICKET` -> who it is; `{"active":false}` and nothing more for whatever is no live ticket of the service's apps.
pub(super) async fn introspect(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let form = Form::read(&state, request).await?;
    let Caller::Service(service) = caller(&state, &headers, &form)? else {
        return Err(ApiError::new(ErrorCode::InvalidClient, "introspection is for services"));
    };
    let ticket = live_ticket(&state, form.required("token")?).await.filter(|ticket| service.sees(ticket));
    let answer = ticket.as_ref().and_then(|ticket| active(&state, ticket));
    Ok(answer.map_or_else(|| json_answer(&json!({ "active": false })), |active| json_answer(&active)))
}

fn active<'a>(state: &'a AppState, ticket: &'a Ticket) -> Option<Introspection<'a>> {
    let (app, session) = (state.app(ticket.app().as_str())?, ticket.session());
    Some(Introspection {
        active: true,
        sub: subject(app.subject, ticket),
        client_id: ticket.app().as_str(),
        token_type: "AuthTicket",
        exp: ticket.expires_at().as_u64(),
        iat: ticket.issued_at().as_u64(),
        iss: state.settings.issuer.as_deref(),
        auth_time: session.auth_time.as_u64(),
        appid: ticket.app().as_str(),
        platform: app.platform.name(),
        openid: session.openid.as_str(),
        unionid: session.unionid.as_ref().map(PlatformId::as_str),
        phone_number: session.phone.as_ref().map(PhoneNumber::as_str),
        login_id: session.login_id.to_string(),
    })
}
