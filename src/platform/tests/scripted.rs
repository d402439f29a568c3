//! A platform by a script: answers what a test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::time::timeout;
use url::Url;

use crate::claims::SessionKey;
use crate::clock::{FixedClock, UnixSeconds};
use crate::platform::{Code, Identity, Kind, Platform, PlatformError, PlatformOptions, kind};
use crate::secret::SecretText;
use crate::simulator::Simulator;

pub(in crate::platform) const SECRET: &str = "5ecretcanary/+&=";
const PATIENT: Duration = Duration::from_secs(30);
const HASTY: Duration = Duration::from_millis(300);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(in crate::platform) struct Asked {
    /// Method and path.
    pub(in crate::platform) line: String,
    pub(in crate::platform) query: String,
    /// Empty if there is none.
    pub(in crate::platform) content_type: String,
    /// The same.
    pub(in crate::platform) authorization: String,
    pub(in crate::platform) body: String,
}

/// Says what is answered to a request, which is the n-th to its path.
type Script = dyn Fn(&Asked, usize) -> (u16, String) + Send + Sync;

/// The server.
pub(in crate::platform) struct Scripted {
    url: Url,
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
}

impl Scripted {
    /// Answers everything with status 200 and this.
    pub(in crate::platform) async fn saying(json: impl Into<String>) -> Arc<Self> {
        let json = json.into();
        Self::answering(move |_, _| (200, json.clone())).await
    }

    pub(in crate::platform) async fn answering(
        script: impl Fn(&Asked, usize) -> (u16, String) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let scripted = Arc::new(Self { url, script: Box::new(script), asked: Mutex::default() });
        let router = Router::new().fallback(Self::answer).with_state(Arc::clone(&scripted));
        tokio::spawn(async move { axum::serve(listener, router).await });
        scripted
    }

    async fn answer(State(scripted): State<Arc<Self>>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let asked = Asked {
            line: format!("{} {}", parts.method, parts.uri.path()),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            content_type: header(CONTENT_TYPE),
            authorization: header(AUTHORIZATION),
            body: String::from_utf8(to_bytes(body, 65_536).await.unwrap().to_vec()).unwrap(),
        };
        scripted.asked.lock().unwrap().push(asked.clone());
        let count = scripted.asked(&asked.line).len();
        let (status, json) = (scripted.script)(&asked, count);
        (StatusCode::from_u16(status).unwrap(), json).into_response()
    }

    /// What was asked with this method at this path.
    pub(in crate::platform) fn asked(&self, line: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.line == line).cloned().collect()
    }

    /// How many requests came.
    pub(in crate::platform) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Where it is.
    pub(in crate::platform) fn url(&self) -> Url {
        self.url.clone()
    }

    /// An app of this platform, set up with `options`.
    pub(in crate::platform) fn app(&self, name: &str, options: PlatformOptions) -> Box<dyn Platform> {
        app_at(name, self.url.clone(), options)
    }
}

/// The kind of this name.
pub(in crate::platform) fn kind_of(name: &str) -> &'static Kind {
    kind::named(name).unwrap()
}

fn app_at(name: &str, url: Url, options: PlatformOptions) -> Box<dyn Platform> {
    let secret = Some(SecretText::new(SECRET).read_from("the variable APP_SECRET"));
    let options = PlatformOptions { secret, base_url: Some(url), ..options };
    (kind_of(name).build)(PlatformOptions { timeout: PATIENT, ..options }).unwrap()
}

/// What an exchange of this platform makes of an answer.
pub(in crate::platform) async fn exchanged(name: &str, appid: &str, json: &str) -> Result<Identity, PlatformError> {
    let scripted = Scripted::saying(json).await;
    let outcome = scripted.app(name, PlatformOptions::new(appid)).exchange(&code("codecanary")).await;
    assert_eq!(scripted.count(), 1, "one exchange is one request");
    if let Err(error) = &outcome {
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    outcome
}

/// A word for an outcome: `ok`, the error's variant, or what made an answer useless.
pub(in crate::platform) fn word<T>(outcome: &Result<T, PlatformError>) -> String {
    let text = match outcome {
        Ok(_) => return "ok".to_owned(),
        Err(PlatformError::Failed(reason)) => format!("{reason:?}"),
        Err(error) => format!("{error:?}"),
    };
    text.split(['(', ' ']).next().unwrap().to_owned()
}

pub(in crate::platform) fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

pub(in crate::platform) fn session_key(text: &str) -> SessionKey {
    SessionKey::parse(text).unwrap()
}

/// The simulator on a port of its own.
pub(in crate::platform) async fn simulator() -> (Url, Simulator) {
    let simulator = Simulator::new(Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let router = simulator.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, simulator)
}

/// A user of the simulated platform logs in once, and each of its faults is the failure that it should be; `invalid` is a number
/// for a code that is none.
pub(in crate::platform) async fn logs_in_at_the_simulator(
    name: &str,
    options: impl Fn() -> PlatformOptions,
    invalid: i64,
) {
    let (url, _) = simulator().await;
    let app = app_at(name, url.clone(), options());
    app.exchange(&code("demo-alice-1")).await.unwrap();
    let refused = app.exchange(&code("demo-alice-1")).await;
    assert!(matches!(&*word(&refused), "InvalidCode" | "CodeUsed"), "{refused:?}");
    assert_eq!(word(&app.exchange(&code("nonsense")).await), "InvalidCode");
    assert_eq!(word(&app.exchange(&code(&format!("err-{invalid}"))).await), "InvalidCode");
    for (text, expected) in [
        ("garbage", "Malformed"),
        ("cut", "CutOff"),
        ("http-500", "Status"),
        ("err-12345", "UnknownErrcode"),
        ("slow-1-alice", "ok"),
    ] {
        assert_eq!(word(&app.exchange(&code(text)).await), expected, "{name} {text}");
    }
    assert_eq!(
        word(&timeout(HASTY, app.exchange(&code("hang"))).await.unwrap_or(Err(PlatformError::Timeout))),
        "Timeout"
    );
}
