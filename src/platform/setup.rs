//! What a platform is set up from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::settings::{AppSetting, AppSettings, Requirement};
use super::{Capability, Platform, is_visible_ascii};
use crate::clock::{Clock, SystemClock};
use crate::outbound::Outbound;
use crate::secret::SecretText;

/// One kind of platform: what a configuration can name, and what documents say of it.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a row of the table, written by each platform")]
pub struct Kind {
    /// Its name in configurations, tickets' answers and metrics, as Taro has it.
    pub name: &'static str,
    /// What it is, for people: `WeChat mini-programs`.
    pub program: &'static str,
    /// Where its interfaces are, unless an app's `base_url` says otherwise.
    pub default_base_url: &'static str,
    /// Where its sandbox is, for `base_url`.
    pub sandbox_url: Option<&'static str>,
    /// What looks wrong with an app's secret, in words for a warning.
    pub doubt_secret: fn(&str) -> Option<&'static str>,
    /// Which of the settings that not all platforms have it takes, and which it needs.
    pub settings: &'static [(AppSetting, Requirement)],
    /// What there is beyond logins.
    pub capabilities: &'static [Offer],
    /// What its openid and unionid are.
    pub ids: &'static str,
    /// How long a login code is good, and how often.
    pub code_life: &'static str,
    /// What is known of it, and how well.
    pub evidence: &'static str,
    /// Sets up one app's platform; sends nothing.
    pub build: fn(PlatformOptions) -> Result<Box<dyn Platform>, SetupError>,
}

/// What a platform has beyond logins, perhaps only where the app's configuration says that it is wanted all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a row of a table")]
pub struct Offer {
    /// What it is.
    pub capability: Capability,
    /// Without this setting there is no such thing.
    pub only_with: Option<AppSetting>,
    /// With this setting there is no such thing.
    pub never_with: Option<AppSetting>,
}

impl Offer {
    /// There whatever the configuration says.
    #[must_use]
    pub const fn always(capability: Capability) -> Self {
        Self { capability, only_with: None, never_with: None }
    }

    /// There if the configuration has `setting`.
    #[must_use]
    pub const fn with(capability: Capability, setting: AppSetting) -> Self {
        Self { capability, only_with: Some(setting), never_with: None }
    }

    /// There unless the configuration has `setting`.
    #[must_use]
    pub const fn without(capability: Capability, setting: AppSetting) -> Self {
        Self { capability, only_with: None, never_with: Some(setting) }
    }
}

impl Kind {
    /// Whether it takes `setting`.
    #[must_use]
    pub fn takes(&self, setting: AppSetting) -> bool {
        self.settings.iter().any(|(taken, _)| *taken == setting)
    }

    /// Whether it cannot do without `setting`, given that `has` says which others there are.
    #[must_use]
    pub fn needs(&self, setting: AppSetting, has: impl Fn(AppSetting) -> bool) -> bool {
        self.settings.iter().any(|&(taken, need)| {
            taken == setting
                && match need {
                    Requirement::Optional => false,
                    Requirement::Required => true,
                    Requirement::RequiredWith(other) => has(other),
                    Requirement::RequiredWithout(other) => !has(other),
                }
        })
    }

    /// What an app with these settings has beyond logins.
    #[must_use]
    pub fn offered(&self, settings: &AppSettings) -> Vec<Capability> {
        let is_offered = |offer: &&Offer| {
            offer.only_with.is_none_or(|setting| settings.has(setting))
                && offer.never_with.is_none_or(|setting| !settings.has(setting))
        };
        self.capabilities.iter().filter(is_offered).map(|offer| offer.capability).collect()
    }
}

/// What an app's platform is made from.
#[expect(clippy::exhaustive_structs, reason = "built by name, as a list of settings")]
pub struct PlatformOptions {
    /// The app's id: 1 to 128 visible ASCII characters.
    pub appid: String,
    /// The app's secret, not empty. Some platforms have none.
    pub secret: Option<SecretText>,
    /// What not every platform has.
    pub settings: AppSettings,
    /// Where the platform is, [`Kind::default_base_url`] if not given. A path in it comes before that of an interface.
    pub base_url: Option<Url>,
    /// How long a call may take, waiting for its turn included; above 0, at most [`PlatformOptions::MAX_TIMEOUT`].
    pub timeout: Duration,
    /// How many calls may run at once, at least 1. Half of them, rounded up, may be others than logins.
    pub max_concurrent: usize,
    /// What the time is, where requests say it.
    pub clock: Arc<dyn Clock>,
    /// The way out, which apps share.
    pub outbound: Outbound,
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
    /// A setting is missing that the platform needs.
    #[error("the setting {0} is missing")]
    Missing(&'static str),
    /// The organisation is none.
    #[error("corp_id is not 1 to 64 visible ASCII characters without a colon")]
    CorpId,
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

    /// An app of this id with a secret that no real platform knows: for simulators, whose answers count, and as a base for others.
    #[must_use]
    pub fn new(appid: impl Into<String>) -> Self {
        Self {
            appid: appid.into(),
            secret: Some(SecretText::new("the simulator takes any")),
            settings: AppSettings::default(),
            base_url: None,
            timeout: Duration::from_secs(5),
            max_concurrent: 64,
            clock: Arc::new(SystemClock),
            outbound: Outbound::default().with_simulator(true),
        }
    }

    /// Takes the organisation out. A colon in it could make one user of two organisations' users.
    ///
    /// # Errors
    /// There is none, or it is not 1 to 64 visible ASCII characters without a colon.
    pub(super) fn take_corp_id(&mut self) -> Result<String, SetupError> {
        let corp_id = self.settings.corp_id.take().unwrap_or_default();
        let is_good = matches!(corp_id.len(), 1..=64) && is_visible_ascii(&corp_id) && !corp_id.contains(':');
        if is_good { Ok(corp_id) } else { Err(SetupError::CorpId) }
    }

    /// Checks what is the same for all platforms, and that everything is there that a platform of `kind` needs.
    ///
    /// # Errors
    /// [`SetupError`]: an option is missing or out of its range.
    pub fn check(&self, kind: &Kind) -> Result<(), SetupError> {
        if !matches!(self.appid.len(), 1..=Self::MAX_APPID_LEN) || !is_visible_ascii(&self.appid) {
            return Err(SetupError::Appid);
        }
        if self.secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            return Err(SetupError::EmptySecret);
        }
        let has = |setting| match setting {
            AppSetting::Secret => self.secret.is_some(),
            AppSetting::SubjectId => true,
            other => self.settings.has(other),
        };
        if let Some(missing) = AppSetting::ALL.into_iter().find(|&setting| kind.needs(setting, has) && !has(setting)) {
            return Err(SetupError::Missing(missing.names().first().copied().unwrap_or_default()));
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
