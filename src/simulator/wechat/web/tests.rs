use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::simulator::Simulator;
use crate::simulator::tests::{call, clocked, post, simulator};

async fn log_in(simulator: &Simulator, code: &str) -> Value {
    let path = "/sns/oauth2/access_token?appid=wx1&secret=s&grant_type=authorization_code&code=";
    let (status, label, text) = call(simulator, Method::GET, &format!("{path}{code}"), "").await;
    assert_eq!((status, &*label), (StatusCode::OK, "text/plain"), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_code_logs_in_once_with_a_token_that_nobody_needs() {
    let simulator = simulator();
    let answer = log_in(&simulator, "demo-alice-1").await;
    let alice = simulator.user("wx1", "alice").unwrap();
    assert_eq!((&answer["openid"], &answer["unionid"]), (&json!(alice.openid), &json!(alice.unionid)));
    assert_eq!((&answer["scope"], answer.get("is_snapshotuser")), (&json!("snsapi_userinfo"), None));
    assert!(answer["access_token"].is_string() && answer["refresh_token"].is_string());
    for (code, errcode) in [("demo-alice-1", 40163), ("who-knows", 40029), ("err-40226", 40226), ("", 41008)] {
        assert_eq!(log_in(&simulator, code).await["errcode"], errcode, "{code}");
    }
}

#[tokio::test]
async fn some_names_are_other_kinds_of_users() {
    let simulator = simulator();
    assert_eq!(log_in(&simulator, "demo-snapshot-1").await["is_snapshotuser"], 1);
    let base = log_in(&simulator, "demo-base.alice-1").await;
    assert_eq!((&base["scope"], base.get("unionid")), (&json!("snsapi_base"), None));
}

#[tokio::test]
async fn a_minted_code_is_of_this_platform_and_lives_five_minutes() {
    let (simulator, clock) = clocked();
    let mint = async || {
        let body = json!({ "platform": "weixin-web", "appid": "wx1", "name": "alice" });
        post(&simulator, "/_sim/code", body.to_string()).await.1["code"].as_str().unwrap().to_owned()
    };
    let code = mint().await;
    let mini_program = format!("/sns/jscode2session?appid=wx1&secret=s&grant_type=authorization_code&js_code={code}");
    let (_, _, refused) = call(&simulator, Method::GET, &mini_program, "").await;
    assert!(refused.contains("40029"), "{refused}");
    assert!(log_in(&simulator, &code).await["openid"].is_string());
    let late = mint().await;
    clock.advance(300);
    assert_eq!(log_in(&simulator, &late).await["errcode"], 40029);
}
