//! `WeCom` mini-programs: `WeChat` mini-programs that a corp has linked, inside `WeCom`.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `GET /cgi-bin/miniprogram/jscode2session`, with an access token |
//! | access tokens | `GET /cgi-bin/gettoken` |
//!
//! The appid is the mini-program's, which watermarks name; the secret is that of the app which the corp `corp_id` has linked with
//! it. A userid is unique within its corp, so the openid is the corp's id, a colon and the userid; who is of another corp is kept
//! out. Whoever asks for a token gets the same one until its end.
//! <https://developer.work.weixin.qq.com/document/path/92426>, <https://developer.work.weixin.qq.com/document/path/91039>,
//! <https://developer.work.weixin.qq.com/document/path/92396>

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::aes_cbc::decrypt_user_data;
use super::app_client::{AppClient, BUSY_RETRY_AFTER_S};
use super::app_token::{AppToken, AppTokens, blames_token};
use super::client::{JsonAnswer, PlatformRequest, integer};
use super::error::address_in;
use super::facts::Advice;
use super::user_data::WATERMARKED;
use super::{
    AppFacts, AppSetting, Capability, Code, Encrypted, Errcode, ErrorDetail, FailedReason, Identity, Kind, Offer,
    Platform, PlatformError, PlatformOptions, RefusedUser, Requirement, SetupError, UserData, UserDataError, raw_data,
};
use crate::claims::SessionKey;
use crate::outbound::concurrency::Share;
use crate::secret::SecretText;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "wxwork",
    program: "WeCom mini-programs",
    default_base_url: "https://qyapi.weixin.qq.com",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[
        (AppSetting::Secret, Requirement::Required),
        (AppSetting::CorpId, Requirement::Required),
        (AppSetting::PhoneUnverified, Requirement::Optional),
    ],
    capabilities: &[
        Offer::with(Capability::PhoneByData, AppSetting::PhoneUnverified),
        Offer::always(Capability::EncryptedUserData),
        Offer::always(Capability::SignedUserData),
    ],
    ids: "openid: corp_id, a colon and the userid, which is unique within the corp; no unionid",
    code_life: "5 minutes, once",
    evidence: "vendor's pages, and public clients",
    build: |options| Ok(Box::new(Wxwork::new(options)?)),
};

const LOGIN_PATH: &str = "cgi-bin/miniprogram/jscode2session";
const TOKEN_PATH: &str = "cgi-bin/gettoken";

const MAX_LIFE: Duration = Duration::from_secs(7200);
/// `Retry-After` when the app's quota is gone.
const QUOTA_RETRY_AFTER_S: u64 = 600;

const BAD_SECRET: i64 = 40001;
const BAD_CORP: i64 = 40013;
const BAD_TOKEN: [i64; 2] = [40014, 42001];
const BAD_CODE: i64 = 40029;
const QUOTA: i64 = 45009;
const OTHER_SECRET: i64 = 48002;
const BAD_ADDRESS: i64 = 60020;

/// One `WeCom` mini-program of one corp.
pub struct Wxwork {
    app: Arc<AppClient>,
    tokens: AppTokens,
    corp_id: Arc<str>,
}

impl Wxwork {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let corp_id: Arc<str> = options.take_corp_id()?.into();
        let corp = Arc::clone(&corp_id);
        let tokens = app.tokens(TOKEN_PATH, move |app, start| {
            let corp = Arc::clone(&corp);
            async move { fetch(&app, &corp, start).await }
        });
        Ok(Self { app, tokens, corp_id })
    }

    async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            corpid: Option<String>,
            userid: Option<String>,
            session_key: Option<String>,
        }
        let attempt = |token: Arc<AppToken>| async move {
            let query = vec![
                ("access_token", token.expose()),
                ("js_code", code.expose()),
                ("grant_type", "authorization_code"),
            ];
            checked(
                self.app.http.send(&PlatformRequest { path: LOGIN_PATH, query, ..PlatformRequest::default() }).await?,
            )
        };
        let answer = self.tokens.call(attempt, blames_token(&BAD_TOKEN)).await?;
        let Success { corpid, userid, session_key } = answer.read()?;
        let session_key = session_key.map(SecretText::new);
        let corpid = corpid.filter(|corpid| !corpid.is_empty()).ok_or(FailedReason::NoOpenid)?;
        if *corpid != *self.corp_id {
            return Err(PlatformError::UserRefused(RefusedUser::OtherCorp));
        }
        let userid = userid.filter(|userid| !userid.is_empty()).ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.as_ref().map(SecretText::expose);
        Identity::parse(&format!("{corpid}:{userid}"), None, session_key)
            .map_err(|error| FailedReason::Identity(error).into())
    }
}

