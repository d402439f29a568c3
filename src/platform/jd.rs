//! JD mini-programs, experimental: known from one production code base, with one error number.
//!
//! A login is `jingdong.miniapp.mixUserInfo` at the JOS gateway, `POST /routerjson`, with a signature by the app's secret. SDKs default
//! to plain http; this goes by https only. There is no `session_key`.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::app_client::AppClient;
use super::china_time::china_time;
use super::client::{JsonAnswer, PlatformRequest, RequestBody};
use super::facts::Advice;
use super::{
    AppFacts, AppSetting, Code, Errcode, ErrorDetail, FailedReason, Identity, Kind, Platform, PlatformError,
    PlatformOptions, Requirement, SetupError,
};
use crate::clock::Clock;
use crate::outbound::concurrency::Share;
use crate::secret::Zeroizing;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "jd",
    program: "JD mini-programs (experimental)",
    default_base_url: "https://api.jd.com",
    sandbox_url: None,
    doubt_secret: |_| None,
    settings: &[(AppSetting::Secret, Requirement::Required), (AppSetting::Experimental, Requirement::Required)],
    capabilities: &[],
    ids: "openid: one for each user and app, as far as is known; no unionid",
    code_life: "5 minutes, once",
    evidence: "one production code base; of errors one number is known",
    build: |options| Ok(Box::new(Jd::new(options)?)),
};

const METHOD: &str = "jingdong.miniapp.mixUserInfo";
const PATH: &str = "routerjson";

/// One JD mini-program.
pub struct Jd {
    app: AppClient,
    clock: Arc<dyn Clock>,
}

impl Jd {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        let app = AppClient::new(&KIND, &mut options, advice)?;
        Ok(Self { app, clock: options.clock })
    }

    /// Spends `code`.
    async fn login(&self, code: &Code) -> Result<Identity, PlatformError> {
        let param = json!({ "code": code.expose() }).to_string();
        let timestamp = format!("{}.000+0800", china_time(self.clock.now()));
        let mut query = vec![
            ("360buy_param_json", &*param),
            ("app_key", &*self.app.appid),
            ("method", METHOD),
            ("timestamp", &*timestamp),
            ("v", "2.0"),
        ];
        let sign = sign(self.app.secret(), &query);
        query.push(("sign", &*sign));
        // A POST without anything in it.
        let body = RequestBody::Form(Vec::new());
        let request = PlatformRequest { path: PATH, query, body, ..PlatformRequest::default() };
        identity(&self.app.http.send(&request).await?)
    }
}

/// MD5 over the names and values in their order, between the secret and itself, in upper-case hex.
fn sign(secret: &str, sorted: &[(&str, &str)]) -> String {
    let parameters: String = sorted.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let text = Zeroizing::new([secret, &*parameters, secret].concat());
    hex::encode_upper(Md5::digest(text.as_bytes()))
}

/// Three things may come: an error of the gateway, one of the interface, a user.
fn identity(answer: &JsonAnswer) -> Result<Identity, PlatformError> {
    #[derive(Deserialize)]
    struct RouterAnswer {
        // The platform's spelling.
        #[serde(rename = "jingdong_miniapp_mixUserInfo_responce")]
        responce: Option<Responce>,
        error_response: Option<GatewayRefusal>,
    }
    #[derive(Deserialize)]
    struct Responce {
        result: Option<MixResult>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MixResult {
        #[serde(default)]
        code: Value,
        mix_user_info: Option<MixUserInfo>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MixUserInfo {
        open_id: Option<String>,
    }
    #[derive(Deserialize)]
    struct GatewayRefusal {
        #[serde(default)]
        code: Value,
    }
    let RouterAnswer { responce, error_response } = answer.read()?;
    if let Some(GatewayRefusal { code }) = error_response {
        return Err(FailedReason::UnknownErrcode(detail(&code)).into());
    }
    let result = responce.and_then(|responce| responce.result).ok_or(FailedReason::Malformed)?;
    let detail = detail(&result.code);
    match detail.errcode() {
        Some(Errcode::Text(code)) if &**code == "0" => {}
        Some(Errcode::Text(code)) if &**code == "10102" => return Err(PlatformError::InvalidCode(detail)),
        _ => return Err(FailedReason::UnknownErrcode(detail).into()),
    }
    let openid = result.mix_user_info.and_then(|user| user.open_id).filter(|openid| !openid.is_empty());
    let openid = openid.ok_or(FailedReason::NoOpenid)?;
    Identity::parse(&openid, None, None).map_err(|error| FailedReason::Identity(error).into())
}

/// A code is a text or a number; it is a text from here on.
fn detail(code: &Value) -> ErrorDetail {
    let text = match code {
        Value::String(text) => Errcode::parse_text(text),
        Value::Number(number) => Errcode::parse_text(&number.to_string()),
        _ => None,
    };
    text.map(|errcode| ErrorDetail::new(errcode, None)).unwrap_or_default()
}

/// What the gateway's numbers mean is not known; most likely it is about appid, secret or the right to call.
fn advice(error: &PlatformError) -> Option<Advice> {
    matches!(error, PlatformError::Failed(FailedReason::UnknownErrcode(_))).then(|| {
        Advice::about_the_secret(
            "JD refuses with a number that this version does not know; compare appid and secret with those on the JD console, \
             see that the app may call jingdong.miniapp.mixUserInfo, and report the number",
        )
    })
}

impl Platform for Jd {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, METHOD, self.login(code)))
    }
}

impl fmt::Debug for Jd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jd").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `hashlib`: no vector is published.
    #[test]
    fn a_request_is_signed_over_its_sorted_parameters_between_two_secrets() {
        let sorted = [
            ("360buy_param_json", r#"{"code":"abc"}"#),
            ("app_key", "AK"),
            ("method", METHOD),
            ("timestamp", "2026-11-28 10:00:00.000+0800"),
            ("v", "2.0"),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(sign("SK", &sorted), "EA11C23B87220CC011FD2AC8CED328D7");
    }
}
