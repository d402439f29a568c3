//! Phone numbers by code: `POST /wxa/business/getuserphonenumber`.
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber>

use serde::Deserialize;
use serde_json::{Value, json};

use super::access_token::TokenCalls;
use super::errcode::ErrorAnswer;
use crate::claims::PlatformId;
use crate::platform::client::{PlatformRequest, RequestBody};
use crate::platform::{Code, FailedReason, Phone, PhoneError, PlatformError};

pub(super) const PATH: &str = "wxa/business/getuserphonenumber";

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
pub(super) async fn phone(calls: &TokenCalls, openid: &PlatformId, code: &Code) -> Result<Phone, PlatformError> {
    let body = json!({"code": code.expose(), "openid": openid.as_str()});
    let request =
        || PlatformRequest { path: PATH, body: RequestBody::Json(body.clone()), ..PlatformRequest::default() };
    let answer = calls.call(request).await.map_err(|error| error.meaning(ErrorAnswer::of_a_phone_code))?;
    let Success { phone_info } = answer.read()?;
    if phone_info.watermark.appid != calls.app.appid {
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
