//! A phone number gets into a ticket only on the platform's word.

use std::time::Duration;

use auth_ticket::claims::SessionKey;
use auth_ticket::keyring::LoginId;
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Call, OTHER_APPID, START, TestServer, session, session_of, stub};

fn phone(ticket: &str, body: &Value) -> Call {
    Call::post("/v1/phone").ticket(ticket).json(body)
}

async fn by_code(server: &TestServer, ticket: &str, code: &str) -> Answer {
    server.call(phone(ticket, &json!({ "code": code }))).await
}

/// What the phone button gave before it gave codes.
async fn encrypted(server: &TestServer, name: &str) -> Value {
    let made = server.simulator("encrypt", &json!({ "appid": APPID, "name": name, "kind": "phone" })).await;
    json!({ "encryptedData": made["encryptedData"], "iv": made["iv"] })
}

#[tokio::test]
async fn a_phone_code_becomes_a_number_in_a_new_ticket() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let before = server.session(&ticket).await.json();
    let answer = by_code(&server, &ticket, "phone-alice-1").await;
    let (number, new) = (server.phone("alice"), answer.ticket());
    assert_eq!(answer.text("phone_number"), number);
    assert_eq!(
        (answer.text("country_code"), answer.text("pure_phone_number")),
        ("86".to_owned(), number[3..].to_owned())
    );
    assert_eq!(answer.text("token_type"), "AuthTicket");
    server.verify(&new).await.is_openid(&server.openid("alice"));
    assert_eq!(server.verify(&new).await.header("x-auth-phone"), Some(&*number));
    assert_eq!(server.verify(&ticket).await.header("x-auth-phone"), Some(""), "the old ticket stays as it was");

    let mut after = server.session(&new).await.json();
    assert_eq!(after["phone_number"], *number);
    after.as_object_mut().unwrap().remove("phone_number");
    assert_eq!(after, before, "and nothing else has changed, least of all the session");
    let renewed = server.call(Call::post("/v1/renew").ticket(&new)).await.ticket();
    assert_eq!(server.session(&renewed).await.text("phone_number"), number);
}

#[tokio::test]
async fn the_platforms_user_decides_which_number_it_is_not_the_client() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("hk.bob").await;
    let body = json!({ "code": "phone-hk.bob-1", "phone_number": "+8613800000000", "phoneNumber": "13800000000" });
    let answer = server.call(phone(&ticket, &body).header("x-auth-phone", "+8613800000000")).await;
    assert_eq!(answer.text("phone_number"), server.phone("hk.bob"));
    assert_eq!(answer.text("country_code"), "852");
}

#[tokio::test]
async fn a_phone_code_works_once_and_a_double_tap_is_one_call() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let taps: Vec<Answer> =
        futures_util::future::join_all((0..8).map(|_| by_code(&server, &ticket, "slow-200-alice"))).await;
    for tap in &taps {
        assert_eq!(tap.is_ok().text("phone_number"), server.phone("alice"));
    }
    assert_eq!(server.calls("getuserphonenumber").await, 1);

    by_code(&server, &ticket, "phone-alice-1").await.is_ok();
    let again = by_code(&server, &ticket, "phone-alice-1").await;
    assert_eq!(again.is_error("invalid_phone_code").field("errcode"), 40029);
    server.verify(&ticket).await.is_ok();
}

/// A code says nothing of who sends it: only the platform knows whose button gave it.
#[tokio::test]
async fn another_users_phone_code_seals_nothing_into_a_ticket() {
    let server = TestServer::start().await;
    let [alices, bobs] = [server.ticket_for("alice").await, server.ticket_for("bob").await];
    let minted = server.simulator("phone-code", &json!({ "appid": APPID, "name": "bob" })).await;
    for code in ["phone-bob-77", minted["code"].as_str().unwrap(), "slow-1-bob"] {
        let stolen = by_code(&server, &alices, code).await;
        assert_eq!(stolen.is_error("invalid_phone_code").field("errcode"), 40003, "{code}");
        assert_eq!(by_code(&server, &bobs, code).await.text("phone_number"), server.phone("bob"), "{code}");
    }
    assert!(server.session(&alices).await.json().get("phone_number").is_none());
}

