//! Access tokens, seen through calls that need one.

use futures_util::future::join_all;

use super::*;

/// A phone number, by a code that no other call has used.
async fn phone(weapp: &Weapp) -> Result<Phone, PlatformError> {
    weapp.phone(&code("canarycode"), &openid(OPENID)).await
}

/// The tokens that calls to `line` came with.
fn tokens_at(wechat: &WeChat, line: &str) -> Vec<String> {
    wechat.seen(line).iter().map(|seen| seen.query.replace("access_token=", "")).collect()
}

/// An app that has a token, not just fetched.
async fn weapp_with_a_token(wechat: &WeChat) -> Weapp {
    let weapp = wechat.weapp();
    weapp.calls.tokens.current().await.unwrap();
    later(seconds(2)).await;
    weapp
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn one_token_is_fetched_for_all() {
    let wechat = WeChat::answering(fair_weather).await;
    let weapp = wechat.weapp();
    for outcome in join_all((0..50).map(|_| phone(&weapp))).await {
        outcome.unwrap();
    }
    weapp.check_session(&openid("o-alice"), &session_key("k")).await.unwrap();
    let fetches = wechat.seen(FETCH);
    assert_eq!(fetches.len(), 1);
    let expected = serde_json::json!({
        "grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": false,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&fetches[0].body).unwrap(), expected);
    assert_eq!(fetches[0].query, "");
    assert_eq!(tokens_at(&wechat, PHONE), vec!["token-1"; 50]);
}

#[tokio::test]
async fn a_login_needs_no_token() {
    let wechat = WeChat::answering(|seen, _| match &*seen.line {
        "GET /sns/jscode2session" => r#"{"openid":"o","session_key":"k"}"#.to_owned(),
        _ => panic!("{seen:?}"),
    })
    .await;
    wechat.weapp().exchange(&code("c")).await.unwrap();
}

#[tokio::test]
async fn a_token_is_replaced_in_its_last_minutes_while_it_is_still_used() {
    let wechat = WeChat::answering(fair_weather).await;
    let weapp = wechat.weapp();
    phone(&weapp).await.unwrap();
    // Earlier the platform would give the same one again.
    later(seconds(7200 - 300 - 1)).await;
    phone(&weapp).await.unwrap();
    assert!(!weapp.calls.tokens.are_being_fetched() && wechat.count(FETCH) == 1);
    later(seconds(61)).await;
    phone(&weapp).await.unwrap();
    assert_eq!(tokens_at(&wechat, PHONE), ["token-1"; 3], "nobody waits for the new one");
    wechat.reached(FETCH, 2).await;
    while tokens_at(&wechat, PHONE).last().unwrap() != "token-2" {
        phone(&weapp).await.unwrap();
    }
    assert_eq!(wechat.count(FETCH), 2);
}

#[tokio::test]
async fn a_token_that_cannot_be_replaced_is_used_to_its_end() {
    let wechat = WeChat::answering(|seen, count| match &*seen.line {
        FETCH if count > 1 => refused(-1),
        _ => fair_weather(seen, count),
    })
    .await;
    let weapp = wechat.weapp();
    phone(&weapp).await.unwrap();
    later(seconds(7200 - 240)).await;
    for fetches in 2..5 {
        phone(&weapp).await.unwrap();
        while weapp.calls.tokens.are_being_fetched() {
            tokio::task::yield_now().await;
        }
        assert_eq!(wechat.count(FETCH), fetches);
        later(seconds(2)).await;
    }
    later(seconds(240)).await;
    assert!(matches!(phone(&weapp).await, Err(PlatformError::Busy { .. })));
    assert_eq!(tokens_at(&wechat, PHONE), ["token-1"; 4], "the last call is not sent");
}

#[tokio::test]
async fn whatever_token_comes_is_good_for_five_minutes_and_not_replaced_within_one() {
    for expires_in in ["300", "7", "0", r#""120""#, "null"] {
        let wechat = WeChat::answering(move |seen, count| match &*seen.line {
            FETCH => format!(r#"{{"access_token":"token-{count}","expires_in":{expires_in}}}"#),
            _ => fair_weather(seen, count),
        })
        .await;
        let weapp = wechat.weapp();
        phone(&weapp).await.unwrap();
        later(seconds(59)).await;
        phone(&weapp).await.unwrap();
        assert!(!weapp.calls.tokens.are_being_fetched() && wechat.count(FETCH) == 1, "{expires_in}");
        later(seconds(240)).await;
        phone(&weapp).await.unwrap();
        assert_eq!(tokens_at(&wechat, PHONE), ["token-1"; 3], "{expires_in}");
        wechat.reached(FETCH, 2).await;
    }
}

#[tokio::test]
async fn a_token_is_not_used_after_its_end() {
    let wechat = WeChat::answering(fair_weather).await;
    let weapp = wechat.weapp();
    phone(&weapp).await.unwrap();
    later(seconds(7200)).await;
    phone(&weapp).await.unwrap();
    assert_eq!(tokens_at(&wechat, PHONE), ["token-1", "token-2"]);
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_call_sent_once_more() {
    for errcode in [40001, 40014, 42001] {
        let wechat = WeChat::answering(move |seen, count| {
            if seen.query.contains("access_token=token-1") { refused(errcode) } else { fair_weather(seen, count) }
        })
        .await;
        let weapp = weapp_with_a_token(&wechat).await;
        for _ in 0..2 {
            phone(&weapp).await.unwrap();
        }
        assert_eq!(tokens_at(&wechat, PHONE), ["token-1", "token-2", "token-2"], "{errcode}");
        assert_eq!(wechat.count(FETCH), 2, "{errcode}");
    }
}

#[tokio::test]
async fn a_crowd_whose_token_is_refused_fetches_one() {
    let wechat = WeChat::answering(|seen, count| {
        if seen.query.contains("access_token=token-1") { refused(42001) } else { fair_weather(seen, count) }
    })
    .await;
    let weapp = weapp_with_a_token(&wechat).await;
    for outcome in join_all((0..50).map(|_| phone(&weapp))).await {
        outcome.unwrap();
    }
    assert_eq!(wechat.count(FETCH), 2);
}

#[tokio::test]
async fn a_late_refusal_does_not_drop_a_newer_token() {
    let wechat = WeChat::answering(fair_weather).await;
    let tokens = wechat.weapp().calls.tokens;
    let first = tokens.current().await.unwrap();
    tokens.forget(&first);
    later(seconds(1)).await;
    let second = tokens.current().await.unwrap();
    tokens.forget(&first);
    assert!(Arc::ptr_eq(&tokens.current().await.unwrap(), &second));
    assert_eq!(wechat.count(FETCH), 2);
}

#[tokio::test]
async fn when_every_token_is_refused_the_call_fails() {
    let wechat = WeChat::answering(|seen, count| match &*seen.line {
        PHONE => refused(40001),
        _ => fair_weather(seen, count),
    })
    .await;
    let weapp = weapp_with_a_token(&wechat).await;
    let error = phone(&weapp).await.unwrap_err();
    assert!(matches!(error, PlatformError::Failed(FailedReason::AccessToken(_))), "{error:?}");
    assert_eq!((error.errcode().and_then(Errcode::as_number), error.rid().is_some()), (Some(40001), true));
    assert_eq!((wechat.count(PHONE), wechat.count(FETCH)), (2, 2));
}

#[tokio::test]
async fn a_token_that_is_refused_at_once_is_replaced_after_a_second() {
    let wechat = WeChat::answering(|seen, count| match &*seen.line {
        PHONE if count == 1 => refused(40001),
        _ => fair_weather(seen, count),
    })
    .await;
    let weapp = wechat.weapp();
    // The first fetch begins later, if only by what it takes to arrive.
    let start = Instant::now();
    let (outcome, ()) = tokio::join!(phone(&weapp), async {
        wechat.reached(PHONE, 1).await;
        while !weapp.calls.tokens.are_being_fetched() {
            tokio::task::yield_now().await;
        }
        later(Duration::from_millis(900)).await;
    });
    outcome.unwrap();
    let [_, second] = &wechat.seen(FETCH)[..] else { panic!("{:?}", wechat.seen(FETCH)) };
    assert!(second.at - start >= seconds(1), "{:?}", second.at - start);
}

#[tokio::test]
async fn a_failed_fetch_is_everybodys_and_remembered_for_a_second() {
    let wechat = WeChat::answering(|seen, count| match &*seen.line {
        FETCH if count == 1 => refused(-1),
        _ => fair_weather(seen, count),
    })
    .await;
    let weapp = wechat.weapp();
    for outcome in join_all((0..20).map(|_| phone(&weapp))).await {
        assert!(matches!(outcome, Err(PlatformError::Busy { .. })), "{outcome:?}");
    }
    phone(&weapp).await.unwrap_err();
    assert_eq!((wechat.count(FETCH), wechat.count(PHONE)), (1, 0));
    later(seconds(1)).await;
    phone(&weapp).await.unwrap();
    assert_eq!(wechat.count(FETCH), 2);
}

#[tokio::test]
async fn a_fetch_goes_on_when_nobody_waits_any_more() {
    let wechat = WeChat::gated(fair_weather).await;
    let weapp = Arc::new(wechat.weapp());
    let impatient = tokio::spawn({
        let weapp = Arc::clone(&weapp);
        async move { phone(&weapp).await }
    });
    wechat.reached(FETCH, 1).await;
    impatient.abort();
    impatient.await.unwrap_err();
    wechat.gate.add_permits(2);
    phone(&weapp).await.unwrap();
    assert_eq!(wechat.count(FETCH), 1);
}

#[tokio::test]
async fn a_fetch_that_hangs_ends() {
    let wechat = WeChat::gated(fair_weather).await;
    let weapp = wechat.weapp();
    let (outcome, ()) = tokio::join!(phone(&weapp), async {
        wechat.reached(FETCH, 1).await;
        later(PATIENT).await;
    });
    assert_eq!(outcome.unwrap_err(), PlatformError::Timeout);
    while weapp.calls.tokens.are_being_fetched() {
        tokio::task::yield_now().await;
    }
    wechat.gate.add_permits(3);
    later(seconds(2)).await;
    phone(&weapp).await.unwrap();
    assert_eq!(wechat.count(FETCH), 2);
}

#[tokio::test]
async fn a_fetch_that_is_refused_means_what_it_says() {
    for (errcode, expected) in [
        (40001, "Misconfigured"),
        (40125, "Misconfigured"),
        (40164, "Misconfigured"),
        (45009, "Busy"),
        (12345, "Failed"),
    ] {
        let wechat = WeChat::answering(move |_, _| refused(errcode)).await;
        let error = phone(&wechat.weapp()).await.unwrap_err();
        assert_eq!(format!("{error:?}").split(['(', ' ']).next(), Some(expected), "{errcode}");
        assert_eq!(error.errcode().and_then(Errcode::as_number), Some(errcode));
    }
}

#[tokio::test]
async fn a_token_that_is_none_is_a_failure() {
    for answer in [
        r#"{"expires_in":7200}"#,
        r#"{"access_token":"","expires_in":7200}"#,
        r#"{"access_token":"a b","expires_in":7200}"#,
        r#"{"access_token":7,"expires_in":7200}"#,
        r#"{"access_token":"t","expires_in":-1}"#,
        r#"{"access_token":"t","expires_in":true}"#,
        "busy",
    ] {
        let wechat = WeChat::answering(move |_, _| answer.to_owned()).await;
        let error = phone(&wechat.weapp()).await.unwrap_err();
        assert_eq!(error, PlatformError::Failed(FailedReason::Malformed), "{answer}");
    }
    let long = format!(r#"{{"access_token":"{}","expires_in":7200}}"#, "t".repeat(2049));
    let wechat = WeChat::answering(move |_, _| long.clone()).await;
    assert_eq!(phone(&wechat.weapp()).await.unwrap_err(), PlatformError::Failed(FailedReason::Malformed));
}
