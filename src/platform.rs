//! The platforms' side of a login: a one-time [`Code`] goes out, an [`Identity`] comes back.
//!
//! Knows neither tickets nor HTTP routes. Each platform is a file below this one; none of them sends a code twice.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::clock::UnixSeconds;
use crate::secret::SecretText;

mod encrypted;
mod error;
pub mod phone;
pub mod user_data;
pub mod weapp;

pub use crate::outbound::Unreachable;
pub use encrypted::{Encrypted, EncryptedError};
pub use error::{FailedReason, PlatformError, Refusal, Rid};
pub use phone::{Phone, PhoneError};
pub use user_data::{UserData, UserDataError};

/// A mini-program platform, seen from a server that holds the secret of one app.
pub trait Platform: Send + Sync + fmt::Debug {
    /// The platform's name in configurations and answers, such as `weapp`.
    fn name(&self) -> &'static str;

    /// What the platform's last answer said about the time. Only informs: nothing may be decided by it.
    fn date_seen(&self) -> Option<DateSeen> {
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
    fn phone<'a>(&'a self, code: &'a Code, openid: &'a str) -> BoxFuture<'a, Result<Phone, PlatformError>>;

    /// Whether `session_key` is still the one with which the platform encrypts data of the user `openid`.
    ///
    /// # Errors
    /// [`PlatformError`]: the platform did not say.
    fn check_session<'a>(
        &'a self,
        openid: &'a str,
        session_key: &'a SecretText,
    ) -> BoxFuture<'a, Result<bool, PlatformError>>;

    /// Has the platform replace `session_key` for the user `openid`, and returns the new one: 1 to 256 visible ASCII
    /// characters. `None`: the platform says that `session_key` is not the user's any more, and nothing was replaced.
    ///
    /// # Errors
    /// [`PlatformError`]; then the key may have been replaced all the same.
    fn reset_session<'a>(
        &'a self,
        openid: &'a str,
        session_key: &'a SecretText,
    ) -> BoxFuture<'a, Result<Option<SecretText>, PlatformError>>;

    /// Whether the platform itself made `encrypted_data` (base64, as the client sent it). The cipher has no MAC, so only
    /// the platform can tell.
    ///
    /// # Errors
    /// [`PlatformError`]: the platform did not say.
    fn vouches_for<'a>(&'a self, encrypted_data: &'a str) -> BoxFuture<'a, Result<bool, PlatformError>>;

    /// Decrypts what the platform's client side got for this server. What comes back is JSON of this app, and nothing
    /// more: the initialisation vector is the client's, so a user can re-cut genuine data into other JSON.
    ///
    /// # Errors
    /// [`UserDataError`], for logs; to clients all of them are one.
    fn decrypt(&self, session_key: &SecretText, encrypted: &Encrypted) -> Result<UserData, UserDataError>;

    /// What an operator does about `error`, where the platform's numbers say it.
    fn remedy(&self, _error: &PlatformError) -> Option<String> {
        None
    }

    /// Whether `signature` is the platform's over exactly `raw_data`.
    fn has_signed(&self, session_key: &SecretText, raw_data: &str, signature: &str) -> bool;
}

/// The `Date` of an answer.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what a header and two clocks say")]
pub struct DateSeen {
    /// What the header said.
    pub date: UnixSeconds,
    /// When the answer's head had come.
    pub at: Instant,
    /// How long after the request that was.
    pub took: Duration,
}

/// A one-time login code as a client sent it: 1 to 512 printable ASCII characters without a space.
///
/// Whoever has one can log in with it until it is spent, so it is never printed.
pub struct Code(SecretText);

/// Why a text is not a [`Code`]. Never holds any of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// No characters, or more than [`Code::MAX_LEN`] bytes.
    #[error("the code has {0} bytes instead of 1 to {max}", max = Code::MAX_LEN)]
    Length(usize),
    /// A space, a control character, or something beyond ASCII.
    #[error("the code holds something other than printable ASCII characters")]
    NotPrintable,
}

impl Code {
    /// The longest code, in characters.
    pub const MAX_LEN: usize = 512;

    /// What the developer tools of `WeChat` hand out when they run without a real appid; the one code with spaces.
    const DEVTOOLS_MOCK: &str = "the code is a mock one";

