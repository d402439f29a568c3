//! The simulated Xiaohongshu: access tokens of which two live, what becomes of a code of `xhs.login`, and what clients get
//! encrypted.
//!
//! Where the documentation does not say how something is refused, the choice is made here and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::body::{json_in, parameters, texts_in};
use super::codes::{Codes, Unredeemed, random_text};
use super::faults::Fault;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::tokens::{PlatformTokens, TokenLife, TokenRule};
use super::users::{Name, SimulatedUser, Users, is_appid};
use super::wechat::opendata;
use super::world::{Answer, World};

const TOKEN: &str = "xhs_token";
const LOGIN: &str = "xhs_session";

/// A new one each time, which leaves the one before five minutes and ends all others.
const TOKEN_RULE: TokenRule =
    TokenRule { life_s: 7200, reuse_above_s: None, extends: false, overlap_s: Some(300), max_alive: 2 };

const CODE_LEN: usize = 32;

const BAD_APP: i64 = 410_002;
const BAD_SECRET: i64 = 410_004;
const BAD_TOKEN: i64 = 410_101;
const BAD_CODE: i64 = 410_103;
const INTERNAL: i64 = 410_500;

/// All apps and users of a simulated Xiaohongshu.
pub(super) struct Xiaohongshu {
    world: Arc<World>,
    state: Mutex<XhsState>,
}

struct XhsState {
    codes: Codes,
    tokens: PlatformTokens,
    users: Users,
}

impl Default for XhsState {
    fn default() -> Self {
        Self { codes: Codes::default(), tokens: PlatformTokens::new(TOKEN_RULE), users: Users::default() }
    }
}

impl Xiaohongshu {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    fn rmp_token(&self, body: &Value) -> Reply {
        let [appid, secret] = texts_in(body, ["appid", "secret"]);
        let outcome = self.world.call(TOKEN, &appid, |now| {
            if !is_appid(&appid) {
                return Err(Fault::Errcode(BAD_APP));
            }
            if secret.is_empty() {
                return Err(Fault::Errcode(BAD_SECRET));
            }
            let (token, expire_in) = self.state().tokens.issue(&appid, now).ok_or(INTERNAL)?;
            let data = json!({ "access_token": token, "expire_in": expire_in });
            Ok((Duration::ZERO, success(&data)))
        });
        reply(outcome)
    }

    /// A login code becomes an openid and a `session_key`, which replaces the one of the login before.
    fn rmp_session(&self, [app_id, access_token, code]: &[String; 3]) -> Reply {
        let outcome = self.world.call(LOGIN, app_id, |now| {
            if !is_appid(app_id) {
                return Err(Fault::Errcode(BAD_APP));
            }
            let mut state = self.state();
            if state.tokens.state(access_token, now) != TokenLife::Alive(app_id.clone()) {
                return Err(Fault::Errcode(BAD_TOKEN));
            }
            let redeemed = state.codes.redeem(self.world.login_code(code, app_id), now, |_| true);
            let (delay, name) = redeemed.map_err(|why| match why {
                Unredeemed::Fault(fault) => fault,
                Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(BAD_CODE),
            })?;
            state.users.reset_in(&name, app_id).ok_or(INTERNAL)?;
            let session_key = state.users.session_key(&name, app_id);
            Ok((delay, success(&json!({ "openid": openid(&name, app_id), "session_key": session_key }))))
        });
        reply(outcome)
    }

    fn state(&self) -> MutexGuard<'_, XhsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for Xiaohongshu {
    fn name(&self) -> &'static str {
        "xhs"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[TOKEN, LOGIN]
    }

    fn routes(self: Arc<Self>) -> Router {
        let token = async |State(xhs): State<Arc<Self>>, body: Body| respond(xhs.rmp_token(&json_in(body).await)).await;
        let session = async |State(xhs): State<Arc<Self>>, RawQuery(query): RawQuery| {
            respond(xhs.rmp_session(&parameters(&query.unwrap_or_default(), ["app_id", "access_token", "code"]))).await
        };
        Router::new().route("/api/rmp/token", post(token)).route("/api/rmp/session", get(session)).with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        let phone = name.phone();
        SimulatedUser {
            openid: openid(name, appid),
            unionid: String::new(),
            country_code: phone.country_code.to_string(),
            phone: phone.pure,
        }
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_text(CODE_LEN).map_err(|_| ControlError::NoRandomness)?;
        self.state().codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    /// The watermark says `appId`, as real data does and the documentation does not.
    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let watermark = json!({ "appId": appid, "timestamp": self.world.now().as_u64() });
        let (plaintext, raw_data) = match content {
            DataContent::Phone => (phone_json(name, &watermark), None),
            DataContent::UserInfo => (user_info(name, appid, &watermark), Some(opendata::raw_data(name))),
            DataContent::Text { text, .. } | DataContent::Object { text, is_marked: true, .. } => (text, None),
            DataContent::Object { text, is_marked: false, .. } => (opendata::with_watermark(&text, &watermark), None),
        };
        let session_key = self.state().users.session_key(name, appid);
        let encrypted = opendata::encrypt(&session_key, &plaintext).ok_or(ControlError::NoRandomness)?;
        let signature = raw_data.as_ref().map(|raw_data| opendata::sign_raw_data(raw_data, &session_key));
        Ok(DataForClient::Encrypted { encrypted_data: encrypted.data, iv: encrypted.iv, raw_data, signature })
    }

    fn expire_tokens(&self, appid: Option<&str>, _errcode: Option<i64>) -> Result<u64, ControlError> {
        Ok(self.state().tokens.expire(appid, self.world.now()))
    }

    fn reset_session_key(&self, name: &Name) -> Result<u64, ControlError> {
        self.state().users.reset(name).ok_or(ControlError::Full)
    }

    fn forget(&self) {
        *self.state() = XhsState::default();
    }
}

fn openid(name: &Name, appid: &str) -> String {
    name.hex("xhs openid", appid, 64)
}

fn phone_json(name: &Name, watermark: &Value) -> String {
    let phone = name.phone();
    let country_code = phone.country_code.to_string();
    json!({
        "phoneNumber": phone.full(), "purePhoneNumber": phone.pure, "countryCode": country_code, "watermark": watermark,
    })
    .to_string()
}

fn user_info(name: &Name, appid: &str, watermark: &Value) -> String {
    json!({
        "openId": openid(name, appid), "nickName": name.as_str(),
        "avatarUrl": "https://sns-avatar-qc.xhscdn.com/simulated", "gender": 0, "watermark": watermark,
    })
    .to_string()
}

fn success(data: &Value) -> String {
    json!({ "code": 0, "success": true, "msg": "success", "data": data }).to_string()
}

fn reply(outcome: Result<Answer, Fault>) -> Reply {
    match outcome {
        Ok((delay, json)) => Reply::Json(delay, json),
        Err(Fault::Errcode(code)) => {
            let refusal = json!({ "data": null, "success": false, "msg": wording(code), "code": code });
            Reply::Json(Duration::ZERO, refusal.to_string())
        }
        Err(Fault::Word(_)) => reply(Err(Fault::Errcode(INTERNAL))),
        Err(Fault::Broken(broken)) => Reply::Broken(broken),
    }
}

fn wording(code: i64) -> &'static str {
    match code {
        BAD_APP => "app not exist",
        BAD_SECRET => "app secret error",
        BAD_TOKEN => "access token invalid",
        BAD_CODE => "code invalid",
        _ => "system error",
    }
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json;charset=utf-8").await
}

#[cfg(test)]
mod tests;
