//! What an app's table of the configuration may say beside what all platforms have; the row of a platform says which of it.

use std::fmt;
use std::sync::Arc;

use super::aes_cbc::AesKey;
use super::rsa::{RsaPrivateKey, RsaPublicKey};
use crate::secret::SecretText;

/// A setting of an app that not every platform has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AppSetting {
    /// The app's secret.
    Secret,
    /// The organisation whose users log in.
    CorpId,
    /// The key that signs the app's requests.
    PrivateKeyFile,
    /// The key that the platform signs its answers to this app with.
    AlipayPublicKeyFile,
    /// The key that the platform encrypts for this app with.
    AesKey,
    /// Which of two ids becomes the openid.
    SubjectId,
    /// Phone numbers are wanted though nothing ties them to a user.
    Phone,
    /// The key to which the platform encrypts phone numbers.
    PhonePrivateKeyFile,
    /// The platform is wanted though little is known of it.
    Experimental,
    /// Phone codes are wanted though the platform does not check whose they are.
    PhoneUnbound,
    /// Encrypted phone numbers are wanted though nobody can say who made them.
    PhoneUnverified,
    /// Encrypted data is wanted though it does not say for which app it is.
    UserdataUnbound,
    /// Logins go to the platform's newer interface, which wants an access token.
    LoginWithToken,
    /// The third-party platform that acts for the app.
    ComponentAppid,
    /// An access token of that platform, which the owner keeps fresh in a file.
    ComponentAccessTokenFile,
}

/// A secret that its owner replaces now and then: read anew each time it is needed.
#[derive(Clone)]
pub struct SecretSource(Arc<dyn Fn() -> Result<SecretText, String> + Send + Sync>);

impl SecretSource {
    /// `read` gives the secret as it is now, or says why not and what to do, in words that hold nothing of it. It may block.
    pub fn new(read: impl Fn() -> Result<SecretText, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// What `read` gives now.
    ///
    /// # Errors
    /// Why there is no secret.
    pub(super) fn read(&self) -> Result<SecretText, String> {
        (self.0)()
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSource(..)")
    }
}

/// Whether a platform needs a setting that it takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Requirement {
    /// It may be left out.
    Optional,
    /// It has to be there; what is true or false has to be true.
    Required,
    /// The same, if this other one is there.
    RequiredWith(AppSetting),
    /// The same, unless this other one is there.
    RequiredWithout(AppSetting),
}

impl AppSetting {
    /// All of them, as manuals list them.
    pub const ALL: [Self; 15] = [
        Self::Secret,
        Self::CorpId,
        Self::PrivateKeyFile,
        Self::AlipayPublicKeyFile,
        Self::AesKey,
        Self::SubjectId,
        Self::Phone,
        Self::PhonePrivateKeyFile,
        Self::Experimental,
        Self::PhoneUnbound,
        Self::PhoneUnverified,
        Self::UserdataUnbound,
        Self::LoginWithToken,
        Self::ComponentAppid,
        Self::ComponentAccessTokenFile,
    ];

