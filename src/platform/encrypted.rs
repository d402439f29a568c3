//! What a client sends of encrypted data, told apart before any key is looked at: base64 or not.
//!
//! That depends on nothing secret, so a client may be told; and it is worth telling, since forms, copies and libraries change
//! base64 on its way.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// All platforms encrypt in blocks of AES.
const BLOCK_LEN: usize = 16;
/// In characters of base64. Real data is below 1 KiB.
const MAX_LEN: usize = 64 * 1024;

/// Encrypted data as a client sent it: whole blocks, and the block that is their initialisation vector.
pub struct Encrypted {
    text: String,
    data: Vec<u8>,
    iv: [u8; BLOCK_LEN],
}

/// Why texts are no [`Encrypted`]. For clients: it says what to mend, and depends on nothing but what they sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field} {fault}")]
pub struct EncryptedError {
    /// `encryptedData` or `iv`.
    field: &'static str,
    fault: Base64Fault,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Base64Fault {
    Empty,
    TooLong,
    LineBreaks,
    Spaces,
    PercentEncoded,
    Base64Url,
    CutOff,
    NotBase64,
    Blocks,
    NotOneBlock,
}

impl Encrypted {
    /// Takes `encryptedData` and `iv` over, each in canonical base64.
    ///
    /// # Errors
    /// [`EncryptedError`]: not base64, not 1 or more blocks of 16 bytes, above 64 KiB; an iv of another length than 16 bytes.
    pub fn parse(encrypted_data: String, iv: &str) -> Result<Self, EncryptedError> {
        let data = decode(&encrypted_data)
            .and_then(|data| if data.len() % BLOCK_LEN == 0 { Ok(data) } else { Err(Base64Fault::Blocks) });
        let data = data.map_err(|fault| EncryptedError { field: "encryptedData", fault })?;
        let iv = decode(iv).and_then(|iv| iv.try_into().map_err(|_| Base64Fault::NotOneBlock));
        let iv = iv.map_err(|fault| EncryptedError { field: "iv", fault })?;
        Ok(Self { text: encrypted_data, data, iv })
    }

