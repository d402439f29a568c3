//! The simulated `WeCom`: a corp's access token, what becomes of a code of `wx.qy.login`, and what clients get encrypted.
//!
//! Where the documentation does not say how something is refused, the choice is made here and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::body::parameters;
use super::codes::{Codes, Unredeemed, random_login_code};
use super::faults::Fault;
use super::memory::Recent;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::tokens::{PlatformTokens, TokenLife, TokenRule};
use super::users::{Name, SimulatedUser, Users, is_appid};
use super::wechat::opendata::{self, Watermark, Written};
use super::world::{Answer, World};

/// Whoever asks gets the same token until its end.
const TOKENS: TokenRule =
    TokenRule { life_s: 7200, reuse_above_s: Some(0), extends: false, overlap_s: None, max_alive: 1 };

const TOKEN: &str = "wxwork_gettoken";
const LOGIN: &str = "wxwork_jscode2session";

/// What a `session_key` follows from beside the name: a login names a corp and no mini-program.
const SCOPE: &str = "wxwork";
const EXPIRED_TOKEN: i64 = 42001;

/// The corp in data for a member who has not logged in.
const CORPID: &str = "ww0123456789abcdef";

/// Corps and members of a simulated `WeCom`. Any corp has linked any mini-program.
pub(super) struct WeCom {
    world: Arc<World>,
    state: Mutex<WeComState>,
}

struct WeComState {
    codes: Codes,
    tokens: PlatformTokens,
    /// What calls with a token that has ended are refused with.
    ended_token: i64,
    users: Users,
    /// The corp of each member who has logged in.
    corps: Recent<Name, String>,
}

impl Default for WeComState {
    fn default() -> Self {
        Self {
            codes: Codes::default(),
            tokens: PlatformTokens::new(TOKENS),
            ended_token: EXPIRED_TOKEN,
            users: Users::default(),
            corps: Recent::with_max_len(1_000_000),
        }
    }
}

impl WeCom {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    /// The token of a corp's app.
    fn get_token(&self, corpid: &str, corpsecret: &str) -> Reply {
        self.reply(self.world.call(TOKEN, corpid, |now| {
            match (corpid, corpsecret) {
                ("", _) => return Err(Fault::Errcode(41002)),
                (_, "") => return Err(Fault::Errcode(41004)),
                (corpid, _) if !is_appid(corpid) => return Err(Fault::Errcode(40013)),
                _ => {}
            }
            let (token, expires_in) = self.state().tokens.issue(corpid, now).ok_or(-1)?;
            let answer = json!({ "errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": expires_in });
            Ok((Duration::ZERO, answer.to_string()))
        }))
    }

    /// A login code becomes a member of a corp: of the one that asks, or of the one in a name such as `alice@ww1`.
    fn jscode2session(&self, token: &str, js_code: &str, grant_type: &str) -> Reply {
        // Apart from the match, which would hold the lock.
        let life = self.state().tokens.state(token, self.world.now());
        let (corpid, refused) = match life {
            TokenLife::Alive(corpid) => (corpid, None),
            TokenLife::Dead(corpid) => (corpid, Some(self.state().ended_token)),
            TokenLife::Unknown => (String::new(), Some(if token.is_empty() { 41001 } else { 40014 })),
        };
        self.reply(self.world.call(LOGIN, &corpid, |now| {
            refused.map_or(Ok(()), |errcode| Err(Fault::Errcode(errcode)))?;
            if grant_type != "authorization_code" {
                return Err(Fault::Errcode(40002));
            }
            let mut state = self.state();
            let redeemed = state.codes.redeem(self.world.login_code(js_code, SCOPE), now, |_| true);
            let (delay, name) = redeemed.map_err(|why| match why {
                Unredeemed::Fault(fault) => fault,
                Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(40029),
            })?;
            let (userid, other_corp) = member(&name);
            let corpid = other_corp.unwrap_or(&corpid);
            state.corps.insert(name.clone(), corpid.to_owned());
            let answer = json!({
                "errcode": 0,
                "errmsg": "ok",
                "userid": userid,
                "session_key": state.users.session_key(&name, SCOPE),
                "corpid": corpid,
                "deviceid": name.hex("wxwork deviceid", "", 32),
            });
            Ok((delay, answer.to_string()))
        }))
    }

