//! The simulated QQ: `WeChat`'s interface at another host, with other identifiers, and refusals whose members are all there
//! and empty.
//!
//! Where the documentation does not say how something is refused, the choice is made here and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::body::parameters;
use super::codes::{Codes, Unredeemed, random_login_code};
use super::faults::Fault;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::users::{Name, SimulatedUser, Users, is_appid};
use super::wechat::opendata::{self, Watermark};
use super::world::{Answer, World};

const LOGIN: &str = "qq_jscode2session";
const PATH: &str = "/sns/jscode2session";

const BAD_CODE: i64 = 40029;
/// Seen in public, of unknown meaning: here that something is wrong with the app.
const BAD_APP: i64 = -1009;

/// All apps and users of a simulated QQ.
pub(super) struct QqSimulator {
    world: Arc<World>,
    state: Mutex<QqState>,
}

#[derive(Default)]
struct QqState {
    codes: Codes,
    users: Users,
}

impl QqSimulator {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    fn jscode2session(&self, [appid, secret, js_code, grant_type]: &[String; 4]) -> Reply {
        let outcome = self.world.call(LOGIN, appid, |now| {
            if !is_appid(appid) || secret.is_empty() || grant_type != "authorization_code" {
                return Err(Fault::Errcode(BAD_APP));
            }
            let mut state = self.state();
            let redeemed = state.codes.redeem(self.world.login_code(js_code, appid), now, |_| true);
            let (delay, name) = redeemed.map_err(|why| match why {
                Unredeemed::Fault(fault) => fault,
                Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(BAD_CODE),
            })?;
            let session_key = state.users.session_key(&name, appid);
            Ok((delay, answer(0, &openid(&name, appid), &session_key, &unionid(&name)).to_string()))
        });
        reply(outcome)
    }

    fn state(&self) -> MutexGuard<'_, QqState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for QqSimulator {
    fn name(&self) -> &'static str {
        "qq"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[LOGIN]
    }

    fn routes(self: Arc<Self>) -> Router {
        Router::new()
    }

    /// `WeChat` has this path, too, and appids that are no numbers.
    fn claims(&self, path: &str, appid: &str) -> bool {
        path == PATH && !appid.is_empty() && appid.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn claimed_routes(self: Arc<Self>) -> Router {
        let jscode2session =
            async |State(qq): State<Arc<Self>>, RawQuery(query): RawQuery| {
                respond(qq.jscode2session(&parameters(
                    &query.unwrap_or_default(),
                    ["appid", "secret", "js_code", "grant_type"],
                )))
                .await
            };
        Router::new().route(PATH, get(jscode2session)).with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        let phone = name.phone();
        SimulatedUser {
            openid: openid(name, appid),
            unionid: unionid(name),
            country_code: phone.country_code.to_string(),
            phone: phone.pure,
        }
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_login_code().map_err(|_| ControlError::NoRandomness)?;
        self.state().codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let watermark = Watermark { timestamp: self.world.now().as_u64(), appid };
        let (plaintext, raw_data) = match content {
            DataContent::Phone => (opendata::phone(&name.phone(), watermark), None),
            DataContent::UserInfo => (user_info(name, watermark), Some(opendata::raw_data(name))),
            DataContent::Text { text, .. } | DataContent::Object { text, is_marked: true, .. } => (text, None),
            DataContent::Object { text, is_marked: false, .. } => (opendata::with_watermark(&text, watermark), None),
        };
        let session_key = self.state().users.session_key(name, appid);
        let encrypted = opendata::encrypt(&session_key, &plaintext).ok_or(ControlError::NoRandomness)?;
        let signature = raw_data.as_ref().map(|raw_data| opendata::sign_raw_data(raw_data, &session_key));
        Ok(DataForClient::Encrypted { encrypted_data: encrypted.data, iv: encrypted.iv, raw_data, signature })
    }

    fn reset_session_key(&self, name: &Name) -> Result<u64, ControlError> {
        self.state().users.reset(name).ok_or(ControlError::Full)
    }

    fn forget(&self) {
        *self.state() = QqState::default();
    }
}

/// 32 hex digits in upper case, as QQ's are.
fn openid(name: &Name, appid: &str) -> String {
    name.hex("qq openid", appid, 32).to_ascii_uppercase()
}

fn unionid(name: &Name) -> String {
    format!("UID_{}", name.hex("qq unionid", "", 32).to_ascii_uppercase())
}

fn user_info(name: &Name, watermark: Watermark<'_>) -> String {
    json!({
        "openId": openid(name, watermark.appid), "unionId": unionid(name), "nickName": name.as_str(), "gender": 0,
        "language": "zh_CN", "city": "", "province": "", "country": "",
        "avatarUrl": "https://thirdqq.qlogo.cn/simulated/100", "watermark": watermark,
    })
    .to_string()
}

/// All members are always there.
fn answer(errcode: i64, openid: &str, session_key: &str, unionid: &str) -> Value {
    json!({
        "errcode": errcode, "errmsg": "", "openid": openid, "session_key": session_key, "uin": "", "unionid": unionid,
    })
}

fn reply(outcome: Result<Answer, Fault>) -> Reply {
    match outcome {
        Ok((delay, json)) => Reply::Json(delay, json),
        Err(Fault::Errcode(errcode)) => Reply::Json(Duration::ZERO, answer(errcode, "", "", "").to_string()),
        Err(Fault::Word(_)) => reply(Err(Fault::Errcode(-1))),
        Err(Fault::Broken(broken)) => Reply::Broken(broken),
    }
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json; charset=utf-8").await
}

#[cfg(test)]
mod tests;
