//! `WeChat` as seen from a server: state, and one method for each interface. Knows no HTTP beyond what a fault needs.
//!
//! Where the documentation does not say what is refused first, or how, the choice is made here and `docs/SIMULATOR.md`
//! says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::errcode::{refusal, wechat_json};
use super::opendata::{self, Messages, Watermark};
use super::payment::Payments;
use super::tokens::{AccessTokens, Issued};
use crate::clock::UnixSeconds;
use crate::simulator::codes::{Codes, PresentedCode, Unredeemed};
use crate::simulator::faults::Fault;
use crate::simulator::reply::Reply;
use crate::simulator::users::{Name, Users, is_appid};
use crate::simulator::world::{Answer, World};

/// All apps and users of a simulated `WeChat`.
pub(crate) struct Wechat {
    pub(super) world: Arc<World>,
    state: Mutex<State>,
}

/// Everything that is remembered.
#[derive(Default)]
pub(super) struct State {
    pub(super) login_codes: Codes,
    pub(super) phone_codes: Codes,
    pub(super) users: Users,
    pub(super) tokens: AccessTokens,
    pub(super) messages: Messages,
    pub(super) payments: Payments,
}

/// The parameters of `jscode2session`; an absent one is empty.
#[derive(Debug, Default)]
pub(super) struct Jscode2session {
    pub(super) appid: String,
    pub(super) secret: String,
    pub(super) js_code: String,
    pub(super) grant_type: String,
}

/// The parameters of `jscode2session` for platforms that act for others' apps; an absent one is empty.
#[derive(Debug, Default)]
pub(super) struct ComponentJscode2session {
    pub(super) component_access_token: String,
    pub(super) component_appid: String,
    pub(super) appid: String,
    pub(super) js_code: String,
    pub(super) grant_type: String,
}

/// The parameters of the two calls for an access token.
#[derive(Debug, Default)]
pub(super) struct TokenRequest {
    pub(super) grant_type: String,
    pub(super) appid: String,
    pub(super) secret: String,
}

/// The body of `getuserphonenumber`.
#[derive(Debug, Default)]
pub(super) struct PhoneNumberCall {
    pub(super) code: String,
    pub(super) openid: Option<String>,
}

/// The parameters of `checksession` and `resetusersessionkey`.
#[derive(Debug, Default)]
pub(super) struct SessionRequest {
    pub(super) access_token: String,
    pub(super) openid: String,
    pub(super) signature: String,
    pub(super) sig_method: String,
}

#[derive(Serialize)]
struct LoginAnswer<'a> {
    session_key: &'a str,
    openid: &'a str,
    unionid: &'a str,
}

#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

