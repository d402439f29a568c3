//! What the sealed `session_key` is asked for: whether it still lives, and to be replaced.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use serde_json::json;

use crate::bearer::presented_ticket;
use crate::claims::SessionKey;
use crate::http::answer::json_answer;
use crate::http::clients::login::TicketObject;
use crate::http::error::{ApiError, ErrorCode, Stake, require};
use crate::http::labels::Interface;
use crate::http::settings::App;
use crate::http::state::AppState;
use crate::keyring::Purpose;
use crate::platform::{Capability, PlatformError};
use crate::ticket::Ticket;

const STALE: ApiError = ApiError::new(
    ErrorCode::SessionKeyStale,
    "the session_key in the ticket is not the user's any more; log in again, then ask for the data again",
);

/// `POST /v1/session/check`: ticket header -> whether the platform still encrypts with the `session_key` in the ticket.
pub(crate) async fn check(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    require(app, Capability::CheckSession)?;
    let session_key = &of_ticket(&state, &ticket)?;
    state.quotas.session_key.admit(&app.id, ticket.session().login_id)?;
    let is_valid = ask(&state, app, &ticket, session_key).await;
    let is_valid = is_valid.map_err(|error| ApiError::of_platform(&error, Stake::Nothing))?;
    Ok(json_answer(&json!({ "session_key_valid": is_valid })))
}

/// `POST /v1/session/reset`: ticket header -> ticket object with another `session_key` inside, after the platform has
/// replaced it. The one in the ticket sent, and in all other tickets of the user, is of no use from then on.
pub(crate) async fn reset(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    require(app, Capability::ResetSession)?;
    let mut session = state.unsealed(&ticket)?;
    let session_key = session.session_key.as_ref().ok_or(NONE)?;
    state.can_seal()?;
    state.quotas.session_key.admit(&app.id, ticket.session().login_id)?;
    let reset = app.platform.reset_session(&ticket.session().openid, session_key);
    let reset = state.upstream.call(app, Interface::ResetSession, reset).await;
    let new = reset.map_err(|error| ApiError::of_platform(&error, Stake::Nothing))?.ok_or(STALE)?;
    session.session_key = Some(new);
    let (sealed, now) = state.seal(&app.id, &session, Purpose::Ticket)?;
    Ok(json_answer(&TicketObject::new(&sealed, now)))
}

const NONE: ApiError = ApiError::invalid_request("the platform gave no session_key with this login");

/// The `session_key` that came with the login, with its seal taken off.
///
/// # Errors
/// 400: the platform gave none. 401: what is sealed in the ticket is none.
pub(crate) fn of_ticket(state: &AppState, ticket: &Ticket) -> Result<SessionKey, ApiError> {
    ticket.session_key(&state.ring(), state.now())?.ok_or(NONE)
}

/// Requires that the platform says that `session_key` lives; it is asked no more often than the quota of the login allows.
///
/// # Errors
/// 400 for a stale one, 429, and those of the platform.
pub(crate) async fn require_live(
    state: &Arc<AppState>,
    app: &App,
    ticket: &Ticket,
    session_key: &SessionKey,
) -> Result<(), ApiError> {
    state.quotas.session_key.admit(&app.id, ticket.session().login_id)?;
    match ask(state, app, ticket, session_key).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(STALE),
        Err(error) => Err(ApiError::of_platform(&error, Stake::Nothing)),
    }
}

/// What to say of data that cannot be used, for whatever reason: the cause is for the log alone. That the `session_key`
/// is stale is said only if the platform says so, which it is asked no more often than the quota
/// of the login allows.
pub(crate) async fn blame(
    state: &Arc<AppState>,
    app: &App,
    ticket: &Ticket,
    session_key: &SessionKey,
    cause: &impl ToString,
) -> ApiError {
    let said = if !app.platform.facts().has(Capability::CheckSession) {
        "the platform cannot say whether the session_key lives".to_owned()
    } else if state.quotas.session_key.admit(&app.id, ticket.session().login_id).is_ok() {
        match ask(state, app, ticket, session_key).await {
            Ok(false) => return STALE.because(cause),
            Ok(true) => "the platform says that the session_key lives".to_owned(),
            Err(error) => format!("whether the session_key lives is unknown: {error}"),
        }
    } else {
        "the platform was not asked again whether the session_key lives".to_owned()
    };
    let cause = format_args!("{}; {said}", cause.to_string());
    ApiError::new(ErrorCode::BadUserData, "the data is not what the platform encrypted or signed for this login")
        .because(&cause)
}

async fn ask(
    state: &Arc<AppState>,
    app: &App,
    ticket: &Ticket,
    session_key: &SessionKey,
) -> Result<bool, PlatformError> {
    let answer = app.platform.check_session(&ticket.session().openid, session_key);
    state.upstream.call(app, Interface::CheckSession, answer).await
}
