//! A code becomes a ticket, or an error that says what to do; and a code is never spent for nothing.

use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Call, OTHER_APPID, Plan, START, TestServer, session, stub, within_5_s};

const SHORT: Duration = Duration::from_millis(300);

async fn login(server: &TestServer, code: &str) -> Answer {
    server.call(Call::login(code)).await
}

#[tokio::test]
async fn a_login_answers_a_ticket_object() {
    let server = TestServer::start().await;
    let answer = login(&server, "demo-alice-1").await;
    let ticket = answer.ticket();
    assert_eq!(
        answer.json(),
        json!({
            "ticket": ticket,
            "token_type": "AuthTicket",
            "expires_in": 7200,
            "expires_at": "2027-01-15T10:00:00Z",
            "session_expires_at": "2027-02-14T08:00:00Z",
        })
    );
    assert_eq!(ticket.len(), 182, "the length that the manual promises for usual ids");
    server.verify(&ticket).await.is_openid(&server.openid("alice"));
}

#[tokio::test]
async fn the_appid_may_be_left_out_when_one_app_is_configured() {
    let server = TestServer::start().await;
    for (body, error) in [
        (json!({ "code": "demo-alice-1" }), None),
        (json!({ "code": "demo-alice-2", "appid": APPID }), None),
        (json!({ "code": "demo-alice-3", "appid": null }), None),
        (json!({ "code": "demo-alice-4", "what": "ever", "more": [1, {}] }), None),
        (json!({ "code": "demo-alice-5", "appid": OTHER_APPID }), Some("wrong_app")),
        (json!({ "code": "demo-alice-5", "appid": APPID.to_uppercase() }), Some("wrong_app")),
        (json!({ "code": "demo-alice-6", "appid": "" }), None),
    ] {
        let answer = server.call(Call::post("/v1/login").json(&body)).await;
        match error {
            None => server.verify(&answer.ticket()).await.is_openid(&server.openid("alice")),
            Some(error) => answer.is_error(error),
        };
    }
    assert_eq!(server.platform.exchanges(), 5, "a refused appid costs no code");
}

#[tokio::test]
async fn with_several_apps_a_login_names_its_app() {
    let server = TestServer::builder().two_apps().start().await;
    login(&server, "demo-alice-1").await.is_error("app_required");
    for appid in [APPID, OTHER_APPID] {
        let ticket = server.ticket_at(appid, "alice").await;
        assert_eq!(server.session(&ticket).await.text("appid"), appid);
    }
}

#[tokio::test]
async fn each_refusal_of_the_platform_has_its_answer() {
    let server = TestServer::start().await;
    for (errcode, error, retry_after) in [
        (-1, "upstream_busy", Some("2")),
        (40029, "invalid_code", None),
        (40163, "code_used", None),
        (42003, "invalid_code", None),
        (40226, "user_blocked", None),
        (50002, "user_blocked", None),
        (45011, "rate_limited", Some("60")),
        (45009, "upstream_busy", Some("600")),
        (87009, "upstream_failed", None),
        (i64::MIN, "upstream_failed", None),
    ] {
        let answer = login(&server, &format!("err-{errcode}")).await;
        answer.is_error(error);
        assert_eq!(answer.header("retry-after"), retry_after, "{answer:?}");
        assert_eq!(answer.field("errcode"), errcode, "{answer:?}");
        assert_ne!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{answer:?}");
    }
    for errcode in [40002, 40013, 40125, 40164, 40243, 41002, 41004, 41008, 48001, 48004, 61003, 61004] {
        let answer = login(&server, &format!("err-{errcode}")).await;
        answer.is_error("server_misconfigured");
        assert_eq!(answer.field("errcode"), Value::Null, "details are for the log: {answer:?}");
        assert!(!answer.body_text().contains("203.0.113.7"), "{answer:?}");
    }
    login(&server, "err-0").await.is_error("upstream_failed");
    server.ticket_for("alice").await;
}

#[tokio::test]
async fn after_a_broken_answer_the_next_login_works() {
    let server = TestServer::builder().upstream_timeout(SHORT).start().await;
    for (code, error) in [
        ("garbage", "upstream_failed"),
        ("cut", "upstream_failed"),
        ("http-500", "upstream_failed"),
        ("hang", "upstream_timeout"),
        ("slow-60000-bob", "upstream_timeout"),
    ] {
        let exchanges = server.platform.exchanges();
        let answer = login(&server, code).await;
        answer.is_error(error);
        assert_eq!(answer.field("errcode"), Value::Null, "{answer:?}");
        assert_eq!(server.platform.exchanges(), exchanges + 1, "a code is sent once: {code}");
        server.verify(&server.ticket_for("alice").await).await.is_openid(&server.openid("alice"));
    }
}

