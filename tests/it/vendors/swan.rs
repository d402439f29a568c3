//! Baidu, from <https://smartprogram.baidu.com/docs/develop/api/open/log_Session-Key/> and the vendor's own library,
//! <https://github.com/baidu/smartapp-openapi-go>: a form of three fields by POST; or an access token and the code in the query of a
//! POST; AES-192 under the `session_key`, which are 32 hex digits read as base64.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly};
use crate::support::Reply;

/// App Key and what is encrypted for it are the vendor's published example.
const APP_KEY: &str = "y2dTfnWfkx2OXttMEMWlGHoB1KzMogm7";
const SESSION_KEY: &str = "1df09d0a1677dd72b8325aec59576e0c";
const PUBLISHED_IV: &str = "1df09d0a1677dd72b8325Q==";
const PUBLISHED: &str = "OpCoJgs7RrVgaMNDixIvaCIyV2SFDBNLivgkVqtzq2GC10egsn+PKmQ/+5q+chT8xzldLUog2haTItyIkKyvzvmXonBQLIMeq54axAu9c3KG8IhpFD6+ymHocmx07ZKi7eED3t0KyIxJgRNSDkFk5RV1ZP2mSWa7ZgCXXcAbP0RsiUcvhcJfrSwlpsm0E1YJzKpYy429xrEEGvK+gfL+Cw==";
/// `{"mobile":"13800000000"}` in the form of the example, encrypted with `openssl enc -aes-192-cbc -nopad` (OpenSSL 3.0).
const PHONE: &str = "TXm/m2HMWuwglYRXGwuRS7aZoSCfMocn+Afyz2gtt4tI7cqXjZvZ7gjaH0aK1oTJg1Udb4lcBAoWSfjAMG1xvUi9iK8LEImncz9SsYSRXjpg0APEly1yhoQdavLClpcD";
const PHONE_IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";

const SECRET: &str = "swan+secret/of=canary";
/// With the host of a partner's app.
const CODE: &str = "good+code&=%@partner/1";

fn json_answer(answer: &Value) -> Reply {
    Reply::Http("200 OK\r\nContent-Type: application/json", answer.to_string())
}

fn old_interface(request: &Received) -> Result<Reply, String> {
    request.is("POST")?;
    if request.path != "/oauth/jscode2sessionkey" || !request.raw_query.is_empty() {
        return Err("another address".to_owned());
    }
    let [code, client_id, sk] = exactly(&request.form()?, ["code", "client_id", "sk"])?;
    Ok(json_answer(&match &*code {
        CODE if client_id == APP_KEY && sk == SECRET => json!({ "openid": "open_id", "session_key": SESSION_KEY }),
        "unknown" => json!({ "errno": 10_010_199, "error": "unknown", "error_description": "unknown" }),
        _ => json!({ "errno": 10_010_100, "error": "parameter is invalid", "error_description": "code is invalid" }),
    }))
}

/// The newer interface, where tokens are counted and each one is good until `ended` says otherwise.
struct NewInterface {
    given: Mutex<usize>,
    refuses: fn(usize) -> Option<i64>,
}

impl NewInterface {
    fn answer(&self, request: &Received) -> Result<Reply, String> {
        match &*request.path {
            "/oauth/2.0/token" => self.token(request),
            "/rest/2.0/smartapp/getsessionkey" => self.session_key(request),
            _ => Err("another address".to_owned()),
        }
    }

    fn token(&self, request: &Received) -> Result<Reply, String> {
        request.is("GET")?;
        let names = ["grant_type", "client_id", "client_secret", "scope"];
        let [grant_type, client_id, client_secret, scope] = exactly(&request.query(), names)?;
        if grant_type != "client_credentials" || scope != "smartapp_snsapi_base" {
            return Err("another grant".to_owned());
        }
        if client_id != APP_KEY || client_secret != SECRET {
            let refusal = json!({ "error": "invalid_client", "error_description": "unknown client id" });
            return Ok(Reply::Http("401 Unauthorized\r\nContent-Type: application/json", refusal.to_string()));
        }
        let mut given = self.given.lock().unwrap();
        *given += 1;
        let token = format!("24.canary-{given}");
        Ok(json_answer(&json!({ "access_token": token, "expires_in": 2_592_000, "scope": scope })))
    }

    fn session_key(&self, request: &Received) -> Result<Reply, String> {
        request.is("POST")?;
        let [access_token, code] = exactly(&request.query(), ["access_token", "code"])?;
        if !request.body.is_empty() {
            return Err("a body".to_owned());
        }
        let number = access_token.strip_prefix("24.canary-").and_then(|number| number.parse().ok());
        if let Some(error_code) = (self.refuses)(number.ok_or("another token")?) {
            return Ok(json_answer(&json!({ "error_code": error_code, "error_msg": "Access token invalid" })));
        }
        let data = json!({ "open_id": "open_id", "session_key": SESSION_KEY });
        let [errno, data] = match &*code {
            CODE => [json!(0), data],
            _ => [json!(10_010_100), Value::Null],
        };
        let more = json!({ "errno": errno, "msg": "", "data": data, "request_id": "1-2", "timestamp": 1_795_860_000 });
        Ok(json_answer(&more))
    }
}

