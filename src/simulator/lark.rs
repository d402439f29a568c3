//! The simulated Lark (Feishu): app access tokens, and what becomes of a code of `tt.login`.
//!
//! Where the documentation does not say how something is refused, the choice is made here and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

use super::body::{json_in, texts_in};
use super::codes::{Codes, Unredeemed, random_text};
use super::faults::Fault;
use super::platform::{ControlError, SimulatedPlatform};
use super::reply::{self, Reply};
use super::tokens::{PlatformTokens, TokenLife, TokenRule};
use super::users::{Name, SimulatedUser, is_appid};
use super::world::{Answer, World};

/// With less than half an hour of a token's life left there is a new one, and both are good.
const TOKENS: TokenRule =
    TokenRule { life_s: 7200, reuse_above_s: Some(1799), extends: false, overlap_s: None, max_alive: 100 };
/// A code of `tt.login` lives for three minutes.
const CODE_LIFETIME_S: u64 = 180;
/// An internal app has one tenant.
const TENANT_KEY: &str = "2c5914ac018f97";

const TOKEN: &str = "lark_app_access_token";
const LOGIN: &str = "lark_token_login_validate";

/// Apps and users of a simulated Lark.
pub(super) struct Feishu {
    world: Arc<World>,
    state: Mutex<FeishuState>,
}

struct FeishuState {
    codes: Codes,
    tokens: PlatformTokens,
    /// What calls with a token that has ended are refused with.
    ended_token: i64,
}

impl Default for FeishuState {
    fn default() -> Self {
        let (codes, tokens) = (Codes::living_for_s(CODE_LIFETIME_S), PlatformTokens::new(TOKENS));
        Self { codes, tokens, ended_token: INVALID_TOKEN }
    }
}

impl Feishu {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    /// An app's token.
    fn app_access_token(&self, body: &Value) -> Reply {
        let [app_id, app_secret] = texts_in(body, ["app_id", "app_secret"]);
        reply(self.world.call(TOKEN, &app_id, |now| {
            if app_secret.is_empty() || !is_appid(&app_id) {
                return Err(Fault::Errcode(INVALID_PARAMETER));
            }
            let (token, expire) = self.state().tokens.issue(&app_id, now).ok_or(INTERNAL)?;
            let token = format!("{PREFIX}{token}");
            let answer = json!({
                "app_access_token": token, "code": 0, "expire": expire, "msg": "ok", "tenant_access_token": token,
            });
            Ok((Duration::ZERO, answer.to_string()))
        }))
    }

    /// A login code becomes an `open_id`, and much that a server has no use for.
    fn token_login_validate(&self, token: &str, body: &Value) -> Reply {
        let token = token.strip_prefix(PREFIX).unwrap_or_default();
        // Apart from the match, which would hold the lock.
        let life = self.state().tokens.state(token, self.world.now());
        let (app_id, refused) = match life {
            TokenLife::Alive(app_id) => (app_id, None),
            TokenLife::Dead(app_id) => (app_id, Some(self.state().ended_token)),
            TokenLife::Unknown => (String::new(), Some(INVALID_TOKEN)),
        };
        reply(self.world.call(LOGIN, &app_id, |now| {
            refused.map_or(Ok(()), |errcode| Err(Fault::Errcode(errcode)))?;
            let [code] = texts_in(body, ["code"]);
            let redeemed = self.state().codes.redeem(self.world.login_code(&code, &app_id), now, |_| true);
            let (delay, name) = redeemed.map_err(|why| match why {
                Unredeemed::Fault(fault) => fault,
                Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(INVALID_CODE),
            })?;
            let data = json!({
                "access_token": format!("u-{}", name.hex("lark access_token", &app_id, 20)),
                "employee_id": name.hex("lark employee_id", "", 6),
                // A point in time, not a duration.
                "expires_in": now.plus(7200).as_u64(),
                "open_id": open_id(&name, &app_id),
                "refresh_token": format!("ur-{}", name.hex("lark refresh_token", &app_id, 20)),
                "session_key": name.hex("lark session_key", &app_id, 30),
                "tenant_key": TENANT_KEY,
            });
            Ok((delay, json!({ "code": 0, "data": data, "msg": "success" }).to_string()))
        }))
    }

    fn state(&self) -> MutexGuard<'_, FeishuState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for Feishu {
    fn name(&self) -> &'static str {
        "lark"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[TOKEN, LOGIN]
    }

    fn routes(self: Arc<Self>) -> Router {
        let app_access_token = async |State(lark): State<Arc<Self>>, body: Body| {
            respond(lark.app_access_token(&json_in(body).await)).await
        };
        let token_login_validate = async |State(lark): State<Arc<Self>>, headers: HeaderMap, body: Body| {
            let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
            respond(lark.token_login_validate(token, &json_in(body).await)).await
        };
        Router::new()
            .route("/open-apis/auth/v3/app_access_token/internal", post(app_access_token))
            .route("/open-apis/mina/v2/tokenLoginValidate", post(token_login_validate))
            .with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser {
            openid: open_id(name, appid),
            unionid: String::new(),
            phone: String::new(),
            country_code: String::new(),
        }
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_text(CODE_LEN).map_err(|_| ControlError::NoRandomness)?;
        self.state().codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn expire_tokens(&self, appid: Option<&str>, errcode: Option<i64>) -> Result<u64, ControlError> {
        let mut state = self.state();
        state.ended_token = errcode.unwrap_or(INVALID_TOKEN);
        Ok(state.tokens.expire(appid, self.world.now()))
    }

    fn forget(&self) {
        *self.state() = FeishuState::default();
    }
}

/// As long as the example of the documentation.
const CODE_LEN: usize = 16;

/// What tokens begin with.
const PREFIX: &str = "t-";

const INVALID_PARAMETER: i64 = 10003;
const INVALID_TOKEN: i64 = 10202;
const INVALID_CODE: i64 = 10213;
const INTERNAL: i64 = 99_991_500;

/// The user's name in one app.
fn open_id(name: &Name, app_id: &str) -> String {
    format!("ou_{}", name.hex("lark open_id", app_id, 30))
}

fn reply(outcome: Result<Answer, Fault>) -> Reply {
    match outcome {
        Ok((delay, json)) => Reply::Json(delay, json),
        Err(Fault::Errcode(code)) => {
            Reply::Json(Duration::ZERO, json!({ "code": code, "msg": wording(code) }).to_string())
        }
        // Its codes are numbers.
        Err(Fault::Word(_)) => reply(Err(Fault::Errcode(INTERNAL))),
        Err(Fault::Broken(broken)) => Reply::Broken(broken),
    }
}

fn wording(code: i64) -> &'static str {
    match code {
        INVALID_PARAMETER => "invalid param",
        10014 => "app secret invalid",
        INVALID_TOKEN => "access token invalid",
        INVALID_CODE => "code appid not match",
        10228 => "user to app has no visibility",
        99_991_400 => "request trigger frequency limit",
        99_991_664 => "invalid app token",
        _ => "internal error",
    }
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json; charset=utf-8").await
}

#[cfg(test)]
mod tests;
