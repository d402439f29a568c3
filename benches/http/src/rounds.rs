//! A run in rounds: all servers are up, each in turn gets the load, and the turn begins one further in each round.

use std::time::Duration;

use anyhow::Context;

use crate::client::pin;
use crate::field::{Field, Scenario};
use crate::load;
use crate::machine::{Machine, core_ticks, seconds};
use crate::process::{LOAD_CORE, SERVER_CORE, Ticks};
use crate::results::{Results, Row, Sample};
use crate::settings::Settings;

pub(crate) const CONNECTIONS: usize = 64;

/// Measures all rows of `field`.
pub(crate) fn measure(field: &Field, machine: Machine, settings: &Settings) -> anyhow::Result<Results> {
    pin(LOAD_CORE)?;
    println!("warming up: {} rows", field.scenarios.len());
    for scenario in &field.scenarios {
        turn(field, scenario, Duration::from_secs(1))?;
    }
    let mut samples: Vec<Vec<Sample>> = field.scenarios.iter().map(|_| Vec::new()).collect();
    for round in 0..settings.rounds {
        for at in 0..field.scenarios.len() {
            let at = (at + round) % field.scenarios.len();
            let scenario = &field.scenarios[at];
            let sample = turn(field, scenario, Duration::from_secs(settings.seconds))?;
            println!("round {}/{}  {:<8} {:<36} {sample}", round + 1, settings.rounds, scenario.group, scenario.name);
            samples[at].push(sample);
        }
    }
    let rows = field.scenarios.iter().zip(samples).map(|(scenario, samples)| {
        let resident_kib = field.processes[scenario.server].resident_kib()?;
        Ok(Row { name: scenario.name.to_owned(), group: scenario.group.to_owned(), samples, resident_kib })
    });
    Ok(Results {
        machine,
        seconds: settings.seconds,
        rounds: settings.rounds,
        connections: CONNECTIONS,
        rows: rows.collect::<anyhow::Result<_>>()?,
    })
}

/// Loads one server and watches what it uses, and what others use meanwhile.
fn turn(field: &Field, scenario: &Scenario, duration: Duration) -> anyhow::Result<Sample> {
    let cores = || anyhow::Ok([core_ticks(SERVER_CORE)?, core_ticks(LOAD_CORE)?]);
    let (cores_before, load_before, [before, behind_before]) = (cores()?, field.load_ticks()?, field.ticks(scenario)?);
    let load = load::closed(&scenario.place, &scenario.request, CONNECTIONS, duration)
        .with_context(|| format!("{}, {}", scenario.group, scenario.name))?;
    let (cores_after, load_after, [after, behind_after]) = (cores()?, field.load_ticks()?, field.ticks(scenario)?);

    let (own, behind) = (after - before, behind_after - behind_before);
    let others = |core: usize, known: Ticks| {
        seconds((cores_after[core] - cores_before[core]).saturating_sub(known.all())) / load.took.as_secs_f64()
    };
    Ok(Sample::new(&load, own, behind, [others(0, own + behind), others(1, load_after - load_before)]))
}
