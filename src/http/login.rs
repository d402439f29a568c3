//! `POST /v1/login`; and the only place where a platform's [`Identity`] becomes what a ticket carries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::error::{ApiError, ErrorCode};
use super::request::{BodyKind, body_kind, json_object, read_body};
use super::{App, AppState, json_answer};
use crate::clock::UnixSeconds;
use crate::keyring::{AppId, KeyUse, Purpose};
use crate::platform::{Code, FailedReason, Identity, PlatformError};
use crate::request_id::RequestId;
use crate::ticket::{ClaimError, LoginId, OpenError, PlatformId, SealedTicket, Session, SessionKey};

#[derive(Deserialize)]
struct LoginRequest {
    code: String,
    appid: Option<String>,
}

/// `{"code","appid"}` -> ticket object.
pub(super) async fn login(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    if body_kind(request.headers()) != BodyKind::Json {
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, "send the body as application/json"));
    }
    let request_id = RequestId::of_request(&request);
    let body = read_body(request, state.settings.body_timeout).await?;
    let LoginRequest { code, appid } = json_object(&body)
        .ok_or(ApiError::invalid_request("the body is not JSON with the text code and perhaps the text appid"))?;
    let app = chosen_app(&state, appid.as_deref())?;
    let (sealed, now) = exchange(&state, app, code, Purpose::Ticket, &request_id).await?;
    Ok(json_answer(&TicketObject::new(&sealed, now)))
}

/// The app that a login is for.
///
/// # Errors
/// 403 for an app that is not configured, and for none where there are several.
pub(super) fn chosen_app<'a>(state: &'a AppState, appid: Option<&str>) -> Result<&'a App, ApiError> {
    match appid {
        Some(appid) => state.app(appid).ok_or(ApiError::new(ErrorCode::WrongApp, "this server has no such app")),
        None => state.only_app().ok_or(ApiError::new(ErrorCode::AppRequired, "say which app: appid is missing")),
    }
}

/// Spends `code` at the platform of `app` and seals what comes back for `purpose`.
///
/// # Errors
/// Every [`PlatformError`]; and before the code is spent, that there is no key to seal with.
pub(super) async fn exchange(
    state: &Arc<AppState>,
    app: &App,
    code: String,
    purpose: Purpose,
    request_id: &RequestId,
) -> Result<(SealedTicket, UnixSeconds), ApiError> {
    let result = log_in(state, app, code, purpose, request_id).await;
    state.metrics.logged_in(app.id.as_str(), result.as_ref().map_or_else(|error| error.code().as_str(), |_| "ok"));
    result
}

async fn log_in(
    state: &Arc<AppState>,
    app: &App,
    code: String,
    purpose: Purpose,
    request_id: &RequestId,
) -> Result<(SealedTicket, UnixSeconds), ApiError> {
    let code =
        Code::parse(code).map_err(|_| ApiError::invalid_request("code is not 1 to 512 printable ASCII characters"))?;
    if code.is_devtools_mock() {
        return Err(ApiError::new(
            ErrorCode::InvalidCode,
            "this is the mock code of the developer tools; set a real appid in the project to get a real one",
        ));
    }
    if state.ring().sealing_key(KeyUse::Ticket, state.now()).is_none() {
        return Err(ApiError::from(crate::ticket::SealError::NoSealingKey));
    }
    let session = state.flights.join(&app.id, &code, spend(Arc::clone(state), app.id.clone(), &code)).await?;
    // The ring is taken anew: the platform may have let us wait across a reload.
    let (ring, now) = (state.ring(), state.now());
    if session.is_cut_off(&ring, &app.id) {
        return Err(ApiError::from(OpenError::Revoked));
    }
    let sealed = session.seal(&ring, &app.id, purpose, now, &state.settings.policy)?;
    state.metrics.sealed(sealed.kid(), purpose);
    let openid_hash = openid_hash(&app.id, &session);
    tracing::info!(%request_id, appid = %app.id, login_id = %session.login_id, openid_hash, "logged in");
    Ok((sealed, now))
}

/// The exchange itself, free of the request that asked for it.
fn spend(
    state: Arc<AppState>,
    app: AppId,
    code: &Code,
) -> impl Future<Output = Result<Arc<Session>, PlatformError>> + Send + 'static {
    let code = code.duplicate();
    async move {
        let failed = || PlatformError::Failed(FailedReason::Malformed);
        let began = Instant::now();
        let result = state.app(app.as_str()).ok_or_else(failed)?.platform.exchange(&code).await;
        state.metrics.exchanged(app.as_str(), began.elapsed(), result.as_ref().err());
        let identity = result?;
        let login_id = LoginId::generate().map_err(|_| failed())?;
        session_of(identity, login_id, state.now()).map(Arc::new).map_err(|_| failed())
    }
}

/// 16 hex digits of SHA-256 over appid, a zero byte and openid: finds a known user's lines, tells of no unknown one.
fn openid_hash(app: &AppId, session: &Session) -> String {
    let sum =
        Sha256::new().chain_update(app.as_str()).chain_update([0]).chain_update(session.openid.as_str()).finalize();
    hex::encode(sum.first_chunk::<8>().copied().unwrap_or_default())
}

fn session_of(identity: Identity, login_id: LoginId, auth_time: UnixSeconds) -> Result<Session, ClaimError> {
    let (openid, unionid, session_key) = identity.into_parts();
    Ok(Session {
        openid: PlatformId::parse(&openid)?,
        unionid: unionid.map(|unionid| PlatformId::parse(&unionid)).transpose()?,
        session_key: session_key.map(|session_key| SessionKey::parse(session_key.expose())).transpose()?,
        phone: None,
        owner_claims: None,
        login_id,
        auth_time,
    })
}

/// What login and renewal answer.
#[derive(Serialize)]
pub(super) struct TicketObject<'a> {
    ticket: &'a str,
    token_type: &'static str,
    /// Seconds from now.
    expires_in: u64,
    expires_at: String,
    session_expires_at: String,
}

impl<'a> TicketObject<'a> {
    pub(super) fn new(sealed: &'a SealedTicket, now: UnixSeconds) -> Self {
        Self {
            ticket: sealed.text(),
            token_type: "AuthTicket",
            expires_in: sealed.expires_at().since(now),
            expires_at: sealed.expires_at().to_string(),
            session_expires_at: sealed.session_expires_at().to_string(),
        }
    }
}
