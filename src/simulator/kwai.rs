//! The simulated Kuaishou: what becomes of a code of `ks.login`, and what clients get encrypted.
//!
//! Where the documentation does not say how something is refused, the choice is made here and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;

use super::body::form;
use super::codes::{Codes, Unredeemed, random_text};
use super::faults::Fault;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::users::{Name, SimulatedUser, Users, is_appid};
use super::wechat::opendata;
use super::world::{Answer, World};

const LOGIN: &str = "kwai_code2session";

/// A code of `ks.login` lives for ten minutes.
const CODE_LIFETIME_S: u64 = 600;
/// As long as those that are seen in public.
const CODE_LEN: usize = 64;

const BAD_PARAMETERS: i64 = 100_200_100;
const BAD_CREDENTIALS: i64 = 100_200_101;
const BAD_CODE: i64 = 100_200_105;
const INTERNAL: i64 = 100_200_500;

/// All apps and users of a simulated Kuaishou. All apps belong to one legal entity.
pub(super) struct Kuaishou {
    world: Arc<World>,
    state: Mutex<KwaiState>,
}

struct KwaiState {
    codes: Codes,
    users: Users,
}

impl Default for KwaiState {
    fn default() -> Self {
        Self { codes: Codes::living_for_s(CODE_LIFETIME_S), users: Users::default() }
    }
}

impl Kuaishou {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    /// A login code becomes an `open_id` and a `session_key`, which replaces the one of the login before.
    fn code2session(&self, [app_id, app_secret, js_code]: &[String; 3]) -> Reply {
        let outcome = self.world.call(LOGIN, app_id, |now| {
            if js_code.is_empty() || app_id.is_empty() || app_secret.is_empty() {
                return Err(Fault::Errcode(BAD_PARAMETERS));
            }
            if !is_appid(app_id) {
                return Err(Fault::Errcode(BAD_CREDENTIALS));
            }
            let mut state = self.state();
            let redeemed = state.codes.redeem(self.world.login_code(js_code, app_id), now, |_| true);
            let (delay, name) = redeemed.map_err(|why| match why {
                Unredeemed::Fault(fault) => fault,
                Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(BAD_CODE),
            })?;
            state.users.reset_in(&name, app_id).ok_or(INTERNAL)?;
            let session_key = state.users.session_key(&name, app_id);
            Ok((delay, json!({ "result": 1, "session_key": session_key, "open_id": open_id(&name) }).to_string()))
        });
        self.reply(outcome)
    }

    fn reply(&self, outcome: Result<Answer, Fault>) -> Reply {
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(result)) => self.refuse(result, wording(result)),
            Err(Fault::Word(error)) => self.refuse(INTERNAL, (&error, "said on demand")),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }

    fn refuse(&self, result: i64, (error, error_msg): (&str, &str)) -> Reply {
        let request_id = format!("{:018}", self.world.count_answer());
        let refusal = json!({ "result": result, "error": error, "error_msg": error_msg, "request_id": request_id });
        Reply::Json(Duration::ZERO, refusal.to_string())
    }

    fn state(&self) -> MutexGuard<'_, KwaiState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for Kuaishou {
    fn name(&self) -> &'static str {
        "kwai"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[LOGIN]
    }

    fn routes(self: Arc<Self>) -> Router {
        let code2session = async |State(kwai): State<Arc<Self>>, headers: HeaderMap, body: Body| {
            respond(kwai.code2session(&form(&headers, body, ["app_id", "app_secret", "js_code"]).await)).await
        };
        let refuse = async |State(kwai): State<Arc<Self>>| respond(kwai.reply(Err(BAD_PARAMETERS.into()))).await;
        Router::new().route("/oauth2/mp/code2session", post(code2session).fallback(refuse)).with_state(self)
    }

    fn user(&self, _appid: &str, name: &Name) -> SimulatedUser {
        let phone = name.phone();
        SimulatedUser {
            openid: open_id(name),
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

    /// Objects have no watermark: none is documented.
    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let (plaintext, raw_data) = match content {
            DataContent::Phone => (phone_json(name), None),
            DataContent::UserInfo => (user_info(name), Some(opendata::raw_data(name))),
            DataContent::Text { text, .. } | DataContent::Object { text, .. } => (text, None),
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
        *self.state() = KwaiState::default();
    }
}

/// The same in every app, since they belong to one legal entity.
fn open_id(name: &Name) -> String {
    name.hex("kwai open_id", "", 32)
}

fn phone_json(name: &Name) -> String {
    let phone = name.phone();
    let country_code = format!("+{}", phone.country_code);
    json!({ "phoneNumber": phone.pure, "countryCode": country_code }).to_string()
}

fn user_info(name: &Name) -> String {
    json!({
        "openId": open_id(name), "nickName": name.as_str(), "avatarUrl": "https://static.yximgs.com/simulated.jpg",
        "gender": "UNKNOWN", "city": "", "province": "", "country": "",
    })
    .to_string()
}

/// `error` and `error_msg`.
fn wording(result: i64) -> (&'static str, &'static str) {
    match result {
        BAD_PARAMETERS => ("invalid_request", "request parameter is missing or invalid"),
        BAD_CREDENTIALS => ("unauthorized_client", "app_id or app_secret is wrong"),
        100_200_104 => ("invalid_scope", "scope is not granted"),
        BAD_CODE => ("invalid_grant", "code is invalid or expired"),
        INTERNAL => ("server_error", "internal server error"),
        _ => ("unknown", "unknown error"),
    }
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json;charset=UTF-8").await
}

#[cfg(test)]
mod tests;
