//! `doctor`: is everything there that a server needs, here and now?

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use auth_ticket::clock::{Clock, LEEWAY_S, SystemClock, UnixSeconds};
use auth_ticket::hook::{CallError, Hook, HookOptions};
use auth_ticket::http::{App, Audience};
use auth_ticket::keystore::Directory;
use auth_ticket::platform::{Code, PlatformError, Unreachable};
use clap::{Args, ValueHint};
use url::Url;

use super::address::Address;
use super::config::{self, Config};
use super::endpoint::Endpoint;
use super::findings::{Findings, Level};
use super::keys::check::check_opened;
use super::keys::owner::{self, Access};
use super::servers;
use super::socket_file::{self, Occupied};

/// A code that no platform ever handed out: a platform that says so knows the app and its secret.
const NO_CODE: &str = "auth-ticket-doctor";
const CLOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Check everything that a server needs, and say what to do
///
/// Checks the configuration and its secrets, the keys, the clock, whether each platform can be reached and accepts the app's
/// secret (with a code that does not exist), and the addresses to listen on. Changes nothing.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "AUTH_TICKET_CONFIG", value_hint = ValueHint::FilePath)]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut findings = Findings::default();
        let Some(mut config) = findings.load_config(&self.config, self.json)? else {
            return findings.conclude(true);
        };
        findings.ok("config", format!("{} is right, and its secrets are there", self.config.display()));
        for warning in &config.warnings {
            findings.add(Level::Warn, "config", warning.clone(), None);
        }
        for audience in &config.settings.jwt.audiences {
            tell_apps(&mut findings, audience);
        }
        self.check_keys(&mut findings, &config);
        let apps = std::mem::take(&mut config.apps);
        servers::runtime(0)?.block_on(async {
            let client = reqwest::Client::builder().timeout(CLOCK_TIMEOUT).redirect(reqwest::redirect::Policy::none());
            let client = client.build().ok();
            for app in apps {
                let base_url = app.platform.base_url.as_ref().map_or(app.kind.default_base_url, Url::as_str);
                let subject = format!("app {}", app.id);
                if let Some(client) = &client {
                    check_clock(&mut findings, client, &subject, base_url).await;
                }
                match app.build() {
                    Ok(app) => check_platform(&mut findings, &subject, &app).await,
                    Err(error) => findings.add(Level::Fail, subject, format!("{error:#}"), None),
                }
            }
            if let Some(options) = config.hook {
                check_hook(&mut findings, options).await;
            }
            config.listen.iter().for_each(|endpoint| check_endpoint(&mut findings, "listen", endpoint));
            config.admin_listen.iter().for_each(|endpoint| check_endpoint(&mut findings, "admin_listen", endpoint));
        });
        findings.conclude(self.json)
    }
}

impl Doctor {
    /// Root looks at keys of somebody else through `keys check`, which becomes their owner; here root's rights are needed
    /// for the rest.
    fn check_keys(&self, findings: &mut Findings, config: &Config) {
        let directory = Directory::new(&config.keys_dir).allow_group_read(config.allow_group_read);
        if !owner::is_for_another(&directory) {
            check_opened(findings, owner::open(directory, Access::Read), Some(config.settings.policy.ttl_s));
            return;
        }
        let run = || {
            let mut command = Command::new(config::program_file()?);
            command.args(["keys", "check", "--json", "--keys"]).arg(&config.keys_dir);
            command.arg("--config").arg(&self.config).args(config.allow_group_read.then_some("--allow-group-read"));
            command.stdin(Stdio::null()).output()
        };
        let why = match run() {
            Ok(output) if findings.add_json(&output.stdout) => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().escape_debug().to_string(),
            Err(error) => error.to_string(),
        };
        findings.add(Level::Fail, "keys", format!("cannot be looked at as their owner: {why}"), None);
    }
}

/// Whose users an audience knows, where there is more than one app to know users of.
fn tell_apps(findings: &mut Findings, audience: &Audience) {
    if audience.apps.len() > 1 {
        let what =
            format!("takes users of {} apps; its services have to check the appid of a token", audience.apps.len());
        findings.ok(format!("audience {}", audience.name), what);
    }
}

/// Whether the owner's service can be reached. Asks nothing: a question is about a user, and here there is none.
async fn check_hook(findings: &mut Findings, options: HookOptions) {
    let host = options.url.host_str().unwrap_or_default().to_owned();
    let subject = "claims.url";
    let hook = match Hook::new(options) {
        Ok(hook) => hook,
        Err(error) => return findings.add(Level::Fail, subject, format!("cannot set up claims.url: {error}"), None),
    };
    match hook.reach().await {
        Ok(()) => findings.ok(subject, format!("{host} answers")),
        Err(error) => {
            let remedy = match error {
                CallError::Unreachable(why) => way_out(why, subject, "the service"),
                _ => "see that the service runs, and that this machine may reach it".to_owned(),
            };
            findings.add(Level::Fail, subject, format!("{host}: {error}"), Some(remedy));
        }
    }
}

