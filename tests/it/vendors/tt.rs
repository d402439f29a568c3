//! Douyin, by <https://developer.open-douyin.com/docs/resource/zh-CN/mini-app/develop/server/log-in/code-2-session> and the pages
//! on `client_token` and `get_phonenumber_info` beside it. What it encrypts is in `tests/vectors/tt.json`, made with openssl.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, command, texts};
use crate::support::{Outcome, Reply, auth_ticket};

const SECRET: &str = "canary-tt-secret-0123456789abcdef0123456";
const APP: &str = "appid = \"tt0123456789abcdef\"\nplatform = \"tt\"\nsecret_env = \"TT_SECRET\"\n";
const WITH_PHONE: &str = "phone_unbound = true\nphone_private_key_file = \"{dir}/phone.pem\"\n";
const TOKEN: &str = "clt.0123456789abcdef";

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/tt.json")).unwrap()
}

fn text(name: &str) -> String {
    vectors()[name].as_str().unwrap().to_owned()
}

fn phone_key() -> String {
    let keys: Value = serde_json::from_str(include_str!("../../vectors/rsa.json")).unwrap();
    keys["pkcs8"].as_str().unwrap().to_owned()
}

fn json_reply(body: &Value) -> Reply {
    Reply::Http("200 OK\r\nContent-Type: application/json; charset=utf-8", body.to_string())
}

/// What the pages say: `phone` is the answer for a phone code.
fn answer(request: &Received, phone: &dyn Fn(&str) -> Value) -> Result<Reply, String> {
    request.is("POST")?;
    if !request.raw_query.is_empty() {
        return Err("a query".to_owned());
    }
    let body = request.json()?;
    match &*request.path {
        "/api/apps/v2/jscode2session" => {
            let [appid, secret, code, anonymous_code] = texts(&body, ["appid", "secret", "code", "anonymous_code"])?;
            if (&*appid, &*secret, &*anonymous_code) != ("tt0123456789abcdef", SECRET, "") {
                return Err("another app".to_owned());
            }
            let refused =
                |number: i64| json!({"err_no": number, "err_tips": "no", "log_id": "2026112810000", "data": null});
            Ok(json_reply(&match code.split_once('-') {
                Some(("err", number)) => refused(number.replace('m', "-").parse().unwrap()),
                _ => json!({"err_no": 0, "err_tips": "success", "data": {
                    "session_key": text("session_key"), "openid": if code == "anonymous" { "" } else { "o-alice" },
                    "anonymous_openid": "anonymous", "unionid": if code == "plain" { "" } else { "u-alice" },
                }}),
            }))
        }
        "/oauth/client_token/" => {
            let fields = texts(&body, ["grant_type", "client_key", "client_secret"])?;
            if fields != ["client_credential", "tt0123456789abcdef", SECRET] {
                return Err("another app".to_owned());
            }
            let data = json!({"access_token": TOKEN, "description": "", "error_code": 0, "expires_in": 7200});
            Ok(json_reply(&json!({"data": data, "message": "success"})))
        }
        "/api/apps/v1/get_phonenumber_info/" => {
            if request.headers.get("access-token").map(String::as_str) != Some(TOKEN) {
                return Err("no access-token".to_owned());
            }
            let [code] = texts(&body, ["code"])?;
            Ok(json_reply(&phone(&code)))
        }
        _ => Err("no such path".to_owned()),
    }
}

fn douyin(phone: impl Fn(&str) -> Value + Send + Sync + 'static) -> Vendor {
    Vendor::start(move |request| answer(request, &phone))
}

fn phone_answer(data: &str) -> Value {
    json!({"err_no": 0, "err_tips": "", "log_id": "2026", "data": text(data)})
}

fn login(vendor: &Vendor, more: &str) -> Login {
    vendor.login(&format!("{APP}{more}"), &[("phone.pem", &phone_key())], &[("TT_SECRET", SECRET)])
}

