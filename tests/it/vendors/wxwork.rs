//! `WeCom`, from <https://developer.work.weixin.qq.com/document/path/92426> (code2Session),
//! <https://developer.work.weixin.qq.com/document/path/91039> (gettoken) and <https://developer.work.weixin.qq.com/document/path/92396>
//! (getEnterpriseUserInfo): two GETs; AES-128 in CBC mode and SHA-1 under the `session_key`, with the mini-program's appid in the
//! watermark.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly};
use crate::support::Reply;

const APP: &str = "appid = \"wx0123456789abcdef\"\nplatform = \"wxwork\"\nsecret_env = \"WXWORK_SECRET\"\n\
                   corp_id = \"ww1a2b3c4d5e6f7081\"\n";
const SECRET: &str = "wxwork+secret/of=canary";
const CODE: &str = "good+code&=%/";
const TOKEN_PATH: &str = "/cgi-bin/gettoken";
const LOGIN_PATH: &str = "/cgi-bin/miniprogram/jscode2session";

/// The key of what stands below, which was encrypted with `openssl enc -aes-128-cbc -iv 0f0e0d0c0b0a09080706050403020100` and signed
/// with `openssl dgst -sha1` (OpenSSL 3.0).
const SESSION_KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
/// alice of the corp above, with the watermark of the mini-program.
const USER: &str = "o1eUbQ2UCOXjg4NDdxaSoJ7WHopMqm4C3UWVx8MrQAtave8Gxho/YiuIc5/Z/d3B6Z9DOJrrXxeFg/9PO0Or1wzHm5PaMxzBwYl6WDU/9F1ENvEjEfVOB18FYVYD2fXdI7P8Daayp6f7PqGlh75kpZr+QjN7HztcwBUFJtGURdgxAZ5s43waNgkFdFSF0AMT";
/// The same of bob.
const OTHER_USER: &str = "o1eUbQ2UCOXjg4NDdxaSoJ7WHopMqm4C3UWVx8MrQAtPw4HcaJDWmu0q8B3jM0akAlcKZD0p+Zkhb3vh1r1GM3zrJRzpteRVygN0cFN3E4hMQLrYECNSzpxaQREZgMloLra1FqWUSvqv365w5H2U9A4u7STLg13bBsWtsPirv9flGGP9/FAVX7/LaGORyurf";
/// An address; its watermark names the corp.
const OF_CORP: &str = "wbZXPbkveXW6I9GUxm6SAPtlciJPEgBf6PLoKieEHdtVqxP1VVHcJm3dEtsU4OOk8HAA9294680QmOEjhfM3PNVUP5GujYCtQ0vw2VaWNOqoT9UHH/+BMmsURtPdWzDM";
/// 13800000000 in the form that `WeChat` has.
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2BL6Uby/T3ckW7boId8lz7F14NvvmkG6HbdTn+BXi3ecYhWfdXDkJ5ea2Rb2hVRFhdhwHXpTEUGNbmVa+xBtlRzfEQ74J0n9k5FD+v7R4e9W/XKs72gHjaw0n8Am2bQ5Ldv9DV3wmpuoA3Vl7Oa8j9FNv1KJT9mP+Y8GN+hNk7lL3HcVDKgkBCE0ibMRC91IZA==";
/// The same number in a member `mobile`, without a country.
const MOBILE: &str = "xGq3GDi7EtfG2sOMiizn1qM/tK+mQwSflMgA0Zk/sYjH4GMwVo7PstInfVdiuERDCXb2xPSOi20V/ZSyAQ1ttna59AeTLVtCHE+bUJ16iAiO7Kz3sD2I0/UtAJNlYhY7";
const RAW_DATA: &str = r#"{"name":"Alice","gender":2,"language":"zh_CN"}"#;
const SIGNATURE: &str = "cc0bc7d80278cc8ea3cfb0c6dceae96ac84ed331";

#[expect(clippy::unnecessary_wraps, reason = "as the stand-ins that it ends return it")]
fn json_answer(answer: &Value) -> Result<Reply, String> {
    Ok(Reply::Http("200 OK\r\nContent-Type: application/json; charset=UTF-8", answer.to_string()))
}

fn refusal(errcode: i64) -> Value {
    let errmsg = "no, hint: [1787373915609110759172198], from ip: 203.0.113.7, more info at \
                  https://open.work.weixin.qq.com/devtool/query?e=1";
    json!({ "errcode": errcode, "errmsg": errmsg })
}

fn member(corpid: &str) -> Value {
    json!({ "corpid": corpid, "userid": "alice", "session_key": SESSION_KEY, "errcode": 0, "errmsg": "ok" })
}

