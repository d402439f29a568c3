//! From samples of layouts to tables.

use std::fmt::Write;

use super::{CASES, Evenness, LAYOUTS, Results};
use crate::figures::{Spread, about, ms};
use crate::results::{Row, Sample};

/// All tables, as Markdown.
pub(super) fn tables(results: &Results) -> anyhow::Result<String> {
    let mut out = String::new();
    let samples: Vec<&Sample> = results.rows.iter().flat_map(|row| &row.samples).collect();
    let others: Vec<f64> = samples.iter().map(|sample| sample.others).collect();
    writeln!(out, "{} {} rounds of {} s.", about(&results.machine, &others), results.rounds, results.seconds)?;
    for case in CASES {
        let rows: Vec<&Row> = results.rows.iter().filter(|row| row.group == case.name).collect();
        let reference = rows[0];
        writeln!(
            out,
            "\n| {} | CPU s for 100,000 | x the first | p50 ms | p99 ms | x the first | requests/s |\n\
             | --- | --- | --- | --- | --- | --- | --- |",
            case.name
        )?;
        for row in rows {
            writeln!(
                out,
                "| {} | {} | {} | {:.2} | {} | {} | {:.0} |",
                row.name,
                row.spread(Sample::cpu),
                row.ratio(reference, Sample::cpu),
                row.spread(|sample| ms(sample.p50_us)).median,
                row.spread(|sample| ms(sample.p99_us)),
                row.ratio(reference, |sample| ms(sample.p99_us)),
                row.spread(Sample::requests_per_s).median,
            )?;
        }
    }
    evenness(&mut out, &results.spreads)?;
    Ok(out)
}

fn evenness(out: &mut String, spreads: &[Evenness]) -> std::fmt::Result {
    out.push_str("\n| connections on workers | even would be |");
    for (_, name) in &LAYOUTS[1..] {
        write!(out, " {name} |")?;
    }
    out.push_str("\n| --- | --- | --- | --- | --- |\n");
    let first = &LAYOUTS[1].1;
    for Evenness { workers, connections, .. } in spreads.iter().filter(|spread| spread.layout == *first) {
        write!(out, "| {connections} on {workers} | {} |", connections / workers)?;
        for spread in spreads.iter().filter(|spread| (spread.workers, spread.connections) == (*workers, *connections)) {
            let busiest = Spread::of(spread.busiest.iter().map(|count| f64::from(u32::try_from(*count).unwrap_or(0))));
            let idle = 100 * spread.idle / spread.busiest.len();
            write!(out, " {:.0}, at worst {:.0}; {idle} % |", busiest.median, busiest.max)?;
        }
        out.push('\n');
    }
    Ok(())
}