    /// The data's base64, as it was sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// One or more whole blocks.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The initialisation vector.
    #[must_use]
    pub fn iv(&self) -> &[u8; BLOCK_LEN] {
        &self.iv
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, Base64Fault> {
    if base64.is_empty() {
        return Err(Base64Fault::Empty);
    }
    if base64.len() > MAX_LEN {
        return Err(Base64Fault::TooLong);
    }
    STANDARD.decode(base64).map_err(|_| Base64Fault::of(base64))
}

impl Base64Fault {
    /// What `text`, which is no base64, was most likely made from.
    fn of(text: &str) -> Self {
        let has = |wanted: &[char]| text.contains(wanted);
        if has(&['\r', '\n']) {
            Self::LineBreaks
        } else if has(&[' ']) {
            Self::Spaces
        } else if has(&['%']) {
            Self::PercentEncoded
        } else if has(&['-', '_']) && !has(&['+', '/']) {
            Self::Base64Url
        } else if !text.len().is_multiple_of(4)
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
        {
            Self::CutOff
        } else {
            Self::NotBase64
        }
    }
}

/// Follows the field's name. ASCII without quotes and backslashes, as descriptions of errors are.
impl fmt::Display for Base64Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "has more than 64 KiB",
            Self::LineBreaks => "is not base64: it has line breaks; send it in one line, as the platform gave it",
            Self::Spaces => {
                "is not base64: it has spaces, most likely where a + was read as one; send it as JSON, or write + as %2B in forms"
            }
            Self::PercentEncoded => "is not base64: it looks percent-encoded, like %2B for +; decode it once before it is sent",
            Self::Base64Url => "is base64url, with - and _; send it with + and /, as the platform gave it",
            Self::CutOff => "is not whole base64: its end, or the = there, is missing",
            Self::NotBase64 => "is not base64",
            Self::Blocks => "is base64, but not of whole blocks of 16 bytes; part of it is missing",
            Self::NotOneBlock => "is base64, but not of 16 bytes",
        })
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypted(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";

    fn fault(data: &str, iv: &str) -> EncryptedError {
        Encrypted::parse(data.to_owned(), iv).unwrap_err()
    }

    /// Two blocks whose base64 has every kind of character.
    fn data() -> String {
        STANDARD.encode([&[0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff][..], &[0; 26]].concat())
    }

    #[test]
    fn whole_blocks_and_an_iv_are_taken_as_they_are() {
        let encrypted = Encrypted::parse(data(), IV).unwrap();
        assert_eq!((encrypted.text(), encrypted.data().len()), (&*data(), 32));
        assert_eq!(STANDARD.encode(encrypted.iv()), IV);
        assert_eq!(format!("{encrypted:?}"), "Encrypted(..)");
        // The longest there may be.
        Encrypted::parse(STANDARD.encode(vec![0; 48 * 1024]), IV).unwrap();
    }

    #[test]
    fn what_happened_to_base64_on_its_way_is_told() {
        let good = data();
        let (first, rest) = good.split_at(20);
        for (bad, expected) in [
            (good.replace('+', " "), Base64Fault::Spaces),
            (format!("{good} "), Base64Fault::Spaces),
            (format!("{first}\n{rest}"), Base64Fault::LineBreaks),
            (format!("{first}\r\n{rest}"), Base64Fault::LineBreaks),
            (format!("{good}\n"), Base64Fault::LineBreaks),
            (good.replace('+', "%2B"), Base64Fault::PercentEncoded),
            (good.replace('=', "%3D"), Base64Fault::PercentEncoded),
            (good.replace('+', "-").replace('/', "_"), Base64Fault::Base64Url),
            (good.replace('+', "-").replace('/', "_").replace('=', ""), Base64Fault::Base64Url),
            (good.replace('=', ""), Base64Fault::CutOff),
            (good[..good.len() - 3].to_owned(), Base64Fault::CutOff),
            ("x".to_owned(), Base64Fault::CutOff),
            ("*".to_owned(), Base64Fault::NotBase64),
            ("undefined".to_owned(), Base64Fault::CutOff),
            ("[object Object]".to_owned(), Base64Fault::Spaces),
            (format!("{}B=", &good[..good.len() - 2]), Base64Fault::NotBase64),
            (String::new(), Base64Fault::Empty),
            (STANDARD.encode([0; 15]), Base64Fault::Blocks),
            (STANDARD.encode([0; 33]), Base64Fault::Blocks),
            (STANDARD.encode(vec![0; 48 * 1024 + 16]), Base64Fault::TooLong),
        ] {
            assert_eq!(fault(&bad, IV), EncryptedError { field: "encryptedData", fault: expected }, "{bad:.60}");
        }
        for (bad, expected) in [
            ("x", Base64Fault::CutOff),
            ("", Base64Fault::Empty),
            (IV.trim_end_matches('='), Base64Fault::CutOff),
            ("r7BXXKkLb8qrSNn05n0qiB==", Base64Fault::NotBase64),
            ("r7BXXKkLb8qrSNn05n0q", Base64Fault::NotOneBlock),
            ("r7BXXKkLb8qrSNn05n0qiAA=", Base64Fault::NotOneBlock),
            (" r7BXXKkLb8qrSNn05n0qiA==", Base64Fault::Spaces),
            ("r7BXXKkLb8qrSNn05n0qiA%3D%3D", Base64Fault::PercentEncoded),
        ] {
            assert_eq!(fault(&good, bad), EncryptedError { field: "iv", fault: expected }, "{bad}");
        }
        assert_eq!(fault("", IV).to_string(), "encryptedData is empty");
    }

    proptest! {
        #[test]
        fn any_texts_have_an_answer_that_may_stand_in_an_error(data in any::<String>(), iv in any::<String>()) {
            let said = fault(&data, &iv).to_string();
            prop_assert!(said.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\'), "{said}");
        }
    }
}
