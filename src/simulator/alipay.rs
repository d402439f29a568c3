//! The simulated Alipay: its gateway, which checks signatures and signs its answers, and what its phone button gives.
//!
//! Anything that its pages leave open is an assumption, and `docs/SIMULATOR.md` says so.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::body::{read_body, texts_in};
use super::codes::{Codes, PresentedCode, Unredeemed, random_login_code};
use super::control::own_route;
use super::faults::Fault;
use super::memory::Recent;
use super::platform::{ControlError, DataContent, DataForClient, SimulatedPlatform};
use super::reply::{self, Reply};
use super::rsa::{PublicKey, SigningKey};
use super::users::{Name, SimulatedUser, is_appid};
use super::world::World;
use crate::clock::UnixSeconds;

const EXCHANGE: &str = "alipay.system.oauth.token";
const RESPONSE: &str = "alipay_system_oauth_token_response";

/// All apps and users of a simulated Alipay.
pub(super) struct AlipayGateway {
    world: Arc<World>,
    state: Mutex<AlipayState>,
    /// Alipay's own, made when it is first needed; the same for all apps, and another one after each start.
    key: OnceLock<Option<SigningKey>>,
}

struct AlipayState {
    login_codes: Codes,
    apps: Recent<String, AlipayApp>,
}

/// What the console was told of an app.
struct AlipayApp {
    public_key: PublicKey,
    /// 16 bytes, for phone numbers.
    aes_key: Option<[u8; 16]>,
}

impl Default for AlipayState {
    fn default() -> Self {
        Self { login_codes: Codes::default(), apps: Recent::with_max_len(10_000) }
    }
}

impl AlipayGateway {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: Mutex::default(), key: OnceLock::new() }
    }

    fn state(&self) -> MutexGuard<'_, AlipayState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self) -> Option<&SigningKey> {
        self.key.get_or_init(SigningKey::generate).as_ref()
    }

    fn sign(&self, message: &str) -> String {
        self.key().and_then(|key| key.sign(message.as_bytes())).unwrap_or_default()
    }

    /// `{"NAME": RESPONSE,"sign":"..."}`, with white space that the real one does not have.
    fn signed(&self, name: &str, response: &str) -> String {
        format!("{{\"{name}\": {response},\"sign\":\"{}\"}}", self.sign(response))
    }

    /// A request with the parameters of its query and of its body.
    fn call(&self, parameters: &[(String, String)]) -> Reply {
        let value = |wanted: &str| {
            let found = parameters.iter().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let appid = value("app_id");
        let outcome = self.world.call(EXCHANGE, appid, |now| {
            let mut state = self.state();
            check(&state, parameters, &value)?;
            let presented =
                PresentedCode { text: value("code"), once: "demo", appid, stranger: self.world.stranger.as_ref() };
            let (delay, name) =
                state.login_codes.redeem(presented, now, |_| true).map_err(|refused| match refused {
                    Unredeemed::Fault(fault) => fault,
                    _ => Fault::Word("isv.code-invalid".into()),
                })?;
            Ok((delay, self.signed(RESPONSE, &success(appid, &name, now))))
        });
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(code)) => Reply::Json(Duration::ZERO, self.refusal(&code.to_string(), None)),
            Err(Fault::Word(sub_code)) => {
                Reply::Json(Duration::ZERO, self.refusal(code_of(&sub_code), Some(&sub_code)))
            }
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }

    /// What the gateway itself refuses is not signed; what the interface refuses is, and stands under its own name.
    fn refusal(&self, code: &str, sub_code: Option<&str>) -> String {
        let msg = wording(code);
        let error = match sub_code {
            Some(sub_code) => json!({ "code": code, "msg": msg, "sub_code": sub_code, "sub_msg": "simulated" }),
            None => json!({ "code": code, "msg": msg }),
        };
        match sub_code {
            Some("isv.code-invalid") => self.signed("error_response", &error.to_string()),
            _ if code == "20000" => self.signed(RESPONSE, &error.to_string()),
            _ => json!({ "error_response": error }).to_string(),
        }
    }

    /// `POST /_sim/alipay/app {"appid","public_key","aes_key"}`, as the console would be told.
    fn set_app(&self, body: &Value) -> Result<Value, ControlError> {
        let [appid, public_key, aes_key] = texts_in(body, ["appid", "public_key", "aes_key"]);
        if !is_appid(&appid) {
            return Err(ControlError::Appid);
        }
        let public_key = PublicKey::parse(&public_key).ok_or(ControlError::PublicKey)?;
        let aes_key = (!aes_key.is_empty())
            .then(|| STANDARD.decode(&aes_key).ok().and_then(|key| key.try_into().ok()).ok_or(ControlError::AesKey))
            .transpose()?;
        self.state().apps.insert(appid.clone(), AlipayApp { public_key, aes_key });
        Ok(json!({ "appid": appid }))
    }
}

