//! Which mini-program: `appid` and the tag that stands for it in a ticket's header.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// A mini-program's `appid`, 1 to 128 visible ASCII characters, with its tag. Cheap to clone.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AppId {
    text: Arc<str>,
    tag: AppTag,
}

/// Not 1 to 128 visible ASCII characters.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("an appid is 1 to 128 visible ASCII characters")]
#[non_exhaustive]
pub struct AppIdError;

impl AppId {
    /// Longest `appid`, in characters.
    pub const MAX_LEN: usize = 128;

    /// Takes an `appid` as the platform wrote it; case counts.
    ///
    /// # Errors
    /// Empty, too long, or with a character that is not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, AppIdError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self { text: text.into(), tag: AppTag::of(text) }).ok_or(AppIdError)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// First 4 bytes of SHA-256 over the text.
    #[must_use]
    pub const fn tag(&self) -> AppTag {
        self.tag
    }
}

/// An app can be looked up by its text.
impl Borrow<str> for AppId {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// As its text hashes, so that the two find each other.
impl Hash for AppId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl FromStr for AppId {
    type Err = AppIdError;

    fn from_str(text: &str) -> Result<Self, AppIdError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for AppId {
    type Error = AppIdError;

    fn try_from(text: &str) -> Result<Self, AppIdError> {
        Self::parse(text)
    }
}

impl AsRef<str> for AppId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// 4 bytes that stand for an [`AppId`] in a ticket's header; shown as 8 hex digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AppTag(pub(crate) [u8; Self::LEN]);

impl AppTag {
    /// Length in bytes.
    pub const LEN: usize = 4;

    fn of(appid: &str) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(appid.as_bytes()));
        Self([a, b, c, d])
    }
}

impl fmt::Display for AppTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for AppTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppTag({self})")
    }
}
