//! What the simulator can do that no platform would: make codes and user data, end tokens, plan faults, count, forget.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::body::read_body;
use super::codes::{random_login_code, random_phone_code};
use super::endpoint::Endpoint;
use super::faults::Plan;
use super::opendata::{self, Watermark};
use super::users::Name;
use super::wechat::{MAX_APPID_LEN, State, Wechat, is_appid};

/// Why the simulator's own interface refuses.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum OwnError {
    #[error("the body is cut off or above 64 KiB")]
    Cut,
    #[error("the body is not the JSON object that is wanted: {0}")]
    Body(String),
    #[error("appid is not 1 to {MAX_APPID_LEN} visible ASCII characters")]
    Appid,
    #[error("name is not 1 to {max} visible ASCII characters without a dash", max = Name::MAX_LEN)]
    Name,
    #[error("data is neither an object nor a text")]
    Data,
    #[error("fault is not err-N, slow-MILLISECONDS, http-500, garbage, hang or cut")]
    Fault,
    #[error("path does not begin with / and belong to a platform")]
    Path,
    #[error("the simulator has no room for another answer; DELETE /_sim/answers")]
    FullOfAnswers,
    #[error("answer is neither an object nor a text")]
    Answer,
    #[error("the simulator remembers no more users with a reset session_key; POST /_sim/reset, or restart it")]
    Full,
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

