//! `demo`: the real server with the simulator as its platform and throw-away keys. Nothing to configure.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use auth_ticket::claims::WebOrigin;
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::http::ConnectionCount;
use auth_ticket::keyring::{KeySpec, KeyUse};
use auth_ticket::keystore::Directory;
use auth_ticket::simulator::Simulator;
use clap::Args;
use tracing_subscriber::filter::LevelFilter;

use super::address::Address;
use super::log::Format;
use super::servers::{self, Bound, Servers};
use super::{config, log, output, process, report, signals, simulator};
use apps::Console;
use page::Page;
use server::{DemoServer, reachable};

mod actions;
mod apps;
mod page;
mod server;

/// How many servers share the keys: enough to see that none of them is special.
const REPLICAS: usize = 3;
const FREE_PORT: Address = Address::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

/// Try it out: a server with a simulated platform and throw-away keys
///
/// Needs no configuration and keeps nothing. Three servers like that of serve share the keys; only the platform is simulated. A page
/// at / shows what tickets and keys do: log in, look into the ticket, change it, rotate the key, log a user out.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Address, IP:PORT or localhost:PORT; port 0 picks a free one, 0.0.0.0:8080 admits phones in the same network. The other servers
    /// have free ports of the same host
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: Address,
    /// End when standard input is closed, as it is when the program that started this one ends
    #[arg(long)]
    until_stdin_closes: bool,
}

impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        // People read what is printed below, and then what becomes of their requests; RUST_LOG brings more log lines.
        let directives = config::log_directives().filter(|directives| !directives.is_empty());
        let directives = directives.as_deref().unwrap_or("warn,auth_ticket::requests=debug");
        log::start(Some(directives), LevelFilter::WARN, Format::Text)?;
        servers::server_runtime(0)?.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<()> {
        // Before there are keys, so that a signal cannot end the process and leave them behind.
        let limits = process::fit(simulator::LIMITS)?;
        // A closed terminal ends it, too, and with it the keys.
        let mut running = Servers::new(signals::STOP_OR_HANGUP)?;
        if self.until_stdin_closes {
            running.end_with_stdin()?;
        }
        // Deletes the keys when the demo ends.
        let keys =
            tempfile::Builder::new().prefix("auth-ticket-demo-").tempdir().context("cannot make throw-away keys")?;
        let directory = Directory::new(keys.path());
        make_key(&directory)?;

        let sockets: Vec<(Bound, Bound)> = (0..REPLICAS)
            .map(|number| {
                let address = if number == 0 { self.listen } else { self.listen.with_free_port() };
                Ok((servers::bind(address, "--listen")?, servers::bind(FREE_PORT, "--listen")?))
            })
            .collect::<anyhow::Result<_>>()?;
        let platform = servers::bind(FREE_PORT, "--listen")?;
        let platform_url = format!("http://{}", platform.address()?);
        let addresses: Vec<SocketAddr> =
            sockets.iter().map(|(listener, _)| listener.address()).collect::<anyhow::Result<_>>()?;
        let admin = sockets.first().map(|(_, admin)| admin.address()).context("there is a server")??;

        let simulated = Simulator::for_devtools(Arc::new(SystemClock)).router();
        let base_url = platform_url.parse().context("the simulator's address")?;
        let apps = apps::all(Console(&simulated), &base_url, REPLICAS).await?;
        // The second server is where the page lives that a mini-program opens.
        let origins = addresses.get(1).map(|address| origins(*address)).unwrap_or_default();
        let replicas: Vec<DemoServer> = sockets
            .into_iter()
            .zip(apps)
            .map(|(sockets, apps)| DemoServer::start(directory.clone(), apps, &origins, sockets))
            .collect::<anyhow::Result<_>>()?;
        let page = Page::new(directory, apps::described()?, &replicas);

        let welcome = welcome(&addresses, admin, &platform_url, keys.path());
        running.add(limits, platform, &simulated.into(), &ConnectionCount::default());
        for (replica, routes) in replicas.into_iter().zip(page.routes()) {
            replica.listen(&mut running, limits, routes);
        }
        output::say(&welcome);
        running.run().await;
        Ok(())
    }
}