#[test]
fn a_code_becomes_a_session() {
    let vendor = douyin(|_| unreachable!());
    let server = login(&vendor, "");
    let session = server.session(&server.ticket("good"));
    assert_eq!(
        (&session["openid"], &session["unionid"], &session["platform"]),
        (&json!("o-alice"), &json!("u-alice"), &json!("tt"))
    );
    assert_eq!(server.session(&server.ticket("plain"))["unionid"], Value::Null);
    // Somebody who is not logged in to the host app is nobody.
    server.is_error(&server.code("anonymous"), 502, "upstream_failed");
    vendor.is_content();
}

#[test]
fn each_number_has_its_answer() {
    let vendor = douyin(|_| unreachable!());
    let server = login(&vendor, "");
    for (number, status, error) in [
        ("m1", 503, "upstream_busy"),
        ("40014", 500, "server_misconfigured"),
        ("40015", 500, "server_misconfigured"),
        ("40017", 500, "server_misconfigured"),
        ("40018", 401, "invalid_code"),
        ("40019", 401, "invalid_code"),
        ("99999", 502, "upstream_failed"),
    ] {
        let answer = server.code(&format!("err-{number}"));
        server.is_error(&answer, status, error);
        let errcode = (status != 500).then(|| json!(number.replace('m', "-").parse::<i64>().unwrap()));
        assert_eq!(answer.json().get("errcode").cloned(), errcode, "{answer:?}");
    }
    for expected in [
        "compare it with the one on developer.open-douyin.com",
        "the variable TT_SECRET",
        "check it in the configuration",
    ] {
        server.logs(expected);
    }
    vendor.is_content();
}

#[test]
fn a_phone_code_becomes_a_number_where_the_configuration_allows_it() {
    let vendor = douyin(|_| phone_answer("phone_to_app"));
    let without = login(&vendor, "");
    without.is_error(&without.phone_code(&without.ticket("a"), "phone-code"), 400, "not_supported");
    assert_eq!(vendor.calls("/oauth/client_token/"), 0);
    let server = login(&vendor, WITH_PHONE);
    server.logs("phone_unbound: the platform does not check whose button gave a phone code");
    let ticket = server.ticket("a");
    for code in ["phone-code-1", "phone-code-2"] {
        let answer = server.phone_code(&ticket, code);
        assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613800000000")), "{answer:?}");
    }
    assert_eq!(vendor.calls("/oauth/client_token/"), 1, "the access token is used again");
    vendor.is_content();
}

#[test]
fn each_number_of_a_phone_code_has_its_answer() {
    let vendor = douyin(|code| json!({"err_no": code.parse::<i64>().unwrap(), "err_msg": "no", "log_id": "2026"}));
    let server = login(&vendor, WITH_PHONE);
    for (number, status, error) in [
        (28_005_187, 400, "invalid_phone_code"),
        (28_001_005, 503, "upstream_busy"),
        (28_003_017, 503, "upstream_busy"),
        (28_003_018, 429, "rate_limited"),
        (28_001_016, 500, "server_misconfigured"),
        (28_001_008, 502, "upstream_failed"),
        (12345, 502, "upstream_failed"),
    ] {
        server.is_error(&server.phone_code(&server.ticket("a"), &number.to_string()), status, error);
    }
    server.logs("look for notices and permissions");
    vendor.is_content();
}

#[test]
fn an_access_token_that_has_ended_is_replaced_once() {
    let calls = AtomicUsize::new(0);
    let vendor = douyin(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => json!({"err_no": 28_001_008, "err_tips": "access_token expired", "log_id": "2026"}),
        _ => phone_answer("phone_to_app"),
    });
    let server = login(&vendor, WITH_PHONE);
    assert_eq!(server.phone_code(&server.ticket("a"), "phone-code").status, 200);
    assert_eq!((vendor.calls("/oauth/client_token/"), vendor.calls("/api/apps/v1/get_phonenumber_info/")), (2, 2));
    vendor.is_content();
}