    /// Its names in a configuration; with two of them, one of the two is given.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Secret => &["secret_env", "secret_file"],
            Self::CorpId => &["corp_id"],
            Self::PrivateKeyFile => &["private_key_file"],
            Self::AlipayPublicKeyFile => &["alipay_public_key_file"],
            Self::AesKey => &["aes_key_env", "aes_key_file"],
            Self::SubjectId => &["subject_id"],
            Self::Phone => &["phone"],
            Self::PhonePrivateKeyFile => &["phone_private_key_file"],
            Self::Experimental => &["experimental"],
            Self::PhoneUnbound => &["phone_unbound"],
            Self::PhoneUnverified => &["phone_unverified"],
            Self::UserdataUnbound => &["userdata_unbound"],
            Self::LoginWithToken => &["login_with_token"],
            Self::ComponentAppid => &["component_appid"],
            Self::ComponentAccessTokenFile => &["component_access_token_file"],
        }
    }

    /// What an operator has to know who has turned it on; nothing for what is harmless.
    #[must_use]
    pub const fn risk(self) -> Option<&'static str> {
        match self {
            Self::Phone => Some(
                "nothing ties such a phone number to a user or a time: who has seen the data once can send it again, as \
                 anybody",
            ),
            Self::Experimental => {
                Some("this platform is known from one program only; test it before users depend on it")
            }
            Self::PhoneUnbound => Some(
                "the platform does not check whose button gave a phone code: a user can send another user's, and get that \
                 number into a ticket",
            ),
            Self::PhoneUnverified => Some(
                "nobody can say whether the platform made an encrypted phone number: users can forge the number in their \
                 ticket",
            ),
            Self::UserdataUnbound => Some(
                "the data does not say for which app it was encrypted: data of another app may pass for this one's",
            ),
            _ => None,
        }
    }
}

/// Which id of Alipay's becomes the openid.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SubjectId {
    /// `open_id`: one for each user and app.
    #[default]
    OpenId,
    /// `user_id`: older apps have it, with the same value in all of them.
    UserId,
}

/// The values of an app's [`AppSetting`]s, all but the secret.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, clippy::struct_excessive_bools, reason = "built by name, as a list of settings")]
pub struct AppSettings {
    /// See [`AppSetting::CorpId`].
    pub corp_id: Option<String>,
    /// See [`AppSetting::PrivateKeyFile`].
    pub private_key: Option<RsaPrivateKey>,
    /// See [`AppSetting::AlipayPublicKeyFile`].
    pub alipay_public_key: Option<RsaPublicKey>,
    /// See [`AppSetting::AesKey`].
    pub aes_key: Option<AesKey>,
    /// See [`AppSetting::SubjectId`].
    pub subject_id: SubjectId,
    /// See [`AppSetting::Phone`].
    pub phone: bool,
    /// See [`AppSetting::PhonePrivateKeyFile`].
    pub phone_private_key: Option<RsaPrivateKey>,
    /// See [`AppSetting::Experimental`].
    pub experimental: bool,
    /// See [`AppSetting::PhoneUnbound`].
    pub phone_unbound: bool,
    /// See [`AppSetting::PhoneUnverified`].
    pub phone_unverified: bool,
    /// See [`AppSetting::UserdataUnbound`].
    pub userdata_unbound: bool,
    /// See [`AppSetting::LoginWithToken`].
    pub login_with_token: bool,
    /// See [`AppSetting::ComponentAppid`].
    pub component_appid: Option<String>,
    /// See [`AppSetting::ComponentAccessTokenFile`].
    pub component_access_token: Option<SecretSource>,
}

impl AppSettings {
    /// Whether `setting` is there, or true. The secret, and which id is meant, do not stand here.
    #[must_use]
    pub fn has(&self, setting: AppSetting) -> bool {
        match setting {
            AppSetting::Secret | AppSetting::SubjectId => false,
            AppSetting::CorpId => self.corp_id.is_some(),
            AppSetting::PrivateKeyFile => self.private_key.is_some(),
            AppSetting::AlipayPublicKeyFile => self.alipay_public_key.is_some(),
            AppSetting::AesKey => self.aes_key.is_some(),
            AppSetting::Phone => self.phone,
            AppSetting::PhonePrivateKeyFile => self.phone_private_key.is_some(),
            AppSetting::Experimental => self.experimental,
            AppSetting::PhoneUnbound => self.phone_unbound,
            AppSetting::PhoneUnverified => self.phone_unverified,
            AppSetting::UserdataUnbound => self.userdata_unbound,
            AppSetting::LoginWithToken => self.login_with_token,
            AppSetting::ComponentAppid => self.component_appid.is_some(),
            AppSetting::ComponentAccessTokenFile => self.component_access_token.is_some(),
        }
    }
}