    fn reply(&self, outcome: Result<Answer, Fault>) -> Reply {
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(errcode)) => {
                let hint = self.world.count_answer();
                let errmsg = format!(
                    "{}, hint: [{hint:018}], from ip: 203.0.113.7, more info at \
                     https://open.work.weixin.qq.com/devtool/query?e={errcode}",
                    wording(errcode)
                );
                Reply::Json(Duration::ZERO, json!({ "errcode": errcode, "errmsg": errmsg }).to_string())
            }
            // Its codes are numbers.
            Err(Fault::Word(_)) => self.reply(Err(Fault::Errcode(-1))),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }

    fn state(&self) -> MutexGuard<'_, WeComState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for WeCom {
    fn name(&self) -> &'static str {
        "wxwork"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[TOKEN, LOGIN]
    }

    fn routes(self: Arc<Self>) -> Router {
        let get_token = async |State(wecom): State<Arc<Self>>, RawQuery(query): RawQuery| {
            let [corpid, corpsecret] = parameters(&query.unwrap_or_default(), ["corpid", "corpsecret"]);
            respond(wecom.get_token(&corpid, &corpsecret)).await
        };
        let jscode2session = async |State(wecom): State<Arc<Self>>, RawQuery(query): RawQuery| {
            let names = ["access_token", "js_code", "grant_type"];
            let [token, js_code, grant_type] = parameters(&query.unwrap_or_default(), names);
            respond(wecom.jscode2session(&token, &js_code, &grant_type)).await
        };
        Router::new()
            .route("/cgi-bin/gettoken", get(get_token))
            .route("/cgi-bin/miniprogram/jscode2session", get(jscode2session))
            .with_state(self)
    }

    /// Without the corp, which depends on who asks.
    fn user(&self, _appid: &str, name: &Name) -> SimulatedUser {
        let phone = name.phone();
        SimulatedUser {
            openid: member(name).0.to_owned(),
            unionid: String::new(),
            country_code: phone.country_code.to_string(),
            phone: phone.pure,
        }
    }

    fn login_code(&self, _appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_login_code().map_err(|_| ControlError::NoRandomness)?;
        self.state().codes.mint(code.clone(), SCOPE.to_owned(), name, self.world.now());
        Ok(code)
    }

    /// The watermark names the mini-program, not the corp.
    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let state = self.state();
        let watermark = Watermark { timestamp: self.world.now().as_u64(), appid };
        let (userid, other_corp) = member(name);
        let corpid = other_corp.or_else(|| state.corps.get(name).map(String::as_str)).unwrap_or(CORPID);
        let Written { text, raw_data, .. } = match content {
            DataContent::UserInfo => {
                let object = json!({ "corpid": corpid, "userid": userid, "name": userid, "gender": 0 });
                let raw_data = json!({ "name": userid, "gender": 0, "language": "zh_CN" }).to_string();
                let text = opendata::with_watermark(&object.to_string(), watermark);
                Written { text, is_phone: false, raw_data: Some(raw_data) }
            }
            other => opendata::written(other, name, watermark),
        };
        let session_key = state.users.session_key(name, SCOPE);
        let encrypted = opendata::encrypt(&session_key, &text).ok_or(ControlError::NoRandomness)?;
        let signature = raw_data.as_ref().map(|raw_data| opendata::sign_raw_data(raw_data, &session_key));
        Ok(DataForClient::Encrypted { encrypted_data: encrypted.data, iv: encrypted.iv, raw_data, signature })
    }

    fn expire_tokens(&self, appid: Option<&str>, errcode: Option<i64>) -> Result<u64, ControlError> {
        let mut state = self.state();
        state.ended_token = errcode.unwrap_or(EXPIRED_TOKEN);
        Ok(state.tokens.expire(appid, self.world.now()))
    }

    fn reset_session_key(&self, name: &Name) -> Result<u64, ControlError> {
        self.state().users.reset(name).ok_or(ControlError::Full)
    }

    fn forget(&self) {
        *self.state() = WeComState::default();
    }
}

/// The userid, and the corp of a name such as `alice@ww1`.
fn member(name: &Name) -> (&str, Option<&str>) {
    name.as_str().split_once('@').map_or((name.as_str(), None), |(userid, corpid)| (userid, Some(corpid)))
}

fn wording(errcode: i64) -> &'static str {
    match errcode {
        -1 => "system error",
        40001 => "invalid credential",
        40002 => "invalid grant_type",
        40013 => "invalid corpid",
        40014 => "invalid access_token",
        40029 => "invalid code",
        41001 => "access_token missing",
        41002 => "corpid missing",
        41004 => "corpsecret missing",
        42001 => "access_token expired",
        45009 => "api freq out of limit",
        48002 => "api forbidden",
        60020 => "not allow to access from your ip",
        _ => "unknown error",
    }
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json; charset=UTF-8").await
}

#[cfg(test)]
mod tests;
