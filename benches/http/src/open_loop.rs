//! `make bench-open-loop`: how long checks take at an everyday load, when requests come by the clock.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::client::pin;
use crate::field::{Field, Scenario};
use crate::figures::{Spread, ms, quietness};
use crate::load;
use crate::machine::{Machine, Moment};
use crate::process::LOAD_CORE;
use crate::results;
use crate::rounds::CONNECTIONS;
use crate::servers::{self, OURS, OURS_ON_SOCKET, REFERENCE};
use crate::settings::Settings;

const PER_S: u32 = 1_000;

const ROWS: [&str; 3] = [OURS, OURS_ON_SOCKET, REFERENCE];

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    seconds: u64,
    rounds: usize,
    rows: Vec<Row>,
}

/// One server, in each round.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    turns: Vec<Turn>,
}

/// Times of one turn, from when a request was due to the end of its answer.
#[derive(Debug, Serialize)]
struct Turn {
    requests: u64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    longest_us: u64,
    others: f64,
}

/// Measures, and writes open-loop.json and open-loop.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let program = settings.program()?;
    let machine = Machine::describe(&program, None)?;
    let scratch = tempfile::tempdir()?;
    let mut field = servers::field(&program, scratch.path(), &[REFERENCE])?;
    field.scenarios.retain(|scenario| ROWS.contains(&scenario.name));
    pin(LOAD_CORE)?;
    for scenario in &field.scenarios {
        turn(&field, scenario, Duration::from_secs(1))?;
    }
    let mut rows: Vec<Row> =
        field.scenarios.iter().map(|scenario| Row { name: scenario.name, turns: Vec::new() }).collect();
    for round in 0..settings.rounds {
        for at in 0..rows.len() {
            let at = (at + round) % rows.len();
            let turn = turn(&field, &field.scenarios[at], Duration::from_secs(settings.seconds))?;
            println!("round {}/{}  {:<28} {turn:?}", round + 1, settings.rounds, rows[at].name);
            rows[at].turns.push(turn);
        }
    }
    let results = Results { machine, seconds: settings.seconds, rounds: settings.rounds, rows };
    results::store("open-loop", &results, &tables(&results)?)
}

fn turn(field: &Field, scenario: &Scenario, duration: Duration) -> anyhow::Result<Turn> {
    let processes: Vec<_> = field.processes.iter().chain(&field.at_load).collect();
    let since = Moment::now(&processes)?;
    let load = load::open(&scenario.place, &scenario.request, CONNECTIONS, PER_S, duration);
    let load = load.with_context(|| scenario.name)?;
    Ok(Turn {
        requests: load.requests,
        p50_us: load.percentile_us(50.0),
        p99_us: load.percentile_us(99.0),
        p999_us: load.percentile_us(99.9),
        longest_us: load.longest_us(),
        others: since.others(&processes)?,
    })
}

/// The table, as Markdown.
fn tables(results: &Results) -> anyhow::Result<String> {
    let Results { machine, seconds, rounds, rows } = results;
    let quiet = quietness(rows.iter().flat_map(|row| &row.turns).map(|turn| turn.others));
    let mut out = format!("{machine} {rounds} rounds of {seconds} s, {CONNECTIONS} connections. {quiet}\n");
    writeln!(
        out,
        "\n| {PER_S} checks/s to | p50 ms | p99 ms | p99.9 ms | the longest ms |\n| --- | --- | --- | --- | --- |"
    )?;
    for Row { name, turns } in rows {
        let of = |figure: fn(&Turn) -> u64| Spread::of(turns.iter().map(|turn| ms(figure(turn))));
        writeln!(
            out,
            "| {name} | {} | {} | {} | {:.1} |",
            of(|turn| turn.p50_us),
            of(|turn| turn.p99_us),
            of(|turn| turn.p999_us),
            of(|turn| turn.longest_us).max,
        )?;
    }
    Ok(out)
}
