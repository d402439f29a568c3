//! `WeChat` mini-programs.
//!
//! Each of its interfaces is a file below this one; [`call`] is the only way to them.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `GET /sns/jscode2session` |
//! | [`Platform::phone`] | `POST /wxa/business/getuserphonenumber` |
//! | [`Platform::check_session`] | `GET /wxa/checksession` |
//! | [`Platform::reset_session`] | `GET /wxa/resetusersessionkey` |
//! | [`Platform::vouches_for`] | `POST /wxa/business/checkencryptedmsg` |
//! | access tokens for all but the first | `POST /cgi-bin/stable_token` |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};
use url::Url;

use super::{
    Code, DateSeen, Encrypted, FailedReason, Identity, Phone, Platform, PlatformError, Refusal, UserData, UserDataError,
};
use crate::secret::SecretText;

mod access_token;
mod alarms;
mod call;
mod exchange;
mod phone;
mod refusal;
mod session;
mod turns;
mod user_data;

use access_token::AccessTokens;
use alarms::Alarms;
use call::Line;
use turns::Turns;

/// One `WeChat` mini-program.
pub struct Weapp {
    credentials: Arc<Credentials>,
    line: Arc<Line>,
    tokens: AccessTokens,
    turns: Turns,
    timeout: Duration,
}

/// What proves to the platform who is calling.
struct Credentials {
    appid: String,
    secret: SecretText,
    /// What an operator was told of this app.
    alarms: Alarms,
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
    /// How long a call may take, waiting for its turn included; above 0, at most [`Weapp::MAX_TIMEOUT`].
    pub timeout: Duration,
    /// How many calls may run at once, at least 1. Half of them, rounded up, may be others than logins.
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
    /// No call may run.
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
        let line = Arc::new(Line::new(base_url, timeout)?);
        let credentials = Arc::new(Credentials { appid, secret, alarms: Alarms::default() });
        let tokens = AccessTokens::new(Arc::clone(&line), Arc::clone(&credentials), timeout);
        // Half the time is left to those who get a turn.
        let turns = Turns::new(max_concurrent, timeout / 2);
        Ok(Self { credentials, line, tokens, turns, timeout })
    }

    /// Does `work` before the deadline, and logs how it went.
    async fn run<T>(
        &self,
        interface: &'static str,
        work: impl Future<Output = Result<T, PlatformError>>,
    ) -> Result<T, PlatformError> {
        let start = Instant::now();
        let outcome = timeout(self.timeout, work).await.unwrap_or(Err(PlatformError::Timeout));
        self.credentials.log(interface, outcome.as_ref().err(), start.elapsed());
        outcome
    }
}

impl Platform for Weapp {
    fn name(&self) -> &'static str {
        "weapp"
    }

    fn date_seen(&self) -> Option<DateSeen> {
        self.line.date_seen()
    }

    fn remedy(&self, error: &PlatformError) -> Option<String> {
        self.credentials.remedy(error)
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.run(exchange::PATH, async move {
            if code.is_devtools_mock() {
                return Err(PlatformError::InvalidCode(Refusal::default()));
            }
            let _turn = self.turns.for_a_login().await?;
            exchange::exchange(&self.line, &self.credentials, code).await
        }))
    }

    fn phone<'a>(&'a self, code: &'a Code, openid: &'a str) -> BoxFuture<'a, Result<Phone, PlatformError>> {
        Box::pin(self.run(phone::PATH, async move {
            let _turn = self.turns.for_another_call().await?;
            phone::phone(&self.tokens, &self.credentials.appid, openid, code).await
        }))
    }

    fn check_session<'a>(
        &'a self,
        openid: &'a str,
        session_key: &'a SecretText,
    ) -> BoxFuture<'a, Result<bool, PlatformError>> {
        Box::pin(self.run(session::CHECK_PATH, async move {
            let _turn = self.turns.for_another_call().await?;
            session::check(&self.tokens, openid, session_key).await
        }))
    }

    fn reset_session<'a>(
        &'a self,
        openid: &'a str,
        session_key: &'a SecretText,
    ) -> BoxFuture<'a, Result<Option<SecretText>, PlatformError>> {
        Box::pin(self.run(session::RESET_PATH, async move {
            let _turn = self.turns.for_another_call().await?;
            session::reset(&self.tokens, openid, session_key).await
        }))
    }

    fn vouches_for<'a>(&'a self, encrypted_data: &'a str) -> BoxFuture<'a, Result<bool, PlatformError>> {
        Box::pin(self.run(user_data::PATH, async move {
            let _turn = self.turns.for_another_call().await?;
            user_data::vouches_for(&self.tokens, encrypted_data).await
        }))
    }

    fn decrypt(&self, session_key: &SecretText, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        user_data::decrypt(session_key, encrypted, &self.credentials.appid)
    }

    fn has_signed(&self, session_key: &SecretText, raw_data: &str, signature: &str) -> bool {
        user_data::has_signed(session_key, raw_data, signature)
    }
}

impl Credentials {
    fn remedy(&self, error: &PlatformError) -> Option<String> {
        match error {
            PlatformError::Misconfigured { address, .. } => {
                let remedy = refusal::remedy(error.errcode(), *address);
                let source = self.secret.source().filter(|_| refusal::blames_the_secret(error.errcode()));
                let source = source.map(|source| format!("; it came from {source} when the server started: restart it after a change"));
                Some(remedy + &source.unwrap_or_default())
            }
            PlatformError::Failed(FailedReason::AccessToken(_)) => Some(
                "something else fetches tokens of this app with force_refresh, so that one just given is refused; make it stop"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// One line for each call; and one for each flood that nobody overlooks where an operator has to act.
    fn log(&self, interface: &'static str, error: Option<&PlatformError>, duration: Duration) {
        let appid = &*self.appid;
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let Some(error) = error else {
            tracing::debug!(appid, interface, duration_ms, "weapp: answered");
            return;
        };
        let errcode = error.errcode();
        let rid = error.rid().map(tracing::field::display);
        tracing::debug!(appid, interface, errcode, rid, duration_ms, "weapp: {error}");
        // A client can cause this one, too.
        let is_other_app = interface == phone::PATH && errcode == Some(phone::OTHER_APP);
        let remedy = match error {
            PlatformError::Misconfigured { .. } if is_other_app => Some(phone::OTHER_APP_REMEDY.to_owned()),
            error => self.remedy(error),
        };
        let Some(remedy) = remedy else { return };
        let Some(untold) = self.alarms.due(interface, errcode, Instant::now()) else { return };
        let rid = error.rid().map(tracing::field::display);
        if is_other_app {
            tracing::warn!(appid, interface, errcode, rid, untold, "weapp: the platform refuses this server: {remedy}");
        } else {
            tracing::error!(
                appid,
                interface,
                errcode,
                rid,
                untold,
                "weapp: the platform refuses this server: {remedy}"
            );
        }
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
        f.debug_struct("Weapp").field("appid", &self.credentials.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
