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
use tokio::time::{Instant, timeout};

use super::call::{Failure, call};
use super::credentials::Credentials;
use super::errcode::ErrorAnswer;
use crate::platform::app_token::{AppToken, AppTokens};
use crate::platform::client::{JsonAnswer, PlatformClient, PlatformRequest};
use crate::platform::{FailedReason, PlatformError};
use crate::secret::SecretText;

/// What every token is good for, and how long before its end there is a new one.
const LAST_MINUTES: Duration = Duration::from_secs(300);
/// The platform promises at most two hours.
const MAX_LIFE: Duration = Duration::from_secs(7200);

const PATH: &str = "cgi-bin/stable_token";

/// Calls with an access token.
pub(super) struct TokenCalls {
    client: Arc<PlatformClient>,
    pub(super) tokens: AppTokens,
}

impl TokenCalls {
    pub(super) fn new(client: Arc<PlatformClient>, credentials: Arc<Credentials>, patience: Duration) -> Self {
        let fetching = Arc::clone(&client);
        let tokens = AppTokens::new(Arc::new(move || {
            let (client, credentials) = (Arc::clone(&fetching), Arc::clone(&credentials));
            Box::pin(async move {
                let start = Instant::now();
                let fetched = timeout(patience, fetch(&client, &credentials, start)).await;
                let outcome = fetched.unwrap_or(Err(PlatformError::Timeout));
                credentials.log(PATH, outcome.as_ref().err(), start.elapsed());
                outcome
            })
        }));
        Self { client, tokens }
    }

    /// Sends what `request` makes with an access token. If the answer says that the token was not good, so that nothing else
    /// was looked at, sends it once more with another.
    pub(super) async fn call<'a>(&self, request: impl Fn() -> PlatformRequest<'a>) -> Result<JsonAnswer, Failure> {
        match self.try_call(request()).await {
            Err(Failure::Errcode(error)) if error.blames_the_access_token() => {}
            outcome => return outcome,
        }
        match self.try_call(request()).await {
            Err(Failure::Errcode(error)) if error.blames_the_access_token() => {
                Err(PlatformError::from(FailedReason::AccessToken(error.detail())).into())
            }
            outcome => outcome,
        }
    }

    /// A token that is refused is not used again.
    async fn try_call(&self, request: PlatformRequest<'_>) -> Result<JsonAnswer, Failure> {
        let token = self.tokens.current().await?;
        let outcome = call(&self.client, request, Some(&*token)).await;
        if matches!(&outcome, Err(Failure::Errcode(error)) if error.blames_the_access_token()) {
            self.tokens.forget(&token);
        }
        outcome
    }
}

async fn fetch(client: &PlatformClient, credentials: &Credentials, start: Instant) -> Result<AppToken, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        access_token: String,
        #[serde(default)]
        expires_in: Value,
    }
    let body = json!({
        "grant_type": "client_credential",
        "appid": credentials.appid,
        "secret": credentials.secret.expose(),
        "force_refresh": false,
    });
    let request = PlatformRequest { path: PATH, query: Vec::new(), body: Some(body) };
    let answer = call(client, request, None).await;
    let answer = answer.map_err(|error| error.meaning(ErrorAnswer::of_an_access_token))?;
    let Success { access_token, expires_in } = answer.read()?;
    let text = SecretText::new(access_token);
    let expires_in_s = match expires_in {
        Value::Null => Some(0),
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    let expires_in_s = expires_in_s.ok_or(FailedReason::Malformed)?;
    AppToken::new(text, start, Duration::from_secs(expires_in_s).clamp(LAST_MINUTES, MAX_LIFE), LAST_MINUTES)
}
