//! The client code of the seed works unchanged; and what it sends as an openid is no openid.

use auth_ticket::claims::PhoneNumber;
use auth_ticket::keyring::Purpose;
use serde_json::{Value, json};

use crate::support::{Answer, Call, OTHER_APPID, Plan, START, TestServer, seal, session};

const LOGIN: &str = "/miniLogin/login.ajax";
const CHECK: &str = "/miniLogin/loginCheck.ajax";

async fn start() -> TestServer {
    TestServer::builder().compat().start().await
}

async fn handle_for(server: &TestServer, name: &str) -> String {
    handle(&server.call(Call::get(&format!("{LOGIN}?code={}", server.code_for(name)))).await)
}

#[track_caller]
fn handle(answer: &Answer) -> String {
    answer.json()["data"]["openid"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn check(handle: &str) -> Call {
    Call::post(CHECK).form(&format!("openid={handle}&unionid=&phoneNo="))
}

#[track_caller]
fn ticket(answer: &Answer) -> String {
    assert_eq!((answer.field("code"), answer.field("msg")), (json!(200), json!("ok")), "{answer:?}");
    answer.json()["data"]["AUTH_TICKET"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_seeds_client_logs_in_unchanged() {
    let server = start().await;
    // Taro.request without a method is a GET whose data stand in the query; it sends a content type with it.
    let call = Call::get(&format!("{LOGIN}?code=demo-alice-1")).header("content-type", "application/json");
    let mylogininfo = server.call(call).await.json();
    assert_eq!((&mylogininfo["code"], &mylogininfo["msg"]), (&json!(200), &json!("ok")));
    let data = &mylogininfo["data"];
    assert_eq!(data.as_object().unwrap().len(), 2);
    assert_eq!(data["unionid"], Value::Null, "so that the client sends an empty one");
    // Then the form that it makes of that.
    let openid = data["openid"].as_str().unwrap();
    let call = Call::post(CHECK)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("", format!("openid={openid}&unionid=&phoneNo="));
    let mdata = server.call(call).await.json();
    assert_eq!(mdata["code"], 200);
    assert_eq!(mdata["data"].as_object().unwrap().len(), 1);
    // Then a business route of the owner's, behind a gateway that asks about the ticket.
    let auth_ticket = mdata["data"]["AUTH_TICKET"].as_str().unwrap();
    let call = Call::post("/v1/verify")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("weixinauth", auth_ticket);
    server.call(call).await.is_openid(&server.openid("alice"));
}

#[tokio::test]
async fn the_code_comes_in_the_query_a_form_or_json() {
    let server = start().await;
    let appid = "wx0123456789abcdef";
    for call in [
        Call::get(&format!("{LOGIN}?code=demo-alice-1")),
        Call::get(&format!("{LOGIN}?x=%20&code=demo%2Dalice%2D2&appid={appid}")),
        Call::get(&format!("{LOGIN}?code=demo-alice-3&appid=")),
        Call::get(&format!("{LOGIN}?code=demo-alice-4")).body("text/plain", "a GET reads only its query"),
        Call::post(LOGIN).form("code=demo-alice-5"),
        Call::post(LOGIN).form(&format!("appid={appid}&code=demo-alice-6")),
        Call::post(LOGIN).body("application/x-www-form-urlencoded; charset=UTF-8", "code=demo-alice-7"),
        Call::post(LOGIN).json(&json!({ "code": "demo-alice-8" })),
        Call::post(LOGIN).json(&json!({ "code": "demo-alice-9", "appid": appid, "more": {} })),
        Call::post(LOGIN).json(&json!({ "code": "demo-alice-10", "appid": null })),
        Call::post(LOGIN).body("application/json; charset=utf-8", "{\"code\":\"demo-alice-11\"}"),
        Call::post(&format!("{LOGIN}?code=demo-alice-12")),
        Call::post(&format!("{LOGIN}?appid={appid}")).form("code=demo-alice-13"),
    ] {
        let handle = handle(&server.call(call).await);
        let ticket = ticket(&server.call(check(&handle)).await);
        server.verify(&ticket).await.is_openid(&server.openid("alice"));
    }
}

#[tokio::test]
async fn the_handle_is_sealed_and_not_the_openid() {
    let server = start().await;
    let (first, second) = (handle_for(&server, "alice").await, handle_for(&server, "alice").await);
    assert_ne!(first, second);
    for handle in [&first, &second] {
        assert!(!handle.contains(&server.openid("alice")) && handle.len() > 100, "{handle}");
        server.verify(handle).await.is_error("invalid_ticket");
    }
}

#[tokio::test]
async fn a_ticket_from_a_handle_is_the_same_login() {
    let server = start().await;
    let handle = handle_for(&server, "alice").await;
    server.clock.advance(200);
    let first = server.session(&ticket(&server.call(check(&handle)).await)).await;
    let again = server.session(&ticket(&server.call(check(&handle)).await)).await;
    assert_eq!(first.text("login_id"), again.text("login_id"));
    assert_eq!(first.field("auth_time"), START.as_u64(), "the time of the exchange");
    assert_eq!(first.text("expires_at"), "2027-01-15T10:03:20Z", "a whole ticket's life from now");
}

#[tokio::test]
async fn what_is_no_live_handle_is_401() {
    let server = start().await;
    let claims = session("o-alice", START);
    let mut stranger = Plan::one_key();
    stranger.keys[0].number = 9;
    let handle = handle_for(&server, "alice").await;
    let expired = handle_for(&server, "alice").await;
    let revoked = seal(&Plan::one_key(), "wx0123456789abcdef", &claims, Purpose::LoginHandle, START);
    for bad in [
        server.openid("alice"),
        "alice".to_owned(),
        "null".to_owned(),
        "undefined".to_owned(),
        "%00".to_owned(),
        "x".repeat(2000),
        "A".repeat(182),
        handle[1..].to_owned(),
        format!("{handle}A"),
        server.ticket_for("alice").await,
        server.sealed_by(&stranger, &claims, Purpose::LoginHandle),
        seal(&Plan::one_key(), OTHER_APPID, &claims, Purpose::LoginHandle, START),
    ] {
        let answer = server.call(check(&bad)).await;
        assert_eq!((answer.field("code"), answer.field("data")), (json!(401), Value::Null), "{bad}: {answer:?}");
    }
    ticket(&server.call(check(&revoked)).await);
    server.cut_off(json!({ "scope": "login", "login_id": "00112233445566aa" }));
    assert_eq!(server.call(check(&revoked)).await.field("code"), 401);
    server.clock.advance(300 + 59);
    ticket(&server.call(check(&expired)).await);
    server.clock.advance(1);
    assert_eq!(server.call(check(&expired)).await.field("code"), 401);
}

#[tokio::test]
async fn a_failure_is_http_200_with_the_status_inside() {
    let server = start().await;
    let login = |query: &str| Call::get(&format!("{LOGIN}?{query}"));
    let text = |call: Call, body: &str| call.body("text/plain", body);
    let handle = handle_for(&server, "alice").await;
    for (call, code) in [
        (login(""), 400),
        (login("code="), 400),
        (login("code=a&code=a"), 400),
        (login("code=demo%20alice"), 400),
        (login("code=%ff"), 400),
        (login("code=demo-alice-90&phoneNo=%ff"), 400),
        (login("code=%00"), 400),
        (login(&format!("code={}", "x".repeat(513))), 400),
        (login("CODE=demo-alice-90"), 400),
        (login("code=demo-alice-90&appid=wxNobody"), 403),
        (login("code=demo-alice-90&appid=a&appid=b"), 400),
        (login("code=err-40029"), 401),
        (login("code=%zz"), 401),
        (login("code=err-40163"), 401),
        (login("code=the+code+is+a+mock+one"), 401),
        (login("code=err-40226"), 403),
        (login("code=err-45011"), 429),
        (login("code=err--1"), 503),
        (login("code=err-40125"), 500),
        (login("code=garbage"), 502),
        (Call::post(LOGIN), 400),
        (Call::post(LOGIN).form(""), 400),
        (Call::post(LOGIN).form("code=demo-alice-90&code=demo-alice-90"), 400),
        (Call::post(&format!("{LOGIN}?code=demo-alice-90")).form("code=demo-alice-90"), 400),
        (Call::post(LOGIN).body("application/json", "{"), 400),
        (Call::post(LOGIN).body("application/json", "[\"demo-alice-90\"]"), 400),
        (Call::post(LOGIN).body("application/json", "{\"code\":7}"), 400),
        (Call::post(LOGIN).body("application/json", "{\"code\":null}"), 400),
        (Call::post(LOGIN).body("application/json", "{\"code\":\"demo-alice-90\",\"code\":\"demo-alice-91\"}"), 400),
        (Call::post(LOGIN).body("application/json", b"{\"code\":\"\xff\"}"), 400),
        (Call::post(LOGIN).body("application/json", b"[".repeat(60_000)), 400),
        (text(Call::post(LOGIN), "code=demo-alice-90"), 415),
        (Call::post(LOGIN).form(&format!("code={}", "x".repeat(64 << 10))), 413),
        (Call::new("PUT", LOGIN), 405),
        (Call::new("OPTIONS", LOGIN), 405),
        (login("code=demo-alice-90").header("x-padding", "x".repeat(17 << 10)), 431),
        (Call::get(CHECK), 405),
        (Call::get(&format!("{CHECK}?openid={handle}")), 405),
        (Call::post(CHECK), 401),
        (Call::post(CHECK).form("openid=&unionid=&phoneNo="), 401),
        (Call::post(CHECK).form(&format!("openid={handle}&openid={handle}")), 401),
        (Call::post(CHECK).form("openid=%ff"), 401),
        (Call::post(CHECK).json(&json!({ "openid": 7 })), 401),
        (text(Call::post(CHECK), "openid=x"), 415),
        (Call::post(CHECK).form(&format!("openid={}", "x".repeat(1 << 20))), 413),
        (check(&handle).header("x-padding", "x".repeat(17 << 10)), 431),
    ] {
        let shown = format!("{call:?}");
        let answer = server.raw(call).await;
        assert_eq!(answer.field("code"), code, "{shown:.300} {answer:?}");
    }
    let exchanges = server.platform.exchanges();
    handle_for(&server, "alice").await;
    assert_eq!(server.platform.exchanges(), exchanges + 1);
    assert_eq!(server.call(login("code=demo-alice-90")).await.field("code"), 200, "none of them spent this code");
}

#[tokio::test]
async fn with_several_apps_the_app_is_named() {
    let server = TestServer::builder().two_apps().any_app().compat().start().await;
    let answer = server.call(Call::get(&format!("{LOGIN}?code=demo-alice-1"))).await;
    assert_eq!(answer.field("code"), 403, "{answer:?}");
    let handle = handle(&server.call(Call::get(&format!("{LOGIN}?code=demo-alice-1&appid={OTHER_APPID}"))).await);
    let ticket = ticket(&server.call(check(&handle)).await);
    assert_eq!(server.verify(&ticket).await.header("x-auth-appid"), Some(OTHER_APPID));
}

#[tokio::test]
async fn without_a_sealing_key_no_code_is_spent_here_either() {
    let mut plan = Plan::one_key();
    plan.keys[0].seal_until = START.plus(100);
    let server = TestServer::builder().compat().plan(plan).start().await;
    let handle = handle_for(&server, "alice").await;
    server.clock.advance(100);
    let exchanges = server.platform.exchanges();
    for call in [Call::get(&format!("{LOGIN}?code=demo-bob-1")), check(&handle)] {
        assert_eq!(server.call(call).await.field("code"), 503);
    }
    assert_eq!(server.platform.exchanges(), exchanges);
    server.rotate();
    ticket(&server.call(check(&handle)).await);
}

#[tokio::test]
async fn unless_enabled_the_routes_are_not_there() {
    let server = TestServer::start().await;
    for call in [Call::get(&format!("{LOGIN}?code=demo-alice-1")), Call::post(LOGIN), check("x"), Call::get(CHECK)] {
        server.call(call).await.is_error("not_found");
    }
    assert_eq!(server.platform.exchanges(), 0);
}

#[tokio::test]
async fn a_head_request_spends_no_code() {
    let server = start().await;
    let path = format!("{LOGIN}?code=demo-alice-head");
    server.call(Call::new("HEAD", &path)).await;
    assert_eq!(server.platform.exchanges(), 0);
    assert_eq!(server.call(Call::get(&path)).await.field("code"), 200);
}

const PHONE: &str = "/miniLogin/phone.ajax";

async fn proof_for(server: &TestServer, handle: &str, name: &str) -> String {
    let call =
        Call::post(PHONE).form(&format!("openid={handle}&code={}", server.code_for(name).replace("demo-", "phone-")));
    let answer = server.call(call).await;
    assert_eq!(answer.field("code"), 200, "{answer:?}");
    answer.json()["data"]["phoneNo"].as_str().unwrap().to_owned()
}

fn check_with(handle: &str, phone: &str) -> Call {
    Call::post(CHECK).form(&format!("openid={handle}&unionid=&phoneNo={}", phone.replace('+', "%2B")))
}

#[tokio::test]
async fn a_client_binds_a_phone_number_when_it_is_told_to() {
    let server = TestServer::builder().compat().require_phone().start().await;
    let handle = handle_for(&server, "alice").await;
    assert_eq!(server.call(check(&handle)).await.field("code"), 400, "not bound");
    let proof = proof_for(&server, &handle, "alice").await;
    let ticket = ticket(&server.call(check_with(&handle, &proof)).await);
    let verified = server.verify(&ticket).await;
    assert_eq!(verified.is_openid(&server.openid("alice")).header("x-auth-phone"), Some(&*server.phone("alice")));
}

#[tokio::test]
async fn a_phone_code_of_another_user_proves_nothing() {
    let server = TestServer::builder().compat().require_phone().start().await;
    let handle = handle_for(&server, "alice").await;
    let stolen = server.call(Call::post(PHONE).form(&format!("openid={handle}&code=phone-bob-1"))).await;
    assert_eq!((stolen.field("code"), stolen.field("data")), (json!(400), Value::Null));
    assert_eq!(server.call(check(&handle)).await.field("code"), 400, "still not bound");
    let of_bob = handle_for(&server, "bob").await;
    let own = server.call(Call::post(PHONE).form(&format!("openid={of_bob}&code=phone-bob-1"))).await;
    assert_eq!(own.field("code"), 200, "the code is still his");
}

#[tokio::test]
async fn a_proof_counts_where_none_is_asked_for() {
    let server = start().await;
    let handle = handle_for(&server, "alice").await;
    let proof = proof_for(&server, &handle, "alice").await;
    let ticket = ticket(&server.call(check_with(&handle, &proof)).await);
    assert_eq!(server.verify(&ticket).await.header("x-auth-phone"), Some(&*server.phone("alice")));
}

#[tokio::test]
async fn nobody_is_bound_by_anything_but_a_proof_for_this_login() {
    let server = TestServer::builder().compat().require_phone().start().await;
    let handle = handle_for(&server, "alice").await;
    let again = handle_for(&server, "alice").await;
    let of_bob = handle_for(&server, "bob").await;
    let bobs_proof = proof_for(&server, &of_bob, "bob").await;
    let older_proof = proof_for(&server, &again, "alice").await;
    let proof = proof_for(&server, &handle, "alice").await;
    let ticket_with_phone = {
        let ticket = server.ticket_for("alice").await;
        let body = json!({ "code": "phone-alice-9" });
        server.call(Call::post("/v1/phone").ticket(&ticket).json(&body)).await.ticket()
    };
    let own = server.phone("alice");
    for phone in [
        "",
        "13800000000",
        "+8613800000000",
        &own,
        "null",
        "garbage",
        &handle,
        &bobs_proof,
        &older_proof,
        &ticket_with_phone,
        &"x".repeat(8192),
    ] {
        let answer = server.call(check_with(&handle, phone)).await;
        assert_eq!((answer.field("code"), answer.field("data")), (json!(400), Value::Null), "{phone}");
    }
    for not_a_handle in [&*proof, &ticket_with_phone, &server.openid("alice")] {
        let answer = server.call(check_with(not_a_handle, &proof)).await;
        assert_eq!(answer.field("code"), 401, "{answer:?}");
        server.verify(&proof).await.is_error("invalid_ticket");
    }
    ticket(&server.call(check_with(&handle, &proof)).await);
    server.clock.advance(361);
    assert_eq!(server.call(check_with(&handle, &proof)).await.field("code"), 401, "the handle is over");
}

/// Login ids are drawn at random: one that two users happen to have makes neither's proof the other's.
#[tokio::test]
async fn a_proof_of_another_user_with_the_same_login_id_binds_nobody() {
    let server = TestServer::builder().compat().require_phone().start().await;
    let sealed = |openid: &str, purpose| {
        let mut claims = session(openid, START);
        claims.phone = PhoneNumber::parse("+8613800000000").ok().filter(|_| purpose == Purpose::PhoneProof);
        seal(&Plan::one_key(), "wx0123456789abcdef", &claims, purpose, START)
    };
    let handle = sealed("o-alice", Purpose::LoginHandle);
    let of_bob = server.call(check_with(&handle, &sealed("o-bob", Purpose::PhoneProof))).await;
    assert_eq!(of_bob.field("code"), 400);
    ticket(&server.call(check_with(&handle, &sealed("o-alice", Purpose::PhoneProof))).await);
}

#[tokio::test]
async fn the_phone_route_fails_in_the_seeds_shape() {
    let server = start().await;
    let handle = handle_for(&server, "alice").await;
    for (form, code) in [
        (String::new(), 401),
        ("openid=&code=phone-alice-1".to_owned(), 401),
        ("openid=o-alice&code=phone-alice-1".to_owned(), 401),
        (format!("openid={handle}"), 400),
        (format!("openid={handle}&code="), 400),
        (format!("openid={handle}&code=a&code=b"), 400),
        (format!("openid={handle}&code=err-40029"), 400),
        (format!("openid={handle}&code=err-45011"), 429),
        (format!("openid={handle}&code=http-500"), 502),
    ] {
        let answer = server.call(Call::post(PHONE).form(&form)).await;
        assert_eq!((answer.field("code"), answer.field("data")), (json!(code), Value::Null), "{form}");
    }
    assert_eq!(server.call(Call::get(&format!("{PHONE}?openid={handle}&code=phone-alice-1"))).await.field("code"), 405);
    server.cut_off(json!({ "scope": "all", "before": START.plus(60).to_string() }));
    let answer = server.call(Call::post(PHONE).form(&format!("openid={handle}&code=phone-alice-1"))).await;
    assert_eq!(answer.field("code"), 401);
}
