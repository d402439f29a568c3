//! What a platform encrypts under a `session_key`, once decrypted: JSON with a watermark.

use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Phone, PhoneError, PlatformError};
use unambiguous::Unambiguous;

mod repair;
pub(super) mod unambiguous;

/// How a platform writes what it encrypts.
#[derive(Debug)]
pub(crate) struct DataShape {
    /// The member that says whose data it is.
    pub(crate) openid: &'static str,
    /// The member that says it across the apps of one owner.
    pub(crate) unionid: &'static str,
    /// Members of `watermark`, of which one names the app.
    pub(crate) watermark: &'static [&'static str],
    /// An object with a phone number.
    pub(crate) phone: PhoneShape,
}

/// How a platform writes a phone number.
#[derive(Debug)]
pub(crate) struct PhoneShape {
    /// Members that have to be there, and beside which there may be no others but `optional`: whatever else a user has cut
    /// into the object is found out.
    pub(crate) members: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
    /// The full number, and the one without the country; both may be the same member.
    pub(crate) number: &'static str,
    pub(crate) pure: &'static str,
    /// What the country is where no `countryCode` says it.
    pub(crate) country_code: Option<&'static str>,
}

/// WeChat's shape, which several platforms have taken over.
pub(crate) const WATERMARKED: DataShape = DataShape {
    openid: "openId",
    unionid: "unionId",
    watermark: &["appid"],
    phone: PhoneShape {
        members: &["phoneNumber", "purePhoneNumber", "countryCode", "watermark"],
        optional: &[],
        number: "phoneNumber",
        pure: "purePhoneNumber",
        country_code: None,
    },
};

/// Decrypted JSON of this app, as far as its platform's data says for which app it is. Personal data: `Debug` hides it.
pub struct UserData {
    shape: &'static DataShape,
    /// Whose it is, where that is not what one member says.
    owner: Option<String>,
    /// To be looked at. Numbers beyond 64 bits are rounded here.
    members: Map<String, Value>,
    /// To be handed out: numbers as they were written.
    json: Box<RawValue>,
}

/// Why encrypted data gave no [`UserData`], or why that is no phone number. For logs: a client learns only that it failed,
/// for else it could ask, byte by byte, what a ciphertext holds. Never holds any of the data.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UserDataError {
    /// The platform encrypts nothing.
    #[error("the platform encrypts nothing")]
    Unsupported,
    /// The `session_key` is not base64 of 16 bytes.
    #[error("the session_key is not base64 of 16 bytes")]
    Key,
    /// The padding is wrong (PKCS#7), most likely because the `session_key` is stale.
    #[error("the padding is wrong")]
    Padding,
    /// It is not one JSON object.
    #[error("the content is no JSON object")]
    Json,
    /// The watermark is missing or names another app.
    #[error("the watermark is not of this app")]
    Watermark,
    /// It names a member without a corp, or a corp without a member.
    #[error("it does not say whole whose it is")]
    Owner,
    /// The object is not exactly a phone number.
    #[error("the object is not exactly a phone number")]
    NotAPhone,
    /// The platform has not signed it.
    #[error("the platform has not signed it")]
    Signature,
    /// It has the members of a phone number, and they are none.
    #[error(transparent)]
    Phone(#[from] PhoneError),
}

/// Why signed data gave no phone number.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedDataError {
    /// It is not what the platform made. For logs; to clients all of these are one.
    #[error(transparent)]
    Data(#[from] UserDataError),
    /// The platform has signed an error instead of a number.
    #[error(transparent)]
    Refused(PlatformError),
}

impl UserData {
    /// Takes a decrypted text over, if it is one JSON object, in which no object names a member twice. What no JSON
    /// text may hold is replaced by U+FFFD first, as users have such nicknames;
    /// but not in the names of members, which are the platform's.
    ///
    /// # Errors
    /// [`UserDataError::Json`].
    pub(crate) fn parse(text: &[u8], shape: &'static DataShape) -> Result<Self, UserDataError> {
        let json = repair::repaired(text);
        let Ok(Unambiguous(Value::Object(members))) = serde_json::from_str(&json) else {
            return Err(UserDataError::Json);
        };
        let json = serde_json::from_str(&json).map_err(|_| UserDataError::Json)?;
        Ok(Self { shape, owner: None, members, json })
    }

    /// The same, if its `watermark` names the app `appid`, whatever the member is called.
    ///
    /// # Errors
    /// [`UserDataError::Watermark`].
    pub(crate) fn of_app(self, appid: &str) -> Result<Self, UserDataError> {
        let watermark = self.members.get("watermark");
        let mut named = self.shape.watermark.iter().filter_map(|name| watermark?.get(name)).peekable();
        let is_of_app = named.peek().is_some() && named.all(|name| name.as_str() == Some(appid));
        if is_of_app { Ok(self) } else { Err(UserDataError::Watermark) }
    }

    /// The same, of the member `userid` of the corp `corpid` where it names one.
    ///
    /// # Errors
    /// [`UserDataError::Owner`]: one of the two alone.
    pub(crate) fn of_member(mut self) -> Result<Self, UserDataError> {
        self.owner = match (self.text("corpid")?, self.text("userid")?) {
            (Some(corpid), Some(userid)) => Some(format!("{corpid}:{userid}")),
            (None, None) => None,
            _ => return Err(UserDataError::Owner),
        };
        Ok(self)
    }

