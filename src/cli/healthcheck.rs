//! `healthcheck`: is the server on this machine ready? For images without a shell, and for scripts.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueHint};
use reqwest::{Client, StatusCode};
use url::Url;

use super::address::Address;
use super::config::{self, Config};
use super::report::WithHint;
use super::servers;

/// For everything; containers give up after a few seconds, too.
const TIMEOUT: Duration = Duration::from_secs(3);

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
    /// Request this URL and read no configuration; without a path, /readyz
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    url: Option<Url>,
}

impl Healthcheck {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let urls = self.urls()?;
        let client = Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none());
        // Without https no certificate is ever checked, so a machine without any can do it.
        let needs_none = urls.iter().all(|url| url.scheme() == "http");
        let client = if needs_none { client.tls_certs_only([]) } else { client };
        let client = client.build().context("cannot set up the HTTP client")?;
        servers::runtime(1)?.block_on(ask(&client, &urls))
    }

    /// Where to ask, in this order.
    fn urls(&self) -> anyhow::Result<Vec<Url>> {
        if let Some(url) = &self.url {
            let is_bare = url.path() == "/" && url.query().is_none();
            return Ok(vec![if is_bare { url.join("/readyz")? } else { url.clone() }]);
        }
        let (listen, admin_listen) =
            Config::addresses(self.config.as_deref(), config::environment()).hint(config::HINT)?;
        let sockets = admin_listen.into_iter().chain([listen]).flat_map(Address::reachable_here);
        let urls: Vec<Url> = sockets
            .filter(|socket| socket.port() != 0)
            .map(|socket| format!("http://{socket}/readyz").parse())
            .collect::<Result<_, _>>()?;
        if urls.is_empty() {
            return Err(anyhow!("the configuration has port 0, so nobody knows the address"))
                .hint("name it: auth-ticket healthcheck --url http://127.0.0.1:PORT");
        }
        Ok(urls)
    }
}

/// The first that answers at all decides.
async fn ask(client: &Client, urls: &[Url]) -> anyhow::Result<()> {
    for url in urls {
        match client.get(url.clone()).send().await {
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
    let asked: Vec<&str> = urls.iter().map(Url::as_str).collect();
    Err(anyhow!("not ready: nobody listens at {}", asked.join(", ")))
        .hint("see that it runs; name its address with --url if flags gave it another one")
}
