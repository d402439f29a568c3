//! Encrypted and signed user data, and who made it: `POST /wxa/business/checkencryptedmsg`.
//!
//! AES-128 in CBC mode without a MAC, under an initialisation vector that comes with the data. So whoever has genuine data
//! can cut it into other data; only the platform can tell, and only of phone numbers of the last three days.
//! <https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature>,
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/basic-info/api_checkencrypteddata>

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::access_token::AccessTokens;
use super::call::{CallError, Request};
use super::refusal::Refused;
use crate::platform::{Encrypted, PlatformError, UserData, UserDataError};
use crate::secret::{SecretText, Zeroizing};

pub(super) const PATH: &str = "wxa/business/checkencryptedmsg";

const BLOCK_LEN: usize = 16;

/// Whether the platform has made `encrypted_data`. The hash is over its base64, as the documentation's example shows.
pub(super) async fn vouches_for(tokens: &AccessTokens, encrypted_data: &str) -> Result<bool, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        /// The platform's spelling, and what it may come to.
        #[serde(alias = "valid")]
        vaild: bool,
    }
    let body = json!({"encrypted_msg_hash": hash(encrypted_data)});
    match tokens.call(&Request { path: PATH, query: Vec::new(), body: Some(body) }).await {
        Ok(answer) => Ok(answer.read::<Success>()?.vaild),
        // "Data not exit": of another app, too old, or never made.
        Err(CallError::Refused(refused)) if refused.errcode() == 1 => Ok(false),
        Err(error) => Err(error.meaning(Refused::in_general)),
    }
}

fn hash(encrypted_data: &str) -> String {
    hex::encode(digest::digest(&SHA256, encrypted_data.as_bytes()))
}

/// Whether `signature` is over exactly `raw_data`: SHA-1 of it and the text of the `session_key`, in lower-case hex.
pub(super) fn has_signed(session_key: &SecretText, raw_data: &str, signature: &str) -> bool {
    let mut context = digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(raw_data.as_bytes());
    context.update(session_key.expose().as_bytes());
    SecretText::new(hex::encode(context.finish())).is(signature)
}

/// Decrypts data of the app `appid`.
pub(super) fn decrypt(session_key: &SecretText, encrypted: &Encrypted, appid: &str) -> Result<UserData, UserDataError> {
    let key = block(session_key.expose()).ok_or(UserDataError::Key)?;
    let mut data = Zeroizing::new(encrypted.data().to_vec());
    let key = UnboundCipherKey::new(&AES_128, &*key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let key = key.map_err(|_| UserDataError::Key)?;
    let text = key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(*encrypted.iv())));
    UserData::parse(text.map_err(|_| UserDataError::Padding)?, appid)
}

/// 16 bytes from their canonical base64.
fn block(base64: &str) -> Option<Zeroizing<[u8; BLOCK_LEN]>> {
    let mut block = Zeroizing::new([0; BLOCK_LEN]);
    // The decoder wants room for all it may find.
    let mut bytes = Zeroizing::new([0; BLOCK_LEN + 2]);
    let len = STANDARD.decode_slice(base64, &mut *bytes).ok()?;
    block.copy_from_slice(bytes.get(..len).filter(|bytes| bytes.len() == BLOCK_LEN)?);
    Some(block)
}

#[cfg(test)]
mod tests;
