//! The simulated Baidu: both ways from a code of `swan.getLoginCode` to a `session_key`, access tokens for the newer one, and
//! what clients get encrypted.
//!
//! Where the documentation does not say how something is refused, the choice is made here and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::body::{form, parameters};
use super::codes::{Codes, Unredeemed, random_text};
use super::faults::Fault;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::tokens::{PlatformTokens, TokenLife, TokenRule};
use super::users::{Name, SimulatedUser, Users, is_appid};
use super::world::{Answer, World};

mod cipher;

const OLD_LOGIN: &str = "swan_jscode2sessionkey";
const NEW_LOGIN: &str = "swan_getsessionkey";
const TOKEN: &str = "swan_oauth_token";

/// A code of `swan.getLoginCode` lives for ten minutes.
const CODE_LIFETIME_S: u64 = 600;
const CODE_LEN: usize = 32;

/// Tokens live for a month. What asking again does is not documented; here it does nothing until the end.
const TOKEN_RULE: TokenRule =
    TokenRule { life_s: 2_592_000, reuse_above_s: Some(0), extends: false, overlap_s: None, max_alive: 2 };

const BAD_PARAMETER: i64 = 10_010_100;
const BAD_TOKEN: i64 = 110;
const ENDED_TOKEN: i64 = 111;
const INTERNAL: i64 = 2;

/// All apps and users of a simulated Baidu. An app is named by its App Key.
pub(super) struct Baidu {
    world: Arc<World>,
    state: Mutex<SwanState>,
}

struct SwanState {
    codes: Codes,
    tokens: PlatformTokens,
    users: Users,
}

impl Default for SwanState {
    fn default() -> Self {
        let (codes, tokens) = (Codes::living_for_s(CODE_LIFETIME_S), PlatformTokens::new(TOKEN_RULE));
        Self { codes, tokens, users: Users::default() }
    }
}

impl Baidu {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    /// The older way: App Key and App Secret come with the code.
    fn jscode2sessionkey(&self, [client_id, sk, code]: &[String; 3]) -> Reply {
        let outcome = self.world.call(OLD_LOGIN, client_id, |_| {
            if sk.is_empty() || !is_appid(client_id) {
                return Err(Fault::Errcode(BAD_PARAMETER));
            }
            let (delay, openid, session_key) = self.log_in(client_id, code)?;
            Ok((delay, json!({ "openid": openid, "session_key": session_key }).to_string()))
        });
        reply(outcome, |errno| {
            let (error, description) = wording(errno);
            json!({ "errno": errno, "error": error, "error_description": description })
        })
    }

    /// The newer way: an access token comes with the code.
    fn getsessionkey(&self, [access_token, code]: &[String; 2]) -> Reply {
        let (client_id, refused_with) = match self.state().tokens.state(access_token, self.world.now()) {
            TokenLife::Alive(client_id) => (client_id, None),
            TokenLife::Dead(client_id) => (client_id, Some(ENDED_TOKEN)),
            TokenLife::Unknown => (String::new(), Some(BAD_TOKEN)),
        };
        let outcome = self.world.call(NEW_LOGIN, &client_id, |_| {
            refused_with.map_or(Ok(()), |errcode| Err(Fault::Errcode(errcode)))?;
            let (delay, openid, session_key) = self.log_in(&client_id, code)?;
            let data = json!({ "open_id": openid, "session_key": session_key });
            Ok((delay, self.envelope(0, "success", &data).to_string()))
        });
        reply(outcome, |errno| match errno {
            // Of the gateway in front, which has a shape of its own.
            BAD_TOKEN => json!({ "error_code": errno, "error_msg": "Access token invalid or no longer valid" }),
            ENDED_TOKEN => json!({ "error_code": errno, "error_msg": "Access token expired" }),
            _ => self.envelope(errno, wording(errno).0, &Value::Null),
        })
    }

    fn envelope(&self, errno: i64, msg: &str, data: &Value) -> Value {
        let (request_id, timestamp) = (self.world.count_answer().to_string(), self.world.now().as_u64());
        json!({ "errno": errno, "msg": msg, "data": data, "request_id": request_id, "timestamp": timestamp })
    }

    fn log_in(&self, client_id: &str, code: &str) -> Result<(Duration, String, String), Fault> {
        let mut state = self.state();
        let redeemed = state.codes.redeem(self.world.login_code(code, client_id), self.world.now(), |_| true);
        let (delay, name) = redeemed.map_err(|why| match why {
            Unredeemed::Fault(fault) => fault,
            Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(BAD_PARAMETER),
        })?;
        let session_key = cipher::session_key(&state.users, &name, client_id);
        Ok((delay, openid(&name, client_id), session_key))
    }

