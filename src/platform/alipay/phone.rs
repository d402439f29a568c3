//! What `my.getPhoneNumber` gives the client: the number, encrypted under the app's AES key and signed by Alipay.
//!
//! Nothing in it names an app, a user or a time. The signature proves that Alipay made it for an app with this key; that it is
//! about the user who sends it, nothing proves. <https://opendocs.alipay.com/common/02mse3>

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::errcode::AlipayRefusal;
use crate::platform::aes_cbc::{BLOCK_LEN, decrypt_128};
use crate::platform::user_data::{DataShape, PhoneShape};
use crate::platform::{AesKey, Phone, PhoneError, RsaPublicKey, SignedDataError, UserData, UserDataError};

pub(super) const INTERFACE: &str = "my.getPhoneNumber";

const SHAPE: DataShape = DataShape {
    openid: "openId",
    unionid: "unionId",
    watermark: &[],
    phone: PhoneShape {
        members: &["code", "msg", "mobile"],
        optional: &["subCode", "subMsg"],
        number: "mobile",
        pure: "mobile",
        country_code: Some("86"),
    },
};

/// What opens the client's data.
pub(super) struct PhoneKeys {
    pub(super) public_key: Arc<RsaPublicKey>,
    pub(super) aes_key: Option<AesKey>,
}

impl PhoneKeys {
    /// `data` is the text that the client got, unchanged.
    pub(super) fn open(&self, data: &str) -> Result<Phone, SignedDataError> {
        #[derive(Deserialize)]
        struct SignedData {
            response: String,
            // Without a mode of signing in the console there is none; then nothing proves anything.
            sign: Option<String>,
        }
        let Some(aes_key) = &self.aes_key else { return Err(UserDataError::Unsupported.into()) };
        let SignedData { response, sign } = serde_json::from_str(data).map_err(|_| UserDataError::Json)?;
        // What is no object stood in quotes when it was signed.
        let signed = if response.starts_with('{') { response.clone() } else { format!("\"{response}\"") };
        if !sign.is_some_and(|sign| self.public_key.verifies(signed.as_bytes(), &sign)) {
            return Err(UserDataError::Signature.into());
        }
        if let Some(refusal) = AlipayRefusal::of(&response) {
            return Err(SignedDataError::Refused(refusal.of_a_phone()));
        }
        let encrypted = STANDARD.decode(response).map_err(|_| UserDataError::Json)?;
        let text = decrypt_128(aes_key.expose(), &[0; BLOCK_LEN], &encrypted)?;
        if let Some(refusal) = str::from_utf8(&text).ok().and_then(AlipayRefusal::of) {
            return Err(SignedDataError::Refused(refusal.of_a_phone()));
        }
        let phone = UserData::parse(&text, &SHAPE)?.phone()?;
        // The country is not said. Only a number that is one of mainland China for sure is taken.
        let is_mainland = phone.pure().len() == 11 && phone.pure().starts_with('1');
        if is_mainland { Ok(phone) } else { Err(UserDataError::Phone(PhoneError::CountryCode).into()) }
    }
}
