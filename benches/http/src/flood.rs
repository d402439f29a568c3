//! `make bench-flood`: whether memory comes back after many logins at once.

use std::fmt::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::client;
use crate::figures::{Spread, Verdict, mib, verdicts};
use crate::machine::Machine;
use crate::ours::Stand;
use crate::process::Server;
use crate::results;
use crate::settings::Settings;

const CONNECTIONS: usize = 1_000;
/// On each connection, one after the other.
const LOGINS: usize = 30;
const WARM_UP: usize = 100;
const PAUSE: Duration = Duration::from_secs(30);

/// A whole run: floods of one process, one after the other.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    quiet_kib: u64,
    floods: Vec<Flood>,
}

/// What came, and what memory it took.
#[derive(Debug, Serialize)]
struct Flood {
    logins: usize,
    refusals: usize,
    seconds: f64,
    peak_kib: u64,
    /// Half a minute after the last connection was closed.
    after_kib: u64,
}

/// Measures, and writes flood.json and flood.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    client::allow_connections(CONNECTIONS as u64)?;
    let Stand { machine, simulator: _simulator, ours, scratch: _scratch } = Stand::set_up(settings, "")?;
    let server = ours.start()?;
    client::run(flood(&server, WARM_UP)).context("warming up")?;
    let quiet_kib = server.process.resident_kib()?;
    println!("quiet: {:.1} MiB", mib(quiet_kib));
    let mut floods = Vec::new();
    for round in 0..settings.rounds {
        server.process.forget_peak()?;
        let mut flood = client::run(flood(&server, CONNECTIONS)).context("a flood")?;
        sleep(PAUSE);
        flood.after_kib = server.process.resident_kib()?;
        println!(
            "flood {}/{}: {} logins, {} refusals in {:.1} s; peak {:.1} MiB, after {:.1} MiB",
            round + 1,
            settings.rounds,
            flood.logins,
            flood.refusals,
            flood.seconds,
            mib(flood.peak_kib),
            mib(flood.after_kib)
        );
        floods.push(flood);
    }
    let results = Results { machine, quiet_kib, floods };
    results::store("flood", &results, &tables(&results)?)
}

async fn flood(server: &Server, connections: usize) -> anyhow::Result<Flood> {
    let connections = client::open_all(&server.url, connections).await?;
    let began = Instant::now();
    let (connections, answers) = client::log_in_on(connections, Duration::ZERO, |count| count < LOGINS).await?;
    let seconds = began.elapsed().as_secs_f64();
    let with_status = |status| answers.iter().filter(|(_, answer)| answer.status == status).count();
    let (logins, refusals) = (with_status(200), with_status(503));
    ensure!(logins + refusals == answers.len(), "a login was answered with another status than 200 and 503");
    let peak_kib = server.process.peak_kib()?;
    client::close_all(connections).await;
    Ok(Flood { logins, refusals, seconds, peak_kib, after_kib: 0 })
}

/// The tables, as Markdown.
fn tables(results: &Results) -> anyhow::Result<String> {
    let Results { machine, quiet_kib, floods } = results;
    let mut out = format!("{machine} Memory of one process, before and after {} floods.\n", floods.len());
    writeln!(
        out,
        "\n| {CONNECTIONS} connections at once | logins | answered 503 | s | MiB before | at the peak | 30 s after |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |")?;
    let mut before = *quiet_kib;
    for (number, Flood { logins, refusals, seconds, peak_kib, after_kib }) in (1..).zip(floods) {
        let [before_mib, peak, after] = [before, *peak_kib, *after_kib].map(mib);
        writeln!(
            out,
            "| flood {number} | {logins} | {refusals} | {seconds:.1} | {before_mib:.1} | {peak:.1} | {after:.1} |"
        )?;
        before = *after_kib;
    }
    let [.., before, last] = &floods[..] else { return Ok(out) };
    let taken = |kib: u64| mib(kib) - mib(*quiet_kib);
    let still = Spread::of(floods.iter().map(|flood| taken(flood.after_kib) / taken(flood.peak_kib)));
    let grown = Spread::of([mib(last.peak_kib) / mib(before.peak_kib)]);
    verdicts(
        &mut out,
        "of memory after floods of logins",
        &[
            Verdict::at_most("what is still held 30 s later, x what the flood took", 0.25, still),
            Verdict::at_most("the last peak, x the one before", 1.05, grown),
        ],
    )?;
    Ok(out)
}
