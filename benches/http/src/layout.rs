//! `make bench-layout`: one server whose connections are spread over threads in four ways, and what each of them costs.

mod server;
mod table;

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::machine::{Machine, Moment};
use crate::process::{Process, Ticks};
use crate::results::{self, Row, Sample};
use crate::servers::{LOAD_CORE, SERVER_CORE};
use crate::settings::Settings;
use crate::wrk::{self, Request};

pub(crate) use server::serve;
pub(crate) use table::tables;

/// Names of the layouts: of the program, and of the tables.
const LAYOUTS: [(&str, &str); 4] = [
    ("stealing", "one runtime, work-stealing"),
    ("reuseport", "runtime per worker, SO_REUSEPORT"),
    ("shared", "runtime per worker, one listener"),
    ("handed-out", "runtime per worker, handed out"),
];

/// What a layout is put to.
struct Case {
    name: &'static str,
    workers: usize,
    connections: usize,
    keep_alive: bool,
}

const CASES: [Case; 6] = [
    Case { name: "1 worker, 64 connections", workers: 1, connections: 64, keep_alive: true },
    Case { name: "2 workers, 64 connections", workers: 2, connections: 64, keep_alive: true },
    Case { name: "2 workers, 8 connections", workers: 2, connections: 8, keep_alive: true },
    Case { name: "2 workers, 4 connections", workers: 2, connections: 4, keep_alive: true },
    Case { name: "1 worker, a connection for each request", workers: 1, connections: 64, keep_alive: false },
    Case { name: "2 workers, a connection for each request", workers: 2, connections: 64, keep_alive: false },
];

/// How many connections are opened to see where they go, on how many workers.
const SPREADS: [(usize, usize); 6] = [(2, 4), (2, 8), (2, 64), (4, 4), (4, 8), (4, 64)];
const TRIES: usize = 500;

/// A whole run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) seconds: u64,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) spreads: Vec<Evenness>,
}

/// How connections that were opened one after the other came to the workers.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Evenness {
    pub(crate) layout: String,
    pub(crate) workers: usize,
    pub(crate) connections: usize,
    /// Of each try, how many connections the busiest worker had.
    pub(crate) busiest: Vec<usize>,
    /// In how many tries a worker had none.
    pub(crate) idle: usize,
}

/// Measures, and writes layout.json and layout.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let machine = Machine::describe(&settings.program()?, None)?;
    let scratch = tempfile::tempdir()?;
    let mut servers = BTreeMap::new();
    for (layout, _) in LAYOUTS {
        for workers in [1, 2, 4] {
            servers.insert((layout, workers), start(layout, workers)?);
        }
    }
    let turns: Vec<_> = CASES.iter().flat_map(|case| LAYOUTS.map(|(layout, name)| (case, layout, name))).collect();
    let mut rows: Vec<Row> = turns
        .iter()
        .map(|(case, _, name)| Row { group: case.name.into(), name: (*name).into(), samples: vec![], resident_kib: 0 })
        .collect();
    for round in 0..settings.rounds {
        for at in 0..turns.len() {
            let at = (at + round) % turns.len();
            let (case, layout, name) = turns[at];
            let (server, url) = &servers[&(layout, case.workers)];
            let sample = turn(case, server, url, scratch.path(), settings.seconds).with_context(|| name)?;
            println!("round {}/{}  {:<42} {:<34} {sample}", round + 1, settings.rounds, case.name, name);
            rows[at].samples.push(sample);
            rows[at].resident_kib = server.resident_kib()?;
        }
    }
    let mut spreads = Vec::new();
    // Who takes a task from whom later is not seen from outside.
    for (layout, name) in &LAYOUTS[1..] {
        for (workers, connections) in SPREADS {
            let (_, url) = &servers[&(*layout, workers)];
            spreads.push(spread(name, url, workers, connections).with_context(|| *name)?);
        }
    }
    let Settings { seconds, rounds, .. } = *settings;
    let results = Results { machine, seconds, rounds, rows, spreads };
    results::store("layout", &results, &tables(&results)?)
}

const fn cores(workers: usize) -> &'static [usize] {
    if workers == 1 { &[SERVER_CORE] } else { &[SERVER_CORE, LOAD_CORE] }
}

fn start(layout: &str, workers: usize) -> anyhow::Result<(Process, String)> {
    let ourselves = env::current_exe()?.display().to_string();
    let mut command = Process::pinned(cores(workers), &ourselves);
    Process::server(command.args(["layout-server", layout, &workers.to_string()]))
}

/// With one worker the load has a core of its own; with two, it shares both.
fn turn(case: &Case, server: &Process, url: &str, scratch: &Path, seconds: u64) -> anyhow::Result<Sample> {
    let mut headers = vec![("Authorization", format!("Bearer {}", "A".repeat(182)))];
    if !case.keep_alive {
        headers.push(("Connection", "close".to_owned()));
    }
    let request = Request { method: "GET", path: "/v1/verify", headers, body: None };
    let load_cores = if case.workers == 1 { &[LOAD_CORE] } else { cores(case.workers) };
    let (since, before) = (Moment::now(&[server])?, server.ticks()?);
    let load = wrk::run(load_cores, scratch, url, &request, case.connections, Duration::from_secs(seconds))?;
    let (used, others) = (server.ticks()? - before, since.others(&[server])?);
    Ok(Sample::new(&load, used, Ticks::default(), [others, others]))
}

/// Opens connections one after the other, all of them before the first is closed, again and again.
fn spread(layout: &str, url: &str, workers: usize, connections: usize) -> anyhow::Result<Evenness> {
    let address = url.strip_prefix("http://").context("a URL")?;
    let (mut busiest, mut idle) = (Vec::new(), 0);
    for _ in 0..TRIES {
        let mut counts = vec![0_usize; workers];
        let streams: Vec<TcpStream> =
            (0..connections).map(|_| TcpStream::connect(address)).collect::<Result<_, _>>()?;
        for stream in &streams {
            counts[worker_of(stream)?] += 1;
        }
        busiest.push(counts.iter().copied().max().unwrap_or_default());
        idle += usize::from(counts.contains(&0));
        // A connection counts until its worker has seen the end of it.
        for mut stream in streams {
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new())?;
        }
    }
    Ok(Evenness { layout: layout.to_owned(), workers, connections, busiest, idle })
}

/// Sends one request, and reads which worker answered.
fn worker_of(mut stream: &TcpStream) -> anyhow::Result<usize> {
    stream.write_all(b"GET /v1/verify HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut worker = None;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((server::WORKER, number)) = line.split_once(": ") {
            worker = Some(number.parse()?);
        }
    }
    worker.context("an answer without the number of its worker")
}
