//! Xiaohongshu, from <https://miniapp.xiaohongshu.com/doc/DC724193> and <https://miniapp.xiaohongshu.com/doc/DC591932>: JSON of two
//! texts for an access token; a GET with three parameters for a session; numbers of refusals from the vendor's issue tracker; AES in CBC
//! mode and SHA-1 under the `session_key`, a watermark inside.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::vendor::{Login, Received, Vendor, exactly, texts};
use crate::support::Reply;

const APPID: &str = "66aabbccddeeff0011223344";
const SECRET: &str = "xhs+secret/of=canary";
const CODE: &str = "good+code&=%/";
const OPENID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Keys of what stands below, which was encrypted with `openssl enc -aes-128-cbc` and `-aes-192-cbc`, each with
/// `-iv 0f0e0d0c0b0a09080706050403020100`, and signed with `openssl dgst -sha1` (OpenSSL 3.0).
const SESSION_KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const LONG_SESSION_KEY: &str = "ABEiM0RVZneImaq7zN3u/wEjRWeJq83v";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
/// 13800000000, with a watermark whose member is `appId`.
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2BL6Uby/T3ckW7boId8lz7F14NvvmkG6HbdTn+BXi3ecYhWfdXDkJ5ea2Rb2hVRFhdhwHXpTEUGNbmVa+xBtlRzfEQ74J0n9k5FD+v7R4e9W3x2FXVoENLmkhjhzdVxBFEJadSnLyZ8pAYxR7AArJEFXTVZgI2LkhOAcsf9r6hxS6Vi5t4KllSQAFFueVbETjg==";
/// Alice, under the longer key, with a watermark whose member is `appid`.
const USER: &str = "QHmjEUiRGU8L/ZspIK2NtTwfSxvLlbAcngr7IZZo3TlwV7kIGREgBoe2pbo3CGw5KwGUDpNSJWEQQieKsxJxZ8DLEzoKXeLGpv8y7Vv83PHepeAMPcnhMXiQYvLwNv7X/WDsU3aGLxSFPZb9Ldv+Lg==";
const RAW_DATA: &str = r#"{"nickName":"Alice","gender":1,"city":"Guangzhou"}"#;
const SIGNATURE: &str = "ebd8b7afa4831af40e53da5aaf3aed58f68ee5a5";

/// Tokens are counted; the first ones are refused.
struct Interface {
    given: Mutex<usize>,
    refused: usize,
}

impl Interface {
    fn answer(&self, request: &Received) -> Result<Reply, String> {
        let answer = match &*request.path {
            "/api/rmp/token" => self.token(request)?,
            "/api/rmp/session" => self.session(request)?,
            _ => return Err("another address".to_owned()),
        };
        Ok(Reply::Http("200 OK\r\nContent-Type: application/json", answer.to_string()))
    }

    fn token(&self, request: &Received) -> Result<Value, String> {
        request.is("POST")?;
        let [appid, secret] = texts(&request.json()?, ["appid", "secret"])?;
        if !request.raw_query.is_empty() {
            return Err("a query".to_owned());
        }
        if appid != APPID {
            return Ok(refusal(410_002));
        }
        if secret != SECRET {
            return Ok(refusal(410_004));
        }
        let mut given = self.given.lock().unwrap();
        *given += 1;
        Ok(success(&json!({ "access_token": format!("canary-{given}"), "expire_in": 7200 })))
    }

    fn session(&self, request: &Received) -> Result<Value, String> {
        request.is("GET")?;
        let [app_id, access_token, code] = exactly(&request.query(), ["app_id", "access_token", "code"])?;
        let number: usize =
            access_token.strip_prefix("canary-").and_then(|number| number.parse().ok()).ok_or("another token")?;
        if app_id != APPID {
            return Err("another app".to_owned());
        }
        Ok(match &*code {
            _ if number <= self.refused => refusal(410_101),
            CODE => success(&json!({ "openid": OPENID, "session_key": SESSION_KEY })),
            "long" => success(&json!({ "open_id": "o", "session_key": LONG_SESSION_KEY })),
            "unknown" => refusal(410_999),
            _ => refusal(410_103),
        })
    }
}

fn success(data: &Value) -> Value {
    json!({ "code": 0, "success": true, "msg": "success", "data": data })
}

fn refusal(code: i64) -> Value {
    json!({ "data": null, "success": false, "msg": "said by the stand-in", "code": code })
}