/// Compares our clock with the platform's, which stands in every answer's `Date`.
async fn check_clock(findings: &mut Findings, client: &reqwest::Client, subject: &str, base_url: &str) {
    // Whether it can be reached is told by the check of the platform.
    let Ok(response) = client.get(base_url).send().await else { return };
    let date = response.headers().get(reqwest::header::DATE).and_then(|value| value.to_str().ok());
    let Some(theirs) = date.and_then(UnixSeconds::parse_http_date) else { return };
    let ours = SystemClock.now();
    let apart_s = ours.apart(theirs);
    if apart_s > LEEWAY_S {
        let what = format!("this clock and the platform's are {apart_s} s apart");
        let remedy = Some(format!("set the clock (NTP); replicas may differ by {LEEWAY_S} s"));
        findings.add(Level::Fail, subject, what, remedy);
    } else {
        findings.ok(subject, format!("the platform's clock agrees within {apart_s} s"));
    }
}

async fn check_platform(findings: &mut Findings, subject: &str, app: &App) {
    let Ok(code) = Code::parse(NO_CODE) else { return };
    match app.platform.exchange(&code).await {
        // It looked at the code, so it accepted everything else.
        Err(PlatformError::InvalidCode(_) | PlatformError::CodeUsed(_)) | Ok(_) => {
            findings.ok(subject, "the platform accepts appid and secret");
        }
        Err(error @ (PlatformError::Misconfigured { .. } | PlatformError::NoSecret(_))) => {
            findings.add(Level::Fail, subject, error.to_string(), app.platform.facts().remedy(&error));
        }
        Err(error @ PlatformError::Simulated) => {
            let remedy =
                "remove base_url; on a test system listen on loopback, or write upstream.allow_simulator = true";
            findings.add(Level::Fail, subject, error.to_string(), Some(remedy.to_owned()));
        }
        Err(error @ PlatformError::Unreachable(why)) => {
            findings.add(Level::Fail, subject, error.to_string(), Some(way_out(why, "base_url", "the platform")));
        }
        Err(error @ PlatformError::Timeout) => {
            let remedy = Some("see that this machine may reach the platform, or set base_url".to_owned());
            findings.add(Level::Fail, subject, error.to_string(), remedy);
        }
        Err(error) => match app.platform.facts().remedy(&error) {
            Some(remedy) => findings.add(Level::Fail, subject, error.to_string(), Some(remedy)),
            None => findings.add(Level::Warn, subject, error.to_string(), Some("try again in a minute".to_owned())),
        },
    }
}

/// What to do where there is no connection to `place`, whose URL the setting `url` gives.
fn way_out(why: Unreachable, url: &str, place: &str) -> String {
    match why {
        Unreachable::UnknownHost => {
            format!("see that DNS works here, and that {url}, if there is one, is spelled right")
        }
        Unreachable::Refused => {
            format!(
                "see that {url}, if there is one, is right, that {place} runs, and that no firewall refuses the way out"
            )
        }
        Unreachable::Certificate => {
            "install the system's CA certificates, name those of a proxy that inspects TLS in SSL_CERT_FILE, and see \
             that the clock is right"
                .to_owned()
        }
        Unreachable::Tls => {
            format!("see that {url}, if there is one, is right about https, and that nothing inspects TLS on the way")
        }
        Unreachable::Proxy => {
            "see that HTTPS_PROXY is right, user and password included, or name the host in NO_PROXY".to_owned()
        }
        _ => format!("see that this machine may reach {place}, and that {url}, if there is one, is right"),
    }
}

fn check_endpoint(findings: &mut Findings, setting: &str, endpoint: &Endpoint) {
    match endpoint {
        Endpoint::Address(address) => check_address(findings, setting, *address),
        Endpoint::Unix(path) => check_socket(findings, setting, endpoint, path),
        // Only the process that it starts is given them.
        Endpoint::Systemd(_) => findings.ok(setting, format!("{endpoint} is made by systemd")),
    }
}

fn check_socket(findings: &mut Findings, setting: &str, endpoint: &Endpoint, path: &Path) {
    match socket_file::check(path) {
        Ok(()) if path.parent().is_none_or(Path::is_dir) => findings.ok(setting, format!("{endpoint} is free")),
        Ok(()) => {
            let remedy =
                "make the directory for the server's user (RuntimeDirectory= in a unit), or choose another path";
            findings.add(Level::Fail, setting, format!("{endpoint} is in no directory"), Some(remedy.to_owned()));
        }
        Err(Occupied::InUse) => {
            let remedy = Some("fine if the server runs already; otherwise choose another path".to_owned());
            findings.add(Level::Warn, setting, format!("{endpoint} is in use"), remedy);
        }
        Err(occupied) => {
            let remedy = Some(occupied.remedy().to_owned());
            findings.add(Level::Fail, setting, format!("cannot listen on {endpoint}: {occupied}"), remedy);
        }
    }
}

fn check_address(findings: &mut Findings, setting: &str, address: Address) {
    match address.bind() {
        Ok(_) => findings.ok(setting, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let remedy = Some("fine if the server runs already; otherwise choose another port".to_owned());
            findings.add(Level::Warn, setting, format!("{address} is in use"), remedy);
        }
        Err(error) => {
            let remedy = Some(format!("choose another address for {setting}"));
            findings.add(Level::Fail, setting, format!("cannot listen on {address}: {error}"), remedy);
        }
    }
}
