//! File, environment and flags -> validated [`Config`]; the only place that reads the environment.
//!
//! Whatever is wrong is reported at once: where it stands, the key's path, what is wrong and what to write instead.
//! Of two values for one key the flag's wins over the variable's, and the variable's over the file's.

mod assemble;
mod check;
mod problem;
mod reader;
mod schema;
mod secret;
mod source;
#[cfg(test)]
mod tests;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use auth_ticket::http::{ClientLimits, Subject};
use auth_ticket::keyring::AppId;
use auth_ticket::platform::Kind;
use auth_ticket::secret::SecretText;

use super::address::Address;
use super::log::Format;
pub(crate) use problem::ConfigError;
use tree::Tree;

/// A complete configuration file with comments: every key, and what it means to leave it out.
pub(crate) const EXAMPLE: &str = include_str!("config/example.toml");

/// What this process was started with, the program's name included.
pub(crate) fn command_line() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// The file of this program.
pub(crate) fn program_file() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The whole configuration, checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where clients connect.
    pub(crate) listen: Address,
    /// Where operators connect; `None` when turned off.
    pub(crate) admin_listen: Option<Address>,
    /// Names by which operators call the server, in lower case.
    pub(crate) admin_hosts: Vec<String>,
    /// The issuer of JWTs, byte for byte as configured.
    pub(crate) public_url: Option<String>,
    /// The directory of keys; a relative path starts at the working directory.
    pub(crate) keys_dir: PathBuf,
    /// Key files may be readable by their group.
    pub(crate) allow_group_read: bool,
    /// How often the directory of keys is looked at.
    pub(crate) keys_poll: Duration,
    /// Threads that answer requests; 0 is one for each processor.
    pub(crate) workers: usize,
    /// `[ticket]`
    pub(crate) ticket: TicketConfig,
    /// `[[app]]`, at least one; appids and their tags differ.
    pub(crate) apps: Vec<AppConfig>,
    /// `[[service]]`
    pub(crate) services: Vec<ServiceConfig>,
    /// `[jwt]`
    pub(crate) jwt: JwtConfig,
    /// `[claims]`; `None` when nobody is asked.
    pub(crate) claims: Option<ClaimsConfig>,
    /// `[upstream]`
    pub(crate) upstream: UpstreamConfig,
    /// `[log] format`
    pub(crate) log_format: Format,
    /// `[verify]`
    pub(crate) verify: VerifyConfig,
    /// `[phone]`
    pub(crate) phone: PhoneConfig,
    /// `[compat]`
    pub(crate) compat: CompatConfig,
    /// `[cors]`
    pub(crate) cors: CorsConfig,
    /// `[limits]`
    pub(crate) limits: LimitsConfig,
    /// What is allowed and yet deserves a word at start; each names the setting it is about.
    pub(crate) warnings: Vec<String>,
}

/// How long tickets and sessions live.
#[derive(Debug)]
pub(crate) struct TicketConfig {
    /// A ticket's life: a minute to 90 days.
    pub(crate) ttl_s: u64,
    /// A session's life: `ttl_s` to 3650 days.
    pub(crate) max_session_s: u64,
}

/// One mini-program.
#[derive(Debug)]
pub(crate) struct AppConfig {
    /// Its id at the platform.
    pub(crate) appid: AppId,
    /// The platform that it lives on.
    pub(crate) platform: &'static Kind,
    /// Whose identifier becomes a JWT's `sub`.
    pub(crate) subject: Subject,
    /// Its secret at the platform.
    pub(crate) secret: SecretText,
    /// Where the platform's interface is, if not at the usual place; without a slash at the end.
    pub(crate) base_url: Option<String>,
}

/// A back-end service that may introspect tickets and exchange them for JWTs.
#[derive(Debug)]
pub(crate) struct ServiceConfig {
    /// Its client id.
    pub(crate) id: String,
    /// Its client secret.
    pub(crate) secret: SecretText,
    /// The appids whose tickets it may see, at least one; all of them are configured.
    pub(crate) apps: Vec<String>,
}

/// JWTs for services.
#[derive(Debug)]
pub(crate) struct JwtConfig {
    /// A JWT's life: a second to a day.
    pub(crate) ttl_s: u64,
    /// Whom JWTs may be for; none unless `public_url` is configured.
    pub(crate) audiences: Vec<String>,
    /// Those of `audiences` for which the mini-program itself may ask.
    pub(crate) public_audiences: Vec<String>,
    /// Whether the phone number goes into JWTs.
    pub(crate) phone: bool,
}

/// The owner's service that is asked for claims.
#[derive(Debug)]
pub(crate) struct ClaimsConfig {
    /// Where it is.
    pub(crate) url: url::Url,
    /// What it is called in the questions; the URL as configured, byte for byte, unless set.
    pub(crate) audience: String,
    /// The deadline of one question: 100 ms to 30 s.
    pub(crate) timeout: Duration,
    /// How many may be out at once: 1 to 10,000.
    pub(crate) max_concurrent: usize,
}

