//! Signatures with the `session_key`: for services that may have them, over data of the user, and over nothing else.

use auth_ticket::claims::SessionKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Builder, Call, OTHER_APPID, START, TestServer, session};

const ID: &str = "payments";
const SECRET: &str = "payments-secret-0123456789";
const DATA: &str = r#"{"offerId":"1450","outTradeNo":"order-00000001"}"#;

fn builder() -> Builder {
    TestServer::builder().service(ID, SECRET).may_sign()
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn post(body: &Value) -> Call {
    Call::post("/v1/signature").header("authorization", basic(ID, SECRET)).json(body)
}

fn sign(ticket: &str, data: &str) -> Call {
    post(&json!({ "ticket": ticket, "data": data }))
}

fn unchecked(ticket: &str, data: &str) -> Call {
    post(&json!({ "ticket": ticket, "data": data, "check": false }))
}

/// Key and signature of the vector in `WeChat`'s page on signatures of requests:
/// <https://developers.weixin.qq.com/minigame/en/dev/tutorial/open-ability/http-signature.html>.
#[tokio::test]
async fn the_signature_is_the_platforms_own() {
    let server = builder().start().await;
    let mut claims = session("o-alice", START);
    claims.session_key = Some(SessionKey::parse("o0q0otL8aEzpcZL/FT9WsQ==").unwrap());
    let answer = server.call(unchecked(&server.sealed(&claims), r#"{"foo":"bar"}"#)).await;
    let expected = json!({
        "signature": "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b",
        "signature_method": "hmac_sha256",
    });
    assert_eq!(answer.is_ok().json(), expected);
    assert_eq!(server.calls("checksession").await, 0);
}

#[tokio::test]
async fn data_is_signed_byte_by_byte_as_it_was_sent() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let mut signatures = Vec::new();
    for data in [DATA, &format!("{DATA} "), &DATA.replace("order", "\\u006frder"), &DATA.replace(',', ", ")] {
        signatures.push(server.call(unchecked(&ticket, data)).await.is_ok().text("signature"));
    }
    signatures.sort();
    signatures.dedup();
    assert_eq!(signatures.len(), 4, "{signatures:?}");
}

#[tokio::test]
async fn the_platform_is_asked_first_whether_the_session_key_lives() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let checked = server.call(sign(&ticket, DATA)).await;
    assert_eq!(server.calls("checksession").await, 1);
    let unasked = server.call(unchecked(&ticket, DATA)).await;
    assert_eq!(checked.is_ok().json(), unasked.is_ok().json());
    assert_eq!(server.calls("checksession").await, 1);

    server.simulator("users/alice/reset-session-key", &json!({})).await;
    server.call(sign(&ticket, DATA)).await.is_error("session_key_stale");
    server.call(unchecked(&ticket, DATA)).await.is_ok();
    let new = server.ticket_for("alice").await;
    assert_ne!(server.call(sign(&new, DATA)).await.is_ok().json(), checked.json());
}

#[tokio::test]
async fn questions_about_one_login_are_bounded_and_signatures_without_are_not() {
    let server = builder().start().await;
    let (mallory, alice) = (server.ticket_for("mallory").await, server.ticket_for("alice").await);
    let mut refused = 0;
    for _ in 0..10 {
        let answer = server.call(sign(&mallory, DATA)).await;
        if answer.status != 200 {
            answer.is_error("rate_limited");
            refused += 1;
        }
    }
    assert!(refused >= 5, "{refused}");
    assert_eq!(server.calls("checksession").await, 10 - refused);
    assert_eq!(server.limit_reached("session_key_asks").await, refused);
    server.call(unchecked(&mallory, DATA)).await.is_ok();
    server.call(sign(&alice, DATA)).await.is_ok();
}

#[tokio::test]
async fn trouble_at_the_platform_means_no_signature() {
    let server = builder().start().await;
    for (number, (fault, error)) in
        [("err--1", "upstream_busy"), ("err-40013", "server_misconfigured"), ("http-500", "upstream_failed")]
            .into_iter()
            .enumerate()
    {
        let ticket = server.ticket_for(&format!("user{number}")).await;
        server.simulator("faults", &json!({ "endpoint": "checksession", "fault": fault, "times": 1 })).await;
        server.call(sign(&ticket, DATA)).await.is_error(error);
    }
}

#[tokio::test]
async fn what_is_no_object_of_this_user_is_not_signed_whatever_is_checked() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let own = format!(r#"{{"openid":"{}","amount":1}}"#, server.openid("alice"));
    server.call(sign(&ticket, &own)).await.is_ok();
    let other = format!(r#"{{"openid":"{}","amount":1}}"#, server.openid("bob"));
    let escaped = other.replace("openid", "op\\u0065nid");
    let twice = own.replace("\"amount\"", "\"op\\u0065nid\"");
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat((16 << 10) - 8));
    server.call(unchecked(&ticket, &long)).await.is_ok();
    let too_long = format!("{long} ");
    for data in [
        "",
        " ",
        "{}",
        "[]",
        r#"[{"a":1}]"#,
        "null",
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1,"\u0062":1}}"#,
        r#"{"a":1} {"a":1}"#,
        "\u{feff}{\"a\":1}",
        r#"{"a":"\ud800"}"#,
        r#"{"openid":1}"#,
        &other,
        &escaped,
        &twice,
        &too_long,
    ] {
        let calls = server.calls("checksession").await;
        for call in [sign(&ticket, data), unchecked(&ticket, data)] {
            server.call(call).await.is_error("invalid_request");
        }
        assert_eq!(server.calls("checksession").await, calls, "{data}");
    }
}

