//! Lark and Feishu mini-programs (gadgets) of an organisation's own apps.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `POST /open-apis/mina/v2/tokenLoginValidate`, with an app access token |
//! | access tokens | `POST /open-apis/auth/v3/app_access_token/internal` |
//!
//! Whoever asks for a token gets the same one until half an hour before its end; then there is a new one, and both are good. The
//! vendor files this login under its historic versions; it is the one that `tt.login` gives codes for.
//! <https://open.larksuite.com/document/uYjL24iN/ukjM04SOyQjL5IDN>,
//! <https://open.feishu.cn/document/server-docs/authentication-management/access-token/app_access_token_internal>

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::app_client::{AppClient, BUSY_RETRY_AFTER_S};
use super::app_token::{AppToken, AppTokens, blames_token};
use super::client::{JsonAnswer, PlatformRequest, RequestBody, integer};
use super::facts::Advice;
use super::{
    AppFacts, AppSetting, Code, Errcode, ErrorDetail, FailedReason, Identity, Kind, Platform, PlatformError,
    PlatformOptions, Requirement, SetupError,
};
use crate::outbound::concurrency::Share;
use crate::secret::SecretText;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "lark",
    program: "Lark and Feishu mini-programs",
    default_base_url: "https://open.feishu.cn",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[(AppSetting::Secret, Requirement::Required)],
    capabilities: &[],
    ids: "openid: open_id, one for each user and app; no unionid",
    code_life: "3 minutes, once",
    evidence: "vendor's pages, which call this login historic, and public clients",
    build: |options| Ok(Box::new(Lark::new(options)?)),
};

const LOGIN_PATH: &str = "open-apis/mina/v2/tokenLoginValidate";
const TOKEN_PATH: &str = "open-apis/auth/v3/app_access_token/internal";

/// What every token is good for, and how long before its end there is a new one.
const LAST_HALF_HOUR: Duration = Duration::from_secs(1800);
/// The platform promises at most two hours.
const MAX_LIFE: Duration = Duration::from_secs(7200);
/// Some of its refusals come with this status.
const ALSO: u16 = 400;

const BAD_PARAMETER: i64 = 10003;
const BAD_SECRET: i64 = 10014;
/// The interface's own number, and the one that all interfaces share.
const BAD_TOKEN: [i64; 2] = [10202, 99_991_664];
const BAD_CODE: i64 = 10213;
const NOT_VISIBLE: i64 = 10228;
const TOO_OFTEN: i64 = 99_991_400;

/// One Lark mini-program.
pub struct Lark {
    app: Arc<AppClient>,
    tokens: AppTokens,
}

impl Lark {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let tokens = app.tokens(TOKEN_PATH, |app, start| async move { fetch(&app, start).await });
        Ok(Self { app, tokens })
    }

    async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            data: Option<Session>,
        }
        /// Its `union_id`, where there still is one, is not the user's name across apps.
        #[derive(Deserialize)]
        struct Session {
            open_id: Option<String>,
            session_key: Option<String>,
        }
        let attempt = |token: Arc<AppToken>| async move {
            let bearer = SecretText::new(format!("Bearer {}", token.expose()));
            let request = PlatformRequest {
                path: LOGIN_PATH,
                headers: vec![("authorization", bearer.expose())],
                body: RequestBody::JsonUtf8(json!({ "code": code.expose() })),
                also: Some(ALSO),
                ..PlatformRequest::default()
            };
            checked(self.app.http.send(&request).await?)
        };
        let answer = self.tokens.call(attempt, blames_token(&BAD_TOKEN)).await?;
        let Session { open_id, session_key } = answer.read::<Success>()?.data.ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.map(SecretText::new);
        let open_id = open_id.filter(|open_id| !open_id.is_empty()).ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.as_ref().map(SecretText::expose);
        Identity::parse(&open_id, None, session_key).map_err(|error| FailedReason::Identity(error).into())
    }
}

async fn fetch(app: &AppClient, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        app_access_token: String,
        #[serde(default)]
        expire: Value,
    }
    let body = RequestBody::JsonUtf8(json!({ "app_id": app.appid, "app_secret": app.secret() }));
    let request = PlatformRequest { path: TOKEN_PATH, body, also: Some(ALSO), ..PlatformRequest::default() };
    let Success { app_access_token, expire } = checked(app.http.send(&request).await?)?.read()?;
    let text = SecretText::new(app_access_token);
    let life_s = if expire.is_null() { 0 } else { integer(&expire).ok_or(FailedReason::Malformed)? };
    let life = Duration::from_secs(u64::try_from(life_s).unwrap_or_default()).clamp(LAST_HALF_HOUR, MAX_LIFE);
    AppToken::new(text, start, life, LAST_HALF_HOUR)
}

/// The answer, if its `code` is 0.
fn checked(answer: JsonAnswer) -> Result<JsonAnswer, PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        code: Value,
    }
    match integer(&answer.read::<Verdict>()?.code) {
        Some(0) => Ok(answer),
        Some(code) => Err(meaning(code)),
        None => Err(FailedReason::Malformed.into()),
    }
}

fn meaning(code: i64) -> PlatformError {
    let detail = ErrorDetail::new(code, None);
    match code {
        BAD_CODE => PlatformError::InvalidCode(detail),
        NOT_VISIBLE => PlatformError::UserBlocked(detail),
        TOO_OFTEN => PlatformError::Busy { detail, retry_after_s: BUSY_RETRY_AFTER_S },
        BAD_PARAMETER | BAD_SECRET => PlatformError::misconfigured(detail),
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    }
}

fn advice(error: &PlatformError) -> Option<Advice> {
    match (error, error.errcode().and_then(Errcode::as_number)) {
        (PlatformError::Misconfigured { .. }, Some(BAD_SECRET)) => Some(Advice::about_the_secret(
            "the app secret is wrong; compare it with the one under Credentials in the developer console, and set base_url to \
             https://open.larksuite.com if the app is Lark's and not Feishu's",
        )),
        (PlatformError::Misconfigured { .. }, _) => Some(Advice::new(
            "the platform does not take this appid; it is the App ID of the developer console, which begins with cli_",
        )),
        (PlatformError::Failed(FailedReason::AccessToken(_)), _) => Some(Advice::new(
            "the platform refuses app access tokens that it has just given; see in the developer console whether the app is \
             enabled and of the kind that an organisation makes for itself",
        )),
        _ => None,
    }
}

impl Platform for Lark {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, LOGIN_PATH, self.log_in(code)))
    }
}

impl fmt::Debug for Lark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lark").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
