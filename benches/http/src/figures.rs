//! From samples to tables. Every number in them is computed here; the limits are those that the program is built to hold.

use std::fmt::{self, Write};

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

/// What so many percent of the figures do not exceed; 0 of none.
pub(crate) fn percentile(figures: impl IntoIterator<Item = f64>, percent: f64) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rank = (sorted.len() as f64 * percent / 100.0).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the number of figures")]
    let rank = rank as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
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
    let others = results.rows.iter().flat_map(|row| &row.samples).map(|of| of.others.max(of.others_at_load));
    let Results { machine, seconds, rounds, connections, .. } = results;
    writeln!(out, "{machine} {rounds} rounds of {seconds} s, {connections} connections. {}", quietness(others))?;
    checks(&mut out, results)?;
    issuing(&mut out, results)?;
    targets(&mut out, results)?;
    Ok(out)
}

/// How quiet it was: which part of a core others had in each turn.
pub(crate) fn quietness(others: impl IntoIterator<Item = f64>) -> String {
    let others: Vec<f64> = others.into_iter().collect();
    let part = Spread::of(others.iter().map(|part| part * 100.0));
    let (disturbed, turns) = (others.iter().filter(|part| **part > DISTURBED).count(), others.len());
    let verdict = if disturbed * QUIET > turns {
        " **Provisional: the machine was not quiet.** Ratios bear that better than absolute figures do."
    } else {
        ""
    };
    format!(
        "Others took {:.0} % of a core ({:.0} % at the most); {disturbed} of {turns} turns were disturbed.{verdict}",
        part.median, part.max
    )
}

/// What is promised, beside what was measured.
pub(crate) struct Verdict {
    what: &'static str,
    limit: f64,
    at_most: bool,
    measured: Spread,
}

impl Verdict {
    pub(crate) const fn at_most(what: &'static str, limit: f64, measured: Spread) -> Self {
        Self { what, limit, at_most: true, measured }
    }

    pub(crate) const fn at_least(what: &'static str, limit: f64, measured: Spread) -> Self {
        Self { what, limit, at_most: false, measured }
    }
}

/// A table of verdicts; the median decides.
pub(crate) fn verdicts(out: &mut String, of: &str, verdicts: &[Verdict]) -> fmt::Result {
    writeln!(out, "\n| {of} | wanted | measured | |\n| --- | --- | --- | --- |")?;
    for Verdict { what, limit, at_most, measured } in verdicts {
        let holds = if *at_most { measured.median <= *limit } else { measured.median >= *limit };
        let (bound, verdict) =
            (if *at_most { "at most" } else { "at least" }, if holds { "holds" } else { "does not hold" });
        writeln!(out, "| {what} | {bound} {limit} | {measured} | {verdict} |")?;
    }
    Ok(())
}

/// KiB as MiB.
pub(crate) fn mib(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let kib = kib as f64;
    kib / 1024.0
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
    let user = |sample: &Sample| sample.for_100k(sample.user_s);
    let p99 = |sample: &Sample| ms(sample.p99_us);
    verdicts(
        out,
        "of `/v1/verify`",
        &[
            Verdict::at_most("CPU, x bare axum", 0.95, ours.ratio(reference, Sample::cpu)),
            Verdict::at_most("user part, x bare axum", 1.0, ours.ratio(reference, user)),
            Verdict::at_most("p99, x bare axum", 0.5, ours.ratio(reference, p99)),
            Verdict::at_least("CPU of axum + Redis session, x ours", 2.0, redis.ratio(ours, Sample::cpu)),
        ],
    )?;
    Ok(())
}
