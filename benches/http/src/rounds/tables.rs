//! From samples to tables; the limits are those that the program is built to hold.

use std::fmt::{self, Write};

use crate::figures::{Verdict, ms, quietness, verdicts};
use crate::results::{Results, Sample};
use crate::servers::{CHECKS, ISSUING, OURS, REFERENCE, WITH_REDIS};

/// All tables, as Markdown.
pub(super) fn tables(results: &Results) -> Result<String, anyhow::Error> {
    let mut out = String::new();
    let others = results.rows.iter().flat_map(|row| &row.samples).map(|of| of.others.max(of.others_at_load));
    let Results { machine, seconds, rounds, connections, .. } = results;
    writeln!(out, "{machine} {rounds} rounds of {seconds} s, {connections} connections. {}", quietness(others))?;
    checks(&mut out, results)?;
    issuing(&mut out, results)?;
    targets(&mut out, results)?;
    Ok(out)
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
