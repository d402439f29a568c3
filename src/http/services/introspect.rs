//! `POST /v1/introspect`: what a ticket or an access token is, for services that would rather ask than check (RFC 7662).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::{LEEWAY_S, UnixSeconds};
use crate::http::answer::json_answer;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::identity::{IdentityFields, subject};
use crate::http::services::client_auth::{TokenClient, caller};
use crate::http::services::form::Form;
use crate::http::services::token::live_ticket;
use crate::http::settings::{Service, Settings};
use crate::http::state::AppState;
use crate::jwt::VerifyError;
use crate::keyring::{AppId, KeyRing, LoginId};
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

/// The claims of an access token that we have signed. Strict for what is looked at here: each once, and of its type.
#[derive(Deserialize, Serialize)]
struct IssuedToken {
    iss: String,
    aud: String,
    exp: u64,
    iat: u64,
    appid: String,
    openid: String,
    login_id: String,
    auth_time: u64,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Serialize)]
struct TokenIntrospection {
    active: bool,
    token_type: &'static str,
    #[serde(flatten)]
    token: IssuedToken,
}

/// `token=TICKET` or `token=JWT` -> who it is; only `{"active":false}` for anything but a live ticket, or a live access token
/// of ours, of the service's apps.
pub(crate) async fn introspect(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let form = Form::read(request, state.settings.body_timeout).await?;
    let TokenClient::Service(service) = caller(&state, &headers, &form)? else {
        return Err(ApiError::new(ErrorCode::InvalidClient, "introspection is for services"));
    };
    let token = form.required("token")?;
    // No ticket has a dot, and every JWT has two.
    if token.contains('.') {
        let active = live_access_token(&state, service, token).await;
        return Ok(active.map_or_else(inactive, |active| json_answer(&active)));
    }
    let ticket = live_ticket(&state, token).await.filter(|ticket| service.sees(ticket));
    let answer = ticket.as_ref().and_then(|ticket| active(&state, ticket));
    Ok(answer.map_or_else(inactive, |active| json_answer(&active)))
}

fn inactive() -> Response {
    json_answer(&json!({ "active": false }))
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

/// The access token in `text`, if it is ours, not over, not revoked, and of an app that the service may see.
async fn live_access_token(state: &AppState, service: &Service, text: &str) -> Option<TokenIntrospection> {
    let attempt = || {
        let (live, now) = (state.ring(), state.now());
        let token: IssuedToken = live.verify(now, state.settings.jwt.typ.as_str(), text)?;
        let is_live = token.is_live(&live, &state.settings, now).is_some_and(|app| service.apps.contains(&app));
        if is_live { Ok(token) } else { Err(VerifyError::Invalid) }
    };
    let is_unknown = |result: &Result<_, VerifyError>| matches!(result, Err(VerifyError::UnknownKey(_)));
    let token = state.opener.with_look(attempt, is_unknown).await.ok()?;
    Some(TokenIntrospection { active: true, token_type: "Bearer", token })
}

impl IssuedToken {
    /// The app, if the token is an access token, its time has come and is not over, nor is that of its session, and no
    /// cut-off meets it. The ends have no leeway; clocks of replicas may differ, so the beginning has.
    fn is_live(&self, ring: &KeyRing, settings: &Settings, now: UnixSeconds) -> Option<AppId> {
        let app = AppId::parse(&self.appid).ok()?;
        let login_id = LoginId::parse(&self.login_id).ok()?;
        let auth_time = UnixSeconds::new(self.auth_time);
        let is_access_token = settings.issuer.as_ref() == Some(&self.iss)
            && settings.jwt.audiences.iter().any(|audience| audience.name == self.aud && audience.apps.contains(&app));
        let is_in_time = now < UnixSeconds::new(self.exp)
            && UnixSeconds::new(self.iat) <= now.plus(LEEWAY_S)
            && now < auth_time.plus(settings.policy.max_session_s);
        let is_cut_off = ring.cutoffs().cuts_off(&app, &self.openid, login_id, auth_time);
        (is_access_token && is_in_time && !is_cut_off).then_some(app)
    }
}
