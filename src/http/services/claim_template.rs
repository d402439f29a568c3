//! Claims that the owner adds to the access tokens of an audience: JSON, in which some texts stand for values of the user.

use serde_json::{Map, Value};

/// What the server says itself, in a token or in the answer of an introspection.
const RESERVED: [&str; 28] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "azp",
    "scope",
    "act",
    "may_act",
    "cnf",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "events",
    "appid",
    "platform",
    "openid",
    "unionid",
    "phone_number",
    "login_id",
    "claims",
    "active",
    "token_type",
];

/// A claim that cannot be added.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimTemplateError {
    /// The server says this itself.
    #[error("this claim is the server's own; write another name")]
    Reserved,
    /// A claim's name is the empty text.
    #[error("this claim has no name; write one")]
    Nameless,
    /// A text begins with `$` and names no value of the user.
    #[error("a text that begins with $ has to be one of {}", Placeholder::names())]
    Placeholder,
    /// Together they are longer than [`ClaimTemplate::MAX_LEN`].
    #[error("these claims have {0} bytes as compact JSON; write at most 2048")]
    TooLong(usize),
}

/// What a text of a template is replaced by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Placeholder {
    Sub,
    Openid,
    Unionid,
    Appid,
    Platform,
    LoginId,
    Phone,
    Claims,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 8] = [
        ("$sub", Self::Sub),
        ("$openid", Self::Openid),
        ("$unionid", Self::Unionid),
        ("$appid", Self::Appid),
        ("$platform", Self::Platform),
        ("$login_id", Self::LoginId),
        ("$phone", Self::Phone),
        ("$claims", Self::Claims),
    ];

    /// The one that is written `text`.
    fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, placeholder)| *placeholder)
    }

    fn names() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }
}

/// The user of one token; what there is none of is left out of the claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserValues<'a> {
    pub(crate) sub: &'a str,
    pub(crate) openid: &'a str,
    pub(crate) unionid: Option<&'a str>,
    pub(crate) appid: &'a str,
    pub(crate) platform: &'a str,
    pub(crate) login_id: &'a str,
    /// If it may be in JWTs.
    pub(crate) phone: Option<&'a str>,
    pub(crate) claims: Option<&'a str>,
}

impl<'a> UserValues<'a> {
    const fn get(&self, placeholder: Placeholder) -> Option<&'a str> {
        match placeholder {
            Placeholder::Sub => Some(self.sub),
            Placeholder::Openid => Some(self.openid),
            Placeholder::Unionid => self.unionid,
            Placeholder::Appid => Some(self.appid),
            Placeholder::Platform => Some(self.platform),
            Placeholder::LoginId => Some(self.login_id),
            Placeholder::Phone => self.phone,
            Placeholder::Claims => self.claims,
        }
    }
}

/// Claims for the access tokens of an audience. None is one of the server's own.
///
/// A text `$sub`, `$openid`, `$unionid`, `$appid`, `$platform`, `$login_id`, `$phone` (with [`JwtSettings::phone`]) or
/// `$claims` is replaced as a whole by the user's value. A value that the user lacks leaves out the member or the array's
/// element in which it stands.
///
/// [`JwtSettings::phone`]: crate::http::JwtSettings::phone
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClaimTemplate(Map<String, Value>);

impl ClaimTemplate {
    /// Longest template, in bytes of compact JSON.
    pub const MAX_LEN: usize = 2048;

    /// Takes claims, if they may be added to tokens.
    ///
    /// # Errors
    /// [`ClaimTemplateError`].
    pub fn new(claims: Map<String, Value>) -> Result<Self, ClaimTemplateError> {
        claims.keys().try_for_each(|name| Self::check_name(name))?;
        claims.values().try_for_each(check_texts)?;
        let template = Value::Object(claims);
        let len = template.to_string().len();
        match template {
            Value::Object(claims) if len <= Self::MAX_LEN => Ok(Self(claims)),
            _ => Err(ClaimTemplateError::TooLong(len)),
        }
    }

    /// Whether a claim may have this name.
    ///
    /// # Errors
    /// [`ClaimTemplateError::Reserved`], [`ClaimTemplateError::Nameless`].
    pub fn check_name(name: &str) -> Result<(), ClaimTemplateError> {
        match name {
            "" => Err(ClaimTemplateError::Nameless),
            _ if RESERVED.contains(&name) => Err(ClaimTemplateError::Reserved),
            _ => Ok(()),
        }
    }

    /// Whether this may stand as a text in a claim, at any depth.
    ///
    /// # Errors
    /// [`ClaimTemplateError::Placeholder`].
    pub fn check_text(text: &str) -> Result<(), ClaimTemplateError> {
        let is_good = !text.starts_with('$') || Placeholder::of(text).is_some();
        if is_good { Ok(()) } else { Err(ClaimTemplateError::Placeholder) }
    }

    /// Whether this text stands for the phone number.
    #[must_use]
    pub fn is_phone(text: &str) -> bool {
        Placeholder::of(text) == Some(Placeholder::Phone)
    }

    /// The claims of this user.
    pub(crate) fn fill(&self, user: &UserValues<'_>) -> Map<String, Value> {
        filled_members(&self.0, user)
    }
}

