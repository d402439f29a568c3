//! Phone numbers by code: `POST /api/apps/v1/get_phonenumber_info/`, with an access token, encrypted to the app's RSA key.
//!
//! A new access token ends the one before after five minutes. Replicas that do not talk therefore fetch one each, and again when
//! an answer says that theirs has ended.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::errcode;
use crate::platform::app_client::AppClient;
use crate::platform::app_token::{AppToken, AppTokens};
use crate::platform::client::{PlatformRequest, RequestBody, integer};
use crate::platform::user_data::WATERMARKED;
use crate::platform::{Code, ErrorDetail, FailedReason, Phone, PlatformError, RsaPrivateKey, UserData, UserDataError};
use crate::secret::SecretText;

/// Where both interfaces are.
const HOST: &str = "https://open.douyin.com";
pub(super) const PATH: &str = "api/apps/v1/get_phonenumber_info/";
const TOKEN_PATH: &str = "oauth/client_token/";

/// How long before its end a token is replaced, and how long one lives on that another program has replaced.
const OVERLAP: Duration = Duration::from_secs(300);
const MAX_LIFE: Duration = Duration::from_secs(7200);

/// What the phone button's codes need: access tokens, and the key that opens the answers.
pub(super) struct PhoneCalls {
    app: Arc<AppClient>,
    tokens: AppTokens,
    key: Option<RsaPrivateKey>,
}

/// A refusal before it is said what it means, or anything else.
enum PhoneFailure {
    Refused(ErrorDetail),
    Unanswered(PlatformError),
}

impl From<PlatformError> for PhoneFailure {
    fn from(error: PlatformError) -> Self {
        Self::Unanswered(error)
    }
}

impl PhoneCalls {
    pub(super) fn new(app: Arc<AppClient>, key: Option<RsaPrivateKey>) -> Self {
        let tokens = app.tokens(TOKEN_PATH, |app, start| async move { fetch(&app, start).await });
        Self { app, tokens, key }
    }

    /// Spends `code`, whoever's button gave it.
    pub(super) async fn phone(&self, code: &Code) -> Result<Phone, PlatformError> {
        let Some(key) = &self.key else { return Err(PlatformError::Unsupported) };
        let attempt = |token: Arc<AppToken>| async move { self.encrypted(code, &token).await };
        let refused = |failure: &PhoneFailure| match failure {
            PhoneFailure::Refused(detail) if errcode::blames_the_access_token(detail) => Some(detail.clone()),
            _ => None,
        };
        let encrypted = self.tokens.call(attempt, refused).await.map_err(|failure| match failure {
            PhoneFailure::Refused(detail) => errcode::of_a_phone_code(detail),
            PhoneFailure::Unanswered(error) => error,
        })?;
        let plain = STANDARD.decode(encrypted).ok().and_then(|encrypted| key.decrypt(&encrypted));
        let plain = plain.ok_or(FailedReason::Undecryptable)?;
        let phone = UserData::parse(&plain, &WATERMARKED)
            .and_then(|data| data.of_app(&self.app.appid))
            .and_then(|data| data.phone());
        phone.map_err(|error| match error {
            UserDataError::Watermark => FailedReason::OtherApp.into(),
            UserDataError::Phone(error) => FailedReason::Phone(error).into(),
            _ => FailedReason::Malformed.into(),
        })
    }

    async fn encrypted(&self, code: &Code, token: &AppToken) -> Result<String, PhoneFailure> {
        #[derive(Deserialize)]
        struct Success {
            data: String,
        }
        let request = PlatformRequest {
            path: PATH,
            host: Some(HOST),
            headers: vec![("access-token", token.expose())],
            body: RequestBody::Json(json!({ "code": code.expose() })),
            ..PlatformRequest::default()
        };
        let answer = self.app.http.send(&request).await?;
        match errcode::refusal(&answer)? {
            Some(refusal) => Err(PhoneFailure::Refused(refusal)),
            None => Ok(answer.read::<Success>()?.data),
        }
    }
}

async fn fetch(app: &AppClient, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct TokenReply {
        data: TokenData,
    }
    #[derive(Deserialize)]
    struct TokenData {
        #[serde(default)]
        access_token: String,
        #[serde(default)]
        expires_in: Value,
        #[serde(default)]
        error_code: Value,
    }
    let body = json!({
        "grant_type": "client_credential",
        "client_key": app.appid,
        "client_secret": app.secret(),
    });
    let request = PlatformRequest {
        path: TOKEN_PATH,
        host: Some(HOST),
        body: RequestBody::Json(body),
        ..PlatformRequest::default()
    };
    let TokenReply { data } = app.http.send(&request).await?.read()?;
    let text = SecretText::new(data.access_token);
    match integer(&data.error_code) {
        Some(0) => {}
        None if data.error_code.is_null() => {}
        Some(number) => return Err(errcode::in_general(ErrorDetail::new(number, None))),
        None => return Err(FailedReason::Malformed.into()),
    }
    let life_s = integer(&data.expires_in).and_then(|life_s| u64::try_from(life_s).ok());
    let life = Duration::from_secs(life_s.unwrap_or_default()).clamp(OVERLAP, MAX_LIFE);
    AppToken::new(text, start, life, OVERLAP)
}