/// Requests with the same code share a call to the platform only if they are the same user's.
#[tokio::test]
async fn a_call_that_runs_for_one_user_answers_nobody_else() {
    let server = TestServer::start().await;
    let [alices, bobs] = [server.ticket_for("alice").await, server.ticket_for("bob").await];
    let (own, other, again) = tokio::join!(
        by_code(&server, &bobs, "slow-300-bob"),
        by_code(&server, &alices, "slow-300-bob"),
        by_code(&server, &bobs, "slow-300-bob"),
    );
    other.is_error("invalid_phone_code");
    for answer in [own, again] {
        assert_eq!(answer.text("phone_number"), server.phone("bob"));
    }
    assert_eq!(server.calls("getuserphonenumber").await, 2);
}

#[tokio::test]
async fn what_the_platform_refuses_is_told_by_the_contracts_names() {
    let server = TestServer::builder().upstream_timeout(Duration::from_millis(1500)).start().await;
    for (code, error) in [
        ("err-40029", "invalid_phone_code"),
        ("err-40163", "invalid_phone_code"),
        ("err-45011", "rate_limited"),
        ("err--1", "upstream_busy"),
        ("err-45009", "upstream_busy"),
        ("err-40003", "invalid_phone_code"),
        ("err-40013", "server_misconfigured"),
        ("err-40125", "server_misconfigured"),
        ("err-99999", "upstream_failed"),
        ("http-500", "upstream_failed"),
        ("garbage", "upstream_failed"),
        ("cut", "upstream_failed"),
        ("hang", "upstream_timeout"),
        ("unheard-of", "invalid_phone_code"),
    ] {
        by_code(&server, &server.ticket_for("alice").await, code).await.is_error(error);
    }
}

/// The client decides how many codes and ciphertexts it sends, and the platform's quota is the app's.
#[tokio::test]
async fn one_login_causes_only_so_many_calls_for_phone_numbers() {
    let server = TestServer::builder().compat().start().await;
    let (mallory, alice) = (server.ticket_for("mallory").await, server.ticket_for("alice").await);
    let mut refused = 0;
    for number in 0..40 {
        let answer = by_code(&server, &mallory, &format!("junk-{number}")).await;
        if answer.status == 429 {
            let wait_s: u64 = answer.is_error("rate_limited").header("retry-after").unwrap().parse().unwrap();
            assert!((1..=6).contains(&wait_s), "{wait_s}");
            refused += 1;
        }
    }
    assert!(refused >= 25, "{refused}");
    assert_eq!(server.calls("getuserphonenumber").await, 40 - refused);
    assert_eq!(server.limit_reached("phone_calls").await, refused);
    // A renewed ticket is the same login; another login is not, be it of the same user.
    let renewed = server.call(Call::post("/v1/renew").ticket(&mallory)).await.ticket();
    by_code(&server, &renewed, "junk-again").await.is_error("rate_limited");
    by_code(&server, &alice, "phone-alice-1").await.is_ok();
    let again = server.ticket_for("mallory").await;
    by_code(&server, &again, "phone-mallory-1").await.is_ok();

    // The older clients' way is the same call.
    let path = format!("/miniLogin/login.ajax?code={}", server.code_for("mallory"));
    let handle = server.call(Call::get(&path)).await.json()["data"]["openid"].as_str().unwrap().to_owned();
    let before = server.calls("getuserphonenumber").await;
    for number in 0..30 {
        server.call(Call::post("/miniLogin/phone.ajax").form(&format!("openid={handle}&code=old-{number}"))).await;
    }
    assert!(server.calls("getuserphonenumber").await - before <= 15);
}

/// Rule: an interface of the platform that fails again and again is left alone, and the others go on.
#[tokio::test]
async fn logins_and_phone_codes_do_not_suffer_from_each_others_interface() {
    let start = || TestServer::builder().upstream_timeout(Duration::from_millis(300)).start();
    let without_phone_codes = async {
        let server = start().await;
        for _ in 0..10 {
            by_code(&server, &server.ticket_for("alice").await, "hang").await.is_error("upstream_timeout");
        }
        let ticket = server.ticket_for("alice").await;
        by_code(&server, &ticket, "phone-alice-1").await.is_error("upstream_busy");
        server.ticket_for("alice").await;
        let paused = |call: &str| format!("auth_ticket_upstream_paused{{appid=\"{APPID}\",call=\"{call}\"}} 1\n");
        let metrics = server.metrics().await;
        assert!(metrics.contains(&paused("phone")) && !metrics.contains(&paused("exchange")), "{metrics}");
    };
    let without_logins = async {
        let server = start().await;
        let bobs = server.sealed(&session(&server.openid("bob"), START));
        for number in 0..10 {
            server.call(Call::login("hang")).await.is_error("upstream_timeout");
            // Its success says nothing about logins.
            by_code(&server, &bobs, &format!("phone-bob-{number}")).await.is_ok();
        }
        server.call(Call::login(&server.code_for("alice"))).await.is_error("upstream_busy");
        let login_id = LoginId::parse("aa66554433221100").unwrap();
        let alices = server.sealed(&session_of(&server.openid("alice"), login_id, START));
        by_code(&server, &alices, "phone-alice-2").await.is_ok();
    };
    tokio::join!(without_phone_codes, without_logins);
}

