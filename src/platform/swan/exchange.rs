//! Login codes: the interface without an access token, and the newer one with one.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::platform::app_client::AppClient;
use crate::platform::app_token::{AppToken, AppTokens};
use crate::platform::client::{JsonAnswer, PlatformRequest, RequestBody, integer};
use crate::platform::{Code, Errcode, ErrorDetail, FailedReason, Identity, PlatformError, Rid};
use crate::secret::SecretText;

pub(super) const PATH: &str = "oauth/jscode2sessionkey";
pub(super) const TOKEN_LOGIN_PATH: &str = "rest/2.0/smartapp/getsessionkey";
const TOKEN_PATH: &str = "oauth/2.0/token";
/// Where access tokens are given and taken.
const OPEN_API: Option<&str> = Some("https://openapi.baidu.com");

/// "Parameter is invalid". The only number of a login that is known; a code that is none gets it.
const BAD_PARAMETER: i64 = 10_010_100;
/// An access token that is none, and one that has ended.
const BAD_TOKEN: i64 = 110;
const ENDED_TOKEN: i64 = 111;

/// How long before its end a token is replaced. Whether the one before stays good is not documented.
const OVERLAP: Duration = Duration::from_secs(300);
/// Tokens of this platform live for a month.
const MAX_LIFE: Duration = Duration::from_secs(31 * 86400);

/// Who somebody is, in the words of either interface.
#[derive(Deserialize)]
struct SessionAnswer {
    #[serde(alias = "open_id")]
    openid: Option<String>,
    session_key: Option<String>,
}

impl SessionAnswer {
    fn identity(self) -> Result<Identity, PlatformError> {
        let session_key = self.session_key.map(SecretText::new);
        let openid = self.openid.filter(|openid| !openid.is_empty()).ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.as_ref().map(SecretText::expose);
        Identity::parse(&openid, None, session_key).map_err(|error| FailedReason::Identity(error).into())
    }
}

/// Spends `code` at the interface that takes App Key and App Secret.
pub(super) async fn log_in(app: &AppClient, code: &Code) -> Result<Identity, PlatformError> {
    let form = vec![("code", code.expose()), ("client_id", &*app.appid), ("sk", app.secret())];
    let request = PlatformRequest { path: PATH, body: RequestBody::Form(form), ..PlatformRequest::default() };
    checked(app.http.send(&request).await?)?.read::<SessionAnswer>()?.identity()
}

/// Logins at the interface that takes an access token.
pub(super) struct TokenLogins {
    app: Arc<AppClient>,
    tokens: AppTokens,
}

impl TokenLogins {
    pub(super) fn new(app: Arc<AppClient>) -> Self {
        let tokens = app.tokens(TOKEN_PATH, |app, start| async move { fetch(&app, start).await });
        Self { app, tokens }
    }

    /// Spends `code`.
    pub(super) async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            data: Option<SessionAnswer>,
        }
        let attempt = |token: Arc<AppToken>| async move {
            let request = PlatformRequest {
                path: TOKEN_LOGIN_PATH,
                host: OPEN_API,
                query: vec![("access_token", token.expose()), ("code", code.expose())],
                // A POST, as the platform's own library sends it.
                body: RequestBody::Form(Vec::new()),
                ..PlatformRequest::default()
            };
            checked(self.app.http.send(&request).await?)
        };
        let answer = self.tokens.call(attempt, refused_token).await?;
        answer.read::<Success>()?.data.ok_or(FailedReason::NoOpenid)?.identity()
    }
}

async fn fetch(app: &AppClient, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Option<String>,
        #[serde(default)]
        expires_in: Value,
        #[serde(default)]
        error: Value,
    }
    let request = PlatformRequest {
        path: TOKEN_PATH,
        host: OPEN_API,
        query: vec![
            ("grant_type", "client_credentials"),
            ("client_id", &app.appid),
            ("client_secret", app.secret()),
            ("scope", "smartapp_snsapi_base"),
        ],
        // OAuth 2.0 says who is unknown with this status.
        also: Some(401),
        ..PlatformRequest::default()
    };
    let answer = app.http.send(&request).await?;
    let Answer { access_token, expires_in, error } = checked(answer)?.read()?;
    let text = access_token.map(SecretText::new);
    if let Some(word) = error.as_str().and_then(Errcode::parse_text) {
        return Err(meaning_of_a_word(word));
    }
    let life_s = integer(&expires_in).and_then(|life_s| u64::try_from(life_s).ok()).ok_or(FailedReason::Malformed)?;
    let life = Duration::from_secs(life_s).min(MAX_LIFE);
    AppToken::new(text.ok_or(FailedReason::Malformed)?, start, life, OVERLAP)
}

fn meaning_of_a_word(word: Errcode) -> PlatformError {
    let blames_the_app =
        matches!(&word, Errcode::Text(text) if matches!(&**text, "invalid_client" | "unauthorized_client"));
    let detail = ErrorDetail::new(word, None);
    if blames_the_app {
        PlatformError::misconfigured(detail)
    } else {
        PlatformError::Failed(FailedReason::UnknownErrcode(detail))
    }
}

/// The answer, if it is a success. An `errno` is the interface's own; an `error_code` is of the gateway in front of it.
fn checked(answer: JsonAnswer) -> Result<JsonAnswer, PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        errno: Value,
        #[serde(default)]
        error_code: Value,
        #[serde(default)]
        request_id: Value,
    }
    let Verdict { errno, error_code, request_id } = answer.read()?;
    let errcode = [errno, error_code].into_iter().find(|code| !code.is_null()).unwrap_or_default();
    if errcode.is_null() {
        return Ok(answer);
    }
    match integer(&errcode).ok_or(FailedReason::Malformed)? {
        0 => Ok(answer),
        errcode => {
            let detail = ErrorDetail::new(errcode, request_id.as_str().and_then(Rid::parse));
            Err(match errcode {
                BAD_PARAMETER => PlatformError::InvalidCode(detail),
                _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
            })
        }
    }
}

/// What the platform said, if that was about the access token, so that it did not look at the code.
fn refused_token(error: &PlatformError) -> Option<ErrorDetail> {
    match error {
        PlatformError::Failed(FailedReason::UnknownErrcode(detail))
            if matches!(detail.errcode(), Some(&Errcode::Number(BAD_TOKEN | ENDED_TOKEN))) =>
        {
            Some(detail.clone())
        }
        _ => None,
    }
}