    fn token(&self, [grant_type, client_id, client_secret, scope]: &[String; 4]) -> Reply {
        let outcome = self.world.call(TOKEN, client_id, |now| {
            let is_complete = grant_type == "client_credentials" && scope == "smartapp_snsapi_base";
            if !is_complete || client_secret.is_empty() || !is_appid(client_id) {
                return Err(Fault::Errcode(BAD_PARAMETER));
            }
            let (access_token, expires_in) = self.state().tokens.issue(client_id, now).ok_or(INTERNAL)?;
            Ok((
                Duration::ZERO,
                json!({ "access_token": access_token, "expires_in": expires_in, "scope": scope }).to_string(),
            ))
        });
        match outcome {
            // OAuth 2.0 has words and a status.
            Err(Fault::Errcode(_)) => unauthorized("invalid_client"),
            Err(Fault::Word(error)) => unauthorized(&error),
            outcome => reply(outcome, |_| Value::Null),
        }
    }

    fn state(&self) -> MutexGuard<'_, SwanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for Baidu {
    fn name(&self) -> &'static str {
        "swan"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[OLD_LOGIN, NEW_LOGIN, TOKEN]
    }

    fn routes(self: Arc<Self>) -> Router {
        const OLD: [&str; 3] = ["client_id", "sk", "code"];
        let old = async |State(swan): State<Arc<Self>>, headers: HeaderMap, body: Body| {
            respond(swan.jscode2sessionkey(&form(&headers, body, OLD).await)).await
        };
        // As the platform's own library calls it.
        let old_by_get = async |State(swan): State<Arc<Self>>, RawQuery(query): RawQuery| {
            respond(swan.jscode2sessionkey(&parameters(&query.unwrap_or_default(), OLD))).await
        };
        let new = async |State(swan): State<Arc<Self>>, RawQuery(query): RawQuery| {
            respond(swan.getsessionkey(&parameters(&query.unwrap_or_default(), ["access_token", "code"]))).await
        };
        let token =
            async |State(swan): State<Arc<Self>>, RawQuery(query): RawQuery| {
                respond(swan.token(&parameters(
                    &query.unwrap_or_default(),
                    ["grant_type", "client_id", "client_secret", "scope"],
                )))
                .await
            };
        Router::new()
            .route("/oauth/jscode2sessionkey", post(old).get(old_by_get))
            .route("/rest/2.0/smartapp/getsessionkey", post(new).get(new))
            .route("/oauth/2.0/token", get(token))
            .with_state(self)
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

    /// With the partner's host after an `@`, as codes from apps of partners have it.
    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let random = || random_text(CODE_LEN).map_err(|_| ControlError::NoRandomness);
        let code = format!("{}@baidu/{}", random()?, random()?);
        self.state().codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    /// An object has no watermark; the App Key is encrypted along with it.
    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let text = match content {
            DataContent::Phone => json!({ "mobile": name.phone().pure }).to_string(),
            DataContent::UserInfo => user_info(name, appid),
            DataContent::Text { text, .. } | DataContent::Object { text, .. } => text,
        };
        let session_key = cipher::session_key(&self.state().users, name, appid);
        cipher::encrypt(&session_key, &text, appid).ok_or(ControlError::NoRandomness)
    }

    fn expire_tokens(&self, appid: Option<&str>, _errcode: Option<i64>) -> Result<u64, ControlError> {
        Ok(self.state().tokens.expire(appid, self.world.now()))
    }

    fn reset_session_key(&self, name: &Name) -> Result<u64, ControlError> {
        self.state().users.reset(name).ok_or(ControlError::Full)
    }

    fn forget(&self) {
        *self.state() = SwanState::default();
    }
}

fn openid(name: &Name, client_id: &str) -> String {
    name.hex("swan openid", client_id, 26)
}

fn user_info(name: &Name, client_id: &str) -> String {
    json!({
        "openid": openid(name, client_id), "nickname": name.as_str(),
        "headimgurl": "https://himg.bdimg.com/sys/portrait/item/simulated", "sex": 0,
    })
    .to_string()
}

fn unauthorized(error: &str) -> Reply {
    let refusal = json!({ "error": error, "error_description": "unknown client id" });
    Reply::Status(StatusCode::UNAUTHORIZED, refusal.to_string())
}

/// What is said of an `errno`, briefly and at length.
fn wording(errno: i64) -> (&'static str, &'static str) {
    match errno {
        BAD_PARAMETER => ("parameter is invalid", "code, client_id or sk is invalid"),
        _ => ("unknown error", "unknown error"),
    }
}

fn reply(outcome: Result<Answer, Fault>, refusal: impl FnOnce(i64) -> Value) -> Reply {
    match outcome {
        Ok((delay, json)) => Reply::Json(delay, json),
        Err(Fault::Errcode(errno)) => Reply::Json(Duration::ZERO, refusal(errno).to_string()),
        Err(Fault::Word(_)) => Reply::Json(Duration::ZERO, refusal(INTERNAL).to_string()),
        Err(Fault::Broken(broken)) => Reply::Broken(broken),
    }
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json").await
}

#[cfg(test)]
mod tests;
