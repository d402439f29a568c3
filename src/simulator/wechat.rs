//! `WeChat` as seen from a server: state, and one method for each interface. Knows no HTTP beyond what a fault needs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::SimulatedUser;
use super::codes::{Codes, Refused, Request};
use super::users::{Name, SessionKeys};
use crate::clock::Clock;

/// All apps and users of a simulated `WeChat`.
pub(super) struct Wechat {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    answers: AtomicU64,
}

#[derive(Default)]
struct State {
    codes: Codes,
    session_keys: SessionKeys,
}

/// What becomes of a request.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Reply {
    /// A 200 with this JSON.
    Json(String),
    /// The same, after a while.
    Late(Duration, String),
    /// A 200 with the beginning of some JSON, then nothing.
    Cut,
    /// A 200 with something else.
    Garbage,
    /// A 500.
    ServerError,
    /// No answer.
    Hang,
}

/// The parameters of `jscode2session`; an absent one is empty.
#[derive(Debug, Default)]
pub(super) struct Jscode2session {
    pub(super) appid: String,
    pub(super) secret: String,
    pub(super) js_code: String,
    pub(super) grant_type: String,
}

/// Why the simulator's own interface refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum SimError {
    #[error("appid is not 1 to {MAX_APPID_LEN} visible ASCII characters")]
    Appid,
    #[error("name is not 1 to {max} visible ASCII characters without a dash", max = Name::MAX_LEN)]
    Name,
    #[error("the simulator remembers no more users with a reset session_key; restart it")]
    Full,
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

const MAX_APPID_LEN: usize = 64;

#[derive(Serialize)]
struct LoginAnswer<'a> {
    session_key: &'a str,
    openid: &'a str,
    unionid: &'a str,
}

#[derive(Serialize)]
struct RefusalAnswer<'a> {
    errcode: i64,
    errmsg: &'a str,
}