async fn fetch(app: &AppClient, corp_id: &str, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        access_token: String,
        #[serde(default)]
        expires_in: Value,
    }
    let query = vec![("corpid", corp_id), ("corpsecret", app.secret())];
    let request = PlatformRequest { path: TOKEN_PATH, query, ..PlatformRequest::default() };
    let Success { access_token, expires_in } = checked(app.http.send(&request).await?)?.read()?;
    let text = SecretText::new(access_token);
    let life_s = if expires_in.is_null() { None } else { Some(integer(&expires_in).ok_or(FailedReason::Malformed)?) };
    let life = life_s.map_or(MAX_LIFE, |life_s| Duration::from_secs(u64::try_from(life_s).unwrap_or_default()));
    // No overlap: until its end there is no other one.
    AppToken::new(text, start, life.min(MAX_LIFE), Duration::ZERO)
}

/// The answer, if its `errcode` is 0 or absent.
fn checked(answer: JsonAnswer) -> Result<JsonAnswer, PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        errcode: Value,
        #[serde(default)]
        errmsg: Value,
    }
    let Verdict { errcode, errmsg } = answer.read()?;
    let errcode = if errcode.is_null() { Some(0) } else { integer(&errcode) };
    match errcode {
        Some(0) => Ok(answer),
        Some(errcode) => Err(meaning(errcode, errmsg.as_str().unwrap_or_default())),
        None => Err(FailedReason::Malformed.into()),
    }
}

fn meaning(errcode: i64, errmsg: &str) -> PlatformError {
    let detail = ErrorDetail::new(errcode, None);
    match errcode {
        BAD_CODE => PlatformError::InvalidCode(detail),
        -1 => PlatformError::Busy { detail, retry_after_s: BUSY_RETRY_AFTER_S },
        QUOTA => PlatformError::Busy { detail, retry_after_s: QUOTA_RETRY_AFTER_S },
        BAD_SECRET | BAD_CORP | OTHER_SECRET => PlatformError::misconfigured(detail),
        BAD_ADDRESS => {
            // `not allow to access from your ip, hint: [...], from ip: 203.0.113.7, more info at ...`
            let address = errmsg.split_once("from ip: ").and_then(|(_, rest)| address_in(rest));
            PlatformError::Misconfigured { detail, address, client_may_cause: false }
        }
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    }
}

fn advice(error: &PlatformError) -> Option<Advice> {
    match (error, error.errcode().and_then(Errcode::as_number)) {
        (PlatformError::Misconfigured { address: Some(address), .. }, _) => Some(Advice::new(format!(
            "add this server's IP {address} to the trusted IPs of the linked app in the admin console of WeCom"
        ))),
        (PlatformError::Misconfigured { .. }, Some(BAD_ADDRESS)) => {
            Some(Advice::new("add this server's IP to the trusted IPs of the linked app in the admin console of WeCom"))
        }
        (PlatformError::Misconfigured { .. }, Some(BAD_CORP)) => Some(Advice::new(
            "the platform does not know this corp_id; it stands under My Company in the admin console of WeCom, and is not the \
             mini-program's appid",
        )),
        (PlatformError::Misconfigured { .. }, Some(OTHER_SECRET)) => Some(Advice::about_the_secret(
            "the secret is not of the app that is linked with the mini-program; take that app's from the admin console of WeCom",
        )),
        (PlatformError::Misconfigured { .. }, _) => Some(Advice::about_the_secret(
            "the secret is wrong; it is that of the app which is linked with the mini-program, in the admin console of WeCom, and \
             not the mini-program's",
        )),
        (PlatformError::Failed(FailedReason::AccessToken(_)), _) => Some(Advice::new(
            "the platform refuses access tokens that it has just given; see in the admin console of WeCom whether the linked app is \
             enabled",
        )),
        _ => None,
    }
}

impl Platform for Wxwork {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, LOGIN_PATH, self.log_in(code)))
    }

    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        decrypt_user_data(session_key, encrypted, &WATERMARKED)?.of_app(&self.app.appid)?.of_member()
    }

    fn has_signed(&self, session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
        raw_data::has_signed(session_key, raw_data, signature)
    }
}

impl fmt::Debug for Wxwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wxwork").field("appid", &self.app.appid).field("corp_id", &self.corp_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
