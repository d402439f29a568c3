//! The platforms' side of a login: a one-time [`Code`] goes out, an [`Identity`] comes back.
//!
//! Knows neither tickets nor HTTP routes. Each platform is a folder below this one and a row of [`kind::ALL`]; what several
//! of them need stands beside the folders. None of them sends a code twice.

use std::fmt;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use crate::claims::{PlatformId, SessionKey};

mod aes_cbc;
mod alarms;
pub mod alipay;
mod app_client;
mod app_token;
mod capability;
mod china_time;
mod client;
mod code;
pub mod dd;
mod encrypted;
mod error;
mod facts;
mod identity;
pub mod jd;
pub mod kind;
pub mod kwai;
pub mod lark;
pub mod phone;
pub mod qq;
mod raw_data;
mod rsa;
mod settings;
mod setup;
mod signature;
pub mod swan;
#[cfg(test)]
mod tests;
pub mod tt;
pub mod user_data;
pub mod weapp;
pub mod weixin_web;
pub mod wxwork;
pub mod xhs;

pub use crate::outbound::{Outbound, Unreachable};
pub use aes_cbc::{AesKey, AesKeyError};
pub use capability::Capability;
pub use code::{Code, CodeError};
pub use encrypted::{Encrypted, EncryptedError};
pub use error::{Errcode, ErrorDetail, FailedReason, PlatformError, RefusedUser, Rid};
pub use facts::{AppFacts, DateSeen};
pub use identity::{Identity, IdentityError};
pub use phone::{Phone, PhoneError};
pub use rsa::{RsaKeyError, RsaPrivateKey, RsaPublicKey};
pub use settings::{AppSetting, AppSettings, Requirement, SecretSource, SubjectId};
pub use setup::{Kind, Offer, PlatformOptions, SetupError};
pub use signature::{SignableData, SignableError, UserSignature};
pub use user_data::{SignedDataError, UserData, UserDataError};

/// One app's platform, seen from a server that holds the app's secret.
///
/// [`Platform::exchange`] is all that a platform must have, beside its name. What else it has, its [`AppFacts`] list; calls of
/// what is not listed send nothing.
pub trait Platform: Send + Sync + fmt::Debug {
    /// What there is to say of the app without a call: the platform's name, what it has beyond logins, what an operator does
    /// about errors.
    fn facts(&self) -> &AppFacts;

    /// What is plainly wrong with a login code, in words for the client; such a code is not sent.
    fn explain_code(&self, _code: &str) -> Option<&'static str> {
        None
    }

    /// Spends `code` and says whose it was.
    ///
    /// Sends one request at most. A future that is dropped half-way may have spent the code.
    ///
    /// # Errors
    /// Each variant of [`PlatformError`] says what it means for the code.
    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>>;

    /// Spends `code`, which a phone button gave, and says which number the user `openid` has agreed to show.
    ///
    /// The platform has to check that the button was this user's: anybody can send a code on.
    ///
    /// # Errors
    /// As [`Platform::exchange`]; [`PlatformError::InvalidCode`] for a code that is spent or another user's, too.
    fn phone<'a>(&'a self, _code: &'a Code, _openid: &'a PlatformId) -> BoxFuture<'a, Result<Phone, PlatformError>> {
        unsupported()
    }

    /// Whether `session_key` is still the one with which the platform encrypts data of the user `openid`.
    ///
    /// # Errors
    /// [`PlatformError`]: the platform did not say.
    fn check_session<'a>(
        &'a self,
        _openid: &'a PlatformId,
        _session_key: &'a SessionKey,
    ) -> BoxFuture<'a, Result<bool, PlatformError>> {
        unsupported()
    }

    /// Has the platform replace `session_key` for the user `openid`, and returns the new one. `None`: the platform says that
    /// `session_key` is not the user's any more, and nothing was replaced.
    ///
    /// # Errors
    /// [`PlatformError`]; then the key may have been replaced all the same.
    fn reset_session<'a>(
        &'a self,
        _openid: &'a PlatformId,
        _session_key: &'a SessionKey,
    ) -> BoxFuture<'a, Result<Option<SessionKey>, PlatformError>> {
        unsupported()
    }

    /// Whether the platform itself made `encrypted_data` (base64, as the client sent it). The cipher has no MAC, so only
    /// the platform can tell.
    ///
    /// # Errors
    /// [`PlatformError`]: the platform did not say.
    fn vouches_for<'a>(&'a self, _encrypted_data: &'a str) -> BoxFuture<'a, Result<bool, PlatformError>> {
        unsupported()
    }

    /// Decrypts what the platform's client side got for this server. What comes back is JSON of this app, and nothing
    /// more: the initialisation vector is the client's, so a user can re-cut genuine data into other JSON.
    ///
    /// # Errors
    /// [`UserDataError`], for logs; to clients all of them are one.
    fn decrypt(&self, _session_key: &SessionKey, _encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        Err(UserDataError::Unsupported)
    }

    /// The phone number in `data`, which the platform has signed for the app's back end and handed to the client.
    ///
    /// # Errors
    /// [`SignedDataError`].
    fn signed_phone(&self, _data: &str) -> Result<Phone, SignedDataError> {
        Err(SignedDataError::Data(UserDataError::Unsupported))
    }

    /// Whether `signature` is the platform's over exactly `raw_data`.
    fn has_signed(&self, _session_key: &SessionKey, _raw_data: &str, _signature: &str) -> bool {
        false
    }

    /// The platform's signature over `data` with `session_key`: it proves to the platform that the user is logged in here.
    ///
    /// # Errors
    /// [`PlatformError::Unsupported`]: the platform has no such rule.
    fn sign(&self, _session_key: &SessionKey, _data: &SignableData) -> Result<UserSignature, PlatformError> {
        Err(PlatformError::Unsupported)
    }
}

fn unsupported<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, PlatformError>> {
    ready(Err(PlatformError::Unsupported)).boxed()
}

fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}
