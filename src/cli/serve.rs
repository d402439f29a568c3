//! `serve`: configuration -> state -> servers, until a signal ends them.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::hook::Hook;
use auth_ticket::http::{self, App, AppState, ConnectionLimits, Settings};
use auth_ticket::keyring::{KeyRing, KeyUse, RingKey};
use auth_ticket::keystore::{Directory, Reloader};
use clap::{Args, ValueHint};
use tokio::time::sleep;
use tracing_subscriber::filter::LevelFilter;

use super::activation::Passed;
use super::config::{self, AppOptions, Config};
use super::log::LogHandle;
use super::output::say;
use super::process::{self, Descriptors};
use super::reload::ReloadTask;
use super::report::{self, WithHint};
use super::servers::{self, Servers};
use super::{log, signals, text};

/// Run the login server
///
/// AUTH_TICKET_* environment variables override the configuration file, and flags override both. On SIGTERM, the server
/// finishes running requests and exits.
#[derive(Args, Debug)]
#[expect(clippy::doc_markdown, reason = "help is shown as it stands here")]
pub(crate) struct Serve {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "AUTH_TICKET_CONFIG", value_hint = ValueHint::FilePath)]
    #[arg(required_unless_present = "print_example_config")]
    config: Option<PathBuf>,
    /// Where clients and gateways connect: IP:PORT, localhost:PORT, unix:PATH or systemd:NAME; several with commas between them;
    /// port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where operators connect, likewise; "" turns it off
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// URL by which clients reach this server; the issuer of its JWTs
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    public_url: Option<String>,
    /// Keys directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    keys_dir: Option<String>,
    /// Accept key files that are readable by their group
    #[arg(long)]
    allow_group_read: bool,
    /// Print a configuration file with every setting and its default, and exit
    #[arg(long)]
    print_example_config: bool,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Some(path) = self.config.as_deref().filter(|_| !self.print_example_config) else {
            return Ok(io::stdout().write_all(config::example().as_bytes())?);
        };
        let flags = [
            ("listen", self.listen),
            ("admin_listen", self.admin_listen),
            ("public_url", self.public_url),
            ("keys_dir", self.keys_dir),
            ("allow_group_read", self.allow_group_read.then(|| "true".to_owned())),
        ];
        // While there is one thread.
        let passed = Passed::from_env(config::environment())?;
        let config = Config::load(path, config::environment(), &flags).hint(config::HINT)?;
        let log = log::start(config::log_directives().as_deref(), LevelFilter::INFO, config.log_format)?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        servers::server_runtime(config.workers)?.block_on(serve(config, log, passed))
    }
}

async fn serve(config: Config, log: LogHandle, mut passed: Passed) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let asking = config.hook.as_ref().map_or(0, |hook| hook.max_concurrent);
    let outbound = config.apps.iter().map(|app| app.platform.max_concurrent.saturating_add(asking));
    let outbound = outbound.fold(0, usize::saturating_add);
    let apps: Vec<App> = config.apps.into_iter().map(AppOptions::build).collect::<Result<_, _>>()?;
    let directory = Directory::new(&config.keys_dir).allow_group_read(config.allow_group_read);
    let appids: Vec<_> = apps.iter().map(|app| app.id.clone()).collect();
    let (reloader, ring, passed_over) = Reloader::start(directory, appids, now).map_err(report::load_failed)?;
    for file in &passed_over {
        tracing::warn!("{file}");
    }
    warn_of_ring(&ring, &config.settings, now);
    let hook = config.hook.map(Hook::new).transpose().context("cannot set up claims.url")?.map(Arc::new);
    if hook.is_some() {
        check_signing(&ring, now)?;
    }

    let shares = share_descriptors(config.connections.max_connections, outbound)?;
    let limits = ConnectionLimits { max_connections: shares.clients, ..config.connections };
    let settings = Settings { hook, ..config.settings };
    let state = AppState::new(settings, apps, config.services, ring, Arc::new(SystemClock))
        .context("the JWT keys cannot be used")?;
    state.files_passed_over(passed_over.len());
    state.set_log(log);
    let listeners = servers::listen(&config.listen, config.listen_mode, "--listen", &mut passed)?;
    let admin_listeners =
        servers::listen(&config.admin_listen, config.admin_listen_mode, "--admin-listen", &mut passed)?;
    let has_operators = !config.admin_listen.is_empty();
    for name in passed.left_over() {
        tracing::warn!("the socket called {name} was passed to this server, and no setting names it: its clients wait");
    }
    let mut servers = Servers::new(signals::STOP)?;
    // Before it is told that there is a server: a SIGHUP that nobody listens for would end it.
    let watch = ReloadTask::new(Arc::clone(&state), reloader, config.keys_poll)?;
    say(&format!("listening on {}", listeners.places()));
    servers.add(limits, listeners, &http::routes(Arc::clone(&state)), &state.client_connections());
    tokio::spawn(watch.run());
    if has_operators {
        say(&format!("operators on {}", admin_listeners.places()));
        let count = state.connection_count("operators");
        let limits = ConnectionLimits { max_connections: shares.operators, ..limits };
        servers.add(limits, admin_listeners, &http::admin_routes(state, config.admin_hosts), &count);
    }
    tokio::spawn(give_memory_back());
    servers.run().await;
    Ok(())
}

