//! Kuaishou mini-programs.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `POST /oauth2/mp/code2session` |
//!
//! An `open_id` is the same in all mini-programs of one legal entity, and a `session_key` is good for 24 hours or until the
//! next `ks.login`. What is encrypted under it has no watermark, so it proves no app.
//! <https://mp.kuaishou.com/docs/develop/server/code2Session.html>,
//! <https://mp.kuaishou.com/docs/develop/server/userInfo/userEncryptedData.html>

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::aes_cbc::decrypt_128;
use super::app_client::{AppClient, BUSY_RETRY_AFTER_S};
use super::client::{JsonAnswer, PlatformRequest, RequestBody, integer};
use super::facts::Advice;
use super::user_data::{DataShape, PhoneShape};
use super::{
    AppFacts, AppSetting, Capability, Code, Encrypted, Errcode, ErrorDetail, FailedReason, Identity, Kind, Offer,
    Platform, PlatformError, PlatformOptions, Requirement, Rid, SetupError, UserData, UserDataError, raw_data,
};
use crate::claims::SessionKey;
use crate::outbound::concurrency::Share;
use crate::secret::SecretText;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "kwai",
    program: "Kuaishou mini-programs",
    default_base_url: "https://open.kuaishou.com",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[
        (AppSetting::Secret, Requirement::Required),
        (AppSetting::PhoneUnverified, Requirement::Optional),
        (AppSetting::UserdataUnbound, Requirement::Optional),
    ],
    capabilities: &[
        Offer::with(Capability::PhoneByData, AppSetting::PhoneUnverified),
        Offer::with(Capability::EncryptedUserData, AppSetting::UserdataUnbound),
        Offer::always(Capability::SignedUserData),
    ],
    ids: "openid: one for each user, the same in all apps of a legal entity; no unionid",
    code_life: "10 minutes, once",
    evidence: "vendor's pages; the number of a refused code is inferred, the form of a phone number is not documented",
    build: |options| Ok(Box::new(Kwai::new(options)?)),
};

const PATH: &str = "oauth2/mp/code2session";

/// Members as the platform's user data has them. A watermark is not documented, and one that is there has to be ours.
const DATA: DataShape = DataShape {
    openid: "openId",
    unionid: "unionId",
    watermark: &["appid", "appId", "app_id"],
    phone: PhoneShape {
        members: &["phoneNumber"],
        optional: &["purePhoneNumber", "countryCode", "watermark"],
        number: "phoneNumber",
        pure: "purePhoneNumber",
        country_code: Some("86"),
    },
};

const SUCCESS: i64 = 1;
const BAD_PARAMETERS: i64 = 100_200_100;
const BAD_CREDENTIALS: i64 = 100_200_101;
const NOT_ALLOWED: i64 = 100_200_104;
const BAD_CODE: i64 = 100_200_105;
const INTERNAL: i64 = 100_200_500;

/// One Kuaishou mini-program.
pub struct Kwai {
    app: AppClient,
}

impl Kwai {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        Ok(Self { app: AppClient::new(&KIND, &mut options, advice)? })
    }

    async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            open_id: Option<String>,
            session_key: Option<String>,
        }
        let form = vec![("js_code", code.expose()), ("app_id", &*self.app.appid), ("app_secret", self.app.secret())];
        let request = PlatformRequest { path: PATH, body: RequestBody::Form(form), ..PlatformRequest::default() };
        let answer = self.app.http.send(&request).await?;
        refusal(&answer)?;
        let success: Success = answer.read()?;
        let session_key = success.session_key.map(SecretText::new);
        let open_id = success.open_id.filter(|open_id| !open_id.is_empty()).ok_or(FailedReason::NoOpenid)?;
        let session_key = session_key.as_ref().map(SecretText::expose);
        Identity::parse(&open_id, None, session_key).map_err(|error| FailedReason::Identity(error).into())
    }
}

/// A success says `result` 1. Everything else is a refusal, which may have a word of OAuth beside its number.
fn refusal(answer: &JsonAnswer) -> Result<(), PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        result: Value,
        #[serde(default)]
        error: Value,
        #[serde(default)]
        request_id: Value,
    }
    let Verdict { result, error, request_id } = answer.read()?;
    let (result, error) = (integer(&result), error.as_str().unwrap_or_default());
    if result == Some(SUCCESS) {
        return Ok(());
    }
    let errcode = result.map(Errcode::Number).or_else(|| Errcode::parse_text(error));
    let rid = request_id.as_str().and_then(Rid::parse);
    let detail = ErrorDetail::new(errcode.ok_or(FailedReason::Malformed)?, rid);
    Err(match result {
        // The word decides: that a refused code has this number is inferred.
        _ if error == "invalid_grant" => PlatformError::InvalidCode(detail),
        Some(BAD_CODE) => PlatformError::InvalidCode(detail),
        Some(BAD_PARAMETERS | BAD_CREDENTIALS | NOT_ALLOWED) => PlatformError::misconfigured(detail),
        Some(INTERNAL) => PlatformError::Busy { detail, retry_after_s: BUSY_RETRY_AFTER_S },
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(detail)),
    })
}

fn advice(error: &PlatformError) -> Option<Advice> {
    let PlatformError::Misconfigured { .. } = error else { return None };
    Some(match error.errcode().and_then(Errcode::as_number) {
        Some(BAD_CREDENTIALS) => {
            Advice::about_the_secret("app_id or app_secret is wrong; compare them with those on mp.kuaishou.com")
        }
        Some(NOT_ALLOWED) => Advice::new("the app may not use this interface; look for notices on mp.kuaishou.com"),
        _ => Advice::new(
            "the platform misses a parameter that was sent; is the appid right, is something changing requests on their way?",
        ),
    })
}

impl Platform for Kwai {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, PATH, self.log_in(code)))
    }

    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        let key = session_key.as_16_bytes().ok_or(UserDataError::Key)?;
        let data = UserData::parse(&decrypt_128(key, encrypted.iv(), encrypted.data())?, &DATA)?;
        if data.members().contains_key("watermark") { data.of_app(&self.app.appid) } else { Ok(data) }
    }

    fn has_signed(&self, session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
        raw_data::has_signed(session_key, raw_data, signature)
    }
}

impl fmt::Debug for Kwai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kwai").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