    /// Takes a code over.
    ///
    /// # Errors
    /// Another length, or another character than 0x21 to 0x7e. The mock code of the developer tools passes, so that it
    /// can be refused with an explanation.
    pub fn parse(text: impl Into<String>) -> Result<Self, CodeError> {
        let code = SecretText::new(text);
        let text = code.expose();
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(CodeError::Length(text.len()));
        }
        if !is_visible_ascii(text) && text != Self::DEVTOOLS_MOCK {
            return Err(CodeError::NotPrintable);
        }
        Ok(Self(code))
    }

    /// Whether this is what the developer tools hand out instead of a code. No platform accepts it.
    #[must_use]
    pub fn is_devtools_mock(&self) -> bool {
        self.expose() == Self::DEVTOOLS_MOCK
    }

    /// A second copy, for an exchange that outlives the request it came with.
    pub(crate) fn duplicate(&self) -> Self {
        Self(SecretText::new(self.expose()))
    }

    /// SHA-256 of it: tells codes apart where the code itself need not lie about.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// Who a code belonged to, checked: what is in here may be sealed.
pub struct Identity {
    openid: String,
    unionid: Option<String>,
    session_key: Option<SecretText>,
}

/// Why a platform's answer is no [`Identity`]. Never holds any of the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The openid is empty, too long, or not visible ASCII.
    #[error("the openid is not 1 to {max} visible ASCII characters", max = Identity::MAX_ID_LEN)]
    Openid,
    /// The unionid is too long, or not visible ASCII.
    #[error("the unionid is not 1 to {max} visible ASCII characters", max = Identity::MAX_ID_LEN)]
    Unionid,
    /// The `session_key` is too long, or not visible ASCII.
    #[error("the session_key is not 1 to {max} visible ASCII characters", max = Identity::MAX_SESSION_KEY_LEN)]
    SessionKey,
}

impl Identity {
    /// The longest openid or unionid, in characters.
    pub const MAX_ID_LEN: usize = 128;

    /// The longest `session_key`, in characters.
    pub const MAX_SESSION_KEY_LEN: usize = 256;

    /// Checks what a platform answered. An empty unionid or `session_key` counts as absent.
    ///
    /// # Errors
    /// A text is too long, or holds something other than 0x21 to 0x7e; or the openid is empty.
    pub fn new(
        openid: String,
        unionid: Option<String>,
        session_key: Option<SecretText>,
    ) -> Result<Self, IdentityError> {
        let unionid = unionid.filter(|unionid| !unionid.is_empty());
        let session_key = session_key.filter(|session_key| !session_key.expose().is_empty());
        if openid.is_empty() || openid.len() > Self::MAX_ID_LEN || !is_visible_ascii(&openid) {
            return Err(IdentityError::Openid);
        }
        if unionid.as_ref().is_some_and(|text| text.len() > Self::MAX_ID_LEN || !is_visible_ascii(text)) {
            return Err(IdentityError::Unionid);
        }
        if session_key
            .as_ref()
            .map(SecretText::expose)
            .is_some_and(|text| text.len() > Self::MAX_SESSION_KEY_LEN || !is_visible_ascii(text))
        {
            return Err(IdentityError::SessionKey);
        }
        Ok(Self { openid, unionid, session_key })
    }

    /// The user's name within one app.
    #[must_use]
    pub fn openid(&self) -> &str {
        &self.openid
    }

    /// The user's name across the apps of one owner, where the platform has one.
    #[must_use]
    pub fn unionid(&self) -> Option<&str> {
        self.unionid.as_deref()
    }

    /// The key under which the platform encrypts this user's data, where the platform has one.
    #[must_use]
    pub fn session_key(&self) -> Option<&SecretText> {
        self.session_key.as_ref()
    }

    /// `(openid, unionid, session_key)`, without a copy.
    #[must_use]
    pub fn into_parts(self) -> (String, Option<String>, Option<SecretText>) {
        (self.openid, self.unionid, self.session_key)
    }
}