#[tokio::test]
async fn a_code_is_not_spent_without_a_key_to_seal_with() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let asked = server.platform.exchanges();
    server.change_ring(|plan| plan.keys[0].seal_until = START.plus(1));
    server.clock.advance(1);
    by_code(&server, &ticket, "phone-alice-1").await.is_error("no_sealing_key");
    let data = encrypted(&server, "alice").await;
    server.call(phone(&ticket, &data)).await.is_error("no_sealing_key");
    assert_eq!(server.platform.exchanges(), asked + 1, "the one that encrypted");
    server.rotate();
    by_code(&server, &ticket, "phone-alice-1").await.is_ok();
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_spends_nothing() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let asked = server.platform.exchanges();
    for body in [
        json!({}),
        json!([]),
        json!("code"),
        json!({ "code": 1 }),
        json!({ "code": "" }),
        json!({ "code": "a b" }),
        json!({ "code": "x".repeat(513) }),
        json!({ "iv": "r7BXXKkLb8qrSNn05n0qiA==" }),
        json!({ "encryptedData": "" }),
        json!({ "code": "phone-alice-1", "encryptedData": "", "iv": "" }),
        json!({ "code": "phone-alice-1", "iv": "" }),
    ] {
        server.call(phone(&ticket, &body)).await.is_error("invalid_request");
    }
    let twice = br#"{"code":"phone-alice-1","code":"phone-alice-2"}"#;
    let call = Call::post("/v1/phone").ticket(&ticket).body("application/json", twice);
    server.call(call).await.is_error("invalid_request");
    let form = Call::post("/v1/phone").ticket(&ticket).form("code=phone-alice-1");
    server.call(form).await.is_error("unsupported_media_type");
    let huge = json!({ "code": "x".repeat(70_000) });
    server.call(phone(&ticket, &huge)).await.is_error("too_large");
    server.call(Call::post("/v1/phone").json(&json!({ "code": "phone-alice-1" }))).await.is_error("invalid_ticket");
    server.call(phone("garbage", &json!({ "code": "phone-alice-1" }))).await.is_error("invalid_ticket");
    server.call(Call::get("/v1/phone").ticket(&ticket)).await.is_error("method_not_allowed");
    assert_eq!(server.platform.exchanges(), asked);
    by_code(&server, &ticket, "phone-alice-1").await.is_ok();
}

#[tokio::test]
async fn a_login_that_was_cut_off_meanwhile_gets_no_new_ticket() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let login_id = server.session(&ticket).await.text("login_id");
    let slow = async {
        let answer = by_code(&server, &ticket, "slow-300-alice").await;
        answer.is_error("ticket_revoked");
    };
    let cut = async {
        server.platform.reached(3).await;
        server.cut_off(json!({ "scope": "login", "login_id": login_id }));
    };
    futures_util::future::join(slow, cut).await;
}

#[tokio::test]
async fn a_number_whose_watermark_names_another_app_is_not_believed() {
    let answer = json!({
        "errcode": 0, "errmsg": "ok", "access_token": "t", "expires_in": 7200, "openid": "o-alice",
        "phone_info": {
            "phoneNumber": "13800000000", "purePhoneNumber": "13800000000", "countryCode": 86,
            "watermark": { "timestamp": 1_800_000_000, "appid": OTHER_APPID },
        },
    });
    let server = TestServer::builder().platform(stub(&answer)).start().await;
    let ticket = server.sealed(&session("o-alice", START));
    by_code(&server, &ticket, "any").await.is_error("upstream_failed");
}

