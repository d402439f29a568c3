//! The simulated platforms of organisations and pages behind the real server: what an owner's tests would see.

use serde_json::{Value, json};

use super::vendor::{Login, command};
use crate::support::{Server, call, simulator};

const MORE: &str = "secret_env = \"APP_SECRET\"\n";

/// `POST` of JSON to the simulator.
fn post(simulator: &Server, path: &str, body: &Value) -> Value {
    call(simulator.address, "POST", path, &[], &body.to_string()).json()
}

#[track_caller]
fn login(simulator: &Server, app: &str) -> Login {
    Login::start(command(simulator.address, &format!("{MORE}{app}"), &[], &[("APP_SECRET", "a-secret")]))
}

fn mint(simulator: &Server, platform: &str, appid: &str) -> String {
    let told = post(simulator, "/_sim/code", &json!({ "platform": platform, "appid": appid, "name": "alice" }));
    told["code"].as_str().unwrap().to_owned()
}

#[test]
fn members_of_a_simulated_dingtalk_log_in() {
    let simulator = simulator();
    let app = |corp: &str| format!("appid = \"ding1\"\nplatform = \"dd\"\ncorp_id = \"{corp}\"\n");
    let [server, elsewhere] = ["dingcorp1", "dingcorp2"].map(|corp| login(&simulator, &app(corp)));
    let session = server.session(&server.ticket("demo-alice-1"));
    assert_eq!(session["openid"], "dingcorp1:alice");
    assert_eq!(elsewhere.session(&elsewhere.ticket("demo-alice-2"))["openid"], "dingcorp2:alice");
    assert_eq!(server.session(&server.ticket(&mint(&simulator, "dd", "ding1")))["openid"], "dingcorp1:alice");
    server.is_error(&server.code(&mint(&simulator, "dd", "ding2")), 401, "invalid_code");
    server.is_error(&server.code("demo-alice-1"), 401, "invalid_code");
    server.is_error(&server.code("err--1"), 503, "upstream_busy");
    server.is_error(&server.code("err-60020"), 500, "server_misconfigured");
    assert_eq!(post(&simulator, "/_sim/access-tokens/expire", &json!({ "platform": "dd" }))["expired"], 1);
    server.ticket("demo-alice-3");
    let plan = json!({ "endpoint": "dd_access_token", "fault": "err-400", "times": 1 });
    assert_eq!(post(&simulator, "/_sim/faults", &plan), plan);
    let other = login(&simulator, &app("dingcorp3"));
    other.is_error(&other.code("demo-alice-4"), 500, "server_misconfigured");
    login(&simulator, &app("dingcorp4")).ticket("demo-alice-4");
}

#[test]
fn users_of_a_simulated_lark_log_in() {
    let simulator = simulator();
    let server = login(&simulator, "appid = \"cli_1\"\nplatform = \"lark\"\n");
    let session = server.session(&server.ticket("demo-alice-1"));
    assert!(session["openid"].as_str().unwrap().starts_with("ou_"), "{session}");
    let again = server.session(&server.ticket(&mint(&simulator, "lark", "cli_1")));
    assert_eq!(again["openid"], session["openid"]);
    for (code, status, error) in [
        ("demo-alice-1", 401, "invalid_code"),
        ("err-10228", 403, "user_blocked"),
        ("err-99991400", 503, "upstream_busy"),
        ("garbage", 502, "upstream_failed"),
    ] {
        server.is_error(&server.code(code), status, error);
    }
    assert_eq!(post(&simulator, "/_sim/access-tokens/expire", &json!({ "platform": "lark" }))["expired"], 1);
    server.ticket("demo-alice-2");
}

#[test]
fn members_of_a_simulated_wecom_log_in_and_show_their_data() {
    let simulator = simulator();
    let app = "appid = \"wx1\"\nplatform = \"wxwork\"\ncorp_id = \"ww1\"\nphone_unverified = true\n";
    let server = login(&simulator, app);
    let ticket = server.ticket("demo-alice-1");
    assert_eq!(server.session(&ticket)["openid"], "ww1:alice");
    server.is_error(&server.code("demo-alice@ww2-1"), 403, "user_blocked");
    server.is_error(&server.code("demo-alice-1"), 401, "invalid_code");
    let data = |appid: &str, name: &str, kind: &str| {
        let wanted = json!({ "platform": "wxwork", "appid": appid, "name": name, "kind": kind });
        post(&simulator, "/_sim/encrypt", &wanted)
    };
    let encrypted = |data: &Value| json!({ "encryptedData": data["encryptedData"], "iv": data["iv"] });
    let own = data("wx1", "alice", "userinfo");
    let answer = server.post("/v1/userdata", &ticket, &own);
    assert_eq!((answer.status, &answer.json()["signature_valid"]), (200, &json!(true)), "{answer:?}");
    assert_eq!(answer.json()["data"]["userid"], "alice");
    for foreign in [data("wx2", "alice", "userinfo"), data("wx1", "bob", "userinfo")] {
        server.is_error(&server.post("/v1/userdata", &ticket, &encrypted(&foreign)), 400, "bad_user_data");
    }
    let answer = server.post("/v1/phone", &ticket, &encrypted(&data("wx1", "alice", "phone")));
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613891907315")), "{answer:?}");
}

#[test]
fn readers_of_a_simulated_page_log_in_unless_they_have_not_agreed() {
    let simulator = simulator();
    let server = login(&simulator, "appid = \"wx1\"\nplatform = \"weixin-web\"\n");
    let session = server.session(&server.ticket("demo-alice-1"));
    assert_eq!(session["unionid"], "oyXgdA5OpwGU3UyVAEClLXhqFSnF");
    assert!(server.session(&server.ticket("demo-base.alice-1")).get("unionid").is_none());
    server.is_error(&server.code("demo-snapshot-1"), 403, "user_blocked");
    server.is_error(&server.code("demo-alice-1"), 401, "code_used");
    server.ticket(&mint(&simulator, "weixin-web", "wx1"));
}
