//! From samples to tables; the limits are those that the module is built to hold.

use std::fmt::Write;

use super::{Check, Kind};
use crate::figures::{Spread, Verdict, ms, verdicts};
use crate::results::{Results, Row, Sample};

/// All tables, as Markdown.
pub(super) fn tables(results: &Results) -> anyhow::Result<String> {
    let mut out = results.preface();
    out.push_str(
        "\n| gateway | who answers its checks | CPU s for 100,000 | gateway + check | x no check | a check adds, CPU s | p50 ms | p99 ms | requests/s | core busy |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for kind in Kind::ALL {
        let alone = row(results, kind, Check::None)?;
        for check in kind.checks() {
            let row = row(results, kind, *check)?;
            let added = if *check == Check::None { String::new() } else { added(row, alone).to_string() };
            writeln!(
                out,
                "| {} | {} | {} | {:.2} + {:.2} | {} | {added} | {:.2} | {:.2} | {:.0} | {:.0} % |",
                kind.name(),
                check.name(),
                row.spread(Sample::cpu),
                row.spread(|sample| sample.for_100k(sample.user_s + sample.system_s)).median,
                row.spread(|sample| sample.for_100k(sample.behind_s)).median,
                row.ratio(alone, Sample::cpu),
                row.spread(|sample| ms(sample.p50_us)).median,
                row.spread(|sample| ms(sample.p99_us)).median,
                row.spread(Sample::requests_per_s).median,
                row.spread(|sample| sample.busy() * 100.0).median,
            )?;
        }
    }
    targets(&mut out, results)?;
    Ok(out)
}

fn row(results: &Results, kind: Kind, check: Check) -> anyhow::Result<&Row> {
    results.row_of(kind.name(), check.name())
}

/// What a row takes more than the gateway alone in the same round.
fn added(row: &Row, alone: &Row) -> Spread {
    Spread::of(row.samples.iter().zip(&alone.samples).map(|(with, without)| with.cpu() - without.cpu()))
}

fn targets(out: &mut String, results: &Results) -> anyhow::Result<()> {
    let of = |check| row(results, Kind::Nginx, check);
    let (alone, asked, module) = (of(Check::None)?, of(Check::Tcp)?, of(Check::Module)?);
    let part = module
        .samples
        .iter()
        .zip(&asked.samples)
        .zip(&alone.samples)
        .map(|((module, asked), alone)| (module.cpu() - alone.cpu()) / (asked.cpu() - alone.cpu()));
    verdicts(
        out,
        "of the module in nginx",
        &[
            Verdict::at_most("what it adds, x what auth_request over kept connections adds", 0.1, Spread::of(part)),
            Verdict::at_least("requests/s, x with auth_request", 2.5, module.ratio(asked, Sample::requests_per_s)),
        ],
    )?;
    Ok(())
}
