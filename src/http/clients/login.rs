//! `POST /v1/login`; and the only place where a platform's [`Identity`] becomes what a ticket carries.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::field::display;

use crate::bearer::Refusal;
use crate::clock::UnixSeconds;
use crate::http::answer::json_answer;
use crate::http::clients::owner_claims::AskPermit;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::{HookEvent, Interface};
use crate::http::request::{json_body, json_object};
use crate::http::settings::App;
use crate::http::state::AppState;
use crate::http::transport::peer::ClientAddress;
use crate::keyring::{AppId, LoginId, Purpose};
use crate::platform::{Code, FailedReason, Identity, PlatformError};
use crate::request_id::RequestId;
use crate::ticket::{SealedTicket, Session};

#[derive(Deserialize)]
struct LoginRequest {
    code: String,
    appid: Option<String>,
}

/// `{"code","appid"}` -> ticket object.
pub(crate) async fn login(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let caller = LoginOrigin::of(&request, &state);
    let body = json_body(request, state.settings.body_timeout).await?;
    let LoginRequest { code, appid } = json_object(&body)
        .ok_or(ApiError::invalid_request("the body is not JSON with the text code and perhaps the text appid"))?;
    let app = chosen_app(&state, appid.as_deref())?;
    let (sealed, now) = exchange(&state, app, code, Purpose::Ticket, &caller).await?;
    Ok(json_answer(&TicketObject::new(&sealed, now)))
}

/// The app that a login is for.
///
/// # Errors
/// 403 for an app that is not configured, and for none (or an empty one) where there are several and none is the default.
pub(crate) fn chosen_app<'a>(state: &'a AppState, appid: Option<&str>) -> Result<&'a App, ApiError> {
    let Some(appid) = appid.filter(|appid| !appid.is_empty()) else {
        let missing = ApiError::new(ErrorCode::AppRequired, "say which app: appid is missing");
        return state.default_app().map(|served| &served.app).ok_or(missing);
    };
    state.app(appid).ok_or(ApiError::new(ErrorCode::Refused(Refusal::WrongApp), "this server has no such app"))
}

/// Who wants to log in, as far as it is known before.
#[derive(Debug)]
pub(crate) struct LoginOrigin {
    pub(crate) request_id: RequestId,
    /// Whom the login counts for, if that matters.
    pub(crate) address: Option<ClientAddress>,
    /// Where the request comes from, for the log.
    pub(crate) client: Option<IpAddr>,
}

impl LoginOrigin {
    pub(crate) fn of(request: &Request, state: &AppState) -> Self {
        Self {
            request_id: RequestId::of_request(request),
            address: state.limits.address_of(request),
            client: state.limits.client(request),
        }
    }
}

/// Spends `code` at the platform of `app` and seals what comes back for `purpose`.
///
/// # Errors
/// Every [`PlatformError`]; and before the code is spent, that there is no key to seal with, or a limit is reached.
pub(crate) async fn exchange(
    state: &Arc<AppState>,
    app: &App,
    code: String,
    purpose: Purpose,
    caller: &LoginOrigin,
) -> Result<(SealedTicket, UnixSeconds), ApiError> {
    let result = log_in(state, app, code, purpose, caller).await;
    state.metrics.logged_in(app.id.as_str(), result.as_ref().map_or_else(|error| error.code().as_str(), |_| "ok"));
    result
}

async fn log_in(
    state: &Arc<AppState>,
    app: &App,
    code: String,
    purpose: Purpose,
    LoginOrigin { request_id, address, client }: &LoginOrigin,
) -> Result<(SealedTicket, UnixSeconds), ApiError> {
    if let Some(why) = app.platform.explain_code(&code) {
        return Err(ApiError::new(ErrorCode::InvalidCode, why));
    }
    let code =
        Code::parse(code).map_err(|_| ApiError::invalid_request("code is not 1 to 512 printable ASCII characters"))?;
    state.can_seal()?;
    state.limits.admit_login(*address, &app.id)?;
    let (flights, asks_the_owner) = match purpose {
        Purpose::LoginHandle => (&state.handle_flights, false),
        _ => (&state.login_flights, true),
    };
    let exchange = spend(Arc::clone(state), app.id.clone(), &code, asks_the_owner);
    let session = flights.join(&app.id, None, &code, exchange).await?;
    // The ring is taken anew: platform and owner may have let us wait across a reload.
    let (sealed, now) = state.seal(&app.id, &session, purpose)?;
    let (openid_hash, client) = (openid_hash(&app.id, &session), client.map(display));
    tracing::info!(%request_id, client, appid = %app.id, login_id = %session.login_id, openid_hash, "logged in");
    Ok((sealed, now))
}

/// The exchange itself, free of the request that asked for it; and, unless it is only for a handle, what the owner says
/// of the user: who waits for the same code shares that, too.
fn spend(
    state: Arc<AppState>,
    app: AppId,
    code: &Code,
    asks_the_owner: bool,
) -> impl Future<Output = Result<Arc<Session>, ApiError>> + Send + 'static {
    let code = code.duplicate();
    async move {
        let failed = || PlatformError::Failed(FailedReason::Malformed);
        let app = state.app(app.as_str()).ok_or_else(failed)?;
        let turn = if asks_the_owner { Some(AskPermit::take(&state, &app.id, HookEvent::Login).await?) } else { None };
        let identity = state.upstream.call(app, Interface::Exchange, app.platform.exchange(&code)).await?;
        let login_id = LoginId::generate().map_err(|_| failed())?;
        let session = session_of(identity, login_id, state.now());
        let session = match turn {
            Some(turn) => turn.ask(&state, app, session, HookEvent::Login).await?,
            None => session,
        };
        Ok(Arc::new(session))
    }
}

/// 16 hex digits of SHA-256 over appid, a zero byte and openid: finds a known user's lines, tells of no unknown one.
fn openid_hash(app: &AppId, session: &Session) -> String {
    let sum =
        Sha256::new().chain_update(app.as_str()).chain_update([0]).chain_update(session.openid.as_str()).finalize();
    hex::encode(sum.first_chunk::<8>().copied().unwrap_or_default())
}

fn session_of(identity: Identity, login_id: LoginId, auth_time: UnixSeconds) -> Session {
    let Identity { openid, unionid, session_key } = identity;
    Session { openid, unionid, session_key, phone: None, owner_claims: None, login_id, auth_time }
}

/// What login, renewal and everything else that seals a ticket answer.
#[derive(Serialize)]
pub(crate) struct TicketObject<'a> {
    ticket: &'a str,
    token_type: &'static str,
    /// Seconds from now.
    expires_in: u64,
    expires_at: String,
    session_expires_at: String,
}

impl<'a> TicketObject<'a> {
    pub(crate) fn new(sealed: &'a SealedTicket, now: UnixSeconds) -> Self {
        Self {
            ticket: sealed.text(),
            token_type: "AuthTicket",
            expires_in: sealed.expires_at().since(now),
            expires_at: sealed.expires_at().to_string(),
            session_expires_at: sealed.session_expires_at().to_string(),
        }
    }
}
