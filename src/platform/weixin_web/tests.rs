use super::*;
use crate::platform::tests::scripted::{SECRET, Scripted, code, exchanged, logs_in_at_the_simulator, word};
use crate::secret::SecretText;

const APPID: &str = "wxfedcba9876543210";
const GOOD: &str = r#"{"access_token":"canary","expires_in":7200,"refresh_token":"canary","openid":"oLVPpjqs9BhvzwPj5A-vTYAX3GLc",
    "scope":"snsapi_userinfo","unionid":"o6_bmasdasdsad6_2sgVt7hMZOPfL"}"#;

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let wechat = Scripted::saying(GOOD).await;
    let identity = wechat.app("weixin-web", PlatformOptions::new(APPID)).exchange(&code("a&b=c")).await.unwrap();
    let [asked] = &wechat.asked("GET /sns/oauth2/access_token")[..] else { panic!() };
    let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let expected = format!("appid={APPID}&secret={secret}&code=a%26b%3Dc&grant_type=authorization_code");
    assert_eq!((&*asked.query, &*asked.body), (&*expected, ""));
    assert_eq!(identity.openid.as_str(), "oLVPpjqs9BhvzwPj5A-vTYAX3GLc");
    assert_eq!(identity.unionid.unwrap().as_str(), "o6_bmasdasdsad6_2sgVt7hMZOPfL");
    assert!(identity.session_key.is_none());
}

#[tokio::test]
async fn a_snapshot_user_is_kept_out_however_that_is_written() {
    for written in ["1", "\"1\"", "true", "2", "\"yes\"", "[]", "{}", "1.0"] {
        let answer = GOOD.replace(r#""scope""#, &format!(r#""is_snapshotuser":{written},"scope""#));
        let error = exchanged("weixin-web", APPID, &answer).await.unwrap_err();
        assert_eq!(error, PlatformError::UserRefused(RefusedUser::Snapshot), "{written}");
    }
    for written in ["0", "\"0\"", "false", "null"] {
        let answer = GOOD.replace(r#""scope""#, &format!(r#""is_snapshotuser":{written},"scope""#));
        exchanged("weixin-web", APPID, &answer).await.unwrap();
    }
}

#[tokio::test]
async fn every_number_has_its_meaning() {
    let refusal = |errcode: i64| format!(r#"{{"errcode":{errcode},"errmsg":"no, rid: 652d44d0-0e4a1b2c-00000001"}}"#);
    for (answer, expected) in [
        (&*refusal(40029), "InvalidCode"),
        (&refusal(40163), "CodeUsed"),
        (&refusal(42003), "InvalidCode"),
        (&refusal(40013), "Misconfigured"),
        (&refusal(40125), "Misconfigured"),
        (&refusal(40164), "Misconfigured"),
        (&refusal(45011), "RateLimited"),
        (&refusal(-1), "Busy"),
        (&refusal(12345), "UnknownErrcode"),
        (&GOOD.replace("oLVPpjqs9BhvzwPj5A-vTYAX3GLc", ""), "NoOpenid"),
        (r#"{"access_token":"t"}"#, "NoOpenid"),
        (r#"{"openid":"o o"}"#, "Identity"),
        (r#"{"openid":"o","scope":"snsapi_base"}"#, "ok"),
        (GOOD, "ok"),
    ] {
        assert_eq!(word(&exchanged("weixin-web", APPID, answer).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_with_its_remedy() {
    let wechat = Scripted::saying(r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#).await;
    let app = wechat.app("weixin-web", PlatformOptions::new(APPID));
    let error = app.exchange(&code("c")).await.unwrap_err();
    assert!(app.facts().remedy(&error).unwrap().contains("the app secret is wrong"), "{error}");
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    logs_in_at_the_simulator("weixin-web", || PlatformOptions::new(APPID), 40029).await;
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..PlatformOptions::new(APPID) };
    assert_eq!(format!("{:?}", WeixinWeb::new(options).unwrap()), format!("WeixinWeb {{ appid: {APPID:?}, .. }}"));
}
