//! From samples to tables; the limits are those that the program is built to hold.

use std::fmt::{self, Write};

use super::{CHECKS, ISSUING, OURS, OURS_ON_SOCKET, REFERENCE, SAME_HEADERS, WITH_REDIS};
use crate::figures::{Verdict, ms, verdicts};
use crate::results::{Results, Row, Sample};

/// All tables, as Markdown.
pub(super) fn tables(results: &Results) -> anyhow::Result<String> {
    let mut out = results.preface();
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
        let store = row.spread(|sample| sample.for_100k(sample.behind_s)).median;
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
    let (ours, socket) = (results.row(OURS)?, results.row(OURS_ON_SOCKET)?);
    let (reference, headers) = (results.row(REFERENCE)?, results.row(SAME_HEADERS)?);
    let redis = results.row(WITH_REDIS)?;
    let ratio = |one: &Row, other: &Row| one.ratio(other, Sample::cpu);
    verdicts(
        out,
        "of `/v1/verify`, processor time",
        &[
            Verdict::at_most("over a Unix socket, x bare axum over TCP", 0.88, ratio(socket, reference)),
            Verdict::at_most("over TCP, x axum with the same headers", 0.9, ratio(ours, headers)),
            Verdict::at_least("axum + Redis session, x ours over TCP", 2.9, ratio(redis, ours)),
            Verdict::at_least("axum + Redis session, x ours over a Unix socket", 3.5, ratio(redis, socket)),
        ],
    )?;
    Ok(())
}
