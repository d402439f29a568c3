//! From a mini-program to a web page: for one page, for a minute, with less inside.

use auth_ticket::claims::{OwnerClaims, PhoneNumber, PlatformId};
use auth_ticket::keyring::Purpose;
use auth_ticket::ticket::Session;
use serde_json::json;

use crate::support::{APPID, Answer, Builder, Call, OTHER_APPID, Plan, START, TestServer, session};

const PAGE: &str = "https://h5.example.com";
const OTHER_PAGE: &str = "https://shop.example.com:8443";
const STRANGER: &str = "https://evil.example";

fn builder() -> Builder {
    TestServer::builder().handover(&[PAGE, OTHER_PAGE])
}

fn hand_over(ticket: &str, origin: &str) -> Call {
    Call::post("/v1/handover").ticket(ticket).json(&json!({ "origin": origin }))
}

fn redeem_without_origin(handover: &str) -> Call {
    Call::post("/v1/handover/redeem").json(&json!({ "handover": handover }))
}

fn redeem(handover: &str, origin: &str) -> Call {
    redeem_without_origin(handover).header("origin", origin)
}

async fn handed_over(server: &TestServer, ticket: &str) -> String {
    server.call(hand_over(ticket, PAGE)).await.is_ok().text("handover")
}

/// A login with everything that a ticket can hold.
fn full_session() -> Session {
    let mut session = session("o-alice", START.minus(1000));
    session.unionid = Some(PlatformId::parse("u-alice").unwrap());
    session.phone = Some(PhoneNumber::parse("+8613800000000").unwrap());
    session.owner_claims = Some(OwnerClaims::parse("uid=1001").unwrap());
    session
}

#[tokio::test]
async fn a_page_gets_a_ticket_of_the_same_login_without_session_key_and_phone() {
    let server = builder().start().await;
    let ticket = server.sealed(&full_session());
    let answer = server.call(hand_over(&ticket, PAGE)).await;
    assert_eq!(answer.is_ok().field("expires_in"), 60);
    assert_eq!(answer.json().as_object().unwrap().len(), 2);
    let redeemed = server.call(redeem(&answer.text("handover"), PAGE)).await;
    assert_eq!(
        (redeemed.is_ok().text("token_type"), redeemed.field("expires_in")),
        ("AuthTicket".to_owned(), json!(7200))
    );

    let page = redeemed.ticket();
    let (mut expected, found) = (server.session(&ticket).await.json(), server.session(&page).await.json());
    assert_eq!(expected["phone_number"], "+8613800000000");
    expected.as_object_mut().unwrap().remove("phone_number");
    assert_eq!(found, expected, "openid, unionid, owner's claims, login id, auth time and both ends");
    let checked = server.verify(&page).await;
    assert_eq!(
        (checked.header("x-auth-unionid"), checked.header("x-auth-claims")),
        (Some("u-alice"), Some("uid=1001"))
    );
    for call in [Call::post("/v1/session/check"), Call::post("/v1/session/reset")] {
        server.call(call.ticket(&page)).await.is_error("invalid_request");
    }
    // From here on it is a ticket like any other.
    let renewed = server.call(Call::post("/v1/renew").ticket(&page)).await.ticket();
    server.call(hand_over(&renewed, PAGE)).await.is_ok();
}

#[tokio::test]
async fn a_real_login_is_handed_over() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let handover = handed_over(&server, &ticket).await;
    let page = server.call(redeem(&handover, PAGE)).await.ticket();
    server.verify(&page).await.is_openid(&server.openid("alice"));
}

#[tokio::test]
async fn within_its_minute_a_hand_over_works_again_and_after_it_does_not() {
    let server = builder().start().await;
    let handover = handed_over(&server, &server.ticket_for("alice").await).await;
    for _ in 0..2 {
        server.call(redeem(&handover, PAGE)).await.is_ok();
    }
    // Clocks of replicas may differ by the leeway.
    server.clock.advance(119);
    server.call(redeem(&handover, PAGE)).await.is_ok();
    server.clock.advance(1);
    server.call(redeem(&handover, PAGE)).await.is_error("ticket_expired");
    server.call(redeem(&handover, OTHER_PAGE)).await.is_error("invalid_ticket");
}

