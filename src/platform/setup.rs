//! What a platform is set up from.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::{Capability, Platform, is_visible_ascii};
use crate::secret::SecretText;

/// One kind of platform: what a configuration can name.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a row of the table, written by each platform")]
pub struct Kind {
    /// Its name in configurations, tickets' answers and metrics, as Taro has it.
    pub name: &'static str,
    /// Where its interfaces are, unless an app's `base_url` says otherwise.
    pub default_base_url: &'static str,
    /// What looks wrong with an app's secret, in words for a warning.
    pub doubt_secret: fn(&str) -> Option<&'static str>,
    /// What there is beyond logins.
    pub capabilities: &'static [Capability],
    /// Sets up one app's platform; sends nothing.
    pub build: fn(PlatformOptions) -> Result<Box<dyn Platform>, SetupError>,
}

/// What an app's platform is made from.
#[expect(clippy::exhaustive_structs, reason = "built by name, as a list of settings")]
pub struct PlatformOptions {
    /// The app's id: 1 to 128 visible ASCII characters.
    pub appid: String,
    /// The app's secret, not empty.
    pub secret: SecretText,
    /// Where the platform is, [`Kind::default_base_url`] if not given. A path in it comes before that of an interface.
    pub base_url: Option<Url>,
    /// How long a call may take, waiting for its turn included; above 0, at most [`PlatformOptions::MAX_TIMEOUT`].
    pub timeout: Duration,
    /// How many calls may run at once, at least 1. Half of them, rounded up, may be others than logins.
    pub max_concurrent: usize,
}

/// Why there is no platform with these options. Never holds the secret or a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
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
    #[error("the timeout is not above 0 and at most {} s", PlatformOptions::MAX_TIMEOUT.as_secs())]
    Timeout,
    /// No call may run.
    #[error("the number of concurrent exchanges is 0")]
    NoConcurrency,
    /// The HTTP client could not be built, usually because the system has no trusted certificates.
    #[error("the HTTP client cannot be set up; are the system's CA certificates installed?")]
    Client,
}

impl PlatformOptions {
    /// The longest `timeout`.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(600);

    const MAX_APPID_LEN: usize = 128;

    /// Checks what is the same for all platforms.
    ///
    /// # Errors
    /// [`SetupError`]: an option is out of its range.
    pub fn check(&self) -> Result<(), SetupError> {
        if !matches!(self.appid.len(), 1..=Self::MAX_APPID_LEN) || !is_visible_ascii(&self.appid) {
            return Err(SetupError::Appid);
        }
        if self.secret.expose().is_empty() {
            return Err(SetupError::EmptySecret);
        }
        if self.timeout.is_zero() || self.timeout > Self::MAX_TIMEOUT {
            return Err(SetupError::Timeout);
        }
        if self.max_concurrent == 0 {
            return Err(SetupError::NoConcurrency);
        }
        Ok(())
    }
}

/// Without the base URL, which may hold a password before it is checked.
impl fmt::Debug for PlatformOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformOptions")
            .field("appid", &self.appid)
            .field("timeout", &self.timeout)
            .field("max_concurrent", &self.max_concurrent)
            .finish_non_exhaustive()
    }
}
