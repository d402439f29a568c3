//! The `session_key` stays inside; what it is good for, the server says.

use std::sync::{Arc, Mutex};

use auth_ticket::claims::SessionKey;
use axum::Router;
use axum::extract::RawQuery;
use axum::routing::{get, post};
use serde_json::json;

use crate::support::{Call, START, TestServer, session};

fn check(ticket: &str) -> Call {
    Call::post("/v1/session/check").ticket(ticket)
}

fn reset(ticket: &str) -> Call {
    Call::post("/v1/session/reset").ticket(ticket)
}

#[tokio::test]
async fn the_platform_is_asked_whether_the_session_key_still_lives() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    assert_eq!(server.call(check(&ticket)).await.is_ok().json(), json!({ "session_key_valid": true }));
    server.simulator("users/alice/reset-session-key", &json!({})).await;
    assert_eq!(server.call(check(&ticket)).await.is_ok().json(), json!({ "session_key_valid": false }));
    server.verify(&ticket).await.is_ok();
    let new = server.ticket_for("alice").await;
    assert_eq!(server.call(check(&new)).await.is_ok().json(), json!({ "session_key_valid": true }));
}

/// Key of the vector in the page on signatures of `checkSessionKey`; the message is empty there, and so is ours.
#[tokio::test]
async fn the_signature_is_made_with_the_text_of_the_session_key() {
    let queries = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&queries);
    let platform =
        Router::new().route("/cgi-bin/stable_token", post(async || r#"{"access_token":"T","expires_in":7200}"#)).route(
            "/wxa/checksession",
            get(async move |RawQuery(query): RawQuery| {
                seen.lock().unwrap().push(query.unwrap());
                r#"{"errcode":0,"errmsg":"ok"}"#
            }),
        );
    let server = TestServer::builder().platform(platform).start().await;
    let mut claims = session("oGZUI0egBJY1zhBYw2KhdUfwVJJE", START);
    claims.session_key = Some(SessionKey::parse("o0q0otL8aEzpcZL/FT9WsQ==").unwrap());
    server.call(check(&server.sealed(&claims))).await.is_ok();
    let queries = queries.lock().unwrap().clone();
    let [query] = queries.as_slice() else { panic!("{queries:?}") };
    let value = |name: &str| {
        let found = form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.into_owned()
    };
    assert_eq!(value("signature"), "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128");
    assert_eq!(
        (value("openid"), value("sig_method")),
        ("oGZUI0egBJY1zhBYw2KhdUfwVJJE".to_owned(), "hmac_sha256".to_owned())
    );
}

#[tokio::test]
async fn a_reset_gives_a_ticket_with_another_session_key() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let before = server.session(&ticket).await.json();
    let new = server.call(reset(&ticket)).await.ticket();
    assert_eq!(server.session(&new).await.json(), before, "the session is the same");
    assert_eq!(server.call(check(&new)).await.is_ok().field("session_key_valid"), true);
    assert_eq!(server.call(check(&ticket)).await.is_ok().field("session_key_valid"), false);
    server.call(Call::post("/v1/session/reset").ticket("garbage")).await.is_error("invalid_ticket");
}

#[tokio::test]
async fn a_stale_session_key_cannot_be_reset() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    server.simulator("users/alice/reset-session-key", &json!({})).await;
    server.call(reset(&ticket)).await.is_error("session_key_stale");
}

#[tokio::test]
async fn nothing_is_reset_without_a_key_to_seal_the_new_one_with() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    server.change_ring(|plan| plan.keys[0].seal_until = START.plus(1));
    server.clock.advance(1);
    server.call(reset(&ticket)).await.is_error("no_sealing_key");
    assert_eq!(server.calls("resetusersessionkey").await, 0);
    assert_eq!(server.call(check(&ticket)).await.is_ok().field("session_key_valid"), true);
}

#[tokio::test]
async fn one_login_does_not_use_up_what_the_platform_grants_the_app() {
    let server = TestServer::start().await;
    let (mallory, alice) = (server.ticket_for("mallory").await, server.ticket_for("alice").await);
    let mut refused = 0;
    for _ in 0..20 {
        let answer = server.call(check(&mallory)).await;
        if answer.status != 200 {
            answer.is_error("rate_limited");
            refused += 1;
        }
    }
    assert!(refused >= 15, "{refused}");
    assert_eq!(server.calls("checksession").await, 20 - refused);
    assert_eq!(server.limit_reached("session_key_asks").await, refused);
    server.call(check(&alice)).await.is_ok();
}

#[tokio::test]
async fn a_login_without_a_session_key_has_nothing_to_ask_about() {
    let server = TestServer::start().await;
    let mut claims = session("o-alice", START);
    claims.session_key = None;
    let ticket = server.sealed(&claims);
    for call in [check(&ticket), reset(&ticket)] {
        server.call(call).await.is_error("invalid_request");
    }
    server.call(Call::post("/v1/session/check")).await.is_error("invalid_ticket");
    server.call(Call::get("/v1/session/check").ticket(&ticket)).await.is_error("method_not_allowed");
}

#[tokio::test]
async fn trouble_at_the_platform_is_told_and_changes_nothing() {
    let server = TestServer::builder().upstream_timeout(std::time::Duration::from_millis(500)).start().await;
    for (number, (fault, error)) in [
        ("err--1", "upstream_busy"),
        ("err-40013", "server_misconfigured"),
        ("http-500", "upstream_failed"),
        ("garbage", "upstream_failed"),
        ("cut", "upstream_failed"),
        ("hang", "upstream_timeout"),
    ]
    .into_iter()
    .enumerate()
    {
        let ticket = server.ticket_for(&format!("user{number}")).await;
        for (endpoint, call) in [("checksession", check(&ticket)), ("resetusersessionkey", reset(&ticket))] {
            server.simulator("faults", &json!({ "endpoint": endpoint, "fault": fault, "times": 1 })).await;
            server.call(call).await.is_error(error);
        }
        assert_eq!(server.call(check(&ticket)).await.is_ok().field("session_key_valid"), true, "{fault}");
    }
}
