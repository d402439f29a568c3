//! The tables of a soak.

use std::fmt::Write;

use auth_ticket::clock::{Clock, SystemClock};

use super::core::Others;
use super::measure::Latencies;
use super::stage::{Footprint, Stage};
use crate::support::{Outcome, auth_ticket};

/// What one round came to.
pub(super) struct Round {
    pub(super) quiet: Latencies,
    pub(super) abused: Latencies,
    pub(super) after: Footprint,
}

impl Round {
    fn times_quiet(&self) -> f64 {
        self.abused.at(990).as_secs_f64() / self.quiet.at(990).as_secs_f64()
    }

    /// Whether others took so much of the server's core that the round tells about them.
    fn is_disturbed(&self) -> bool {
        self.others().is_some_and(Others::disturb)
    }

    fn others(&self) -> Option<Others> {
        let (quiet, abused) = (self.quiet.others?, self.abused.others?);
        Some(if quiet > abused { quiet } else { abused })
    }
}

/// All rounds, and what the server held before, between and after.
pub(super) struct Report {
    before: Footprint,
    rounds: Vec<Round>,
    after: Option<Footprint>,
}

impl Report {
    pub(super) fn new(before: Footprint) -> Self {
        Self { before, rounds: Vec::new(), after: None }
    }

    pub(super) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    pub(super) fn end(&mut self, after: Footprint) {
        self.after = Some(after);
    }

    /// The 99th percentile under abuse by the quiet one before it: the median of the rounds that nobody disturbed, if
    /// those are at least half of all.
    pub(super) fn times_quiet(&self) -> Option<f64> {
        let calm = self.rounds.iter().filter(|round| !round.is_disturbed());
        let mut times: Vec<f64> = calm.map(Round::times_quiet).collect();
        times.sort_by(f64::total_cmp);
        (times.len() * 2 >= self.rounds.len()).then(|| times[times.len() / 2])
    }

    /// The tables.
    pub(super) fn text(&self, stage: &Stage) -> String {
        format!("{}\n\n{}\n{}", self.machine(stage), self.table(), stage.tally.tables())
    }

    fn machine(&self, stage: &Stage) -> String {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("a processor", |(_, model)| model);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
        let version = Outcome::of(&mut auth_ticket(&["--version"])).stdout;
        let checks: usize = self.rounds.iter().map(|round| round.quiet.len() + round.abused.len()).sum();
        format!(
            "Measured on {}: {model}, {cores} cores, Linux {}; {}. {} rounds of {} s without and {} s with abuse, after \
             {} s of warm-up; {checks} checks were timed, {} a second.",
            &SystemClock.now().to_string()[..10],
            kernel.trim(),
            version.trim(),
            self.rounds.len(),
            stage.form.quiet.as_secs(),
            stage.form.abuse.as_secs(),
            stage.form.warm_up.as_secs(),
            stage.form.measured_per_s,
        )
    }

    fn table(&self) -> String {
        let mut out = "| round | quiet p50 | quiet p99 | abused p50 | abused p99 | p99 x quiet | \
                       others on the core | MiB after it | descriptors | threads |\n\
                       | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
        let held = |footprint: &Footprint| {
            let Footprint { rss_kib, descriptors, threads } = footprint;
            format!("{}.{} | {descriptors} | {threads} |", rss_kib >> 10, (rss_kib % 1024) * 10 / 1024)
        };
        let _ = writeln!(out, "| warm-up | | | | | | | {}", held(&self.before));
        for (number, round) in self.rounds.iter().enumerate() {
            let Round { quiet, abused, after } = round;
            let _ = writeln!(
                out,
                "| {} | {:.2?} | {:.2?} | {:.2?} | {:.2?} | {:.2} | {} | {}",
                number + 1,
                quiet.at(500),
                quiet.at(990),
                abused.at(500),
                abused.at(990),
                round.times_quiet(),
                round.others().map_or_else(String::new, |others| format!("{:.0} %", others.0 * 100.0)),
                held(after)
            );
        }
        if let Some(after) = &self.after {
            let times = self.times_quiet().map_or_else(|| "disturbed".to_owned(), |times| format!("{times:.2}"));
            let _ = writeln!(out, "| cool-down, and the median | | | | | {times} | | {}", held(after));
        }
        out
    }
}
