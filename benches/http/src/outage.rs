//! `make bench-outage`: what checks and logins are answered while the platform does not answer at all.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{self, Answer, Connection, open_all};
use crate::figures::{Spread, Verdict, percentile, quietness, verdicts};
use crate::machine::{Machine, Moment};
use crate::ours::{Simulator, Stand, log_in};
use crate::process::Server;
use crate::results;
use crate::settings::Settings;

const CHECKS_PER_S: u32 = 1_000;
const LOGINS_PER_S: u32 = 200;
/// What the platform takes for a login while it works.
const LATENCY: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(1);
const UPSTREAM: &str = "[upstream]\ntimeout = \"1s\"";
/// Of connections that are there before the first request; more are opened as they are needed.
const CONNECTIONS: usize = 64;

const PHASES: [Phase; 3] = [
    Phase { name: "no logins", logins: false, hangs: false },
    Phase { name: "logins, the platform works", logins: true, hangs: false },
    Phase { name: "logins, the platform hangs", logins: true, hangs: true },
];

/// What is the case for a while.
struct Phase {
    name: &'static str,
    logins: bool,
    hangs: bool,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    seconds: u64,
    rows: Vec<Row>,
}

/// One phase, in each round.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    turns: Vec<Turn>,
}

/// What was answered in one phase of one round.
#[derive(Debug, Serialize)]
struct Turn {
    checks: Times,
    /// By status.
    logins: BTreeMap<u16, Times>,
    others: f64,
}

/// Of some answers, in milliseconds.
#[derive(Debug, Serialize)]
struct Times {
    count: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Times {
    fn of(ms: &[f64]) -> Self {
        let percent = |percent| percentile(ms.iter().copied(), percent);
        Self { count: ms.len(), p50_ms: percent(50.0), p99_ms: percent(99.0), max_ms: percent(100.0) }
    }
}

/// Measures, and writes outage.json and outage.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    client::allow_connections(1_000)?;
    let Stand { machine, simulator, ours, scratch: _scratch } = Stand::set_up(settings, UPSTREAM)?;
    let mut rows = PHASES.map(|phase| Row { name: phase.name.to_owned(), turns: Vec::new() });
    for round in 0..settings.rounds {
        // Another process each time: this one may leave the platform alone for a while yet.
        let server = ours.start()?;
        let ticket = log_in(&server.url)?;
        client::run(turn(&PHASES[0], &server, &simulator, &ticket, Duration::from_secs(1)))?;
        for (phase, row) in PHASES.iter().zip(&mut rows) {
            simulator.fail(phase.hangs.then_some("hang"))?;
            let turn = client::run(turn(phase, &server, &simulator, &ticket, Duration::from_secs(settings.seconds)));
            let turn = turn.context(phase.name)?;
            println!(
                "round {}/{}  {:<28} checks: p50 {:.3} ms, p99 {:.3} ms; others {:.0} %",
                round + 1,
                settings.rounds,
                phase.name,
                turn.checks.p50_ms,
                turn.checks.p99_ms,
                turn.others * 100.0
            );
            row.turns.push(turn);
        }
        simulator.fail(None)?;
    }
    let results = Results { machine, seconds: settings.seconds, rows: rows.into() };
    results::store("outage", &results, &tables(&results)?)
}

async fn turn(
    phase: &Phase,
    server: &Server,
    simulator: &Simulator,
    ticket: &str,
    duration: Duration,
) -> anyhow::Result<Turn> {
    let processes = [&server.process, &simulator.process];
    let since = Moment::now(&processes)?;
    let check = || client::check(ticket);
    let checks = stream(&server.url, CHECKS_PER_S, duration, check);
    let logins = async {
        if phase.logins {
            stream(&server.url, LOGINS_PER_S, duration, || client::login(LATENCY)).await
        } else {
            Ok(Vec::new())
        }
    };
    let (checks, logins) = tokio::try_join!(checks, logins)?;
    let others = since.others(&processes)?;
    let failed = checks.iter().filter(|answer| answer.status != 200).count();
    ensure!(failed == 0, "{failed} of {} checks failed", checks.len());
    let mut by_status: BTreeMap<u16, Vec<f64>> = BTreeMap::new();
    for answer in logins {
        by_status.entry(answer.status).or_default().push(answer.ms());
    }
    let checks: Vec<f64> = checks.iter().map(Answer::ms).collect();
    let logins = by_status.into_iter().map(|(status, ms)| (status, Times::of(&ms))).collect();
    Ok(Turn { checks: Times::of(&checks), logins, others })
}

