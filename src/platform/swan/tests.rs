use std::time::Duration;

use futures_util::future::join_all;

use crate::platform::tests::scripted::{
    Asked, SECRET, Scripted, code, exchanged, logs_in_at_the_simulator, session_key, word,
};
use crate::platform::{AppSettings, Encrypted, Errcode, PlatformOptions, UserDataError};
use crate::secret::SecretText;

use super::*;

const APP_KEY: &str = "y2dTfnWfkx2OXttMEMWlGHoB1KzMogm7";
const OLD: &str = "POST /oauth/jscode2sessionkey";
const NEW: &str = "POST /rest/2.0/smartapp/getsessionkey";
const TOKEN: &str = "GET /oauth/2.0/token";
const GOOD: &str = r#"{"openid":"o","session_key":"1df09d0a1677dd72b8325aec59576e0c"}"#;
const NEW_GOOD: &str = r#"{"errno":0,"msg":"success","data":{"open_id":"o","session_key":"1df09d0a1677dd72b8325aec59576e0c"},"request_id":"1","timestamp":1}"#;

fn with_token() -> PlatformOptions {
    let settings = AppSettings { login_with_token: true, ..AppSettings::default() };
    PlatformOptions { settings, ..PlatformOptions::new(APP_KEY) }
}

/// Gives tokens, and answers `session` to everything else.
async fn with_tokens(session: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Arc<Scripted> {
    Scripted::answering(move |asked, count| match &*asked.line {
        TOKEN => (200, format!(r#"{{"access_token":"tokencanary-{count}","expires_in":2592000}}"#)),
        _ => (200, session(asked)),
    })
    .await
}

/// Moves tokio's clock.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_request_is_the_documented_form() {
    let swan = Scripted::saying(GOOD).await;
    let identity = swan.app("swan", PlatformOptions::new(APP_KEY)).exchange(&code("a&b=c@host/1")).await.unwrap();
    let [asked] = &swan.asked(OLD)[..] else { panic!() };
    let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let expected = format!("code=a%26b%3Dc%40host%2F1&client_id={APP_KEY}&sk={secret}");
    assert_eq!((&*asked.query, &*asked.body), ("", &*expected));
    assert_eq!(asked.content_type, "application/x-www-form-urlencoded");
    assert_eq!((identity.openid.as_str(), identity.unionid), ("o", None));
    assert_eq!(identity.session_key.unwrap().to_text().expose(), "1df09d0a1677dd72b8325aec59576e0c");
}

#[tokio::test]
async fn a_number_decides() {
    for (answer, expected) in [
        (r#"{"errno":10010100,"error":"parameter is invalid","error_description":"canary"}"#, "InvalidCode"),
        (r#"{"errno":"10010100"}"#, "InvalidCode"),
        (r#"{"errno":10010101,"openid":"o","session_key":"k"}"#, "UnknownErrcode"),
        (r#"{"error_code":110,"error_msg":"Access token invalid"}"#, "UnknownErrcode"),
        (r#"{"errno":"x"}"#, "Malformed"),
        (r#"{"errno":0,"openid":""}"#, "NoOpenid"),
        ("{}", "NoOpenid"),
        (r#"{"openid":"o o"}"#, "Identity"),
        (r#"{"errno":0,"openid":"o"}"#, "ok"),
        (GOOD, "ok"),
    ] {
        assert_eq!(word(&exchanged("swan", APP_KEY, answer).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn with_a_token_the_requests_are_those_of_the_vendors_library() {
    let swan = with_tokens(|_| NEW_GOOD.to_owned()).await;
    let app = swan.app("swan", with_token());
    let log_in = async || app.exchange(&code("a&b=c")).await.unwrap();
    for identity in join_all((0..10).map(|_| log_in())).await {
        assert_eq!(identity.openid.as_str(), "o");
        assert_eq!(identity.session_key.unwrap().to_text().expose(), "1df09d0a1677dd72b8325aec59576e0c");
    }
    let [asked] = &swan.asked(TOKEN)[..] else { panic!("one token for all") };
    let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let expected =
        format!("grant_type=client_credentials&client_id={APP_KEY}&client_secret={secret}&scope=smartapp_snsapi_base");
    assert_eq!(asked.query, expected);
    let asked = &swan.asked(NEW)[0];
    assert_eq!((&*asked.query, &*asked.body), ("access_token=tokencanary-1&code=a%26b%3Dc", ""));
    assert!(swan.asked(OLD).is_empty());
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    for errcode in [110, 111] {
        let refusal = format!(r#"{{"error_code":{errcode},"error_msg":"canary"}}"#);
        let (first, all) = (refusal.clone(), refusal);
        let swan =
            with_tokens(
                move |asked| {
                    if asked.query.contains("tokencanary-1&") { first.clone() } else { NEW_GOOD.to_owned() }
                },
            );
        let swan = swan.await;
        swan.app("swan", with_token()).exchange(&code("c")).await.unwrap();
        assert_eq!((swan.asked(TOKEN).len(), swan.asked(NEW).len()), (2, 2));

        let swan = with_tokens(move |_| all.clone()).await;
        let app = swan.app("swan", with_token());
        let error = app.exchange(&code("c")).await.unwrap_err();
        assert_eq!(
            (word(&Err::<(), _>(error.clone())), error.errcode()),
            ("AccessToken".to_owned(), Some(&errcode.into()))
        );
        assert_eq!((swan.asked(TOKEN).len(), swan.asked(NEW).len()), (2, 2));
        assert!(app.facts().remedy(&error).unwrap().contains("login_with_token = false needs none"));
    }
}

#[tokio::test]
async fn a_code_that_is_none_leaves_the_token_alone() {
    let swan = with_tokens(|_| r#"{"errno":10010100,"msg":"no","data":null,"request_id":"ab-1"}"#.to_owned()).await;
    let app = swan.app("swan", with_token());
    for _ in 0..3 {
        let error = app.exchange(&code("c")).await.unwrap_err();
        assert_eq!(
            (word(&Err::<(), _>(error.clone())), error.rid().unwrap().to_string()),
            ("InvalidCode".to_owned(), "ab-1".to_owned())
        );
    }
    assert_eq!(swan.asked(TOKEN).len(), 1);
}

#[tokio::test]
async fn who_is_unknown_is_told_before_a_code_is_spent() {
    for (status, answer, expected) in [
        (401, r#"{"error":"invalid_client","error_description":"unknown client id"}"#, "Misconfigured"),
        (200, r#"{"error":"unauthorized_client"}"#, "Misconfigured"),
        (401, r#"{"error":"server_error"}"#, "UnknownErrcode"),
        (500, "{}", "Status"),
        (200, "{}", "Malformed"),
        (200, r#"{"access_token":"t"}"#, "Malformed"),
        (200, r#"{"access_token":"","expires_in":1}"#, "Malformed"),
    ] {
        let swan = Scripted::answering(move |_, _| (status, answer.to_owned())).await;
        let app = swan.app("swan", with_token());
        let error = app.exchange(&code("c")).await.unwrap_err();
        assert_eq!(word(&Err::<(), _>(error.clone())), expected, "{answer}");
        assert_eq!(swan.count(), 1, "{answer}");
        let remedy = app.facts().remedy(&error);
        assert_eq!(remedy.is_some(), expected == "Misconfigured", "{remedy:?}");
        if let Some(remedy) = remedy {
            assert!(remedy.contains("App Key or App Secret is wrong") && remedy.contains("the variable APP_SECRET"));
        }
    }
    assert_eq!(Errcode::parse_text("invalid_client").unwrap().to_string(), "invalid_client");
}

#[tokio::test]
async fn a_token_is_replaced_before_its_end() {
    let swan = with_tokens(|_| NEW_GOOD.to_owned()).await;
    let app = swan.app("swan", with_token());
    app.exchange(&code("c")).await.unwrap();
    later(2_592_000 - 301).await;
    app.exchange(&code("c")).await.unwrap();
    assert_eq!(swan.asked(TOKEN).len(), 1);
    later(302).await;
    app.exchange(&code("c")).await.unwrap();
    assert_eq!(swan.asked(TOKEN).len(), 2);
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once_either_way() {
    logs_in_at_the_simulator("swan", || PlatformOptions::new(APP_KEY), 10_010_100).await;
    logs_in_at_the_simulator("swan", with_token, 10_010_100).await;
}

#[test]
fn only_data_with_our_app_key_is_decrypted_and_nothing_is_signed() {
    let data = "TXm/m2HMWuwglYRXGwuRS7aZoSCfMocn+Afyz2gtt4tI7cqXjZvZ7gjaH0aK1oTJg1Udb4lcBAoWSfjAMG1xvUi9iK8LEImncz9SsYSRXjpg0APEly1yhoQdavLClpcD";
    let decrypt = |app_key: &str| {
        let encrypted = Encrypted::parse(data.to_owned(), "Dw4NDAsKCQgHBgUEAwIBAA==").unwrap();
        let key = session_key("1df09d0a1677dd72b8325aec59576e0c");
        Swan::new(PlatformOptions::new(app_key)).unwrap().decrypt(&key, &encrypted)
    };
    assert_eq!(decrypt(APP_KEY).unwrap().phone().unwrap().pure(), "13800000000");
    assert_eq!(decrypt("other").unwrap_err(), UserDataError::Watermark);
    let offered = KIND.offered(&AppSettings::default());
    assert_eq!(offered, [Capability::EncryptedUserData]);
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..PlatformOptions::new(APP_KEY) };
    assert_eq!(format!("{:?}", Swan::new(options).unwrap()), format!("Swan {{ appid: {APP_KEY:?}, .. }}"));
}
