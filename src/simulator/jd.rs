//! The simulated JD gateway: `jingdong.miniapp.mixUserInfo`, with its signature checked.
//!
//! Little is known of the real one; anything beyond that is an assumption, and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::post;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::body::{parameters, texts_in};
use super::codes::{Codes, PresentedCode, Unredeemed, random_login_code};
use super::control::own_route;
use super::faults::Fault;
use super::memory::Recent;
use super::platform::{ControlError, SimulatedPlatform};
use super::reply::{self, Reply};
use super::users::{Name, SimulatedUser, is_appid};
use super::world::{Answer, World};
use crate::clock::UnixSeconds;

const EXCHANGE: &str = "jingdong.miniapp.mixUserInfo";

/// All apps and users of a simulated JD.
pub(super) struct JdGateway {
    world: Arc<World>,
    state: Mutex<JdState>,
}

struct JdState {
    login_codes: Codes,
    secrets: Recent<String, String>,
}

impl Default for JdState {
    fn default() -> Self {
        Self { login_codes: Codes::default(), secrets: Recent::with_max_len(10_000) }
    }
}

/// The parameters of a request; an absent one is empty.
struct MixUserInfoCall {
    app_key: String,
    method: String,
    timestamp: String,
    version: String,
    param: String,
    sign: String,
}

impl MixUserInfoCall {
    fn parse(query: &str) -> Self {
        let names = ["app_key", "method", "timestamp", "v", "360buy_param_json", "sign"];
        let [app_key, method, timestamp, version, param, sign] = parameters(query, names);
        Self { app_key, method, timestamp, version, param, sign }
    }

    fn is_signed_with(&self, secret: &str) -> bool {
        let Self { app_key, method, timestamp, version, param, sign } = self;
        let text = format!(
            "{secret}360buy_param_json{param}app_key{app_key}method{method}timestamp{timestamp}v{version}{secret}"
        );
        *sign == hex::encode_upper(Md5::digest(text))
    }
}

impl JdGateway {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, JdState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, call: &MixUserInfoCall) -> Reply {
        let outcome = self.world.call(EXCHANGE, &call.app_key, |now| login(&mut self.state(), &self.world, call, now));
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(10102)) => Reply::Json(Duration::ZERO, refused_code()),
            Err(Fault::Errcode(number)) => Reply::Json(Duration::ZERO, gateway_error(&number.to_string())),
            Err(Fault::Word(word)) => Reply::Json(Duration::ZERO, gateway_error(&word)),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }

    /// `POST /_sim/jd/app {"appid","secret"}`.
    fn set_app(&self, body: &Value) -> Result<Value, ControlError> {
        let [appid, secret] = texts_in(body, ["appid", "secret"]);
        if !is_appid(&appid) {
            return Err(ControlError::Appid);
        }
        self.state().secrets.insert(appid.clone(), secret);
        Ok(json!({ "appid": appid }))
    }
}

fn login(state: &mut JdState, world: &World, call: &MixUserInfoCall, now: UnixSeconds) -> Result<Answer, Fault> {
    let secret = state.secrets.get(call.app_key.as_str());
    if secret.is_none_or(|secret| !call.is_signed_with(secret)) {
        return Err(Fault::Errcode(12)); // an assumption: "invalid signature"
    }
    if call.method != EXCHANGE || call.version != "2.0" || !call.timestamp.ends_with(".000+0800") {
        return Err(Fault::Errcode(43));
    }
    let param: Value = serde_json::from_str(&call.param).unwrap_or_default();
    let [code] = texts_in(&param, ["code"]);
    let presented =
        PresentedCode { text: &code, once: "demo", appid: &call.app_key, stranger: world.stranger.as_ref() };
    let (delay, name) = state.login_codes.redeem(presented, now, |_| true).map_err(|refused| match refused {
        Unredeemed::Fault(fault) => fault,
        _ => Fault::Errcode(10102),
    })?;
    let user = json!({ "xId": format!("o*AAQ{}", name.opaque("jd xId", "")), "openId": open_id(&name, &call.app_key) });
    Ok((delay, responce(&json!({ "code": "0", "mixUserInfo": user }))))
}

fn open_id(name: &Name, appid: &str) -> String {
    format!("ZX0E{}", name.opaque("jd openId", appid))
}

/// The real one's spelling. Codes are texts in some answers and numbers in others.
fn responce(result: &Value) -> String {
    json!({ "jingdong_miniapp_mixUserInfo_responce": { "code": "0", "result": result } }).to_string()
}

fn refused_code() -> String {
    responce(&json!({ "code": 10102, "message": "invalid code" }))
}

fn gateway_error(code: &str) -> String {
    json!({ "error_response": { "code": code, "zh_desc": "simulated", "en_desc": "simulated" } }).to_string()
}

impl SimulatedPlatform for JdGateway {
    fn name(&self) -> &'static str {
        "jd"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[EXCHANGE]
    }

    fn routes(self: Arc<Self>) -> Router {
        let gateway = async |State(jd): State<Arc<Self>>, RawQuery(query): RawQuery| {
            let call = MixUserInfoCall::parse(&query.unwrap_or_default());
            reply::respond(jd.call(&call), "application/json;charset=utf-8").await
        };
        Router::new()
            .route("/routerjson", post(gateway))
            .route("/_sim/jd/app", own_route(|jd: &Self, body| jd.set_app(body)))
            .with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser { openid: open_id(name, appid), unionid: String::new(), ..SimulatedUser::named(appid, name) }
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_login_code().map_err(|_| ControlError::NoRandomness)?;
        self.state().login_codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn forget(&self) {
        *self.state() = JdState::default();
    }
}
