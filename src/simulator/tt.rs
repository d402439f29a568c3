//! The simulated Douyin: `jscode2session`, `client_token` and `get_phonenumber_info`.
//!
//! Anything that its pages leave open is an assumption, and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

use super::body::{read_body, texts_in};
use super::codes::{Codes, PresentedCode, Unredeemed, random_login_code, random_phone_code};
use super::control::own_route;
use super::faults::Fault;
use super::memory::Recent;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::rsa::PublicKey;
use super::tokens::{PlatformTokens, TokenLife, TokenRule};
use super::users::{Name, SimulatedUser, Users, is_appid};
use super::wechat::opendata::{self, Watermark, Written};
use super::world::{Answer, World};
use crate::clock::UnixSeconds;

const EXCHANGE: &str = "tt_jscode2session";
const TOKEN: &str = "tt_client_token";
const PHONE: &str = "tt_get_phonenumber_info";

/// A new token at each call; the one before lives on for five minutes.
const RULE: TokenRule =
    TokenRule { life_s: 7200, reuse_above_s: None, extends: false, overlap_s: Some(300), max_alive: usize::MAX };

/// All apps and users of a simulated Douyin.
pub(super) struct Douyin {
    world: Arc<World>,
    state: Mutex<DouyinState>,
}

struct DouyinState {
    login_codes: Codes,
    phone_codes: Codes,
    users: Users,
    tokens: PlatformTokens,
    /// The apps' public keys for phone numbers.
    phone_keys: Recent<String, PublicKey>,
}

impl Default for DouyinState {
    fn default() -> Self {
        Self {
            login_codes: Codes::default(),
            phone_codes: Codes::default(),
            users: Users::default(),
            tokens: PlatformTokens::new(RULE),
            phone_keys: Recent::with_max_len(10_000),
        }
    }
}

impl Douyin {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, DouyinState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(
        &self,
        interface: &'static str,
        appid: &str,
        run: impl FnOnce(&mut DouyinState, UnixSeconds) -> Result<Answer, Fault>,
    ) -> Reply {
        match self.world.call(interface, appid, |now| run(&mut self.state(), now)) {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(number)) => Reply::Json(Duration::ZERO, self.refusal(interface, number)),
            Err(Fault::Word(_)) => Reply::Json(Duration::ZERO, self.refusal(interface, -1)),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }

    /// Each interface has its own form of an error.
    fn refusal(&self, interface: &str, number: i64) -> String {
        let log_id = format!("2026{:028}", self.world.count_answer());
        let tips = wording(number);
        match interface {
            TOKEN => json!({ "data": { "error_code": number, "description": tips }, "message": "error" }),
            PHONE => json!({ "err_no": number, "err_msg": tips, "log_id": log_id, "data": "" }),
            _ => json!({ "err_no": number, "err_tips": tips, "log_id": log_id, "data": null }),
        }
        .to_string()
    }

    fn exchange(&self, body: &Value) -> Reply {
        let [appid, secret, code] = texts_in(body, ["appid", "secret", "code"]);
        self.call(EXCHANGE, &appid, |state, now| {
            if !is_appid(&appid) {
                return Err(Fault::Errcode(40015));
            }
            if secret.is_empty() {
                return Err(Fault::Errcode(40017));
            }
            let presented =
                PresentedCode { text: &code, once: "demo", appid: &appid, stranger: self.world.stranger.as_ref() };
            let (delay, name) =
                state.login_codes.redeem(presented, now, |_| true).map_err(|error| meaning(error, 40018))?;
            state.users.meet(&name, &appid);
            let data = json!({
                "session_key": state.users.session_key(&name, &appid),
                "openid": name.openid(&appid),
                "anonymous_openid": "",
                "unionid": name.unionid(),
            });
            let answer = json!({ "err_no": 0, "err_tips": "success", "data": data });
            Ok((delay, answer.to_string()))
        })
    }

    fn client_token(&self, body: &Value) -> Reply {
        let [grant_type, appid, secret] = texts_in(body, ["grant_type", "client_key", "client_secret"]);
        self.call(TOKEN, &appid, |state, now| {
            if grant_type != "client_credential" || !is_appid(&appid) || secret.is_empty() {
                return Err(Fault::Errcode(40014));
            }
            let (token, expires_in) = state.tokens.issue(&appid, now).ok_or(Fault::Errcode(-1))?;
            let data = json!({ "access_token": token, "description": "", "error_code": 0, "expires_in": expires_in });
            Ok((Duration::ZERO, json!({ "data": data, "message": "success" }).to_string()))
        })
    }

