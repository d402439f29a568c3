//! From samples to tables. Every number in them is computed here; the limits are those that the program is built to hold.

use std::fmt::{self, Write};

use crate::machine::Machine;
use crate::results::{Results, Row, Sample};
use crate::servers::{CHECKS, ISSUING, OURS, REFERENCE, WITH_REDIS};

/// A turn is disturbed when others had more than this part of either core.
const DISTURBED: f64 = 0.05;
/// With more than one turn in so many disturbed, figures are provisional.
const QUIET: usize = 20;

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Self { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}..{:.2})", self.median, self.min, self.max)
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

/// Microseconds as milliseconds.
pub(crate) fn ms(us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let us = us as f64;
    us / 1e3
}

/// All tables, as Markdown.
pub(crate) fn tables(results: &Results) -> Result<String, anyhow::Error> {
    let mut out = String::new();
    let samples = results.rows.iter().flat_map(|row| &row.samples);
    let others: Vec<f64> = samples.map(|sample| sample.others.max(sample.others_at_load)).collect();
    let Results { machine, seconds, rounds, connections, .. } = results;
    writeln!(out, "{} {rounds} rounds of {seconds} s, {connections} connections.", about(machine, &others))?;
    checks(&mut out, results)?;
    issuing(&mut out, results)?;
    targets(&mut out, results)?;
    Ok(out)
}

/// Where figures come from, and how quiet it was: which part of a core others had in each turn.
pub(crate) fn about(machine: &Machine, others: &[f64]) -> String {
    let siblings = if machine.shares_core { ", which are two threads of one" } else { "" };
    let redis = machine.redis.as_deref().and_then(|redis| redis.split(" sha=").next());
    let redis = redis.map(|redis| format!("; {redis}")).unwrap_or_default();
    let part = Spread::of(others.iter().map(|part| part * 100.0));
    let (disturbed, turns) = (others.iter().filter(|part| **part > DISTURBED).count(), others.len());
    let verdict = if disturbed * QUIET > turns {
        " **Provisional: the machine was not quiet.** Ratios bear that better than absolute figures do."
    } else {
        ""
    };
    format!(
        "Measured on {}: {}, {} cores{siblings}, Linux {}, {}; {}{redis}. \
         Others took {:.0} % of a core ({:.0} % at the most); {disturbed} of {turns} turns were disturbed.{verdict}",
        machine.date,
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.rustc,
        machine.program,
        part.median,
        part.max,
    )
}

fn checks(out: &mut String, results: &Results) -> anyhow::Result<()> {
    let reference = results.row(REFERENCE)?;
    out.push_str(
        "\n| who answers | CPU s for 100,000 | user + system | x bare axum | p50 ms | p99 ms | p99 x bare axum | requests/s | core busy | MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in results.rows.iter().filter(|row| row.group == CHECKS) {
        let store = row.spread(|sample| sample.for_100k(sample.store_s)).median;
        let store = if store > 0.0 { format!(" + {store:.2} redis-server") } else { String::new() };
        writeln!(
            out,
            "| {} | {} | {:.2} + {:.2}{store} | {} | {:.2} | {:.2} | {} | {:.0} | {:.0} % | {} |",
            row.name,
            row.spread(Sample::cpu),
            row.spread(|sample| sample.for_100k(sample.user_s)).median,
            row.spread(|sample| sample.for_100k(sample.system_s)).median,
            row.ratio(reference, Sample::cpu),
            row.spread(|sample| ms(sample.p50_us)).median,
            row.spread(|sample| ms(sample.p99_us)).median,
            row.ratio(reference, |sample| ms(sample.p99_us)),
            row.spread(Sample::requests_per_s).median,
            row.spread(|sample| sample.busy() * 100.0).median,
            row.resident_kib / 1024,
        )?;
    }
    Ok(())
}

fn issuing(out: &mut String, results: &Results) -> fmt::Result {
    out.push_str(
        "\n| what auth-ticket makes | CPU s for 1,000 | user + system | p50 ms | p99 ms | requests/s | core busy |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in results.rows.iter().filter(|row| row.group == ISSUING) {
        let for_1k = |seconds: f64, sample: &Sample| sample.for_100k(seconds) / 100.0;
        let cpu = row.spread(|sample| sample.cpu() / 100.0);
        writeln!(
            out,
            "| {} | {:.4} ({:.4}..{:.4}) | {:.4} + {:.4} | {:.2} | {:.2} | {:.0} | {:.0} % |",
            row.name,
            cpu.median,
            cpu.min,
            cpu.max,
            row.spread(|sample| for_1k(sample.user_s, sample)).median,
            row.spread(|sample| for_1k(sample.system_s, sample)).median,
            row.spread(|sample| ms(sample.p50_us)).median,
            row.spread(|sample| ms(sample.p99_us)).median,
            row.spread(Sample::requests_per_s).median,
            row.spread(|sample| sample.busy() * 100.0).median,
        )?;
    }
    Ok(())
}

fn targets(out: &mut String, results: &Results) -> anyhow::Result<()> {
    let (ours, reference, redis) = (results.row(OURS)?, results.row(REFERENCE)?, results.row(WITH_REDIS)?);
    out.push_str("\n| of `/v1/verify` | wanted | measured | |\n| --- | --- | --- | --- |\n");
    let user = |sample: &Sample| sample.for_100k(sample.user_s);
    let p99 = |sample: &Sample| ms(sample.p99_us);
    for (what, limit, measured) in [
        ("CPU, x bare axum", 0.95, ours.ratio(reference, Sample::cpu)),
        ("user part, x bare axum", 1.0, ours.ratio(reference, user)),
        ("p99, x bare axum", 0.5, ours.ratio(reference, p99)),
    ] {
        let verdict = if measured.median <= limit { "holds" } else { "does not hold" };
        writeln!(out, "| {what} | at most {limit} | {measured} | {verdict} |")?;
    }
    let ahead = redis.ratio(ours, Sample::cpu);
    let verdict = if ahead.median >= 2.0 { "holds" } else { "does not hold" };
    writeln!(out, "| CPU of {WITH_REDIS}, x ours | at least 2 | {ahead} | {verdict} |")?;
    Ok(())
}
