//! Apps for which a third-party platform acts.

use super::*;
use crate::platform::{AppSettings, SecretSource};

const PATH: &str = "GET /sns/component/jscode2session";
const SESSION: &str =
    r#"{"openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","session_key":"tiihtNczf5v6AKRyjwEUhQ==","unionid":"u"}"#;

/// An app whose owner has these tokens in the file, one after another; `Err` is what is wrong with the file.
fn weapp_with(wechat: &WeChat, tokens: &[Result<&'static str, &'static str>]) -> Weapp {
    let tokens = Mutex::new(tokens.to_vec());
    let read = move || {
        let mut tokens = tokens.lock().unwrap();
        let token = if tokens.len() > 1 { tokens.remove(0) } else { tokens[0] };
        token.map(SecretText::new).map_err(str::to_owned)
    };
    weapp_at(wechat.url.clone(), SecretSource::new(read))
}

fn weapp_at(url: Url, component_access_token: SecretSource) -> Weapp {
    let settings = AppSettings {
        component_appid: Some("wxfedcba9876543210".to_owned()),
        component_access_token: Some(component_access_token),
        ..AppSettings::default()
    };
    Weapp::new(PlatformOptions { secret: None, settings, ..options(url, PATIENT) }).unwrap()
}

#[tokio::test]
async fn a_code_is_exchanged_with_the_token_of_the_moment_and_no_secret() {
    let wechat = WeChat::answering(|_, _| SESSION.to_owned()).await;
    let weapp = weapp_with(&wechat, &[Ok("one/canary"), Ok("two/canary")]);
    for _ in 0..2 {
        assert_eq!(weapp.exchange(&code("a&b")).await.unwrap().openid.as_str(), OPENID);
    }
    let expected = |token| {
        format!(
            "component_access_token={token}%2Fcanary&component_appid=wxfedcba9876543210&appid={APPID}&js_code=a%26b&\
             grant_type=authorization_code"
        )
    };
    let queries: Vec<String> = wechat.seen(PATH).into_iter().map(|seen| seen.query).collect();
    assert_eq!(queries, [expected("one"), expected("two")]);
}

#[tokio::test]
async fn a_refused_token_is_replaced_by_a_newer_one_and_the_code_sent_once_more() {
    for errcode in [40001, 40014, 42001] {
        let answer = move |is_old: bool| if is_old { refused(errcode) } else { SESSION.to_owned() };
        let wechat = WeChat::answering(move |seen, _| answer(seen.query.contains("=old&"))).await;
        weapp_with(&wechat, &[Ok("old"), Ok("new")]).exchange(&code("c")).await.unwrap();
        assert_eq!(wechat.count(PATH), 2, "{errcode}");
    }
}

#[tokio::test]
async fn a_refused_token_that_nobody_replaces_is_the_owners_to_mend() {
    let wechat = WeChat::answering(|_, _| refused(42001)).await;
    for (tokens, calls) in [(&[Ok("old")][..], 1), (&[Ok("old"), Ok("also-old")], 3)] {
        let weapp = weapp_with(&wechat, tokens);
        let error = weapp.exchange(&code("c")).await.unwrap_err();
        assert!(matches!(error, PlatformError::Misconfigured { client_may_cause: false, .. }), "{error:?}");
        assert_eq!(wechat.count(PATH), calls);
        let remedy = weapp.facts().remedy(&error).unwrap();
        assert!(remedy.contains("write a fresh component_access_token there"), "{remedy}");
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_empty_costs_no_code() {
    let wechat = WeChat::answering(|_, _| SESSION.to_owned()).await;
    let weapp = weapp_with(&wechat, &[Err("\"/x\": the file is empty; it should hold the secret"), Ok("new")]);
    let error = weapp.exchange(&code("c")).await.unwrap_err();
    assert!(matches!(&error, PlatformError::NoSecret(why) if why.contains("is empty")), "{error:?}");
    assert_eq!((wechat.count(PATH), error.failure()), (0, Some("no_secret")));
    let remedy = weapp.facts().remedy(&error).unwrap();
    assert!(remedy.starts_with("component_access_token_file is \"/x\": the file is empty"), "{remedy}");
    weapp.exchange(&code("c")).await.unwrap();
}

#[tokio::test]
async fn every_number_of_the_interface_has_its_meaning_and_remedy() {
    for (errcode, expected, remedy) in [
        (40029, "InvalidCode", None),
        (40163, "CodeUsed", None),
        (45011, "RateLimited", None),
        (-1, "Busy", None),
        (41018, "Misconfigured", Some("does not know component_appid")),
        (41021, "Misconfigured", Some("write a fresh component_access_token there")),
        (61003, "Misconfigured", Some("has not authorized the third-party platform")),
        (61004, "Misconfigured", Some("allow-list")),
        (40013, "Misconfigured", Some("does not know this appid")),
        (12345, "Failed", None),
    ] {
        let wechat = WeChat::answering(move |_, _| refused(errcode)).await;
        let weapp = weapp_with(&wechat, &[Ok("t")]);
        let error = weapp.exchange(&code("c")).await.unwrap_err();
        assert_eq!(format!("{error:?}").split(['(', ' ']).next(), Some(expected), "{errcode}");
        match remedy {
            None => assert_eq!(weapp.facts().remedy(&error), None, "{errcode}"),
            Some(remedy) => assert!(weapp.facts().remedy(&error).unwrap().contains(remedy), "{errcode}"),
        }
    }
}

/// They need an access token of the app, which nobody here can make.
#[tokio::test]
async fn what_needs_a_token_of_the_app_is_not_there() {
    let wechat = WeChat::answering(fair_weather).await;
    let weapp = weapp_with(&wechat, &[Ok("t")]);
    let left = [Capability::EncryptedUserData, Capability::SignedUserData, Capability::UserSignatures];
    assert_eq!(weapp.facts().capabilities(), left);
    let (openid, key) = (openid(OPENID), session_key("tiihtNczf5v6AKRyjwEUhQ=="));
    assert_eq!(weapp.phone(&code("c"), &openid).await.unwrap_err(), PlatformError::Unsupported);
    assert_eq!(weapp.check_session(&openid, &key).await.unwrap_err(), PlatformError::Unsupported);
    assert_eq!(weapp.reset_session(&openid, &key).await.map(|_| ()).unwrap_err(), PlatformError::Unsupported);
    assert_eq!(weapp.vouches_for("data").await.unwrap_err(), PlatformError::Unsupported);
    assert!(wechat.seen.lock().unwrap().is_empty(), "nothing is sent");
    assert!(matches!(
        Weapp::new(PlatformOptions { secret: None, ..options(wechat.url.clone(), PATIENT) }),
        Err(SetupError::Missing(_))
    ));
}

#[tokio::test]
async fn the_simulated_platform_takes_such_codes() {
    let (url, simulator) = simulator().await;
    let weapp = weapp_at(url, SecretSource::new(|| Ok(SecretText::new("any"))));
    let identity = weapp.exchange(&code("demo-alice-1")).await.unwrap();
    assert_eq!(identity.openid.as_str(), simulator.user(APPID, "alice").unwrap().openid);
    assert!(matches!(weapp.exchange(&code("demo-alice-1")).await, Err(PlatformError::CodeUsed(_))));
}
