//! Baidu mini-programs. An app is named by its App Key, which is the appid here.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `POST https://spapi.baidu.com/oauth/jscode2sessionkey` |
//! | the same with `login_with_token` | `POST https://openapi.baidu.com/rest/2.0/smartapp/getsessionkey`, with an access token |
//! | access tokens for the latter | `GET https://openapi.baidu.com/oauth/2.0/token` |
//!
//! <https://smartprogram.baidu.com/docs/develop/api/open/log_Session-Key/>, and the vendor's library
//! <https://github.com/baidu/smartapp-openapi-go>

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::app_client::AppClient;
use super::facts::Advice;
use super::{
    AppFacts, AppSetting, Capability, Code, Encrypted, FailedReason, Identity, Kind, Offer, Platform, PlatformError,
    PlatformOptions, Requirement, SetupError, UserData, UserDataError,
};
use crate::claims::SessionKey;
use crate::outbound::concurrency::Share;

mod cipher;
mod exchange;

use exchange::TokenLogins;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "swan",
    program: "Baidu mini-programs",
    default_base_url: "https://spapi.baidu.com",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[
        (AppSetting::Secret, Requirement::Required),
        (AppSetting::LoginWithToken, Requirement::Optional),
        (AppSetting::PhoneUnverified, Requirement::Optional),
    ],
    capabilities: &[
        Offer::with(Capability::PhoneByData, AppSetting::PhoneUnverified),
        Offer::always(Capability::EncryptedUserData),
    ],
    ids: "openid: one for each user and app; the unionid takes another call, which is not made",
    code_life: "10 minutes, once",
    evidence: "vendor's page and library, with the published ciphertext as vector; of error numbers one is known",
    build: |options| Ok(Box::new(Swan::new(options)?)),
};

/// One Baidu mini-program.
pub struct Swan {
    app: Arc<AppClient>,
    /// Logins with an access token, if the configuration wants these.
    token_logins: Option<TokenLogins>,
}

impl Swan {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let token_logins = options.settings.login_with_token.then(|| TokenLogins::new(Arc::clone(&app)));
        Ok(Self { app, token_logins })
    }
}

fn advice(error: &PlatformError) -> Option<Advice> {
    match error {
        PlatformError::Misconfigured { .. } => Some(Advice::about_the_secret(
            "App Key or App Secret is wrong; compare them with those on smartprogram.baidu.com",
        )),
        PlatformError::Failed(FailedReason::AccessToken(_)) => Some(Advice::new(
            "the platform refuses access tokens that it has just given; does something else fetch tokens of this app? \
             login_with_token = false needs none",
        )),
        _ => None,
    }
}

impl Platform for Swan {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        match &self.token_logins {
            None => Box::pin(self.app.run(Share::Logins, exchange::PATH, exchange::log_in(&self.app, code))),
            Some(logins) => Box::pin(self.app.run(Share::Logins, exchange::TOKEN_LOGIN_PATH, logins.log_in(code))),
        }
    }

    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        cipher::decrypt(session_key, encrypted, &self.app.appid)
    }
}

impl fmt::Debug for Swan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swan").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
