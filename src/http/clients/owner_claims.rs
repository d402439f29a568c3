//! The owner's own claims: at a login and at each renewal the owner's service is asked about the user, if there is one.

use std::sync::Arc;

use serde::Serialize;

use crate::hook::{CallError, Hook, HookPermit, Verdict};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::identity::{IdentityFields, subject};
use crate::http::labels::HookEvent;
use crate::http::settings::App;
use crate::http::state::AppState;
use crate::keyring::{AppId, LoginId};
use crate::ticket::Session;

/// `typ` of a question, so that it is taken for nothing else (RFC 8725 section 3.11).
const QUESTION_TYPE: &str = "claims-request+jwt";
/// A question's life, in seconds: the clocks of two machines may differ by as much.
const QUESTION_TTL_S: u64 = 60;

impl HookEvent {
    /// What a client does when there is no answer.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Login => "who the user is cannot be asked now; take a new code and try again",
            Self::Renewal => "who the user is cannot be asked now; keep the ticket and try again",
        }
    }
}

/// A question to the owner, in the body of a request, signed by us.
#[derive(Serialize)]
struct Question<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    aud: &'a str,
    exp: u64,
    iat: u64,
    jti: String,
    event: &'static str,
    #[serde(flatten)]
    identity: IdentityFields<'a>,
}

/// Permission to ask, if there is somebody to ask.
#[derive(Debug)]
pub(crate) struct AskPermit(Option<(Arc<Hook>, HookPermit)>);

impl AskPermit {
    /// To be had before anything is spent for the question about a user of `app`.
    ///
    /// # Errors
    /// There is no key to sign it with, the owner's service is left alone for the moment, or no permit came free in time.
    pub(crate) async fn take(state: &AppState, app: &AppId, event: HookEvent) -> Result<Self, ApiError> {
        let served = state.served(app.as_str());
        let Some(hook) = served.and_then(|served| served.hook.as_ref()) else { return Ok(Self(None)) };
        {
            let live = state.ring();
            live.signing(state.now())?;
        }
        let unasked = |error: CallError| {
            state.metrics.hook_called(event, error.as_str(), None);
            let told = match event {
                HookEvent::Login => "who the user is cannot be asked now; try again with the same code",
                HookEvent::Renewal => event.remedy(),
            };
            ApiError::no_verdict(&error, told)
        };
        let permit = match event {
            HookEvent::Login => hook.admit_login().await,
            HookEvent::Renewal => hook.admit_renewal().await,
        };
        Ok(Self(Some((Arc::clone(hook), permit.map_err(unasked)?))))
    }

    /// Asks, and gives the session with the claims that it has from now on.
    ///
    /// # Errors
    /// 403 when the owner does not know the user or blocks them; 503 when there is no usable answer.
    pub(crate) async fn ask(
        self,
        state: &AppState,
        app: &App,
        session: Session,
        event: HookEvent,
    ) -> Result<Session, ApiError> {
        let Some((hook, permit)) = self.0 else { return Ok(session) };
        let jwt = question(state, app, &session, hook.audience(), event)?;
        let (result, took) = hook.ask(permit, jwt).await;
        let outcome = match &result {
            Ok(Verdict::Known(_)) => "ok",
            Ok(Verdict::NotBound) => "not_bound",
            Ok(Verdict::Refused) => "refused",
            Err(error) => error.as_str(),
        };
        state.metrics.hook_called(event, outcome, Some(took));
        tracing::debug!(appid = %app.id, login_id = %session.login_id, event = event.as_str(), outcome, "claims: asked");
        match result {
            Ok(Verdict::Known(owner_claims)) => Ok(Session { owner_claims, ..session }),
            Ok(Verdict::NotBound) => {
                Err(ApiError::new(ErrorCode::NotBound, "the owner of this app does not know the user yet"))
            }
            Ok(Verdict::Refused) => Err(ApiError::new(ErrorCode::UserBlocked, "the owner of this app blocks the user")),
            Err(error) => Err(ApiError::no_verdict(&error, event.remedy())),
        }
    }
}

/// Asks the owner about the user of `session`, and gives the session with the claims that it has from now on. Without an
/// owner's service it stays as it is.
///
/// # Errors
/// 429 when this login has made us ask too often; as [`AskPermit::take`] and [`AskPermit::ask`].
pub(crate) async fn refresh(
    state: &AppState,
    app: &App,
    session: Session,
    event: HookEvent,
) -> Result<Session, ApiError> {
    if state.settings.hook.is_some() {
        state.quotas.claims.admit(&app.id, session.login_id)?;
    }
    AskPermit::take(state, &app.id, event).await?.ask(state, app, session, event).await
}

fn question(
    state: &AppState,
    app: &App,
    session: &Session,
    audience: &str,
    event: HookEvent,
) -> Result<String, ApiError> {
    let (live, now) = (state.ring(), state.now());
    let signing = live.signing(now)?;
    let jti = LoginId::generate().map_err(|_| ApiError::new(ErrorCode::Overloaded, "no randomness now; try again"))?;
    let question = Question {
        iss: state.settings.issuer.as_deref().unwrap_or_default(),
        sub: subject(app.subject, session),
        aud: audience,
        exp: now.plus(QUESTION_TTL_S.min(signing.max_ttl_s)).as_u64(),
        iat: now.as_u64(),
        jti: jti.to_string(),
        event: event.as_str(),
        identity: IdentityFields::of(session, app).for_jwt(&state.settings.jwt),
    };
    Ok(signing.sign(QUESTION_TYPE, &question)?)
}