fn check_texts(value: &Value) -> Result<(), ClaimTemplateError> {
    match value {
        Value::String(text) => ClaimTemplate::check_text(text),
        Value::Array(items) => items.iter().try_for_each(check_texts),
        Value::Object(members) => members.values().try_for_each(check_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn filled_members(members: &Map<String, Value>, user: &UserValues<'_>) -> Map<String, Value> {
    members.iter().filter_map(|(name, value)| Some((name.clone(), filled(value, user)?))).collect()
}

fn filled(value: &Value, user: &UserValues<'_>) -> Option<Value> {
    match value {
        Value::String(text) => match Placeholder::of(text) {
            Some(placeholder) => user.get(placeholder).map(Value::from),
            None => Some(value.clone()),
        },
        Value::Array(items) => Some(items.iter().filter_map(|item| filled(item, user)).collect()),
        Value::Object(members) => Some(Value::Object(filled_members(members, user))),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(claims: Value) -> Result<ClaimTemplate, ClaimTemplateError> {
        let Value::Object(claims) = claims else { panic!("{claims} is no object") };
        ClaimTemplate::new(claims)
    }

    const ALICE: UserValues<'static> = UserValues {
        sub: "s",
        openid: "o",
        unionid: Some("u"),
        appid: "a",
        platform: "weapp",
        login_id: "l",
        phone: Some("+8613800000000"),
        claims: Some("role=member"),
    };

    #[test]
    fn a_text_is_replaced_as_a_whole_and_a_lacking_value_left_out() {
        let claims = json!({
            "role": "authenticated", "n": 1, "f": 1.5, "yes": true, "text": "to $sub",
            "all": ["$sub", "$openid", "$unionid", "$appid", "$platform", "$login_id", "$phone", "$claims"],
            "https://hasura.io/jwt/claims": { "x-hasura-user-id": "$openid", "deep": [{ "u": "$unionid" }, ["$phone"]] },
            "$sub": "a name is no text",
            "u": "$unionid",
        });
        let template = template(claims).unwrap();
        let expected = json!({
            "role": "authenticated", "n": 1, "f": 1.5, "yes": true, "text": "to $sub",
            "all": ["s", "o", "u", "a", "weapp", "l", "+8613800000000", "role=member"],
            "https://hasura.io/jwt/claims": { "x-hasura-user-id": "o", "deep": [{ "u": "u" }, ["+8613800000000"]] },
            "$sub": "a name is no text",
            "u": "u",
        });
        assert_eq!(Value::Object(template.fill(&ALICE)), expected);
        let expected = json!({
            "role": "authenticated", "n": 1, "f": 1.5, "yes": true, "text": "to $sub",
            "all": ["s", "o", "a", "weapp", "l"],
            "https://hasura.io/jwt/claims": { "x-hasura-user-id": "o", "deep": [{}, []] },
            "$sub": "a name is no text",
        });
        let bob = UserValues { unionid: None, phone: None, claims: None, ..ALICE };
        assert_eq!(Value::Object(template.fill(&bob)), expected);
    }

    /// A user cannot write a placeholder: what a value is replaced by is not looked at again.
    #[test]
    fn a_value_of_the_user_is_never_replaced() {
        let user = UserValues { claims: Some("$unionid"), openid: "$sub", ..ALICE };
        let filled = template(json!({ "a": "$claims", "b": "$openid" })).unwrap().fill(&user);
        assert_eq!(Value::Object(filled), json!({ "a": "$unionid", "b": "$sub" }));
    }

    #[test]
    fn the_servers_own_claims_cannot_be_overridden() {
        for name in RESERVED {
            assert_eq!(template(json!({ name: 1 })), Err(ClaimTemplateError::Reserved), "{name}");
            template(json!({ "below": { name: 1 } })).unwrap();
        }
        for name in ["Sub", "role", "sub ", "$sub"] {
            template(json!({ name: 1 })).unwrap();
        }
        assert_eq!(template(json!({ "": 1 })), Err(ClaimTemplateError::Nameless));
        template(json!({ "below": { "": 1 } })).unwrap();
    }

    #[test]
    fn other_texts_that_begin_with_a_dollar_are_refused() {
        for text in ["$", "$sub ", "$Sub", "$session_key", "$$sub", "$claims.role", "${sub}"] {
            for claims in [json!({ "a": text }), json!({ "a": [1, text] }), json!({ "a": { "b": [{ "c": text }] } })] {
                assert_eq!(template(claims), Err(ClaimTemplateError::Placeholder), "{text}");
            }
        }
    }

    #[test]
    fn a_template_has_2048_bytes_at_most_before_it_is_filled() {
        let of_len = |len: usize| json!({ "é": "x".repeat(len - json!({ "é": "" }).to_string().len()) });
        assert_eq!(of_len(2048).to_string().len(), 2048);
        template(of_len(2048)).unwrap();
        assert_eq!(template(of_len(2049)), Err(ClaimTemplateError::TooLong(2049)));
        let many: Vec<&str> = vec!["$claims"; 200];
        let long = UserValues { claims: Some("0123456789012345678901234567890123456789"), ..ALICE };
        assert!(Value::Object(template(json!({ "a": many })).unwrap().fill(&long)).to_string().len() > 8000);
    }
}
