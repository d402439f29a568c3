//! Which login: what a renewal keeps and a cut-off can name.

use std::fmt;
use std::str::FromStr;

use crate::secret::{RandomnessError, fill_randomly};

/// 8 random bytes that name a login and survive its renewals; shown as 16 lower-case hex digits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LoginId(pub(crate) [u8; Self::LEN]);

/// Not 16 lower-case hex digits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("a login id is 16 lower-case hex digits")]
#[non_exhaustive]
pub struct LoginIdError;

impl LoginId {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// Draws a new one from the operating system.
    ///
    /// # Errors
    /// [`RandomnessError`]
    pub fn generate() -> Result<Self, RandomnessError> {
        let mut bytes = [0; Self::LEN];
        fill_randomly(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Parses 16 lower-case hex digits.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, LoginIdError> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| LoginIdError)?;
        let parsed = Self(bytes);
        if parsed.to_string() == text { Ok(parsed) } else { Err(LoginIdError) }
    }

    /// The 16 digits.
    pub(crate) fn to_hex(self) -> [u8; 2 * Self::LEN] {
        let mut digits = [0; 2 * Self::LEN];
        hex::encode_to_slice(self.0, &mut digits).expect("two digits for each byte");
        digits
    }
}

impl FromStr for LoginId {
    type Err = LoginIdError;

    fn from_str(text: &str) -> Result<Self, LoginIdError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for LoginId {
    type Error = LoginIdError;

    fn try_from(text: &str) -> Result<Self, LoginIdError> {
        Self::parse(text)
    }
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_hex()).map_err(|_| fmt::Error)?)
    }
}
