use futures_util::future::join_all;

use super::*;
use crate::platform::AppSettings;
use crate::platform::tests::scripted::{Asked, SECRET, Scripted, code, logs_in_at_the_simulator, word};

const APPID: &str = "wx0123456789abcdef";
const CORP: &str = "ww1a2b3c4d5e6f7081";
const TOKEN: &str = "GET /cgi-bin/gettoken";
const LOGIN: &str = "GET /cgi-bin/miniprogram/jscode2session";
const GOOD: &str = r#"{"corpid":"ww1a2b3c4d5e6f7081","userid":"alice","session_key":"ABEiM0RVZneImaq7zN3u\/w==",
    "deviceid":"d","errcode":0,"errmsg":"ok"}"#;

fn options() -> PlatformOptions {
    let settings = AppSettings { corp_id: Some(CORP.to_owned()), ..AppSettings::default() };
    PlatformOptions { settings, ..PlatformOptions::new(APPID) }
}

fn refusal(errcode: i64) -> String {
    let errmsg = "no, hint: [1787373915609110759172198], from ip: 203.0.113.7, more info at \
                  https://open.work.weixin.qq.com/devtool/query?e=1";
    format!(r#"{{"errcode":{errcode},"errmsg":"{errmsg}"}}"#)
}

/// Gives tokens that live for two hours, and answers `login` to everything else.
async fn with_tokens(login: impl Fn(&Asked, usize) -> String + Send + Sync + 'static) -> Arc<Scripted> {
    Scripted::answering(move |asked, count| {
        let token =
            || format!(r#"{{"errcode":0,"errmsg":"ok","access_token":"tokencanary-{count}","expires_in":7200}}"#);
        (200, if asked.line == TOKEN { token() } else { login(asked, count) })
    })
    .await
}

fn app(wecom: &Scripted) -> Box<dyn Platform> {
    wecom.app("wxwork", options())
}

async fn exchanged(login: &str) -> Result<Identity, PlatformError> {
    let login = login.to_owned();
    let wecom = with_tokens(move |_, _| login.clone()).await;
    let outcome = app(&wecom).exchange(&code("codecanary")).await;
    if let Err(error) = &outcome {
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    outcome
}

async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_requests_are_the_documented_ones() {
    let wecom = with_tokens(|_, _| GOOD.to_owned()).await;
    let identity = app(&wecom).exchange(&code("a&b=c")).await.unwrap();
    let [asked] = &wecom.asked(TOKEN)[..] else { panic!() };
    let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    assert_eq!((&*asked.query, &*asked.body), (&*format!("corpid={CORP}&corpsecret={secret}"), ""));
    let [asked] = &wecom.asked(LOGIN)[..] else { panic!() };
    let expected = "access_token=tokencanary-1&js_code=a%26b%3Dc&grant_type=authorization_code";
    assert_eq!((&*asked.query, &*asked.body), (expected, ""), "the appid goes nowhere");
    assert_eq!((identity.openid.as_str(), identity.unionid), (&*format!("{CORP}:alice"), None));
    assert_eq!(identity.session_key.unwrap().to_text().expose(), "ABEiM0RVZneImaq7zN3u/w==");
}

#[tokio::test]
async fn every_number_has_its_meaning() {
    for (answer, expected) in [
        (&*refusal(40029), "InvalidCode"),
        (&refusal(40014), "AccessToken"),
        (&refusal(42001), "AccessToken"),
        (&refusal(-1), "Busy"),
        (&refusal(45009), "Busy"),
        (&refusal(48002), "Misconfigured"),
        (&refusal(60020), "Misconfigured"),
        (&refusal(40163), "UnknownErrcode"),
        (&refusal(12345), "UnknownErrcode"),
        (r#"{"errcode":"40029"}"#, "InvalidCode"),
        (r#"{"errcode":{}}"#, "Malformed"),
        (r#"{"errcode":0}"#, "NoOpenid"),
        (&GOOD.replace(CORP, ""), "NoOpenid"),
        (&GOOD.replace("alice", ""), "NoOpenid"),
        (&GOOD.replace("alice", "a b"), "Identity"),
        (&GOOD.replace(r#","errcode":0,"errmsg":"ok""#, ""), "ok"),
        (GOOD, "ok"),
    ] {
        assert_eq!(word(&exchanged(answer).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn a_member_of_another_corp_is_kept_out() {
    for corp in ["ww1a2b3c4d5e6f7082", "WW1A2B3C4D5E6F7081", "ww1a2b3c4d5e6f7081:x"] {
        let error = exchanged(&GOOD.replace(CORP, corp)).await.unwrap_err();
        assert_eq!(error, PlatformError::UserRefused(RefusedUser::OtherCorp), "{corp}");
    }
    // Neither can a userid look like one of another corp.
    let openid = exchanged(&GOOD.replace("alice", "ww2:alice")).await.unwrap().openid;
    assert_eq!(openid.as_str(), format!("{CORP}:ww2:alice"));
    let settings = AppSettings { corp_id: Some("ww1:alice".to_owned()), ..AppSettings::default() };
    let made = Wxwork::new(PlatformOptions { settings, ..PlatformOptions::new(APPID) });
    assert_eq!(made.map(|_| ()).unwrap_err(), SetupError::CorpId);
}

#[tokio::test]
async fn what_is_wrong_with_the_app_is_told_with_its_remedy() {
    for (errcode, remedy) in [
        (40001, "the secret is wrong; it is that of the app which is linked with the mini-program"),
        (40001, "; it comes from the variable APP_SECRET"),
        (40013, "the platform does not know this corp_id"),
        (60020, "add this server's IP 203.0.113.7 to the trusted IPs"),
    ] {
        let wecom = Scripted::saying(refusal(errcode)).await;
        let app = app(&wecom);
        let error = app.exchange(&code("c")).await.unwrap_err();
        assert_eq!((error.errcode(), wecom.count()), (Some(&Errcode::Number(errcode)), 1), "no code was spent");
        assert!(app.facts().remedy(&error).unwrap().contains(remedy), "{error}");
    }
    let wecom = with_tokens(|_, _| refusal(48002)).await;
    let app = app(&wecom);
    let error = app.exchange(&code("c")).await.unwrap_err();
    assert!(app.facts().remedy(&error).unwrap().contains("not of the app that is linked"), "{error}");
    for bad in [r#"{"errcode":0}"#, r#"{"access_token":"t","expires_in":"x"}"#, r#"{"access_token":""}"#] {
        let wecom = Scripted::saying(bad).await;
        assert_eq!(word(&wecom.app("wxwork", options()).exchange(&code("c")).await), "Malformed", "{bad}");
    }
}

#[tokio::test]
async fn one_token_is_fetched_for_all_and_used_to_its_end() {
    let wecom = with_tokens(|_, _| GOOD.to_owned()).await;
    let app = app(&wecom);
    let log_in = async || app.exchange(&code("c")).await.unwrap();
    join_all((0..20).map(|_| log_in())).await;
    later(7199 - 60).await;
    log_in().await;
    assert_eq!(wecom.asked(TOKEN).len(), 1, "earlier there is no other one");
    later(62).await;
    log_in().await;
    assert_eq!(wecom.asked(TOKEN).len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    for errcode in [40014, 42001] {
        let wecom =
            with_tokens(
                move |asked, _| {
                    if asked.query.contains("tokencanary-1&") { refusal(errcode) } else { GOOD.to_owned() }
                },
            );
        let wecom = wecom.await;
        app(&wecom).exchange(&code("c")).await.unwrap();
        assert_eq!((wecom.asked(TOKEN).len(), wecom.asked(LOGIN).len()), (2, 2), "{errcode}");
    }
    let wecom = with_tokens(|_, _| refusal(40014)).await;
    let app = app(&wecom);
    let error = app.exchange(&code("c")).await.unwrap_err();
    assert_eq!((wecom.asked(TOKEN).len(), wecom.asked(LOGIN).len()), (2, 2));
    assert!(app.facts().remedy(&error).unwrap().contains("that it has just given"));
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    logs_in_at_the_simulator("wxwork", options, 40029).await;
}

/// Made with `openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0f0e...00` (OpenSSL 3.0).
const KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
/// A member as `wx.qy.getEnterpriseUserInfo` has one.
const USER: &str = "o1eUbQ2UCOXjg4NDdxaSoJ7WHopMqm4C3UWVx8MrQAtave8Gxho/YiuIc5/Z/d3B6Z9DOJrrXxeFg/9PO0Or1wzHm5PaMxzBwYl6WDU/9F1ENvEjEfVOB18FYVYD2fXdI7P8Daayp6f7PqGlh75kpZr+QjN7HztcwBUFJtGURdgxAZ5s43waNgkFdFSF0AMT";
/// The same without the corp.
const HALF: &str = "BwPTNqF0BkciXTYsg/eu+hCBTImQ+vkkjIx61EICu48V5D+GxH3IY9waMCMuArrjqyJIAT1AK3/Rs3+f0z2mnXHWLQ/jqOodrzjexOq38vAkZkrM5EV1qso1h1EK8Eh6RwhvIBgxJREv/qAj3ifyDg==";
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2BL6Uby/T3ckW7boId8lz7F14NvvmkG6HbdTn+BXi3ecYhWfdXDkJ5ea2Rb2hVRFhdhwHXpTEUGNbmVa+xBtlRzfEQ74J0n9k5FD+v7R4e9W/XKs72gHjaw0n8Am2bQ5Ldv9DV3wmpuoA3Vl7Oa8j9FNv1KJT9mP+Y8GN+hNk7lL3HcVDKgkBCE0ibMRC91IZA==";
/// A number in a member called `mobile`, without a country.
const MOBILE: &str = "xGq3GDi7EtfG2sOMiizn1qM/tK+mQwSflMgA0Zk/sYjH4GMwVo7PstInfVdiuERDCXb2xPSOi20V/ZSyAQ1ttna59AeTLVtCHE+bUJ16iAiO7Kz3sD2I0/UtAJNlYhY7";
/// An address whose watermark names the corp instead of the mini-program.
const OF_CORP: &str = "wbZXPbkveXW6I9GUxm6SAPtlciJPEgBf6PLoKieEHdtVqxP1VVHcJm3dEtsU4OOk8HAA9294680QmOEjhfM3PNVUP5GujYCtQ0vw2VaWNOqoT9UHH/+BMmsURtPdWzDM";
const EMAIL: &str = "wbZXPbkveXW6I9GUxm6SAPtlciJPEgBf6PLoKieEHdtVqxP1VVHcJm3dEtsU4OOkf8CHwryrrsalg+GgQy9qwlGraItxojdP3CU8CIIP3lwOOej74oqFq4z/r8uLVV79";

fn decrypt(data: &str) -> Result<UserData, UserDataError> {
    let wecom = Wxwork::new(options()).unwrap();
    wecom.decrypt(&SessionKey::parse(KEY).unwrap(), &Encrypted::parse(data.to_owned(), IV).unwrap())
}

#[test]
fn data_is_the_mini_programs_and_says_which_member_it_is_of() {
    let user = decrypt(USER).unwrap();
    assert_eq!((user.openid(), &user.members()["name"]), (Ok(Some(&*format!("{CORP}:alice"))), &"Alice".into()));
    assert_eq!(decrypt(EMAIL).unwrap().openid(), Ok(None));
    assert_eq!(decrypt(OF_CORP).unwrap_err(), UserDataError::Watermark);
    assert_eq!(decrypt(HALF).unwrap_err(), UserDataError::Owner);
}

#[test]
fn a_phone_number_is_taken_in_one_form_only() {
    assert_eq!(decrypt(PHONE).unwrap().phone().unwrap().number().as_str(), "+8613800000000");
    let mobile = decrypt(MOBILE).unwrap();
    assert!(mobile.phone().is_err() && mobile.mentions_a_phone(), "its country would be a guess");
    let with = |phone_unverified| {
        KIND.offered(&AppSettings { phone_unverified, ..AppSettings::default() }).contains(&Capability::PhoneByData)
    };
    assert!(with(true) && !with(false));
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..options() };
    let expected = format!("Wxwork {{ appid: {APPID:?}, corp_id: {CORP:?}, .. }}");
    assert_eq!(format!("{:?}", Wxwork::new(options).unwrap()), expected);
}