fn login(vendor: &Vendor, more: &str, secret: &str) -> Login {
    let app = format!("appid = \"{APP_KEY}\"\nplatform = \"swan\"\nsecret_env = \"SWAN_SECRET\"\n{more}");
    vendor.login(&app, &[], &[("SWAN_SECRET", secret), ("RUST_LOG", "trace")])
}

#[test]
fn baidu_is_asked_as_its_page_says() {
    let vendor = Vendor::start(old_interface);
    let login = login(&vendor, "", SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!((&session["platform"], &session["openid"]), (&json!("swan"), &json!("open_id")));
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("unknown"), 502, "upstream_failed");
    assert_eq!(vendor.calls("/oauth/jscode2sessionkey"), 3, "nothing is asked twice");
    vendor.is_content();
    login.hides(&["canary", SESSION_KEY, CODE]);
}

#[test]
fn with_a_token_baidu_is_asked_as_its_library_does() {
    let interface = NewInterface { given: Mutex::default(), refuses: |_| None };
    let vendor = Vendor::start(move |request| interface.answer(request));
    let login = login(&vendor, "login_with_token = true\n", SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!(session["openid"], "open_id");
    login.is_error(&login.code("other"), 401, "invalid_code");
    assert_eq!(vendor.calls("/oauth/2.0/token"), 1, "one token for all");
    vendor.is_content();
    login.hides(&["canary", SESSION_KEY, CODE]);
}

#[test]
fn a_token_that_baidu_refuses_is_replaced_once() {
    for error_code in [|number| (number == 1).then_some(110), |number| (number == 1).then_some(111)] {
        let interface = NewInterface { given: Mutex::default(), refuses: error_code };
        let vendor = Vendor::start(move |request| interface.answer(request));
        let login = login(&vendor, "login_with_token = true\n", SECRET);
        login.ticket(CODE);
        assert_eq!((vendor.calls("/oauth/2.0/token"), vendor.calls("/rest/2.0/smartapp/getsessionkey")), (2, 2));
        vendor.is_content();
    }
    let interface = NewInterface { given: Mutex::default(), refuses: |_| Some(110) };
    let vendor = Vendor::start(move |request| interface.answer(request));
    let login = login(&vendor, "login_with_token = true\n", SECRET);
    login.is_error(&login.code(CODE), 502, "upstream_failed");
    assert_eq!((vendor.calls("/oauth/2.0/token"), vendor.calls("/rest/2.0/smartapp/getsessionkey")), (2, 2));
    login.says("login_with_token = false needs none");
    login.hides(&["canary"]);
}

#[test]
fn a_wrong_secret_of_baidu_is_told_with_its_remedy() {
    let interface = NewInterface { given: Mutex::default(), refuses: |_| None };
    let vendor = Vendor::start(move |request| interface.answer(request));
    let login = login(&vendor, "login_with_token = true\n", "another+canary");
    login.is_error(&login.code(CODE), 500, "server_misconfigured");
    login.says("errcode=invalid_client");
    login.says("App Key or App Secret is wrong");
    login.says("the variable SWAN_SECRET");
    assert_eq!(vendor.calls("/rest/2.0/smartapp/getsessionkey"), 0, "the code is not spent");
    vendor.is_content();
    login.hides(&["canary"]);
}

#[test]
fn data_of_baidu_has_our_app_key_inside() {
    let (phone, user) =
        (json!({ "encryptedData": PHONE, "iv": PHONE_IV }), json!({ "encryptedData": PUBLISHED, "iv": PUBLISHED_IV }));
    let vendor = Vendor::start(old_interface);
    let careful = login(&vendor, "", SECRET);
    let ticket = careful.ticket(CODE);
    careful.is_error(&careful.post("/v1/phone", &ticket, &phone), 400, "not_supported");
    let signed = json!({ "rawData": "{}", "signature": "" });
    careful.is_error(&careful.post("/v1/userdata", &ticket, &signed), 400, "not_supported");
    let answer = careful.post("/v1/userdata", &ticket, &user);
    let expected = json!({ "openid": "open_id", "nickname": "baidu_user", "headimgurl": "url of image", "sex": 1 });
    assert_eq!(answer.json()["data"], expected, "{answer:?}");
    careful.is_error(&careful.post("/v1/userdata", &ticket, &phone), 400, "bad_user_data");

    let bold = login(&vendor, "phone_unverified = true\n", SECRET);
    let answer = bold.post("/v1/phone", &bold.ticket(CODE), &phone);
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613800000000")), "{answer:?}");
    bold.hides(&["13800000000", PHONE, SESSION_KEY]);
}
