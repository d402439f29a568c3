//! `DingTalk` mini-programs of an organisation's own apps.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `POST https://oapi.dingtalk.com/topapi/v2/user/getuserinfo`, with an access token |
//! | access tokens | `POST https://api.dingtalk.com/v1.0/oauth2/accessToken` |
//!
//! A userid is unique within its corp, and the answer does not name the corp: it is the one whose app asks. So the openid is the
//! configured corp's id, a colon and the userid. Whoever asks for a token gets the same one, with a longer life.
//! <https://open.dingtalk.com/document/orgapp/obtain-the-userid-of-a-user-by-using-the-log-free>,
//! <https://open.dingtalk.com/document/orgapp/obtain-the-access_token-of-an-internal-app>

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
use super::error::address_in;
use super::facts::Advice;
use super::{
    AppFacts, AppSetting, Code, Errcode, ErrorDetail, FailedReason, Identity, Kind, Platform, PlatformError,
    PlatformOptions, Requirement, Rid, SetupError,
};
use crate::outbound::concurrency::Share;
use crate::secret::SecretText;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "dd",
    program: "DingTalk mini-programs",
    default_base_url: "https://oapi.dingtalk.com",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[(AppSetting::Secret, Requirement::Required), (AppSetting::CorpId, Requirement::Required)],
    capabilities: &[],
    ids: "openid: corp_id, a colon and the userid, which is unique within the corp; unionid: the same in all apps of a developer",
    code_life: "5 minutes, once",
    evidence: "vendor's pages, and public clients",
    build: |options| Ok(Box::new(Dd::new(options)?)),
};

const LOGIN_PATH: &str = "topapi/v2/user/getuserinfo";
const TOKEN_HOST: &str = "https://api.dingtalk.com";
const TOKEN_PATH: &str = "v1.0/oauth2/accessToken";

/// How long before its end a token's life is extended.
const OVERLAP: Duration = Duration::from_secs(300);
const MAX_LIFE: Duration = Duration::from_secs(7200);

/// What the interface for tokens says of credentials, with status 400.
const BAD_CREDENTIALS: &str = "invalidClientIdOrSecret";
/// Refused before the interface was reached; `sub_code` says why.
const BY_GATEWAY: i64 = 88;
const BAD_TOKEN: [i64; 2] = [40014, 42001];
const NOT_ALLOWED: i64 = 60011;
const BAD_ADDRESS: i64 = 60020;
const BAD_CODE: i64 = 40078;

/// One `DingTalk` mini-program.
pub struct Dd {
    app: Arc<AppClient>,
    tokens: AppTokens,
    corp_id: String,
}

impl Dd {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let tokens = app.tokens(TOKEN_PATH, |app, start| async move { fetch(&app, start).await });
        let corp_id = options.take_corp_id()?;
        Ok(Self { app, tokens, corp_id })
    }

    async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            result: Option<Member>,
        }
        #[derive(Deserialize)]
        struct Member {
            userid: Option<String>,
            unionid: Option<String>,
        }
        let attempt = |token: Arc<AppToken>| async move {
            let request = PlatformRequest {
                path: LOGIN_PATH,
                query: vec![("access_token", token.expose())],
                body: RequestBody::Json(json!({ "code": code.expose() })),
                ..PlatformRequest::default()
            };
            checked(self.app.http.send(&request).await?)
        };
        let answer = self.tokens.call(attempt, blames_token(&BAD_TOKEN)).await?;
        let Member { userid, unionid } = answer.read::<Success>()?.result.ok_or(FailedReason::NoOpenid)?;
        let userid = userid.filter(|userid| !userid.is_empty()).ok_or(FailedReason::NoOpenid)?;
        let openid = format!("{}:{userid}", self.corp_id);
        Identity::parse(&openid, unionid.as_deref(), None).map_err(|error| FailedReason::Identity(error).into())
    }
}

