//! What the holder of a ticket may do with it, and for how long.

use auth_ticket::claims::{PhoneNumber, PlatformId};
use serde_json::{Value, json};

use crate::support::{APPID, Call, MAX_SESSION_S, START, TTL_S, TestServer, session};

fn renewal(ticket: &str) -> Call {
    Call::post("/v1/renew").ticket(ticket)
}

#[tokio::test]
async fn the_session_shows_what_its_holder_may_know() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let answer = server.session(&ticket).await;
    let login_id = answer.text("login_id");
    assert!(login_id.len() == 16 && login_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(
        answer.json(),
        json!({
            "active": true,
            "appid": APPID,
            "platform": "weapp",
            "openid": server.openid("alice"),
            "unionid": server.unionid("alice"),
            "login_id": login_id,
            "auth_time": 1_800_000_000,
            "expires_at": "2027-01-15T10:00:00Z",
            "session_expires_at": "2027-02-14T08:00:00Z",
        })
    );
}

#[tokio::test]
async fn what_is_absent_is_left_out_and_never_null() {
    let server = TestServer::start().await;
    let mut claims = session("o-alice", START);
    let object = |answer: Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let bare = "active appid auth_time expires_at login_id openid platform session_expires_at";
    assert_eq!(object(server.session(&server.sealed(&claims)).await.json()), bare);
    claims.unionid = Some(PlatformId::parse("u-alice").unwrap());
    claims.phone = Some(PhoneNumber::parse("+8613800000000").unwrap());
    let answer = server.session(&server.sealed(&claims)).await;
    assert_eq!((answer.text("unionid"), answer.text("phone_number")), ("u-alice".into(), "+8613800000000".into()));
    let renewed = server.call(renewal(&server.sealed(&claims))).await.ticket();
    assert_eq!(server.session(&renewed).await.json(), answer.json(), "a renewal keeps all of it");
}

#[tokio::test]
async fn a_renewal_keeps_the_login_and_moves_the_end() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let before = server.session(&ticket).await;
    server.clock.advance(3600);
    let answer = server.call(renewal(&ticket)).await;
    assert_eq!((answer.field("expires_in"), answer.text("token_type")), (json!(7200), "AuthTicket".to_owned()));
    assert_eq!(answer.text("expires_at"), "2027-01-15T11:00:00Z");
    let after = server.session(&answer.ticket()).await;
    for field in ["login_id", "auth_time", "session_expires_at", "openid", "unionid"] {
        assert_eq!(before.field(field), after.field(field), "{field}");
    }
    assert_eq!(after.text("expires_at"), "2027-01-15T11:00:00Z");
    assert_eq!(server.session(&ticket).await.text("expires_at"), "2027-01-15T10:00:00Z", "the old one lives on");
}

#[tokio::test]
async fn renewals_end_with_the_session() {
    let server = TestServer::start().await;
    server.clock.advance(MAX_SESSION_S - 100);
    let ticket = server.sealed(&session("o-alice", START));
    let answer = server.call(renewal(&ticket)).await;
    assert_eq!(answer.field("expires_in"), 100);
    assert_eq!(answer.text("expires_at"), answer.text("session_expires_at"));
    server.clock.advance(99);
    let last = server.call(renewal(&answer.ticket())).await.ticket();
    server.clock.advance(1);
    for ticket in [ticket, last] {
        server.call(renewal(&ticket)).await.is_error("ticket_expired");
        server.session(&ticket).await.is_error("ticket_expired");
        server.verify(&ticket).await.is_error("ticket_expired");
    }
}

#[tokio::test]
async fn a_ticket_expires_a_leeway_after_its_end() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    server.clock.advance(TTL_S + 59);
    server.session(&ticket).await.is_ok();
    server.call(renewal(&ticket)).await.is_ok();
    server.clock.advance(1);
    for answer in [server.session(&ticket).await, server.call(renewal(&ticket)).await, server.verify(&ticket).await] {
        answer.is_error("ticket_expired");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
}

#[tokio::test]
async fn a_ticket_from_the_future_is_refused_beyond_the_leeway() {
    let server = TestServer::start().await;
    server.clock.set(START.plus(61));
    let ticket = server.ticket_for("alice").await;
    server.clock.set(START);
    for answer in [server.session(&ticket).await, server.call(renewal(&ticket)).await, server.verify(&ticket).await] {
        answer.is_error("invalid_ticket");
    }
    server.clock.set(START.plus(1));
    server.session(&ticket).await.is_ok();
    let renewed = server.call(renewal(&ticket)).await.ticket();
    assert_eq!(server.session(&renewed).await.field("auth_time"), START.as_u64() + 61);
}

#[tokio::test]
async fn a_renewal_ignores_any_body() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    for (content_type, body) in [
        ("application/json", b"{}".to_vec()),
        ("application/json", b"{\"ticket\":\"x\",".to_vec()),
        ("application/x-www-form-urlencoded", b"openid=%ff&&=".to_vec()),
        ("multipart/form-data", b"--x--".to_vec()),
        ("no content type at all", vec![0xff; 5000]),
        ("", b"null".to_vec()),
        ("text/plain", vec![b'x'; 60 << 10]),
    ] {
        server.call(renewal(&ticket).body(content_type, body)).await.is_ok();
    }
    server.call(renewal(&ticket).header("content-type", b"\xff")).await.is_ok();
}

#[tokio::test]
async fn without_a_ticket_the_challenge_blames_no_token() {
    let server = TestServer::start().await;
    for call in [Call::get("/v1/session"), Call::post("/v1/renew"), Call::get("/v1/verify")] {
        let answer = server.call(call.clone()).await;
        assert_eq!(answer.is_error("invalid_ticket").header("www-authenticate"), Some("Bearer"));
        let answer = server.call(call.ticket("x")).await;
        assert_eq!(
            answer.is_error("invalid_ticket").header("www-authenticate"),
            Some("Bearer error=\"invalid_token\"")
        );
    }
}
