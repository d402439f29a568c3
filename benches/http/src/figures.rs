//! Middle and spread of figures, and whether they hold what is promised.

use std::fmt::{self, Write};

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

/// Microseconds as milliseconds.
pub(crate) fn ms(us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let us = us as f64;
    us / 1e3
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
