//! Calls with an access token.

use super::*;
use crate::platform::{IdentityError, PhoneError};

/// A platform that answers calls to `line` in this way.
async fn with(line: &'static str, answer: impl Into<String>) -> (Arc<WeChat>, Weapp) {
    let answer = answer.into();
    let script =
        move |seen: &Seen, count: usize| if seen.line == line { answer.clone() } else { fair_weather(seen, count) };
    let wechat = WeChat::answering(script).await;
    let weapp = wechat.weapp();
    (wechat, weapp)
}

fn malformed<T>() -> Result<T, PlatformError> {
    Err(PlatformError::Failed(FailedReason::Malformed))
}

#[tokio::test]
async fn a_phone_number_is_asked_for_by_code() {
    for country_code in ["86", r#""86""#] {
        let (wechat, weapp) = with(PHONE, phone_info(country_code)).await;
        let phone = weapp.phone(&code("a\"b"), &openid(OPENID)).await.unwrap();
        assert_eq!(
            (phone.number().as_str(), phone.country_code(), phone.pure()),
            ("+8613580006666", "86", "13580006666")
        );
        let [seen] = &wechat.seen(PHONE)[..] else { panic!("one code is one request") };
        assert_eq!(
            (&*seen.query, &*seen.body),
            ("access_token=token-1", r#"{"code":"a\"b","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE"}"#)
        );
    }
}

#[tokio::test]
async fn a_phone_code_that_is_refused_means_what_it_says() {
    for (errcode, expected, retry_after_s) in [
        (40029, "InvalidCode", None),
        (40163, "InvalidCode", None),
        (40003, "InvalidCode", None),
        (40013, "Misconfigured", None),
        (45011, "RateLimited", Some(60)),
        (45009, "Busy", Some(600)),
        (-1, "Busy", Some(2)),
        (48001, "Misconfigured", None),
        (12345, "Failed", None),
    ] {
        let (wechat, weapp) = with(PHONE, refused(errcode)).await;
        let error = weapp.phone(&code("c"), &openid(OPENID)).await.unwrap_err();
        assert_eq!(format!("{error:?}").split(['(', ' ']).next(), Some(expected), "{errcode}");
        assert_eq!(
            (error.errcode().and_then(Errcode::as_number), error.retry_after_s()),
            (Some(errcode), retry_after_s)
        );
        assert_eq!(wechat.count(PHONE), 1, "{errcode}");
    }
}

#[tokio::test]
async fn a_phone_number_for_another_app_is_not_taken() {
    let (_, weapp) = with(PHONE, phone_info("86").replace(APPID, "wxfedcba9876543210")).await;
    assert_eq!(
        weapp.phone(&code("c"), &openid(OPENID)).await.unwrap_err(),
        PlatformError::Failed(FailedReason::OtherApp)
    );
}

/// As numbers from abroad come.
#[tokio::test]
async fn a_phone_number_may_be_spelled_in_many_ways() {
    for (phone_number, pure, country_code, expected) in [
        ("0085261234567", "61234567", r#""00852""#, "+85261234567"),
        ("+852-6123 4567", "6123 4567", "852", "+85261234567"),
        ("+1 (876) 555-0123", "8765550123", r#""1-876""#, "+18765550123"),
    ] {
        let answer = phone_info(country_code).replacen("13580006666", phone_number, 1).replacen("13580006666", pure, 1);
        let (_, weapp) = with(PHONE, answer).await;
        assert_eq!(weapp.phone(&code("c"), &openid(OPENID)).await.unwrap().number().as_str(), expected);
    }
    let without = phone_info("0").replacen("13580006666", "+85261234567", 1).replacen("13580006666", "61234567", 1);
    let (_, weapp) = with(PHONE, without.replace(r#""countryCode":0,"#, "")).await;
    assert_eq!(weapp.phone(&code("c"), &openid(OPENID)).await.unwrap().number().as_str(), "+85261234567");
}

#[tokio::test]
async fn a_phone_number_that_is_none_is_a_failure() {
    let good = phone_info("86");
    for (bad, reason) in [
        (
            good.replace(r#""purePhoneNumber":"13580006666""#, r#""purePhoneNumber":"13580006667""#),
            PhoneError::Disagree,
        ),
        (good.replace("13580006666", "1358000canary"), PhoneError::Number),
        (good.replace("13580006666", "135"), PhoneError::Number),
        (phone_info("null"), PhoneError::CountryCode),
        (phone_info("86.5"), PhoneError::CountryCode),
        (phone_info("-86"), PhoneError::CountryCode),
        (phone_info("[86]"), PhoneError::CountryCode),
        (phone_info(r#""""#), PhoneError::CountryCode),
        (phone_info(r#""1-8760""#), PhoneError::CountryCode),
    ] {
        let (_, weapp) = with(PHONE, bad.clone()).await;
        let error = weapp.phone(&code("c"), &openid(OPENID)).await.unwrap_err();
        assert_eq!(error, PlatformError::Failed(FailedReason::Phone(reason)), "{bad}");
        assert!(!error.to_string().contains("JSON"), "{error}");
    }
    for bad in [
        good.replace(r#""phoneNumber":"13580006666","#, ""),
        good.replace("watermark", "waternark"),
        r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(),
    ] {
        let (_, weapp) = with(PHONE, bad.clone()).await;
        assert_eq!(weapp.phone(&code("c"), &openid(OPENID)).await.map(|_| ()), malformed(), "{bad}");
    }
}

#[tokio::test]
async fn a_phone_code_is_not_sent_again_when_nothing_comes_back() {
    let wechat = WeChat::gated(fair_weather).await;
    let weapp = weapp(&wechat.url, Duration::from_secs(2));
    let code = code("c");
    let openid = openid(OPENID);
    let (outcome, ()) = tokio::join!(weapp.phone(&code, &openid), async {
        wechat.let_through(FETCH).await;
        wechat.reached(PHONE, 1).await;
        later(Duration::from_secs(2)).await;
    });
    assert_eq!(outcome.unwrap_err(), PlatformError::Timeout);
    assert_eq!(wechat.count(PHONE), 1);
}

#[tokio::test]
async fn a_session_is_checked_by_a_signature() {
    let (wechat, weapp) = with(CHECK, r#"{"errcode":0,"errmsg":"ok"}"#).await;
    assert_eq!(weapp.check_session(&openid(OPENID), &session_key("o0q0otL8aEzpcZL/FT9WsQ==")).await, Ok(true));
    let expected = format!(
        "access_token=token-1&openid={OPENID}\
         &signature=46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128&sig_method=hmac_sha256"
    );
    assert_eq!(wechat.seen(CHECK)[0].query, expected);
}

#[tokio::test]
async fn a_signature_that_is_refused_is_a_stale_session_key() {
    for errcode in [87007, 87009] {
        let (_, weapp) = with(CHECK, refused(errcode)).await;
        assert_eq!(
            weapp.check_session(&openid(OPENID), &session_key("o0q0otL8aEzpcZL/FT9WsQ==")).await,
            Ok(false),
            "{errcode}"
        );
        let (_, weapp) = with(RESET, refused(errcode)).await;
        assert!(
            weapp.reset_session(&openid(OPENID), &session_key("o0q0otL8aEzpcZL/FT9WsQ==")).await.unwrap().is_none(),
            "{errcode}"
        );
    }
    for errcode in [87008, 40003, -1] {
        let (_, weapp) = with(CHECK, refused(errcode)).await;
        assert_eq!(
            weapp
                .check_session(&openid(OPENID), &session_key("o0q0otL8aEzpcZL/FT9WsQ=="))
                .await
                .unwrap_err()
                .errcode()
                .and_then(Errcode::as_number),
            Some(errcode)
        );
        let (_, weapp) = with(RESET, refused(errcode)).await;
        assert_eq!(
            weapp
                .reset_session(&openid(OPENID), &session_key("o0q0otL8aEzpcZL/FT9WsQ=="))
                .await
                .unwrap_err()
                .errcode()
                .and_then(Errcode::as_number),
            Some(errcode)
        );
    }
}

#[tokio::test]
async fn a_reset_gives_the_new_key() {
    let (wechat, weapp) =
        with(RESET, r#"{"errcode":0,"openid":"o-alice","session_key":"bmV3bmV3bmV3bmV3bmV3bg=="}"#).await;
    let key = weapp.reset_session(&openid("o-alice"), &session_key("o0q0otL8aEzpcZL/FT9WsQ==")).await.unwrap().unwrap();
    assert_eq!(key.to_text().expose(), "bmV3bmV3bmV3bmV3bmV3bg==");
    assert!(wechat.seen(RESET)[0].query.ends_with("fed128&sig_method=hmac_sha256"));
}

#[tokio::test]
async fn a_reset_that_cannot_be_sealed_is_a_failure() {
    let failed = |reason| PlatformError::Failed(reason);
    for (answer, error) in [
        (r#"{"openid":"o-bob","session_key":"k"}"#.to_owned(), failed(FailedReason::OtherUser)),
        (r#"{"openid":"o-alice"}"#.to_owned(), failed(FailedReason::Malformed)),
        (r#"{"session_key":""}"#.to_owned(), failed(IdentityError::SessionKey.into())),
        (r#"{"session_key":"k k"}"#.to_owned(), failed(IdentityError::SessionKey.into())),
        (format!(r#"{{"session_key":"{}"}}"#, "k".repeat(257)), failed(IdentityError::SessionKey.into())),
    ] {
        let (_, weapp) = with(RESET, answer.clone()).await;
        assert_eq!(
            weapp.reset_session(&openid("o-alice"), &session_key("o0q0otL8aEzpcZL/FT9WsQ==")).await.unwrap_err(),
            error,
            "{answer}"
        );
    }
    let (_, weapp) = with(RESET, r#"{"session_key":"k"}"#).await;
    assert_eq!(
        weapp
            .reset_session(&openid("o-alice"), &session_key("o0q0otL8aEzpcZL/FT9WsQ=="))
            .await
            .unwrap()
            .unwrap()
            .to_text()
            .expose(),
        "k"
    );
}

#[tokio::test]
async fn the_platform_says_what_it_has_made() {
    for (answer, expected) in [
        (r#"{"errcode":0,"errmsg":"ok","vaild":true,"create_time":1629121902}"#.to_owned(), Ok(true)),
        (r#"{"errcode":0,"errmsg":"ok","valid":true}"#.to_owned(), Ok(true)),
        (r#"{"errcode":0,"errmsg":"ok","vaild":false}"#.to_owned(), Ok(false)),
        (refused(1), Ok(false)),
        (r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(), malformed()),
        (r#"{"errcode":0,"errmsg":"ok","vaild":"true"}"#.to_owned(), malformed()),
    ] {
        let (_, weapp) = with(VOUCH, answer.clone()).await;
        assert_eq!(weapp.vouches_for("data").await, expected, "{answer}");
    }
    let (_, weapp) = with(VOUCH, refused(40097)).await;
    assert_eq!(weapp.vouches_for("data").await.unwrap_err().errcode().and_then(Errcode::as_number), Some(40097));
}

/// <https://developers.weixin.qq.com/minigame/dev/api-backend/open-api/user-info/auth.checkEncryptedData.html>
#[tokio::test]
async fn what_the_platform_is_asked_about_is_the_hash_of_the_base64_text() {
    let data = "hsSuSUsePBqSQw2rYMtf9Nvha603xX8f2BMQBcYRoJiMNwOqt/UEhrqekebG5ar0LFNAm5MD4Uz6zorRwiXJwbySJ/FEJHav4NsobBIU\
                1PwdjbJWVQLFy7+YFkHB32OnQXWMh6ugW7Dyk2KS5BXp1f5lniKPp1KNLyNLlFlNZ2mgJCJmWvHj5AI7BLpWwoRvqRyZvVXo+9FsWqvB\
                dxmAPA==";
    let (wechat, weapp) = with(VOUCH, r#"{"vaild":true}"#).await;
    weapp.vouches_for(data).await.unwrap();
    let seen = wechat.seen(VOUCH).remove(0);
    let hash = "657edd868c9715a9bebe42b833269a557a48498785397a796f1568c29a200b2c";
    assert_eq!((&*seen.query, seen.body), ("access_token=token-1", format!(r#"{{"encrypted_msg_hash":"{hash}"}}"#)));
}

#[tokio::test]
async fn other_calls_leave_half_the_turns_to_logins() {
    let wechat = WeChat::gated(|seen, count| match &*seen.line {
        "GET /sns/jscode2session" => r#"{"openid":"o"}"#.to_owned(),
        _ => fair_weather(seen, count),
    })
    .await;
    let weapp =
        Arc::new(Weapp::new(PlatformOptions { max_concurrent: 4, ..options(wechat.url.clone(), PATIENT) }).unwrap());
    let checks: Vec<_> = (0..20)
        .map(|_| {
            let weapp = Arc::clone(&weapp);
            tokio::spawn(
                async move { weapp.check_session(&openid(OPENID), &session_key("o0q0otL8aEzpcZL/FT9WsQ==")).await },
            )
        })
        .collect();
    wechat.reached(FETCH, 1).await;
    let logins: Vec<_> = (0..2)
        .map(|n| {
            let weapp = Arc::clone(&weapp);
            tokio::spawn(async move { weapp.exchange(&code(&format!("c{n}"))).await.map(|_| ()) })
        })
        .collect();
    wechat.reached("GET /sns/jscode2session", 2).await;
    wechat.gate.add_permits(Semaphore::MAX_PERMITS);
    for login in logins {
        login.await.unwrap().unwrap();
    }
    for check in checks {
        assert_eq!(check.await.unwrap(), Ok(true));
    }
}
