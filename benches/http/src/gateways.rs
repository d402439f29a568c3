//! `make bench`, second part: what a check costs behind a gateway, which asks for each request of a client.
//!
//! On the core that is measured: the gateway, and who answers its checks. In place of passing a request on to a service, the
//! gateway answers it: a service would be the same for all, and have a part of one of the two cores.

mod tables;
mod texts;

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context, ensure};

use crate::field::{Field, Scenario};
use crate::load::{Place, Request};
use crate::machine::Machine;
use crate::ours::{Ours, Simulator, log_in};
use crate::process::{Process, SERVER_CORE};
use crate::results;
use crate::rounds;
use crate::servers::{bearer, start_contender};
use crate::settings::{Settings, target};
use texts::Places;

/// A gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Nginx,
    Haproxy,
    Caddy,
    Envoy,
}

/// Who answers a gateway's checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Check {
    None,
    /// auth-ticket over TCP, with kept connections.
    Tcp,
    /// auth-ticket over a Unix socket.
    Socket,
    /// A server that looks at nothing, over TCP.
    Hyper,
    /// nginx itself, which looks at nothing.
    Fixed,
    /// nginx itself, with the module.
    Module,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Nginx, Self::Haproxy, Self::Caddy, Self::Envoy];

    const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Envoy => "Envoy",
        }
    }

    fn checks(self) -> &'static [Check] {
        const ALL: [Check; 6] = [Check::None, Check::Tcp, Check::Socket, Check::Hyper, Check::Fixed, Check::Module];
        if self == Self::Nginx { &ALL } else { &ALL[..4] }
    }

    /// What runs it in `directory` with the configuration `file`.
    fn command(self, directory: &Path, file: &Path) -> std::process::Command {
        let (program, arguments): (_, &[&str]) = match self {
            Self::Nginx => ("nginx", &["-c"]),
            Self::Haproxy => ("haproxy", &["-f"]),
            Self::Caddy => ("caddy", &["run", "--adapter", "caddyfile", "--config"]),
            Self::Envoy => ("envoy", &["--concurrency", "1", "--use-dynamic-base-id", "-l", "critical", "-c"]),
        };
        let mut command = Process::pinned(&[SERVER_CORE], program);
        command.args(arguments).arg(file).current_dir(directory).env("HOME", directory);
        command
    }

    const fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Caddy => "Caddyfile",
            Self::Envoy => "envoy.yaml",
        }
    }
}

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tcp => "auth-ticket, TCP",
            Self::Socket => "auth-ticket, Unix socket",
            Self::Hyper => "bare hyper, TCP",
            Self::Fixed => "a fixed answer in nginx",
            Self::Module => "the module in nginx",
        }
    }

    /// Whether a request without a ticket is refused.
    const fn is_real(self) -> bool {
        matches!(self, Self::Tcp | Self::Socket | Self::Module)
    }
}

/// Measures, and writes gateways.json and gateways.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let program = settings.program()?;
    let machine = Machine::describe(&program, None)?;
    let scratch = tempfile::tempdir()?;
    let field = field(&program, scratch.path())?;
    let results = rounds::measure(&field, machine, settings)?;
    results::store("gateways", &results, &tables::tables(&results)?)
}

/// Starts everything; `program` is the auth-ticket to measure.
fn field(program: &str, scratch: &Path) -> anyhow::Result<Field> {
    let simulator = Simulator::start(program)?;
    let set_up = Ours::set_up(program, scratch.join("ours"), Some(&simulator.url), "")?;
    let verifier = scratch.join("app.verifier");
    set_up.export(&verifier)?;
    let ours = set_up.start_with_socket()?;
    let ticket = log_in(&ours.url)?;
    let hyper = start_contender("hyper", scratch)?;
    let module = target().join("nginx/ngx_http_auth_ticket_module.so");
    let module = module.canonicalize().with_context(|| format!("no {}: make nginx-module", module.display()))?;

    let address = |url: &str| url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (ours_address, hyper_address) = (address(&ours.url), address(&hyper.url));
    let socket = ours.socket.context("ours has no socket")?;
    let mut field = Field { at_load: vec![simulator.process], ..Field::default() };
    let (ours, hyper) = (field.add(ours.process), field.add(hyper.process));
    for kind in Kind::ALL {
        for check in kind.checks() {
            let directory = scratch.join(format!("{kind:?}-{check:?}"));
            fs::create_dir(&directory)?;
            let places = Places {
                directory: &directory,
                port: free_port()?,
                ours: &ours_address,
                ours_socket: utf8(&socket)?,
                hyper: &hyper_address,
                verifier: utf8(&verifier)?,
                module: utf8(&module)?,
            };
            let server = field.add(start(kind, *check, &places).with_context(|| format!("{kind:?}, {check:?}"))?);
            let behind = match check {
                Check::Tcp | Check::Socket => Some(ours),
                Check::Hyper => Some(hyper),
                Check::None | Check::Fixed | Check::Module => None,
            };
            let request = Request { method: "GET", path: "/orders", headers: vec![bearer(&ticket)], body: None };
            let place = Place::Tcp(([127, 0, 0, 1], places.port).into());
            let scenario = Scenario { name: check.name(), group: kind.name(), place, request, server, behind };
            does_its_work(&scenario, *check)?;
            field.scenarios.push(scenario);
        }
    }
    Ok(field)
}

fn utf8(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// A gateway cannot choose one itself; nobody else is likely to take this one in between.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start(kind: Kind, check: Check, places: &Places) -> anyhow::Result<Process> {
    let file = places.directory.join(kind.file());
    fs::write(&file, texts::text(kind, check, places)?)?;
    let log = places.directory.join("log");
    let mut command = kind.command(places.directory, &file);
    command.stderr(File::create(&log)?);
    let started = Process::silent(&mut command, || TcpStream::connect(("127.0.0.1", places.port)).is_ok());
    started.with_context(|| fs::read_to_string(&log).unwrap_or_default())
}

/// A ticket lets a request through, and where there is a check, nobody gets through without one.
fn does_its_work(scenario: &Scenario, check: Check) -> anyhow::Result<()> {
    scenario.probe()?;
    let (status, expected) = (scenario.ask_as_nobody()?, if check.is_real() { 401 } else { 200 });
    ensure!(status == expected, "{}, {}: {status} without a ticket", scenario.group, scenario.name);
    Ok(())
}
