//! How often one address, and all users of one app, may log in.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use auth_ticket::http::{ClientLimits, Rate};
use serde_json::json;
use tokio::time::{advance, pause, resume};

use super::{ALICE, BOB, PROXY};
use crate::support::{APPID, Answer, Builder, Call, OTHER_APPID, TestServer};

/// As long as `count` logins take to be forgiven. So long that it does not matter how long a test runs.
const PERIOD_S: u64 = 3000;

const fn rate(count: u32) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(PERIOD_S) }
}

fn by_address(count: u32) -> ClientLimits {
    ClientLimits { login_rate_per_address: Some(rate(count)), ..ClientLimits::default() }
}

fn by_app(count: u32) -> ClientLimits {
    ClientLimits { login_rate_per_app: Some(rate(count)), ..ClientLimits::default() }
}

fn builder(limits: ClientLimits) -> Builder {
    TestServer::builder().settings(|settings| settings.limits = limits)
}

async fn log_in(server: &TestServer, own: Ipv4Addr, code: &str) -> Answer {
    server.connect_from(own).await.call(&Call::login(code)).await
}

/// Asserts that it is told to wait for as long as one of `count` logins takes to be forgiven.
#[track_caller]
fn is_to_wait(answer: &Answer, count: u64) {
    let wait_s: u64 = answer.is_error("rate_limited").header("retry-after").unwrap().parse().unwrap();
    let full = PERIOD_S / count;
    assert!((full - 60..=full).contains(&wait_s), "{wait_s} of {full}");
}

#[tokio::test]
async fn an_address_logs_in_so_often_and_keeps_its_code_for_later() {
    let server = builder(by_address(3)).start().await;
    for _ in 0..3 {
        log_in(&server, ALICE, &server.code_for("alice")).await.is_ok();
    }
    let kept = server.code_for("alice");
    for _ in 0..2 {
        let answer = log_in(&server, ALICE, &kept).await;
        is_to_wait(&answer, 3);
        assert!(answer.text("error_description").contains("the code was not spent"), "{answer:?}");
    }
    assert_eq!(server.platform.exchanges(), 3, "no code was sent");
    log_in(&server, BOB, &server.code_for("bob")).await.is_ok();

    pause();
    advance(Duration::from_secs(PERIOD_S / 3)).await;
    resume();
    log_in(&server, ALICE, &kept).await.is_ok();
    is_to_wait(&log_in(&server, ALICE, &server.code_for("alice")).await, 3);
    assert_eq!(server.limit_reached("login_rate_per_address").await, 3);
    let counted = format!("auth_ticket_logins_total{{appid=\"{APPID}\",result=\"rate_limited\"}} 3");
    assert!(server.metrics().await.contains(&counted));
}

#[tokio::test]
async fn an_app_has_so_many_logins_wherever_they_come_from() {
    let server = builder(by_app(2)).two_apps().start().await;
    let log_in = async |own, appid: &str| {
        let call = Call::post("/v1/login").json(&json!({ "code": server.code_for("alice"), "appid": appid }));
        server.connect_from(own).await.call(&call).await
    };
    log_in(ALICE, APPID).await.is_ok();
    log_in(BOB, APPID).await.is_ok();
    is_to_wait(&log_in(PROXY, APPID).await, 2);
    log_in(PROXY, OTHER_APPID).await.is_ok();
    assert_eq!(server.platform.exchanges(), 3, "no refused code was sent");
    assert_eq!(server.limit_reached("login_rate_per_app").await, 1);
}

#[tokio::test]
async fn what_an_address_has_used_up_at_one_app_it_has_at_another() {
    let server = builder(by_address(1)).two_apps().start().await;
    let log_in = async |appid: &str| {
        let call = Call::post("/v1/login").json(&json!({ "code": server.code_for("alice"), "appid": appid }));
        server.connect_from(ALICE).await.call(&call).await
    };
    log_in(APPID).await.is_ok();
    is_to_wait(&log_in(APPID).await, 1);
    log_in(OTHER_APPID).await.is_ok();
    is_to_wait(&log_in(OTHER_APPID).await, 1);
}

#[tokio::test]
async fn one_address_does_not_use_up_what_its_app_has() {
    let server = builder(ClientLimits { login_rate_per_app: Some(rate(3)), ..by_address(1) }).start().await;
    for index in 0..5 {
        let answer = log_in(&server, ALICE, &server.code_for("alice")).await;
        assert_eq!(answer.status, if index == 0 { 200 } else { 429 });
    }
    log_in(&server, BOB, &server.code_for("bob")).await.is_ok();
    assert_eq!(server.limit_reached("login_rate_per_address").await, 4);
    assert_eq!(server.limit_reached("login_rate_per_app").await, 0);
}

