//! `make bench-logins`: how many logins a second there are when the platform takes its time, by how many come at once.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::client;
use crate::figures::{Spread, Verdict, percentile, quietness, verdicts};
use crate::machine::{Machine, Moment};
use crate::ours::Stand;
use crate::process::Process;
use crate::results;
use crate::settings::Settings;

/// What the simulator takes for each.
const LATENCY: Duration = Duration::from_millis(50);
/// The default of `upstream.max_concurrent`.
const CAP: u32 = 64;
/// Short, so that a turn sees what happens to those who get no place.
const TIMEOUT: Duration = Duration::from_secs(1);
const UPSTREAM: &str = "[upstream]\ntimeout = \"1s\"\nmax_concurrent = 64";
const CONCURRENCIES: [u32; 12] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    seconds: u64,
    rows: Vec<Row>,
}

/// One concurrency.
#[derive(Debug, Serialize)]
struct Row {
    concurrency: u32,
    turns: Vec<Turn>,
}

/// One turn: logins, and refusals for want of a place.
#[derive(Debug, Serialize)]
struct Turn {
    logins_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    refusals_per_s: f64,
    /// Of refusals; 0 without any.
    refused_p99_ms: f64,
    longest_ms: f64,
    others: f64,
}

impl Row {
    fn spread(&self, figure: impl Fn(&Turn) -> f64) -> Spread {
        Spread::of(self.turns.iter().map(figure))
    }
}

/// Measures, and writes logins.json and logins.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    client::allow_connections(u64::from(CONCURRENCIES[CONCURRENCIES.len() - 1]))?;
    let Stand { machine, simulator, ours, scratch: _scratch } = Stand::set_up(settings, UPSTREAM)?;
    let server = ours.start()?;
    let processes = [&server.process, &simulator.process];
    let duration = Duration::from_secs(settings.seconds);
    // Connections to the platform are made, and kept from then on.
    client::run(turn(&server.url, CAP, Duration::from_secs(1), &processes))?;
    let mut rows = CONCURRENCIES.map(|concurrency| Row { concurrency, turns: Vec::new() });
    for round in 0..settings.rounds {
        for at in 0..rows.len() {
            let at = (at + round) % rows.len();
            let row = &mut rows[at];
            let turn = client::run(turn(&server.url, row.concurrency, duration, &processes));
            let turn = turn.with_context(|| format!("{} at once", row.concurrency))?;
            println!(
                "round {}/{}  {:>4} at once: {:>6.0} logins/s, p99 {:.0} ms; {:>6.0} refusals/s, p99 {:.0} ms; others {:.0} %",
                round + 1,
                settings.rounds,
                row.concurrency,
                turn.logins_per_s,
                turn.p99_ms,
                turn.refusals_per_s,
                turn.refused_p99_ms,
                turn.others * 100.0,
            );
            row.turns.push(turn);
        }
    }
    let results = Results { machine, seconds: settings.seconds, rows: rows.into() };
    results::store("logins", &results, &tables(&results)?)
}

async fn turn(url: &str, concurrency: u32, duration: Duration, processes: &[&Process]) -> anyhow::Result<Turn> {
    let connections = client::open_all(url, concurrency as usize).await?;
    let since = Moment::now(processes)?;
    let end = Instant::now() + duration;
    let (connections, answers) = client::log_in_on(connections, LATENCY, move |_| Instant::now() < end).await?;
    let others = since.others(processes)?;
    client::close_all(connections).await;
    let (mut logins, mut refusals) = (Vec::new(), Vec::new());
    for (at, answer) in answers {
        match answer.status {
            // What comes later is from the turn's end, when there is less and less to do.
            _ if at > end => {}
            200 => logins.push(answer.ms()),
            503 => refusals.push(answer.ms()),
            status => bail!("a login was answered with status {status}"),
        }
    }
    ensure!(!logins.is_empty(), "no logins");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let per_s = |count: usize| count as f64 / duration.as_secs_f64();
    Ok(Turn {
        logins_per_s: per_s(logins.len()),
        p50_ms: percentile(logins.iter().copied(), 50.0),
        p99_ms: percentile(logins.iter().copied(), 99.0),
        refusals_per_s: per_s(refusals.len()),
        refused_p99_ms: percentile(refusals.iter().copied(), 99.0),
        longest_ms: logins.iter().chain(&refusals).copied().fold(0.0, f64::max),
        others,
    })
}

/// The tables, as Markdown.
fn tables(results: &Results) -> anyhow::Result<String> {
    let Results { machine, seconds, rows } = results;
    let row = |concurrency| rows.iter().find(|row| row.concurrency == concurrency).context("a row is missing");
    let others = rows.iter().flat_map(|row| &row.turns).map(|turn| turn.others);
    let mut out = String::new();
    let rounds = rows[0].turns.len();
    writeln!(out, "{machine} {rounds} rounds of {seconds} s. {}", quietness(others))?;
    writeln!(
        out,
        "\n| at once | logins/s | p50 ms | p99 ms | answered 503, /s | their p99 ms | the longest answer ms |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    for row in rows {
        let logins = row.spread(|turn| turn.logins_per_s);
        writeln!(
            out,
            "| {} | {:.0} ({:.0}..{:.0}) | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            row.concurrency,
            logins.median,
            logins.min,
            logins.max,
            row.spread(|turn| turn.p50_ms).median,
            row.spread(|turn| turn.p99_ms).median,
            row.spread(|turn| turn.refusals_per_s).median,
            row.spread(|turn| turn.refused_p99_ms).median,
            row.spread(|turn| turn.longest_ms).max,
        )?;
    }
    let (one, cap) = (row(1)?, row(CAP)?);
    let ratio = |row: &Row, other: &Row, factor: f64| {
        let pairs = row.turns.iter().zip(&other.turns);
        Spread::of(pairs.map(|(one, other)| one.logins_per_s / other.logins_per_s / factor))
    };
    let beyond = || rows.iter().filter(|row| row.concurrency > CAP);
    let least = beyond().map(|row| ratio(row, cap, 1.0)).min_by(|one, other| one.median.total_cmp(&other.median));
    let most = rows.last().context("no rows")?;
    let of_timeout = |ms: f64| ms / (TIMEOUT.as_secs_f64() * 1e3);
    verdicts(
        &mut out,
        "of logins while the platform takes 50 ms for each",
        &[
            Verdict::at_least("logins/s at 64 at once, x 64 times those at 1", 0.8, ratio(cap, one, f64::from(CAP))),
            Verdict::at_least("beyond, the least of all, x those at 64", 0.9, least.context("nothing beyond")?),
            Verdict::at_least("refusals/s at 2048 at once", 1.0, most.spread(|turn| turn.refusals_per_s)),
            Verdict::at_most("their p99, x upstream.timeout", 0.6, most.spread(|turn| of_timeout(turn.refused_p99_ms))),
            Verdict::at_most(
                "the longest answer at 2048 at once, x upstream.timeout",
                1.0,
                most.spread(|turn| of_timeout(turn.longest_ms)),
            ),
        ],
    )?;
    Ok(out)
}
