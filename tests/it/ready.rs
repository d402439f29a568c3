//! What probes and operators are told about the state of the ring.

use std::sync::Arc;

use auth_ticket::clock::FixedClock;
use auth_ticket::simulator::Simulator;
use serde_json::json;

use crate::support::{Call, Plan, START, TestKey, TestServer};

const DAY_S: u64 = 86400;

/// What both listeners say: `(status, word, reasons)`.
async fn readiness(server: &TestServer) -> (u16, String, Vec<String>) {
    let probe = server.call(Call::get("/readyz")).await;
    assert!(probe.body.is_empty(), "clients see a status and no more: {probe:?}");
    let answer = server.admin(Call::get("/readyz")).await;
    assert_eq!(answer.status, probe.status);
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    let reasons = body["reasons"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    (answer.status, answer.text("status"), reasons)
}

#[tokio::test]
async fn the_life_of_the_last_key_shows_in_readyz() {
    let server = TestServer::start().await;
    let kid = TestKey::new(1, START).kid();
    assert_eq!(readiness(&server).await, (200, "ok".to_owned(), vec![]));
    server.clock.set(START.plus(72 * DAY_S - 1));
    assert_eq!(readiness(&server).await, (200, "ok".to_owned(), vec![]));
    server.clock.advance(1);
    let (status, word, reasons) = readiness(&server).await;
    assert_eq!((status, &*word, reasons.len()), (200, "degraded", 1));
    assert!(reasons[0].contains("last fifth") && reasons[0].contains(&kid), "{reasons:?}");
    server.clock.set(START.plus(90 * DAY_S));
    let cannot_seal = vec!["no ticket key can seal".to_owned()];
    assert_eq!(readiness(&server).await, (200, "degraded".to_owned(), cannot_seal));
    server.clock.set(START.plus(91 * DAY_S + 59));
    assert_eq!(readiness(&server).await.0, 200);
    server.clock.advance(1);
    let all_dead = vec!["every ticket key is dead or revoked: nothing can be sealed or opened".to_owned()];
    assert_eq!(readiness(&server).await, (503, "unavailable".to_owned(), all_dead));
    server.rotate();
    assert_eq!(readiness(&server).await, (200, "ok".to_owned(), vec![]));
}

#[tokio::test]
async fn a_ring_with_only_a_pending_key_opens_and_cannot_seal() {
    let plan = Plan { keys: vec![TestKey::new(1, START.plus(900))], ..Plan::one_key() };
    let server = TestServer::builder().plan(plan).start().await;
    let (status, word, _) = readiness(&server).await;
    assert_eq!((status, &*word), (200, "degraded"));
    server.clock.advance(900);
    assert_eq!(readiness(&server).await.1, "ok");
}

#[tokio::test]
async fn a_gap_before_the_next_key_is_told_from_the_beginning() {
    let next = TestKey::new(2, START.plus(91 * DAY_S));
    let plan = Plan { keys: vec![TestKey::new(1, START), next], ..Plan::one_key() };
    let kid = TestKey::new(2, START.plus(91 * DAY_S)).kid();
    let server = TestServer::builder().plan(plan).start().await;
    let (end, starts) = (START.plus(90 * DAY_S), START.plus(91 * DAY_S));
    let (status, word, reasons) = readiness(&server).await;
    assert_eq!((status, &*word), (200, "degraded"));
    assert_eq!(reasons, [format!("from {end} on no ticket key can seal until ticket-{kid} starts at {starts}")]);
    let line = format!("auth_ticket_sealing_gap_timestamp_seconds{{key_use=\"ticket\"}} {}\n", end.as_u64());
    assert!(server.metrics().await.contains(&line), "{line}");
    server.clock.set(starts);
    assert_eq!(readiness(&server).await, (200, "ok".to_owned(), vec![]));
    let gone = "auth_ticket_sealing_gap_timestamp_seconds{key_use=\"ticket\"} 0\n";
    assert!(server.metrics().await.contains(gone));
}

#[tokio::test]
async fn a_clock_that_disagrees_with_the_platforms_is_told_until_it_agrees() {
    let theirs = START.plus(10_000);
    let platform = Simulator::new(Arc::new(FixedClock::new(theirs)));
    let server = TestServer::builder().platform(platform.router()).start().await;
    for (number, (ours, told)) in [
        (theirs, None),
        (theirs.plus(60), None),
        (theirs.plus(600), Some("600 s ahead of the platform's")),
        (theirs.minus(60), None),
        (theirs.minus(90), Some("90 s behind the platform's")),
        (theirs, None),
    ]
    .into_iter()
    .enumerate()
    {
        server.clock.set(ours);
        server.call(Call::login(&format!("demo-alice-{number}"))).await.is_ok();
        let (status, word, reasons) = readiness(&server).await;
        assert_eq!((status, &*word), (200, if told.is_some() { "degraded" } else { "ok" }), "{reasons:?}");
        assert_eq!(reasons.len(), usize::from(told.is_some()), "{reasons:?}");
        assert!(told.is_none_or(|told| reasons[0].contains(told)), "{reasons:?}");
        let ahead_s = i64::try_from(ours.since(theirs)).unwrap() - i64::try_from(theirs.since(ours)).unwrap();
        let line = format!("auth_ticket_clock_ahead_of_platform_seconds{{appid=\"wx0123456789abcdef\"}} {ahead_s}\n");
        assert!(server.metrics().await.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn a_ring_whose_only_key_is_revoked_is_unavailable() {
    let server = TestServer::start().await;
    server.change_ring(|plan| plan.revoked.push(1));
    assert_eq!(readiness(&server).await.0, 503);
    server.rotate();
    assert_eq!(readiness(&server).await.0, 200);
}

#[tokio::test]
async fn healthz_says_that_the_process_lives_whatever_the_ring() {
    let server = TestServer::start().await;
    server.change_ring(|plan| plan.revoked.push(1));
    for method in ["GET", "HEAD"] {
        for answer in
            [server.call(Call::new(method, "/healthz")).await, server.admin(Call::new(method, "/healthz")).await]
        {
            assert!(answer.is_ok().body.is_empty());
        }
    }
}

#[tokio::test]
async fn operators_have_an_address_of_their_own() {
    let server = TestServer::start().await;
    for call in [
        Call::login("demo-alice-1"),
        Call::post("/v1/renew"),
        Call::get("/v1/session"),
        Call::get("/v1/other"),
        Call::get("/miniLogin/login.ajax"),
    ] {
        server.admin(call).await.is_error("not_found");
    }
    for path in ["/healthz", "/readyz"] {
        let answer = server.admin(Call::post(path).json(&json!({}))).await;
        assert_eq!(answer.is_error("method_not_allowed").header("allow"), Some("GET,HEAD"));
    }
    let padded = Call::get("/readyz").header("x-padding", "x".repeat(17 << 10));
    server.admin(padded).await.is_error("headers_too_large");
}
