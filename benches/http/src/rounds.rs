//! The run: all servers are up, each in turn gets the load, and the turn begins one further in each round.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::figures;
use crate::machine::{Machine, core_ticks, ticks_per_second};
use crate::plot;
use crate::results::{Results, Row, Sample, directory, target};
use crate::servers::{Field, LOAD_CORE, SERVER_CORE, Scenario};
use crate::wrk;

const CONNECTIONS: usize = 64;

/// What a run can be told by the environment.
pub(crate) struct Settings {
    /// Length of one server's turn, in whole seconds (`BENCH_SECONDS`); wrk knows no less than one.
    seconds: u64,
    /// How often each has its turn (`BENCH_ROUNDS`).
    rounds: usize,
    /// The auth-ticket to measure (`BENCH_PROGRAM`).
    program: PathBuf,
}

impl Settings {
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let number = |name: &str, default: usize| match env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text} is no number")),
            Err(_) => Ok(default),
        };
        let seconds = number("BENCH_SECONDS", 5)? as u64;
        let rounds = number("BENCH_ROUNDS", 7)?;
        ensure!(seconds > 0 && rounds > 0, "BENCH_SECONDS and BENCH_ROUNDS are at least 1");
        let program = env::var_os("BENCH_PROGRAM").map_or_else(|| target().join("release/auth-ticket"), PathBuf::from);
        Ok(Self { seconds, rounds, program })
    }
}

/// Measures, and writes results.json, table.md and plot.svg.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let program = settings.program.canonicalize();
    let program = program.with_context(|| format!("no program at {}", settings.program.display()))?;
    let program = program.to_str().context("a path in UTF-8")?;
    let machine = Machine::describe(program, "redis-server")?;
    let scratch = tempfile::tempdir()?;
    let field = Field::start(program, scratch.path())?;
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
            println!(
                "round {}/{}  {:<32} {:.3} s for 100,000, {:>7.0} requests/s, p99 {:.2} ms; busy {:.0} %, others {:.0} % and {:.0} %",
                round + 1,
                settings.rounds,
                field.scenarios[at].name,
                sample.cpu(),
                sample.requests_per_s(),
                figures::ms(sample.p99_us),
                sample.busy() * 100.0,
                sample.others * 100.0,
                sample.others_at_load * 100.0,
            );
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
    results.store()?;
    let tables = figures::tables(&results)?;
    fs::write(directory().join("table.md"), &tables)?;
    plot::draw(&results, &directory().join("plot.svg"))?;
    println!("\n{tables}\n{0}/results.json, {0}/table.md, {0}/plot.svg", directory().display());
    Ok(())
}

/// Loads one server and watches what it uses, and what others use meanwhile.
fn turn(field: &Field, scenario: &Scenario, scratch: &Path, duration: Duration) -> anyhow::Result<Sample> {
    let server = &field.servers[scenario.server];
    let cores = || anyhow::Ok([core_ticks(SERVER_CORE)?, core_ticks(LOAD_CORE)?]);
    let (cores_before, load_before, (before, store_before)) = (cores()?, field.load_ticks()?, server.ticks()?);
    let load = wrk::run(LOAD_CORE, scratch, &server.url, &scenario.request, CONNECTIONS, duration)?;
    let (cores_after, load_after, (after, store_after)) = (cores()?, field.load_ticks()?, server.ticks()?);

    let (own, store) = (after - before, store_after - store_before);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let duration_s = load.duration_us as f64 / 1e6;
    let others =
        |core: usize, known: u64| seconds((cores_after[core] - cores_before[core]).saturating_sub(known)) / duration_s;
    Ok(Sample {
        requests: load.requests,
        duration_us: load.duration_us,
        p50_us: load.p50_us,
        p99_us: load.p99_us,
        user_s: seconds(own.user),
        system_s: seconds(own.system),
        store_s: seconds(store.all()),
        others: others(0, (own + store).all()),
        others_at_load: others(1, (load_after - load_before).all()),
    })
}

fn seconds(ticks: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (ticks, per_second) = (ticks as f64, ticks_per_second() as f64);
    ticks / per_second
}
