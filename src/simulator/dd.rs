//! The simulated `DingTalk`: an app's access token, and what becomes of a code of `dd.getAuthCode`.
//!
//! Where the documentation does not say how something is refused, the choice is made here and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

use super::body::{json_in, parameters, texts_in};
use super::codes::{Codes, Unredeemed, random_text};
use super::faults::Fault;
use super::platform::{ControlError, SimulatedPlatform};
use super::reply::{self, Reply};
use super::tokens::{PlatformTokens, TokenLife, TokenRule};
use super::users::{Name, SimulatedUser, is_appid};
use super::world::{Answer, World};

/// Whoever asks gets the same token, whose life begins anew.
const TOKENS: TokenRule =
    TokenRule { life_s: 7200, reuse_above_s: Some(0), extends: true, overlap_s: None, max_alive: 1 };

const TOKEN: &str = "dd_access_token";
const LOGIN: &str = "dd_getuserinfo";

/// Apps and users of a simulated `DingTalk`. Each app is of a corp that the platform never names.
pub(super) struct DingTalk {
    world: Arc<World>,
    state: Mutex<DingTalkState>,
}

struct DingTalkState {
    codes: Codes,
    tokens: PlatformTokens,
    /// What calls with a token that has ended are refused with.
    ended_token: i64,
}

impl Default for DingTalkState {
    fn default() -> Self {
        Self { codes: Codes::default(), tokens: PlatformTokens::new(TOKENS), ended_token: EXPIRED_TOKEN }
    }
}

