//! What the simulator can do that no platform would: make codes and user data, end tokens, plan faults, count, forget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::body::read_body;
use super::faults::FaultPlan;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::users::{Name, is_appid};
use super::world::{World, WorldMemory};

#[derive(Deserialize)]
struct User {
    platform: Option<String>,
    appid: String,
    name: String,
}

#[derive(Deserialize)]
struct NoFields {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    platform: Option<String>,
    appid: Option<String>,
    errcode: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFault {
    endpoint: String,
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
enum DataKind {
    Userinfo,
    Phone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encrypt {
    platform: Option<String>,
    appid: String,
    name: String,
    kind: Option<DataKind>,
    data: Option<Box<RawValue>>,
}

/// What the control routes reach.
pub(super) struct Control {
    pub(super) world: Arc<World>,
    pub(super) platforms: Vec<Arc<dyn SimulatedPlatform>>,
}

impl Control {
    /// The platform of this name; the first one if there is none.
    fn platform(&self, name: Option<&str>) -> Result<&dyn SimulatedPlatform, ControlError> {
        let mut platforms = self.platforms.iter();
        let found = match name {
            None => platforms.next(),
            Some(name) => platforms.find(|platform| platform.name() == name),
        };
        found.map(|platform| &**platform).ok_or(ControlError::Platform)
    }

    /// An interface by its name.
    fn interface(&self, name: &str) -> Result<&'static str, ControlError> {
        let all = || self.platforms.iter().flat_map(|platform| platform.interfaces());
        let list = || all().copied().collect::<Vec<_>>().join(", ");
        all().find(|interface| **interface == name).copied().ok_or_else(|| ControlError::Endpoint(list()))
    }
}

/// All routes below `/_sim`.
pub(super) fn routes() -> Router<Arc<Control>> {
    let stats = get(async |State(control): State<Arc<Control>>| answer(StatusCode::OK, &control.world.shared().stats));
    let clear_faults = delete(async |State(control): State<Arc<Control>>| {
        control.world.shared().plans.clear();
        answer(StatusCode::OK, &json!({}))
    });
    let clear_answers = delete(async |State(control): State<Arc<Control>>| {
        control.world.shared().planted.clear();
        answer(StatusCode::OK, &json!({}))
    });
    Router::new()
        .route("/_sim/answers", post_json(plant_answer).merge(clear_answers).fallback(async || allow("POST, DELETE")))
        .route("/_sim/code", post_json(login_code))
        .route("/_sim/phone-code", post_json(phone_code))
        .route("/_sim/encrypt", post_json(encrypt))
        .route("/_sim/access-tokens/expire", post_json(expire))
        .route("/_sim/faults", post_json(plan_fault).merge(clear_faults).fallback(async || allow("POST, DELETE")))
        .route("/_sim/stats", stats.fallback(async || allow("GET")))
        .route("/_sim/reset", post_json(forget))
        .route("/_sim/users/{name}/reset-session-key", post(reset_session_key).fallback(async || allow("POST")))
        .route("/_sim", any(not_found))
        .route("/_sim/", any(not_found))
        .route("/_sim/{*path}", any(not_found))
}

fn post_json<T, A>(run: fn(&Control, T) -> Result<A, ControlError>) -> MethodRouter<Arc<Control>>
where
    T: DeserializeOwned + Send + 'static,
    A: Serialize + 'static,
{
    let handler = async move |State(control): State<Arc<Control>>, body: Body| {
        let body = read_body(body).await;
        respond(parse(body).and_then(|request| run(&control, request)))
    };
    post(handler).fallback(async || allow("POST"))
}

/// A route of one platform's own, below `/_sim/NAME/`: POST of a JSON object.
pub(super) fn own_route<P: Send + Sync + 'static>(
    run: fn(&P, &Value) -> Result<Value, ControlError>,
) -> MethodRouter<Arc<P>> {
    let handler = async move |State(platform): State<Arc<P>>, body: Body| {
        let body = read_body(body).await;
        respond(parse(body).and_then(|request| run(&platform, &request)))
    };
    post(handler).fallback(async || allow("POST"))
}

/// No body is an empty object.
fn parse<T: DeserializeOwned>(body: Option<Vec<u8>>) -> Result<T, ControlError> {
    let body = body.ok_or(ControlError::Cut)?;
    let body = if body.is_empty() { b"{}".as_slice() } else { body.trim_ascii_start() };
    // Arrays would do for structures, too.
    if !body.starts_with(b"{") {
        return Err(ControlError::Body("it does not begin with {".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| ControlError::Body(error.to_string()))
}

pub(super) fn user(appid: &str, name: &str) -> Result<Name, ControlError> {
    if !is_appid(appid) {
        return Err(ControlError::Appid);
    }
    Name::parse(name).ok_or(ControlError::Name)
}

fn login_code(control: &Control, User { platform, appid, name }: User) -> Result<Value, ControlError> {
    let name = user(&appid, &name)?;
    Ok(json!({ "code": control.platform(platform.as_deref())?.login_code(appid, name)? }))
}

fn phone_code(control: &Control, User { platform, appid, name }: User) -> Result<Value, ControlError> {
    let name = user(&appid, &name)?;
    Ok(json!({ "code": control.platform(platform.as_deref())?.phone_code(appid, name)? }))
}

fn encrypt(control: &Control, request: Encrypt) -> Result<DataForClient, ControlError> {
    let Encrypt { platform, appid, name, kind, data } = request;
    let name = user(&appid, &name)?;
    let is_phone = kind == Some(DataKind::Phone);
    let content = match data {
        None if is_phone => DataContent::Phone,
        None => DataContent::UserInfo,
        Some(data) if data.get().starts_with('"') => {
            DataContent::Text { text: serde_json::from_str(data.get()).map_err(|_| ControlError::Data)?, is_phone }
        }
        Some(data) if data.get().starts_with('{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(data.get()).map_err(|error| ControlError::Body(error.to_string()))?;
            let is_phone = is_phone || (kind.is_none() && members.contains_key("phoneNumber"));
            DataContent::Object { text: data.get().to_owned(), is_phone, is_marked: members.contains_key("watermark") }
        }
        Some(_) => return Err(ControlError::Data),
    };
    control.platform(platform.as_deref())?.encrypt(&appid, &name, content)
}

/// All access tokens of an app, or of every app, die at once.
fn expire(control: &Control, Expire { platform, appid, errcode }: Expire) -> Result<Value, ControlError> {
    if appid.as_ref().is_some_and(|appid| !is_appid(appid)) {
        return Err(ControlError::Appid);
    }
    let expired = control.platform(platform.as_deref())?.expire_tokens(appid.as_deref(), errcode)?;
    Ok(json!({ "expired": expired }))
}

fn plan_fault(control: &Control, PlanFault { endpoint, fault, times }: PlanFault) -> Result<Value, ControlError> {
    let interface = control.interface(&endpoint)?;
    let plan = FaultPlan::parse(&fault).ok_or(ControlError::Fault)?;
    control.world.shared().plans.set(interface, plan, (times > 0).then_some(times));
    Ok(json!({ "endpoint": endpoint, "fault": fault, "times": times }))
}

/// The path answers this, whatever is asked; an object is written as it is, a text is its content.
fn plant_answer(control: &Control, PlantAnswer { path, answer, times }: PlantAnswer) -> Result<Value, ControlError> {
    if !path.starts_with('/') || path.contains('?') || is_own(&path) {
        return Err(ControlError::Path);
    }
    let text = match answer.get() {
        object if object.starts_with('{') => object.to_owned(),
        text => serde_json::from_str(text).map_err(|_| ControlError::Answer)?,
    };
    let is_planted = control.world.shared().planted.set(path.clone(), text, (times > 0).then_some(times));
    if is_planted { Ok(json!({ "path": path, "times": times })) } else { Err(ControlError::FullOfAnswers) }
}

#[expect(clippy::unnecessary_wraps, reason = "all of these may refuse")]
fn forget(control: &Control, NoFields {}: NoFields) -> Result<Value, ControlError> {
    control.platforms.iter().for_each(|platform| platform.forget());
    *control.world.shared() = WorldMemory::default();
    Ok(json!({}))
}

async fn reset_session_key(State(control): State<Arc<Control>>, name: Result<Path<String>, PathRejection>) -> Response {
    let name = name.map_or_else(|_| String::new(), |Path(name)| name);
    let reset = || {
        let name = Name::parse(&name).ok_or(ControlError::Name)?;
        let mut resets = 0;
        for platform in &control.platforms {
            match platform.reset_session_key(&name) {
                Err(ControlError::Unsupported) => {}
                outcome => resets = outcome?.max(resets),
            }
        }
        Ok(json!({ "name": name.as_str(), "resets": resets }))
    };
    respond(reset())
}

/// Answers what was planted for the path, before anything is looked at; and none of a platform's for a path of the
/// simulator's own.
pub(super) async fn planted(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let planted = if is_own(path) { None } else { control.world.shared().planted.take(path) };
    match planted {
        Some(answer) => reply::respond(Reply::Json(Duration::ZERO, answer), "text/plain").await,
        None => next.run(request).await,
    }
}

/// Refuses what a web page sends to a route of the simulator's own: anybody's page could otherwise change what tests see.
/// Browsers name the page's origin in every request but plain reads.
pub(super) async fn from_no_page(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read || !is_own(request.uri().path()) || !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    let body = json!({ "error": "forbidden", "error_description": "the simulator is not controlled by web pages" });
    answer(StatusCode::FORBIDDEN, &body)
}

fn respond(outcome: Result<impl Serialize, ControlError>) -> Response {
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
fn is_own(path: &str) -> bool {
    path.strip_prefix("/_sim").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer to a path that leads nowhere.
async fn not_found() -> Response {
    let body = json!({ "error": "not_found", "error_description": "the simulator has no such route" });
    answer(StatusCode::NOT_FOUND, &body)
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    // Structures of numbers and texts always have a JSON form.
    let body = serde_json::to_string(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
