use axum::http::{Method, Request, StatusCode};

use super::*;
use crate::simulator::Simulator;
use crate::simulator::tests::{clocked, post, send, simulator};

/// The answer to a POST of JSON, with a token or without.
async fn ask(simulator: &Simulator, path: &str, token: Option<&str>, body: &Value) -> Value {
    let mut request = Request::builder().method(Method::POST).uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let (status, label, text) = send(simulator, request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!((status, &*label), (StatusCode::OK, "application/json; charset=utf-8"), "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn token(simulator: &Simulator) -> String {
    let body = json!({ "app_id": "cli_1", "app_secret": "s" });
    let answer = ask(simulator, "/open-apis/auth/v3/app_access_token/internal", None, &body).await;
    assert_eq!((&answer["code"], &answer["msg"]), (&json!(0), &json!("ok")), "{answer}");
    answer["app_access_token"].as_str().unwrap().to_owned()
}

async fn log_in(simulator: &Simulator, token: &str, code: &str) -> Value {
    ask(simulator, "/open-apis/mina/v2/tokenLoginValidate", Some(token), &json!({ "code": code })).await
}

#[tokio::test]
async fn a_code_logs_in_once_with_the_app_access_token() {
    let simulator = simulator();
    let token = token(&simulator).await;
    let answer = log_in(&simulator, &token, "demo-alice-1").await;
    let data = &answer["data"];
    assert!(data["open_id"].as_str().unwrap().starts_with("ou_"), "{answer}");
    assert_eq!(data["session_key"].as_str().unwrap().len(), 30);
    assert!(data["expires_in"].as_u64().unwrap() > 1_800_000_000, "a point in time");
    assert_eq!(data.get("union_id"), None, "the real one has ceased to answer it");
    for (token, code, expected) in [
        (&*token, "demo-alice-1", 10213),
        (&token, "who-knows", 10213),
        (&token, "err-10228", 10228),
        ("t-other", "demo-alice-2", 10202),
        ("", "demo-alice-2", 10202),
    ] {
        assert_eq!(log_in(&simulator, token, code).await["code"], expected, "{token} {code}");
    }
}

#[tokio::test]
async fn a_minted_code_is_of_one_app_and_lives_three_minutes() {
    let (simulator, clock) = clocked();
    let token = token(&simulator).await;
    let mint = async |appid: &str| {
        let body = json!({ "platform": "lark", "appid": appid, "name": "alice" });
        post(&simulator, "/_sim/code", body.to_string()).await.1["code"].as_str().unwrap().to_owned()
    };
    let (code, other) = (mint("cli_1").await, mint("cli_2").await);
    assert_eq!(log_in(&simulator, &token, &other).await["code"], 10213);
    assert_eq!(log_in(&simulator, &token, &code).await["code"], 0);
    let late = mint("cli_1").await;
    clock.advance(180);
    assert_eq!(log_in(&simulator, &token, &late).await["code"], 10213);
}

#[tokio::test]
async fn a_token_gets_a_successor_in_its_last_half_hour_and_both_are_good() {
    let (simulator, clock) = clocked();
    let first = token(&simulator).await;
    clock.advance(5400);
    assert_eq!(token(&simulator).await, first);
    clock.advance(1);
    let second = token(&simulator).await;
    assert_ne!(second, first);
    for (token, code) in [(&first, "demo-alice-1"), (&second, "demo-alice-2")] {
        assert_eq!(log_in(&simulator, token, code).await["code"], 0);
    }
    post(&simulator, "/_sim/access-tokens/expire", r#"{"platform":"lark"}"#).await;
    assert_eq!(log_in(&simulator, &second, "demo-alice-3").await["code"], 10202);
}

#[tokio::test]
async fn an_app_without_id_or_secret_gets_no_token() {
    let simulator = simulator();
    for body in [json!({ "app_id": "cli_1" }), json!({ "app_secret": "s" }), json!({ "app_id": 1, "app_secret": "s" })]
    {
        let answer = ask(&simulator, "/open-apis/auth/v3/app_access_token/internal", None, &body).await;
        assert_eq!(answer["code"], 10003, "{body}");
    }
}
