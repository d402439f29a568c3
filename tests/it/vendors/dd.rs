//! `DingTalk`, from <https://open.dingtalk.com/document/orgapp/obtain-the-userid-of-a-user-by-using-the-log-free> and
//! <https://open.dingtalk.com/document/orgapp/obtain-the-access_token-of-an-internal-app>: two POSTs of JSON, the second with the
//! token of the first as a parameter; refusals of the first have status 400, refusals of a token errcode 88.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly, texts};
use crate::support::Reply;

const APP: &str = "appid = \"dingucj8egggau4ndj1w\"\nplatform = \"dd\"\nsecret_env = \"DD_SECRET\"\n\
                   corp_id = \"dinga189547e135ec123\"\n";
const SECRET: &str = "dd+secret/of=canary";
const CODE: &str = "good+code&=%/";
const TOKEN_PATH: &str = "/v1.0/oauth2/accessToken";
const LOGIN_PATH: &str = "/topapi/v2/user/getuserinfo";

#[expect(clippy::unnecessary_wraps, reason = "as the stand-ins that it ends return it")]
fn json_answer(answer: &Value) -> Result<Reply, String> {
    Ok(Reply::Http("200 OK\r\nContent-Type: application/json;charset=UTF-8", answer.to_string()))
}

fn refusal(errcode: i64, errmsg: &str) -> Value {
    json!({ "errcode": errcode, "errmsg": errmsg, "request_id": "15s9in2w1yat9" })
}

fn by_gateway(sub_code: &str, sub_msg: &str) -> Value {
    json!({
        "errcode": 88, "sub_code": sub_code, "sub_msg": sub_msg, "errmsg": "ding talk error", "request_id": "5imjny7u9xwa",
    })
}

/// The platform; `valid` is the number of the token that is good.
fn answer(request: &Received, valid: usize) -> Result<Reply, String> {
    request.is("POST")?;
    let body = request.json()?;
    match &*request.path {
        TOKEN_PATH if request.raw_query.is_empty() => {
            let [app_key, app_secret] = texts(&body, ["appKey", "appSecret"])?;
            if app_key == "dingucj8egggau4ndj1w" && app_secret == SECRET {
                return json_answer(&json!({ "accessToken": format!("canary-{valid}"), "expireIn": 7200 }));
            }
            let body = json!({ "code": "invalidClientIdOrSecret", "requestid": "6E3BD7A9-1", "message": "no" });
            Ok(Reply::Http("400 Bad Request\r\nContent-Type: application/json;charset=UTF-8", body.to_string()))
        }
        LOGIN_PATH => {
            let [token] = exactly(&request.query(), ["access_token"])?;
            if token != format!("canary-{valid}") {
                return json_answer(&by_gateway("40014", "no such token"));
            }
            let [code] = texts(&body, ["code"])?;
            json_answer(&match &*code {
                CODE => json!({ "errcode": 0, "errmsg": "ok", "request_id": "3xaj1x1e0b1x", "result": {
                    "userid": "manager4220", "unionid": "gliiW0piiii02zBUjUiE", "associated_unionid": "N2o5U3axxxx",
                    "device_id": "12drtfxxxxx", "sys": true, "sys_level": 1, "name": "Alice",
                } }),
                "busy" => refusal(-1, "busy"),
                "address" => by_gateway("60020", "ip not allowed, request ip=203.0.113.7"),
                "unknown" => refusal(33012, "invalid userid"),
                _ => refusal(40078, "no such code"),
            })
        }
        other => Err(format!("another address: {other}")),
    }
}

fn start(secret: &str) -> (Vendor, Login) {
    let vendor = Vendor::start(|request| answer(request, 1));
    let login = vendor.login(APP, &[], &[("DD_SECRET", secret)]);
    (vendor, login)
}

#[test]
fn dingtalk_is_asked_as_its_pages_say() {
    let (vendor, login) = start(SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!(session["openid"], "dinga189547e135ec123:manager4220");
    assert_eq!((&session["platform"], &session["unionid"]), (&json!("dd"), &json!("gliiW0piiii02zBUjUiE")));
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("busy"), 503, "upstream_busy");
    login.is_error(&login.code("unknown"), 502, "upstream_failed");
    login.is_error(&login.code("address"), 500, "server_misconfigured");
    assert_eq!((vendor.calls(LOGIN_PATH), vendor.calls(TOKEN_PATH)), (5, 1), "nothing is asked twice");
    login.says("add this server's IP 203.0.113.7 to");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn a_token_of_dingtalk_that_has_ended_is_replaced_once() {
    let valid = Mutex::new(1);
    // The first token dies with the second login.
    let vendor = Vendor::start(move |request| {
        let mut valid = valid.lock().unwrap();
        if request.path == LOGIN_PATH && request.body.contains("second") {
            *valid = 2;
        }
        answer(request, *valid)
    });
    let login = vendor.login(APP, &[], &[("DD_SECRET", SECRET)]);
    login.ticket(CODE);
    login.is_error(&login.code("second"), 401, "invalid_code");
    assert_eq!((vendor.calls(LOGIN_PATH), vendor.calls(TOKEN_PATH)), (3, 2));
    vendor.is_content();
}

#[test]
fn wrong_credentials_of_dingtalk_are_told_with_their_remedy() {
    let (vendor, login) = start("another+canary");
    login.is_error(&login.code(CODE), 500, "server_misconfigured");
    assert_eq!(vendor.calls(LOGIN_PATH), 0, "no code is spent");
    login.says("errcode=invalidClientIdOrSecret");
    login.says("the variable DD_SECRET");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}
