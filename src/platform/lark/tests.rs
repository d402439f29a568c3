use futures_util::future::join_all;

use super::*;
use crate::platform::tests::scripted::{Asked, SECRET, Scripted, code, logs_in_at_the_simulator, word};

const APPID: &str = "cli_9f3ca975326b501b";
const TOKEN: &str = "POST /open-apis/auth/v3/app_access_token/internal";
const LOGIN: &str = "POST /open-apis/mina/v2/tokenLoginValidate";
/// The example of the vendor's page, `union_id` included.
const GOOD: &str = r#"{"code":0,"msg":"success","data":{"open_id":"ou_194fcfc5e4b78db556a040ff5e42c0","employee_id":"6c486g",
    "union_id":"ou_be2c1742f2bb189469bdd33f0b1516","session_key":"e3aeb7df000c835365c630dac91bcf",
    "tenant_key":"2c5914ac018f97","access_token":"u-canary","expires_in":1565512680,"refresh_token":"ur-canary"}}"#;

fn refusal(code: i64) -> String {
    format!(r#"{{"code":{code},"msg":"no"}}"#)
}

fn token(count: usize, expire: &str) -> String {
    format!(
        r#"{{"code":0,"msg":"ok","app_access_token":"t-canary-{count}","expire":{expire},"tenant_access_token":"t-x"}}"#
    )
}

/// Gives tokens that live for two hours, and answers `login` to everything else.
async fn with_tokens(login: impl Fn(&Asked, usize) -> (u16, String) + Send + Sync + 'static) -> Arc<Scripted> {
    Scripted::answering(
        move |asked, count| if asked.line == TOKEN { (200, token(count, "7200")) } else { login(asked, count) },
    )
    .await
}

fn app(lark: &Scripted) -> Box<dyn Platform> {
    lark.app("lark", PlatformOptions::new(APPID))
}

async fn exchanged(status: u16, login: &str) -> Result<Identity, PlatformError> {
    let login = login.to_owned();
    let lark = with_tokens(move |_, _| (status, login.clone())).await;
    let outcome = app(&lark).exchange(&code("codecanary")).await;
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
    let lark = with_tokens(|_, _| (200, GOOD.to_owned())).await;
    let identity = app(&lark).exchange(&code("a&b=c")).await.unwrap();
    let [asked] = &lark.asked(TOKEN)[..] else { panic!() };
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({ "app_id": APPID, "app_secret": SECRET }));
    assert_eq!(
        (&*asked.query, &*asked.content_type, &*asked.authorization),
        ("", "application/json; charset=utf-8", "")
    );
    let [asked] = &lark.asked(LOGIN)[..] else { panic!() };
    assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), json!({ "code": "a&b=c" }));
    assert_eq!((&*asked.query, &*asked.authorization), ("", "Bearer t-canary-1"));
    assert_eq!(identity.openid.as_str(), "ou_194fcfc5e4b78db556a040ff5e42c0");
    assert!(identity.unionid.is_none(), "what is called union_id here is something else");
    assert_eq!(identity.session_key.unwrap().to_text().expose(), "e3aeb7df000c835365c630dac91bcf");
}

#[tokio::test]
async fn every_number_has_its_meaning() {
    for (status, answer, expected) in [
        (200, &*refusal(10213), "InvalidCode"),
        (200, &refusal(10228), "UserBlocked"),
        (200, &refusal(10202), "AccessToken"),
        (400, &refusal(99_991_664), "AccessToken"),
        (400, &refusal(99_991_400), "Busy"),
        (200, &refusal(10014), "Misconfigured"),
        (200, &refusal(12345), "UnknownErrcode"),
        (500, &refusal(10213), "Status"),
        (200, r#"{"code":"10213"}"#, "InvalidCode"),
        (200, r#"{"msg":"success"}"#, "Malformed"),
        (200, r#"{"code":0}"#, "NoOpenid"),
        (200, r#"{"code":0,"data":null}"#, "NoOpenid"),
        (200, r#"{"code":0,"data":{"open_id":""}}"#, "NoOpenid"),
        (200, r#"{"code":0,"data":{"open_id":"o o"}}"#, "Identity"),
        (200, r#"{"code":0,"data":{"open_id":"o"}}"#, "ok"),
        (200, GOOD, "ok"),
    ] {
        assert_eq!(word(&exchanged(status, answer).await), expected, "{status} {answer}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_app_is_told_before_a_code_is_spent() {
    for (status, errcode, remedy) in [
        (400, 10014, "the app secret is wrong; compare it with the one under Credentials in the developer console"),
        (200, 10014, "; it comes from the variable APP_SECRET"),
        (200, 10003, "begins with cli_"),
    ] {
        let lark = Scripted::answering(move |_, _| (status, refusal(errcode))).await;
        let app = app(&lark);
        let error = app.exchange(&code("c")).await.unwrap_err();
        assert_eq!((error.errcode(), lark.count()), (Some(&Errcode::Number(errcode)), 1));
        assert!(app.facts().remedy(&error).unwrap().contains(remedy), "{error}");
    }
    for bad in [r#"{"code":0}"#, r#"{"code":0,"app_access_token":"t","expire":"x"}"#, "{}"] {
        let lark = Scripted::saying(bad).await;
        assert_eq!(word(&app(&lark).exchange(&code("c")).await), "Malformed", "{bad}");
        assert_eq!(lark.count(), 1, "{bad}");
    }
}

#[tokio::test]
async fn one_token_is_fetched_for_all_and_replaced_in_its_last_half_hour() {
    let lark = with_tokens(|_, _| (200, GOOD.to_owned())).await;
    let app = app(&lark);
    let log_in = async || app.exchange(&code("c")).await.unwrap();
    join_all((0..20).map(|_| log_in())).await;
    later(5399).await;
    log_in().await;
    assert_eq!(lark.asked(TOKEN).len(), 1, "earlier there is no other one");
    later(62).await;
    log_in().await;
    while lark.asked(TOKEN).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lark.asked(LOGIN).last().unwrap().authorization, "Bearer t-canary-1", "nobody waits for it");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    for (status, errcode) in [(200, 10202), (400, 99_991_664)] {
        let lark = with_tokens(move |asked, _| match &*asked.authorization {
            "Bearer t-canary-1" => (status, refusal(errcode)),
            _ => (200, GOOD.to_owned()),
        });
        let lark = lark.await;
        app(&lark).exchange(&code("c")).await.unwrap();
        assert_eq!((lark.asked(TOKEN).len(), lark.asked(LOGIN).len()), (2, 2));
    }
    let lark = with_tokens(|_, _| (200, refusal(10202))).await;
    let app = app(&lark);
    let error = app.exchange(&code("c")).await.unwrap_err();
    assert_eq!((lark.asked(TOKEN).len(), lark.asked(LOGIN).len()), (2, 2));
    assert!(app.facts().remedy(&error).unwrap().contains("that it has just given"));
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    logs_in_at_the_simulator("lark", || PlatformOptions::new(APPID), 10213).await;
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..PlatformOptions::new(APPID) };
    assert_eq!(format!("{:?}", Lark::new(options).unwrap()), format!("Lark {{ appid: {APPID:?}, .. }}"));
}
