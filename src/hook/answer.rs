//! What a good answer holds: `{"claims":"..."}`.

use serde::Deserialize;

use super::error::CallError;
use crate::claims::OwnerClaims;

#[derive(Deserialize)]
struct ClaimsObject {
    // Without this, serde would take a missing field for a null one.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    claims: Option<String>,
}

/// The claims in a body; null or empty, there are none. Other fields are passed over. A body without the field is no answer:
/// services that wrap everything in a 200 say `{"code":500}` that way.
///
/// # Errors
/// [`CallError::Malformed`] or [`CallError::Claims`].
pub(super) fn parse(body: &[u8]) -> Result<Option<OwnerClaims>, CallError> {
    // serde would also fill a structure from an array.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(CallError::Malformed);
    }
    let ClaimsObject { claims } = serde_json::from_slice(body).map_err(|_| CallError::Malformed)?;
    Ok(claims.filter(|claims| !claims.is_empty()).map(|claims| OwnerClaims::parse(&claims)).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_taken_as_they_are() {
        let longest = "~".repeat(64);
        for (body, claims) in [
            (r#"{"claims":"uid=1001;role=member"}"#.to_owned(), Some("uid=1001;role=member")),
            (r#" {"other":[1,{"claims":2}],"claims":"\u0041"} "#.to_owned(), Some("A")),
            (format!(r#"{{"claims":"{longest}"}}"#), Some(&*longest)),
            (r#"{"claims":""}"#.to_owned(), None),
            (r#"{"claims":null}"#.to_owned(), None),
        ] {
            let parsed = parse(body.as_bytes()).unwrap();
            assert_eq!(parsed.as_ref().and_then(OwnerClaims::as_text), claims, "{body}");
        }
    }

    #[test]
    fn nothing_else_becomes_claims() {
        for body in [
            "",
            "null",
            "{}",
            r#"{"code":500,"msg":"no"}"#,
            "claims",
            r#"["a"]"#,
            r#"{"claims":1001}"#,
            r#"{"claims":true}"#,
            r#"{"claims":["a"]}"#,
            r#"{"claims":{"uid":1001}}"#,
            r#"{"claims":"a","claims":"b"}"#,
            r#"{"claims":"a"}{"claims":"a"}"#,
            r#"{"claims":"a""#,
            "{\"claims\":\"a\nb\"}",
        ] {
            assert_eq!(parse(body.as_bytes()), Err(CallError::Malformed), "{body}");
        }
        let too_long = "a".repeat(65);
        for claims in [r"a\nb", r"a\r\nX-Auth-Openid: b", "a b", "é", r"\u0000", &too_long] {
            let refused = parse(format!(r#"{{"claims":"{claims}"}}"#).as_bytes());
            assert!(matches!(refused, Err(CallError::Claims(_))), "{claims}");
        }
    }
}
