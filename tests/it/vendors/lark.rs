//! Lark, from <https://open.larksuite.com/document/uYjL24iN/ukjM04SOyQjL5IDN> (code2session, 2024-03) and
//! <https://open.feishu.cn/document/server-docs/authentication-management/access-token/app_access_token_internal>: two POSTs of JSON,
//! the second with the token of the first as a bearer; whoever asks within a token's first hour and a half gets it again.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, texts};
use crate::support::Reply;

const APP: &str = "appid = \"cli_9f3ca975326b501b\"\nplatform = \"lark\"\nsecret_env = \"LARK_SECRET\"\n";
const SECRET: &str = "lark+secret/of=canary";
const CODE: &str = "good+code&=%/";
const TOKEN_PATH: &str = "/open-apis/auth/v3/app_access_token/internal";
const LOGIN_PATH: &str = "/open-apis/mina/v2/tokenLoginValidate";

#[expect(clippy::unnecessary_wraps, reason = "as the stand-ins that it ends return it")]
fn json_answer(answer: &Value) -> Result<Reply, String> {
    Ok(Reply::Http("200 OK\r\nContent-Type: application/json; charset=utf-8", answer.to_string()))
}

fn refusal(code: i64, msg: &str) -> Value {
    json!({ "code": code, "msg": msg })
}

/// The platform; `valid` is the number of the token that is good.
fn answer(request: &Received, valid: usize) -> Result<Reply, String> {
    request.is("POST")?;
    if !request.raw_query.is_empty() {
        return Err("a query".to_owned());
    }
    let body = request.json()?;
    if request.headers["content-type"] != "application/json; charset=utf-8" {
        return Err("another label than the fixed one".to_owned());
    }
    match &*request.path {
        TOKEN_PATH => {
            let [app_id, app_secret] = texts(&body, ["app_id", "app_secret"])?;
            if app_id != "cli_9f3ca975326b501b" {
                return json_answer(&refusal(10003, "invalid param"));
            }
            if app_secret != SECRET {
                let body = refusal(10014, "app secret invalid").to_string();
                return Ok(Reply::Http("400 Bad Request\r\nContent-Type: application/json; charset=utf-8", body));
            }
            let token = format!("t-canary-{valid}");
            json_answer(&json!({
                "code": 0, "msg": "ok", "app_access_token": token, "tenant_access_token": token, "expire": 7140,
            }))
        }
        LOGIN_PATH => {
            if request.headers.get("authorization") != Some(&format!("Bearer t-canary-{valid}")) {
                return json_answer(&refusal(10202, "access token invalid"));
            }
            let [code] = texts(&body, ["code"])?;
            json_answer(&match &*code {
                CODE => json!({ "code": 0, "msg": "success", "data": {
                    "open_id": "ou_194fcfc5e4b78db556a040ff5e42c0", "union_id": "ou_be2c1742f2bb189469bdd33f0b1516",
                    "session_key": "e3aeb7df000c835365c630dac91bcf", "tenant_key": "2c5914ac018f97",
                    "access_token": "u-canary", "expires_in": 1_565_512_680, "refresh_token": "ur-canary",
                } }),
                "hidden" => refusal(10228, "user to app has no visibility"),
                "unknown" => refusal(10999, "unknown"),
                _ => refusal(10213, "code appid not match"),
            })
        }
        other => Err(format!("another address: {other}")),
    }
}

fn start(secret: &str) -> (Vendor, Login) {
    let vendor = Vendor::start(|request| answer(request, 1));
    let login = vendor.login(APP, &[], &[("LARK_SECRET", secret)]);
    (vendor, login)
}

#[test]
fn lark_is_asked_as_its_page_says() {
    let (vendor, login) = start(SECRET);
    let session = login.session(&login.ticket(CODE));
    let openid = json!("ou_194fcfc5e4b78db556a040ff5e42c0");
    assert_eq!((&session["platform"], &session["openid"]), (&json!("lark"), &openid));
    assert!(session.get("unionid").is_none(), "{session}");
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("hidden"), 403, "user_blocked");
    login.is_error(&login.code("unknown"), 502, "upstream_failed");
    assert_eq!((vendor.calls(LOGIN_PATH), vendor.calls(TOKEN_PATH)), (4, 1), "nothing is asked twice");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn a_token_of_lark_that_has_ended_is_replaced_once() {
    let valid = Mutex::new(1);
    // The first token dies with the second login.
    let vendor = Vendor::start(move |request| {
        let mut valid = valid.lock().unwrap();
        if request.path == LOGIN_PATH && request.body.contains("second") {
            *valid = 2;
        }
        answer(request, *valid)
    });
    let login = vendor.login(APP, &[], &[("LARK_SECRET", SECRET)]);
    login.ticket(CODE);
    login.is_error(&login.code("second"), 401, "invalid_code");
    assert_eq!((vendor.calls(LOGIN_PATH), vendor.calls(TOKEN_PATH)), (3, 2));
    vendor.is_content();
}

#[test]
fn a_wrong_secret_of_lark_is_told_with_its_remedy() {
    let (vendor, login) = start("another+canary");
    login.is_error(&login.code(CODE), 500, "server_misconfigured");
    assert_eq!(vendor.calls(LOGIN_PATH), 0, "no code is spent");
    login.says("the app secret is wrong");
    login.says("the variable LARK_SECRET");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn lark_has_logins_and_nothing_else() {
    let (_vendor, login) = start(SECRET);
    let ticket = login.ticket(CODE);
    let data = json!({ "encryptedData": "A".repeat(64), "iv": "A".repeat(22) + "==" });
    for (path, body) in [
        ("/v1/phone", &json!({ "code": "c" })),
        ("/v1/phone", &data),
        ("/v1/userdata", &data),
        ("/v1/userdata", &json!({ "rawData": "{}", "signature": "0" })),
        ("/v1/session/check", &json!({})),
        ("/v1/session/reset", &json!({})),
    ] {
        login.is_error(&login.post(path, &ticket, body), 400, "not_supported");
    }
}
