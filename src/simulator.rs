//! A stand-in for the platforms, for demonstrations and tests: answers over HTTP as the real ones do, quirks included.
//!
//! It lives in memory: a restart forgets which codes are spent, but users stay who they are, for everything about a
//! user follows from the name. It checks no app secret and is nothing to put on a public network.
//!
//! `GET /sns/jscode2session` is `WeChat`'s. What it does depends on the code:
//!
//! | code | effect |
//! | --- | --- |
//! | `demo-NAME-ANYTHING` | logs NAME in, once for each full code; NAME has no dash, ANYTHING may be empty |
//! | 32 characters from `POST /_sim/code` | logs the user in, once, within five minutes, to that app only |
//! | `err-N` | refuses with errcode N |
//! | `slow-MILLISECONDS-NAME` | logs NAME in after that time, a minute at most, any number of times |
//! | `http-500`, `garbage` | answers with that status; with something that is no JSON |
//! | `hang`, `cut` | never answers; closes the connection in the middle of an answer |
//! | anything else | refuses with 40029 |
//!
//! Of its own it has `POST /_sim/code` with `{"appid","name"}`, which answers `{"code"}`, and
//! `POST /_sim/users/NAME/reset-session-key`, which makes the `session_key` of NAME another one in every app. These
//! refuse with a 400 and `{"error","error_description"}`.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::clock::Clock;

mod codes;
mod users;
mod wechat;

use wechat::{Jscode2session, Reply, Wechat};

/// The simulated platforms. Clones share their state.
#[derive(Clone)]
pub struct Simulator {
    wechat: Arc<Wechat>,
}

/// What a simulated platform says about a user when asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SimulatedUser {
    /// The user's name within the app.
    pub openid: String,
    /// The user's name across apps.
    pub unionid: String,
    /// The phone number, without the country's 86.
    pub phone: String,
}

impl Simulator {
    /// Nobody has logged in yet; codes age by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { wechat: Arc::new(Wechat::new(clock)) }
    }

    /// All routes of the simulator.
    pub fn router(&self) -> Router {
        // HEAD is named because a GET route would serve it, and so spend the code.
        let jscode2session = get(jscode2session).post(jscode2session_by_post).head(require_get).fallback(require_get);
        Router::new()
            .route("/sns/jscode2session", jscode2session)
            .route("/_sim/code", post(mint_code).fallback(require_post))
            .route("/_sim/users/{name}/reset-session-key", post(reset_session_key).fallback(require_post))
            .fallback(not_found)
            .with_state(Arc::clone(&self.wechat))
    }

    /// Who `name` is in the app `appid`. Nobody when either is not 1 to 64 visible ASCII characters, or when the name
    /// has a dash.
    #[must_use]
    pub fn user(&self, appid: &str, name: &str) -> Option<SimulatedUser> {
        Wechat::user(appid, name)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

async fn jscode2session(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery) -> Response {
    let mut request = Jscode2session::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let field = match &*name {
            "appid" => &mut request.appid,
            "secret" => &mut request.secret,
            "js_code" => &mut request.js_code,
            "grant_type" => &mut request.grant_type,
            _ => continue,
        };
        if field.is_empty() {
            *field = value.into_owned();
        }
    }
    respond(wechat.jscode2session(&request)).await
}

/// The real one is reported not to see the parameters of a POST.
async fn jscode2session_by_post(State(wechat): State<Arc<Wechat>>) -> Response {
    respond(wechat.refuse(41002)).await
}

async fn require_get(State(wechat): State<Arc<Wechat>>) -> Response {
    respond(wechat.refuse(43001)).await
}

/// Answers, or plays the fault. A server drops this future when the client goes away.
async fn respond(reply: Reply) -> Response {
    match reply {
        Reply::Json(json) => text_plain(json),
        Reply::Late(delay, json) => {
            tokio::time::sleep(delay).await;
            text_plain(json)
        }
        Reply::Garbage => text_plain("<html><body>busy</body></html>".to_owned()),
        Reply::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response(),
        Reply::Hang => std::future::pending().await,
        Reply::Cut => cut_off(),
    }
}

