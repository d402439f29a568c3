//! `healthcheck`: is the server on this machine ready? For images without a shell, and for scripts.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueHint};
use reqwest::StatusCode;

use super::config::{self, Config};
use super::endpoint::Endpoint;
use super::local_http::ServerUrl;
use super::report::WithHint;
use super::servers;

/// For everything; containers give up after a few seconds, too.
const TIMEOUT: Duration = Duration::from_secs(3);
const READY: &str = "/readyz";

/// Check whether the server on this machine is ready
///
/// Exits with 0 if it is, otherwise with 1. Requests /readyz at the operators' address, or at the clients' address if nothing
/// listens there. Reads both from the configuration file and AUTH_TICKET_* variables, as serve does, but reads no secrets.
#[derive(Args, Debug)]
#[expect(clippy::doc_markdown, reason = "help is shown as it stands here")]
pub(crate) struct Healthcheck {
    /// Configuration file [default: none, the default settings]
    #[arg(long, value_name = "FILE", env = "AUTH_TICKET_CONFIG", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Request this URL, or /readyz at unix:PATH, and read no configuration; a URL without a path means /readyz
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    url: Option<ServerUrl>,
}

impl Healthcheck {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let servers = self.servers()?;
        servers::runtime(1)?.block_on(ask(&servers))
    }

    /// Where to ask, in this order.
    fn servers(&self) -> anyhow::Result<Vec<ServerUrl>> {
        if let Some(url) = &self.url {
            return Ok(vec![url.clone()]);
        }
        let (listen, admin_listen) =
            Config::endpoints(self.config.as_deref(), config::environment()).hint(config::HINT)?;
        let targets = admin_listen.iter().chain(&listen).flat_map(Endpoint::reachable_here);
        let servers: Vec<ServerUrl> = targets.map(ServerUrl::from).collect();
        if servers.is_empty() {
            return Err(anyhow!(
                "the configuration has only port 0 or sockets of systemd, so nobody knows the address"
            ))
            .hint("name it: auth-ticket healthcheck --url http://127.0.0.1:PORT, or --url unix:/PATH");
        }
        Ok(servers)
    }
}

/// The first that answers at all decides.
async fn ask(servers: &[ServerUrl]) -> anyhow::Result<()> {
    for server in servers {
        let url = server.clone().or_path(READY);
        match server.get(READY, TIMEOUT).await? {
            Ok(answer) if answer.status() == StatusCode::OK => {
                // Whoever reads it sees which one was asked; the status is what counts.
                let _ = writeln!(io::stdout(), "ready: {url}");
                return Ok(());
            }
            Ok(answer) => {
                let status = answer.status().as_u16();
                return Err(anyhow!("not ready: {url} answers with status {status}")).hint("its log says why");
            }
            Err(error) if error.is_connect() && !error.is_timeout() => {}
            Err(error) if error.is_timeout() => {
                return Err(anyhow!("not ready: {url} does not answer within {} s", TIMEOUT.as_secs()));
            }
            Err(_) => return Err(anyhow!("not ready: {url} does not answer in HTTP")),
        }
    }
    let asked: Vec<String> = servers.iter().map(|server| server.clone().or_path(READY).to_string()).collect();
    Err(anyhow!("not ready: nobody listens at {}", asked.join(", ")))
        .hint("see that it runs; name its address with --url if flags gave it another one")
}
