//! Answers of the gateway: `{"NAME_response": {...}, "sign": "..."}`, where the signature is over the bytes of the response as
//! they came, and the last `sign` at the top counts.
//! <https://opendocs.alipay.com/common/02mse7>

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::errcode::AlipayRefusal;
use crate::platform::{FailedReason, PlatformError, RsaPublicKey};

/// A success that Alipay has signed.
pub(super) struct SignedReply<'a>(&'a RawValue);

/// Why there is none.
pub(super) enum ReplyError {
    /// What it said instead; `is_ours` unless there is a signature by another key.
    Refused {
        refusal: AlipayRefusal,
        is_ours: bool,
    },
    Useless(FailedReason),
}

/// The members at the top of an object, in their order, with the text of each value.
struct TopMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'a> TopMembers<'a> {
    /// The values of all members of this name.
    fn named<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a RawValue> + use<'_, 'a, 'n> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| *value)
    }
}

impl<'a> SignedReply<'a> {
    /// Takes the member `name` of an answer over, if it is a success and signed by `key`.
    ///
    /// An error is believed without a signature, which some lack: all it can do is to refuse.
    pub(super) fn parse(json: &'a [u8], name: &str, key: &RsaPublicKey) -> Result<Self, ReplyError> {
        let members: TopMembers<'a> = serde_json::from_slice(json).map_err(|error| {
            ReplyError::Useless(if error.is_eof() { FailedReason::CutOff } else { FailedReason::Malformed })
        })?;
        let signature = members.named("sign").last().and_then(|sign| serde_json::from_str::<String>(sign.get()).ok());
        let is_signed = |value: &RawValue, signature: &str| key.verifies(value.get().as_bytes(), signature);
        // One of a kind, so that what is verified is what is read.
        let mut responses = members.named(name).chain(members.named("error_response"));
        let (Some(response), None) = (responses.next(), responses.next()) else {
            return Err(ReplyError::Useless(FailedReason::Malformed));
        };
        if let Some(refusal) = AlipayRefusal::of(response.get()) {
            let is_ours = signature.is_none_or(|signature| is_signed(response, &signature));
            return Err(ReplyError::Refused { refusal, is_ours });
        }
        if signature.is_some_and(|signature| is_signed(response, &signature)) {
            Ok(Self(response))
        } else {
            Err(ReplyError::Useless(FailedReason::Signature))
        }
    }

    /// The fields of an interface.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, PlatformError> {
        serde_json::from_str(self.0.get()).map_err(|_| FailedReason::Malformed.into())
    }
}

impl ReplyError {
    /// As the interface for login codes means it.
    pub(super) fn of_a_login_code(self) -> PlatformError {
        match self {
            Self::Refused { refusal, is_ours } => match refusal.of_a_login_code() {
                // It knows the app, and so signs with the key that this app's owner should have.
                PlatformError::InvalidCode(_) if !is_ours => FailedReason::Signature.into(),
                error => error,
            },
            Self::Useless(reason) => reason.into(),
        }
    }
}

impl<'de> Deserialize<'de> for TopMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = TopMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(TopMembers(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/vectors/rsa.json")).unwrap()
    }

    fn text(path: &str) -> String {
        vectors().pointer(path).and_then(Value::as_str).unwrap().to_owned()
    }

    /// What is read of an answer under the published key, or why not.
    fn read(json: &str) -> Result<Value, PlatformError> {
        let key = RsaPublicKey::from_pem(&text("/published/public")).unwrap();
        let reply = SignedReply::parse(json.as_bytes(), "x_response", &key).map_err(ReplyError::of_a_login_code)?;
        reply.read()
    }

    #[test]
    fn the_published_answer_is_read_whatever_stands_around_it() {
        let (signed, sign) = (text("/published/signed"), text("/published/signature"));
        for json in [
            format!(r#"{{"x_response":{signed},"sign":"{sign}"}}"#),
            format!(r#"{{"sign":"{sign}","x_response":{signed}}}"#),
            format!("{{ \"x_response\" :\n {signed} \t, \"sign\" : \"{sign}\" }}"),
            // The last one counts.
            format!(r#"{{"sign":"AAAA","x_response":{signed},"alipay_cert_sn":"1","sign":"{sign}"}}"#),
            format!(r#"{{"x_response":{signed},"sign":"{}"}}"#, sign.replace('/', "\\/")),
        ] {
            assert_eq!(read(&json).unwrap()["file_id"], "CAxAToWB1JsAAAAAAAAAAAAADgSLAQBr", "{json}");
        }
    }

    #[test]
    fn what_is_not_signed_is_not_read() {
        let (signed, sign) = (text("/published/signed"), text("/published/signature"));
        for json in [
            format!(r#"{{"x_response":{signed}}}"#),
            format!(r#"{{"x_response":{signed},"sign":null}}"#),
            format!(r#"{{"x_response":{signed},"sign":"{sign}","sign":"AAAA"}}"#),
            format!(r#"{{"x_response":{},"sign":"{sign}"}}"#, signed.replace(',', ", ")),
            format!(r#"{{"x_response":{},"sign":"{sign}"}}"#, signed.replace("CAx", "CAy")),
            // A member inside is none of the top's.
            format!(r#"{{"x_response":{{"a":{signed},"sign":"{sign}"}}}}"#),
        ] {
            assert_eq!(read(&json).unwrap_err(), FailedReason::Signature.into(), "{json}");
        }
        for json in [
            format!(r#"{{"y_response":{signed},"sign":"{sign}"}}"#),
            format!(r#"{{"x_response":{signed},"x_response":{signed},"sign":"{sign}"}}"#),
            format!(r#"{{"x_response":{signed},"error_response":{{}},"sign":"{sign}"}}"#),
            "[]".to_owned(),
        ] {
            assert_eq!(read(&json).unwrap_err(), FailedReason::Malformed.into(), "{json}");
        }
    }

    #[test]
    fn an_inner_sign_is_part_of_what_is_signed() {
        let key = crate::platform::RsaPrivateKey::from_pem(text("/pkcs8")).unwrap();
        let public = RsaPublicKey::from_pem(&text("/public")).unwrap();
        let signed = r#"{"open_id":"o","sign":"AAAA","inner":{"x_response":1,"sign":2}}"#;
        let json = format!(r#"{{"x_response":{signed},"sign":"{}"}}"#, key.sign(signed.as_bytes()));
        let reply =
            SignedReply::parse(json.as_bytes(), "x_response", &public).map_err(ReplyError::of_a_login_code).unwrap();
        assert_eq!(reply.read::<Value>().unwrap()["open_id"], "o");
    }
}