impl DingTalk {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    /// An app's token. What is wrong is told by the status.
    fn access_token(&self, body: &Value) -> Reply {
        let [app_key, app_secret] = texts_in(body, ["appKey", "appSecret"]);
        let outcome = self.world.call(TOKEN, &app_key, |now| {
            if app_secret.is_empty() || !is_appid(&app_key) {
                return Err(Fault::Errcode(400));
            }
            let (token, expire_in) = self.state().tokens.issue(&app_key, now).ok_or(503)?;
            Ok((Duration::ZERO, json!({ "accessToken": token, "expireIn": expire_in }).to_string()))
        });
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(status)) => self.refuse_token(status),
            Err(Fault::Word(code)) => self.refuse_token_as(StatusCode::BAD_REQUEST, &code, "said on demand"),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }

    fn refuse_token(&self, status: i64) -> Reply {
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.filter(|status| status.as_u16() >= 400).unwrap_or(StatusCode::BAD_REQUEST);
        let (code, message) = match status.as_u16() {
            400 => ("invalidClientIdOrSecret", "无效的clientId或者clientSecret"),
            403 => ("Forbidden.AccessDenied.QpsLimitForApi", "请求过快，请稍后再试"),
            _ => ("ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
        };
        self.refuse_token_as(status, code, message)
    }

    fn refuse_token_as(&self, status: StatusCode, code: &str, message: &str) -> Reply {
        let body = json!({ "code": code, "requestid": self.request_id(), "message": message });
        Reply::Status(status, body.to_string())
    }

    /// A login code becomes the `userid` of a member, without a word on the corp.
    fn user_info(&self, token: &str, body: &Value) -> Reply {
        // Apart from the match, which would hold the lock.
        let life = self.state().tokens.state(token, self.world.now());
        let (app_key, refused) = match life {
            TokenLife::Alive(app_key) => (app_key, None),
            TokenLife::Dead(app_key) => (app_key, Some(self.state().ended_token)),
            TokenLife::Unknown => (String::new(), Some(INVALID_TOKEN)),
        };
        let outcome = self.world.call(LOGIN, &app_key, |now| {
            refused.map_or(Ok(()), |errcode| Err(Fault::Errcode(errcode)))?;
            let [code] = texts_in(body, ["code"]);
            let redeemed = self.state().codes.redeem(self.world.login_code(&code, &app_key), now, |_| true);
            let (delay, name) = redeemed.map_err(|why| match why {
                Unredeemed::Fault(fault) => fault,
                Unredeemed::Invalid | Unredeemed::Used | Unredeemed::OtherUser => Fault::Errcode(INVALID_CODE),
            })?;
            let unionid = unionid(&name);
            let result = json!({
                "associated_unionid": unionid,
                "unionid": unionid,
                "device_id": name.hex("dd device_id", "", 32),
                "sys_level": 0,
                "name": name.as_str(),
                "sys": false,
                "userid": userid(&name),
            });
            let request_id = self.request_id();
            let answer = json!({ "errcode": 0, "errmsg": "ok", "result": result, "request_id": request_id });
            Ok((delay, answer.to_string()))
        });
        self.reply(outcome)
    }

    /// Refusals about the token, and only those, come as errcode 88 with the number beside it.
    fn reply(&self, outcome: Result<Answer, Fault>) -> Reply {
        let request_id = self.request_id();
        let refusal = match outcome {
            Ok((delay, json)) => return Reply::Json(delay, json),
            Err(Fault::Broken(broken)) => return Reply::Broken(broken),
            // Its gateway has words for some things, too.
            Err(Fault::Word(word)) => json!({
                "errcode": 88, "sub_code": word, "sub_msg": "said on demand", "errmsg": "ding talk error", "request_id": request_id,
            }),
            Err(Fault::Errcode(number)) => {
                if let Some(sub_msg) = of_gateway(number) {
                    let errmsg = format!("ding talk error[subcode={number},submsg={sub_msg}]");
                    json!({
                        "errcode": 88, "sub_code": number.to_string(), "sub_msg": sub_msg, "errmsg": errmsg, "request_id": request_id,
                    })
                } else {
                    let errmsg = match number {
                        -1 => "系统繁忙",
                        INVALID_CODE => "不存在的临时授权码",
                        _ => "未知错误",
                    };
                    json!({ "errcode": number, "errmsg": errmsg, "request_id": request_id })
                }
            }
        };
        Reply::Json(Duration::ZERO, refusal.to_string())
    }

    fn request_id(&self) -> String {
        format!("{:012x}", self.world.count_answer())
    }

    fn state(&self) -> MutexGuard<'_, DingTalkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for DingTalk {
    fn name(&self) -> &'static str {
        "dd"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[TOKEN, LOGIN]
    }

    fn routes(self: Arc<Self>) -> Router {
        let access_token =
            async |State(dd): State<Arc<Self>>, body: Body| respond(dd.access_token(&json_in(body).await)).await;
        let user_info = async |State(dd): State<Arc<Self>>, RawQuery(query): RawQuery, body: Body| {
            let [token] = parameters(&query.unwrap_or_default(), ["access_token"]);
            respond(dd.user_info(&token, &json_in(body).await)).await
        };
        Router::new()
            .route("/v1.0/oauth2/accessToken", post(access_token))
            .route("/topapi/v2/user/getuserinfo", post(user_info))
            .with_state(self)
    }

    /// Without the corp, which the platform leaves out, too.
    fn user(&self, _appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser {
            openid: userid(name),
            unionid: unionid(name),
            phone: String::new(),
            country_code: String::new(),
        }
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_text(CODE_LEN).map_err(|_| ControlError::NoRandomness)?.to_ascii_lowercase();
        self.state().codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn expire_tokens(&self, appid: Option<&str>, errcode: Option<i64>) -> Result<u64, ControlError> {
        let mut state = self.state();
        state.ended_token = errcode.unwrap_or(EXPIRED_TOKEN);
        Ok(state.tokens.expire(appid, self.world.now()))
    }

    fn forget(&self) {
        *self.state() = DingTalkState::default();
    }
}

const CODE_LEN: usize = 32;

const INVALID_TOKEN: i64 = 40014;
const EXPIRED_TOKEN: i64 = 42001;
const INVALID_CODE: i64 = 40078;

/// What is refused before the interface is reached.
fn of_gateway(number: i64) -> Option<&'static str> {
    match number {
        INVALID_TOKEN => Some("不合法的access_token"),
        EXPIRED_TOKEN => Some("access_token已过期"),
        60011 => Some("没有调用该接口的权限"),
        60020 => Some("访问ip不在白名单之中,request ip=203.0.113.7"),
        90018 => Some("当前应用被限流"),
        _ => None,
    }
}

/// The member's name within the corp; the same in all apps, as they are of one corp.
fn userid(name: &Name) -> String {
    name.as_str().to_owned()
}

fn unionid(name: &Name) -> String {
    name.hex("dd unionid", "", 22)
}

async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "application/json;charset=UTF-8").await
}

#[cfg(test)]
mod tests;
