//! Kuaishou, from <https://mp.kuaishou.com/docs/develop/server/code2Session.html> and
//! <https://mp.kuaishou.com/docs/develop/server/userInfo/userEncryptedData.html>: a form of three fields by POST; `result` is 1
//! in a success; status 200 in any case; AES-128 in CBC mode and SHA-1 under the `session_key`.

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly};
use crate::support::Reply;

const APP: &str = "appid = \"ks701717192100000000\"\nplatform = \"kwai\"\nsecret_env = \"KWAI_SECRET\"\n";
const SECRET: &str = "kwai+secret/of=canary";
const CODE: &str = "good+code&=%/";

/// The key of what stands below, which was encrypted with `openssl enc -aes-128-cbc -iv 0f0e0d0c0b0a09080706050403020100` and signed
/// with `openssl dgst -sha1` (OpenSSL 3.0).
const SESSION_KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
/// `{"phoneNumber":"13800000000","countryCode":"+86"}`
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2EV1b//qZmC9MwhV0Ze36MZiSm5xp89c/cmFYAn2Vr/c5s8AIdPppOAa9keMCqjJgQ==";
/// `{"openId":"f8c1a2b3","nickName":"Alice","gender":"F"}`
const USER: &str = "k5fJMOKE+icUwW2cNNIROuckb0UecZ1XkNEfbQljUgm7Un1P7RVJCj07mmELRC95WHgBuy8J3rvBR9r9UvlDiA==";
const RAW_DATA: &str = r#"{"nickName":"Alice","gender":1,"city":"Guangzhou"}"#;
const SIGNATURE: &str = "ebd8b7afa4831af40e53da5aaf3aed58f68ee5a5";

fn answer(request: &Received) -> Result<Reply, String> {
    request.is("POST")?;
    if request.path != "/oauth2/mp/code2session" || !request.raw_query.is_empty() {
        return Err("another address".to_owned());
    }
    let [js_code, app_id, app_secret] = exactly(&request.form()?, ["js_code", "app_id", "app_secret"])?;
    let answer = match &*js_code {
        _ if app_id != "ks701717192100000000" || app_secret != SECRET => refusal(100_200_101, "unauthorized_client"),
        CODE => json!({ "result": 1, "session_key": SESSION_KEY, "open_id": "f8c1a2b3" }),
        "busy" => refusal(100_200_500, "server_error"),
        "unknown" => refusal(100_200_199, "unknown"),
        _ => refusal(100_200_105, "invalid_grant"),
    };
    Ok(Reply::Http("200 OK\r\nContent-Type: application/json;charset=UTF-8", answer.to_string()))
}

fn refusal(result: i64, error: &str) -> Value {
    json!({ "result": result, "error": error, "error_msg": "said by the stand-in", "request_id": "84829399-1" })
}

/// A stand-in, and a login server with `more` in the app's table.
fn start(more: &str, secret: &str) -> (Vendor, Login) {
    let vendor = Vendor::start(answer);
    let login = vendor.login(&format!("{APP}{more}"), &[], &[("KWAI_SECRET", secret), ("RUST_LOG", "trace")]);
    (vendor, login)
}

#[test]
fn kuaishou_is_asked_as_its_page_says() {
    let (vendor, login) = start("", SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!((&session["platform"], &session["openid"]), (&json!("kwai"), &json!("f8c1a2b3")));
    assert!(session.get("unionid").is_none(), "{session}");
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("busy"), 503, "upstream_busy");
    login.is_error(&login.code("unknown"), 502, "upstream_failed");
    assert_eq!(vendor.calls("/oauth2/mp/code2session"), 4, "nothing is asked twice");
    vendor.is_content();
    login.hides(&["canary", SESSION_KEY, CODE, "f8c1a2b3"]);
}

#[test]
fn a_wrong_secret_of_kuaishou_is_told_with_its_remedy() {
    let (vendor, login) = start("", "another+canary");
    login.is_error(&login.code(CODE), 500, "server_misconfigured");
    login.says("errcode=100200101");
    login.says("app_id or app_secret is wrong");
    login.says("the variable KWAI_SECRET");
    vendor.is_content();
    login.hides(&["canary"]);
}

#[test]
fn data_of_kuaishou_is_taken_by_those_who_said_that_they_want_it() {
    let (phone, user) = (json!({ "encryptedData": PHONE, "iv": IV }), json!({ "encryptedData": USER, "iv": IV }));
    let signed = json!({ "rawData": RAW_DATA, "signature": SIGNATURE });
    let (_vendor, login) = start("", SECRET);
    let ticket = login.ticket(CODE);
    login.is_error(&login.post("/v1/phone", &ticket, &phone), 400, "not_supported");
    login.is_error(&login.post("/v1/userdata", &ticket, &user), 400, "not_supported");
    assert_eq!(login.post("/v1/userdata", &ticket, &signed).json(), json!({ "signature_valid": true }));

    let (_vendor, login) = start("phone_unverified = true\nuserdata_unbound = true\n", SECRET);
    let ticket = login.ticket(CODE);
    let answer = login.post("/v1/phone", &ticket, &phone);
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613800000000")), "{answer:?}");
    let answer = login.post("/v1/userdata", &ticket, &user);
    assert_eq!(
        answer.json()["data"],
        json!({ "openId": "f8c1a2b3", "nickName": "Alice", "gender": "F" }),
        "{answer:?}"
    );
    login.is_error(&login.post("/v1/userdata", &ticket, &phone), 400, "bad_user_data");
    login.is_error(&login.post("/v1/phone", &ticket, &user), 400, "bad_user_data");
    login.hides(&["13800000000", PHONE, USER, SESSION_KEY]);
}
