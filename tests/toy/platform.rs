//! A platform that has logins and nothing else, and whose error codes are words.

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::app_client::AppClient;
use super::client::PlatformRequest;
use super::{
    AppFacts, AppSetting, Code, Errcode, ErrorDetail, FailedReason, Identity, Kind, Requirement, Platform, PlatformError,
    PlatformOptions, SetupError,
};
use crate::outbound::concurrency::Share;

const PATH: &str = "toy/login";

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "toy",
    program: "Toys",
    default_base_url: "https://toy.example",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[(AppSetting::Secret, Requirement::Required)],
    capabilities: &[],
    ids: "openid: one for each user and app; no unionid",
    code_life: "once",
    evidence: "none: it is a toy",
    build: |options| Ok(Box::new(Toy::new(options)?)),
};

/// One app of the toy platform.
pub struct Toy(AppClient);

impl Toy {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is out of its range.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        Ok(Self(AppClient::new(&KIND, &mut options, |_| None)?))
    }

    async fn login(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Answer {
            user: Option<String>,
            error: Option<String>,
        }
        let query = vec![("app", &*self.0.appid), ("secret", self.0.secret()), ("code", code.expose())];
        let answer = self.0.http.send(&PlatformRequest { path: PATH, query, ..PlatformRequest::default() }).await?;
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
    fn facts(&self) -> &AppFacts {
        &self.0.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.0.run(Share::Logins, PATH, self.login(code)))
    }
}

impl fmt::Debug for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toy").field("appid", &self.0.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