/// Sends so many requests a second, whatever becomes of those before.
async fn stream(
    url: &str,
    per_s: u32,
    duration: Duration,
    request: impl Fn() -> Request<Full<Bytes>>,
) -> anyhow::Result<Vec<Answer>> {
    let free: Arc<Mutex<Vec<Connection>>> = Arc::new(Mutex::new(open_all(url, CONNECTIONS).await?));
    let mut ticks = interval(Duration::from_secs(1) / per_s);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tasks = JoinSet::new();
    for _ in 0..duration.as_secs() * u64::from(per_s) {
        ticks.tick().await;
        let began = Instant::now();
        let connection = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (url, free, request) = (url.to_owned(), Arc::clone(&free), request());
        tasks.spawn(async move {
            let mut connection = match connection {
                Some(connection) => connection,
                None => open_all(&url, 1).await?.remove(0),
            };
            let Answer { status, .. } = connection.ask(request).await?;
            free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            // A new connection's making is part of it.
            anyhow::Ok(Answer { status, took: began.elapsed() })
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer??);
    }
    Ok(answers)
}

/// The tables, as Markdown.
fn tables(results: &Results) -> anyhow::Result<String> {
    let Results { machine, seconds, rows } = results;
    let others = rows.iter().flat_map(|row| &row.turns).map(|turn| turn.others);
    let rounds = rows[0].turns.len();
    let mut out = String::new();
    writeln!(out, "{machine} {rounds} rounds of {seconds} s for each line. {}", quietness(others))?;
    writeln!(out, "\n| {CHECKS_PER_S} checks/s and | p50 ms | p99 ms | longest ms |\n| --- | --- | --- | --- |")?;
    for Row { name, turns } in rows {
        let of = |figure: fn(&Times) -> f64| Spread::of(turns.iter().map(|turn| figure(&turn.checks)));
        let (p50, p99, longest) = (of(|times| times.p50_ms), of(|times| times.p99_ms), of(|times| times.max_ms));
        writeln!(out, "| {name} | {p50} | {p99} | {:.1} |", longest.max)?;
    }
    writeln!(out, "\n| {LOGINS_PER_S} logins/s | status | of all | p50 ms | p99 ms | longest ms |")?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- |")?;
    for Row { name, turns } in rows {
        let all: usize = turns.iter().flat_map(|turn| turn.logins.values()).map(|times| times.count).sum();
        let mut by_status: BTreeMap<u16, Vec<&Times>> = BTreeMap::new();
        for (status, times) in turns.iter().flat_map(|turn| &turn.logins) {
            by_status.entry(*status).or_default().push(times);
        }
        for (status, times) in by_status {
            let count: usize = times.iter().map(|times| times.count).sum();
            let of = |figure: fn(&Times) -> f64| Spread::of(times.iter().map(|times| figure(times)));
            writeln!(
                out,
                "| {name} | {status} | {} % | {:.0} | {:.0} | {:.0} |",
                count * 100 / all,
                of(|times| times.p50_ms).median,
                of(|times| times.p99_ms).median,
                of(|times| times.max_ms).max,
            )?;
        }
    }
    let [quiet, _, hanging] = &rows[..] else { return Ok(out) };
    let pairs = || hanging.turns.iter().zip(&quiet.turns);
    let logins = || hanging.turns.iter().map(|turn| &turn.logins);
    let strange = |logins: &BTreeMap<u16, Times>| {
        let strange = logins.iter().filter(|(status, _)| ![503, 504].contains(*status));
        f64::from(u32::try_from(strange.map(|(_, times)| times.count).sum::<usize>()).unwrap_or(u32::MAX))
    };
    let longest = |logins: &BTreeMap<u16, Times>| logins.values().map(|times| times.max_ms).fold(0.0, f64::max);
    let timeout_ms = TIMEOUT.as_secs_f64() * 1e3;
    verdicts(
        &mut out,
        "while the platform hangs",
        &[
            Verdict::at_most(
                "p99 of checks, x with no logins",
                2.0,
                Spread::of(pairs().map(|(hanging, quiet)| hanging.checks.p99_ms / quiet.checks.p99_ms)),
            ),
            Verdict::at_most("logins answered other than 503 and 504", 0.0, Spread::of(logins().map(strange))),
            Verdict::at_most(
                "the longest login, x upstream.timeout",
                1.1,
                Spread::of(logins().map(|logins| longest(logins) / timeout_ms)),
            ),
        ],
    )?;
    Ok(out)
}
