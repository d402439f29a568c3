//! What Baidu encrypts under a `session_key`, whose 32 hex digits are read as base64: 24 bytes, so AES-192.
//!
//! Inside are 16 random bytes, the length of the text, the text and the App Key, padded as PKCS#7 pads blocks of 32 bytes.

use aws_lc_rs::cipher::{AES_192, DecryptionContext, EncryptingKey, UnboundCipherKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::simulator::codes::random_text;
use crate::simulator::platform::DataForClient;
use crate::simulator::users::{Name, Users};

const PADDED_TO: usize = 32;

/// 32 hex digits.
pub(super) fn session_key(users: &Users, name: &Name, client_id: &str) -> String {
    // The users' keys are base64 of 16 bytes.
    STANDARD.decode(users.session_key(name, client_id)).map(hex::encode).unwrap_or_default()
}

/// `text` for the app with this App Key. Nothing where the operating system has no randomness.
pub(super) fn encrypt(session_key: &str, text: &str, app_key: &str) -> Option<DataForClient> {
    let key = UnboundCipherKey::new(&AES_192, &STANDARD.decode(session_key).ok()?).ok()?;
    let mut content = random_text(16).ok()?.into_bytes();
    content.extend_from_slice(&u32::try_from(text.len()).ok()?.to_be_bytes());
    content.extend_from_slice(text.as_bytes());
    content.extend_from_slice(app_key.as_bytes());
    let pad = PADDED_TO - content.len() % PADDED_TO;
    content.resize(content.len() + pad, u8::try_from(pad).ok()?);
    let DecryptionContext::Iv128(iv) = EncryptingKey::cbc(key).ok()?.encrypt(&mut content).ok()? else { return None };
    let (encrypted_data, iv) = (STANDARD.encode(content), STANDARD.encode(iv.as_ref()));
    Some(DataForClient::Encrypted { encrypted_data, iv, raw_data: None, signature: None })
}