fn start(refused: usize) -> Vendor {
    let interface = Interface { given: Mutex::default(), refused };
    Vendor::start(move |request| interface.answer(request))
}

fn login(vendor: &Vendor, more: &str, appid: &str, secret: &str) -> Login {
    let app = format!("appid = \"{appid}\"\nplatform = \"xhs\"\nsecret_env = \"XHS_SECRET\"\n{more}");
    vendor.login(&app, &[], &[("XHS_SECRET", secret), ("RUST_LOG", "trace")])
}

#[test]
fn xiaohongshu_is_asked_as_its_page_says() {
    let vendor = start(0);
    let login = login(&vendor, "", APPID, SECRET);
    let session = login.session(&login.ticket(CODE));
    assert_eq!((&session["platform"], &session["openid"]), (&json!("xhs"), &json!(OPENID)));
    assert!(session.get("unionid").is_none(), "{session}");
    assert_eq!(login.session(&login.ticket("long"))["openid"], "o", "another page calls it open_id");
    login.is_error(&login.code("other"), 401, "invalid_code");
    login.is_error(&login.code("unknown"), 502, "upstream_failed");
    assert_eq!((vendor.calls("/api/rmp/token"), vendor.calls("/api/rmp/session")), (1, 4), "one token for all");
    vendor.is_content();
    login.hides(&["canary", SESSION_KEY, LONG_SESSION_KEY, CODE, OPENID]);
}

#[test]
fn a_token_that_xiaohongshu_refuses_is_replaced_once() {
    let vendor = start(1);
    let replaced = login(&vendor, "", APPID, SECRET);
    replaced.ticket(CODE);
    assert_eq!((vendor.calls("/api/rmp/token"), vendor.calls("/api/rmp/session")), (2, 2));
    vendor.is_content();

    let vendor = start(usize::MAX);
    let refused = login(&vendor, "", APPID, SECRET);
    let answer = refused.code(CODE);
    refused.is_error(&answer, 502, "upstream_failed");
    assert!(answer.text("error_description").contains("the code is still good"), "{answer:?}");
    assert_eq!((vendor.calls("/api/rmp/token"), vendor.calls("/api/rmp/session")), (2, 2));
    refused.says("run two replicas at most");
    vendor.is_content();
    refused.hides(&["canary"]);
}

#[test]
fn a_wrong_app_or_secret_of_xiaohongshu_is_told_with_its_remedy() {
    for (appid, secret, errcode, remedy) in [
        (APPID, "another+canary", 410_004, "the app secret is wrong"),
        ("other", SECRET, 410_002, "does not know this appid"),
    ] {
        let vendor = start(0);
        let login = login(&vendor, "", appid, secret);
        login.is_error(&login.code(CODE), 500, "server_misconfigured");
        login.says(&format!("errcode={errcode}"));
        login.says(remedy);
        assert_eq!(vendor.calls("/api/rmp/session"), 0, "the code is not spent");
        vendor.is_content();
        login.hides(&["canary"]);
    }
}

#[test]
fn data_of_xiaohongshu_has_our_watermark_in_either_spelling() {
    let (phone, user) = (json!({ "encryptedData": PHONE, "iv": IV }), json!({ "encryptedData": USER, "iv": IV }));
    let signed = json!({ "rawData": RAW_DATA, "signature": SIGNATURE });
    let vendor = start(0);
    let careful = login(&vendor, "", APPID, SECRET);
    let ticket = careful.ticket(CODE);
    careful.is_error(&careful.post("/v1/phone", &ticket, &phone), 400, "not_supported");
    careful.is_error(&careful.post("/v1/userdata", &ticket, &user), 400, "bad_user_data");
    assert_eq!(careful.post("/v1/userdata", &ticket, &signed).json(), json!({ "signature_valid": true }));
    let answer = careful.post("/v1/userdata", &careful.ticket("long"), &user);
    assert_eq!(answer.json()["data"]["nickName"], "Alice", "{answer:?}");

    let bold = login(&vendor, "phone_unverified = true\n", APPID, SECRET);
    let answer = bold.post("/v1/phone", &bold.ticket(CODE), &phone);
    assert_eq!((answer.status, &answer.json()["phone_number"]), (200, &json!("+8613800000000")), "{answer:?}");
    bold.hides(&["13800000000", PHONE, SESSION_KEY]);
}
