//! `simulator`: the platform's side of a login, for tests of other people's programs.

use std::sync::Arc;
use std::time::Duration;

use auth_ticket::clock::SystemClock;
use auth_ticket::http::{ConnectionCount, ConnectionLimits};
use auth_ticket::simulator::Simulator;
use clap::Args;
use tracing_subscriber::filter::LevelFilter;

use super::address::Address;
use super::log::Format;
use super::{config, log, output, process, servers, signals};

/// Run a simulator of the platforms' servers, for tests without a phone
///
/// Answers logins, session checks and requests for access tokens, phone numbers and encrypted data as the platform does,
/// quirks included. It keeps everything in memory until it ends. Codes: demo-NAME-ANYTHING logs NAME in, each code once;
/// err-40029 and other numbers, slow-1000-NAME, http-500, garbage, hang and cut simulate failures; POST /_sim/code
/// {"appid","name"} creates a code that is valid for five minutes. All routes: docs/SIMULATOR.md.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Address, IP:PORT or localhost:PORT; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9999")]
    listen: Address,
    /// End when standard input is closed, as it is when the program that started this one ends
    #[arg(long)]
    until_stdin_closes: bool,
}

/// For a process that nobody attacks: generous, but quick to end.
pub(super) const LIMITS: ConnectionLimits = ConnectionLimits {
    max_connections: 10_000,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    shutdown_grace: Duration::from_secs(2),
};

impl Options {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        log::start(config::log_directives().as_deref(), LevelFilter::INFO, Format::Text)?;
        servers::server_runtime(0)?.block_on(async {
            let listeners = servers::bind(self.listen, "--listen")?;
            if !self.listen.is_local() {
                tracing::warn!(
                    "listening on {}: whoever reaches it can log in as anybody where it is the platform, and change what it \
                     answers; keep it in a network of your own",
                    self.listen
                );
            }
            let limits = process::fit(LIMITS)?;
            let mut running = servers::Servers::new(signals::STOP)?;
            if self.until_stdin_closes {
                running.end_with_stdin()?;
            }
            let urls = listeners.places();
            output::say(&format!("simulator on {urls} (in memory; use it as base_url of an app)"));
            let simulator = Simulator::new(Arc::new(SystemClock)).router();
            running.add(limits, listeners, &simulator.into(), &ConnectionCount::default());
            running.run().await;
            Ok(())
        })
    }
}