/// A success of an interface that always says so, and what it says beyond that.
#[derive(Serialize)]
struct Ok0<T> {
    errcode: i64,
    errmsg: &'static str,
    #[serde(flatten)]
    more: T,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct ResetAnswer {
    openid: String,
    session_key: String,
}

#[derive(Serialize)]
struct PhoneAnswer {
    phone_info: Box<RawValue>,
}

#[derive(Serialize)]
struct MessageAnswer {
    // The real one's spelling.
    vaild: bool,
    create_time: u64,
}

impl Wechat {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default() }
    }

    /// Whom `code` stands for; `kind` is how a code of its kind begins that works once, and `used` the errcode of a spent one.
    fn redeem(
        &self,
        codes: &mut Codes,
        (code, kind, used): (&str, &str, i64),
        appid: &str,
        now: UnixSeconds,
        expected: impl FnOnce(&Name) -> bool,
    ) -> Result<(Duration, Name), Fault> {
        let presented = PresentedCode { text: code, once: kind, appid, stranger: self.world.stranger.as_ref() };
        codes.redeem(presented, now, expected).map_err(|refused| match refused {
            Unredeemed::Invalid => Fault::Errcode(40029),
            Unredeemed::Used => Fault::Errcode(used),
            Unredeemed::OtherUser => Fault::Errcode(40003),
            Unredeemed::Fault(fault) => fault,
        })
    }

    /// A login code becomes an openid and a `session_key`.
    pub(super) fn jscode2session(&self, request: &Jscode2session) -> Reply {
        let Jscode2session { appid, secret, js_code, grant_type } = request;
        self.call("jscode2session", appid, |state, now| {
            present(&[(appid, 41002), (secret, 41004), (js_code, 41008)])?;
            app(appid, grant_type, "authorization_code")?;
            self.log_in(state, appid, js_code, now)
        })
    }

    /// The same for a platform that acts for the app. It takes any token, as it takes any secret.
    pub(super) fn component_jscode2session(&self, request: &ComponentJscode2session) -> Reply {
        let ComponentJscode2session { component_access_token, component_appid, appid, js_code, grant_type } = request;
        self.call("component_jscode2session", appid, |state, now| {
            present(&[(component_access_token, 41021), (component_appid, 41018), (appid, 41002), (js_code, 41008)])?;
            app(appid, grant_type, "authorization_code")?;
            self.log_in(state, appid, js_code, now)
        })
    }

    fn log_in(&self, state: &mut State, appid: &str, js_code: &str, now: UnixSeconds) -> Result<Answer, Fault> {
        let (delay, name) = self.redeem(&mut state.login_codes, (js_code, "demo", 40163), appid, now, |_| true)?;
        state.users.meet(&name, appid);
        let session_key = state.users.session_key(&name, appid);
        let (openid, unionid) = (name.openid(appid), name.unionid());
        let answer = LoginAnswer { session_key: &session_key, openid: &openid, unionid: &unionid };
        Ok((delay, wechat_json(&answer)))
    }

    /// An access token of the older kind.
    pub(super) fn token(&self, request: &TokenRequest) -> Reply {
        self.issue("token", request, AccessTokens::issue_plain)
    }

    /// A stable access token.
    pub(super) fn stable_token(&self, request: &TokenRequest, force_refresh: bool) -> Reply {
        let issue = if force_refresh { AccessTokens::refresh_stable } else { AccessTokens::issue_stable };
        self.issue("stable_token", request, issue)
    }

    fn issue(
        &self,
        interface: &'static str,
        request: &TokenRequest,
        issue: fn(&mut AccessTokens, &str, UnixSeconds) -> Result<Issued, i64>,
    ) -> Reply {
        let TokenRequest { grant_type, appid, secret } = request;
        self.call(interface, appid, |state, now| {
            present(&[(appid, 41002), (secret, 41004)])?;
            app(appid, grant_type, "client_credential")?;
            let Issued { token, expires_in } = issue(&mut state.tokens, appid, now)?;
            Ok(at_once(&TokenAnswer { access_token: token, expires_in }))
        })
    }

    /// The code of the phone button becomes a phone number. With an openid, it has to be the one of the button's user.
    pub(super) fn getuserphonenumber(&self, access_token: &str, request: Result<PhoneNumberCall, i64>) -> Reply {
        self.call_with_token("getuserphonenumber", access_token, |state, appid, now| {
            let PhoneNumberCall { code, openid } = request?;
            let is_user = |name: &Name| openid.as_ref().is_none_or(|openid| *openid == name.openid(appid));
            let (delay, name) = self.redeem(&mut state.phone_codes, (&code, "phone", 40029), appid, now, is_user)?;
            state.users.meet(&name, appid);
            let watermark = Watermark { timestamp: now.as_u64(), appid };
            let phone_info = RawValue::from_string(opendata::phone(&name.phone(), watermark)).map_err(|_| -1)?;
            Ok((delay, ok(PhoneAnswer { phone_info })))
        })
    }

    /// Whether the signature was made with the user's present `session_key`.
    pub(super) fn checksession(&self, request: &SessionRequest) -> Reply {
        self.call_with_token("checksession", &request.access_token, |state, appid, _| {
            signer(&state.users, appid, request)?;
            Ok((Duration::ZERO, ok(Nothing {})))
        })
    }

    /// The `session_key` that the signature was made with is replaced.
    pub(super) fn resetusersessionkey(&self, request: &SessionRequest) -> Reply {
        self.call_with_token("resetusersessionkey", &request.access_token, |state, appid, _| {
            let name = signer(&state.users, appid, request)?;
            state.users.reset_in(&name, appid).ok_or(-1)?;
            let session_key = state.users.session_key(&name, appid);
            Ok((Duration::ZERO, ok(ResetAnswer { openid: request.openid.clone(), session_key })))
        })
    }

    /// Whether an encrypted phone number was made here, by the hash of its base64.
    pub(super) fn checkencryptedmsg(&self, access_token: &str, hash: Result<String, i64>) -> Reply {
        self.call_with_token("checkencryptedmsg", access_token, |state, appid, now| {
            let hash = hash?;
            let is_lower = !hash.bytes().any(|byte| byte.is_ascii_uppercase());
            let bytes = hex::decode(&hash).ok().filter(|_| is_lower).and_then(|bytes| bytes.try_into().ok());
            let made_at = state.messages.made_at(appid, bytes.ok_or(40097)?, now).ok_or(1)?;
            Ok((Duration::ZERO, ok(MessageAnswer { vaild: true, create_time: made_at.as_u64() })))
        })
    }

    /// A refusal for a request that is not looked at, and not counted.
    pub(super) fn refuse(&self, errcode: i64) -> Reply {
        self.reply(Err(Fault::Errcode(errcode)))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(
        &self,
        interface: &'static str,
        appid: &str,
        run: impl FnOnce(&mut State, UnixSeconds) -> Result<Answer, Fault>,
    ) -> Reply {
        self.reply(self.world.call(interface, appid, |now| run(&mut self.state(), now)))
    }

    /// The same for the app that the access token is for.
    pub(super) fn call_with_token(
        &self,
        interface: &'static str,
        access_token: &str,
        run: impl FnOnce(&mut State, &str, UnixSeconds) -> Result<Answer, Fault>,
    ) -> Reply {
        let appid = self.state().tokens.appid(access_token).unwrap_or_default().to_owned();
        self.call(interface, &appid, |state, now| {
            state.tokens.check(access_token, now)?;
            run(state, &appid, now)
        })
    }

    fn reply(&self, outcome: Result<Answer, Fault>) -> Reply {
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(errcode)) => {
                Reply::Json(Duration::ZERO, refusal(errcode, self.world.count_answer(), self.world.now()))
            }
            // Of words it knows none, as of codes.
            Err(Fault::Word(_)) => self.reply(Err(Fault::Errcode(40029))),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }
}

