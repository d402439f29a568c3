use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use url::Url;

use super::*;
use crate::clock::{FixedClock, UnixSeconds};
use crate::platform::{Errcode, ErrorDetail, FailedReason};
use crate::secret::SecretText;
use crate::simulator::Simulator;

mod access_token;
mod calls;
mod component;
mod exchange;
mod logs;

const APPID: &str = "wx0123456789abcdef";
const SECRET: &str = "5ecretcanary5ecretcanary5ecretca";
const PATIENT: Duration = Duration::from_secs(30);
const HASTY: Duration = Duration::from_millis(150);

fn options(base_url: Url, timeout: Duration) -> PlatformOptions {
    let secret = Some(SecretText::new(SECRET));
    let base_url = Some(base_url);
    PlatformOptions { secret, base_url, timeout, max_concurrent: 16, ..PlatformOptions::new(APPID) }
}

fn weapp(base_url: &Url, timeout: Duration) -> Weapp {
    Weapp::new(options(base_url.clone(), timeout)).unwrap()
}

fn openid(text: &str) -> PlatformId {
    PlatformId::parse(text).unwrap()
}

fn session_key(text: &str) -> SessionKey {
    SessionKey::parse(text).unwrap()
}

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, Url::parse(&url).unwrap())
}

async fn serve(router: Router) -> Url {
    let (listener, url) = listen().await;
    serve_on(listener, router);
    url
}

fn serve_on(listener: TcpListener, router: Router) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
}

async fn simulator() -> (Url, Simulator) {
    let simulator = Simulator::new(Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000))));
    (serve(simulator.router()).await, simulator)
}

/// A request as it arrived.
#[derive(Clone, Debug)]
struct Seen {
    /// Method and path.
    line: String,
    query: String,
    body: String,
    at: Instant,
}

/// Says what `WeChat` answers to a request, which is the n-th of its path.
type Script = dyn Fn(&Seen, usize) -> String + Send + Sync;

/// `WeChat` by a script.
struct WeChat {
    url: Url,
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    /// Each answer takes a permit.
    gate: Semaphore,
}

impl WeChat {
    async fn answering(script: impl Fn(&Seen, usize) -> String + Send + Sync + 'static) -> Arc<Self> {
        Self::start(Box::new(script), Semaphore::MAX_PERMITS).await
    }

    /// Answers once `gate` lets it.
    async fn gated(script: impl Fn(&Seen, usize) -> String + Send + Sync + 'static) -> Arc<Self> {
        Self::start(Box::new(script), 0).await
    }

    async fn start(script: Box<Script>, permits: usize) -> Arc<Self> {
        let (listener, url) = listen().await;
        let wechat = Arc::new(Self { url, script, seen: Mutex::default(), gate: Semaphore::new(permits) });
        serve_on(listener, Router::new().fallback(Self::answer).with_state(Arc::clone(&wechat)));
        wechat
    }

    async fn answer(State(wechat): State<Arc<Self>>, request: Request) -> String {
        let (parts, body) = request.into_parts();
        let body: Bytes = axum::body::to_bytes(body, 65_536).await.unwrap();
        let seen = Seen {
            line: format!("{} {}", parts.method, parts.uri.path()),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            at: Instant::now(),
        };
        wechat.seen.lock().unwrap().push(seen.clone());
        let count = wechat.count(&seen.line);
        wechat.gate.acquire().await.unwrap().forget();
        (wechat.script)(&seen, count)
    }

    /// Waits for a request at the gate, and has it answered.
    async fn let_through(&self, line: &str) {
        self.reached(line, 1).await;
        self.gate.add_permits(1);
    }

    fn weapp(&self) -> Weapp {
        weapp(&self.url, PATIENT)
    }

    fn seen(&self, line: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.line == line).cloned().collect()
    }

    fn count(&self, line: &str) -> usize {
        self.seen(line).len()
    }

    async fn reached(&self, line: &str, count: usize) {
        let reached = async {
            while self.count(line) < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENT, reached).await.unwrap_or_else(|_| panic!("no {count} requests: {line}"));
    }
}

const FETCH: &str = "POST /cgi-bin/stable_token";
const OPENID: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";
const PHONE: &str = "POST /wxa/business/getuserphonenumber";
const CHECK: &str = "GET /wxa/checksession";
const RESET: &str = "GET /wxa/resetusersessionkey";
const VOUCH: &str = "POST /wxa/business/checkencryptedmsg";

/// What everybody hopes for.
fn fair_weather(seen: &Seen, count: usize) -> String {
    match &*seen.line {
        FETCH => format!(r#"{{"access_token":"token-{count}","expires_in":7200}}"#),
        PHONE => phone_info(r#""86""#),
        CHECK => r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(),
        RESET => {
            r#"{"errcode":0,"errmsg":"ok","openid":"o-alice","session_key":"bmV3bmV3bmV3bmV3bmV3bg=="}"#.to_owned()
        }
        VOUCH => r#"{"errcode":0,"errmsg":"ok","vaild":true,"create_time":1629121902}"#.to_owned(),
        _ => panic!("{seen:?}"),
    }
}

fn phone_info(country_code: &str) -> String {
    format!(
        r#"{{"errcode":0,"errmsg":"ok","phone_info":{{"phoneNumber":"13580006666","purePhoneNumber":"13580006666",
           "countryCode":{country_code},"watermark":{{"timestamp":1637744274,"appid":"{APPID}"}}}}}}"#
    )
}

fn refused(errcode: i64) -> String {
    format!(r#"{{"errcode":{errcode},"errmsg":"no, rid: 652d44d0-0e4a1b2c-00000001"}}"#)
}

/// Moves tokio's clock. It does not stand still otherwise: it would jump to the next deadline whenever a test waits for
/// its sockets.
async fn later(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

#[tokio::test]
async fn options_outside_their_range_are_refused() {
    let with = |change: &dyn Fn(&mut PlatformOptions)| {
        let mut options = options(Url::parse("http://127.0.0.1:1").unwrap(), PATIENT);
        change(&mut options);
        Weapp::new(options).map(|_| ())
    };
    assert_eq!(with(&|_| ()), Ok(()));
    assert_eq!(with(&|options| options.appid = "w x".to_owned()), Err(SetupError::Appid));
    assert_eq!(with(&|options| options.appid.clear()), Err(SetupError::Appid));
    assert_eq!(with(&|options| options.secret = Some(SecretText::new(""))), Err(SetupError::EmptySecret));
    assert_eq!(with(&|options| options.timeout = Duration::ZERO), Err(SetupError::Timeout));
    assert_eq!(with(&|options| options.timeout = Duration::MAX), Err(SetupError::Timeout));
    assert_eq!(with(&|options| options.max_concurrent = 0), Err(SetupError::NoConcurrency));
    assert_eq!(with(&|options| options.max_concurrent = usize::MAX), Ok(()));
    for url in ["ftp://h", "http://u@h", "http://:p@h", "http://h/?q", "http://h/#f", "data:x"] {
        let url = Url::parse(url).unwrap();
        assert_eq!(with(&|options| options.base_url = Some(url.clone())), Err(SetupError::BaseUrl), "{url}");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let refused = options(Url::parse("http://canary:canary@127.0.0.1:1").unwrap(), PATIENT);
    assert!(!format!("{refused:?}").contains("canary"));
    assert!(!format!("{:?}", Weapp::new(refused).unwrap_err()).contains("canary"));
    let options = options(Url::parse("http://127.0.0.1:1").unwrap(), PATIENT);
    assert_eq!(format!("{:?}", Weapp::new(options).unwrap()), format!("Weapp {{ appid: {APPID:?}, .. }}"));
}
