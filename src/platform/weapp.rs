//! `WeChat` mini-programs: `GET /sns/jscode2session`.
//!
//! The URL holds the app secret, so it is followed nowhere, named in no error, and no text of the HTTP client is shown.
//! Errors come as an `errcode` in a 200 that is labelled `text/plain`; the body decides, not the label.
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session>

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Url};

use super::{Code, FailedReason, Identity, Platform, PlatformError, Refusal, Rid};
use crate::secret::{SecretText, Zeroizing};

/// One `WeChat` mini-program.
pub struct Weapp {
    appid: String,
    secret: SecretText,
    endpoint: Url,
    client: Client,
    permits: Semaphore,
    timeout: Duration,
}

/// What a [`Weapp`] is made from.
#[expect(clippy::exhaustive_structs, reason = "built by name, as a list of settings")]
pub struct WeappOptions {
    /// The app's id, `wx` and 16 hex digits; 1 to 128 visible ASCII characters are accepted.
    pub appid: String,
    /// The app's secret, not empty.
    pub secret: SecretText,
    /// Where the platform is, `https://api.weixin.qq.com` if not given. A path in it comes before `/sns/...`.
    pub base_url: Option<Url>,
    /// How long an exchange may take, waiting for its turn included; above 0, at most [`Weapp::MAX_TIMEOUT`].
    pub timeout: Duration,
    /// How many exchanges may run at once, at least 1.
    pub max_concurrent: usize,
}

/// Why there is no [`Weapp`] with these options. Never holds the secret or a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WeappError {
    /// The appid is no appid.
    #[error("the appid is not 1 to 128 visible ASCII characters")]
    Appid,
    /// The secret is empty.
    #[error("the app secret is empty")]
    EmptySecret,
    /// The base URL is not `http` or `https`, or has a user, password, query or fragment.
    #[error("the base URL is not http(s)://host[:port][/path] and nothing more")]
    BaseUrl,
    /// The timeout is 0 or too long.
    #[error("the timeout is not above 0 and at most {} s", Weapp::MAX_TIMEOUT.as_secs())]
    Timeout,
    /// No exchange may run.
    #[error("the number of concurrent exchanges is 0")]
    NoConcurrency,
    /// The HTTP client could not be built, for want of trusted certificates as a rule.
    #[error("the HTTP client cannot be set up; are the system's CA certificates installed?")]
    Client,
}

impl Weapp {
    /// The longest `timeout`.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(600);

    /// Where the platform is, if nobody says otherwise.
    pub const DEFAULT_BASE_URL: &str = "https://api.weixin.qq.com";
    const MAX_APPID_LEN: usize = 128;
    /// The real answer is below 200 bytes.
    const MAX_ANSWER_LEN: usize = 64 * 1024;
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// Short, so that a connection which the platform is about to close is rarely chosen for a code.
    const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(options: WeappOptions) -> Result<Self, WeappError> {
        let WeappOptions { appid, secret, base_url, timeout, max_concurrent } = options;
        if !matches!(appid.len(), 1..=Self::MAX_APPID_LEN) || !super::is_visible_ascii(&appid) {
            return Err(WeappError::Appid);
        }
        if secret.expose().is_empty() {
            return Err(WeappError::EmptySecret);
        }
        if timeout.is_zero() || timeout > Self::MAX_TIMEOUT {
            return Err(WeappError::Timeout);
        }
        if max_concurrent == 0 {
            return Err(WeappError::NoConcurrency);
        }
        let base_url = match base_url {
            Some(url) => url,
            None => Url::parse(Self::DEFAULT_BASE_URL).map_err(|_| WeappError::BaseUrl)?,
        };
        let client = client_for(&base_url, timeout.min(Self::CONNECT_TIMEOUT))?;
        let endpoint = endpoint_under(base_url)?;
        let permits = Semaphore::new(max_concurrent.min(Semaphore::MAX_PERMITS));
        Ok(Self { appid, secret, endpoint, client, permits, timeout })
    }

    async fn exchange_before(&self, deadline: Instant, code: &Code) -> Result<Identity, PlatformError> {
        if code.is_devtools_mock() {
            return Err(PlatformError::InvalidCode(Refusal::default()));
        }
        // Whoever waits here has sent nothing, so the code is still good; half the time is left to those who get a turn.
        let Ok(Ok(_permit)) = timeout(self.timeout / 2, self.permits.acquire()).await else {
            return Err(PlatformError::Busy { refusal: Refusal::default(), retry_after_s: BUSY_RETRY_AFTER_S });
        };
        timeout_at(deadline, self.call(code)).await.unwrap_or(Err(PlatformError::Timeout))
    }

