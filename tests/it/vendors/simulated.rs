//! The simulated platforms behind the real server: what an owner's tests would see. That the requests are right is shown by the
//! stand-ins beside this file, which share nothing with the simulator.

use serde_json::{Value, json};

use super::vendor::{Login, command};
use crate::support::{Answer, Server, call, simulator};

fn keys(name: &str) -> String {
    let keys: Value = serde_json::from_str(include_str!("../../vectors/rsa.json")).unwrap();
    keys[name].as_str().unwrap().to_owned()
}

/// `POST` of JSON to the simulator.
fn post(simulator: &Server, path: &str, body: &Value) -> Answer {
    call(simulator.address, "POST", path, &[], &body.to_string())
}

#[track_caller]
fn login(simulator: &Server, app: &str, files: &[(&str, &str)]) -> Login {
    Login::start(command(
        simulator.address,
        app,
        files,
        &[("APP_SECRET", "a-secret"), ("AES_KEY", "aYA0GP8JEW+D7/UFaskCWA==")],
    ))
}

#[test]
fn users_of_a_simulated_douyin_log_in_and_show_their_numbers() {
    let simulator = simulator();
    let app = "appid = \"tt1\"\nplatform = \"tt\"\nsecret_env = \"APP_SECRET\"\nphone_unbound = true\nphone_unverified = true\n\
               phone_private_key_file = \"{dir}/phone.pem\"";
    let server = login(&simulator, app, &[("phone.pem", &keys("pkcs8"))]);
    let ticket = server.ticket("demo-alice-1");
    server.is_error(&server.code("demo-alice-1"), 401, "invalid_code");
    server.is_error(&server.code("err-40017"), 500, "server_misconfigured");
    let minted = post(&simulator, "/_sim/code", &json!({"platform": "tt", "appid": "tt1", "name": "alice"})).json();
    let again = server.session(&server.ticket(minted["code"].as_str().unwrap()));
    assert_eq!(again["openid"], server.session(&ticket)["openid"]);
    // The console has no key yet.
    server.is_error(&server.phone_code(&ticket, "phone-alice-1"), 500, "server_misconfigured");
    let told = post(&simulator, "/_sim/tt/app", &json!({"appid": "tt1", "phone_public_key": keys("public")}));
    assert_eq!(told.status, 200, "{told:?}");
    let answer = server.phone_code(&ticket, "phone-alice-1");
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613891907315")), "{answer:?}");
    server.is_error(&server.phone_code(&ticket, "phone-alice-1"), 400, "invalid_phone_code");
    let expired = post(&simulator, "/_sim/access-tokens/expire", &json!({"platform": "tt"})).json();
    assert_eq!(expired["expired"], 1);
    assert_eq!(server.phone_code(&ticket, "phone-alice-2").status, 200, "another token is fetched");
    for (kind, path) in [("userinfo", "/v1/userdata"), ("phone", "/v1/phone")] {
        let wanted = json!({"platform": "tt", "appid": "tt1", "name": "alice", "kind": kind});
        let data = post(&simulator, "/_sim/encrypt", &wanted).json();
        let body = json!({"encryptedData": data["encryptedData"], "iv": data["iv"]});
        assert_eq!(server.post(path, &ticket, &body).status, 200, "{kind}");
    }
}

#[test]
fn users_of_a_simulated_alipay_log_in_and_show_their_numbers() {
    let simulator = simulator();
    let alipay_key = call(simulator.address, "GET", "/_sim/alipay/public-key", &[], "").body_text();
    let table = "appid = \"2021\"\nplatform = \"alipay\"\nprivate_key_file = \"{dir}/app.pem\"\nalipay_public_key_file = \
                 \"{dir}/alipay.pem\"\nphone = true\naes_key_env = \"AES_KEY\"\n";
    let files = [("app.pem", &*keys("pkcs1")), ("alipay.pem", &*alipay_key)];
    let server = login(&simulator, table, &files);
    // As long as the console has no key, no signature is good.
    server.is_error(&server.code("demo-alice-1"), 500, "server_misconfigured");
    let app = json!({"appid": "2021", "public_key": keys("public"), "aes_key": "aYA0GP8JEW+D7/UFaskCWA=="});
    assert_eq!(post(&simulator, "/_sim/alipay/app", &app).status, 200);
    let ticket = server.ticket("demo-alice-1");
    let openid = server.session(&ticket)["openid"].as_str().unwrap().to_owned();
    assert!(openid.len() == 47 && openid.starts_with("08"), "{openid}");
    server.is_error(&server.code("demo-alice-1"), 401, "invalid_code");
    for (code, status, error) in [
        ("err-isv.invalid-app-id", 500, "server_misconfigured"),
        ("err-isp.unknow-error", 503, "upstream_busy"),
        ("err-40004", 502, "upstream_failed"),
        ("garbage", 502, "upstream_failed"),
    ] {
        server.is_error(&server.code(code), status, error);
    }
    // An even number of letters: the app is an older one, for which this user has both ids.
    let older = login(&simulator, &format!("{table}subject_id = \"user_id\"\n"), &files);
    let user_id = older.session(&older.ticket("demo-anna-1"))["openid"].as_str().unwrap().to_owned();
    assert!(user_id.len() == 16 && user_id.starts_with("2088"), "{user_id}");
    older.is_error(&older.code("demo-alice-2"), 502, "upstream_failed");
    let wanted = json!({"platform": "alipay", "appid": "2021", "name": "alice", "kind": "phone"});
    let data = post(&simulator, "/_sim/encrypt", &wanted).json();
    let answer = server.post("/v1/phone", &ticket, &json!({"response": data["response"]}));
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613891907315")), "{answer:?}");
}