#[tokio::test]
async fn both_ways_to_log_in_share_one_rate() {
    let server = builder(by_address(2)).compat().start().await;
    let handle = async || {
        let path = format!("/miniLogin/login.ajax?code={}", server.code_for("alice"));
        server.connect_from(ALICE).await.call(&Call::get(&path)).await
    };
    assert_eq!(handle().await.field("code"), 200);
    log_in(&server, ALICE, &server.code_for("alice")).await.is_ok();
    let answer = handle().await;
    assert_eq!((answer.status, answer.field("code")), (200, json!(429)));
    is_to_wait(&log_in(&server, ALICE, &server.code_for("alice")).await, 2);
    assert_eq!(server.platform.exchanges(), 2);
}

#[tokio::test]
async fn what_spends_no_code_does_not_count_and_is_not_limited() {
    let server = builder(ClientLimits { login_rate_per_app: Some(rate(1)), ..by_address(1) }).start().await;
    for _ in 0..3 {
        log_in(&server, ALICE, "").await.is_error("invalid_request");
        log_in(&server, ALICE, "the code is a mock one").await.is_error("invalid_code");
    }
    let ticket = log_in(&server, ALICE, &server.code_for("alice")).await.ticket();
    log_in(&server, ALICE, &server.code_for("alice")).await.is_error("rate_limited");
    let mut connection = server.connect_from(ALICE).await;
    for path in ["/v1/verify", "/v1/ext-authz/a", "/v1/session"] {
        connection.call(&Call::get(path).ticket(&ticket)).await.is_ok();
    }
    connection.call(&Call::post("/v1/renew").ticket(&ticket)).await.is_ok();
}

/// Proxies are [`PROXY`] and everybody in 10/8 and `fd00::/8`.
fn behind_proxies() -> Builder {
    let proxies = ["127.0.0.4/32", "10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    builder(ClientLimits { trusted_proxies: proxies.to_vec(), ..by_address(1) })
}

/// One login, sent by `own` with a line for each of `forwarded`.
async fn forwarded(server: &TestServer, own: Ipv4Addr, forwarded: &[&str]) -> Answer {
    let call = Call::login(&server.code_for("alice"));
    let call = forwarded.iter().fold(call, |call, line| call.header("X-Forwarded-For", line));
    server.connect_from(own).await.call(&call).await
}

#[tokio::test]
async fn nobody_chooses_the_address_that_he_counts_for() {
    let server = behind_proxies().start().await;
    forwarded(&server, ALICE, &["9.9.9.1"]).await.is_ok();
    forwarded(&server, ALICE, &["9.9.9.2"]).await.is_error("rate_limited");
    forwarded(&server, ALICE, &[]).await.is_error("rate_limited");
    // Nor does it count for whom he named.
    forwarded(&server, PROXY, &["9.9.9.1"]).await.is_ok();
}

/// Each client logs in once in the first way; whatever else leads back to him is one too many.
#[tokio::test]
async fn behind_proxies_a_login_counts_for_the_last_address_that_is_no_proxys() {
    let server = behind_proxies().start().await;
    for ways in [
        &[&["1.0.0.1"] as &[&str], &["6.6.6.6, 1.0.0.1"], &["6.6.6.6", "7.7.7.7,1.0.0.1"], &["\u{ff}, x, 1.0.0.1:4711"]]
            as &[&[&str]],
        &[&["1.0.0.2, 10.0.0.1"], &["6.6.6.6, 1.0.0.2", "10.0.0.1, fd00::1"], &["1.0.0.2", "10.0.0.1", "10.0.0.2"]],
        &[&["2001:db8:1:1::1"], &["2001:db8:1:1:ffff::2"], &["[2001:db8:1:1::3]:4711"]],
        &[&["2001:db8:1:2::1"]],
        &[&["1.0.0.3"], &["::ffff:1.0.0.3"]],
        // What is malformed, or missing, counts for the last proxy that is known.
        &[&["1.0.0.4, unknown, 10.0.0.7"], &["10.0.0.7"], &["6.6.6.6", "", "10.0.0.7"], &["1.0.0.4, 1.0.0, 10.0.0.7"]],
        &[&[], &["unknown"], &["1.0.0.5,"], &["1.0.0.5", ""], &["for=1.0.0.5"], &["127.0.0.4"]],
    ] {
        let (first, others) = ways.split_first().unwrap();
        forwarded(&server, PROXY, first).await.is_ok();
        for way in others {
            let answer = forwarded(&server, PROXY, way).await;
            assert_eq!(answer.status, 429, "{way:?} is another than {first:?}");
        }
    }
}
