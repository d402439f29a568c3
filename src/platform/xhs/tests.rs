use futures_util::future::join_all;

use crate::platform::tests::scripted::{Asked, SECRET, Scripted, code, logs_in_at_the_simulator, session_key, word};
use crate::platform::{AppSettings, Encrypted, PlatformOptions, UserDataError};
use crate::secret::SecretText;

use super::*;

const APPID: &str = "66aabbccddeeff0011223344";
const TOKEN: &str = "POST /api/rmp/token";
const SESSION: &str = "GET /api/rmp/session";
const GOOD: &str =
    r#"{"code":0,"success":true,"msg":"success","data":{"openid":"o","session_key":"ABEiM0RVZneImaq7zN3u/w=="}}"#;

fn refusal(code: i64) -> String {
    format!(r#"{{"data":null,"success":false,"msg":"no","code":{code}}}"#)
}

fn token(count: usize) -> String {
    format!(r#"{{"code":0,"success":true,"data":{{"access_token":"tokencanary-{count}","expire_in":7200}}}}"#)
}

/// Gives tokens, and answers `session` to everything else.
async fn with_tokens(session: impl Fn(&Asked, usize) -> String + Send + Sync + 'static) -> Arc<Scripted> {
    Scripted::answering(move |asked, count| {
        (200, if asked.line == TOKEN { token(count) } else { session(asked, count) })
    })
    .await
}

async fn exchanged(session: &str) -> Result<Identity, PlatformError> {
    let session = session.to_owned();
    let xhs = with_tokens(move |_, _| session.clone()).await;
    let outcome = xhs.app("xhs", PlatformOptions::new(APPID)).exchange(&code("codecanary")).await;
    if let Err(error) = &outcome {
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    outcome
}

/// Moves tokio's clock.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_requests_are_the_documented_ones() {
    let xhs = with_tokens(|_, _| GOOD.to_owned()).await;
    let app = xhs.app("xhs", PlatformOptions::new(APPID));
    let identity = app.exchange(&code("a&b=c")).await.unwrap();
    let [asked] = &xhs.asked(TOKEN)[..] else { panic!() };
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({ "appid": APPID, "secret": SECRET }));
    assert_eq!((&*asked.query, &*asked.content_type), ("", "application/json"));
    let [asked] = &xhs.asked(SESSION)[..] else { panic!() };
    let expected = format!("app_id={APPID}&access_token=tokencanary-1&code=a%26b%3Dc");
    assert_eq!((&*asked.query, &*asked.body), (&*expected, ""));
    assert_eq!((identity.openid.as_str(), identity.unionid), ("o", None));
    assert_eq!(identity.session_key.unwrap().to_text().expose(), "ABEiM0RVZneImaq7zN3u/w==");
}

#[tokio::test]
async fn every_number_has_its_meaning() {
    for (answer, expected) in [
        (&*refusal(410_103), "InvalidCode"),
        (&refusal(410_002), "Misconfigured"),
        (&refusal(410_004), "Misconfigured"),
        (&refusal(410_999), "UnknownErrcode"),
        (&refusal(410_101), "AccessToken"),
        (&refusal(-1), "UnknownErrcode"),
        (&refusal(0), "Malformed"),
        (r#"{"code":"410103"}"#, "InvalidCode"),
        (r#"{"success":true,"data":{"openid":"o"}}"#, "Malformed"),
        (r#"{"code":0,"success":true,"data":null}"#, "NoOpenid"),
        (r#"{"code":0,"success":true,"data":{}}"#, "NoOpenid"),
        (r#"{"code":0,"success":true,"data":{"openid":""}}"#, "NoOpenid"),
        (r#"{"code":0,"data":{"open_id":"o"}}"#, "ok"),
        (&GOOD.replace("openid", "open_id"), "ok"),
        (&GOOD.replace(r#""code":0"#, r#""code":"0""#), "ok"),
        (GOOD, "ok"),
    ] {
        assert_eq!(word(&exchanged(answer).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_app_is_told_before_a_code_is_spent() {
    for (errcode, remedy) in [
        (410_004, "the app secret is wrong; compare it with the one on miniapp.xiaohongshu.com; it comes from"),
        (410_002, "does not know this appid"),
    ] {
        let xhs = Scripted::saying(refusal(errcode)).await;
        let app = xhs.app("xhs", PlatformOptions::new(APPID));
        let error = app.exchange(&code("c")).await.unwrap_err();
        assert_eq!((error.errcode(), xhs.count()), (Some(&Errcode::Number(errcode)), 1));
        assert!(app.facts().remedy(&error).unwrap().contains(remedy), "{error}");
    }
    for bad in [r#"{"code":0,"data":{}}"#, r#"{"code":0,"data":{"access_token":"t","expire_in":"x"}}"#, "{}"] {
        let xhs = Scripted::saying(bad).await;
        assert_eq!(word(&xhs.app("xhs", PlatformOptions::new(APPID)).exchange(&code("c")).await), "Malformed", "{bad}");
        assert_eq!(xhs.count(), 1, "{bad}");
    }
}

#[tokio::test]
async fn one_token_is_fetched_for_all_and_used_to_its_end() {
    let xhs = with_tokens(|_, _| GOOD.to_owned()).await;
    let app = xhs.app("xhs", PlatformOptions::new(APPID));
    let log_in = async || app.exchange(&code("c")).await.unwrap();
    join_all((0..20).map(|_| log_in())).await;
    later(7199 - 60).await;
    log_in().await;
    assert_eq!(xhs.asked(TOKEN).len(), 1, "asking earlier would cut the time of other replicas");
    later(62).await;
    log_in().await;
    assert_eq!(xhs.asked(TOKEN).len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let xhs =
        with_tokens(|asked, _| if asked.query.contains("tokencanary-1&") { refusal(410_101) } else { GOOD.to_owned() });
    let xhs = xhs.await;
    let app = xhs.app("xhs", PlatformOptions::new(APPID));
    app.exchange(&code("c")).await.unwrap();
    assert_eq!((xhs.asked(TOKEN).len(), xhs.asked(SESSION).len()), (2, 2));

    let xhs = with_tokens(|_, _| refusal(410_101)).await;
    let app = xhs.app("xhs", PlatformOptions::new(APPID));
    let error = app.exchange(&code("c")).await.unwrap_err();
    assert_eq!((xhs.asked(TOKEN).len(), xhs.asked(SESSION).len()), (2, 2));
    assert_eq!(error.errcode(), Some(&Errcode::Number(410_101)));
    assert!(app.facts().remedy(&error).unwrap().contains("run two replicas at most"));
}

/// After five minutes a token may have been ended by one other replica, and then nobody else asks at the same time.
#[tokio::test]
async fn only_a_young_token_that_is_refused_tells_of_a_crowd() {
    let scripted = with_tokens(|_, _| GOOD.to_owned()).await;
    let xhs = Xhs::new(PlatformOptions { base_url: Some(scripted.url()), ..PlatformOptions::new(APPID) }).unwrap();
    let refused_after = async |seconds| {
        let token = xhs.tokens.current().await.unwrap();
        later(seconds).await;
        xhs.tokens.forget(&token);
        let is_crowded = xhs.tokens.are_in_a_crowd();
        xhs.tokens.current().await.unwrap();
        assert!(!xhs.tokens.are_in_a_crowd(), "one wait for one refusal");
        later(2).await;
        is_crowded
    };
    assert!(!refused_after(300).await);
    assert!(refused_after(290).await);
    assert!(refused_after(0).await);
    assert_eq!(scripted.asked(TOKEN).len(), 4);
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    logs_in_at_the_simulator("xhs", || PlatformOptions::new(APPID), 410_103).await;
}

fn decrypt(data: &str, key: &str, appid: &str) -> Result<UserData, UserDataError> {
    let xhs = Xhs::new(PlatformOptions::new(appid)).unwrap();
    xhs.decrypt(&session_key(key), &Encrypted::parse(data.to_owned(), IV).unwrap())
}

/// Made with `openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0f0e...00`, and with `-aes-192-cbc` and
/// `0123456789abcdef` more of the key (OpenSSL 3.0).
const KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const LONG_KEY: &str = "ABEiM0RVZneImaq7zN3u/wEjRWeJq83v";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2BL6Uby/T3ckW7boId8lz7F14NvvmkG6HbdTn+BXi3ecYhWfdXDkJ5ea2Rb2hVRFhdhwHXpTEUGNbmVa+xBtlRzfEQ74J0n9k5FD+v7R4e9W3x2FXVoENLmkhjhzdVxBFEJadSnLyZ8pAYxR7AArJEFXTVZgI2LkhOAcsf9r6hxS6Vi5t4KllSQAFFueVbETjg==";
const USER: &str = "QHmjEUiRGU8L/ZspIK2NtTwfSxvLlbAcngr7IZZo3TlwV7kIGREgBoe2pbo3CGw5KwGUDpNSJWEQQieKsxJxZ8DLEzoKXeLGpv8y7Vv83PHepeAMPcnhMXiQYvLwNv7X/WDsU3aGLxSFPZb9Ldv+Lg==";

#[test]
fn the_length_of_the_key_says_which_aes_it_is() {
    assert_eq!(decrypt(PHONE, KEY, APPID).unwrap().phone().unwrap().number().as_str(), "+8613800000000");
    assert_eq!(decrypt(USER, LONG_KEY, APPID).unwrap().openid(), Ok(Some("o")));
    assert_eq!(decrypt(USER, KEY, APPID).unwrap_err(), UserDataError::Padding);
    for bad in ["AAAA", "not-base64", "ABEiM0RVZneImaq7zN3u_w=="] {
        assert_eq!(decrypt(USER, bad, APPID).unwrap_err(), UserDataError::Key, "{bad}");
    }
}

/// One of these has `appId` in its watermark, the other one `appid`.
#[test]
fn the_watermark_has_to_be_ours_in_either_spelling() {
    assert_eq!(decrypt(PHONE, KEY, "other").unwrap_err(), UserDataError::Watermark);
    assert_eq!(decrypt(USER, LONG_KEY, "other").unwrap_err(), UserDataError::Watermark);
    let both = |appid: &str| {
        let json = format!(r#"{{"watermark":{{"appId":"{APPID}","appid":"{appid}"}}}}"#);
        UserData::parse(json.as_bytes(), &DATA).unwrap().of_app(APPID).map(|_| ())
    };
    assert_eq!((both(APPID), both("other")), (Ok(()), Err(UserDataError::Watermark)));
}

#[test]
fn encrypted_phone_numbers_are_for_who_wants_them_unverified() {
    let with = |phone_unverified| {
        KIND.offered(&AppSettings { phone_unverified, ..AppSettings::default() }).contains(&Capability::PhoneByData)
    };
    assert!(with(true) && !with(false));
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..PlatformOptions::new(APPID) };
    assert_eq!(format!("{:?}", Xhs::new(options).unwrap()), format!("Xhs {{ appid: {APPID:?}, .. }}"));
}
