//! Xiaohongshu (RED) mini-programs.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `GET /api/rmp/session`, with an access token |
//! | access tokens | `POST /api/rmp/token` |
//!
//! Asking for a token always makes a new one: the one before has five minutes left then, and all older ones end at once, so
//! that two are alive at most. <https://miniapp.xiaohongshu.com/doc/DC724193>,
//! <https://miniapp.xiaohongshu.com/doc/DC591932>

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::app_client::AppClient;
use super::app_token::{AppToken, AppTokens, Crowd};
use super::client::{JsonAnswer, PlatformRequest, RequestBody, integer};
use super::facts::Advice;
use super::user_data::{DataShape, WATERMARKED};
use super::{
    AppFacts, AppSetting, Capability, Code, Encrypted, Errcode, ErrorDetail, FailedReason, Identity, Kind, Offer,
    Platform, PlatformError, PlatformOptions, Requirement, SetupError, UserData, UserDataError, aes_cbc, raw_data,
};
use crate::claims::SessionKey;
use crate::outbound::concurrency::Share;
use crate::secret::SecretText;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "xhs",
    program: "Xiaohongshu mini-programs",
    default_base_url: "https://miniapp.xiaohongshu.com",
    sandbox_url: Some("https://miniapp-sandbox.xiaohongshu.com"),
    doubt_secret: |_| None,
    settings: &[(AppSetting::Secret, Requirement::Required), (AppSetting::PhoneUnverified, Requirement::Optional)],
    capabilities: &[
        Offer::with(Capability::PhoneByData, AppSetting::PhoneUnverified),
        Offer::always(Capability::EncryptedUserData),
        Offer::always(Capability::SignedUserData),
    ],
    ids: "openid: one for each user and app; no unionid",
    code_life: "5 minutes, once",
    evidence: "vendor's pages and issue tracker, and public clients",
    build: |options| Ok(Box::new(Xhs::new(options)?)),
};

const SESSION_PATH: &str = "api/rmp/session";
const TOKEN_PATH: &str = "api/rmp/token";

/// Pages write `appid`, and real data has `appId`.
const DATA: DataShape = DataShape { watermark: &["appId", "appid"], ..WATERMARKED };

/// What a token is good for at most.
const MAX_LIFE: Duration = Duration::from_secs(7200);
/// A token that is refused earlier was ended by two newer ones: there are three who ask, at least. So that they do not end
/// each other's tokens before these are used, they ask one after another, at random.
const CROWD: Crowd = Crowd { ends_tokens_within: Duration::from_secs(300), spread: Duration::from_secs(2) };

const BAD_APP: i64 = 410_002;
const BAD_SECRET: i64 = 410_004;
const BAD_TOKEN: i64 = 410_101;
const BAD_CODE: i64 = 410_103;

/// One Xiaohongshu mini-program.
pub struct Xhs {
    app: Arc<AppClient>,
    tokens: AppTokens,
}

impl Xhs {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let tokens = app.tokens(TOKEN_PATH, |app, start| async move { fetch(&app, start).await }).in_a(CROWD);
        Ok(Self { app, tokens })
    }

    async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            data: Option<Session>,
        }
        #[derive(Deserialize)]
        struct Session {
            // One page has the other name.
            #[serde(alias = "open_id")]
            openid: Option<String>,
            session_key: Option<String>,
        }
        let attempt = |token: Arc<AppToken>| async move {
            let query = vec![("app_id", &*self.app.appid), ("access_token", token.expose()), ("code", code.expose())];
            let request = PlatformRequest { path: SESSION_PATH, query, ..PlatformRequest::default() };
            checked(self.app.http.send(&request).await?)
        };
        let answer = self.tokens.call(attempt, refused_token).await?;
        let Session { openid, session_key } = answer.read::<Success>()?.data.ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.map(SecretText::new);
        let openid = openid.filter(|openid| !openid.is_empty()).ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.as_ref().map(SecretText::expose);
        Identity::parse(&openid, None, session_key).map_err(|error| FailedReason::Identity(error).into())
    }
}

async fn fetch(app: &AppClient, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        data: Token,
    }
    #[derive(Deserialize)]
    struct Token {
        access_token: String,
        #[serde(default)]
        expire_in: Value,
    }
    let body = RequestBody::Json(json!({ "appid": app.appid, "secret": app.secret() }));
    let request = PlatformRequest { path: TOKEN_PATH, body, ..PlatformRequest::default() };
    let answer = checked(app.http.send(&request).await?)?;
    let Success { data: Token { access_token, expire_in } } = answer.read()?;
    let text = SecretText::new(access_token);
    let life_s = if expire_in.is_null() { None } else { Some(integer(&expire_in).ok_or(FailedReason::Malformed)?) };
    let life = life_s.map_or(MAX_LIFE, |life_s| Duration::from_secs(u64::try_from(life_s).unwrap_or_default()));
    // No overlap: whoever asks before the end cuts the others' time.
    AppToken::new(text, start, life.min(MAX_LIFE), Duration::ZERO)
}

/// The answer, if it is a success: `code` 0 and no `success` that is false.
fn checked(answer: JsonAnswer) -> Result<JsonAnswer, PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        code: Value,
        #[serde(default)]
        success: Value,
    }
    let Verdict { code, success } = answer.read()?;
    match integer(&code) {
        Some(0) if success != Value::Bool(false) => Ok(answer),
        None | Some(0) => Err(FailedReason::Malformed.into()),
        Some(code) => Err(meaning(code)),
    }
}

fn meaning(code: i64) -> PlatformError {
    let detail = ErrorDetail::new(code, None);
    match code {
        BAD_CODE => PlatformError::InvalidCode(detail),
        BAD_APP | BAD_SECRET => PlatformError::misconfigured(detail),
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    }
}

/// What the platform said, if that was about the access token, so that it did not look at the code.
fn refused_token(error: &PlatformError) -> Option<ErrorDetail> {
    match error {
        PlatformError::Failed(FailedReason::UnknownErrcode(detail))
            if detail.errcode() == Some(&Errcode::Number(BAD_TOKEN)) =>
        {
            Some(detail.clone())
        }
        _ => None,
    }
}

fn advice(error: &PlatformError) -> Option<Advice> {
    match (error, error.errcode().and_then(Errcode::as_number)) {
        (PlatformError::Misconfigured { .. }, Some(BAD_SECRET)) => Some(Advice::about_the_secret(
            "the app secret is wrong; compare it with the one on miniapp.xiaohongshu.com",
        )),
        (PlatformError::Misconfigured { .. }, _) => {
            Some(Advice::new("the platform does not know this appid; check it in the configuration"))
        }
        (PlatformError::Failed(FailedReason::AccessToken(_)), _) => Some(Advice::new(
            "too many ask for access tokens of this app, and only two live at a time; run two replicas at most, and let nothing \
             else ask",
        )),
        _ => None,
    }
}

impl Platform for Xhs {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, SESSION_PATH, self.log_in(code)))
    }

    /// The page says that keys have 24 bytes, and all that were seen have 16: the length decides.
    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        let key = aes_cbc::key_of(session_key)?;
        let text = aes_cbc::decrypt(&key, encrypted.iv(), encrypted.data())?;
        UserData::parse(&text, &DATA)?.of_app(&self.app.appid)
    }

    fn has_signed(&self, session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
        raw_data::has_signed(session_key, raw_data, signature)
    }
}

impl fmt::Debug for Xhs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xhs").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
