//! `POST /v1/token`: a ticket in exchange for a JWT that a service checks by itself (RFC 8693, RFC 9068).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;

use crate::http::answer::json_answer;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::services::access_token::{AccessToken, AccessTokenRequest};
use crate::http::services::client_auth::{TokenClient, caller};
use crate::http::services::form::Form;
use crate::http::settings::{Audience, Service};
use crate::http::state::AppState;
use crate::keyring::Purpose;
use crate::ticket::{Ticket, UnverifiedTicket};

/// The only grant (RFC 8693 section 2.1).
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What a ticket is called where token types have names.
const TICKET_TYPE: &str = "urn:auth-ticket:params:oauth:token-type:auth-ticket";
const ACCESS_TOKEN_URN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[derive(Serialize)]
struct TokenObject {
    access_token: String,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Form of RFC 8693 -> an access token.
pub(crate) async fn exchange(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let form = Form::read(request, state.settings.body_timeout).await?;
    let caller = caller(&state, &headers, &form)?;
    if form.required("grant_type")? != GRANT_TYPE {
        return Err(ApiError::new(ErrorCode::UnsupportedGrantType, "the only grant is token exchange"));
    }
    if form.required("subject_token_type")? != TICKET_TYPE {
        return Err(ApiError::invalid_request("subject_token_type is not that of a ticket"));
    }
    if form.one("requested_token_type")?.is_some_and(|requested| requested != ACCESS_TOKEN_URN) {
        return Err(ApiError::invalid_request("requested_token_type is not an access token"));
    }
    refuse_more_than_is_given(&form)?;
    let ticket = live_ticket(&state, form.required("subject_token")?).await.ok_or(NO_LIVE_TICKET)?;
    let audience = audience(&state, &caller, &ticket, target(&form)?)?;
    let scope = scope(&form, audience)?;
    let client_id = match caller {
        TokenClient::Service(service) => &service.id,
        TokenClient::Public(appid) => appid,
    };
    let request = AccessTokenRequest {
        ticket: &ticket,
        app: state.app(ticket.app().as_str()).ok_or(NO_LIVE_TICKET)?,
        audience: &audience.name,
        client_id,
        scope: scope.as_deref(),
        own: Some(&audience.claims),
    };
    let token = AccessToken::sign(&state.ring(), &state.settings, state.now(), request)?;
    Ok(json_answer(&TokenObject {
        access_token: token.text,
        issued_token_type: ACCESS_TOKEN_URN,
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope,
    }))
}

/// Refuses what no token here has: one without it would be taken for one that has it.
fn refuse_more_than_is_given(form: &Form) -> Result<(), ApiError> {
    for name in ["actor_token", "actor_token_type"] {
        if form.one(name)?.is_some() {
            return Err(ApiError::invalid_request("no delegation is made; leave actor_token and actor_token_type out"));
        }
    }
    Ok(())
}

/// Whom the client asks for, by `audience` or by `resource` (RFC 8707), which name the same here.
fn target(form: &Form) -> Result<Option<&str>, ApiError> {
    match (form.one("audience")?, form.one("resource")?) {
        (Some(audience), Some(resource)) if audience != resource => {
            Err(ApiError::new(ErrorCode::InvalidTarget, "audience and resource differ; a token is for one audience"))
        }
        (audience, resource) => Ok(audience.or(resource)),
    }
}

const NO_LIVE_TICKET: ApiError = ApiError::invalid_request("subject_token is no live ticket of an app of this client");

/// The ticket in `text`, if it is one and has not ended; here the end has no leeway.
pub(crate) async fn live_ticket(state: &AppState, text: &str) -> Option<Ticket> {
    let claimed = || UnverifiedTicket::parse(text.as_bytes());
    let ticket = state.open(claimed, Purpose::Ticket).await.ok()?;
    (state.now() < ticket.expires_at()).then_some(ticket)
}

/// Whom the token is for, if this caller may ask for that with a ticket of this app.
fn audience<'a>(
    state: &'a AppState,
    caller: &TokenClient<'_>,
    ticket: &Ticket,
    asked: Option<&str>,
) -> Result<&'a Audience, ApiError> {
    let is_public = match caller {
        TokenClient::Service(service) if service.sees(ticket) => false,
        TokenClient::Public(appid) if *appid == ticket.app().as_str() => true,
        _ => return Err(NO_LIVE_TICKET),
    };
    let is_allowed = |audience: &&Audience| audience.apps.contains(ticket.app()) && (audience.is_public || !is_public);
    let mut allowed = state.settings.jwt.audiences.iter().filter(is_allowed);
    let Some(asked) = asked else {
        return match (allowed.next(), allowed.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(ApiError::new(ErrorCode::InvalidTarget, "this client may ask for no audience")),
            (Some(_), Some(_)) => Err(ApiError::invalid_request("audience is missing")),
        };
    };
    let refused = "this client may not ask for this audience with a ticket of this app";
    allowed.find(|audience| audience.name == asked).ok_or(ApiError::new(ErrorCode::InvalidTarget, refused))
}

/// The scopes that the client asks for, if `audience` has all of them; each once, in the order asked for.
fn scope(form: &Form, audience: &Audience) -> Result<Option<String>, ApiError> {
    let Some(asked) = form.one("scope")? else { return Ok(None) };
    let mut scopes = Vec::new();
    for scope in asked.split(' ') {
        if !audience.scopes.iter().any(|known| known == scope) {
            let none = "tokens have no scopes here; leave scope out";
            let unknown = "this audience has no such scope";
            return Err(ApiError::new(
                ErrorCode::InvalidScope,
                if audience.scopes.is_empty() { none } else { unknown },
            ));
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(Some(scopes.join(" ")))
}

impl Service {
    /// Whether the service may see this ticket.
    pub(crate) fn sees(&self, ticket: &Ticket) -> bool {
        self.apps.contains(ticket.app())
    }
}
