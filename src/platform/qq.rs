//! QQ mini-programs: `WeChat`'s interface at another host, of which fewer numbers are known.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `GET /sns/jscode2session` |
//!
//! The vendor's pages date from 2020, and whether the platform is still kept up is not known. A refusal may have all members
//! of a success, empty.
//! <https://q.qq.com/wiki/develop/miniprogram/server/open_port/port_login.html>,
//! <https://q.qq.com/wiki/develop/game/frame/open-ability/signature.html>

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::aes_cbc::decrypt_128;
use super::app_client::{AppClient, BUSY_RETRY_AFTER_S};
use super::client::PlatformRequest;
use super::user_data::WATERMARKED;
use super::weapp::call::call;
use super::weapp::errcode::ErrorAnswer;
use super::{
    AppFacts, AppSetting, Capability, Code, Encrypted, FailedReason, Identity, Kind, Offer, Platform, PlatformError,
    PlatformOptions, Requirement, SetupError, UserData, UserDataError, raw_data,
};
use crate::claims::SessionKey;
use crate::outbound::concurrency::Share;
use crate::secret::SecretText;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "qq",
    program: "QQ mini-programs",
    default_base_url: "https://api.q.qq.com",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[(AppSetting::Secret, Requirement::Required), (AppSetting::PhoneUnverified, Requirement::Optional)],
    capabilities: &[
        Offer::with(Capability::PhoneByData, AppSetting::PhoneUnverified),
        Offer::always(Capability::EncryptedUserData),
        Offer::always(Capability::SignedUserData),
    ],
    ids: "openid: one for each user and app; unionid: the same in all apps of an owner, may be absent",
    code_life: "once; how long is not documented",
    evidence: "vendor's pages of 2020, and public clients; whether the platform is kept up is unknown",
    build: |options| Ok(Box::new(Qq::new(options)?)),
};

const PATH: &str = "sns/jscode2session";

/// One QQ mini-program.
pub struct Qq {
    app: AppClient,
}

impl Qq {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        Ok(Self { app: AppClient::new(&KIND, &mut options, |_| None)? })
    }

    async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            openid: Option<String>,
            unionid: Option<String>,
            session_key: Option<String>,
        }
        let query = vec![
            ("appid", &*self.app.appid),
            ("secret", self.app.secret()),
            ("js_code", code.expose()),
            ("grant_type", "authorization_code"),
        ];
        let request = PlatformRequest { path: PATH, query, ..PlatformRequest::default() };
        let answer =
            call(&self.app.http, request, None).await.map_err(|error| error.meaning(|error| meaning(&error)))?;
        let success: Success = answer.read()?;
        let session_key = success.session_key.map(SecretText::new);
        let openid = success.openid.filter(|openid| !openid.is_empty()).ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.as_ref().map(SecretText::expose);
        Identity::parse(&openid, success.unionid.as_deref(), session_key)
            .map_err(|error| FailedReason::Identity(error).into())
    }
}

/// What the known numbers mean. Others have been seen, such as `-1009`; none is known to blame the configuration.
fn meaning(error: &ErrorAnswer) -> PlatformError {
    let detail = error.detail();
    match error.errcode() {
        40029 => PlatformError::InvalidCode(detail),
        45011 => PlatformError::RateLimited(detail),
        -1 => PlatformError::Busy { detail, retry_after_s: BUSY_RETRY_AFTER_S },
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    }
}

impl Platform for Qq {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, PATH, self.log_in(code)))
    }

    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        let key = session_key.as_16_bytes().ok_or(UserDataError::Key)?;
        let text = decrypt_128(key, encrypted.iv(), encrypted.data())?;
        UserData::parse(&text, &WATERMARKED)?.of_app(&self.app.appid)
    }

    fn has_signed(&self, session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
        raw_data::has_signed(session_key, raw_data, signature)
    }
}

impl fmt::Debug for Qq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qq").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