#[tokio::test]
async fn an_encrypted_number_counts_once_the_platform_has_confirmed_it() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let data = encrypted(&server, "alice").await;
    let answer = server.call(phone(&ticket, &data)).await;
    assert_eq!(answer.is_ok().text("phone_number"), server.phone("alice"));
    assert_eq!(server.session(&answer.ticket()).await.text("phone_number"), server.phone("alice"));
    assert_eq!(server.calls("checkencryptedmsg").await, 1);

    // The platform says no, or nothing.
    server.simulator("faults", &json!({ "endpoint": "checkencryptedmsg", "fault": "err--1" })).await;
    server.call(phone(&ticket, &data)).await.is_error("upstream_busy");
    server.simulator("faults", &json!({ "endpoint": "checkencryptedmsg", "fault": "garbage" })).await;
    server.call(phone(&ticket, &data)).await.is_error("upstream_failed");
}

#[tokio::test]
async fn objects_that_are_not_exactly_a_number_are_one_refusal() {
    let server = TestServer::start().await;
    let number = |more: Value| {
        let mut object = json!({ "phoneNumber": "13800000000", "purePhoneNumber": "13800000000", "countryCode": "86" });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    for (index, data) in [
        number(json!({ "openId": "o" })),
        number(json!({ "phoneNumber": "13800000001" })),
        number(json!({ "phoneNumber": "+8613800000000", "countryCode": "852" })),
        number(json!({ "countryCode": true })),
        number(json!({ "purePhoneNumber": null })),
        number(json!({ "watermark": { "timestamp": 1, "appid": OTHER_APPID } })),
        json!({ "phoneNumber": "13800000000" }),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    {
        // Another user each time: a login may ask about its session_key a few times only.
        let name = format!("user{index}");
        let ticket = server.ticket_for(&name).await;
        let request = json!({ "appid": APPID, "name": name, "data": data, "kind": "phone" });
        let made = server.simulator("encrypt", &request).await;
        let body = json!({ "encryptedData": made["encryptedData"], "iv": made["iv"] });
        server.call(phone(&ticket, &body)).await.is_error("bad_user_data");
    }
}

/// How the number was forged, from genuine data of the user's own: `tests/vectors/recut_user_data.json`.
#[tokio::test]
async fn a_number_that_a_user_has_cut_from_data_of_his_own_is_refused() {
    let vector: Value = serde_json::from_str(include_str!("../vectors/recut_user_data.json")).unwrap();
    let forged = json!({ "encryptedData": vector["forged"]["encryptedData"], "iv": vector["forged"]["iv"] });
    let mut claims = session(vector["openid"].as_str().unwrap(), START);
    claims.session_key = Some(SessionKey::parse(vector["session_key"].as_str().unwrap()).unwrap());

    let trusting = TestServer::builder().without_check_of_origin().start().await;
    let answer = trusting.call(phone(&trusting.sealed(&claims), &forged)).await;
    assert_eq!(answer.is_ok().text("phone_number"), "+8613900000000", "the attack is real: it decrypts to a number");

    let server = TestServer::start().await;
    server.call(phone(&server.sealed(&claims), &forged)).await.is_error("bad_user_data");
    assert_eq!(server.calls("checkencryptedmsg").await, 1, "it was the platform that said no");
}

#[tokio::test]
async fn a_hundred_at_once_on_five_replicas_share_access_tokens_that_end_under_them() {
    let first = TestServer::start().await;
    let mut replicas = Vec::new();
    for _ in 0..4 {
        let url = format!("http://{}", first.platform.address);
        replicas.push(TestServer::builder().base_url(&url).start().await);
    }
    let all: Vec<&TestServer> = std::iter::once(&first).chain(&replicas).collect();
    let ticket_of = |number: usize| {
        let login_id = LoginId::parse(&format!("{number:016x}")).unwrap();
        first.sealed(&session_of(&first.openid(&format!("user{number}")), login_id, START))
    };
    for round in 0..4 {
        let before = first.calls("stable_token").await;
        let requests = (0..100).map(|number| {
            let (server, ticket) = (all[number % all.len()], ticket_of(number));
            async move { by_code(server, &ticket, &format!("phone-user{number}-{round}")).await }
        });
        for (number, answer) in futures_util::future::join_all(requests).await.iter().enumerate() {
            assert_eq!(answer.is_ok().text("phone_number"), first.phone(&format!("user{number}")));
        }
        let fetched = first.calls("stable_token").await - before;
        assert!(fetched <= 5, "{fetched} access tokens for five replicas in round {round}");
        let errcode = [40001, 40014, 42001][round % 3];
        first.simulator("access-tokens/expire", &json!({ "errcode": errcode })).await;
    }
}