#[tokio::test]
async fn a_platform_that_cannot_be_reached_is_upstream_failed() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = TestServer::builder().base_url(&format!("http://{nobody}")).start().await;
    let told = login(&server, "demo-alice-1").await.is_error("upstream_failed").text("error_description");
    assert!(told.ends_with("the code is still good, try again with it"), "{told}");
    let ticket = server.sealed(&session("o-alice", START));
    let phone = Call::post("/v1/phone").ticket(&ticket).json(&json!({ "code": "phone-alice-1" }));
    let told = server.call(phone).await.is_error("upstream_failed").text("error_description");
    assert!(told.contains("the code is still good"), "{told}");
    let check = Call::post("/v1/session/check").ticket(&ticket);
    let told = server.call(check).await.is_error("upstream_failed").text("error_description");
    assert!(!told.contains("code"), "nothing was at stake: {told}");
    let metrics = server.metrics().await;
    for call in ["exchange", "phone", "check_session"] {
        let counted = format!("{{appid=\"{APPID}\",call=\"{call}\",reason=\"connection_refused\"}} 1\n");
        assert!(metrics.contains(&counted), "{counted} {metrics}");
    }
}

/// What operators count is why, for each kind of trouble.
#[tokio::test]
async fn answers_that_cannot_be_used_are_counted_by_reason() {
    let server = TestServer::builder().upstream_timeout(SHORT).start().await;
    for (code, reason) in
        [("garbage", "not_json"), ("cut", "cut_off"), ("http-500", "http_status"), ("hang", "timeout")]
    {
        let told = login(&server, code).await.text("error_description");
        assert!(told.contains("take a new code"), "{code}: {told}");
        let counted = format!(
            "auth_ticket_upstream_failures_total{{appid=\"{APPID}\",call=\"exchange\",reason=\"{reason}\"}} 1\n"
        );
        let metrics = server.metrics().await;
        assert!(metrics.contains(&counted), "{counted} {metrics}");
    }
}

#[tokio::test]
async fn a_used_code_is_code_used() {
    let server = TestServer::start().await;
    login(&server, "demo-alice-1").await.is_ok();
    let answer = login(&server, "demo-alice-1").await;
    assert_eq!(answer.is_error("code_used").field("errcode"), 40163);
    assert_eq!(server.platform.exchanges(), 2, "past codes are the platform's to remember");
}

#[tokio::test]
async fn a_code_older_than_five_minutes_is_invalid_code() {
    let server = TestServer::start().await;
    for (age_s, error) in [(299, None), (300, Some("invalid_code"))] {
        let code = mint(&server).await;
        server.clock.advance(age_s);
        let answer = login(&server, &code).await;
        match error {
            None => answer.is_ok(),
            Some(error) => answer.is_error(error),
        };
    }
}

