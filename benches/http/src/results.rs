//! What a run leaves behind: every sample, and the tables that are made of them.

use std::fmt;
use std::fs;

use anyhow::Context;
use serde::Serialize;

use crate::figures::{Spread, ms, quietness};
use crate::load::Load;
use crate::machine::{Machine, seconds};
use crate::process::Ticks;
use crate::settings::target;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) seconds: u64,
    pub(crate) rounds: usize,
    pub(crate) connections: usize,
    pub(crate) rows: Vec<Row>,
}

/// One row of the tables. Sample `n` is of round `n`.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) samples: Vec<Sample>,
    /// Memory of the server at the end, without that of whom it asks, in KiB.
    pub(crate) resident_kib: u64,
}

/// What one server did with the load in one round.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) duration_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Processor time of the server, in seconds.
    pub(crate) user_s: f64,
    pub(crate) system_s: f64,
    /// The same of whom it asks, if it asks anybody: a store, or a check.
    pub(crate) behind_s: f64,
    /// Which part of the server's core went to others: programs that have nothing to do with it, or the host.
    pub(crate) others: f64,
    /// The same of the core that the load comes from.
    pub(crate) others_at_load: f64,
}

impl Sample {
    /// What the load saw, what the server and whom it asks used meanwhile, and which part of both cores others had.
    pub(crate) fn new(load: &Load, server: Ticks, behind: Ticks, [others, others_at_load]: [f64; 2]) -> Self {
        Self {
            requests: load.requests,
            duration_us: u64::try_from(load.took.as_micros()).unwrap_or(u64::MAX),
            p50_us: load.percentile_us(50.0),
            p99_us: load.percentile_us(99.0),
            user_s: seconds(server.user),
            system_s: seconds(server.system),
            behind_s: seconds(behind.all()),
            others,
            others_at_load,
        }
    }

    /// Seconds for 100,000 requests.
    pub(crate) fn for_100k(&self, seconds: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let requests = self.requests as f64;
        seconds * 100_000.0 / requests
    }

    /// Processor time of everything, for 100,000 requests.
    pub(crate) fn cpu(&self) -> f64 {
        self.for_100k(self.user_s + self.system_s + self.behind_s)
    }

    /// Which part of its core the server used. Well below 1, it was the load that had no more to give.
    pub(crate) fn busy(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let duration_us = self.duration_us as f64;
        (self.user_s + self.system_s + self.behind_s) * 1e6 / duration_us
    }

    pub(crate) fn requests_per_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (requests, duration_us) = (self.requests as f64, self.duration_us as f64);
        requests * 1e6 / duration_us
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3} s for 100,000, {:>7.0} requests/s, p99 {:.2} ms; busy {:.0} %, others {:.0} % and {:.0} %",
            self.cpu(),
            self.requests_per_s(),
            ms(self.p99_us),
            self.busy() * 100.0,
            self.others * 100.0,
            self.others_at_load * 100.0,
        )
    }
}

impl Row {
    pub(crate) fn spread(&self, figure: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.samples.iter().map(figure))
    }

    /// `figure` of this row over that of `other` in the same round.
    pub(crate) fn ratio(&self, other: &Self, figure: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.samples.iter().zip(&other.samples).map(|(one, other)| figure(one) / figure(other)))
    }
}

impl Results {
    /// How the tables begin: where and how it was measured.
    pub(crate) fn preface(&self) -> String {
        let Self { machine, seconds, rounds, connections, rows } = self;
        let others = rows.iter().flat_map(|row| &row.samples).map(|of| of.others.max(of.others_at_load));
        format!("{machine} {rounds} rounds of {seconds} s, {connections} connections. {}\n", quietness(others))
    }

    pub(crate) fn row_of(&self, group: &str, name: &str) -> anyhow::Result<&Row> {
        let found = self.rows.iter().find(|row| row.group == group && row.name == name);
        found.with_context(|| format!("no row {group}, {name}"))
    }

    pub(crate) fn row(&self, name: &str) -> anyhow::Result<&Row> {
        self.rows.iter().find(|row| row.name == name).with_context(|| format!("no row {name}"))
    }
}

/// Leaves every sample of a run behind, with its tables, and prints these: `docs/PERFORMANCE.md` has them as they are.
pub(crate) fn store(name: &str, samples: &impl Serialize, tables: &str) -> anyhow::Result<()> {
    let directory = target().join("bench");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(format!("{name}.json")), serde_json::to_string_pretty(samples)?)?;
    fs::write(directory.join(format!("{name}.md")), tables)?;
    println!("\n{tables}\n{0}/{name}.json, {0}/{name}.md", directory.display());
    Ok(())
}
