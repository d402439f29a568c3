//! Access tokens: `POST /cgi-bin/stable_token`, and calls that need one.
//!
//! The interface gives the same token to everybody who asks while it is good, so any number of
//! replicas may ask without taking a token from each other; `force_refresh`, which would do that, is never set.
//! In the last five minutes of a token's life it makes a new one, and both are good until the old one ends. So whatever it
//! gives is good for five minutes at least, and asking for a new one earlier than five minutes before the end is in vain.
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-access-token/api_getstableaccesstoken>

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call::{Failure, call};
use super::errcode::ErrorAnswer;
use crate::platform::app_client::AppClient;
use crate::platform::app_token::{AppToken, AppTokens};
use crate::platform::client::{JsonAnswer, PlatformRequest, RequestBody, integer};
use crate::platform::{FailedReason, PlatformError};
use crate::secret::SecretText;

/// What every token is good for, and how long before its end there is a new one.
const LAST_MINUTES: Duration = Duration::from_secs(300);
/// The platform promises at most two hours.
const MAX_LIFE: Duration = Duration::from_secs(7200);

const PATH: &str = "cgi-bin/stable_token";

/// Calls with an access token.
pub(super) struct TokenCalls {
    pub(super) app: Arc<AppClient>,
    pub(super) tokens: AppTokens,
}

impl TokenCalls {
    pub(super) fn new(app: Arc<AppClient>) -> Self {
        let tokens = app.tokens(PATH, |app, start| async move { fetch(&app, start).await });
        Self { app, tokens }
    }

    /// Sends what `request` makes with an access token. If the answer says that the token was not good, so that nothing else
    /// was looked at, sends it once more with another.
    pub(super) async fn call<'a>(&self, request: impl Fn() -> PlatformRequest<'a>) -> Result<JsonAnswer, Failure> {
        let refused = |error: &Failure| match error {
            Failure::Errcode(error) if error.blames_the_access_token() => Some(error.detail()),
            _ => None,
        };
        let attempt = |token: Arc<AppToken>| {
            let request = request();
            async move { call(&self.app.http, request, Some(&*token)).await }
        };
        self.tokens.call(attempt, refused).await
    }
}

async fn fetch(app: &AppClient, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        access_token: String,
        #[serde(default)]
        expires_in: Value,
    }
    let body = json!({
        "grant_type": "client_credential",
        "appid": app.appid,
        "secret": app.secret(),
        "force_refresh": false,
    });
    let request = PlatformRequest { path: PATH, body: RequestBody::Json(body), ..PlatformRequest::default() };
    let answer = call(&app.http, request, None).await;
    let answer = answer.map_err(|error| error.meaning(ErrorAnswer::of_an_access_token))?;
    let Success { access_token, expires_in } = answer.read()?;
    let text = SecretText::new(access_token);
    let expires_in = if expires_in.is_null() { Some(0) } else { integer(&expires_in) };
    let expires_in_s = expires_in.and_then(|expires_in| u64::try_from(expires_in).ok());
    let expires_in_s = expires_in_s.ok_or(FailedReason::Malformed)?;
    AppToken::new(text, start, Duration::from_secs(expires_in_s).clamp(LAST_MINUTES, MAX_LIFE), LAST_MINUTES)
}