async fn mint(server: &TestServer) -> String {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.post(format!("http://{}/_sim/code", server.platform.address));
    let answer = request.body(json!({ "appid": APPID, "name": "alice" }).to_string()).send().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    answer["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_mock_code_of_the_developer_tools_is_explained() {
    let server = TestServer::start().await;
    let answer = login(&server, "the code is a mock one").await;
    let hint = answer.is_error("invalid_code").text("error_description");
    assert!(hint.contains("developer tools") && hint.contains("appid"), "{hint}");
    assert_eq!(server.platform.exchanges(), 0);
}

#[tokio::test]
async fn without_a_sealing_key_a_login_is_refused_before_its_code_is_spent() {
    let mut plan = Plan::one_key();
    plan.keys[0].seal_until = START.plus(100);
    let server = TestServer::builder().plan(plan).start().await;
    let ticket = server.ticket_for("alice").await;
    server.clock.advance(100);
    login(&server, "demo-bob-1").await.is_error("no_sealing_key");
    assert_eq!(server.platform.exchanges(), 1);
    server.verify(&ticket).await.is_openid(&server.openid("alice"));
    server.rotate();
    server.verify(&login(&server, "demo-bob-1").await.ticket()).await.is_openid(&server.openid("bob"));
}

#[tokio::test]
async fn the_same_code_twice_at_once_is_one_exchange() {
    let server = TestServer::start().await;
    let (first, second) = tokio::join!(login(&server, "slow-300-alice"), login(&server, "slow-300-alice"));
    assert_eq!(server.platform.exchanges(), 1);
    let (first, second) = (server.session(&first.ticket()).await, server.session(&second.ticket()).await);
    assert_eq!(first.text("login_id"), second.text("login_id"));
    let third = server.session(&login(&server, "slow-1-alice").await.ticket()).await;
    assert_ne!(first.text("login_id"), third.text("login_id"), "another code is another login");
}

#[tokio::test]
async fn the_same_code_for_two_apps_is_two_exchanges() {
    let server = TestServer::builder().two_apps().start().await;
    let at = |appid: &str| Call::post("/v1/login").json(&json!({ "code": "slow-200-alice", "appid": appid }));
    let (first, second) = tokio::join!(server.call(at(APPID)), server.call(at(OTHER_APPID)));
    assert_eq!(server.platform.exchanges(), 2);
    for (answer, appid) in [(first, APPID), (second, OTHER_APPID)] {
        assert_eq!(server.session(&answer.ticket()).await.text("appid"), appid);
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_break_another_that_waits_for_the_same_code() {
    let server = TestServer::start().await;
    let call = Call::login("slow-300-alice");
    let (mut leaves, mut waits) = (server.connect().await, server.connect().await);
    leaves.send(call.to_bytes()).await;
    server.platform.reached(1).await;
    waits.send(call.to_bytes()).await;
    assert!(waits.is_silent_for(Duration::from_millis(100)).await);
    drop(leaves);
    let ticket = waits.answer(&call).await.ticket();
    server.verify(&ticket).await.is_openid(&server.openid("alice"));
    assert_eq!(server.platform.exchanges(), 1);
}

#[tokio::test]
async fn while_too_many_exchanges_run_others_are_told_so_and_keep_their_codes() {
    let server = TestServer::builder().max_concurrent(1).upstream_timeout(SHORT).start().await;
    let ticket = server.ticket_for("carol").await;
    let mut first = server.connect().await;
    let hanging = Call::login("hang");
    first.send(hanging.to_bytes()).await;
    server.platform.reached(2).await;
    let mut others = Vec::new();
    for n in 0..20 {
        let call = Call::login(&format!("slow-60000-bob-{n}"));
        others.push((server.connect().await, call));
    }
    for (connection, call) in &mut others {
        connection.send(call.to_bytes()).await;
    }
    server.verify(&ticket).await.is_openid(&server.openid("carol"));
    first.answer(&hanging).await.is_error("upstream_timeout");
    let mut busy = 0;
    for (mut connection, call) in others {
        let answer = tokio::time::timeout(2 * SHORT, connection.answer(&call)).await.unwrap();
        // Whoever got a turn at the last moment is told that the code may be spent.
        if answer.status == 503 {
            answer.is_error("upstream_busy");
            busy += 1;
        } else {
            answer.is_error("upstream_timeout");
        }
    }
    assert!(busy > 0);
    assert!(server.platform.exchanges() <= 2 + 20 - busy, "a busy answer means that the code was not sent");
    assert_eq!(server.limit_reached("upstream_max_concurrent").await, busy as u64);
    server.ticket_for("alice").await;
}

#[tokio::test]
async fn an_identity_that_nobody_may_seal_is_upstream_failed() {
    let good = json!({ "openid": "o".repeat(128), "unionid": "u".repeat(128), "session_key": "k".repeat(256) });
    login_at(stub(&good)).await.is_ok();
    for (field, value) in [
        ("openid", Value::Null),
        ("openid", json!("")),
        ("openid", json!("o".repeat(129))),
        ("openid", json!("o o")),
        ("openid", json!("o\u{e9}")),
        ("openid", json!("o\r\nx-auth-openid: root")),
        ("openid", json!(7)),
        ("unionid", json!("u".repeat(129))),
        ("unionid", json!("u u")),
        ("unionid", json!(["u"])),
        ("session_key", json!("k".repeat(257))),
        ("session_key", json!("k k")),
        ("session_key", json!({})),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        login_at(stub(&bad)).await.is_error("upstream_failed");
    }
    for bad in [json!([]), json!({}), json!(null), json!({ "errcode": "x" }), json!("x".repeat(70_000))] {
        login_at(stub(&bad)).await.is_error("upstream_failed");
    }
}

async fn login_at(platform: Router) -> Answer {
    let server = TestServer::builder().platform(platform).start().await;
    login(&server, "any-code").await
}

const PAUSED: &str = "auth_ticket_upstream_paused{appid=\"wx0123456789abcdef\",call=\"exchange\"}";

/// Rule: a platform that fails again and again is left alone for a while, and a code that was not sent is still good.
#[tokio::test]
async fn a_platform_that_does_not_answer_is_left_alone_and_the_code_stays_good() {
    let server = TestServer::builder().upstream_timeout(Duration::from_millis(50)).start().await;
    let ticket = server.sealed(&session("o-alice", START));
    for _ in 0..10 {
        server.call(Call::login("hang")).await.is_error("upstream_timeout");
    }
    let asked = server.platform.exchanges();
    let code = server.code_for("alice");
    let refused = server.call(Call::login(&code)).await;
    assert_eq!(refused.is_error("upstream_busy").header("retry-after"), Some("1"));
    assert_eq!(server.platform.exchanges(), asked, "nothing was sent");
    server.verify(&ticket).await.is_ok();
    assert!(server.metrics().await.contains(&format!("{PAUSED} 1\n")));
    server.call(Call::post("/v1/renew").ticket(&ticket)).await.is_ok();

    // After the pause one call tries; its success ends the stop.
    let tried = async {
        loop {
            let answer = server.call(Call::login(&code)).await;
            if answer.status == 200 {
                return answer;
            }
            answer.is_error("upstream_busy");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within_5_s("the pause ends", tried).await.ticket();
    assert!(server.metrics().await.contains(&format!("{PAUSED} 0\n")));
    server.ticket_for("bob").await;
}

#[tokio::test]
async fn a_platform_that_refuses_is_not_one_that_does_not_answer() {
    let server = TestServer::start().await;
    for _ in 0..30 {
        server.call(Call::login("err--1")).await.is_error("upstream_busy");
        server.call(Call::login("garbage")).await.is_error("upstream_failed");
    }
    server.ticket_for("alice").await;
}
