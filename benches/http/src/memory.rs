//! `make bench-memory`: what a connection costs that is kept alive and says nothing.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::time::sleep;

use crate::client::{self, Connection};
use crate::figures::{Spread, Verdict, mib, verdicts};
use crate::machine::Machine;
use crate::ours::{Stand, log_in};
use crate::process::Server;
use crate::results;
use crate::servers::{OURS, REFERENCE, start_contender};
use crate::settings::Settings;

const CONNECTIONS: usize = 10_000;
/// Opened, used and closed before the first figure is taken.
const WARM_UP: usize = 100;
/// Between the end of the last connection and the figure: an allocator may take its time to give memory back.
const PAUSE: Duration = Duration::from_millis(500);
/// Connections wait for a long time here, and all of them may.
const LIMITS: &str = "[limits]\nmax_connections = 20000\nidle_timeout = \"10m\"";

/// Our rival in each row, by the name that `contender` knows.
const ROWS: [(&str, Option<&str>); 3] = [(OURS, None), (REFERENCE, Some("axum")), ("hyper, bare", Some("hyper"))];

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    connections: usize,
    rows: Vec<Row>,
}

/// Sample `n` is of round `n`, and of a process of its own.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    samples: Vec<Sample>,
}

/// Memory of one server, in KiB.
#[derive(Debug, Serialize)]
struct Sample {
    none: u64,
    idle: u64,
    closed: u64,
    /// After the second and the third time.
    closed_again: [u64; 2],
}

impl Sample {
    /// KiB for each connection.
    fn each(&self) -> f64 {
        (mib(self.idle) - mib(self.none)) * 1024.0 / f64::from(u32::try_from(CONNECTIONS).unwrap_or_default())
    }
}

/// Measures, and writes memory.json and memory.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    client::allow_connections(CONNECTIONS as u64)?;
    let Stand { machine, simulator: _simulator, ours, scratch } = Stand::set_up(settings, LIMITS)?;
    let ticket = log_in(&ours.start()?.url)?;
    let mut rows = ROWS.map(|(name, _)| Row { name: name.to_owned(), samples: Vec::new() });
    let mut sources = (1..).map(|number: u16| {
        // Ports of closed connections are not free at once, so each batch comes from another address.
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    });
    for round in 0..settings.rounds {
        for at in 0..ROWS.len() {
            let at = (at + round) % ROWS.len();
            let (name, contender) = ROWS[at];
            let server = match contender {
                None => ours.start()?,
                Some(contender) => start_contender(contender, scratch.path())?,
            };
            let sample = client::run(measure(&server, &ticket, &mut sources)).context(name)?;
            println!("round {}/{}  {name:<24} {:.2} KiB each", round + 1, settings.rounds, sample.each());
            rows[at].samples.push(sample);
        }
    }
    let results = Results { machine, connections: CONNECTIONS, rows: rows.into() };
    results::store("memory", &results, &tables(&results)?)
}

async fn measure(
    server: &Server,
    ticket: &str,
    sources: &mut impl Iterator<Item = Ipv4Addr>,
) -> anyhow::Result<Sample> {
    let mut batch = async |count| {
        let source = sources.next().context("no address is left")?;
        hold(server, ticket, count, source).await
    };
    let [_, none] = batch(WARM_UP).await?;
    let [idle, closed] = batch(CONNECTIONS).await?;
    let [_, second] = batch(CONNECTIONS).await?;
    let [_, third] = batch(CONNECTIONS).await?;
    Ok(Sample { none, idle, closed, closed_again: [second, third] })
}

/// Memory with so many connections that have made one request each, and after their end.
async fn hold(server: &Server, ticket: &str, count: usize, source: Ipv4Addr) -> anyhow::Result<[u64; 2]> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(&server.url, source).await?;
        let answer = connection.ask(client::check(ticket)).await?;
        ensure!(answer.status == 200, "status {}", answer.status);
        connections.push(connection);
    }
    sleep(PAUSE).await;
    ensure!(connections.iter().all(Connection::is_open), "connections are closed that nobody has closed");
    let (idle, files) = (server.process.resident_kib()?, server.process.open_files()?);
    client::close_all(connections).await;
    let began = Instant::now();
    while server.process.open_files()? + count > files {
        ensure!(began.elapsed() < Duration::from_secs(30), "closed connections are still open there");
        sleep(Duration::from_millis(10)).await;
    }
    sleep(PAUSE).await;
    Ok([idle, server.process.resident_kib()?])
}

/// The tables, as Markdown.
fn tables(results: &Results) -> anyhow::Result<String> {
    let Results { machine, connections, rows } = results;
    let row = |name| rows.iter().find(|row| row.name == name).with_context(|| format!("no row {name}"));
    let ratio = |row: &Row, other: &Row| {
        Spread::of(row.samples.iter().zip(&other.samples).map(|(one, other)| one.each() / other.each()))
    };
    let (ours, reference) = (row(OURS)?, row(REFERENCE)?);
    let mut out = format!("{machine} {} rounds, each with processes of their own.\n", ours.samples.len());
    writeln!(
        out,
        "\n| {connections} idle connections | KiB for each | x bare axum | MiB before | with them | after | after as many again | and again |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    for row in rows {
        write!(out, "| {} | {} ", row.name, Spread::of(row.samples.iter().map(Sample::each)))?;
        write!(out, "| {} |", ratio(row, reference))?;
        let figures: [fn(&Sample) -> u64; 5] =
            [|of| of.none, |of| of.idle, |of| of.closed, |of| of.closed_again[0], |of| of.closed_again[1]];
        for figure in figures {
            write!(out, " {:.1} |", Spread::of(row.samples.iter().map(|sample| mib(figure(sample)))).median)?;
        }
        out.push('\n');
    }
    let grown = Spread::of(ours.samples.iter().map(|sample| mib(sample.closed_again[1]) / mib(sample.closed_again[0])));
    verdicts(
        &mut out,
        "of idle connections",
        &[
            Verdict::at_most("memory for each, x bare axum", 1.0, ratio(ours, reference)),
            Verdict::at_most("memory after the third ten thousand, x after the second", 1.05, grown),
        ],
    )?;
    Ok(out)
}
