use futures_util::future::join_all;

use super::*;
use crate::platform::AppSettings;
use crate::platform::tests::scripted::{Asked, SECRET, Scripted, code, logs_in_at_the_simulator, word};

const APPID: &str = "dingucj8egggau4ndj1w";
const CORP: &str = "dinga189547e135ec123";
const TOKEN: &str = "POST /v1.0/oauth2/accessToken";
const LOGIN: &str = "POST /topapi/v2/user/getuserinfo";
const GOOD: &str = r#"{"errcode":0,"errmsg":"ok","request_id":"3xaj1x1e0b1x","result":{"associated_unionid":"N2o5U3axxxx",
    "unionid":"gliiW0piiii02zBUjUiE","device_id":"12drtfxxxxx","sys_level":1,"name":"Alice","sys":true,"userid":"manager4220"}}"#;

fn options() -> PlatformOptions {
    let settings = AppSettings { corp_id: Some(CORP.to_owned()), ..AppSettings::default() };
    PlatformOptions { settings, ..PlatformOptions::new(APPID) }
}

fn refusal(errcode: i64) -> String {
    format!(r#"{{"errcode":{errcode},"errmsg":"no","request_id":"15s9in2w1yat9"}}"#)
}

fn by_gateway(sub_code: &str, sub_msg: &str) -> String {
    format!(
        r#"{{"errcode":88,"sub_code":{sub_code},"sub_msg":"{sub_msg}","errmsg":"ding talk error","request_id":"5imjny7u9xwa"}}"#
    )
}

/// Gives tokens that live for two hours, and answers `login` to everything else.
async fn with_tokens(login: impl Fn(&Asked, usize) -> String + Send + Sync + 'static) -> Arc<Scripted> {
    Scripted::answering(move |asked, count| {
        let token = || format!(r#"{{"accessToken":"tokencanary-{count}","expireIn":7200}}"#);
        (200, if asked.line == TOKEN { token() } else { login(asked, count) })
    })
    .await
}

fn app(dd: &Scripted) -> Box<dyn Platform> {
    dd.app("dd", options())
}

async fn exchanged(login: &str) -> Result<Identity, PlatformError> {
    let login = login.to_owned();
    let dd = with_tokens(move |_, _| login.clone()).await;
    let outcome = app(&dd).exchange(&code("codecanary")).await;
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
    let dd = with_tokens(|_, _| GOOD.to_owned()).await;
    let identity = app(&dd).exchange(&code("a&b=c")).await.unwrap();
    let [asked] = &dd.asked(TOKEN)[..] else { panic!() };
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({ "appKey": APPID, "appSecret": SECRET }));
    assert_eq!((&*asked.query, &*asked.content_type), ("", "application/json"));
    let [asked] = &dd.asked(LOGIN)[..] else { panic!() };
    assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), json!({ "code": "a&b=c" }));
    assert_eq!((&*asked.query, &*asked.content_type), ("access_token=tokencanary-1", "application/json"));
    assert_eq!(identity.openid.as_str(), format!("{CORP}:manager4220"));
    assert_eq!(identity.unionid.unwrap().as_str(), "gliiW0piiii02zBUjUiE");
    assert!(identity.session_key.is_none());
}