/// `WeChat`'s label for JSON.
fn text_plain(json: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))], json).into_response()
}

fn cut_off() -> Response {
    let half = stream::iter([Ok(Bytes::from_static(br#"{"session_key":"q83vEjRW"#))]);
    let end = stream::once(async {
        // The server writes the half out while it waits for the rest.
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("text/plain")), (CONTENT_LENGTH, HeaderValue::from_static("120"))];
    (headers, Body::from_stream(half.chain(end))).into_response()
}

async fn mint_code(State(wechat): State<Arc<Wechat>>, body: Body) -> Response {
    let Some(body) = read_body(body).await else {
        return refuse("the body is cut off or above 64 KiB");
    };
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return refuse("the body is not JSON");
    };
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let (Some(appid), Some(name)) = (text("appid"), text("name")) else {
        return refuse("the body is not an object with the texts appid and name");
    };
    match wechat.mint(appid, name) {
        Ok(code) => answer(StatusCode::OK, &json!({ "code": code })),
        Err(error) => refuse(&error.to_string()),
    }
}

async fn reset_session_key(State(wechat): State<Arc<Wechat>>, name: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(name)) = name else {
        return refuse("the name in the path is not UTF-8");
    };
    match wechat.reset_session_key(&name) {
        Ok(resets) => answer(StatusCode::OK, &json!({ "name": name, "resets": resets })),
        Err(error) => refuse(&error.to_string()),
    }
}

async fn require_post() -> Response {
    let body = json!({ "error": "method_not_allowed", "error_description": "POST only" });
    ([(ALLOW, HeaderValue::from_static("POST"))], answer(StatusCode::METHOD_NOT_ALLOWED, &body)).into_response()
}

async fn not_found() -> Response {
    let body = json!({ "error": "not_found", "error_description": "the simulator has no such route" });
    answer(StatusCode::NOT_FOUND, &body)
}

/// The whole body, or nothing if it is too long or breaks off. Reads on beyond the limit for a while, so that the
/// client gets around to reading the refusal.
async fn read_body(mut body: Body) -> Option<Vec<u8>> {
    const MAX_LEN: usize = 64 * 1024;
    const MAX_DRAINED_LEN: usize = 2 * 1024 * 1024;
    let mut kept = Vec::new();
    let mut read_len = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        read_len += data.len();
        if read_len <= MAX_LEN {
            kept.extend_from_slice(&data);
        } else if read_len > MAX_DRAINED_LEN {
            return None;
        }
    }
    (read_len <= MAX_LEN).then_some(kept)
}

fn refuse(description: &str) -> Response {
    let body = json!({ "error": "invalid_request", "error_description": description });
    answer(StatusCode::BAD_REQUEST, &body)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, Request};
    use tower::ServiceExt as _;

    use super::*;
    use crate::clock::{FixedClock, UnixSeconds};

    const SESSION: &str = "/sns/jscode2session?appid=wx1&secret=s&grant_type=authorization_code&js_code=";

    fn simulator() -> Simulator {
        Simulator::new(Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000))))
    }

    async fn call(
        simulator: &Simulator,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, String, String) {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let response = simulator.router().oneshot(request).await.unwrap();
        let status = response.status();
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(simulator: &Simulator, path: &str) -> Value {
        let (status, content_type, body) = call(simulator, Method::GET, path, "").await;
        assert_eq!((status, &*content_type), (StatusCode::OK, "text/plain"), "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn post(simulator: &Simulator, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let (status, content_type, body) = call(simulator, Method::POST, path, body).await;
        assert_eq!(content_type, "application/json", "{body}");
        (status, serde_json::from_str(&body).unwrap())
    }

    #[tokio::test]
    async fn a_login_answers_json_that_is_labelled_plain_text() {
        let simulator = simulator();
        let session = get(&simulator, &format!("{SESSION}demo-alice-1")).await;
        let alice = simulator.user("wx1", "alice").unwrap();
        assert_eq!(
            (session["openid"].as_str(), session["unionid"].as_str()),
            (Some(&*alice.openid), Some(&*alice.unionid))
        );
        assert_eq!(session.get("errcode"), None);
        assert_eq!(get(&simulator, &format!("{SESSION}demo-alice-1")).await["errcode"], 40163);
    }

    #[tokio::test]
    async fn parameters_are_decoded_and_the_first_of_a_name_counts() {
        let simulator = simulator();
        let session = get(&simulator, &format!("{SESSION}demo-alice%2D1&js_code=err-1&more=%ff")).await;
        assert!(session["openid"].is_string(), "{session}");
        assert_eq!(get(&simulator, "/sns/jscode2session").await["errcode"], 41002);
        assert_eq!(get(&simulator, "/sns/jscode2session?%ff=%&&=&appid=%00").await["errcode"], 41004);
    }

    #[tokio::test]
    async fn only_a_get_spends_a_code() {
        let simulator = simulator();
        let path = format!("{SESSION}demo-alice-1");
        for (method, errcode) in [(Method::POST, 41002), (Method::PUT, 43001), (Method::OPTIONS, 43001)] {
            let (status, _, body) = call(&simulator, method, &path, "").await;
            assert!(status == StatusCode::OK && body.contains(&errcode.to_string()), "{body}");
        }
        assert_eq!(call(&simulator, Method::HEAD, &path, "").await.0, StatusCode::OK);
        assert!(get(&simulator, &path).await["openid"].is_string());
    }

    #[tokio::test]
    async fn a_code_can_be_minted_and_a_session_key_reset() {
        let simulator = simulator();
        let mut session_keys = Vec::new();
        for _ in 0..2 {
            let (status, minted) = post(&simulator, "/_sim/code", r#"{"appid":"wx1","name":"alice"}"#).await;
            assert_eq!(status, StatusCode::OK);
            let session = get(&simulator, &format!("{SESSION}{}", minted["code"].as_str().unwrap())).await;
            session_keys.push(session["session_key"].clone());
            let (status, reset) = post(&simulator, "/_sim/users/alice/reset-session-key", "").await;
            assert_eq!((status, &reset["name"]), (StatusCode::OK, &json!("alice")));
        }
        assert_ne!(session_keys[0], session_keys[1]);
    }

    #[tokio::test]
    async fn bad_input_to_its_own_routes_is_refused_with_a_400() {
        let simulator = simulator();
        for body in [
            Vec::new(),
            b"{".to_vec(),
            b"[]".to_vec(),
            b"null".to_vec(),
            b"{\"appid\":\"\xff\",\"name\":\"a\"}".to_vec(),
            br#"{"appid":"wx1"}"#.to_vec(),
            br#"{"appid":"wx1","name":1}"#.to_vec(),
            br#"{"appid":"wx1","name":"a-b"}"#.to_vec(),
            br#"{"appid":"","name":"alice"}"#.to_vec(),
            b"[".repeat(60_000),
            vec![b' '; 64 * 1024 + 1],
            vec![b' '; 3 * 1024 * 1024],
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let (status, error) = post(&simulator, "/_sim/code", body).await;
            assert_eq!((status, &error["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{shown}");
        }
        for name in ["%ff", "a-b", "%00", "a%20b", &"x".repeat(65)] {
            let (status, error) = post(&simulator, &format!("/_sim/users/{name}/reset-session-key"), "").await;
            assert_eq!((status, &error["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{name}");
        }
    }

    #[tokio::test]
    async fn other_routes_and_methods_are_refused_in_json() {
        let simulator = simulator();
        assert_eq!(call(&simulator, Method::GET, "/_sim/code", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(post(&simulator, "/_sim/nothing", "").await.0, StatusCode::NOT_FOUND);
        assert_eq!(post(&simulator, "/", "").await.0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn debug_output_shows_no_code() {
        assert_eq!(format!("{:?}", simulator()), "Simulator { .. }");
    }
}