#[test]
fn users_of_a_simulated_jd_log_in() {
    let simulator = simulator();
    let app = "appid = \"jd1\"\nplatform = \"jd\"\nsecret_env = \"APP_SECRET\"\nexperimental = true";
    let server = login(&simulator, app, &[]);
    server.is_error(&server.code("demo-alice-1"), 502, "upstream_failed");
    assert_eq!(post(&simulator, "/_sim/jd/app", &json!({"appid": "jd1", "secret": "a-secret"})).status, 200);
    let session = server.session(&server.ticket("demo-alice-1"));
    assert!(session["openid"].as_str().unwrap().starts_with("ZX0E"), "{session}");
    server.is_error(&server.code("demo-alice-1"), 401, "invalid_code");
    let stats = call(simulator.address, "GET", "/_sim/stats", &[], "").json();
    assert_eq!(stats["jingdong.miniapp.mixUserInfo"]["jd1"]["ok"], 1, "{stats}");
}

#[test]
fn a_ticket_of_one_platforms_app_is_nothing_in_anothers() {
    let simulator = simulator();
    let [tt, jd] = ["tt", "jd"].map(|name| {
        let more = if name == "jd" { "experimental = true" } else { "" };
        let app = format!("appid = \"{name}1\"\nplatform = \"{name}\"\nsecret_env = \"APP_SECRET\"\n{more}");
        login(&simulator, &app, &[])
    });
    let ticket = tt.ticket("demo-alice-1");
    assert_eq!(jd.server.verify(&ticket).status, 401);
    assert_eq!(tt.server.verify(&ticket).header("x-auth-platform"), Some("tt"));
}

#[test]
fn users_of_simulated_platforms_without_keys_of_their_own_log_in_and_show_their_data() {
    let simulator = simulator();
    for (round, (platform, appid, more)) in [
        ("swan", "y2dTfnWfkx2OXttMEMWlGHoB1KzMogm7", ""),
        ("swan", "y2dTfnWfkx2OXttMEMWlGHoB1KzMogm7", "login_with_token = true"),
        ("qq", "1109000000", ""),
        ("kwai", "ks701717192100000000", "userdata_unbound = true"),
        ("xhs", "66aabbccddeeff0011223344", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let app = format!(
            "appid = \"{appid}\"\nplatform = \"{platform}\"\nsecret_env = \"APP_SECRET\"\nphone_unverified = true\n{more}"
        );
        let server = login(&simulator, &app, &[]);
        let code = format!("demo-alice-{round}");
        let openid = server.session(&server.ticket(&code))["openid"].clone();
        server.is_error(&server.code(&code), 401, "invalid_code");
        server.is_error(&server.code("err-77"), 502, "upstream_failed");
        server.is_error(&server.code("garbage"), 502, "upstream_failed");
        let user = json!({"platform": platform, "appid": appid, "name": "alice"});
        let minted = post(&simulator, "/_sim/code", &user).json();
        let ticket = server.ticket(minted["code"].as_str().unwrap());
        assert_eq!(server.session(&ticket)["openid"], openid, "{platform}");
        for (kind, path) in [("userinfo", "/v1/userdata"), ("phone", "/v1/phone")] {
            let wanted = json!({"platform": platform, "appid": appid, "name": "alice", "kind": kind});
            let mut body = post(&simulator, "/_sim/encrypt", &wanted).json();
            assert_eq!(body.get("signature").is_some(), kind == "userinfo" && platform != "swan", "{platform}: {body}");
            let answer = server.post(path, &ticket, &body);
            assert_eq!(answer.status, 200, "{platform} {kind}: {answer:?}");
            body["iv"] = json!("AAAAAAAAAAAAAAAAAAAAAA==");
            body.as_object_mut().unwrap().retain(|name, _| name != "signature" && name != "rawData");
            // Of Baidu, the first block is random, whatever it is.
            if platform != "swan" {
                server.is_error(&server.post(path, &ticket, &body), 400, "bad_user_data");
            }
        }
        let wanted = json!({"platform": platform, "appid": appid, "name": "alice"});
        post(&simulator, "/_sim/users/alice/reset-session-key", &json!({}));
        let body = post(&simulator, "/_sim/encrypt", &wanted).json();
        server.is_error(&server.post("/v1/userdata", &ticket, &body), 400, "bad_user_data");
    }
}