/// The gateway's checks, in its order: the app first, then the signature, then the rest.
fn check<'a>(
    state: &AlipayState,
    parameters: &[(String, String)],
    value: &impl Fn(&str) -> &'a str,
) -> Result<(), Fault> {
    let word = |word: &str| Fault::Word(word.into());
    for (name, sub_code) in [
        ("app_id", "isv.missing-app-id"),
        ("method", "isv.missing-method"),
        ("sign", "isv.missing-signature"),
        ("sign_type", "isv.missing-signature-type"),
        ("timestamp", "isv.missing-timestamp"),
        ("version", "isv.missing-version"),
    ] {
        if value(name).is_empty() {
            return Err(word(sub_code));
        }
    }
    if !is_appid(value("app_id")) {
        return Err(word("isv.invalid-app-id"));
    }
    let mut signed: Vec<_> = parameters.iter().filter(|(name, value)| name != "sign" && !value.is_empty()).collect();
    signed.sort();
    let text = signed.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let app = state.apps.get(value("app_id"));
    if value("sign_type") != "RSA2" || app.is_none_or(|app| !app.public_key.verifies(text.as_bytes(), value("sign"))) {
        return Err(word("isv.invalid-signature"));
    }
    let timestamp = value("timestamp");
    let is_time =
        timestamp.len() == 19 && timestamp.bytes().all(|byte| byte.is_ascii_digit() || b"- :".contains(&byte));
    if !is_time {
        return Err(word("isv.invalid-timestamp"));
    }
    if !value("charset").eq_ignore_ascii_case("utf-8") {
        return Err(word("isv.invalid-charset"));
    }
    if value("method") != EXCHANGE {
        return Err(word("isv.invalid-method"));
    }
    if value("grant_type") != "authorization_code" || value("version") != "1.0" {
        return Err(word("isv.invalid-parameter"));
    }
    if value("code").is_empty() { Err(word("isv.code-invalid")) } else { Ok(()) }
}

/// Users with an even number of letters belong to an app of the older kind, too, and have both ids; numbers are texts for them.
fn success(appid: &str, name: &Name, now: UnixSeconds) -> String {
    let is_older = name.as_str().len().is_multiple_of(2);
    let number = |seconds: u64| if is_older { json!(seconds.to_string()) } else { json!(seconds) };
    let mut answer = json!({
        "access_token": format!("authusrB{}", name.opaque("access_token", appid)),
        "auth_start": now.plus(8 * 3600).to_string().replace('T', " ").replace('Z', ""),
        "expires_in": number(1_296_000),
        "re_expires_in": number(2_592_000),
        "refresh_token": format!("authusrB{}", name.opaque("refresh_token", appid)),
        "open_id": open_id(name, appid),
        // A member of this name inside is none of the answer's own.
        "sign": "inner",
    });
    if let Some(members) = answer.as_object_mut().filter(|_| is_older) {
        members.insert("user_id".to_owned(), user_id(name).into());
    }
    answer.to_string()
}

/// 47 characters of base64url that begin with `08`.
fn open_id(name: &Name, appid: &str) -> String {
    format!("08{}AB", name.opaque("alipay open_id", appid))
}