#[tokio::test]
async fn a_body_of_another_form_is_refused() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    for body in [
        json!({}),
        json!([]),
        json!({ "ticket": ticket }),
        json!({ "data": DATA }),
        json!({ "ticket": ticket, "data": { "a": 1 } }),
        json!({ "ticket": ticket, "data": DATA, "check": "false" }),
        json!({ "ticket": [ticket], "data": DATA }),
    ] {
        server.call(post(&body)).await.is_error("invalid_request");
    }
    let call = |content_type: &str, body: &[u8]| {
        Call::post("/v1/signature").header("authorization", basic(ID, SECRET)).body(content_type, body)
    };
    let twice = format!(r#"{{"ticket":"{ticket}","data":"{{}}","data":"{{\"a\":1}}"}}"#);
    server.call(call("application/json", twice.as_bytes())).await.is_error("invalid_request");
    let no_utf8 = [br#"{"ticket":""#, ticket.as_bytes(), b"\",\"data\":\"{\\\"a\\\":\\\"\xff\\\"}\"}"].concat();
    server.call(call("application/json", &no_utf8)).await.is_error("invalid_request");
    server.call(call("text/plain", b"{}")).await.is_error("unsupported_media_type");
    server.call(call("application/json", &vec![b' '; 70_000])).await.is_error("too_large");
}

/// With status 400, which [`Answer`] knows: it is not the service that has to log in again.
#[tokio::test]
async fn a_ticket_that_is_not_good_is_told_by_the_names_of_a_session() {
    let server = builder().start().await;
    for ticket in ["", "garbage", &"A".repeat(2000)] {
        server.call(sign(ticket, DATA)).await.is_error("invalid_ticket");
    }
    let ticket = server.ticket_for("alice").await;
    let login_id = server.session(&ticket).await.text("login_id");
    server.cut_off(json!({ "scope": "login", "login_id": login_id }));
    server.call(sign(&ticket, DATA)).await.is_error("ticket_revoked");
    let ticket = server.ticket_for("bob").await;
    server.clock.advance(7200 + 59);
    server.call(sign(&ticket, DATA)).await.is_ok();
    server.clock.advance(1);
    let answer = server.call(sign(&ticket, DATA)).await;
    answer.is_error("ticket_expired");
    assert_eq!((answer.status, answer.header("www-authenticate")), (400, None));
}

#[tokio::test]
async fn a_login_without_a_session_key_has_nothing_to_sign_with() {
    let server = builder().start().await;
    let mut claims = session("o-alice", START);
    claims.session_key = None;
    server.call(sign(&server.sealed(&claims), DATA)).await.is_error("invalid_request");
}

#[tokio::test]
async fn only_a_service_with_the_right_gets_signatures_and_only_for_its_apps() {
    #[track_caller]
    fn refused(answer: &Answer, status: u16, error: &str) {
        assert_eq!(answer.is_error(error).status, status, "{answer:?}");
    }
    let server = builder().two_apps().service_apps(&[OTHER_APPID]).start().await;
    let (foreign, own) = (server.ticket_at(APPID, "alice").await, server.ticket_at(OTHER_APPID, "alice").await);
    server.call(sign(&own, DATA)).await.is_ok();
    refused(&server.call(sign(&foreign, DATA)).await, 400, "invalid_ticket");
    let body = json!({ "ticket": own, "data": DATA });
    for authorization in [
        basic(ID, "wrong-secret-0123456789"),
        basic("nobody", SECRET),
        basic(OTHER_APPID, ""),
        basic(ID, ""),
        format!("Bearer {own}"),
        format!("Bearer {SECRET}"),
        "Basic".to_owned(),
        "Basic %".to_owned(),
    ] {
        let call = Call::post("/v1/signature").header("authorization", &authorization).json(&body);
        refused(&server.call(call).await, 401, "invalid_client");
    }
    let in_body = json!({ "ticket": own, "data": DATA, "client_id": ID, "client_secret": SECRET });
    refused(&server.call(Call::post("/v1/signature").json(&in_body)).await, 401, "invalid_client");
    refused(&server.call(Call::post("/v1/signature").ticket(&own).json(&body)).await, 401, "invalid_client");
    server.call(Call::get("/v1/signature")).await.is_error("method_not_allowed");

    let server = TestServer::builder().service(ID, SECRET).start().await;
    let ticket = server.ticket_for("alice").await;
    refused(&server.call(sign(&ticket, DATA)).await, 403, "unauthorized_client");
    refused(&server.call(sign("garbage", "{}")).await, 403, "unauthorized_client");
}

#[tokio::test]
async fn signatures_are_counted_by_service() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    for data in [DATA, "{}", DATA] {
        server.call(unchecked(&ticket, data)).await;
    }
    let metrics = server.metrics().await;
    assert!(metrics.contains("auth_ticket_signatures_total{service=\"payments\"} 2\n"), "{metrics}");
}