/// Refuses with the errcode of the first text that is empty.
pub(super) fn present(texts: &[(&str, i64)]) -> Result<(), Fault> {
    texts.iter().find(|(text, _)| text.is_empty()).map_or(Ok(()), |(_, errcode)| Err(Fault::Errcode(*errcode)))
}

pub(super) fn app(appid: &str, grant_type: &str, expected: &str) -> Result<(), Fault> {
    if grant_type != expected {
        return Err(Fault::Errcode(40002));
    }
    if is_appid(appid) { Ok(()) } else { Err(Fault::Errcode(40013)) }
}

/// Who signed, if it was with the present `session_key`.
fn signer(users: &Users, appid: &str, request: &SessionRequest) -> Result<Name, Fault> {
    let SessionRequest { openid, signature, sig_method, .. } = request;
    present(&[(openid, 40097), (signature, 40097), (sig_method, 40097)])?;
    if sig_method != "hmac_sha256" {
        return Err(Fault::Errcode(87008));
    }
    let name = users.by_openid(openid, appid).ok_or(40003)?;
    if opendata::is_signature(signature, &users.session_key(&name, appid), "") {
        Ok(name)
    } else {
        Err(Fault::Errcode(87009))
    }
}

pub(super) fn ok(more: impl Serialize) -> String {
    wechat_json(&Ok0 { errcode: 0, errmsg: "ok", more })
}

fn at_once(answer: &impl Serialize) -> Answer {
    (Duration::ZERO, wechat_json(answer))
}

#[cfg(test)]
mod tests;