#[derive(Deserialize)]
struct User {
    appid: String,
    name: String,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    appid: Option<String>,
    errcode: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFault {
    endpoint: Endpoint,
    fault: String,
    #[serde(default)]
    times: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlantAnswer {
    path: String,
    answer: Box<RawValue>,
    #[serde(default)]
    times: u64,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Userinfo,
    Phone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encrypt {
    appid: String,
    name: String,
    kind: Option<Kind>,
    data: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct EncryptAnswer {
    #[serde(rename = "encryptedData")]
    encrypted_data: String,
    iv: String,
    #[serde(rename = "rawData", skip_serializing_if = "Option::is_none")]
    raw_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

/// All routes below `/_sim`.
pub(super) fn routes() -> Router<Arc<Wechat>> {
    let stats = get(async |Shared(wechat): Shared<Arc<Wechat>>| answer(StatusCode::OK, &wechat.state().stats));
    let clear_faults = delete(async |Shared(wechat): Shared<Arc<Wechat>>| {
        wechat.state().plans.clear();
        answer(StatusCode::OK, &json!({}))
    });
    let clear_answers = delete(async |Shared(wechat): Shared<Arc<Wechat>>| {
        wechat.state().planted.clear();
        answer(StatusCode::OK, &json!({}))
    });
    Router::new()
        .route("/_sim/answers", post_json(plant_answer).merge(clear_answers).fallback(async || allow("POST, DELETE")))
        .route("/_sim/code", post_json(mint_login_code))
        .route("/_sim/phone-code", post_json(mint_phone_code))
        .route("/_sim/encrypt", post_json(encrypt))
        .route("/_sim/access-tokens/expire", post_json(expire))
        .route("/_sim/faults", post_json(plan_fault).merge(clear_faults).fallback(async || allow("POST, DELETE")))
        .route("/_sim/stats", stats.fallback(async || allow("GET")))
        .route("/_sim/reset", post_json(forget))
        .route("/_sim/users/{name}/reset-session-key", post(reset_session_key).fallback(async || allow("POST")))
}

fn post_json<T, A>(run: fn(&Wechat, T) -> Result<A, OwnError>) -> MethodRouter<Arc<Wechat>>
where
    T: DeserializeOwned + Send + 'static,
    A: Serialize + 'static,
{
    let handler = async move |Shared(wechat): Shared<Arc<Wechat>>, body: Body| {
        let body = read_body(body).await;
        respond(parse(body).and_then(|request| run(&wechat, request)))
    };
    post(handler).fallback(async || allow("POST"))
}

/// No body is an empty object.
fn parse<T: DeserializeOwned>(body: Option<Vec<u8>>) -> Result<T, OwnError> {
    let body = body.ok_or(OwnError::Cut)?;
    let body = if body.is_empty() { b"{}".as_slice() } else { body.trim_ascii_start() };
    // Arrays would do for structures, too.
    if !body.starts_with(b"{") {
        return Err(OwnError::Body("it does not begin with {".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| OwnError::Body(error.to_string()))
}

fn user(appid: &str, name: &str) -> Result<Name, OwnError> {
    if !is_appid(appid) {
        return Err(OwnError::Appid);
    }
    Name::parse(name).ok_or(OwnError::Name)
}

/// A code as `wx.login` would get one.
fn mint_login_code(wechat: &Wechat, User { appid, name }: User) -> Result<Value, OwnError> {
    let name = user(&appid, &name)?;
    let code = random_login_code().map_err(|_| OwnError::NoRandomness)?;
    let mut state = wechat.state();
    state.users.meet(&name, &appid);
    state.login_codes.mint(code.clone(), appid, name, wechat.now());
    Ok(json!({ "code": code }))
}

/// A code as the phone button would get one.
fn mint_phone_code(wechat: &Wechat, User { appid, name }: User) -> Result<Value, OwnError> {
    let name = user(&appid, &name)?;
    let code = random_phone_code().map_err(|_| OwnError::NoRandomness)?;
    let mut state = wechat.state();
    state.users.meet(&name, &appid);
    state.phone_codes.mint(code.clone(), appid, name, wechat.now());
    Ok(json!({ "code": code }))
}

/// What a client would get of the user, or what a test wants it to be.
fn encrypt(wechat: &Wechat, request: Encrypt) -> Result<EncryptAnswer, OwnError> {
    let Encrypt { appid, name, kind, data } = request;
    let name = user(&appid, &name)?;
    let now = wechat.now();
    let watermark = Watermark { timestamp: now.as_u64(), appid: &appid };
    let mut kind = kind.unwrap_or(Kind::Userinfo);
    let is_own = data.is_none();
    let plaintext = match data {
        None if kind == Kind::Phone => opendata::phone(&name.phone(), watermark),
        None => opendata::user_info(&name, watermark),
        Some(data) if data.get().starts_with('"') => serde_json::from_str(data.get()).map_err(|_| OwnError::Data)?,
        Some(data) if data.get().starts_with('{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(data.get()).map_err(|error| OwnError::Body(error.to_string()))?;
            if members.contains_key("phoneNumber") && request.kind.is_none() {
                kind = Kind::Phone;
            }
            let is_marked = members.contains_key("watermark");
            if is_marked { data.get().to_owned() } else { opendata::with_watermark(data.get(), watermark) }
        }
        Some(_) => return Err(OwnError::Data),
    };
    let mut state = wechat.state();
    state.users.meet(&name, &appid);
    let session_key = state.users.session_key(&name, &appid);
    let encrypted = opendata::encrypt(&session_key, &plaintext).ok_or(OwnError::NoRandomness)?;
    if kind == Kind::Phone {
        state.messages.remember(&appid, &encrypted.data, now);
    }
    let raw_data = (is_own && kind == Kind::Userinfo).then(|| opendata::raw_data(&name));
    let signature = raw_data.as_ref().map(|raw_data| opendata::sign_raw_data(raw_data, &session_key));
    Ok(EncryptAnswer { encrypted_data: encrypted.data, iv: encrypted.iv, raw_data, signature })
}

/// All access tokens of an app, or of every app, die at once.
fn expire(wechat: &Wechat, Expire { appid, errcode }: Expire) -> Result<Value, OwnError> {
    if appid.as_ref().is_some_and(|appid| !is_appid(appid)) {
        return Err(OwnError::Appid);
    }
    let now = wechat.now();
    let expired = wechat.state().tokens.expire(appid.as_deref(), errcode.unwrap_or(42001), now);
    Ok(json!({ "expired": expired }))
}

fn plan_fault(wechat: &Wechat, PlanFault { endpoint, fault, times }: PlanFault) -> Result<Value, OwnError> {
    let plan = Plan::parse(&fault).ok_or(OwnError::Fault)?;
    wechat.state().plans.set(endpoint, plan, (times > 0).then_some(times));
    Ok(json!({ "endpoint": endpoint, "fault": fault, "times": times }))
}

/// The path answers this, whatever is asked; an object is written as it is, a text is its content.
fn plant_answer(wechat: &Wechat, PlantAnswer { path, answer, times }: PlantAnswer) -> Result<Value, OwnError> {
    if !path.starts_with('/') || path.contains('?') || is_own(&path) {
        return Err(OwnError::Path);
    }
    let text = match answer.get() {
        object if object.starts_with('{') => object.to_owned(),
        text => serde_json::from_str(text).map_err(|_| OwnError::Answer)?,
    };
    let is_planted = wechat.state().planted.set(path.clone(), text, (times > 0).then_some(times));
    if is_planted { Ok(json!({ "path": path, "times": times })) } else { Err(OwnError::FullOfAnswers) }
}

#[expect(clippy::unnecessary_wraps, reason = "all of these may refuse")]
fn forget(wechat: &Wechat, Nothing {}: Nothing) -> Result<Value, OwnError> {
    *wechat.state() = State::default();
    Ok(json!({}))
}

/// Makes every `session_key` of a user stale.
async fn reset_session_key(Shared(wechat): Shared<Arc<Wechat>>, name: Result<Path<String>, PathRejection>) -> Response {
    let name = name.map_or_else(|_| String::new(), |Path(name)| name);
    let reset = || {
        let name = Name::parse(&name).ok_or(OwnError::Name)?;
        let resets = wechat.state().users.reset(&name).ok_or(OwnError::Full)?;
        Ok(json!({ "name": name.as_str(), "resets": resets }))
    };
    respond(reset())
}

fn respond(outcome: Result<impl Serialize, OwnError>) -> Response {
    match outcome {
        Ok(body) => answer(StatusCode::OK, &body),
        Err(error) => {
            let body = json!({ "error": "invalid_request", "error_description": error.to_string() });
            answer(StatusCode::BAD_REQUEST, &body)
        }
    }
}

fn allow(methods: &'static str) -> Response {
    let body = json!({ "error": "method_not_allowed", "error_description": format!("{methods} only") });
    ([(ALLOW, HeaderValue::from_static(methods))], answer(StatusCode::METHOD_NOT_ALLOWED, &body)).into_response()
}

/// Whether a path is one of the simulator's own.
pub(super) fn is_own(path: &str) -> bool {
    path.strip_prefix("/_sim").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer to a path that leads nowhere.
pub(super) fn not_found() -> Response {
    let body = json!({ "error": "not_found", "error_description": "the simulator has no such route" });
    answer(StatusCode::NOT_FOUND, &body)
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    // Structures of numbers and texts always have a JSON form.
    let body = serde_json::to_string(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
