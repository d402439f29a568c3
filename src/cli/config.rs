//! File, environment and flags -> validated [`Config`]; the only place that reads the environment.
//!
//! Whatever is wrong is reported at once: where it stands, the key's path, what is wrong and what to write instead.
//! Of two values for one key the flag's wins over the variable's, and the variable's over the file's.

mod app_settings;
mod assemble;
mod audiences;
mod check;
mod claim_values;
mod example;
mod mistake;
mod reader;
mod schema;
mod secret;
mod setting;
mod source;
mod system;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use auth_ticket::hook::HookOptions;
use auth_ticket::http::{App, ConnectionLimits, Service, Settings, Subject};
use auth_ticket::keyring::AppId;
use auth_ticket::platform::{Kind, PlatformOptions};

use super::endpoint::Endpoint;
use super::log::Format;
pub(crate) use example::{example, settings};
pub(crate) use mistake::ConfigError;
use tree::Tree;

/// What to do about a configuration that is not right.
pub(crate) const HINT: &str = "see every setting and its default: auth-ticket serve --print-example-config";

/// What this process was started with, the program's name included.
#[cfg(unix)]
pub(crate) fn command_line() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// The file of this program.
pub(crate) fn program_file() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The whole configuration, checked, in the types that take it.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where clients connect.
    pub(crate) listen: Vec<Endpoint>,
    /// Permissions of Unix sockets among these.
    pub(crate) listen_mode: u32,
    /// Where operators connect; nowhere when turned off.
    pub(crate) admin_listen: Vec<Endpoint>,
    /// Permissions of Unix sockets among these.
    pub(crate) admin_listen_mode: u32,
    /// Names by which operators call the server, in lower case.
    pub(crate) admin_hosts: Vec<String>,
    /// The directory of keys; a relative path starts at the working directory.
    pub(crate) keys_dir: PathBuf,
    /// Key files may be readable by their group.
    pub(crate) allow_group_read: bool,
    /// How often the directory of keys is looked at.
    pub(crate) keys_poll: Duration,
    /// Threads that answer requests; 0 is one for each processor.
    pub(crate) workers: usize,
    /// `[log] format`
    pub(crate) log_format: Format,
    /// `[[app]]`, at least one; appids and their tags differ.
    pub(crate) apps: Vec<AppOptions>,
    /// `[[service]]`
    pub(crate) services: Vec<Service>,
    /// `[claims]`; `None` when nobody is asked.
    pub(crate) hook: Option<HookOptions>,
    /// What the routes need to know, all but the hook itself.
    pub(crate) settings: Settings,
    /// Of clients; `max_connections` before the process's limits are looked at.
    pub(crate) connections: ConnectionLimits,
    /// What is allowed and yet deserves a word at start; each names the setting it is about.
    pub(crate) warnings: Vec<String>,
}

/// What verifier files are made from.
#[derive(Debug)]
pub(crate) struct ExportSettings {
    /// The directory of keys; a relative path starts at the working directory.
    pub(crate) keys_dir: PathBuf,
    /// Key files may be readable by their group.
    pub(crate) allow_group_read: bool,
    /// How often the directory of keys is looked at.
    pub(crate) keys_poll: Duration,
    /// Life of a session, in seconds.
    pub(crate) max_session_s: u64,
    /// Each app with the name of its platform.
    pub(crate) apps: Vec<(AppId, &'static str)>,
}

/// One mini-program, before its platform is set up.
#[derive(Debug)]
pub(crate) struct AppOptions {
    /// Its id at the platform.
    pub(crate) id: AppId,
    /// What kind of platform it lives on.
    pub(crate) kind: &'static Kind,
    /// Whose identifier becomes a JWT's `sub`.
    pub(crate) subject: Subject,
    /// What the platform is set up from, `[upstream]` included.
    pub(crate) platform: PlatformOptions,
}

impl AppOptions {
    /// The app with its platform, ready to be asked.
    ///
    /// # Errors
    /// The platform cannot be set up.
    pub(crate) fn build(self) -> anyhow::Result<App> {
        let Self { id, kind, subject, platform } = self;
        let platform = (kind.build)(platform).with_context(|| format!("cannot set up the platform of app {id}"))?;
        Ok(App { id, platform, subject })
    }
}

/// Settings that have a flag, with what the user wrote there; they win over everything else.
pub(crate) type Flags<'a> = &'a [(&'static str, Option<String>)];

impl Config {
    /// Reads the file at `path`, lays `env` and `flags` over it and checks everything, the secrets included.
    ///
    /// Of `env` only the variables that begin with `AUTH_TICKET_` and those that a `secret_env` names are looked at.
    /// # Errors
    /// Every mistake there is. Only a file that cannot be read, or is not TOML, hides the mistakes of other kinds.
    pub(crate) fn load(
        path: &Path,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        flags: Flags<'_>,
    ) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = source::load(path).map_err(|mistake| ConfigError::new(&file, vec![mistake]))?;
        Self::parse(&file, &text, env, flags)
    }

    /// `listen` and `admin_listen` alone; no secret is looked for, and mistakes elsewhere are not looked at.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML, or one of the two is wrong.
    pub(crate) fn endpoints(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Vec<Endpoint>, Vec<Endpoint>), ConfigError> {
        let file = path.map_or_else(String::new, |path| path.display().to_string());
        let failed = |mistakes| ConfigError::new(&file, mistakes);
        let text = path.map(source::load).transpose().map_err(|mistake| failed(vec![mistake]))?.unwrap_or_default();
        let mut tree = Tree::parse(&text, env.into_iter().collect()).map_err(failed)?;
        tree.apply_variables();
        tree.mistakes.clear();
        let endpoints = tree.endpoints();
        if tree.mistakes.is_empty() { Ok(endpoints) } else { Err(failed(tree.mistakes)) }
    }

    /// What verifier files are made from; no secret is looked for, and mistakes elsewhere are not looked at.
    ///
    /// # Errors
    /// As [`Self::endpoints`].
    pub(crate) fn for_export(
        path: &Path,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<ExportSettings, ConfigError> {
        let file = path.display().to_string();
        let failed = |mistakes| ConfigError::new(&file, mistakes);
        let text = source::load(path).map_err(|mistake| failed(vec![mistake]))?;
        let mut tree = Tree::parse(&text, env.into_iter().collect()).map_err(failed)?;
        tree.apply_variables();
        tree.mistakes.clear();
        let settings = tree.for_export();
        if tree.mistakes.is_empty() { Ok(settings) } else { Err(failed(tree.mistakes)) }
    }

    /// As [`Self::load`], for a file whose text is known; `file` is what messages call it.
    pub(crate) fn parse(
        file: &str,
        text: &str,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        flags: Flags<'_>,
    ) -> Result<Self, ConfigError> {
        let failed = |mistakes| ConfigError::new(file, mistakes);
        let mut tree = Tree::parse(text, env.into_iter().collect()).map_err(failed)?;
        tree.apply_variables();
        for (path, text) in flags {
            if let Some(text) = text {
                tree.apply_flag(path, text);
            }
        }
        let config = tree.config(file);
        if tree.mistakes.is_empty() { Ok(config) } else { Err(failed(tree.mistakes)) }
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
        !called.is_empty() && called.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-@+".contains(&byte))
    };
    called.filter(is_plain).unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
}

/// The environment of this process, for [`Config::load`].
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}
