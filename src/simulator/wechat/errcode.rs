//! Answers in `WeChat`'s words and spelling.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::UnixSeconds;

#[derive(Serialize)]
struct ErrorJson<'a> {
    errcode: i64,
    errmsg: &'a str,
}

/// `count` makes the id of the request in the errmsg one of its own.
pub(super) fn refusal(errcode: i64, count: u64, now: UnixSeconds) -> String {
    let digest = hex::encode(Sha256::digest(count.to_be_bytes()));
    let (second, third) = (digest.get(..8).unwrap_or_default(), digest.get(8..16).unwrap_or_default());
    let errmsg = format!("{}, rid: {:08x}-{second}-{third}", wording(errcode), now.as_u64() & 0xffff_ffff);
    wechat_json(&ErrorJson { errcode, errmsg: &errmsg })
}

/// JSON as `WeChat` writes it: each slash has a backslash before it. Slashes stand in texts only, so no more is needed.
pub(super) fn wechat_json(answer: &impl Serialize) -> String {
    // Structures of numbers and texts always have a JSON form.
    serde_json::to_string(answer).unwrap_or_default().replace('/', "\\/")
}

/// The errmsg that goes with an errcode, without the request id.
fn wording(errcode: i64) -> &'static str {
    match errcode {
        -1 => "system error",
        0 => "ok",
        1 => "encrypted data not exist or expired",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40003 | 268_490_001 => "invalid openid",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40029 => "invalid code",
        40066 => "invalid url",
        40097 => "invalid args",
        40125 => "invalid appsecret",
        40163 => "code been used",
        40164 => "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
        40226 => "code blocked",
        40243 => "appsecret is frozen",
        41001 => "access_token missing",
        41002 => "appid missing",
        41004 => "appsecret missing",
        41008 => "missing code",
        41018 => "component_appid missing",
        41021 => "component_access_token missing",
        42001 => "access_token expired",
        42003 => "code expired",
        43001 => "require GET method",
        43002 => "require POST method",
        44002 => "empty post data",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        47001 => "data format error",
        48001 => "api unauthorized",
        48004 => "api forbidden for irregularities",
        50002 => "user limited",
        61003 => "component is not authorized by this account",
        61004 => "access clientip is not registered",
        87007 => "session_key is not existed or expired",
        87008 => "invalid sig_method",
        87009 => "invalid signature",
        268_490_002 => "invalid request parameter",
        268_490_003 => "invalid signature or pay_sig",
        _ => "unknown error",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_errmsg_ends_with_a_request_id_of_its_own() {
        let errmsg = |count| {
            let text = refusal(40029, count, UnixSeconds::new(1_800_000_000));
            serde_json::from_str::<Value>(&text).unwrap()["errmsg"].as_str().unwrap().to_owned()
        };
        let [first, second] = [1, 2].map(errmsg);
        assert!(first.starts_with("invalid code, rid: 6b49d200-") && first.len() == 45, "{first}");
        assert_ne!(first, second);
    }

    #[test]
    fn slashes_are_escaped_as_the_real_one_does() {
        assert_eq!(wechat_json(&["a/b//"]), r#"["a\/b\/\/"]"#);
    }
}
