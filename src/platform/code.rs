//! One-time codes, as clients send them.

use std::fmt;

use sha2::{Digest, Sha256};

use super::is_visible_ascii;
use crate::secret::SecretText;

/// A one-time login code as a client sent it: 1 to 512 printable ASCII characters without a space.
///
/// Until it is spent it is as good as a password, so it is never printed.
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

    /// Takes a code over.
    ///
    /// # Errors
    /// Another length, or another character than 0x21 to 0x7e.
    pub fn parse(text: impl Into<String>) -> Result<Self, CodeError> {
        let code = SecretText::new(text);
        let text = code.expose();
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(CodeError::Length(text.len()));
        }
        if !is_visible_ascii(text) {
            return Err(CodeError::NotPrintable);
        }
        Ok(Self(code))
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
        ] {
            assert_eq!(Code::parse(bad.as_str()).unwrap_err(), error, "{bad}");
        }
    }

    #[test]
    fn debug_output_shows_nothing_of_a_code() {
        assert_eq!(format!("{:?}", Code::parse("canary").unwrap()), "Code(..)");
    }
}
