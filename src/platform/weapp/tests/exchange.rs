//! Login codes.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get;
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::platform::{IdentityError, Unreachable};

const GOOD: &str = r#"{"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE"}"#;

/// A platform that answers its first request with given bytes, or not at all, and later ones properly.
struct Stub {
    url: Url,
    /// The head of each request that arrived.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    async fn answering(first: Option<Vec<u8>>) -> Self {
        let (listener, url) = listen().await;
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, first) = (Arc::clone(&seen), first.clone());
                // A client that gives up half-way is part of some tests.
                tokio::spawn(async move { Self::answer(stream, &seen, first).await.ok() });
            }
        });
        Self { url, heads }
    }

    async fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>, first: Option<Vec<u8>>) -> io::Result<()> {
        let head = read_head(&mut stream).await?;
        let count = {
            let mut seen = seen.lock().unwrap();
            seen.push(head);
            seen.len()
        };
        match first {
            Some(answer) if count == 1 => stream.write_all(&answer).await?,
            None if count == 1 => std::future::pending().await,
            _ => stream.write_all(&ok(GOOD)).await?,
        }
        stream.shutdown().await
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn http(status_and_headers: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let head = format!("HTTP/1.1 {status_and_headers}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    http("200 OK\r\nContent-Type: text/plain", body.as_ref())
}

/// Exchanges a code with a platform that answers in this way; then once more, to see that nothing is broken.
async fn exchange_with(first: Option<Vec<u8>>, timeout: Duration) -> Result<Identity, PlatformError> {
    let stub = Stub::answering(first).await;
    let weapp = weapp(&stub.url, timeout);
    let outcome = weapp.exchange(&code("canarycode")).await;
    assert_eq!(stub.heads().len(), 1, "one exchange is one request");
    assert_eq!(weapp.exchange(&code("next")).await.unwrap().openid.as_str(), "oGZUI0egBJY1zhBYw2KhdUfwVJJE");
    assert_eq!(stub.heads().len(), 2, "one exchange is one request");
    if let Err(error) = &outcome {
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    outcome
}

async fn failure_of(body: impl AsRef<[u8]>) -> FailedReason {
    match exchange_with(Some(ok(body)), PATIENT).await {
        Err(PlatformError::Failed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// A success with this openid, unionid and `session_key`, each as JSON.
fn session(openid: &str, unionid: &str, session_key: &str) -> String {
    format!(r#"{{"openid":{openid},"unionid":{unionid},"session_key":{session_key}}}"#)
}

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let stub = Stub::answering(Some(ok(GOOD))).await;
    let weapp = weapp(&stub.url.join("/proxy/wx/").unwrap(), PATIENT);
    weapp.exchange(&code("a&b=c+d%#/?")).await.unwrap();
    let head = stub.heads().remove(0);
    let request_line = format!(
        "GET /proxy/wx/sns/jscode2session?appid={APPID}&secret={SECRET}&js_code=a%26b%3Dc%2Bd%25%23%2F%3F\
         &grant_type=authorization_code HTTP/1.1\r\n"
    );
    assert!(head.starts_with(&request_line), "{head}");
    assert!(!head.to_ascii_lowercase().contains("referer"), "{head}");
}

#[tokio::test]
async fn a_user_of_the_simulator_logs_in() {
    let (url, simulator) = simulator().await;
    let identity = weapp(&url, PATIENT).exchange(&code("demo-alice-1")).await.unwrap();
    let alice = simulator.user(APPID, "alice").unwrap();
    assert_eq!((identity.openid.as_str(), identity.unionid.unwrap().as_str()), (&*alice.openid, &*alice.unionid));
    assert_eq!(identity.session_key.unwrap().to_text().expose().len(), 24);
}

#[tokio::test]
async fn a_used_code_is_told_apart_from_an_invalid_one() {
    let (url, _) = simulator().await;
    let weapp = weapp(&url, PATIENT);
    weapp.exchange(&code("demo-alice-1")).await.unwrap();
    let used = weapp.exchange(&code("demo-alice-1")).await.unwrap_err();
    assert!(matches!(used, PlatformError::CodeUsed(_)) && used.rid().is_some(), "{used:?}");
    let invalid = weapp.exchange(&code("nonsense")).await.unwrap_err();
    assert!(matches!(invalid, PlatformError::InvalidCode(_)) && invalid.rid().is_some(), "{invalid:?}");
}

#[tokio::test]
async fn every_errcode_has_its_meaning() {
    let (url, _) = simulator().await;
    let weapp = weapp(&url, PATIENT);
    for (errcode, meaning, retry_after_s) in [
        (-1, "Busy", Some(2)),
        (40029, "InvalidCode", None),
        (40163, "CodeUsed", None),
        (42003, "InvalidCode", None),
        (40226, "UserBlocked", None),
        (45011, "RateLimited", Some(60)),
        (45009, "Busy", Some(600)),
        (40013, "Misconfigured", None),
        (40125, "Misconfigured", None),
        (41002, "Misconfigured", None),
        (41004, "Misconfigured", None),
        (41008, "Misconfigured", None),
        (40002, "Misconfigured", None),
        (40164, "Misconfigured", None),
        (40243, "Misconfigured", None),
        (48001, "Misconfigured", None),
        (48004, "Misconfigured", None),
        (50002, "UserBlocked", None),
        (61003, "Misconfigured", None),
        (61004, "Misconfigured", None),
        (40001, "Failed", None),
        (12345, "Failed", None),
        (-1009, "Failed", None),
    ] {
        let error = weapp.exchange(&code(&format!("err-{errcode}"))).await.unwrap_err();
        let variant = format!("{error:?}");
        assert_eq!(variant.split(['(', ' ']).next(), Some(meaning), "{errcode}");
        assert_eq!(
            (error.errcode().and_then(Errcode::as_number), error.retry_after_s()),
            (Some(errcode), retry_after_s),
            "{errcode}"
        );
        assert!(error.rid().is_some(), "{errcode}");
    }
    weapp.exchange(&code("demo-alice-1")).await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_named() {
    let (url, _) = simulator().await;
    let error = weapp(&url, PATIENT).exchange(&code("err-40164")).await.unwrap_err();
    let PlatformError::Misconfigured { address, .. } = error else { panic!("{error:?}") };
    assert_eq!(address, Some("203.0.113.7".parse().unwrap()));
}

#[tokio::test]
async fn an_answer_is_read_by_its_content() {
    let escaped = GOOD.replace("tii", r"\/+\/");
    for answer in [
        ok(GOOD),
        ok(format!("\u{feff}\r\n {GOOD}\n")),
        ok(GOOD.replace('{', r#"{"errcode":0,"errmsg":"ok","#)),
        ok(GOOD.replace('{', r#"{"errcode":null,"expires_in":7200,"more":[{}],"#)),
        ok(GOOD.replace('{', r#"{"errcode":"0","#)),
        http("200 OK\r\nContent-Type: text/html; charset=gbk", GOOD.as_bytes()),
        http("200 OK\r\nContent-Encoding: gzip", GOOD.as_bytes()),
        format!("HTTP/1.1 200 OK\r\n\r\n{GOOD}").into_bytes(),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len()).into(),
    ] {
        let identity = exchange_with(Some(answer), PATIENT).await.unwrap();
        assert_eq!(identity.session_key.unwrap().to_text().expose(), "tiihtNczf5v6AKRyjwEUhQ==");
        assert_eq!(identity.unionid, None);
    }
    let identity = exchange_with(Some(ok(escaped)), PATIENT).await.unwrap();
    assert_eq!(identity.session_key.unwrap().to_text().expose(), "/+/htNczf5v6AKRyjwEUhQ==");
}

#[tokio::test]
async fn an_errcode_decides_whatever_else_is_there() {
    for answer in [
        r#"{"errcode":40163}"#,
        r#"{"errcode":"40163","errmsg":7}"#,
        r#"{"errcode":40163,"errmsg":null,"openid":7}"#,
        r#"{"errcode":40163,"errmsg":"","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","session_key":"k"}"#,
    ] {
        let outcome = exchange_with(Some(ok(answer)), PATIENT).await;
        assert_eq!(outcome.unwrap_err(), PlatformError::CodeUsed(ErrorDetail::new(40163, None)), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_of_no_use_is_a_failure() {
    for answer in [
        "",
        "<html>canary</html>",
        "null",
        "7",
        r#"["canary"]"#,
        r#"[0,"ok"]"#,
        "{} {}",
        r#"{"openid":7}"#,
        r#"{"openid":"o","openid":"o"}"#,
        r#"{"errcode":40029.5}"#,
        r#"{"errcode":99999999999999999999}"#,
        r#"{"errcode":"forty"}"#,
        r#"{"errcode":true}"#,
        r#"{"openid":"canary\ud800"}"#,
    ] {
        assert_eq!(failure_of(answer).await, FailedReason::Malformed, "{answer}");
    }
    assert_eq!(failure_of(b"{\"openid\":\"\xff\"}").await, FailedReason::Malformed);
    assert_eq!(failure_of(b"\x1f\x8b\x08\x00canary").await, FailedReason::Malformed);
    let deep = format!("{{\"errmsg\":{}", "[".repeat(10_000));
    assert_eq!(failure_of(deep).await, FailedReason::Malformed);
}

#[tokio::test]
async fn half_an_answer_is_a_failure() {
    assert_eq!(failure_of(&GOOD[..40]).await, FailedReason::CutOff);
    let whole = ok(GOOD);
    for len in [0, 5, 40, whole.len() - 1] {
        let outcome = exchange_with(Some(whole[..len].to_vec()), PATIENT).await;
        assert_eq!(outcome.unwrap_err(), PlatformError::Failed(FailedReason::CutOff), "{len}");
    }
    let outcome = exchange_with(Some(b"canary\r\n\r\n".to_vec()), PATIENT).await;
    assert_eq!(outcome.unwrap_err(), PlatformError::Failed(FailedReason::CutOff));
}

#[tokio::test]
async fn another_status_than_200_is_a_failure() {
    for status in [201_u16, 204, 400, 401, 404, 429, 500, 502, 503] {
        let outcome = exchange_with(Some(http(&format!("{status} Canary"), b"")), PATIENT).await;
        assert_eq!(outcome.unwrap_err(), PlatformError::Failed(FailedReason::Status(status)));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Stub::answering(Some(ok(GOOD))).await;
    for status in [301_u16, 302, 307, 308] {
        let redirect = http(&format!("{status} Moved\r\nLocation: {}", target.url), b"");
        let outcome = exchange_with(Some(redirect), PATIENT).await;
        assert_eq!(outcome.unwrap_err(), PlatformError::Failed(FailedReason::Status(status)));
    }
    assert!(target.heads().is_empty());
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let too_large = FailedReason::TooLarge(65_536);
    assert_eq!(failure_of(vec![b' '; 1024 * 1024]).await, too_large);
    assert_eq!(failure_of(format!("{GOOD}{}", " ".repeat(65_537 - GOOD.len()))).await, too_large);
    let largest = format!("{GOOD}{}", " ".repeat(65_536 - GOOD.len()));
    exchange_with(Some(ok(largest)), PATIENT).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_may_not_be_sealed_is_a_failure() {
    for openid in [r#""""#, "null"] {
        assert_eq!(failure_of(session(openid, r#""u""#, r#""canary""#)).await, FailedReason::NoOpenid);
    }
    assert_eq!(failure_of("{}").await, FailedReason::NoOpenid);
    let long = format!("\"{}\"", "canary".repeat(60));
    for (answer, error) in [
        (session(&format!("\"{}\"", "o".repeat(129)), "null", "null"), IdentityError::Openid),
        (session(r#""canary\n""#, "null", "null"), IdentityError::Openid),
        (session(r#""o""#, &long, "null"), IdentityError::Unionid),
        (session(r#""o""#, "null", r#""canary canary""#), IdentityError::SessionKey),
        (session(r#""o""#, "null", &long), IdentityError::SessionKey),
    ] {
        assert_eq!(failure_of(answer).await, FailedReason::Identity(error));
    }
    let bare = exchange_with(Some(ok(session(r#""o""#, r#""""#, r#""""#))), PATIENT).await.unwrap();
    assert!(bare.unionid.is_none() && bare.session_key.is_none());
}

#[tokio::test]
async fn a_platform_that_does_not_answer_is_given_up() {
    assert_eq!(exchange_with(None, HASTY).await.unwrap_err(), PlatformError::Timeout);
    let stalled = b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{".to_vec();
    let (listener, url) = listen().await;
    let stall = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.write_all(&stalled).await.unwrap();
        // Ends when the client has gone.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok()
    });
    assert_eq!(weapp(&url, HASTY).exchange(&code("c")).await.unwrap_err(), PlatformError::Timeout);
    stall.await.unwrap();
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_unreachable() {
    let (listener, url) = listen().await;
    drop(listener);
    assert_eq!(
        weapp(&url, PATIENT).exchange(&code("c")).await.unwrap_err(),
        PlatformError::Unreachable(Unreachable::Refused)
    );
}

#[tokio::test]
async fn the_faults_of_the_simulator_are_failures() {
    let (url, _) = simulator().await;
    let weapp = weapp(&url, HASTY);
    for (text, error) in [
        ("garbage", PlatformError::Failed(FailedReason::Malformed)),
        ("cut", PlatformError::Failed(FailedReason::CutOff)),
        ("http-500", PlatformError::Failed(FailedReason::Status(500))),
        ("hang", PlatformError::Timeout),
        ("slow-60000-alice", PlatformError::Timeout),
    ] {
        assert_eq!(weapp.exchange(&code(text)).await.unwrap_err(), error, "{text}");
        weapp.exchange(&code("slow-1-alice")).await.unwrap();
    }
}

#[test]
fn the_mock_code_of_the_developer_tools_is_explained() {
    let weapp = weapp(&Url::parse("http://127.0.0.1:1").unwrap(), PATIENT);
    assert!(weapp.explain_code("the code is a mock one").unwrap().contains("set a real appid"));
    for other in ["The code is a mock one", "demo-alice-1", ""] {
        assert_eq!(weapp.explain_code(other), None, "{other}");
    }
}

#[tokio::test]
async fn no_more_exchanges_run_at_once_than_allowed() {
    let (running, most, total) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let gate = Arc::new(Semaphore::new(0));
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let counters = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&total), Arc::clone(&gate));
    let handler = move || {
        let (running, most, total, gate) = counters.clone();
        let arrived = arrived.clone();
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            total.fetch_add(1, Ordering::SeqCst);
            arrived.send(()).unwrap();
            gate.acquire().await.unwrap().forget();
            running.fetch_sub(1, Ordering::SeqCst);
            GOOD
        }
    };
    let url = serve(Router::new().route("/sns/jscode2session", get(handler))).await;
    let weapp = Arc::new(Weapp::new(PlatformOptions { max_concurrent: 2, ..options(url, PATIENT) }).unwrap());
    let exchanges: Vec<_> = (0..6)
        .map(|n| {
            let weapp = Arc::clone(&weapp);
            tokio::spawn(async move { weapp.exchange(&code(&format!("code{n}"))).await.map(|_| ()) })
        })
        .collect();
    for _ in 0..2 {
        arrivals.recv().await.unwrap();
    }
    for _ in 0..6 {
        gate.add_permits(1);
    }
    for exchange in exchanges {
        exchange.await.unwrap().unwrap();
    }
    assert_eq!((most.load(Ordering::SeqCst), total.load(Ordering::SeqCst)), (2, 6));
}

#[tokio::test]
async fn a_code_that_waits_too_long_for_its_turn_is_not_spent() {
    let stub = Stub::answering(Some(ok(GOOD))).await;
    let weapp = Weapp::new(PlatformOptions { max_concurrent: 1, ..options(stub.url.clone(), HASTY) }).unwrap();
    let only_permit = weapp.app.permits.acquire(Share::Logins).await.unwrap();
    let late = weapp.exchange(&code("canarycode")).await.unwrap_err();
    assert_eq!(late, PlatformError::Busy { detail: ErrorDetail::default(), retry_after_s: 2 });
    assert!(stub.heads().is_empty());
    drop(only_permit);
    weapp.exchange(&code("canarycode")).await.unwrap();
}

#[tokio::test]
async fn a_code_is_not_sent_again_when_a_kept_connection_closes_under_it() {
    let (listener, url) = listen().await;
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heads = vec![read_head(&mut stream).await.unwrap()];
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        heads.push(read_head(&mut stream).await.unwrap());
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        heads.push(read_head(&mut stream).await.unwrap());
        stream.write_all(&ok(GOOD)).await.unwrap();
        heads
    });
    let weapp = weapp(&url, PATIENT);
    weapp.exchange(&code("first")).await.unwrap();
    let cut = weapp.exchange(&code("second")).await.unwrap_err();
    assert_eq!(cut, PlatformError::Failed(FailedReason::CutOff));
    weapp.exchange(&code("third")).await.unwrap();
    for (head, text) in seen.await.unwrap().iter().zip(["first", "second", "third"]) {
        assert!(head.contains(&format!("js_code={text}&")), "{head}");
    }
}
