//! The run: all servers are up, each in turn gets the load, and the turn begins one further in each round.

mod tables;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::machine::{Machine, core_ticks, seconds};
use crate::process::{LOAD_CORE, SERVER_CORE, Ticks};
use crate::results::{self, Results, Row, Sample};
use crate::servers::{Field, Scenario};
use crate::settings::Settings;
use crate::wrk;

const CONNECTIONS: usize = 64;

/// Measures, and writes results.json and results.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let program = settings.program()?;
    let machine = Machine::describe(&program, Some("redis-server"))?;
    let scratch = tempfile::tempdir()?;
    let field = Field::start(&program, scratch.path())?;
    let turn = |scenario: &Scenario, duration| turn(&field, scenario, scratch.path(), duration);

    println!("warming up: {} servers", field.servers.len());
    for scenario in &field.scenarios {
        turn(scenario, Duration::from_secs(1)).with_context(|| scenario.name)?;
    }
    let mut samples: Vec<Vec<Sample>> = field.scenarios.iter().map(|_| Vec::new()).collect();
    for round in 0..settings.rounds {
        for at in 0..field.scenarios.len() {
            let at = (at + round) % field.scenarios.len();
            let sample = turn(&field.scenarios[at], Duration::from_secs(settings.seconds))
                .with_context(|| field.scenarios[at].name)?;
            println!("round {}/{}  {:<32} {sample}", round + 1, settings.rounds, field.scenarios[at].name);
            samples[at].push(sample);
        }
    }
    let rows = field.scenarios.iter().zip(samples).map(|(scenario, samples)| {
        let resident_kib = field.servers[scenario.server].process.resident_kib()?;
        Ok(Row { name: scenario.name.to_owned(), group: scenario.group.to_owned(), samples, resident_kib })
    });
    let results = Results {
        machine,
        seconds: settings.seconds,
        rounds: settings.rounds,
        connections: CONNECTIONS,
        rows: rows.collect::<anyhow::Result<_>>()?,
    };
    results::store("results", &results, &tables::tables(&results)?)
}

/// Loads one server and watches what it uses, and what others use meanwhile.
fn turn(field: &Field, scenario: &Scenario, scratch: &Path, duration: Duration) -> anyhow::Result<Sample> {
    let server = &field.servers[scenario.server];
    let cores = || anyhow::Ok([core_ticks(SERVER_CORE)?, core_ticks(LOAD_CORE)?]);
    let (cores_before, load_before, (before, store_before)) = (cores()?, field.load_ticks()?, server.ticks()?);
    let load = wrk::run(&[LOAD_CORE], scratch, &server.url, &scenario.request, CONNECTIONS, duration)?;
    let (cores_after, load_after, (after, store_after)) = (cores()?, field.load_ticks()?, server.ticks()?);

    let (own, store) = (after - before, store_after - store_before);
    let others = |core: usize, known: Ticks| {
        seconds((cores_after[core] - cores_before[core]).saturating_sub(known.all())) / load.duration_s()
    };
    Ok(Sample::new(&load, own, store, [others(0, own + store), others(1, load_after - load_before)]))
}