/// How many connections there may be. More than descriptors allow would keep operators out, and looks at the keys.
fn share_descriptors(max_connections: usize, outbound: usize) -> anyhow::Result<Descriptors> {
    let available = process::raise_descriptor_limit()?;
    let shares = Descriptors::of(available, max_connections, outbound);
    if let Some(warning) = shares.warning(max_connections, available) {
        tracing::warn!("{warning}");
    }
    Ok(shares)
}

/// Has the allocator return what a flood of logins took. It does so a second after memory became free, but only when it is
/// asked for a large piece; this one is never written to, so it takes nothing.
async fn give_memory_back() {
    const PIECE_LEN: usize = 8 << 20;
    loop {
        sleep(Duration::from_secs(5)).await;
        drop(black_box(Vec::<u8>::with_capacity(PIECE_LEN)));
    }
}

/// Questions to the owner's service are signed. A key that no longer signs stops logins and renewals, but not the checks.
fn check_signing(ring: &KeyRing, now: UnixSeconds) -> anyhow::Result<()> {
    const HINT: &str = "make one: auth-ticket keys rotate --use jwt --now";
    if ring.keys_of(KeyUse::Jwt).next().is_none() {
        return Err(anyhow::anyhow!("claims.url is set, but there is no jwt key to sign questions with")).hint(HINT);
    }
    if ring.sealing_key(KeyUse::Jwt, now).is_none() {
        tracing::warn!("claims.url is set, but no jwt key can sign now: logins and renewals are refused; {HINT}");
    }
    Ok(())
}

fn warn_of_ring(ring: &KeyRing, settings: &Settings, now: UnixSeconds) {
    for concern in ring.concerns(now) {
        tracing::warn!("{concern}; see auth-ticket keys plan");
    }
    let ttl_s = settings.policy.ttl_s;
    if let Some(key) = ring.sealing_key(KeyUse::Ticket, now).map(RingKey::key)
        && ttl_s > key.spec().max_ttl_s
    {
        let (ttl, max_ttl) = (text::duration(ttl_s), text::duration(key.spec().max_ttl_s));
        tracing::warn!("ticket.ttl is {ttl}, but {} allows {max_ttl}: tickets live that long", key.name());
    }
    let signs_for = match (settings.jwt.audiences.is_empty(), settings.assertion_audiences.is_empty()) {
        (_, false) => "assertion_audience",
        (true, true) => return,
        (false, true) => "an audience of [jwt]",
    };
    if ring.sealing_key(KeyUse::Jwt, now).is_none() {
        tracing::warn!("{signs_for} is set, but no jwt key can sign; see auth-ticket keys rotate --use jwt");
    }
}
