//! Which login: what a renewal keeps and a cut-off can name.

use std::fmt;

/// 8 random bytes that name a login and survive its renewals; shown as 16 lower-case hex digits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LoginId(pub(crate) [u8; Self::LEN]);

impl LoginId {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// Draws a new one from the operating system.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Parses 16 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let parsed = Self(bytes);
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The 16 digits.
    pub(crate) fn to_hex(self) -> [u8; 2 * Self::LEN] {
        let mut digits = [0; 2 * Self::LEN];
        hex::encode_to_slice(self.0, &mut digits).expect("two digits for each byte");
        digits
    }
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_hex()).map_err(|_| fmt::Error)?)
    }
}
