//! Phone numbers by code: `POST /wxa/business/getuserphonenumber`.
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber>

use serde::Deserialize;
use serde_json::{Value, json};

use super::access_token::AccessTokens;
use super::call::Request;
use super::refusal::Refused;
use crate::platform::{Code, FailedReason, Phone, PhoneError, PlatformError};

pub(super) const PATH: &str = "wxa/business/getuserphonenumber";

/// The errcode for a code of another app; and what an operator does about it.
pub(super) const OTHER_APP: i64 = 40013;
pub(super) const OTHER_APP_REMEDY: &str = "the phone code is not of this appid; check that the appid is the one of the \
    mini-program that sends such codes, and that phone numbers are enabled for it on mp.weixin.qq.com";

#[derive(Deserialize)]
struct Success {
    phone_info: PhoneInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneInfo {
    phone_number: String,
    pure_phone_number: String,
    #[serde(default)]
    country_code: Value,
    watermark: Watermark,
}

#[derive(Deserialize)]
struct Watermark {
    appid: String,
}

/// Spends `code`, which the phone button of the user `openid` of the app `appid` gave.
///
/// The openid is optional for the platform. Without it, the code of any user's button is answered with that user's number.
pub(super) async fn phone(
    tokens: &AccessTokens,
    appid: &str,
    openid: &str,
    code: &Code,
) -> Result<Phone, PlatformError> {
    let body = json!({"code": code.expose(), "openid": openid});
    let request = Request { path: PATH, query: Vec::new(), body: Some(body) };
    let answer = tokens.call(&request).await.map_err(|error| error.meaning(Refused::of_a_phone_code))?;
    let Success { phone_info } = answer.read()?;
    if phone_info.watermark.appid != appid {
        return Err(FailedReason::OtherApp.into());
    }
    let country_code = match phone_info.country_code {
        Value::Null => None,
        Value::String(digits) => Some(digits),
        // Documented as text, shown as a number.
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => return Err(FailedReason::Phone(PhoneError::CountryCode).into()),
    };
    Phone::new(&phone_info.phone_number, &phone_info.pure_phone_number, country_code.as_deref())
        .map_err(|error| FailedReason::Phone(error).into())
}