impl Wechat {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), answers: AtomicU64::new(0) }
    }

    /// A login code becomes an openid and a `session_key`.
    pub(super) fn jscode2session(&self, request: &Jscode2session) -> Reply {
        let Jscode2session { appid, secret, js_code, grant_type } = request;
        let errcode = if appid.is_empty() {
            41002
        } else if secret.is_empty() {
            41004
        } else if js_code.is_empty() {
            41008
        } else if grant_type != "authorization_code" {
            40002
        } else if !is_appid(appid) {
            40013
        } else {
            return self.exchange(appid, js_code);
        };
        self.refuse(errcode)
    }

    fn exchange(&self, appid: &str, code: &str) -> Reply {
        let spent = match Request::parse(code) {
            Request::Demo(name) => self.state().codes.spend(code).map(|()| name),
            Request::Other => self.state().codes.spend_minted(code, appid, self.clock.now()),
            Request::Refusal(errcode) => return self.refuse(errcode),
            Request::Slow(delay, name) => return Reply::Late(delay, self.session(appid, &name)),
            Request::Cut => return Reply::Cut,
            Request::ServerError => return Reply::ServerError,
            Request::Garbage => return Reply::Garbage,
            Request::Hang => return Reply::Hang,
        };
        match spent {
            Ok(name) => Reply::Json(self.session(appid, &name)),
            Err(Refused::Invalid) => self.refuse(40029),
            Err(Refused::Used) => self.refuse(40163),
        }
    }

    /// A refusal in `WeChat`'s words, with a request id of its own.
    pub(super) fn refuse(&self, errcode: i64) -> Reply {
        let count = self.answers.fetch_add(1, Ordering::Relaxed);
        let digest = hex::encode(Sha256::digest(count.to_be_bytes()));
        let (second, third) = (digest.get(..8).unwrap_or_default(), digest.get(8..16).unwrap_or_default());
        let errmsg = wording(errcode);
        let errmsg = format!("{errmsg}, rid: {:08x}-{second}-{third}", self.clock.now().as_u64() & 0xffff_ffff);
        Reply::Json(wechat_json(&RefusalAnswer { errcode, errmsg: &errmsg }))
    }

    /// Makes a code as `wx.login` would get one.
    pub(super) fn mint(&self, appid: &str, name: &str) -> Result<String, SimError> {
        if !is_appid(appid) {
            return Err(SimError::Appid);
        }
        let name = Name::parse(name).ok_or(SimError::Name)?;
        self.state().codes.mint(appid.to_owned(), name, self.clock.now()).map_err(|_| SimError::NoRandomness)
    }

    /// Makes every `session_key` of a user stale; answers how often that has happened.
    pub(super) fn reset_session_key(&self, name: &str) -> Result<u64, SimError> {
        let name = Name::parse(name).ok_or(SimError::Name)?;
        self.state().session_keys.reset(&name).ok_or(SimError::Full)
    }

    /// What everybody may know of a user.
    pub(super) fn user(appid: &str, name: &str) -> Option<SimulatedUser> {
        let name = Name::parse(name).filter(|_| is_appid(appid))?;
        Some(SimulatedUser { openid: name.openid(appid), unionid: name.unionid(), phone: name.phone() })
    }

    fn session(&self, appid: &str, name: &Name) -> String {
        let session_key = self.state().session_keys.of(name, appid);
        let (openid, unionid) = (name.openid(appid), name.unionid());
        wechat_json(&LoginAnswer { session_key: &session_key, openid: &openid, unionid: &unionid })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_appid(text: &str) -> bool {
    matches!(text.len(), 1..=MAX_APPID_LEN) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// JSON as `WeChat` writes it: each slash has a backslash before it. Slashes stand in texts only, so no more is needed.
fn wechat_json(answer: &impl Serialize) -> String {
    // Structures of numbers and texts always have a JSON form.
    serde_json::to_string(answer).unwrap_or_default().replace('/', "\\/")
}

/// The errmsg that goes with an errcode, without the request id.
fn wording(errcode: i64) -> &'static str {
    match errcode {
        -1 => "system error",
        0 => "ok",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40013 => "invalid appid",
        40029 => "invalid code",
        40125 => "invalid appsecret",
        40163 => "code been used",
        40164 => "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
        40226 => "code blocked",
        40243 => "appsecret is frozen",
        41002 => "appid missing",
        41004 => "appsecret missing",
        41008 => "missing code",
        42003 => "code expired",
        43001 => "require GET method",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        48001 => "api unauthorized",
        48004 => "api forbidden for irregularities",
        50002 => "user limited",
        61003 => "component is not authorized by this account",
        61004 => "access clientip is not registered",
        _ => "unknown error",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::clock::{FixedClock, UnixSeconds};

    fn wechat() -> (Wechat, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
        (Wechat::new(Arc::<FixedClock>::clone(&clock)), clock)
    }

    fn request(appid: &str, js_code: &str) -> Jscode2session {
        let [appid, js_code] = [appid, js_code].map(str::to_owned);
        Jscode2session { appid, secret: "s".to_owned(), js_code, grant_type: "authorization_code".to_owned() }
    }

    fn json(reply: Reply) -> Value {
        let (Reply::Json(text) | Reply::Late(_, text)) = reply else { panic!("{reply:?}") };
        serde_json::from_str(&text).unwrap()
    }

    fn errcode(reply: Reply) -> i64 {
        json(reply)["errcode"].as_i64().unwrap_or_default()
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named() {
        let (wechat, _) = wechat();
        let mut request = Jscode2session::default();
        assert_eq!(errcode(wechat.jscode2session(&request)), 41002);
        request.appid = "w x".to_owned();
        assert_eq!(errcode(wechat.jscode2session(&request)), 41004);
        request.secret = "s".to_owned();
        assert_eq!(errcode(wechat.jscode2session(&request)), 41008);
        request.js_code = "demo-alice-1".to_owned();
        assert_eq!(errcode(wechat.jscode2session(&request)), 40002);
        request.grant_type = "authorization_code".to_owned();
        assert_eq!(errcode(wechat.jscode2session(&request)), 40013);
        request.appid = "x".repeat(65);
        assert_eq!(errcode(wechat.jscode2session(&request)), 40013);
        request.appid = "x".repeat(64);
        assert_eq!(errcode(wechat.jscode2session(&request)), 0, "none of these spent the code");
    }

    #[test]
    fn a_demo_code_works_once_and_never_again() {
        let (wechat, clock) = wechat();
        let session = json(wechat.jscode2session(&request("wx1", "demo-alice-1")));
        assert_eq!(session["openid"], *Wechat::user("wx1", "alice").unwrap().openid);
        assert_eq!(session["unionid"], *Wechat::user("wx2", "alice").unwrap().unionid);
        assert_eq!(errcode(wechat.jscode2session(&request("wx1", "demo-alice-1"))), 40163);
        clock.advance(1_000_000);
        assert_eq!(errcode(wechat.jscode2session(&request("wx2", "demo-alice-1"))), 40163);
        assert_eq!(json(wechat.jscode2session(&request("wx1", "demo-alice-2"))), session);
    }

    #[test]
    fn a_minted_code_expires_and_belongs_to_its_app() {
        let (wechat, clock) = wechat();
        let code = wechat.mint("wx1", "alice").unwrap();
        assert_eq!(errcode(wechat.jscode2session(&request("wx2", &code))), 40029);
        assert_eq!(errcode(wechat.jscode2session(&request("wx1", &code))), 0);
        assert_eq!(errcode(wechat.jscode2session(&request("wx1", &code))), 40163);
        let code = wechat.mint("wx1", "alice").unwrap();
        clock.advance(300);
        assert_eq!(errcode(wechat.jscode2session(&request("wx1", &code))), 40029);
        assert_eq!(wechat.mint("", "alice"), Err(SimError::Appid));
        assert_eq!(wechat.mint("wx1", "a-b"), Err(SimError::Name));
    }

    #[test]
    fn faults_are_asked_for_by_code() {
        let (wechat, _) = wechat();
        for errcode_asked in [-1, 40029, 40164, i64::MIN, i64::MAX] {
            let reply = wechat.jscode2session(&request("wx1", &format!("err-{errcode_asked}")));
            assert_eq!(errcode(reply), errcode_asked);
        }
        for (code, reply) in
            [("http-500", Reply::ServerError), ("garbage", Reply::Garbage), ("hang", Reply::Hang), ("cut", Reply::Cut)]
        {
            assert_eq!(wechat.jscode2session(&request("wx1", code)), reply, "{code}");
        }
        for _ in 0..2 {
            let Reply::Late(delay, text) = wechat.jscode2session(&request("wx1", "slow-5-alice")) else { panic!() };
            assert_eq!(delay, Duration::from_millis(5));
            assert!(text.contains(&Wechat::user("wx1", "alice").unwrap().openid), "{text}");
        }
    }

    #[test]
    fn an_errmsg_ends_with_a_request_id_of_its_own() {
        let (wechat, _) = wechat();
        let [first, second] = [(); 2].map(|()| json(wechat.refuse(40029))["errmsg"].to_string());
        assert!(first.starts_with("\"invalid code, rid: 6b49d200-") && first.len() == 47, "{first}");
        assert_ne!(first, second);
    }

    #[test]
    fn slashes_are_escaped_as_the_real_one_does() {
        assert_eq!(wechat_json(&["a/b//"]), r#"["a\/b\/\/"]"#);
    }

    #[test]
    fn a_reset_makes_the_session_key_another_one() {
        let (wechat, _) = wechat();
        let session_key =
            |n: u8| json(wechat.jscode2session(&request("wx1", &format!("demo-alice-{n}"))))["session_key"].clone();
        let before = session_key(1);
        assert_eq!(session_key(2), before);
        assert_eq!(wechat.reset_session_key("alice"), Ok(1));
        assert_ne!(session_key(3), before);
        assert_eq!(wechat.reset_session_key("a b"), Err(SimError::Name));
    }
}
