//! What a platform encrypts under a `session_key`, once decrypted: JSON with a watermark.

use std::fmt;

use serde_json::{Map, Value};

use super::{Phone, PhoneError};
use unambiguous::Unambiguous;

mod unambiguous;

/// Decrypted JSON of this app: an object whose watermark names it. Personal data: `Debug` hides it.
pub struct UserData(Map<String, Value>);

/// Why encrypted data gave no [`UserData`], or why that is no phone number. For logs: a client learns only that it failed,
/// for else it could ask, byte by byte, what a ciphertext holds. Never holds any of the data.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UserDataError {
    /// The `session_key` or the initialisation vector is not base64 of 16 bytes.
    #[error("the session_key or the iv is not base64 of 16 bytes")]
    Key,
    /// The data is not base64 of one or more whole blocks.
    #[error("the data is not base64 of whole blocks")]
    Blocks,
    /// The padding is wrong (PKCS#7), most likely because the `session_key` is stale.
    #[error("the padding is wrong")]
    Padding,
    /// It is not one JSON object.
    #[error("the content is no JSON object")]
    Json,
    /// The watermark is missing or names another app.
    #[error("the watermark is not of this app")]
    Watermark,
    /// The object is not exactly a phone number.
    #[error("the object is not exactly a phone number")]
    NotAPhone,
    /// It has the members of a phone number, and they are none.
    #[error(transparent)]
    Phone(#[from] PhoneError),
}

impl UserData {
    /// Takes a decrypted text over, if it is one JSON object, in which no object names a member twice, and its
    /// `watermark.appid` is `appid`.
    ///
    /// # Errors
    /// [`UserDataError::Json`] or [`UserDataError::Watermark`].
    pub(crate) fn parse(text: &[u8], appid: &str) -> Result<Self, UserDataError> {
        let Ok(Unambiguous(Value::Object(object))) = serde_json::from_slice(text) else {
            return Err(UserDataError::Json);
        };
        let watermark = object.get("watermark").and_then(|watermark| watermark.get("appid")).and_then(Value::as_str);
        if watermark == Some(appid) { Ok(Self(object)) } else { Err(UserDataError::Watermark) }
    }

    /// Whose data it is, where it says so: `Err` when `openId` is something but text.
    ///
    /// # Errors
    /// [`UserDataError::Json`].
    pub fn openid(&self) -> Result<Option<&str>, UserDataError> {
        self.text("openId")
    }

    /// The same across the apps of one owner.
    ///
    /// # Errors
    /// [`UserDataError::Json`] when `unionId` is something but text.
    pub fn unionid(&self) -> Result<Option<&str>, UserDataError> {
        self.text("unionId")
    }

    fn text(&self, name: &str) -> Result<Option<&str>, UserDataError> {
        self.0.get(name).map(|value| value.as_str().ok_or(UserDataError::Json)).transpose()
    }

    /// Whether it has anything to do with a phone number.
    #[must_use]
    pub fn mentions_a_phone(&self) -> bool {
        self.0.contains_key("phoneNumber") || self.0.contains_key("purePhoneNumber")
    }

    /// The phone number, from an object that has exactly the fields of one.
    ///
    /// # Errors
    /// [`UserDataError::NotAPhone`] or [`UserDataError::Phone`].
    pub fn phone(&self) -> Result<Phone, UserDataError> {
        const FIELDS: [&str; 4] = ["phoneNumber", "purePhoneNumber", "countryCode", "watermark"];
        let has_exactly = self.0.len() == FIELDS.len() && FIELDS.iter().all(|field| self.0.contains_key(*field));
        let text = |field: &str| match self.0.get(field) {
            Some(Value::String(text)) => Some(text.clone()),
            // Documented as text, sent as a number at times.
            Some(Value::Number(number)) if field == "countryCode" && number.is_u64() => Some(number.to_string()),
            _ => None,
        };
        let [phone_number, pure, country_code] = ["phoneNumber", "purePhoneNumber", "countryCode"].map(text);
        match (has_exactly, phone_number, pure, country_code) {
            (true, Some(phone_number), Some(pure), Some(country_code)) => {
                Phone::new(&phone_number, &pure, Some(&country_code)).map_err(UserDataError::Phone)
            }
            _ => Err(UserDataError::NotAPhone),
        }
    }