    fn phone_number(&self, token: &str, body: &Value) -> Reply {
        let [code] = texts_in(body, ["code"]);
        let token = self.state().tokens.state(token, self.world.now());
        let appid = match &token {
            TokenLife::Alive(appid) | TokenLife::Dead(appid) => appid.clone(),
            TokenLife::Unknown => String::new(),
        };
        self.call(PHONE, &appid, |state, now| {
            if !matches!(token, TokenLife::Alive(_)) {
                return Err(Fault::Errcode(28_001_008));
            }
            // Without a key from the console there is nothing to encrypt to.
            let key = state.phone_keys.get(&appid).cloned().ok_or(Fault::Errcode(28_001_016))?;
            let presented =
                PresentedCode { text: &code, once: "phone", appid: &appid, stranger: self.world.stranger.as_ref() };
            let (delay, name) =
                state.phone_codes.redeem(presented, now, |_| true).map_err(|error| meaning(error, 28_005_187))?;
            state.users.meet(&name, &appid);
            let watermark = Watermark { timestamp: now.as_u64(), appid: &appid };
            let data = key.encrypt(opendata::phone(&name.phone(), watermark).as_bytes()).ok_or(Fault::Errcode(-1))?;
            let log_id = format!("2026{:028}", self.world.count_answer());
            Ok((delay, json!({ "err_no": 0, "err_msg": "", "log_id": log_id, "data": data }).to_string()))
        })
    }

    /// `POST /_sim/tt/app {"appid","phone_public_key"}`, as the console would be told.
    fn set_app(&self, body: &Value) -> Result<Value, ControlError> {
        let [appid, key] = texts_in(body, ["appid", "phone_public_key"]);
        if !is_appid(&appid) {
            return Err(ControlError::Appid);
        }
        let key = PublicKey::parse(&key).ok_or(ControlError::PublicKey)?;
        self.state().phone_keys.insert(appid.clone(), key);
        Ok(json!({ "appid": appid }))
    }
}

/// `bad` is the number of a code that is not good, for whatever reason.
fn meaning(refused: Unredeemed, bad: i64) -> Fault {
    match refused {
        Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(bad),
        Unredeemed::Fault(fault) => fault,
    }
}

fn wording(number: i64) -> &'static str {
    match number {
        -1 => "system error",
        40014 => "bad params",
        40015 => "bad appid",
        40017 => "bad secret",
        40018 => "bad code",
        40019 => "bad anonymous code",
        28_001_005 => "system busy",
        28_001_008 => "access_token expired",
        28_001_016 => "app has no permission",
        28_003_017 => "quota used up",
        28_003_018 => "too many requests",
        28_005_187 => "code expired",
        _ => "unknown error",
    }
}

async fn json_of(body: Body) -> Value {
    read_body(body).await.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default()
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json; charset=utf-8").await
}

impl SimulatedPlatform for Douyin {
    fn name(&self) -> &'static str {
        "tt"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[EXCHANGE, TOKEN, PHONE]
    }

    fn routes(self: Arc<Self>) -> Router {
        let exchange = async |State(tt): State<Arc<Self>>, body: Body| respond(tt.exchange(&json_of(body).await)).await;
        let token =
            async |State(tt): State<Arc<Self>>, body: Body| respond(tt.client_token(&json_of(body).await)).await;
        let phone = async |State(tt): State<Arc<Self>>, headers: HeaderMap, body: Body| {
            let token = headers.get("access-token").and_then(|token| token.to_str().ok()).unwrap_or_default();
            respond(tt.phone_number(token, &json_of(body).await)).await
        };
        Router::new()
            .route("/api/apps/v2/jscode2session", post(exchange))
            .route("/oauth/client_token/", post(token))
            .route("/api/apps/v1/get_phonenumber_info/", post(phone))
            .route("/_sim/tt/app", own_route(|tt: &Self, body| tt.set_app(body)))
            .with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser::named(appid, name)
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_login_code().map_err(|_| ControlError::NoRandomness)?;
        self.state().login_codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn phone_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_phone_code().map_err(|_| ControlError::NoRandomness)?;
        self.state().phone_codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let watermark = Watermark { timestamp: self.world.now().as_u64(), appid };
        let Written { text, .. } = opendata::written(content, name, watermark);
        let session_key = self.state().users.session_key(name, appid);
        let encrypted = opendata::encrypt(&session_key, &text).ok_or(ControlError::NoRandomness)?;
        Ok(DataForClient::Encrypted {
            encrypted_data: encrypted.data,
            iv: encrypted.iv,
            raw_data: None,
            signature: None,
        })
    }

    fn expire_tokens(&self, appid: Option<&str>, _errcode: Option<i64>) -> Result<u64, ControlError> {
        Ok(self.state().tokens.expire(appid, self.world.now()))
    }

    fn reset_session_key(&self, name: &Name) -> Result<u64, ControlError> {
        self.state().users.reset(name).ok_or(ControlError::Full)
    }

    fn forget(&self) {
        *self.state() = DouyinState::default();
    }
}