#[tokio::test]
async fn every_number_has_its_meaning() {
    for (answer, expected) in [
        (&*refusal(40078), "InvalidCode"),
        (&refusal(-1), "Busy"),
        (&refusal(12345), "UnknownErrcode"),
        (&by_gateway("\"40014\"", "no"), "AccessToken"),
        (&by_gateway("\"42001\"", "no"), "AccessToken"),
        (&by_gateway("40014", "no"), "AccessToken"),
        (&by_gateway("\"60011\"", "no"), "Misconfigured"),
        (&by_gateway("\"60020\"", "no"), "Misconfigured"),
        (&by_gateway("\"isp.top-remote-service-unavailable\"", "no"), "UnknownErrcode"),
        (&by_gateway("null", "no"), "UnknownErrcode"),
        (&by_gateway("\"40078\"", "no"), "UnknownErrcode"),
        (r#"{"errcode":"40078"}"#, "InvalidCode"),
        (r#"{"errmsg":"ok"}"#, "Malformed"),
        (r#"{"errcode":0}"#, "NoOpenid"),
        (r#"{"errcode":0,"result":{"unionid":"u"}}"#, "NoOpenid"),
        (r#"{"errcode":0,"result":{"userid":""}}"#, "NoOpenid"),
        (r#"{"errcode":0,"result":{"userid":"a b"}}"#, "Identity"),
        (r#"{"errcode":0,"result":{"userid":"a"}}"#, "ok"),
        (GOOD, "ok"),
    ] {
        assert_eq!(word(&exchanged(answer).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn an_error_shows_the_number_that_says_more_and_the_request() {
    let error = exchanged(&by_gateway("\"60011\"", "no")).await.unwrap_err();
    assert_eq!(error.errcode(), Some(&Errcode::Number(60011)));
    assert_eq!(error.rid().map(ToString::to_string).as_deref(), Some("5imjny7u9xwa"));
}

#[tokio::test]
async fn a_server_that_is_not_allowed_learns_its_address() {
    let dd = with_tokens(|_, _| by_gateway("\"60020\"", "访问ip不在白名单之中,request ip=203.0.113.7")).await;
    let app = app(&dd);
    let error = app.exchange(&code("c")).await.unwrap_err();
    assert!(app.facts().remedy(&error).unwrap().starts_with("add this server's IP 203.0.113.7 to"), "{error:?}");
}

#[tokio::test]
async fn wrong_credentials_are_a_400_and_cost_no_code() {
    let refused = r#"{"code":"invalidClientIdOrSecret","requestid":"6E3BD7A9","message":"no"}"#;
    let dd = Scripted::answering(move |_, _| (400, refused.to_owned())).await;
    let refusing = app(&dd);
    let error = refusing.exchange(&code("c")).await.unwrap_err();
    assert_eq!((word::<()>(&Err(error.clone())), dd.count()), ("Misconfigured".to_owned(), 1));
    assert_eq!(error.errcode().map(ToString::to_string).as_deref(), Some("invalidClientIdOrSecret"));
    assert_eq!(error.rid().map(ToString::to_string).as_deref(), Some("6E3BD7A9"));
    let remedy = refusing.facts().remedy(&error).unwrap();
    assert!(remedy.contains("AppKey and AppSecret") && remedy.contains("the variable APP_SECRET"), "{remedy}");
    for (status, answer, expected) in [
        (400, r#"{"code":"other"}"#, "UnknownErrcode"),
        (400, r#"{"code":"<b>"}"#, "Malformed"),
        (200, "{}", "Malformed"),
        (200, r#"{"accessToken":"t","expireIn":"x"}"#, "Malformed"),
        (403, r#"{"code":"Forbidden"}"#, "Status"),
        (503, "", "Status"),
    ] {
        let dd = Scripted::answering(move |_, _| (status, answer.to_owned())).await;
        assert_eq!(word(&app(&dd).exchange(&code("c")).await), expected, "{status} {answer}");
        assert_eq!(dd.count(), 1);
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    for sub_code in ["\"40014\"", "\"42001\""] {
        let dd = with_tokens(move |asked, _| {
            if asked.query.contains("tokencanary-1") { by_gateway(sub_code, "no") } else { GOOD.to_owned() }
        });
        let dd = dd.await;
        app(&dd).exchange(&code("c")).await.unwrap();
        assert_eq!((dd.asked(TOKEN).len(), dd.asked(LOGIN).len()), (2, 2), "{sub_code}");
    }
    let dd = with_tokens(|_, _| by_gateway("\"40014\"", "no")).await;
    let app = app(&dd);
    let error = app.exchange(&code("c")).await.unwrap_err();
    assert_eq!((dd.asked(TOKEN).len(), dd.asked(LOGIN).len()), (2, 2));
    assert!(app.facts().remedy(&error).unwrap().contains("that it has just given"));
}

#[tokio::test]
async fn one_token_is_fetched_for_all() {
    let dd = with_tokens(|_, _| GOOD.to_owned()).await;
    let app = app(&dd);
    let log_in = async || app.exchange(&code("c")).await.unwrap();
    join_all((0..20).map(|_| log_in())).await;
    later(6899).await;
    log_in().await;
    assert_eq!(dd.asked(TOKEN).len(), 1);
}

/// A corp's id cannot hold what stands between it and a userid.
#[tokio::test]
async fn members_of_two_corps_never_have_one_openid() {
    for bad in ["", "ding:1", "ding 1", &"d".repeat(65)] {
        let settings = AppSettings { corp_id: Some(bad.to_owned()), ..AppSettings::default() };
        let made = Dd::new(PlatformOptions { settings, ..PlatformOptions::new(APPID) });
        assert_eq!(made.map(|_| ()).unwrap_err(), SetupError::CorpId, "{bad}");
    }
    assert!(matches!(Dd::new(PlatformOptions::new(APPID)).map(|_| ()), Err(SetupError::Missing(_))));
    let log_in = async |corp: &str, userid: &str| {
        let login = GOOD.replace("manager4220", userid);
        let dd = with_tokens(move |_, _| login.clone()).await;
        let settings = AppSettings { corp_id: Some(corp.to_owned()), ..AppSettings::default() };
        let app = dd.app("dd", PlatformOptions { settings, ..PlatformOptions::new(APPID) });
        app.exchange(&code("c")).await.unwrap().openid
    };
    assert_eq!(log_in("a", "b:c").await.as_str(), "a:b:c");
    assert_ne!(log_in("ab", "c").await.as_str(), log_in("a", "bc").await.as_str());
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    logs_in_at_the_simulator("dd", options, 40078).await;
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..options() };
    let expected = format!("Dd {{ appid: {APPID:?}, corp_id: {CORP:?}, .. }}");
    assert_eq!(format!("{:?}", Dd::new(options).unwrap()), expected);
}