fn make_key(directory: &Directory) -> anyhow::Result<()> {
    let created = SystemClock.now();
    let seal_from = created.minus(60);
    let spec = KeySpec {
        key_use: KeyUse::Ticket,
        alg: KeyUse::Ticket.default_alg(),
        created,
        seal_from,
        seal_until: seal_from.plus(90 * 86400),
        max_ttl_s: 86400,
    };
    directory.lock().and_then(|lock| lock.add_key(spec)).map_err(report::write_failed)?;
    Ok(())
}

/// What browsers may call a page on `own`.
fn origins(own: SocketAddr) -> Vec<WebOrigin> {
    let loopback = ["127.0.0.1", "[::1]", "localhost"].map(|host| format!("http://{host}:{}", own.port()));
    let outside = from_outside(own).map(|outside| format!("http://{outside}"));
    loopback.into_iter().chain(outside).filter_map(|origin| WebOrigin::parse(&origin).ok()).collect()
}

/// Where others in the network of this machine reach what listens on `own`; `None` if that is loopback, or no network is there.
fn from_outside(own: SocketAddr) -> Option<SocketAddr> {
    // Nobody's addresses (RFC 5737, RFC 3849), so that they are reached by the default route.
    let (v4, v6) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    let ip = match own.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => outgoing_ip(v4).ok()?,
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => outgoing_ip(v4).or_else(|_| outgoing_ip(v6)).ok()?,
        ip => ip,
    };
    (!ip.is_loopback()).then(|| SocketAddr::new(ip, own.port()))
}

/// This machine's address on the way to `elsewhere`. To connect a UDP socket sends nothing: it only chooses the way.
fn outgoing_ip(elsewhere: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if elsewhere.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((elsewhere, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// What to do on a phone, where others can reach the demo at all.
fn for_others(own: SocketAddr) -> String {
    match from_outside(own) {
        Some(outside) => format!(
            "\nDeveloper tools and phones in the same network: http://{outside}, with the check of domains off.\nTheir codes \
             log in as devtools. Everybody in that network can log in as anybody here, and rotate the key on the page.\n"
        ),
        None if own.ip().is_unspecified() => {
            "\nThis machine is in no network that a phone could reach it by.\n".to_owned()
        }
        None => String::new(),
    }
}

fn welcome(addresses: &[SocketAddr], admin: SocketAddr, platform_url: &str, keys: &Path) -> String {
    let apps = apps::APPIDS.map(|(platform, appid)| format!("\n{platform:10}  {appid}")).concat();
    let others = addresses.first().map(|own| for_others(*own)).unwrap_or_default();
    let mut urls = addresses.iter().map(|address| format!("http://{}", reachable(*address)));
    let own = urls.next().unwrap_or_default();
    let replicas = urls.collect::<Vec<_>>().join(" and ");
    format!(
        r#"auth-ticket demo on {own}
simulated platform on {platform_url}, operators on http://{admin}
replicas with the same keys on {replicas}
Keys, users and codes are gone when it ends (Ctrl-C).
{others}
Open {own} in a browser: log in, look into the ticket, rotate the key, log a user out.

Or type it. Log in as alice, check the ticket, renew it:

TICKET=$(curl -s {own}/v1/login -H 'Content-Type: application/json' -d '{{"code":"demo-alice-'$(date +%s)'"}}' | sed 's/.*"ticket":"\([^"]*\)".*/\1/'); echo "$TICKET"
curl -i {own}/v1/verify -H "weixinauth: $TICKET"
curl -i -X POST {own}/v1/renew -H "weixinauth: $TICKET"

Rotate the key; the ticket goes on working:

{program} keys rotate --now --keys {keys}

A login without "appid" is for weapp; with one of these, it is for another platform, and checked at /v1/verify/APPID:
{apps}"#,
        program = config::program(),
        keys = keys.display(),
    )
}
