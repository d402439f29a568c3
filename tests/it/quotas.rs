//! How many calls of the platform one login, and one app, may cause.

#![cfg(test)]

use auth_ticket::keyring::LoginId;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{APPID, Call, OTHER_APPID, START, TestServer, session_of};

/// What the phone button, or the profile, gave in encrypted form.
async fn encrypted(server: &TestServer, kind: &str) -> Value {
    let made = server.simulator("encrypt", &json!({ "appid": APPID, "name": "mallory", "kind": kind })).await;
    json!({ "encryptedData": made["encryptedData"], "iv": made["iv"] })
}

#[tokio::test]
async fn ciphertexts_of_one_login_cause_only_so_many_calls() {
    const EACH: u64 = 40;
    let server = TestServer::start().await;
    let mallory = server.ticket_for("mallory").await;
    let send = async |path: &str, body: &Value| server.call(Call::post(path).ticket(&mallory).json(body)).await;
    let mut refused = 0;
    for _ in 0..EACH {
        // Each is genuine, and the platform is asked whether it is.
        let answer = send("/v1/phone", &encrypted(&server, "phone").await).await;
        if answer.status != 200 {
            answer.is_error("rate_limited");
            refused += 1;
        }
    }
    assert!(refused >= EACH - 15, "{refused}");
    assert_eq!(server.calls("checkencryptedmsg").await, EACH - refused);
    // These do not decrypt, and the platform could be asked why.
    let junk = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    for _ in 0..EACH {
        send("/v1/phone", &junk).await.is_error("bad_user_data");
        send("/v1/userdata", &junk).await.is_error("bad_user_data");
    }
    assert!((1..=8).contains(&server.calls("checksession").await), "{}", server.calls("checksession").await);
    assert_eq!(server.calls("checkencryptedmsg").await, EACH - refused);
    // Nobody else has less for it.
    let alice = server.ticket_for("alice").await;
    server.call(Call::post("/v1/session/check").ticket(&alice)).await.is_ok();
}

#[tokio::test]
async fn all_logins_of_an_app_cause_only_so_many_questions_a_second_and_another_app_has_its_own() {
    const LOGINS: u64 = 400;
    const PER_S: u64 = 50;
    let server = TestServer::builder().two_apps().start().await;
    let others = server.ticket_at(OTHER_APPID, "alice").await;
    let check = |number: u64| {
        let login_id = LoginId::parse(&format!("{number:016x}")).unwrap();
        let ticket = server.sealed(&session_of(&server.openid("alice"), login_id, START));
        async { server.call(Call::post("/v1/session/check").ticket(&{ ticket })).await }
    };
    let start = Instant::now();
    let answers = join_all((0..LOGINS).map(check)).await;
    let seconds = start.elapsed().as_secs() + 1;
    let refused = answers.iter().filter(|answer| answer.status == 429).count() as u64;
    let passed = LOGINS - refused;
    assert!((PER_S..=PER_S + PER_S * seconds).contains(&passed), "{passed} in {seconds} s");
    assert_eq!(server.calls("checksession").await, passed);
    assert_eq!(server.limit_reached("session_key_asks").await, refused);
    server.call(Call::post("/v1/session/check").ticket(&others)).await.is_ok();
}