    /// All fields, the watermark too.
    #[must_use]
    pub fn into_fields(self) -> Map<String, Value> {
        self.0
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserData(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPID: &str = "wx0123456789abcdef";

    fn parse(text: &str) -> Result<UserData, UserDataError> {
        UserData::parse(text.as_bytes(), APPID)
    }

    /// A phone number as the platform writes it, with one thing replaced.
    fn phone(what: &str, with: &str) -> Result<Phone, UserDataError> {
        let text = format!(
            r#"{{"phoneNumber":"13580006666","purePhoneNumber":"13580006666","countryCode":"86","watermark":{{"timestamp":1,"appid":"{APPID}"}}}}"#
        );
        assert!(text.contains(what), "{what}");
        parse(&text.replacen(what, with, 1))?.phone()
    }

    #[test]
    fn the_watermark_has_to_name_the_app() {
        let with = |watermark: &str| parse(&format!(r#"{{"a":1,"watermark":{watermark}}}"#)).map(|_| ());
        assert_eq!(with(&format!(r#"{{"appid":"{APPID}"}}"#)), Ok(()));
        assert_eq!(with(&format!(r#"{{"timestamp":1477314187,"appid":"{APPID}","more":[{{}}]}}"#)), Ok(()));
        for bad in [
            "{}",
            "null",
            r#"{"appid":"wxfedcba9876543210"}"#,
            r#"{"appid":"WX0123456789ABCDEF"}"#,
            r#"{"appid":["wx0123456789abcdef"]}"#,
            r#""wx0123456789abcdef""#,
            r#"[{"appid":"wx0123456789abcdef"}]"#,
        ] {
            assert_eq!(with(bad), Err(UserDataError::Watermark), "{bad}");
        }
        assert_eq!(parse("{}").map(|_| ()), Err(UserDataError::Watermark));
    }

    #[test]
    fn it_is_one_object_that_all_parsers_read_alike() {
        let good = format!(r#"{{"a":[1,-1,0.5,true,null,"é\n"],"watermark":{{"appid":"{APPID}"}}}}"#);
        let fields = parse(&good).unwrap().into_fields();
        assert_eq!(Value::Object(fields), serde_json::from_str::<Value>(&good).unwrap());
        for bad in [
            "",
            "[]",
            "7",
            "null",
            &good[..good.len() - 1],
            &format!("{good}{good}"),
            &format!("{good}x"),
            &format!("\u{feff}{good}"),
            &good.replacen('{', r#"{"a":2,"#, 1),
            &good.replacen('{', r#"{"\u0061":2,"#, 1),
            &good.replacen("[1", r#"[{"b":1,"b":1}"#, 1),
            &good.replacen(r#"{"appid""#, r#"{"appid":"wxfedcba9876543210","appid""#, 1),
            &good.replacen(r#""watermark""#, r#""watermark":{},"watermark""#, 1),
            &good.replacen('1', "1e999", 1),
            &good.replacen("1,", &format!("{},", "[".repeat(1000)), 1),
        ] {
            assert_eq!(parse(bad).map(|_| ()), Err(UserDataError::Json), "{bad}");
        }
        assert_eq!(UserData::parse(b"{\"a\":\"\xff\"}", APPID).map(|_| ()), Err(UserDataError::Json));
    }

    #[test]
    fn it_says_whose_it_is_or_nothing() {
        let with = |openid: &str| {
            let data = parse(&format!(r#"{{{openid}"watermark":{{"appid":"{APPID}"}}}}"#)).unwrap();
            data.openid().map(|openid| openid.map(str::to_owned))
        };
        assert_eq!(with(r#""openId":"o","#), Ok(Some("o".to_owned())));
        assert_eq!(with(r#""openid":"o","#), Ok(None));
        for bad in [r#""openId":7,"#, r#""openId":null,"#, r#""openId":["o"],"#] {
            assert_eq!(with(bad), Err(UserDataError::Json), "{bad}");
        }
    }

    #[test]
    fn a_phone_number_has_exactly_its_four_members() {
        assert_eq!(phone("13580006666", "13580006666").unwrap().e164(), "+8613580006666");
        assert_eq!(phone(r#""86""#, "86").unwrap().e164(), "+8613580006666");
        assert_eq!(phone(r#""86""#, r#""0086""#).unwrap().e164(), "+8613580006666");
        for (what, with) in [
            (r#""countryCode""#, r#""openId":"o","countryCode""#),
            (r#""countryCode":"86","#, ""),
            (r#""phoneNumber":"13580006666","#, ""),
            (r#""purePhoneNumber":"13580006666","#, ""),
            (r#""phoneNumber":"13580006666""#, r#""phoneNumber":13580006666"#),
            (r#""purePhoneNumber""#, r#""purephonenumber""#),
            (r#""86""#, "null"),
            (r#""86""#, "86.0"),
            (r#""86""#, "-86"),
        ] {
            assert_eq!(phone(what, with).unwrap_err(), UserDataError::NotAPhone, "{what} {with}");
        }
        for (what, with, error) in [
            (r#""phoneNumber":"13580006666""#, r#""phoneNumber":"13580006667""#, PhoneError::Disagree),
            (r#""86""#, r#""""#, PhoneError::CountryCode),
            ("13580006666", "135x", PhoneError::Number),
        ] {
            assert_eq!(phone(what, with).unwrap_err(), UserDataError::Phone(error), "{what} {with}");
        }
    }

    #[test]
    fn whatever_has_a_phone_number_mentions_one() {
        let mentions = |name: &str| {
            parse(&format!(r#"{{"{name}":1,"watermark":{{"appid":"{APPID}"}}}}"#)).unwrap().mentions_a_phone()
        };
        assert!(mentions("phoneNumber") && mentions("purePhoneNumber") && mentions("\\u0070honeNumber"));
        assert!(!mentions("countryCode") && !mentions("nickName"));
    }

    #[test]
    fn debug_output_shows_no_data() {
        let data = parse(&format!(r#"{{"a":"canary","watermark":{{"appid":"{APPID}"}}}}"#)).unwrap();
        assert_eq!(format!("{data:?}"), "UserData(..)");
    }
}
