//! What is logged, and what is not.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing_subscriber::filter::LevelFilter;

use super::*;

thread_local! {
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Writes for the test that runs on this thread, if it records.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.iter_mut().for_each(|lines| lines.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Records what this thread logs from now on.
///
/// One subscriber serves all threads. Were there one for each, a line that another thread comes to first, where nobody
/// listens, would be off for everybody.
fn record() {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(|| Lines)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    LINES.set(Some(Vec::new()));
}

fn recorded() -> String {
    String::from_utf8(LINES.take().unwrap()).unwrap()
}

#[tokio::test]
async fn the_log_says_what_to_do_and_holds_no_secret() {
    record();
    let (url, simulator) = simulator().await;
    let weapp = weapp(&url, HASTY);
    weapp.exchange(&code("demo-canary-1")).await.unwrap();
    for text in ["demo-canary-1", "canary", "err-40164", "err-40125", "hang", "cut", "garbage", "http-500"] {
        weapp.exchange(&code(text)).await.unwrap_err();
    }
    let log = recorded();
    for expected in [
        "interface=\"sns/jscode2session\" duration_ms=",
        "answered",
        "errcode=40163 rid=",
        "ERROR",
        "add this server's IP 203.0.113.7 to",
        "the app secret is wrong",
        "did not answer in time",
    ] {
        assert!(log.contains(expected), "{expected} is not in {log}");
    }
    for secret in ["canary", "js_code", "secret=", &simulator.user(APPID, "canary").unwrap().openid] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

/// 40013 is the set-up's fault or a code of another app: an operator hears of it, and once, whoever sends such codes.
#[tokio::test]
async fn a_flood_of_refusals_is_one_line_with_the_remedy() {
    record();
    let wechat = WeChat::answering(|seen, count| match &*seen.line {
        PHONE => refused(if count <= 20 { 40013 } else { 48001 }),
        _ => fair_weather(seen, count),
    })
    .await;
    let weapp = wechat.weapp();
    for _ in 0..40 {
        weapp.phone(&code("c"), &openid(OPENID)).await.unwrap_err();
    }
    later(Duration::from_secs(60)).await;
    weapp.phone(&code("c"), &openid(OPENID)).await.unwrap_err();
    let log = recorded();
    let lines = |level: &str| log.lines().filter(|line| line.contains(level)).collect::<Vec<_>>();
    let [warning] = &lines(" WARN ")[..] else { panic!("{log}") };
    assert!(warning.contains("errcode=40013") && warning.contains("is not of this appid; check"), "{warning}");
    let [first, second] = &lines("ERROR ")[..] else { panic!("{log}") };
    assert!(first.contains("errcode=48001") && first.contains("untold=0"), "{first}");
    assert!(second.contains("untold=19"), "{second}");
}

#[tokio::test]
async fn a_token_and_what_goes_with_it_are_in_no_log() {
    record();
    let wechat = WeChat::answering(|seen, count| match &*seen.line {
        FETCH => format!(r#"{{"access_token":"tokencanary-{count}","expires_in":7200}}"#),
        PHONE => refused(42001),
        VOUCH => refused(40097),
        _ => fair_weather(seen, count),
    })
    .await;
    let weapp = wechat.weapp();
    weapp.check_session(&openid("openidcanary"), &session_key("keycanary")).await.unwrap();
    later(Duration::from_secs(2)).await;
    weapp.phone(&code("codecanary"), &openid(OPENID)).await.unwrap_err();
    weapp.reset_session(&openid("openidcanary"), &session_key("keycanary")).await.unwrap_err();
    weapp.vouches_for("datacanary").await.unwrap_err();
    let log = recorded();
    assert!(log.contains("stable_token") && log.contains("errcode=40097") && log.contains("force_refresh"), "{log}");
    for secret in ["canary", "access_token", "signature=", "13580006666", "bmV3"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