    /// Whose data it is, where it says so: `Err` when that is something but text.
    ///
    /// # Errors
    /// [`UserDataError::Json`].
    pub fn openid(&self) -> Result<Option<&str>, UserDataError> {
        if let Some(owner) = &self.owner { Ok(Some(owner)) } else { self.text(self.shape.openid) }
    }

    /// The same across the apps of one owner. An empty one counts as absent.
    ///
    /// # Errors
    /// [`UserDataError::Json`] when it is something but text.
    pub fn unionid(&self) -> Result<Option<&str>, UserDataError> {
        Ok(self.text(self.shape.unionid)?.filter(|unionid| !unionid.is_empty()))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, UserDataError> {
        self.members.get(name).map(|value| value.as_str().ok_or(UserDataError::Json)).transpose()
    }

    /// Whether it has anything to do with a phone number.
    #[must_use]
    pub fn mentions_a_phone(&self) -> bool {
        const NAMES: [&str; 3] = ["phoneNumber", "purePhoneNumber", "mobile"];
        NAMES.iter().any(|name| self.members.contains_key(*name))
    }

    /// The phone number, from an object that has exactly the fields of one.
    ///
    /// # Errors
    /// [`UserDataError::NotAPhone`] or [`UserDataError::Phone`].
    pub fn phone(&self) -> Result<Phone, UserDataError> {
        let PhoneShape { members, optional, number, pure, country_code } = &self.shape.phone;
        let has_exactly = members.iter().all(|name| self.members.contains_key(*name))
            && self.members.keys().all(|name| members.contains(&&**name) || optional.contains(&&**name));
        let text = |field: &str| match self.members.get(field) {
            Some(Value::String(text)) => Some(text.clone()),
            // Documented as text, sent as a number at times.
            Some(Value::Number(number)) if field == "countryCode" && number.is_u64() => Some(number.to_string()),
            _ => None,
        };
        let country_code = match self.members.get("countryCode") {
            None => country_code.map(str::to_owned),
            Some(_) => text("countryCode"),
        };
        // One that may be missing is the full one then.
        let pure = if self.members.contains_key(*pure) { pure } else { number };
        match (has_exactly, text(number), text(pure), country_code) {
            (true, Some(number), Some(pure), Some(country_code)) => {
                Phone::new(&number, &pure, Some(&country_code)).map_err(UserDataError::Phone)
            }
            _ => Err(UserDataError::NotAPhone),
        }
    }

    /// All members, the watermark too. Numbers beyond 64 bits are rounded here.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// The object as the platform wrote it, numbers included.
    #[must_use]
    pub fn into_json(self) -> Box<RawValue> {
        self.json
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
        UserData::parse(text.as_bytes(), &WATERMARKED)?.of_app(APPID)
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
        let data = parse(&good).unwrap();
        assert_eq!(Value::Object(data.members().clone()), serde_json::from_str::<Value>(&good).unwrap());
        assert_eq!(data.into_json().get(), good);
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
    }

    #[test]
    fn what_users_write_is_mended_and_names_are_not() {
        let with = |name: &[u8], value: &[u8]| {
            let watermark = format!(r#","watermark":{{"appid":"{APPID}"}}}}"#);
            UserData::parse(&[b"{\"", name, b"\":\"", value, b"\"", watermark.as_bytes()].concat(), &WATERMARKED)
        };
        for (value, expected) in [
            (&b"a\x14b"[..], "a\u{fffd}b"),
            (b"\xe4\xb8", "\u{fffd}"),
            (br"\ud83d", "\u{fffd}"),
            (br"\ud83d\ude00", "\u{1f600}"),
        ] {
            let data = with(b"nickName", value).unwrap();
            assert_eq!(data.members()["nickName"], expected);
            let told: Value = serde_json::from_str(data.into_json().get()).unwrap();
            assert_eq!(told["nickName"], expected);
        }
        for name in [&b"open\x14Id"[..], b"openI\xff", br"openId\ud83d", "openId\u{fffd}".as_bytes()] {
            assert_eq!(with(name, b"o").map(|_| ()), Err(UserDataError::Json), "{name:?}");
        }
    }

    #[test]
    fn numbers_stay_as_they_were_written() {
        for number in ["123456789012345678901234567890", "-9223372036854775809", "1.50", "0.1000000000000000055", "1E5"]
        {
            let text = format!(r#"{{"id":{number},"watermark":{{"appid":"{APPID}"}}}}"#);
            assert_eq!(parse(&text).unwrap().into_json().get(), text);
        }
    }

    #[test]
    fn an_empty_unionid_is_none() {
        let with =
            |unionid: &str| parse(&format!(r#"{{"unionId":{unionid},"watermark":{{"appid":"{APPID}"}}}}"#)).unwrap();
        assert_eq!(with(r#""u""#).unionid(), Ok(Some("u")));
        assert_eq!(with(r#""""#).unionid(), Ok(None));
        assert_eq!(with("null").unionid(), Err(UserDataError::Json));
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
        assert_eq!(phone("13580006666", "13580006666").unwrap().number().as_str(), "+8613580006666");
        assert_eq!(phone(r#""86""#, "86").unwrap().number().as_str(), "+8613580006666");
        assert_eq!(phone(r#""86""#, r#""0086""#).unwrap().number().as_str(), "+8613580006666");
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
