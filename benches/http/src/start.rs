//! `make bench-start`: how long after its start a server answers that it is ready.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::client::pin;
use crate::figures::{Spread, Verdict, percentile, quietness, verdicts};
use crate::machine::{Machine, Moment};
use crate::ours::Ours;
use crate::process::{LOAD_CORE, Process, SERVER_CORE};
use crate::results;
use crate::settings::Settings;

/// Each adds a key for tickets and one for JWTs to those that are there at first.
const ROTATIONS: usize = 49;
const PATIENCE: Duration = Duration::from_secs(10);

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    rows: Vec<Row>,
    /// Which part of both cores others had, all in all: one start is too short to tell.
    others: f64,
}

/// One kind of start.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    starts: Vec<Start>,
}

/// Of one start, all in milliseconds.
#[derive(Debug, Serialize)]
struct Start {
    ready_ms: f64,
    /// The longest time between two tries: `ready_ms` may be too much by so much.
    resolution_ms: f64,
}

/// Measures, and writes start.json and start.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let program = settings.program()?;
    let machine = Machine::describe(&program, None)?;
    let scratch = tempfile::tempdir()?;
    // The platform is the real one: so its certificates are loaded, and nothing is sent to it.
    let set_up = |name| Ours::set_up(&program, scratch.path().join(name), None, "");
    let servers = [set_up("one")?, set_up("two")?, set_up("hundred")?];
    servers[0].remove_jwt_keys()?;
    for _ in 0..ROTATIONS {
        servers[2].keys(&["rotate", "--force"])?;
    }
    let names = ["auth-ticket --version, to its end", "ready with a key for tickets", "and one for JWTs"];
    let with_all = format!("with {} keys, half of them for JWTs", servers[2].key_files()?);
    let names = names.map(str::to_owned).into_iter().chain([with_all]);
    let mut rows: Vec<Row> = names.map(|name| Row { name, starts: Vec::new() }).collect();
    let since = Moment::now(&[])?;
    for _ in 0..settings.rounds {
        rows[0].starts.push(program_alone(&program)?);
        for (ours, row) in servers.iter().zip(&mut rows[1..]) {
            row.starts.push(start(ours, &program).context("auth-ticket serve")?);
        }
    }
    let results = Results { machine, rows, others: since.others(&[])? };
    results::store("start", &results, &tables(&results)?)
}

/// What it takes to load the program and to end it.
fn program_alone(program: &str) -> anyhow::Result<Start> {
    let began = Instant::now();
    let mut command = Command::new(program);
    let done = on_the_servers_core(command.arg("--version").stdout(Stdio::null()), Command::status)?;
    ensure!(done.success(), "auth-ticket --version: {done}");
    Ok(Start { ready_ms: ms(began.elapsed()), resolution_ms: 0.0 })
}

/// Runs what starts a process on the core that this process is to have.
fn on_the_servers_core<T>(command: &mut Command, run: fn(&mut Command) -> std::io::Result<T>) -> anyhow::Result<T> {
    pin(SERVER_CORE)?;
    let result = run(command);
    pin(LOAD_CORE)?;
    Ok(result?)
}

/// Starts a server, and asks whether it is ready until it says so.
fn start(ours: &Ours, program: &str) -> anyhow::Result<Start> {
    // Nobody else is likely to take the port in between.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(program);
    ours.serve_on(&mut command, &address.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let server = Process::from(on_the_servers_core(&mut command, Command::spawn)?);
    let (mut last_try, mut resolution) = (Instant::now(), Duration::ZERO);
    while !is_ready(address) {
        resolution = resolution.max(last_try.elapsed());
        last_try = Instant::now();
        ensure!(began.elapsed() < PATIENCE, "not ready after {PATIENCE:?}");
    }
    let ready_ms = ms(began.elapsed());
    drop(server);
    Ok(Start { ready_ms, resolution_ms: ms(resolution) })
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The tables, as Markdown.
fn tables(results: &Results) -> anyhow::Result<String> {
    let Results { machine, rows, others } = results;
    let starts = || rows.iter().flat_map(|row| &row.starts);
    let resolution = Spread::of(starts().map(|start| start.resolution_ms).filter(|ms| *ms > 0.0));
    let mut out = String::new();
    writeln!(
        out,
        "{machine} {} starts of each. {} The client asked every {:.2} ms (at the most) by median, every {:.1} ms at the worst.",
        rows[0].starts.len(),
        quietness([*others]),
        resolution.median,
        resolution.max,
    )?;
    writeln!(out, "\n| from the start of the process | median ms | p95 ms | worst ms |\n| --- | --- | --- | --- |")?;
    for Row { name, starts } in rows {
        let ready = || starts.iter().map(|start| start.ready_ms);
        let (spread, p95) = (Spread::of(ready()), percentile(ready(), 95.0));
        writeln!(out, "| {name} | {:.1} | {p95:.1} | {:.1} |", spread.median, spread.max)?;
    }
    let last = rows.last().context("no rows")?;
    let ready = Spread::of(last.starts.iter().map(|start| start.ready_ms));
    verdicts(&mut out, "of a start", &[Verdict::at_most("ready with a hundred keys, ms", 50.0, ready)])?;
    Ok(out)
}
