//! Encrypted and signed user data, and who made it: `POST /wxa/business/checkencryptedmsg`.
//!
//! AES-128 in CBC mode without a MAC, under an initialisation vector that comes with the data. So the holder of genuine
//! data can cut it into other data; only the platform can tell, and only for phone numbers of the last three days.
//! <https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature>,
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/basic-info/api_checkencrypteddata>

use aws_lc_rs::digest::{self, SHA256};
use serde::Deserialize;
use serde_json::json;

use super::access_token::TokenCalls;
use super::call::Failure;
use super::errcode::ErrorAnswer;
use crate::claims::SessionKey;
use crate::platform::aes_cbc::decrypt_user_data;
use crate::platform::client::{PlatformRequest, RequestBody};
use crate::platform::user_data::WATERMARKED;
use crate::platform::{Encrypted, PlatformError, UserData, UserDataError};

pub(super) use crate::platform::raw_data::has_signed;

pub(super) const PATH: &str = "wxa/business/checkencryptedmsg";

/// Whether the platform has made `encrypted_data`. The hash is over its base64, as the documentation's example shows.
pub(super) async fn vouches_for(calls: &TokenCalls, encrypted_data: &str) -> Result<bool, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        /// The platform's spelling, and what it may come to.
        #[serde(alias = "valid")]
        vaild: bool,
    }
    let body = json!({"encrypted_msg_hash": hash(encrypted_data)});
    let request =
        || PlatformRequest { path: PATH, body: RequestBody::Json(body.clone()), ..PlatformRequest::default() };
    match calls.call(request).await {
        Ok(answer) => Ok(answer.read::<Success>()?.vaild),
        // "Data not exit": of another app, too old, or never made.
        Err(Failure::Errcode(error)) if error.errcode() == 1 => Ok(false),
        Err(error) => Err(error.meaning(ErrorAnswer::in_general)),
    }
}

fn hash(encrypted_data: &str) -> String {
    hex::encode(digest::digest(&SHA256, encrypted_data.as_bytes()))
}

/// Decrypts data of the app `appid`.
pub(super) fn decrypt(session_key: &SessionKey, encrypted: &Encrypted, appid: &str) -> Result<UserData, UserDataError> {
    decrypt_user_data(session_key, encrypted, &WATERMARKED)?.of_app(appid)
}

#[cfg(test)]
mod tests;