/// 16 digits that begin with `2088`, the same in every app.
fn user_id(name: &Name) -> String {
    format!("2088{:0>12}", name.number("alipay user_id") % 1_000_000_000_000)
}

fn code_of(sub_code: &str) -> &'static str {
    match sub_code {
        "isp.unknow-error" | "aop.unknow-error" => "20000",
        "isv.missing-signature-config" | "isv.invalid-auth-relations" => "40003",
        "isv.app-call-limited" | "isv.method-call-limited" => "40005",
        "isv.insufficient-isv-permissions" | "isv.insufficient-user-permissions" => "40006",
        "aop.invalid-auth-token" | "aop.auth-token-time-out" => "20001",
        word if word.starts_with("isv.missing-") => "40001",
        _ => "40002",
    }
}

fn wording(code: &str) -> &'static str {
    match code {
        "20000" => "Service Currently Unavailable",
        "20001" => "Insufficient Token Permissions",
        "40001" => "Missing Required Arguments",
        "40002" => "Invalid Arguments",
        "40003" => "Insufficient Conditions",
        "40005" => "Call Limited",
        "40006" => "Insufficient Permissions",
        _ => "Business Failed",
    }
}

/// AES-128-CBC with PKCS#7 under an initialisation vector of zeros, in base64.
fn encrypt(key: &[u8; 16], text: &str) -> Option<String> {
    let mut buffer = text.as_bytes().to_vec();
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, key).ok()?).ok()?;
    let iv = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    let _ = key.less_safe_encrypt(&mut buffer, iv).ok()?;
    Some(STANDARD.encode(buffer))
}

impl SimulatedPlatform for AlipayGateway {
    fn name(&self) -> &'static str {
        "alipay"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[EXCHANGE]
    }

    fn routes(self: Arc<Self>) -> Router {
        let gateway = async |State(alipay): State<Arc<Self>>, RawQuery(query): RawQuery, body: Body| {
            let pairs = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect::<Vec<_>>();
            let mut parameters = pairs(query.unwrap_or_default().as_bytes());
            parameters.extend(pairs(&read_body(body).await.unwrap_or_default()));
            reply::respond(alipay.call(&parameters), "text/html;charset=utf-8").await
        };
        let public_key = async |State(alipay): State<Arc<Self>>| -> Response {
            alipay.key().and_then(SigningKey::public_pem).unwrap_or_default().into_response()
        };
        Router::new()
            .route("/gateway.do", post(gateway))
            .route("/_sim/alipay/app", own_route(|alipay: &Self, body| alipay.set_app(body)))
            .route("/_sim/alipay/public-key", get(public_key))
            .with_state(self)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser { openid: open_id(name, appid), unionid: String::new(), ..SimulatedUser::named(appid, name) }
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_login_code().map_err(|_| ControlError::NoRandomness)?;
        self.state().login_codes.mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    /// What `my.getPhoneNumber` gives: `data` that is a text is signed as it is, as errors are.
    fn encrypt(&self, appid: &str, name: &Name, content: DataContent) -> Result<DataForClient, ControlError> {
        let state = self.state();
        let aes_key = state.apps.get(appid).and_then(|app| app.aes_key).ok_or(ControlError::AesKey)?;
        let text = match content {
            DataContent::UserInfo => return Err(ControlError::Unsupported),
            DataContent::Phone => json!({ "code": "10000", "msg": "Success", "mobile": name.phone().pure }).to_string(),
            DataContent::Object { text, .. } => text,
            DataContent::Text { text, .. } => {
                let sign = self.sign(&text);
                return Ok(DataForClient::Signed { response: json!({ "response": text, "sign": sign }).to_string() });
            }
        };
        let response = encrypt(&aes_key, &text).ok_or(ControlError::NoRandomness)?;
        let sign = self.sign(&format!("\"{response}\""));
        let response = json!({ "response": response, "sign": sign }).to_string();
        Ok(DataForClient::Signed { response })
    }

    /// The key stays: a server that knows its public half goes on.
    fn forget(&self) {
        *self.state() = AlipayState::default();
    }
}
