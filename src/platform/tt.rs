//! Douyin mini-programs, and those of its sister apps.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `POST /api/apps/v2/jscode2session` |
//! | [`Platform::phone`] | `POST /api/apps/v1/get_phonenumber_info/` at `open.douyin.com` |
//! | access tokens for the second | `POST /oauth/client_token/`, there, too |
//!
//! <https://developer.open-douyin.com/docs/resource/zh-CN/mini-app/develop/server/log-in/code-2-session>,
//! <https://developer.open-douyin.com/docs/resource/zh-CN/mini-app/develop/server/user-information/get-phone-number>

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::aes_cbc::decrypt_user_data;
use super::app_client::AppClient;
use super::facts::Advice;
use super::user_data::WATERMARKED;
use super::{
    AppFacts, AppSetting, Capability, Code, Encrypted, FailedReason, Identity, Kind, Offer, Phone, Platform,
    PlatformError, PlatformOptions, Requirement, SetupError, UserData, UserDataError,
};
use crate::claims::{PlatformId, SessionKey};
use crate::outbound::concurrency::Share;

mod errcode;
mod exchange;
mod phone;

use phone::PhoneCalls;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "tt",
    program: "Douyin mini-programs",
    default_base_url: "https://developer.toutiao.com",
    sandbox_url: Some("https://open-sandbox.douyin.com"),
    doubt_secret: |_| None,
    settings: &[
        (AppSetting::Secret, Requirement::Required),
        (AppSetting::PhonePrivateKeyFile, Requirement::RequiredWith(AppSetting::PhoneUnbound)),
        (AppSetting::PhoneUnbound, Requirement::Optional),
        (AppSetting::PhoneUnverified, Requirement::Optional),
    ],
    capabilities: &[
        Offer::with(Capability::PhoneByCode, AppSetting::PhoneUnbound),
        Offer::with(Capability::PhoneByData, AppSetting::PhoneUnverified),
        Offer::always(Capability::EncryptedUserData),
    ],
    ids: "openid: one for each user and app; unionid: another one for each host app and developer",
    code_life: "5 minutes, once",
    evidence: "vendor's pages; phone numbers by code: shape of the answer from public SDKs",
    build: |options| Ok(Box::new(Tt::new(options)?)),
};

/// One Douyin mini-program.
pub struct Tt {
    app: Arc<AppClient>,
    phones: PhoneCalls,
}

impl Tt {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let phones = PhoneCalls::new(Arc::clone(&app), options.settings.phone_private_key);
        Ok(Self { app, phones })
    }
}

fn advice(error: &PlatformError) -> Option<Advice> {
    match error {
        PlatformError::Misconfigured { .. } => Some(errcode::advice(error.errcode())),
        PlatformError::Failed(FailedReason::AccessToken(_)) => Some(Advice::new(
            "a client_token just given is refused; see that no other program fetches tokens of this app all the time",
        )),
        PlatformError::Failed(FailedReason::Undecryptable) => Some(Advice::new(
            "the phone number is encrypted to another key than phone_private_key_file; compare its public half with the \
             one on developer.open-douyin.com",
        )),
        _ => None,
    }
}

impl Platform for Tt {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, exchange::PATH, exchange::exchange(&self.app, code)))
    }

    /// The platform does not look at whose button gave the code: only where the configuration allows that.
    fn phone<'a>(&'a self, code: &'a Code, _openid: &'a PlatformId) -> BoxFuture<'a, Result<Phone, PlatformError>> {
        Box::pin(async move {
            if !self.app.facts.has(Capability::PhoneByCode) {
                return Err(PlatformError::Unsupported);
            }
            self.app.run(Share::Others, phone::PATH, self.phones.phone(code)).await
        })
    }

    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        decrypt_user_data(session_key, encrypted, &WATERMARKED)?.of_app(&self.app.appid)
    }
}

impl fmt::Debug for Tt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tt").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}
