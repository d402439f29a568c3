//! What Baidu encrypts under a `session_key`: AES-192 in CBC mode, under the 24 bytes that its 32 hex digits stand for when they
//! are read as base64.
//!
//! Inside are 16 random bytes, the length of the text, the text, and the App Key; the padding is PKCS#7 for blocks of 32 bytes,
//! so it has 1 to 32 bytes. <https://smartprogram.baidu.com/docs/develop/api/open/log_Session-Key/>

use crate::claims::SessionKey;
use crate::platform::user_data::{DataShape, PhoneShape};
use crate::platform::{Encrypted, UserData, UserDataError, aes_cbc};

const RANDOM_LEN: usize = 16;
const PADDED_TO: usize = 32;

/// The App Key proves the app, so there is no watermark. A phone number is `mobile` in public clients; the vendor's page does not
/// say.
const DATA: DataShape = DataShape {
    openid: "openid",
    unionid: "unionid",
    watermark: &[],
    phone: PhoneShape {
        members: &["mobile"],
        optional: &[],
        number: "mobile",
        pure: "mobile",
        country_code: Some("86"),
    },
};

/// Decrypts data of the app with this App Key.
pub(super) fn decrypt(
    session_key: &SessionKey,
    encrypted: &Encrypted,
    app_key: &str,
) -> Result<UserData, UserDataError> {
    let key = aes_cbc::key_of(session_key)?;
    let content = aes_cbc::decrypt_192_padded(&key, encrypted.iv(), encrypted.data())?;
    UserData::parse(text_in(&content, app_key)?, &DATA)
}

/// The text in a decrypted content that is for the app with this App Key.
fn text_in<'a>(content: &'a [u8], app_key: &str) -> Result<&'a [u8], UserDataError> {
    let content = unpadded(content).ok_or(UserDataError::Padding)?;
    let (_, rest) = content.split_at_checked(RANDOM_LEN).ok_or(UserDataError::Json)?;
    let (len, rest) = rest.split_first_chunk().ok_or(UserDataError::Json)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| UserDataError::Json)?;
    let (text, rest) = rest.split_at_checked(len).ok_or(UserDataError::Json)?;
    if rest == app_key.as_bytes() { Ok(text) } else { Err(UserDataError::Watermark) }
}

/// `content` without its padding: as many bytes as each of them says.
fn unpadded(content: &[u8]) -> Option<&[u8]> {
    let pad = content.last().copied()?;
    let pad_len = usize::from(pad);
    let (rest, padding) = content.split_at_checked(content.len().checked_sub(pad_len)?)?;
    let is_padding = (1..=PADDED_TO).contains(&pad_len) && padding.iter().all(|byte| *byte == pad);
    (is_padding && content.len().is_multiple_of(PADDED_TO)).then_some(rest)
}

#[cfg(test)]
mod tests;