/// Shows nothing: an openid is personal data.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_1_to_512_printable_characters() {
        let all: String = ('!'..='~').collect();
        for good in ["0", &all, &"x".repeat(512)] {
            assert_eq!(Code::parse(good).unwrap().expose(), good);
        }
        for (bad, error) in [
            (String::new(), CodeError::Length(0)),
            ("x".repeat(513), CodeError::Length(513)),
            ("a b".to_owned(), CodeError::NotPrintable),
            ("a\n".to_owned(), CodeError::NotPrintable),
            ("a\u{7f}".to_owned(), CodeError::NotPrintable),
            ("é".to_owned(), CodeError::NotPrintable),
            ("The code is a mock one".to_owned(), CodeError::NotPrintable),
        ] {
            assert_eq!(Code::parse(bad.as_str()).unwrap_err(), error, "{bad}");
        }
    }

    #[test]
    fn the_mock_code_of_the_developer_tools_is_recognised() {
        assert!(Code::parse("the code is a mock one").unwrap().is_devtools_mock());
        assert!(!Code::parse("demo-alice-1").unwrap().is_devtools_mock());
    }

    #[test]
    fn debug_output_shows_nothing_of_a_code_or_an_identity() {
        let identity = Identity::new("canary".to_owned(), Some("canary".to_owned()), None).unwrap();
        assert_eq!(format!("{:?} {identity:?}", Code::parse("canary").unwrap()), "Code(..) Identity(..)");
    }

    #[test]
    fn an_identity_is_checked_before_it_exists() {
        let new = |openid: &str, unionid: &str, session_key: &str| {
            Identity::new(openid.to_owned(), Some(unionid.to_owned()), Some(SecretText::new(session_key)))
        };
        for (openid, unionid, session_key) in
            [("o", "u", "k"), (&*"o".repeat(128), &*"u".repeat(128), &*"k".repeat(256))]
        {
            let identity = new(openid, unionid, session_key).unwrap();
            assert_eq!((identity.openid(), identity.unionid()), (openid, Some(unionid)));
            assert_eq!(identity.session_key().map(SecretText::expose), Some(session_key));
            let (openid_again, unionid_again, session_key_again) = identity.into_parts();
            assert_eq!((&*openid_again, unionid_again.as_deref()), (openid, Some(unionid)));
            assert_eq!(session_key_again.unwrap().expose(), session_key);
        }
        for (openid, unionid, session_key, error) in [
            ("", "u", "k", IdentityError::Openid),
            (&*"o".repeat(129), "u", "k", IdentityError::Openid),
            ("o p", "u", "k", IdentityError::Openid),
            ("ö", "u", "k", IdentityError::Openid),
            ("o", &*"u".repeat(129), "k", IdentityError::Unionid),
            ("o", "u\t", "k", IdentityError::Unionid),
            ("o", "u", &*"k".repeat(257), IdentityError::SessionKey),
            ("o", "u", "k k", IdentityError::SessionKey),
        ] {
            assert_eq!(new(openid, unionid, session_key).unwrap_err(), error, "{openid} {unionid} {session_key}");
        }
    }

    #[test]
    fn an_empty_unionid_or_session_key_counts_as_absent() {
        let identity = Identity::new("o".to_owned(), Some(String::new()), Some(SecretText::new(""))).unwrap();
        assert!(identity.unionid().is_none() && identity.session_key().is_none());
    }

    #[test]
    fn an_error_shows_the_number_and_the_request_id() {
        let refusal = Refusal::new(40029, Rid::parse("652d44d0-0e4a1b2c-00000001"));
        let error = PlatformError::InvalidCode(refusal.clone());
        assert_eq!(
            error.to_string(),
            "the platform does not know the code (errcode 40029, rid 652d44d0-0e4a1b2c-00000001)"
        );
        assert_eq!(error.errcode(), Some(40029));
        assert_eq!(error.rid(), refusal.rid());
        let busy = PlatformError::Busy { refusal: Refusal::default(), retry_after_s: 2 };
        assert_eq!((busy.to_string().as_str(), busy.retry_after_s()), ("the platform is busy", Some(2)));
        assert_eq!(PlatformError::Timeout.errcode(), None);
    }

    #[test]
    fn a_request_id_is_letters_digits_and_dashes() {
        assert!(Rid::parse(&"a".repeat(64)).is_some());
        for bad in ["", "a b", "a\"", "a/b", "é", &"a".repeat(65)] {
            assert_eq!(Rid::parse(bad), None, "{bad}");
        }
    }
}
