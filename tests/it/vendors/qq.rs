//! QQ, from its pages of 2020, <https://q.qq.com/wiki/develop/miniprogram/server/open_port/port_login.html> and
//! <https://q.qq.com/wiki/develop/game/frame/open-ability/signature.html>: a GET with four parameters; AES-128 in CBC mode and SHA-1
//! under the `session_key`, a watermark inside. Refusals as public clients have seen them.

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly};
use crate::support::Reply;

const APP: &str = "appid = \"1109000000\"\nplatform = \"qq\"\nsecret_env = \"QQ_SECRET\"\n";
const SECRET: &str = "qq+secret/of=canary";
const CODE: &str = "good+code&=%/";
const OPENID: &str = "0123456789ABCDEF0123456789ABCDEF";

/// The key of what stands below, which was encrypted with `openssl enc -aes-128-cbc -iv 0f0e0d0c0b0a09080706050403020100` and signed
/// with `openssl dgst -sha1` (OpenSSL 3.0).
const SESSION_KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
/// 13800000000, with the watermark of this app.
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2BL6Uby/T3ckW7boId8lz7F14NvvmkG6HbdTn+BXi3ecYhWfdXDkJ5ea2Rb2hVRFhdhwHXpTEUGNbmVa+xBtlRyvWB6wBHdV25rGgNbKtGtvxTp8C53947fdeoQ1cB/ZZi+HopWZOEo7ZQSa5Q40e1altZ73EJ7w+Z17LGSDVu/N";
/// Alice, with the openid above, the unionid `UID_1` and the watermark.
const USER: &str = "xsG67+KwIccmJ2RgdeoxuCeG8NlGgedMP31hQcaz3Zc2JtjrUdspE3rQTCsGdiVrd4pczCX1JI2Zy3HlM5BUJBVMiQ5ipNy7oT7QXcyybyBT0OxnpjLm1MX9WU6gyHAihSgoKqaZBq91+12RkeEOZWfdfUt1fiEZOqmd6iAdL3TUseZTCn5lIw5Y5fu9H3YU";
const RAW_DATA: &str = r#"{"nickName":"Alice","gender":1,"city":"Guangzhou"}"#;
const SIGNATURE: &str = "ebd8b7afa4831af40e53da5aaf3aed58f68ee5a5";

fn answer(request: &Received) -> Result<Reply, String> {
    request.is("GET")?;
    if request.path != "/sns/jscode2session" {
        return Err("another address".to_owned());
    }
    let names = ["appid", "secret", "js_code", "grant_type"];
    let [appid, secret, js_code, grant_type] = exactly(&request.query(), names)?;
    if grant_type != "authorization_code" {
        return Err("another grant_type".to_owned());
    }
    let answer = match &*js_code {
        _ if appid != "1109000000" || secret != SECRET => refusal(-1009),
        CODE => session("UID_1"),
        "nobody" => session("").to_string().replace(OPENID, "").parse().unwrap(),
        "without-unionid" => session(""),
        "busy" => refusal(-1),
        "often" => refusal(45011),
        _ => refusal(40029),
    };
    Ok(Reply::Http("200 OK\r\nContent-Type: application/json", answer.to_string()))
}

fn session(unionid: &str) -> Value {
    json!({ "errcode": 0, "errmsg": "", "openid": OPENID, "session_key": SESSION_KEY, "uin": "", "unionid": unionid })
}

/// As one was seen.
fn refusal(errcode: i64) -> Value {
    json!({ "errcode": errcode, "errmsg": "", "openid": "", "session_key": "", "uin": "", "unionid": "" })
}

fn start(more: &str, secret: &str) -> (Vendor, Login) {
    let vendor = Vendor::start(answer);
    let login = vendor.login(&format!("{APP}{more}"), &[], &[("QQ_SECRET", secret), ("RUST_LOG", "trace")]);
    (vendor, login)
}

#[test]
fn qq_is_asked_as_its_page_says() {
    let (vendor, login) = start("", SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!((&session["openid"], &session["unionid"]), (&json!(OPENID), &json!("UID_1")));
    let session = login.session(&login.ticket("without-unionid"));
    assert!(session.get("unionid").is_none(), "{session}");
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("busy"), 503, "upstream_busy");
    login.is_error(&login.code("often"), 429, "rate_limited");
    login.is_error(&login.code("nobody"), 502, "upstream_failed");
    assert_eq!(vendor.calls("/sns/jscode2session"), 6, "nothing is asked twice");
    vendor.is_content();
    login.hides(&["canary", SESSION_KEY, CODE, OPENID]);
}

#[test]
fn a_refusal_of_qq_with_a_number_that_nobody_knows_gives_no_ticket() {
    let (vendor, login) = start("", "another+canary");
    let answer = login.code(CODE);
    login.is_error(&answer, 502, "upstream_failed");
    assert_eq!(answer.json()["errcode"], -1009);
    vendor.is_content();
    login.hides(&["canary"]);
}

#[test]
fn data_of_qq_has_our_watermark() {
    let (phone, user) = (json!({ "encryptedData": PHONE, "iv": IV }), json!({ "encryptedData": USER, "iv": IV }));
    let signed = json!({ "rawData": RAW_DATA, "signature": SIGNATURE });
    let (_vendor, login) = start("", SECRET);
    let ticket = login.ticket(CODE);
    login.is_error(&login.post("/v1/phone", &ticket, &phone), 400, "not_supported");
    let answer = login.post("/v1/userdata", &ticket, &user);
    assert_eq!(answer.json()["data"]["nickName"], "Alice", "{answer:?}");
    assert_eq!(login.post("/v1/userdata", &ticket, &signed).json(), json!({ "signature_valid": true }));
    let other = json!({ "rawData": "{}", "signature": SIGNATURE });
    login.is_error(&login.post("/v1/userdata", &ticket, &other), 400, "bad_user_data");

    let (_vendor, login) = start("phone_unverified = true\n", SECRET);
    let ticket = login.ticket(CODE);
    let answer = login.post("/v1/phone", &ticket, &phone);
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613800000000")), "{answer:?}");
    login.hides(&["13800000000", PHONE, SESSION_KEY]);
}