#[tokio::test]
async fn only_listed_pages_are_handed_to() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    server.call(hand_over(&ticket, OTHER_PAGE)).await.is_ok();
    for origin in [
        STRANGER,
        "",
        "*",
        "null",
        "http://h5.example.com",
        "https://h5.example.com/",
        "https://h5.example.com:443",
        "HTTPS://H5.EXAMPLE.COM",
        "https://h5.example.com,https://shop.example.com:8443",
        &"o".repeat(200),
    ] {
        server.call(hand_over(&ticket, origin)).await.is_error("invalid_request");
    }
    for body in [json!({}), json!([PAGE]), json!({ "origin": [PAGE] }), json!({ "origin": null })] {
        server.call(Call::post("/v1/handover").ticket(&ticket).json(&body)).await.is_error("invalid_request");
    }
    let call = Call::post("/v1/handover").ticket(&ticket).body("text/plain", "{}");
    server.call(call).await.is_error("unsupported_media_type");
    for ticket in ["", "garbage"] {
        server.call(hand_over(ticket, PAGE)).await.is_error("invalid_ticket");
    }
    // Without a list nobody is.
    let server = TestServer::start().await;
    server.call(hand_over(&server.ticket_for("alice").await, PAGE)).await.is_error("invalid_request");
}

#[tokio::test]
async fn the_page_is_the_one_that_the_browser_names_and_names_once() {
    let server = builder().start().await;
    let handover = handed_over(&server, &server.ticket_for("alice").await).await;
    server.call(redeem_without_origin(&handover)).await.is_error("invalid_request");
    server.call(redeem(&handover, PAGE).header("origin", PAGE)).await.is_error("invalid_request");
    server.call(redeem(&handover, PAGE).header("origin", STRANGER)).await.is_error("invalid_request");
    for unlisted in [STRANGER, "null", "", "https://h5.example.com/", "https://h5.example.com, https://h5.example.com"]
    {
        server.raw(redeem(&handover, unlisted)).await.is_error("invalid_request");
    }
    server.call(redeem(&handover, OTHER_PAGE)).await.is_error("invalid_ticket");
    server.call(redeem(&handover, PAGE)).await.is_ok();
}

#[tokio::test]
async fn what_is_no_hand_over_is_refused() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let handover = handed_over(&server, &ticket).await;
    let mut flipped = handover.clone().into_bytes();
    flipped[100] = if flipped[100] == b'A' { b'B' } else { b'A' };
    let others = Plan { keys: vec![crate::support::TestKey::new(99, START)], ..Plan::one_key() };
    let session = full_session();
    for wrong in [
        "",
        "garbage",
        &ticket,
        &String::from_utf8(flipped).unwrap(),
        &handover[1..],
        &server.sealed_by(&Plan::one_key(), &session, Purpose::LoginHandle),
        &server.sealed_by(&Plan::one_key(), &session, Purpose::PhoneProof),
        &server.sealed_by(&others, &session, Purpose::Ticket),
    ] {
        server.call(redeem(wrong, PAGE)).await.is_error("invalid_ticket");
    }
    for body in [json!({}), json!({ "ticket": handover }), json!({ "handover": [handover] }), json!([handover])] {
        let call = Call::post("/v1/handover/redeem").header("origin", PAGE).json(&body);
        server.call(call).await.is_error("invalid_request");
    }
    let form = Call::post("/v1/handover/redeem").header("origin", PAGE).form(&format!("handover={handover}"));
    server.call(form).await.is_error("unsupported_media_type");
    server.call(Call::get("/v1/handover/redeem")).await.is_error("method_not_allowed");
}

#[tokio::test]
async fn a_hand_over_is_no_ticket() {
    let server = builder().compat().start().await;
    let handover = handed_over(&server, &server.ticket_for("alice").await).await;
    for call in [
        Call::get("/v1/session").ticket(&handover),
        Call::post("/v1/renew").ticket(&handover),
        Call::get("/v1/verify").ticket(&handover),
        hand_over(&handover, PAGE),
    ] {
        server.call(call).await.is_error("invalid_ticket");
    }
    let answer = server.call(Call::post("/miniLogin/loginCheck.ajax").form(&format!("openid={handover}"))).await;
    assert_eq!(answer.field("code"), 401);
}

