//! Secrets that cannot be printed: zeroed on drop, without `Clone`, `Display`, `Serialize` or `==`.
//!
//! The only file that names `zeroize`. What is inside comes out through `expose`, which the crate keeps to itself.
//!
//! ```
//! use auth_ticket::secret::{KeyBytes, KeyBytesError};
//!
//! let key = KeyBytes::parse_hex("023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441")?;
//! assert_eq!(format!("{key:?}"), "KeyBytes(..)");
//! # Ok::<(), KeyBytesError>(())
//! ```

use std::fmt;

#[cfg(feature = "server")]
use sha2::{Digest, Sha256};
#[cfg(feature = "server")]
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

pub(crate) use zeroize::Zeroizing;

/// 32 bytes of key material.
pub struct KeyBytes(Zeroizing<[u8; Self::LEN]>);

/// The operating system has no randomness to give.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("the operating system gave no randomness")]
#[non_exhaustive]
pub struct RandomnessError;

/// Fills `bytes` from the operating system.
pub(crate) fn fill_randomly(bytes: &mut [u8]) -> Result<(), RandomnessError> {
    getrandom::fill(bytes).map_err(|_| RandomnessError)
}

/// Why a text is not 32 bytes of key material. Never holds any of the text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyBytesError {
    /// Another length than 64.
    #[error("the secret has {0} characters instead of 64")]
    Length(usize),
    /// A character that is not a lower-case hex digit.
    #[error("the secret holds something other than lower-case hex digits")]
    NotHex,
    /// One byte, 32 times: nobody's random number generator made that.
    #[error("the secret is one byte repeated")]
    Degenerate,
}

impl KeyBytes {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Parses 64 lower-case hex digits.
    ///
    /// # Errors
    /// Another length, another character, or 32 equal bytes.
    pub fn parse_hex(text: &str) -> Result<Self, KeyBytesError> {
        if text.len() != 2 * Self::LEN {
            return Err(KeyBytesError::Length(text.chars().count()));
        }
        if text.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(KeyBytesError::NotHex);
        }
        let mut bytes = Self::from_bytes([0; Self::LEN]);
        hex::decode_to_slice(text, bytes.0.as_mut_slice()).map_err(|_| KeyBytesError::NotHex)?;
        if bytes.is_degenerate() {
            return Err(KeyBytesError::Degenerate);
        }
        Ok(bytes)
    }

    /// Draws a new key from the operating system.
    ///
    /// # Errors
    /// [`RandomnessError`]
    pub fn generate() -> Result<Self, RandomnessError> {
        let mut bytes = Self::from_bytes([0; Self::LEN]);
        loop {
            fill_randomly(bytes.0.as_mut_slice())?;
            if !bytes.is_degenerate() {
                return Ok(bytes);
            }
        }
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    pub(crate) fn expose_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.expose()))
    }

    fn is_degenerate(&self) -> bool {
        let [first, rest @ ..] = self.expose();
        rest.iter().all(|byte| byte == first)
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBytes(..)")
    }
}

/// A secret that is text: an app secret, an access token, a `session_key` as the platform wrote it.
pub struct SecretText {
    text: Zeroizing<String>,
    /// Where it was read, for messages; nothing secret.
    source: Option<Box<str>>,
}

impl SecretText {
    /// Takes the text over; the caller's copies, if any, are the caller's to clear.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: Zeroizing::new(text.into()), source: None }
    }

    /// The same with where it was read, as messages may say it: `the variable WX_SECRET`.
    #[must_use]
    pub fn read_from(mut self, source: impl Into<Box<str>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Where it was read, if that is known.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Whether `other` is the same text, in a time that does not tell where the two differ.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        let [own, others] = [self.text.as_str(), other].map(|text| Sha256::digest(text.as_bytes()));
        own.ct_eq(&others).into()
    }

    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Bytes of a [`Key16`].
pub(crate) const KEY_16_LEN: usize = 16;

/// 16 bytes of key material: the usual `session_key`, decoded.
pub(crate) struct Key16([u8; KEY_16_LEN]);

impl Drop for Key16 {
    /// As a slice, in one store: an array, which is what the derived `drop` sees, is wiped byte by byte.
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl Key16 {
    pub(crate) fn from_bytes(bytes: [u8; KEY_16_LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_16_LEN] {
        &self.0
    }
}

/// Overwrites bytes that held something secret.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_a_secret() {
        let key = KeyBytes::from_bytes([0xab; 32]);
        assert_eq!(format!("{key:?} {:?}", SecretText::new("canary")), "KeyBytes(..) SecretText(..)");
    }

    #[test]
    fn a_key_is_64_lower_case_hex_digits() {
        let good = "023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441";
        assert_eq!(*KeyBytes::parse_hex(good).unwrap().expose_hex(), good);
        for (text, error) in [
            (String::new(), KeyBytesError::Length(0)),
            (good[1..].to_owned(), KeyBytesError::Length(63)),
            (format!("{good}\n"), KeyBytesError::Length(65)),
            (good.to_uppercase(), KeyBytesError::NotHex),
            (good.replace("02", "g2"), KeyBytesError::NotHex),
            ("é".repeat(32), KeyBytesError::NotHex),
            ("5a".repeat(32), KeyBytesError::Degenerate),
        ] {
            assert_eq!(KeyBytes::parse_hex(&text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn key_material_is_wiped_when_it_is_dropped() {
        const fn is_wiped(_: &impl zeroize::ZeroizeOnDrop) {}
        is_wiped(&KeyBytes::from_bytes([1; 32]).0);
        is_wiped(&SecretText::new("canary").text);
        let mut bytes = *b"canary";
        wipe(&mut bytes);
        assert_eq!(bytes, [0; 6]);
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(KeyBytes::generate().unwrap().expose(), KeyBytes::generate().unwrap().expose());
    }
}