/// The platform; `valid` is the number of the token that is good.
fn answer(request: &Received, valid: usize) -> Result<Reply, String> {
    request.is("GET")?;
    match &*request.path {
        TOKEN_PATH => {
            let [corpid, corpsecret] = exactly(&request.query(), ["corpid", "corpsecret"])?;
            json_answer(&match (&*corpid, &*corpsecret) {
                ("ww1a2b3c4d5e6f7081", SECRET) => json!({
                    "errcode": 0, "errmsg": "ok", "access_token": format!("canary-{valid}"), "expires_in": 7200,
                }),
                ("ww1a2b3c4d5e6f7081", _) => refusal(40001),
                _ => refusal(40013),
            })
        }
        LOGIN_PATH => {
            let names = ["access_token", "js_code", "grant_type"];
            let [token, js_code, grant_type] = exactly(&request.query(), names)?;
            if grant_type != "authorization_code" {
                return Err("another grant_type".to_owned());
            }
            json_answer(&match &*js_code {
                _ if token != format!("canary-{valid}") => refusal(if valid == 1 { 40014 } else { 42001 }),
                CODE => member("ww1a2b3c4d5e6f7081"),
                "elsewhere" => member("ww99999999999999"),
                "linked" => refusal(48002),
                "unknown" => refusal(60111),
                _ => refusal(40029),
            })
        }
        other => Err(format!("another address: {other}")),
    }
}

fn start(more: &str, secret: &str) -> (Vendor, Login) {
    let vendor = Vendor::start(|request| answer(request, 1));
    let login = vendor.login(&format!("{APP}{more}"), &[], &[("WXWORK_SECRET", secret)]);
    (vendor, login)
}

#[test]
fn wecom_is_asked_as_its_pages_say() {
    let (vendor, login) = start("", SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!((&session["platform"], &session["openid"]), (&json!("wxwork"), &json!("ww1a2b3c4d5e6f7081:alice")));
    assert!(session.get("unionid").is_none(), "{session}");
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("elsewhere"), 403, "user_blocked");
    login.is_error(&login.code("unknown"), 502, "upstream_failed");
    login.is_error(&login.code("linked"), 500, "server_misconfigured");
    assert_eq!((vendor.calls(LOGIN_PATH), vendor.calls(TOKEN_PATH)), (5, 1), "nothing is asked twice");
    login.says("not of the app that is linked");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn a_token_of_wecom_that_has_ended_is_replaced_once() {
    let valid = Mutex::new(1);
    // The first token dies with the second login.
    let vendor = Vendor::start(move |request| {
        let mut valid = valid.lock().unwrap();
        if request.path == LOGIN_PATH && request.raw_query.contains("second") {
            *valid = 2;
        }
        answer(request, *valid)
    });
    let login = vendor.login(APP, &[], &[("WXWORK_SECRET", SECRET)]);
    login.ticket(CODE);
    login.is_error(&login.code("second"), 401, "invalid_code");
    assert_eq!((vendor.calls(LOGIN_PATH), vendor.calls(TOKEN_PATH)), (3, 2));
    vendor.is_content();
}

#[test]
fn a_wrong_secret_of_wecom_is_told_with_its_remedy() {
    let (vendor, login) = start("", "another+canary");
    login.is_error(&login.code(CODE), 500, "server_misconfigured");
    assert_eq!(vendor.calls(LOGIN_PATH), 0, "no code is spent");
    login.says("the secret is wrong");
    login.says("the variable WXWORK_SECRET");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn data_of_wecom_is_of_the_member_and_the_mini_program() {
    let data = |data: &str| json!({ "encryptedData": data, "iv": IV });
    let (_vendor, login) = start("", SECRET);
    let ticket = login.ticket(CODE);
    let answer = login.post("/v1/userdata", &ticket, &data(USER));
    assert_eq!((answer.status, &answer.json()["data"]["name"]), (200, &json!("Alice")), "{answer:?}");
    for foreign in [OTHER_USER, OF_CORP, PHONE, MOBILE] {
        login.is_error(&login.post("/v1/userdata", &ticket, &data(foreign)), 400, "bad_user_data");
    }
    let signed = json!({ "rawData": RAW_DATA, "signature": SIGNATURE });
    assert_eq!(login.post("/v1/userdata", &ticket, &signed).json(), json!({ "signature_valid": true }));
    let unsigned = json!({ "rawData": "{}", "signature": SIGNATURE });
    login.is_error(&login.post("/v1/userdata", &ticket, &unsigned), 400, "bad_user_data");
    login.is_error(&login.post("/v1/phone", &ticket, &data(PHONE)), 400, "not_supported");

    let (_vendor, login) = start("phone_unverified = true\n", SECRET);
    let ticket = login.ticket(CODE);
    let answer = login.post("/v1/phone", &ticket, &data(PHONE));
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613800000000")), "{answer:?}");
    login.is_error(&login.post("/v1/phone", &ticket, &data(MOBILE)), 400, "bad_user_data");
}