async fn fetch(app: &AppClient, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "accessToken")]
        access_token: Option<String>,
        #[serde(default, rename = "expireIn")]
        expire_in: Value,
        code: Option<String>,
        #[serde(alias = "requestId")]
        requestid: Option<String>,
    }
    let request = PlatformRequest {
        path: TOKEN_PATH,
        host: Some(TOKEN_HOST),
        body: RequestBody::Json(json!({ "appKey": app.appid, "appSecret": app.secret() })),
        also: Some(400),
        ..PlatformRequest::default()
    };
    let Answer { access_token, expire_in, code, requestid } = app.http.send(&request).await?.read()?;
    let Some(text) = access_token.map(SecretText::new) else {
        let errcode = code.as_deref().and_then(Errcode::parse_text).ok_or(FailedReason::Malformed)?;
        let detail = ErrorDetail::new(errcode, requestid.as_deref().and_then(Rid::parse));
        return Err(match code.as_deref() {
            Some(BAD_CREDENTIALS) => PlatformError::misconfigured(detail),
            _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
        });
    };
    let life_s = if expire_in.is_null() { None } else { Some(integer(&expire_in).ok_or(FailedReason::Malformed)?) };
    let life = life_s.map_or(MAX_LIFE, |life_s| Duration::from_secs(u64::try_from(life_s).unwrap_or_default()));
    AppToken::new(text, start, life.min(MAX_LIFE), OVERLAP)
}

/// The answer, if its `errcode` is 0.
fn checked(answer: JsonAnswer) -> Result<JsonAnswer, PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        errcode: Value,
        #[serde(default)]
        sub_code: Value,
        #[serde(default)]
        sub_msg: Value,
        #[serde(default)]
        request_id: Value,
    }
    let Verdict { errcode, sub_code, sub_msg, request_id } = answer.read()?;
    let rid = request_id.as_str().and_then(Rid::parse);
    match integer(&errcode) {
        Some(0) => Ok(answer),
        Some(BY_GATEWAY) => {
            let sub_code = integer(&sub_code).map(Errcode::Number).or_else(|| Errcode::parse_text(sub_code.as_str()?));
            let detail = ErrorDetail::new(sub_code.unwrap_or(Errcode::Number(BY_GATEWAY)), rid);
            Err(by_gateway(detail, sub_msg.as_str().unwrap_or_default()))
        }
        Some(errcode) => Err(meaning(errcode, rid)),
        None => Err(FailedReason::Malformed.into()),
    }
}

fn by_gateway(detail: ErrorDetail, sub_msg: &str) -> PlatformError {
    match detail.errcode().and_then(Errcode::as_number) {
        Some(NOT_ALLOWED) => PlatformError::misconfigured(detail),
        Some(BAD_ADDRESS) => {
            PlatformError::Misconfigured { detail, address: address_in(sub_msg), client_may_cause: false }
        }
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    }
}

fn meaning(errcode: i64, rid: Option<Rid>) -> PlatformError {
    let detail = ErrorDetail::new(errcode, rid);
    match errcode {
        BAD_CODE => PlatformError::InvalidCode(detail),
        -1 => PlatformError::Busy { detail, retry_after_s: BUSY_RETRY_AFTER_S },
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    }
}

fn advice(error: &PlatformError) -> Option<Advice> {
    let errcode = error.errcode().and_then(Errcode::as_number);
    match (error, errcode) {
        (PlatformError::Misconfigured { address: Some(address), .. }, _) => Some(Advice::new(format!(
            "add this server's IP {address} to the app's server egress IPs in the developer console, under Security Settings"
        ))),
        (PlatformError::Misconfigured { .. }, Some(BAD_ADDRESS)) => Some(Advice::new(
            "add this server's IP to the app's server egress IPs in the developer console, under Security Settings",
        )),
        (PlatformError::Misconfigured { .. }, Some(NOT_ALLOWED)) => Some(Advice::new(
            "the app may not use this interface; give it the permission to read members' basic data in the developer console",
        )),
        (PlatformError::Misconfigured { .. }, _) => Some(Advice::about_the_secret(
            "appid and secret do not belong together; they are Client ID and Client Secret (AppKey and AppSecret) of the developer \
             console, not App ID or AgentId",
        )),
        (PlatformError::Failed(FailedReason::AccessToken(_)), _) => Some(Advice::new(
            "the platform refuses access tokens that it has just given; see in the developer console whether the app is enabled and \
             of an organisation's own kind",
        )),
        _ => None,
    }
}

impl Platform for Dd {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, LOGIN_PATH, self.log_in(code)))
    }
}

impl fmt::Debug for Dd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dd").field("appid", &self.app.appid).field("corp_id", &self.corp_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
