use aws_lc_rs::cipher::{AES_192, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::clock::{FixedClock, UnixSeconds};

fn swan() -> (Baidu, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    (Baidu::new(Arc::new(World::new(Arc::<FixedClock>::clone(&clock), None))), clock)
}

fn alice() -> Name {
    Name::parse("alice").unwrap()
}

#[track_caller]
fn json(reply: Reply) -> Value {
    let Reply::Json(_, text) = reply else { panic!("{reply:?}") };
    serde_json::from_str(&text).unwrap()
}

fn log_in(swan: &Baidu, code: &str) -> Value {
    json(swan.jscode2sessionkey(&["key", "s", code].map(str::to_owned)))
}

fn token(swan: &Baidu) -> Value {
    json(swan.token(&["client_credentials", "key", "s", "smartapp_snsapi_base"].map(str::to_owned)))
}

fn log_in_with(swan: &Baidu, token: &Value, code: &str) -> Value {
    json(swan.getsessionkey(&[token["access_token"].as_str().unwrap_or_default(), code].map(str::to_owned)))
}

#[test]
fn both_ways_lead_to_one_user_and_a_code_works_once() {
    let (swan, _) = swan();
    let old = log_in(&swan, "demo-alice-1");
    let token = token(&swan);
    let new = log_in_with(&swan, &token, "demo-alice-2");
    assert_eq!((&old["openid"], &old["session_key"]), (&new["data"]["open_id"], &new["data"]["session_key"]));
    assert_eq!(old["openid"], *swan.user("key", &alice()).openid);
    let key = old["session_key"].as_str().unwrap();
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    assert_eq!(log_in(&swan, "demo-alice-2")["errno"], BAD_PARAMETER);
    assert_eq!(log_in_with(&swan, &token, "demo-alice-1")["errno"], BAD_PARAMETER);
    assert_eq!(json(swan.jscode2sessionkey(&["key", "", "demo-alice-3"].map(str::to_owned)))["errno"], BAD_PARAMETER);
}

#[test]
fn a_code_names_a_partner_and_lives_for_ten_minutes() {
    let (swan, clock) = swan();
    let [first, second] = [(); 2].map(|()| swan.login_code("key".to_owned(), alice()).unwrap());
    assert!(first.contains('@') && first.contains('/'), "{first}");
    clock.advance(599);
    assert!(log_in(&swan, &first)["openid"].is_string());
    clock.advance(1);
    assert_eq!(log_in(&swan, &second)["errno"], BAD_PARAMETER);
}

#[test]
fn the_gateway_refuses_a_token_in_its_own_shape() {
    let (swan, _) = swan();
    let given = token(&swan);
    assert_eq!(log_in_with(&swan, &json!({ "access_token": "x" }), "demo-alice-1")["error_code"], BAD_TOKEN);
    swan.expire_tokens(Some("key"), None).unwrap();
    let refused = log_in_with(&swan, &given, "demo-alice-1");
    assert_eq!((&refused["error_code"], refused.get("errno")), (&json!(ENDED_TOKEN), None));
    assert_eq!(log_in_with(&swan, &token(&swan), "demo-alice-1")["errno"], 0, "it spent no code");
}

#[test]
fn who_asks_for_a_token_in_another_way_is_unknown() {
    let (swan, _) = swan();
    for parameters in [
        ["password", "key", "s", "smartapp_snsapi_base"],
        ["client_credentials", "", "s", "smartapp_snsapi_base"],
        ["client_credentials", "key", "", "smartapp_snsapi_base"],
        ["client_credentials", "key", "s", ""],
    ] {
        let Reply::Status(status, text) = swan.token(&parameters.map(str::to_owned)) else { panic!("{parameters:?}") };
        assert!(status == StatusCode::UNAUTHORIZED && text.contains("invalid_client"), "{text}");
    }
}

/// The key is what the hex digits stand for as base64, and the padding is for blocks of 32 bytes.
#[test]
fn data_has_the_form_of_the_published_example() {
    let (swan, _) = swan();
    let session_key = log_in(&swan, "demo-alice-1")["session_key"].as_str().unwrap().to_owned();
    for text in ["", "{}", &"x".repeat(12), &"x".repeat(60)] {
        let content = DataContent::Text { text: text.to_owned(), is_phone: false };
        let Ok(DataForClient::Encrypted { encrypted_data, iv, .. }) = swan.encrypt("key", &alice(), content) else {
            panic!()
        };
        let [key, iv, mut data] = [&session_key, &iv, &encrypted_data].map(|text| STANDARD.decode(text).unwrap());
        let key = DecryptingKey::cbc(UnboundCipherKey::new(&AES_192, &key).unwrap()).unwrap();
        let iv = DecryptionContext::Iv128(FixedLength::try_from(iv.as_slice()).unwrap());
        let plain = key.decrypt(&mut data, iv).unwrap();
        let pad = usize::from(*plain.last().unwrap());
        assert!(plain.len().is_multiple_of(32) && (1..=32).contains(&pad), "{pad}");
        let (content, padding) = plain.split_at(plain.len() - pad);
        assert!(padding.iter().all(|byte| usize::from(*byte) == pad));
        assert_eq!(content[16..20], u32::try_from(text.len()).unwrap().to_be_bytes());
        assert_eq!(content[20..], [text.as_bytes(), b"key"].concat());
    }
}
