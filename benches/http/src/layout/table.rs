//! From samples of layouts to tables: a line for each layout, a column for each thing that it is put to.

use std::fmt::{self, Write};

use super::{CASES, Evenness, LAYOUTS, Results};
use crate::figures::{Spread, ms, quietness};
use crate::results::{Row, Sample};

/// All tables, as Markdown.
pub(crate) fn tables(results: &Results) -> anyhow::Result<String> {
    let mut out = String::new();
    let others = results.rows.iter().flat_map(|row| &row.samples).map(|sample| sample.others);
    let Results { machine, seconds, rounds, rows, spreads } = results;
    writeln!(out, "{machine} {rounds} rounds of {seconds} s. {}", quietness(others))?;
    table(&mut out, "CPU s for 100,000, and x the first line", rows, |row, first| {
        format!("{:.2}, x {}", row.spread(Sample::cpu).median, row.ratio(first, Sample::cpu))
    })?;
    let p99 = |sample: &Sample| ms(sample.p99_us);
    table(&mut out, "p99 ms, and x the first line", rows, |row, first| {
        format!("{:.2}, x {}", row.spread(p99).median, row.ratio(first, p99))
    })?;
    table(&mut out, "p50 ms", rows, |row, _| format!("{:.2}", row.spread(|sample| ms(sample.p50_us)).median))?;
    table(&mut out, "requests/s", rows, |row, _| format!("{:.0}", row.spread(Sample::requests_per_s).median))?;
    evenness(&mut out, spreads)?;
    Ok(out)
}

/// `cell` is given a row, and that of the first layout in the same case.
fn table(out: &mut String, title: &str, rows: &[Row], cell: impl Fn(&Row, &Row) -> String) -> fmt::Result {
    let cases = CASES.map(|case| case.name);
    writeln!(out, "\n| {title} | {} |", cases.join(" | "))?;
    writeln!(out, "|{}", " --- |".repeat(cases.len() + 1))?;
    for (_, layout) in LAYOUTS {
        write!(out, "| {layout} |")?;
        for case in cases {
            let of = |name: &str| rows.iter().find(|row| row.group == case && row.name == name);
            if let (Some(row), Some(first)) = (of(layout), of(LAYOUTS[0].1)) {
                write!(out, " {} |", cell(row, first))?;
            }
        }
        out.push('\n');
    }
    Ok(())
}

fn evenness(out: &mut String, spreads: &[Evenness]) -> fmt::Result {
    let layouts = LAYOUTS.map(|(_, name)| name);
    writeln!(out, "\n| connections, on workers | even would be | {} |", layouts[1..].join(" | "))?;
    writeln!(out, "| --- | --- | --- | --- | --- |")?;
    for first in spreads.iter().filter(|spread| spread.layout == layouts[1]) {
        let (workers, connections) = (first.workers, first.connections);
        write!(out, "| {connections} on {workers} | {} |", connections / workers)?;
        for spread in spreads.iter().filter(|spread| (spread.workers, spread.connections) == (workers, connections)) {
            let busiest = Spread::of(spread.busiest.iter().map(|count| f64::from(u32::try_from(*count).unwrap_or(0))));
            let idle = 100 * spread.idle / spread.busiest.len();
            write!(out, " {:.0}, at worst {:.0}; {idle} % |", busiest.median, busiest.max)?;
        }
        out.push('\n');
    }
    Ok(())
}
