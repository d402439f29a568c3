//! Signatures with a `session_key`, as platforms ask for them in payments; and what may be signed.

use std::fmt;

use serde_json::Value;

use super::user_data::unambiguous::Unambiguous;
use crate::secret::SecretText;

/// The text of a JSON object that may be signed for a user: 2 bytes to 16 KiB of UTF-8 without a byte order mark, at least
/// one member, no member named twice at any depth, and no other user's openid.
///
/// The signature of an empty text would let its holder check and replace the `session_key`, so there is no such value.
pub struct SignableData(String);

/// Why a text is not signed. Says nothing of its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignableError {
    /// Empty, a single byte, or too long.
    #[error("data is not 2 to {max} bytes long", max = SignableData::MAX_LEN)]
    Length,
    /// It begins with U+FEFF.
    #[error("data begins with a byte order mark")]
    ByteOrderMark,
    /// No JSON, no object, a member named twice, or a number that no parser holds.
    #[error("data is not the text of a JSON object in which every member is named once")]
    NotAnObject,
    /// An object without members.
    #[error("data is an object without members")]
    Empty,
    /// Its member `openid` is not the user's.
    #[error("the openid in data is not the one of the ticket")]
    OtherUser,
}

impl SignableData {
    /// Longest text, in bytes.
    pub const MAX_LEN: usize = 16 << 10;

    /// Takes the text of an object that concerns the user `openid`; it is kept, and signed, exactly as it is.
    ///
    /// # Errors
    /// [`SignableError`].
    pub fn parse(text: String, openid: &str) -> Result<Self, SignableError> {
        if !(2..=Self::MAX_LEN).contains(&text.len()) {
            return Err(SignableError::Length);
        }
        if text.starts_with('\u{feff}') {
            return Err(SignableError::ByteOrderMark);
        }
        let Ok(Unambiguous(Value::Object(members))) = serde_json::from_str(&text) else {
            return Err(SignableError::NotAnObject);
        };
        if members.is_empty() {
            return Err(SignableError::Empty);
        }
        if members.get("openid").is_some_and(|found| found.as_str() != Some(openid)) {
            return Err(SignableError::OtherUser);
        }
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignableData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignableData({} bytes)", self.0.len())
    }
}

/// A signature with a `session_key`. It is worth something to who has the data, so `Debug` does not show it.
pub struct UserSignature {
    text: SecretText,
    method: &'static str,
}

impl UserSignature {
    /// `method` is the platform's name for how `text` was made.
    #[must_use]
    pub fn new(text: String, method: &'static str) -> Self {
        Self { text: SecretText::new(text), method }
    }

    pub(crate) fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The platform's name for how it was made.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        self.method
    }
}

impl fmt::Debug for UserSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserSignature({}, ..)", self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Result<(), SignableError> {
        let text = text.to_owned();
        SignableData::parse(text.clone(), "o-alice").map(|data| assert_eq!(data.as_str(), text))
    }

    #[test]
    fn an_object_is_signed_as_it_is_written() {
        for good in [
            r#"{"a":1}"#,
            " \n{ \"b\" : [ {\"a\":1}, {\"a\":2} ] , \"a\" : null }\t",
            r#"{"openid":"o-alice"}"#,
            r#"{"\u006fpenid":"o-\u0061lice","to":{"openid":"o-bob"}}"#,
            r#"{"":"\ud83d\ude00\u00e9"}"#,
            r#"{"amount":10.50,"big":18446744073709551616}"#,
        ] {
            assert_eq!(verdict(good), Ok(()), "{good}");
        }
        let longest = format!(r#"{{"a":"{}"}}"#, "x".repeat(SignableData::MAX_LEN - 8));
        assert_eq!((longest.len(), verdict(&longest)), (SignableData::MAX_LEN, Ok(())));
        assert_eq!(verdict(&format!("{longest} ")), Err(SignableError::Length));
    }

    #[test]
    fn what_is_no_object_of_the_user_is_not_signed() {
        use SignableError as E;
        for (bad, why) in [
            ("", E::Length),
            ("1", E::Length),
            ("{}", E::Empty),
            (" { } ", E::Empty),
            ("\u{feff}{\"a\":1}", E::ByteOrderMark),
            ("[]", E::NotAnObject),
            (r#"[{"a":1}]"#, E::NotAnObject),
            (r#""{\"a\":1}""#, E::NotAnObject),
            ("null", E::NotAnObject),
            ("12", E::NotAnObject),
            (r#"{"a":1"#, E::NotAnObject),
            (r#"{"a":1}{"b":2}"#, E::NotAnObject),
            (r#"{"a":1,}"#, E::NotAnObject),
            (r#"{"a":NaN}"#, E::NotAnObject),
            ("{'a':1}", E::NotAnObject),
            (r#"{"a":1,"a":1}"#, E::NotAnObject),
            (r#"{"a":1,"\u0061":1}"#, E::NotAnObject),
            (r#"{"b":[0,{"c":{"a":1,"\u0061":2}}]}"#, E::NotAnObject),
            (r#"{"openid":"o-alice","op\u0065nid":"o-bob"}"#, E::NotAnObject),
            (r#"{"a":"\ud800"}"#, E::NotAnObject),
            ("{\"a\":\"\u{1}\"}", E::NotAnObject),
            (r#"{"openid":"o-bob"}"#, E::OtherUser),
            (r#"{"\u006fpenid":"o-bob"}"#, E::OtherUser),
            (r#"{"openid":"O-alice"}"#, E::OtherUser),
            (r#"{"openid":""}"#, E::OtherUser),
            (r#"{"openid":null}"#, E::OtherUser),
            (r#"{"openid":["o-alice"]}"#, E::OtherUser),
        ] {
            assert_eq!(verdict(bad), Err(why), "{bad}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(8000), "]".repeat(8000));
        assert_eq!(verdict(&deep), Err(E::NotAnObject), "nested so deeply that parsers give up");
    }

    #[test]
    fn neither_data_nor_signature_is_printed() {
        let data = SignableData::parse(r#"{"a":"canary"}"#.to_owned(), "o-alice").unwrap();
        let printed = format!("{data:?} {:?}", UserSignature::new("canary".to_owned(), "hmac_sha256"));
        assert_eq!(printed, "SignableData(14 bytes) UserSignature(hmac_sha256, ..)");
    }
}