    async fn call(&self, code: &Code) -> Result<Identity, PlatformError> {
        let mut url = self.endpoint.clone();
        url.query_pairs_mut()
            .append_pair("appid", &self.appid)
            .append_pair("secret", self.secret.expose())
            .append_pair("js_code", code.expose())
            .append_pair("grant_type", "authorization_code");
        let response = self.client.get(url).send().await.map_err(|error| classify(&error))?;
        let status = response.status();
        if status != reqwest::StatusCode::OK {
            return Err(PlatformError::Failed(FailedReason::Status(status.as_u16())));
        }
        parse_answer(&read_answer(response).await?)
    }

    fn log(&self, outcome: &Result<Identity, PlatformError>, duration: Duration) {
        let appid = &*self.appid;
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let Err(error) = outcome else {
            tracing::debug!(appid, duration_ms, "weapp: code exchanged");
            return;
        };
        let errcode = error.errcode();
        let rid = error.rid().map(tracing::field::display);
        tracing::debug!(appid, errcode, rid, duration_ms, "weapp: code not exchanged: {error}");
        if let PlatformError::Misconfigured { address, .. } = error {
            let rid = error.rid().map(tracing::field::display);
            let remedy = remedy(errcode, *address);
            tracing::error!(appid, errcode, rid, "weapp: no login works: {remedy}");
        }
    }
}

impl Platform for Weapp {
    fn name(&self) -> &'static str {
        "weapp"
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(async move {
            let start = Instant::now();
            let outcome = self.exchange_before(start + self.timeout, code).await;
            self.log(&outcome, start.elapsed());
            outcome
        })
    }
}

/// Without the base URL, which may hold a password before it is checked.
impl fmt::Debug for WeappOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeappOptions")
            .field("appid", &self.appid)
            .field("timeout", &self.timeout)
            .field("max_concurrent", &self.max_concurrent)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Weapp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weapp").field("appid", &self.appid).finish_non_exhaustive()
    }
}

fn client_for(base_url: &Url, connect_timeout: Duration) -> Result<Client, WeappError> {
    let is_loopback = match base_url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(WeappError::BaseUrl),
    };
    let mut builder = Client::builder()
        .user_agent("auth-ticket")
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(Weapp::POOL_IDLE_TIMEOUT);
    if is_loopback {
        builder = builder.no_proxy();
    }
    if base_url.scheme() == "http" {
        // No certificate is ever checked, so a machine without any can run against a simulator.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|_| WeappError::Client)
}

fn endpoint_under(mut base_url: Url) -> Result<Url, WeappError> {
    let is_plain = matches!(base_url.scheme(), "http" | "https")
        && base_url.username().is_empty()
        && base_url.password().is_none()
        && base_url.query().is_none()
        && base_url.fragment().is_none();
    if !is_plain {
        return Err(WeappError::BaseUrl);
    }
    base_url.path_segments_mut().map_err(|()| WeappError::BaseUrl)?.pop_if_empty().extend(["sns", "jscode2session"]);
    Ok(base_url)
}

/// Of a client error only its kind is taken: its texts hold the URL, and that the secret.
fn classify(error: &reqwest::Error) -> PlatformError {
    if error.is_timeout() {
        PlatformError::Timeout
    } else if error.is_connect() {
        PlatformError::Unreachable
    } else {
        PlatformError::Failed(FailedReason::CutOff)
    }
}

