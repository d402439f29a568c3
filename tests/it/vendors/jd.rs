//! JD's JOS gateway, as one public production code base calls it. Signatures are checked against those that Python's `hashlib` gives
//! for the same text: `MD5(secret + sorted names and values + secret)` in upper-case hex.

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, command, exactly};
use crate::support::{Outcome, Reply};

const SECRET: &str = "canary-jd-secret";
const APP: &str = "appid = \"AK\"\nplatform = \"jd\"\nsecret_env = \"JD_SECRET\"\n";
const EXPERIMENTAL: &str = "experimental = true\n";

/// `yyyy-MM-dd HH:mm:ss.000+0800`.
fn is_timestamp(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00 00:00:00.000+0000" && text.ends_with(".000+0800")
}

fn answer(request: &Received) -> Result<Reply, String> {
    request.is("POST")?;
    if request.path != "/routerjson" || !request.body.is_empty() {
        return Err("another path or body".to_owned());
    }
    let query = request.query();
    let names = ["app_key", "method", "timestamp", "v", "360buy_param_json", "sign"];
    let [app_key, method, timestamp, v, param, sign] = exactly(&query, names)?;
    if (&*app_key, &*method, &*v) != ("AK", "jingdong.miniapp.mixUserInfo", "2.0") || !is_timestamp(&timestamp) {
        return Err("another value".to_owned());
    }
    let mut signed: Vec<_> = query.iter().filter(|(name, _)| name != "sign").collect();
    signed.sort();
    let text: String = signed.iter().flat_map(|(name, value)| [name.as_str(), value]).collect();
    if sign != hex::encode_upper(Md5::digest(format!("{SECRET}{text}{SECRET}"))) {
        return Err("not signed".to_owned());
    }
    let param: Value = serde_json::from_str(&param).map_err(|error| error.to_string())?;
    let code = param["code"].as_str().filter(|_| param.as_object().unwrap().len() == 1).ok_or("another param")?;
    let responce = |result: Value| json!({"jingdong_miniapp_mixUserInfo_responce": {"code": "0", "result": result}});
    let body = match code {
        "good" => responce(json!({"code": "0", "mixUserInfo": {"xId": "o*AAQ", "openId": "ZX0Ecanary"}})),
        "number" => responce(json!({"code": 0, "mixUserInfo": {"xId": "o*AAQ", "openId": "ZX0Ecanary"}})),
        "nobody" => responce(json!({"code": "0", "mixUserInfo": {"xId": "o*AAQ"}})),
        "bad" => responce(json!({"code": "10102"})),
        "bad-number" => responce(json!({"code": 10102})),
        "unknown" => responce(json!({"code": "10199"})),
        "gateway" => json!({"error_response": {"code": "19", "zh_desc": "x"}}),
        "gateway-number" => json!({"error_response": {"code": 19, "zh_desc": "x"}}),
        _ => json!({"something": "else"}),
    };
    Ok(Reply::Http("200 OK\r\nContent-Type: application/json;charset=utf-8", body.to_string()))
}

fn login(vendor: &Vendor) -> Login {
    vendor.login(&format!("{APP}{EXPERIMENTAL}"), &[], &[("JD_SECRET", SECRET)])
}

#[test]
fn a_code_becomes_a_session_without_a_session_key() {
    let vendor = Vendor::start(answer);
    let server = login(&vendor);
    for code in ["good", "number"] {
        let session = server.session(&server.ticket(code));
        assert_eq!((&session["openid"], &session["platform"]), (&json!("ZX0Ecanary"), &json!("jd")), "{code}");
    }
    server.logs("experimental: this platform is known from one program only");
    let ticket = server.ticket("good");
    server.is_error(&server.phone_code(&ticket, "code"), 400, "not_supported");
    vendor.is_content();
}

#[test]
fn each_failure_has_its_answer() {
    let vendor = Vendor::start(answer);
    let server = login(&vendor);
    for (code, status, error, errcode) in [
        ("bad", 401, "invalid_code", json!("10102")),
        ("bad-number", 401, "invalid_code", json!("10102")),
        ("unknown", 502, "upstream_failed", json!("10199")),
        ("gateway", 502, "upstream_failed", json!("19")),
        ("gateway-number", 502, "upstream_failed", json!("19")),
        ("nobody", 502, "upstream_failed", Value::Null),
        ("other", 502, "upstream_failed", Value::Null),
    ] {
        let answer = server.code(code);
        server.is_error(&answer, status, error);
        assert_eq!(answer.json()["errcode"], errcode, "{code}");
    }
    server.logs("report the number");
    let log = server.log();
    assert!(
        log.contains("report the number") && log.contains("the variable JD_SECRET") && !log.contains(SECRET),
        "{log}"
    );
    vendor.is_content();
}

#[test]
fn it_is_served_only_by_who_knows_that_it_is_experimental() {
    for (more, expected) in [
        ("", "app[0].experimental: is missing, and platform \"jd\" needs it; write for example experimental = true"),
        ("experimental = false\n", "app[0].experimental: platform \"jd\" needs it; write true, or another platform"),
    ] {
        let app = format!("{APP}{more}");
        let (_keys, mut command) = command("127.0.0.1:9".parse().unwrap(), &app, &[], &[("JD_SECRET", SECRET)]);
        let refused = Outcome::of(&mut command).refused();
        assert!(refused.contains(expected), "{refused}");
    }
}
