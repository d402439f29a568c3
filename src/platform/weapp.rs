//! `WeChat` mini-programs.
//!
//! Each of its interfaces is a file below this one; [`call`] is the only way to them.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `GET /sns/jscode2session`; where a third-party platform acts for the app, `GET /sns/component/jscode2session` |
//! | [`Platform::phone`] | `POST /wxa/business/getuserphonenumber` |
//! | [`Platform::check_session`] | `GET /wxa/checksession` |
//! | [`Platform::reset_session`] | `GET /wxa/resetusersessionkey` |
//! | [`Platform::vouches_for`] | `POST /wxa/business/checkencryptedmsg` |
//! | access tokens for all but the first | `POST /cgi-bin/stable_token` |

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::app_client::AppClient;
use super::facts::Advice;
use super::{
    AppFacts, AppSetting, Capability, Code, Encrypted, FailedReason, Identity, Kind, Offer, Phone, Platform,
    PlatformError, PlatformOptions, Requirement, SetupError, SignableData, UserData, UserDataError, UserSignature,
    unsupported,
};
use crate::claims::{PlatformId, SessionKey};
use crate::outbound::concurrency::Share;

mod access_token;
pub(super) mod call;
mod component;
pub(super) mod errcode;
mod exchange;
mod phone;
mod session;
mod user_data;

use access_token::TokenCalls;
use component::Component;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "weapp",
    program: "WeChat mini-programs",
    default_base_url: "https://api.weixin.qq.com",
    sandbox_url: None,
    doubt_secret,
    settings: &[
        (AppSetting::Secret, Requirement::RequiredWithout(AppSetting::ComponentAccessTokenFile)),
        (AppSetting::ComponentAppid, Requirement::RequiredWith(AppSetting::ComponentAccessTokenFile)),
        (AppSetting::ComponentAccessTokenFile, Requirement::RequiredWith(AppSetting::ComponentAppid)),
    ],
    capabilities: &[
        // Those that need an access token of the app, which a third-party platform's token is not.
        Offer::without(Capability::PhoneByCode, AppSetting::ComponentAccessTokenFile),
        Offer::without(Capability::PhoneByData, AppSetting::ComponentAccessTokenFile),
        Offer::without(Capability::OriginOfData, AppSetting::ComponentAccessTokenFile),
        Offer::always(Capability::EncryptedUserData),
        Offer::always(Capability::SignedUserData),
        Offer::without(Capability::CheckSession, AppSetting::ComponentAccessTokenFile),
        Offer::without(Capability::ResetSession, AppSetting::ComponentAccessTokenFile),
        Offer::always(Capability::UserSignatures),
    ],
    ids: "openid: one for each user and app; unionid: the same in all apps of an Open Platform account, else absent",
    code_life: "5 minutes, once",
    evidence: "vendor's pages, with their worked examples as vectors",
    build: |options| Ok(Box::new(Weapp::new(options)?)),
};

/// What the developer tools hand out instead of a code when they run without a real appid.
const DEVTOOLS_MOCK: &str = "the code is a mock one";

fn doubt_secret(secret: &str) -> Option<&'static str> {
    let is_usual = secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!is_usual).then_some("is not 32 hex digits, as WeChat's are; compare it with the one on mp.weixin.qq.com")
}

/// One `WeChat` mini-program.
pub struct Weapp {
    app: Arc<AppClient>,
    calls: TokenCalls,
    component: Option<Component>,
}

impl Weapp {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let component = Component::of(&options.settings);
        let advice = if component.is_some() { component::advice } else { advice };
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let calls = TokenCalls::new(Arc::clone(&app));
        Ok(Self { app, calls, component })
    }

    /// Does `work`, which calls `interface` with an access token of the app. Where a third-party platform acts for the app,
    /// nothing is sent.
    fn call<'a, T: Send + 'a>(
        &'a self,
        interface: &'static str,
        work: impl Future<Output = Result<T, PlatformError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, PlatformError>> {
        if self.component.is_some() { unsupported() } else { Box::pin(self.app.run(Share::Others, interface, work)) }
    }
}

pub(super) fn advice(error: &PlatformError) -> Option<Advice> {
    match error {
        PlatformError::Misconfigured { address, client_may_cause, .. } => Some(Advice {
            text: errcode::remedy(error.errcode(), *address, *client_may_cause),
            blames_the_secret: errcode::blames_the_secret(error.errcode()),
        }),
        PlatformError::Failed(FailedReason::AccessToken(_)) => Some(Advice::new(
            "something else fetches tokens of this app with force_refresh, so that one just given is refused; make it stop",
        )),
        _ => None,
    }
}

impl Platform for Weapp {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn explain_code(&self, code: &str) -> Option<&'static str> {
        (code == DEVTOOLS_MOCK).then_some(
            "this is the mock code of the developer tools; set a real appid in the project to get a real one",
        )
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        match &self.component {
            None => Box::pin(self.app.run(Share::Logins, exchange::PATH, exchange::exchange(&self.app, code))),
            Some(component) => {
                Box::pin(self.app.run(Share::Logins, component::PATH, component.exchange(&self.app, code)))
            }
        }
    }

    fn phone<'a>(&'a self, code: &'a Code, openid: &'a PlatformId) -> BoxFuture<'a, Result<Phone, PlatformError>> {
        self.call(phone::PATH, phone::phone(&self.calls, openid, code))
    }

    fn check_session<'a>(
        &'a self,
        openid: &'a PlatformId,
        session_key: &'a SessionKey,
    ) -> BoxFuture<'a, Result<bool, PlatformError>> {
        self.call(session::CHECK_PATH, session::check(&self.calls, openid, session_key))
    }

    fn reset_session<'a>(
        &'a self,
        openid: &'a PlatformId,
        session_key: &'a SessionKey,
    ) -> BoxFuture<'a, Result<Option<SessionKey>, PlatformError>> {
        self.call(session::RESET_PATH, session::reset(&self.calls, openid, session_key))
    }

    fn vouches_for<'a>(&'a self, encrypted_data: &'a str) -> BoxFuture<'a, Result<bool, PlatformError>> {
        self.call(user_data::PATH, user_data::vouches_for(&self.calls, encrypted_data))
    }

    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        user_data::decrypt(session_key, encrypted, &self.app.appid)
    }

    fn has_signed(&self, session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
        user_data::has_signed(session_key, raw_data, signature)
    }

    fn sign(&self, session_key: &SessionKey, data: &SignableData) -> Result<UserSignature, PlatformError> {
        Ok(session::sign(session_key, data))
    }
}

impl fmt::Debug for Weapp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weapp").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