#[test]
fn a_number_that_is_not_for_this_app_is_not_sealed() {
    for (data, remedy) in [
        ("phone_of_another_app", ""),
        ("no_phone_to_app", ""),
        ("phone_to_another_key", "another key than phone_private_key_file"),
        ("appid", "another key than phone_private_key_file"),
    ] {
        let vendor = douyin(move |_| phone_answer(data));
        let server = login(&vendor, WITH_PHONE);
        server.is_error(&server.phone_code(&server.ticket("a"), "phone-code"), 502, "upstream_failed");
        server.logs(remedy);
        vendor.is_content();
    }
}

#[test]
fn encrypted_data_of_this_app_and_user_is_opened() {
    let vendor = douyin(|_| unreachable!());
    let server = login(&vendor, "");
    let ticket = server.ticket("a");
    let data = |name: &str| json!({"encryptedData": text(name), "iv": text("iv")});
    let answer = server.post("/v1/userdata", &ticket, &data("user_data"));
    assert_eq!((answer.status, &answer.json()["data"]["nickName"]), (200, &json!("alice")), "{answer:?}");
    for bad in ["user_data_of_another_key", "phone_data", "phone_data_of_another_app"] {
        server.is_error(&server.post("/v1/userdata", &ticket, &data(bad)), 400, "bad_user_data");
    }
    // Nobody can say who encrypted a number.
    server.is_error(&server.post("/v1/phone", &ticket, &data("phone_data")), 400, "not_supported");
    let trusting = login(&vendor, "phone_unverified = true\n");
    let ticket = trusting.ticket("a");
    let answer = trusting.post("/v1/phone", &ticket, &data("phone_data"));
    assert_eq!(answer.json()["phone_number"], "+8613800000000", "{answer:?}");
    for bad in ["phone_data_of_another_app", "user_data"] {
        trusting.is_error(&trusting.post("/v1/phone", &ticket, &data(bad)), 400, "bad_user_data");
    }
    vendor.is_content();
}

#[test]
fn what_the_configuration_lacks_or_has_too_much_is_told() {
    for (app, file, expected) in [
        (
            format!("{APP}phone_unbound = true\n"),
            phone_key(),
            "phone_private_key_file: is missing, and phone_unbound needs it; write for example",
        ),
        (format!("{APP}{WITH_PHONE}"), "canary".to_owned(), "phone_private_key_file: the file is no PEM"),
        (format!("{APP}subject_id = \"open_id\"\n"), phone_key(), "subject_id: platform \"tt\" does not take it"),
    ] {
        let (_keys, mut command) =
            command("127.0.0.1:9".parse().unwrap(), &app, &[("phone.pem", &file)], &[("TT_SECRET", SECRET)]);
        let refused = Outcome::of(&mut command).refused();
        assert!(refused.contains(expected) && !refused.contains("canary"), "{refused}");
    }
}

#[test]
fn the_doctor_finds_the_platform_well_and_the_settings_risky() {
    let vendor = douyin(|_| unreachable!());
    let (keys, _) =
        vendor.command(&format!("{APP}{WITH_PHONE}phone_unverified = true\n"), &[("phone.pem", &phone_key())], &[]);
    let mut doctor = auth_ticket(&["doctor", "--config"]);
    let outcome = Outcome::of(doctor.arg(keys.root().join("login.toml")).env("TT_SECRET", SECRET));
    for expected in [
        "phone_unbound: the platform does not check",
        "phone_unverified: nobody can say",
        "the platform accepts appid and secret",
    ] {
        assert!(outcome.stdout.contains(expected), "{expected}: {outcome:#?}");
    }
}

#[test]
fn no_output_shows_the_key_or_the_secret() {
    let vendor = douyin(|_| phone_answer("phone_to_app"));
    let mut server = login(&vendor, WITH_PHONE);
    let ticket = server.ticket("a");
    server.phone_code(&ticket, "phone-code");
    server.code("err-40017");
    server.server.stop();
    let (log, key) = (server.log(), phone_key());
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    for secret in lines.chain([SECRET, TOKEN, "13800000000", "phone-code"]) {
        assert!(!log.contains(secret), "the log shows {secret}: {log}");
    }
}
