//! `WeChat` in web pages, from <https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html>: a GET
//! with four parameters, which answers an access token, too; a page looked at in the snapshot mode gives a virtual account.

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly};
use crate::support::Reply;

const APP: &str = "appid = \"wxfedcba9876543210\"\nplatform = \"weixin-web\"\nsecret_env = \"WEB_SECRET\"\n";
const SECRET: &str = "web+secret/of=canary";
const CODE: &str = "good+code&=%/";
const OPENID: &str = "oLVPpjqs9BhvzwPj5A-vTYAX3GLc";

fn answer(request: &Received) -> Result<Reply, String> {
    request.is("GET")?;
    if request.path != "/sns/oauth2/access_token" {
        return Err("another address".to_owned());
    }
    let names = ["appid", "secret", "code", "grant_type"];
    let [appid, secret, code, grant_type] = exactly(&request.query(), names)?;
    if grant_type != "authorization_code" {
        return Err("another grant_type".to_owned());
    }
    let answer = match &*code {
        _ if appid != "wxfedcba9876543210" => refusal(40013),
        _ if secret != SECRET => refusal(40125),
        CODE => login("snsapi_userinfo", &json!({ "unionid": "o6_bmasdasdsad6_2sgVt7hMZOPfL" })),
        "base" => login("snsapi_base", &json!({})),
        "snapshot" => login("snsapi_userinfo", &json!({ "is_snapshotuser": 1, "unionid": "o6_virtual" })),
        "used" => refusal(40163),
        "busy" => refusal(-1),
        "often" => refusal(45011),
        "address" => refusal(40164),
        _ => refusal(40029),
    };
    Ok(Reply::Http("200 OK\r\nContent-Type: text/plain", answer.to_string()))
}

fn login(scope: &str, more: &Value) -> Value {
    let mut answer = json!({
        "access_token": "canary-access", "expires_in": 7200, "refresh_token": "canary-refresh", "openid": OPENID, "scope": scope,
    });
    answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer
}

fn refusal(errcode: i64) -> Value {
    json!({ "errcode": errcode, "errmsg": "no, rid: 652d44d0-0e4a1b2c-00000001" })
}

fn start(secret: &str) -> (Vendor, Login) {
    let vendor = Vendor::start(answer);
    let login = vendor.login(APP, &[], &[("WEB_SECRET", secret)]);
    (vendor, login)
}

#[test]
fn wechat_in_pages_is_asked_as_its_page_says() {
    let (vendor, login) = start(SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!((&session["platform"], &session["openid"]), (&json!("weixin-web"), &json!(OPENID)));
    assert_eq!(session["unionid"], "o6_bmasdasdsad6_2sgVt7hMZOPfL");
    let session = login.session(&login.ticket("base"));
    assert!(session.get("unionid").is_none(), "{session}");
    for (code, status, error) in [
        ("other", 401, "invalid_code"),
        ("used", 401, "code_used"),
        ("busy", 503, "upstream_busy"),
        ("often", 429, "rate_limited"),
        ("address", 500, "server_misconfigured"),
    ] {
        login.is_error(&login.code(code), status, error);
    }
    assert_eq!(vendor.calls("/sns/oauth2/access_token"), 7, "nothing is asked twice");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}

#[test]
fn a_snapshot_user_never_gets_a_ticket() {
    let (vendor, login) = start(SECRET);
    let answer = login.code("snapshot");
    login.is_error(&answer, 403, "user_blocked");
    assert!(answer.json().get("ticket").is_none(), "{answer:?}");
    vendor.is_content();
}

#[test]
fn a_wrong_secret_of_a_page_is_told_with_its_remedy() {
    let (vendor, login) = start("another+canary");
    login.is_error(&login.code(CODE), 500, "server_misconfigured");
    login.says("the app secret is wrong");
    login.says("the variable WEB_SECRET");
    assert!(!login.log().contains("canary"), "{}", login.log());
    vendor.is_content();
}
