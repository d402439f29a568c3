use axum::http::Method;

use super::*;
use crate::simulator::Simulator;
use crate::simulator::tests::{call, clocked, post, simulator};

async fn ask(simulator: &Simulator, path: &str, body: &Value) -> (StatusCode, Value) {
    let (status, label, text) = call(simulator, Method::POST, path, body.to_string()).await;
    assert_eq!(label, "application/json;charset=UTF-8", "{text}");
    (status, serde_json::from_str(&text).unwrap())
}

async fn token(simulator: &Simulator) -> String {
    let body = json!({ "appKey": "ding1", "appSecret": "s" });
    let (status, answer) = ask(simulator, "/v1.0/oauth2/accessToken", &body).await;
    assert_eq!((status, &answer["expireIn"]), (StatusCode::OK, &json!(7200)), "{answer}");
    answer["accessToken"].as_str().unwrap().to_owned()
}

async fn log_in(simulator: &Simulator, token: &str, code: &str) -> Value {
    let path = format!("/topapi/v2/user/getuserinfo?access_token={token}");
    let (status, answer) = ask(simulator, &path, &json!({ "code": code })).await;
    assert_eq!(status, StatusCode::OK);
    answer
}

#[tokio::test]
async fn a_code_logs_in_once_and_says_nothing_of_the_corp() {
    let simulator = simulator();
    let token = token(&simulator).await;
    let answer = log_in(&simulator, &token, "demo-alice-1").await;
    assert_eq!((&answer["errcode"], &answer["result"]["userid"]), (&json!(0), &json!("alice")), "{answer}");
    assert!(!answer.to_string().to_lowercase().contains("corp"), "{answer}");
    for code in ["demo-alice-1", "who-knows"] {
        assert_eq!(log_in(&simulator, &token, code).await["errcode"], 40078, "{code}");
    }
    assert_eq!(log_in(&simulator, &token, "err--1").await["errcode"], -1);
}

#[tokio::test]
async fn a_bad_token_is_errcode_88_with_a_number_in_text_beside_it() {
    let simulator = simulator();
    let good = token(&simulator).await;
    let refused = |answer: &Value| (answer["errcode"].clone(), answer["sub_code"].clone());
    assert_eq!(refused(&log_in(&simulator, "", "demo-a-1").await), (json!(88), json!("40014")));
    assert_eq!(refused(&log_in(&simulator, "x", "demo-a-1").await), (json!(88), json!("40014")));
    post(&simulator, "/_sim/access-tokens/expire", r#"{"platform":"dd","appid":"ding1"}"#).await;
    assert_eq!(refused(&log_in(&simulator, &good, "demo-a-1").await), (json!(88), json!("42001")));
    let next = token(&simulator).await;
    assert_eq!(log_in(&simulator, &next, "demo-a-1").await["errcode"], 0, "none of these spent the code");
    assert_eq!(refused(&log_in(&simulator, &next, "err-60020").await), (json!(88), json!("60020")));
}

#[tokio::test]
async fn asking_again_gives_the_same_token_and_a_longer_life() {
    let (simulator, clock) = clocked();
    let first = token(&simulator).await;
    clock.advance(7000);
    assert_eq!(token(&simulator).await, first);
    clock.advance(7000);
    assert_eq!(log_in(&simulator, &first, "demo-alice-1").await["errcode"], 0);
}

#[tokio::test]
async fn wrong_credentials_are_a_400() {
    let simulator = simulator();
    for body in [json!({ "appKey": "ding1" }), json!({ "appSecret": "s" }), json!([])] {
        let (status, answer) = ask(&simulator, "/v1.0/oauth2/accessToken", &body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("invalidClientIdOrSecret")));
    }
    for (fault, status) in [("err-400", 400), ("err-403", 403), ("err-503", 503), ("err--1", 400)] {
        let plan = json!({ "endpoint": TOKEN, "fault": fault, "times": 1 });
        assert_eq!(post(&simulator, "/_sim/faults", plan.to_string()).await.0, StatusCode::OK);
        let (told, _) = ask(&simulator, "/v1.0/oauth2/accessToken", &json!({ "appKey": "d", "appSecret": "s" })).await;
        assert_eq!(told, status, "{fault}");
    }
}

#[tokio::test]
async fn a_minted_code_is_of_one_app() {
    let simulator = simulator();
    let token = token(&simulator).await;
    for (appid, errcode) in [("ding1", 0), ("ding2", 40078)] {
        let body = json!({ "platform": "dd", "appid": appid, "name": "alice" });
        let code = post(&simulator, "/_sim/code", body.to_string()).await.1["code"].as_str().unwrap().to_owned();
        assert_eq!(log_in(&simulator, &token, &code).await["errcode"], errcode, "{appid}");
    }
}