async fn read_answer(mut response: Response) -> Result<Zeroizing<Vec<u8>>, PlatformError> {
    // All at once: a vector that grows leaves copies of the session_key behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(Weapp::MAX_ANSWER_LEN));
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if chunk.len() > Weapp::MAX_ANSWER_LEN - answer.len() {
            return Err(PlatformError::Failed(FailedReason::TooLarge(Weapp::MAX_ANSWER_LEN)));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// What every answer may hold. Real successes have neither.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: Value,
    #[serde(default)]
    errmsg: Value,
}

#[derive(Deserialize)]
struct Success {
    openid: Option<String>,
    unionid: Option<String>,
    session_key: Option<String>,
}

fn parse_answer(answer: &[u8]) -> Result<Identity, PlatformError> {
    let answer = answer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer).trim_ascii();
    if !answer.starts_with(b"{") {
        // serde would also fill a structure from an array.
        return Err(PlatformError::Failed(FailedReason::Malformed));
    }
    let verdict: Verdict = serde_json::from_slice(answer).map_err(|error| malformed(&error))?;
    let errcode = match verdict.errcode {
        Value::Null => Some(0),
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.parse().ok(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match errcode {
        None => Err(PlatformError::Failed(FailedReason::Malformed)),
        Some(0) => parse_success(answer),
        Some(errcode) => Err(refusal(errcode, verdict.errmsg.as_str().unwrap_or_default())),
    }
}

fn parse_success(answer: &[u8]) -> Result<Identity, PlatformError> {
    let success: Success = serde_json::from_slice(answer).map_err(|error| malformed(&error))?;
    let session_key = success.session_key.map(SecretText::new);
    let Some(openid) = success.openid.filter(|openid| !openid.is_empty()) else {
        return Err(PlatformError::Failed(FailedReason::NoOpenid));
    };
    Identity::new(openid, success.unionid, session_key)
        .map_err(|error| PlatformError::Failed(FailedReason::Identity(error)))
}

/// The parser's texts may quote the answer, so of them, too, only the kind is taken.
fn malformed(error: &serde_json::Error) -> PlatformError {
    PlatformError::Failed(if error.is_eof() { FailedReason::CutOff } else { FailedReason::Malformed })
}

/// `Retry-After` when the platform, or our own queue, is full for the moment.
const BUSY_RETRY_AFTER_S: u64 = 2;
/// `Retry-After` when the day's quota is gone: it comes back at midnight, or when an operator has it cleared.
const QUOTA_RETRY_AFTER_S: u64 = 600;

fn refusal(errcode: i64, errmsg: &str) -> PlatformError {
    let refusal = Refusal::new(errcode, rid_in(errmsg));
    match errcode {
        // 42003 is the word for "timed out" in the table that all of WeChat's interfaces share.
        40029 | 42003 => PlatformError::InvalidCode(refusal),
        40163 => PlatformError::CodeUsed(refusal),
        40226 | 50002 => PlatformError::UserBlocked(refusal),
        45011 => PlatformError::RateLimited(refusal),
        -1 => PlatformError::Busy { refusal, retry_after_s: BUSY_RETRY_AFTER_S },
        45009 => PlatformError::Busy { refusal, retry_after_s: QUOTA_RETRY_AFTER_S },
        40164 => PlatformError::Misconfigured { refusal, address: address_in(errmsg) },
        40002 | 40013 | 40125 | 40243 | 41002 | 41004 | 41008 | 48001 | 48004 | 61003 | 61004 => {
            PlatformError::Misconfigured { refusal, address: None }
        }
        _ => PlatformError::Failed(FailedReason::UnknownErrcode(refusal)),
    }
}

/// What an operator does about a [`PlatformError::Misconfigured`].
fn remedy(errcode: Option<i64>, address: Option<IpAddr>) -> String {
    if let Some(address) = address {
        return format!("add this server's IP {address} to the app's API IP allow-list on mp.weixin.qq.com");
    }
    let remedy = match errcode {
        Some(40013) => "the platform does not know this appid; check it in the configuration",
        Some(40125) => "the app secret is wrong; compare it with the one on mp.weixin.qq.com, or reset it there",
        Some(40164 | 61004) => "add this server's IP to the app's API IP allow-list on mp.weixin.qq.com",
        Some(40243) => "the app secret is frozen; unfreeze it on mp.weixin.qq.com",
        Some(48001 | 48004 | 61003) => "the app may not use the login interface; look for notices on mp.weixin.qq.com",
        _ => "the platform misses a parameter that was sent; is something changing requests on their way?",
    };
    remedy.to_owned()
}

/// The request id at the end of an errmsg: `rid: ` and three groups of hex digits. Any other form is left alone.
fn rid_in(errmsg: &str) -> Option<Rid> {
    let (_, rest) = errmsg.rsplit_once("rid: ")?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit() && c != '-').unwrap_or(rest.len());
    let rid = rest.get(..end)?;
    let groups = rid.split('-').filter(|group| matches!(group.len(), 1..=8)).count();
    (groups == 3 && rid.split('-').count() == 3).then(|| Rid::parse(rid))?
}

/// The address in the errmsg of 40164, which reads `invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist`.
fn address_in(errmsg: &str) -> Option<IpAddr> {
    errmsg.split(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':').find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests;
