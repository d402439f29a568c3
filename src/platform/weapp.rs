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

use super::client::PlatformClient;
use super::{
    Capability, Code, DateSeen, Encrypted, ErrorDetail, Identity, Kind, Phone, Platform, PlatformError,
    PlatformOptions, SetupError, UserData, UserDataError,
};
use crate::claims::{PlatformId, SessionKey};
use crate::outbound::concurrency::{Busy, ConcurrencyLimit, Permit, Share, Shares};

mod access_token;
mod call;
mod credentials;
mod errcode;
mod exchange;
mod phone;
mod session;
mod user_data;

use access_token::TokenCalls;
use credentials::Credentials;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "weapp",
    default_base_url: "https://api.weixin.qq.com",
    doubt_secret,
    capabilities: &[
        Capability::PhoneByCode,
        Capability::PhoneByData,
        Capability::EncryptedUserData,
        Capability::SignedUserData,
        Capability::CheckSession,
        Capability::ResetSession,
    ],
    build: |options| Ok(Box::new(Weapp::new(options)?)),
};

/// What the developer tools hand out instead of a code when they run without a real appid.
const DEVTOOLS_MOCK: &str = "the code is a mock one";

fn doubt_secret(secret: &str) -> Option<&'static str> {
    let is_usual = secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!is_usual).then_some("is not 32 hex digits, as WeChat's are; compare it with the one on mp.weixin.qq.com")
}

/// One `WeChat` mini-program.
pub struct Weapp {
    credentials: Arc<Credentials>,
    client: Arc<PlatformClient>,
    calls: TokenCalls,
    permits: ConcurrencyLimit,
    timeout: Duration,
}

impl Weapp {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(options: PlatformOptions) -> Result<Self, SetupError> {
        options.check()?;
        let PlatformOptions { appid, secret, base_url, timeout, max_concurrent } = options;
        let base_url = match base_url {
            Some(url) => url,
            None => Url::parse(KIND.default_base_url).map_err(|_| SetupError::BaseUrl)?,
        };
        let client = Arc::new(PlatformClient::new(base_url, timeout)?);
        let credentials = Arc::new(Credentials::new(appid, secret));
        let calls = TokenCalls::new(Arc::clone(&client), Arc::clone(&credentials), timeout);
        let shares = Shares { logins: max_concurrent, others: max_concurrent.div_ceil(2) };
        // Half the time is left to those who get a permit.
        let permits = ConcurrencyLimit::new(max_concurrent, shares, timeout / 2);
        Ok(Self { credentials, client, calls, permits, timeout })
    }

    /// The right to call. Without one nothing is sent, so a code is still good; an error without an errcode says that.
    async fn permit(&self, share: Share) -> Result<Permit, PlatformError> {
        let busy =
            |Busy| PlatformError::Busy { detail: ErrorDetail::default(), retry_after_s: errcode::BUSY_RETRY_AFTER_S };
        self.permits.acquire(share).await.map_err(busy)
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
        KIND.name
    }

    fn capabilities(&self) -> &'static [Capability] {
        KIND.capabilities
    }

    fn date_seen(&self) -> Option<DateSeen> {
        self.client.date_seen()
    }

    fn explain_code(&self, code: &str) -> Option<&'static str> {
        (code == DEVTOOLS_MOCK).then_some(
            "this is the mock code of the developer tools; set a real appid in the project to get a real one",
        )
    }

    fn remedy(&self, error: &PlatformError) -> Option<String> {
        self.credentials.remedy(error)
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.run(exchange::PATH, async move {
            let _permit = self.permit(Share::Logins).await?;
            exchange::exchange(&self.client, &self.credentials, code).await
        }))
    }

    fn phone<'a>(&'a self, code: &'a Code, openid: &'a PlatformId) -> BoxFuture<'a, Result<Phone, PlatformError>> {
        Box::pin(self.run(phone::PATH, async move {
            let _permit = self.permit(Share::Others).await?;
            phone::phone(&self.calls, &self.credentials.appid, openid, code).await
        }))
    }

    fn check_session<'a>(
        &'a self,
        openid: &'a PlatformId,
        session_key: &'a SessionKey,
    ) -> BoxFuture<'a, Result<bool, PlatformError>> {
        Box::pin(self.run(session::CHECK_PATH, async move {
            let _permit = self.permit(Share::Others).await?;
            session::check(&self.calls, openid, session_key).await
        }))
    }

    fn reset_session<'a>(
        &'a self,
        openid: &'a PlatformId,
        session_key: &'a SessionKey,
    ) -> BoxFuture<'a, Result<Option<SessionKey>, PlatformError>> {
        Box::pin(self.run(session::RESET_PATH, async move {
            let _permit = self.permit(Share::Others).await?;
            session::reset(&self.calls, openid, session_key).await
        }))
    }

    fn vouches_for<'a>(&'a self, encrypted_data: &'a str) -> BoxFuture<'a, Result<bool, PlatformError>> {
        Box::pin(self.run(user_data::PATH, async move {
            let _permit = self.permit(Share::Others).await?;
            user_data::vouches_for(&self.calls, encrypted_data).await
        }))
    }

    fn decrypt(&self, session_key: &SessionKey, encrypted: &Encrypted) -> Result<UserData, UserDataError> {
        user_data::decrypt(session_key, encrypted, &self.credentials.appid)
    }

    fn has_signed(&self, session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
        user_data::has_signed(session_key, raw_data, signature)
    }
}

impl fmt::Debug for Weapp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weapp").field("appid", &self.credentials.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
