use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;
use crate::simulator::Simulator;
use crate::simulator::tests::{call, clocked, post, simulator};

async fn ask(simulator: &Simulator, path: &str) -> Value {
    let (status, label, text) = call(simulator, Method::GET, path, "").await;
    assert_eq!((status, &*label), (StatusCode::OK, "application/json; charset=UTF-8"), "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn token(simulator: &Simulator) -> String {
    let answer = ask(simulator, "/cgi-bin/gettoken?corpid=ww1&corpsecret=s").await;
    assert_eq!(answer["errcode"], 0, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn log_in(simulator: &Simulator, token: &str, code: &str) -> Value {
    let path = "/cgi-bin/miniprogram/jscode2session?grant_type=authorization_code";
    ask(simulator, &format!("{path}&access_token={token}&js_code={code}")).await
}

#[tokio::test]
async fn a_code_names_a_member_of_the_corp_that_asks_or_of_another() {
    let simulator = simulator();
    let token = token(&simulator).await;
    for (code, corpid) in [("demo-alice-1", "ww1"), ("demo-alice@ww2-1", "ww2")] {
        let answer = log_in(&simulator, &token, code).await;
        assert_eq!((&answer["corpid"], &answer["userid"]), (&json!(corpid), &json!("alice")), "{answer}");
        let errmsg = log_in(&simulator, &token, code).await;
        assert_eq!(errmsg["errcode"], 40029, "{code}");
        assert!(errmsg["errmsg"].as_str().unwrap().contains("hint: ["), "{errmsg}");
    }
}

#[tokio::test]
async fn a_token_is_the_same_until_its_end() {
    let (simulator, clock) = clocked();
    let first = token(&simulator).await;
    clock.advance(7199);
    assert_eq!(token(&simulator).await, first);
    clock.advance(1);
    assert_eq!(log_in(&simulator, &first, "demo-alice-1").await["errcode"], 42001);
    let second = token(&simulator).await;
    assert_eq!(log_in(&simulator, &second, "demo-alice-1").await["errcode"], 0);
}

#[tokio::test]
async fn the_first_thing_that_is_wrong_is_named() {
    let simulator = simulator();
    for (query, errcode) in
        [("", 41002), ("corpid=ww1", 41004), ("corpid=w%20w&corpsecret=s", 40013), ("corpid=ww1&corpsecret=s", 0)]
    {
        assert_eq!(ask(&simulator, &format!("/cgi-bin/gettoken?{query}")).await["errcode"], errcode, "{query}");
    }
    let good = token(&simulator).await;
    for (token, code, errcode) in [("", "demo-a-1", 41001), ("x", "demo-a-1", 40014), (&good, "err-48002", 48002)] {
        assert_eq!(log_in(&simulator, token, code).await["errcode"], errcode);
    }
    let no_type = format!("/cgi-bin/miniprogram/jscode2session?access_token={good}&js_code=demo-a-1");
    assert_eq!(ask(&simulator, &no_type).await["errcode"], 40002);
}

/// What a server with the `session_key` makes of encrypted data.
fn decrypt(session_key: &str, told: &Value) -> String {
    let [key, iv, mut data] = [session_key, told["iv"].as_str().unwrap(), told["encryptedData"].as_str().unwrap()]
        .map(|text| STANDARD.decode(text).unwrap());
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, &key).unwrap()).unwrap();
    let iv = DecryptionContext::Iv128(FixedLength::try_from(iv.as_slice()).unwrap());
    String::from_utf8(key.decrypt(&mut data, iv).unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn data_is_encrypted_under_the_key_of_the_login_and_marked_with_the_mini_program() {
    let simulator = simulator();
    let token = token(&simulator).await;
    let login = log_in(&simulator, &token, "demo-alice-1").await;
    let request = json!({ "platform": "wxwork", "appid": "wx1", "name": "alice" });
    let (_, told) = post(&simulator, "/_sim/encrypt", request.to_string()).await;
    let session_key = login["session_key"].as_str().unwrap();
    let signature = opendata::sign_raw_data(told["rawData"].as_str().unwrap(), session_key);
    assert_eq!(told["signature"], json!(signature));
    let plain = decrypt(session_key, &told);
    let object: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!((&object["corpid"], &object["userid"]), (&json!("ww1"), &json!("alice")), "{object}");
    assert_eq!(object["watermark"]["appid"], "wx1");
}
