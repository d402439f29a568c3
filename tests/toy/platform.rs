//! A platform that has logins and nothing else, and whose error codes are words.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use super::client::{PlatformClient, PlatformRequest};
use super::{
    Code, Errcode, ErrorDetail, FailedReason, Identity, Kind, Platform, PlatformError, PlatformOptions, SetupError,
};
use crate::secret::SecretText;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "toy",
    default_base_url: "https://toy.example",
    doubt_secret: |_| None,
    capabilities: &[],
    build: |options| Ok(Box::new(Toy::new(options)?)),
};

/// One app of the toy platform.
pub struct Toy {
    client: PlatformClient,
    appid: String,
    secret: SecretText,
    timeout: Duration,
}

impl Toy {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is out of its range.
    pub fn new(options: PlatformOptions) -> Result<Self, SetupError> {
        options.check()?;
        let PlatformOptions { appid, secret, base_url, timeout, .. } = options;
        let base_url =
            base_url.map_or_else(|| Url::parse(KIND.default_base_url), Ok).map_err(|_| SetupError::BaseUrl)?;
        Ok(Self { client: PlatformClient::new(base_url, timeout)?, appid, secret, timeout })
    }

    async fn login(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Answer {
            user: Option<String>,
            error: Option<String>,
        }
        let query = vec![("app", &*self.appid), ("secret", self.secret.expose()), ("code", code.expose())];
        let answer = self.client.send(&PlatformRequest { path: "toy/login", query, body: None }).await?;
        match answer.read()? {
            Answer { user: Some(user), error: None } => {
                Identity::parse(&user, None, None).map_err(|error| FailedReason::Identity(error).into())
            }
            Answer { error, .. } => {
                let errcode = error.as_deref().and_then(Errcode::parse_text).ok_or(FailedReason::Malformed)?;
                Err(PlatformError::InvalidCode(ErrorDetail::new(errcode, None)))
            }
        }
    }
}

impl Platform for Toy {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(async { timeout(self.timeout, self.login(code)).await.unwrap_or(Err(PlatformError::Timeout)) })
    }
}

impl fmt::Debug for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toy").field("appid", &self.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