#[tokio::test]
async fn what_is_cut_off_or_revoked_is_not_handed_over() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let handover = handed_over(&server, &ticket).await;
    let login_id = server.session(&ticket).await.text("login_id");
    server.cut_off(json!({ "scope": "login", "login_id": login_id }));
    server.call(redeem(&handover, PAGE)).await.is_error("ticket_revoked");
    server.call(hand_over(&ticket, PAGE)).await.is_error("ticket_revoked");

    let handover = handed_over(&server, &server.ticket_for("bob").await).await;
    server.change_ring(|plan| plan.keys[0] = crate::support::TestKey::new(7, START));
    server.call(redeem(&handover, PAGE)).await.is_error("invalid_ticket");
}

#[tokio::test]
async fn a_hand_over_ends_with_the_session() {
    let server = builder().start().await;
    let max_session_s = 30 * 86400;
    let ticket = server.sealed(&session("o-alice", START.minus(max_session_s - 30)));
    let answer = server.call(hand_over(&ticket, PAGE)).await;
    assert_eq!(answer.is_ok().field("expires_in"), 30);
    let handover = answer.text("handover");
    server.clock.advance(29);
    assert_eq!(server.call(redeem(&handover, PAGE)).await.is_ok().field("expires_in"), 1);
    server.clock.advance(1);
    server.call(redeem(&handover, PAGE)).await.is_error("ticket_expired");
}

#[tokio::test]
async fn a_hand_over_of_one_app_stays_in_that_app() {
    let server = builder().two_apps().start().await;
    let handover = handed_over(&server, &server.ticket_at(OTHER_APPID, "alice").await).await;
    let page = server.call(redeem(&handover, PAGE)).await.ticket();
    assert_eq!(server.session(&page).await.text("appid"), OTHER_APPID);
    server.call(Call::get(&format!("/v1/verify/{APPID}")).ticket(&page)).await.is_error("wrong_app");
    let elsewhere = builder().start().await;
    elsewhere.call(redeem(&handover, PAGE)).await.is_error("invalid_ticket");
}

#[tokio::test]
async fn without_a_key_that_seals_nothing_is_handed_over() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let handover = handed_over(&server, &ticket).await;
    server.change_ring(|plan| plan.keys[0].seal_until = START.plus(1));
    server.clock.advance(1);
    server.call(hand_over(&ticket, PAGE)).await.is_error("no_sealing_key");
    server.call(redeem(&handover, PAGE)).await.is_error("no_sealing_key");
}

fn preflight(path: &str, origin: &str) -> Call {
    Call::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[tokio::test]
async fn listed_pages_may_redeem_from_a_browser_whatever_cors_says() {
    for server in [builder().start().await, builder().cors(&[STRANGER]).start().await] {
        let handover = handed_over(&server, &server.ticket_for("alice").await).await;
        for page in [PAGE, OTHER_PAGE] {
            let answer = server.call(preflight("/v1/handover/redeem", page)).await;
            assert_eq!(allowed(answer.is_ok()), Some(page), "{answer:?}");
            assert!(answer.header("access-control-allow-headers").unwrap().contains("content-type"));
            assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
        assert_eq!(allowed(server.call(redeem(&handover, PAGE)).await.is_ok()), Some(PAGE));
        assert_eq!(allowed(server.call(redeem("garbage", PAGE)).await.is_error("invalid_ticket")), Some(PAGE));
        let large = redeem(&handover, PAGE).header("x-long", vec![b'x'; 17_000]);
        assert_eq!(allowed(server.call(large).await.is_error("headers_too_large")), Some(PAGE));
        let stranger = server.call(preflight("/v1/handover/redeem", STRANGER)).await;
        assert_eq!(allowed(&stranger), None, "{stranger:?}");
        assert_eq!(allowed(server.call(redeem(&handover, STRANGER)).await.is_error("invalid_request")), None);
    }
    // The other routes are as before: for [cors] alone.
    let server = builder().start().await;
    for path in ["/v1/login", "/v1/renew", "/v1/handover"] {
        server.call(preflight(path, PAGE)).await.is_error("method_not_allowed");
    }
    let server = TestServer::start().await;
    server.call(preflight("/v1/handover/redeem", PAGE)).await.is_error("method_not_allowed");
}

#[tokio::test]
async fn hand_overs_are_counted_by_key() {
    let server = builder().start().await;
    handed_over(&server, &server.ticket_for("alice").await).await;
    let metrics = server.metrics().await;
    let is_it = |line: &str| line.starts_with("auth_ticket_tickets_sealed_total") && line.contains("\"handover\"");
    assert!(metrics.lines().any(|line| is_it(line) && line.ends_with(" 1")), "{metrics}");
}
