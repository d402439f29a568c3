//! Alipay mini-programs.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `alipay.system.oauth.token` at `POST /gateway.do`, signed by the app, its answer by Alipay |
//! | [`Platform::signed_phone`] | what `my.getPhoneNumber` gave the client, encrypted and signed by Alipay |
//!
//! There is no `session_key`, and no access token is needed.
//! <https://opendocs.alipay.com/common/02kf5q>, <https://opendocs.alipay.com/mini/api/getphonenumber>

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::app_client::AppClient;
use super::facts::Advice;
use super::{
    AppFacts, AppSetting, Capability, Code, FailedReason, Identity, Kind, Offer, Phone, Platform, PlatformError,
    PlatformOptions, Requirement, SetupError, SignedDataError,
};
use crate::outbound::concurrency::Share;

mod errcode;
mod gateway;
mod phone;
mod reply;

use gateway::Gateway;
use phone::PhoneKeys;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "alipay",
    program: "Alipay mini-programs",
    default_base_url: "https://openapi.alipay.com",
    sandbox_url: Some("https://openapi-sandbox.dl.alipaydev.com"),
    doubt_secret: |_| None,
    settings: &[
        (AppSetting::PrivateKeyFile, Requirement::Required),
        (AppSetting::AlipayPublicKeyFile, Requirement::Required),
        (AppSetting::SubjectId, Requirement::Optional),
        (AppSetting::Phone, Requirement::Optional),
        (AppSetting::AesKey, Requirement::RequiredWith(AppSetting::Phone)),
    ],
    capabilities: &[Offer::with(Capability::PhoneBySignedData, AppSetting::Phone)],
    ids: "openid: open_id, one for each user and app, or user_id in older apps; no unionid",
    code_life: "3 minutes to 24 hours, once",
    evidence: "vendor's pages and SDKs, their signature as a vector; which ids an answer has: a real reply",
    build: |options| Ok(Box::new(Alipay::new(options)?)),
};

/// One Alipay mini-program.
pub struct Alipay {
    app: Arc<AppClient>,
    gateway: Gateway,
    phone_keys: PhoneKeys,
}

impl Alipay {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = Arc::new(AppClient::new(&KIND, &mut options, advice)?);
        let PlatformOptions { settings, clock, .. } = options;
        let public_key = settings.alipay_public_key.ok_or(SetupError::Missing("alipay_public_key_file"))?;
        let private_key = settings.private_key.ok_or(SetupError::Missing("private_key_file"))?;
        let public_key = Arc::new(public_key);
        let phone_keys = PhoneKeys { public_key: Arc::clone(&public_key), aes_key: settings.aes_key };
        let gateway =
            Gateway { app: Arc::clone(&app), private_key, public_key, clock, subject_id: settings.subject_id };
        Ok(Self { app, gateway, phone_keys })
    }
}

fn advice(error: &PlatformError) -> Option<Advice> {
    match error {
        PlatformError::Misconfigured { .. } => Some(Advice::new(errcode::remedy(error.errcode()))),
        PlatformError::Failed(FailedReason::Signature) => Some(Advice::new(
            "the answer is not signed with the key in alipay_public_key_file; copy Alipay's public key of this app, not the \
             app's own, from open.alipay.com",
        )),
        PlatformError::Failed(FailedReason::NoOpenid) => Some(Advice::new(
            "the answer lacks the id that subject_id names: most apps have open_id, older ones user_id; set subject_id to \
             the one that this app has, and never change it afterwards",
        )),
        _ => None,
    }
}

impl Platform for Alipay {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, gateway::METHOD, self.gateway.exchange(code)))
    }

    fn signed_phone(&self, data: &str) -> Result<Phone, SignedDataError> {
        let phone = self.phone_keys.open(data);
        if let Err(SignedDataError::Refused(error)) = &phone {
            self.app.note(phone::INTERFACE, error);
        }
        phone
    }
}

impl fmt::Debug for Alipay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alipay").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}