/// Calls of the platform.
#[derive(Debug)]
pub(crate) struct UpstreamConfig {
    /// The deadline of one call: 100 ms to a minute.
    pub(crate) timeout: Duration,
    /// How many may run at once: 1 to 10,000.
    pub(crate) max_concurrent: usize,
}

/// Checks for gateways.
#[derive(Debug)]
pub(crate) struct VerifyConfig {
    /// The bare route accepts tickets of every configured app, not of the only one.
    pub(crate) any_app: bool,
    /// Whom the JWT on a 200 is for; with it `public_url` is configured, and it is none of `[jwt] audiences`.
    pub(crate) assertion_audience: Option<String>,
}

/// The older routes.
#[derive(Debug)]
pub(crate) struct CompatConfig {
    /// They are served.
    pub(crate) enabled: bool,
    /// No ticket without a proven phone number.
    pub(crate) require_phone: bool,
}

/// Phone numbers that come encrypted.
#[derive(Debug)]
pub(crate) struct PhoneConfig {
    /// The platform has to confirm the ciphertext.
    pub(crate) check_origin: bool,
}

/// Pages that may call from a browser.
#[derive(Debug)]
pub(crate) struct CorsConfig {
    /// Origins as browsers send them, or `*` alone.
    pub(crate) origins: Vec<String>,
}

/// What one process puts up with. Each duration is 100 ms to 10 minutes.
#[derive(Debug)]
pub(crate) struct LimitsConfig {
    /// Connections at once: 1 to 1,000,000.
    pub(crate) max_connections: usize,
    /// What clients and apps may ask for.
    pub(crate) clients: ClientLimits,
    /// For a request's header section to arrive.
    pub(crate) header_timeout: Duration,
    /// For its body.
    pub(crate) body_timeout: Duration,
    /// Between two requests on one connection.
    pub(crate) idle_timeout: Duration,
    /// For what runs when the process is told to stop.
    pub(crate) shutdown_grace: Duration,
}

/// Settings from the command line, as the user wrote them; they win over everything else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// `--listen`
    pub(crate) listen: Option<String>,
    /// `--admin-listen`
    pub(crate) admin_listen: Option<String>,
    /// `--public-url`
    pub(crate) public_url: Option<String>,
    /// `--keys-dir`
    pub(crate) keys_dir: Option<String>,
    /// `--allow-group-read`: `true` or `false`
    pub(crate) allow_group_read: Option<String>,
}

impl Config {
    /// Reads the file at `path`, lays `env` and `overrides` over it and checks everything, the secrets included.
    ///
    /// Of `env` only the variables that begin with `AUTH_TICKET_` and those that a `secret_env` names are looked at.
    /// # Errors
    /// Every mistake there is. Only a file that cannot be read, or is not TOML, hides the mistakes of other kinds.
    pub(crate) fn load(
        path: &Path,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = source::load(path).map_err(|problem| ConfigError::new(&file, vec![problem]))?;
        Self::parse(&file, &text, env, overrides)
    }

    /// `listen` and `admin_listen` alone; no secret is looked for, and mistakes elsewhere are not looked at.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML, or one of the two is wrong.
    pub(crate) fn addresses(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Address, Option<Address>), ConfigError> {
        let file = path.map_or_else(String::new, |path| path.display().to_string());
        let failed = |problems| ConfigError::new(&file, problems);
        let text = path.map(source::load).transpose().map_err(|problem| failed(vec![problem]))?.unwrap_or_default();
        let mut tree = Tree::parse(&text, env.into_iter().collect()).map_err(failed)?;
        tree.apply_variables();
        tree.problems.clear();
        tree.addresses().map_err(|_| failed(std::mem::take(&mut tree.problems)))
    }

    /// As [`Self::load`], for a file whose text is known; `file` is what messages call it.
    pub(crate) fn parse(
        file: &str,
        text: &str,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let failed = |problems| ConfigError::new(file, problems);
        let mut tree = Tree::parse(text, env.into_iter().collect()).map_err(failed)?;
        tree.apply_variables();
        for (flag, path, value) in [
            ("--listen", "listen", &overrides.listen),
            ("--admin-listen", "admin_listen", &overrides.admin_listen),
            ("--public-url", "public_url", &overrides.public_url),
            ("--keys-dir", "keys_dir", &overrides.keys_dir),
            ("--allow-group-read", "allow_group_read", &overrides.allow_group_read),
        ] {
            tree.apply_flag(flag, path, value.as_ref());
        }
        match tree.config(file) {
            Ok(config) if tree.problems.is_empty() => Ok(config),
            _ => Err(failed(tree.problems)),
        }
    }
}

/// What `RUST_LOG` says, if it says something.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn log_directives() -> Option<String> {
    std::env::var("RUST_LOG").ok()
}

/// What this program was called as, so that a line with it can be typed where it was.
pub(crate) fn program() -> String {
    let called = std::env::args_os().next().and_then(|called| called.into_string().ok());
    let is_plain = |called: &String| {
        !called.is_empty() && called.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
    };
    called.filter(is_plain).unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
}

/// The environment of this process, for [`Config::load`].
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}
