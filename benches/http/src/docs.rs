//! `docs/PERFORMANCE.md` and `docs/performance/`: their tables are what the last runs left in the target directory and in
//! `benches/instructions.txt`. The rest of the pages is written by hand and stays.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::figures::{Spread, Verdict, verdicts};
use crate::results::{self, target};
use crate::{figures, flood, layout, logins, memory, outage, plot, requests, start};

const PAGE: &str = "docs/PERFORMANCE.md";
const PAGES: &str = "docs/performance";
const PLOT: &str = "docs/performance.svg";
const LOGINS_PLOT: &str = "docs/performance-logins.svg";
const INSTRUCTIONS: &str = "benches/instructions.txt";

/// Rows of the table of criterion's figures, each with the one that it is a multiple of, if any.
const TIMES: [(&str, Option<&str>); 21] = [
    ("open/usual", Some("raw/xaes open")),
    ("open/forged, last bit flipped", Some("raw/xaes open")),
    ("open/unknown kid", Some("raw/base64url decode")),
    ("open/parse only", Some("raw/base64url decode")),
    ("open/100 keys", Some("open/1 keys")),
    ("open/1000 keys", Some("open/1 keys")),
    ("open/1000000 cutoffs", Some("open/0 cutoffs")),
    ("seal/usual", Some("raw/xaes seal")),
    ("ring/derive 1 keys", Some("raw/hkdf subkey")),
    ("ring/derive 100 keys", Some("ring/derive 1 keys")),
    ("ring/derive 1000 keys", Some("ring/derive 1 keys")),
    ("ring/load 1 key files", Some("ring/derive 1 keys")),
    ("ring/load 100 key files", Some("ring/derive 100 keys")),
    ("ring/load 1000 key files", Some("ring/derive 1000 keys")),
    ("cutoffs/parse and index 1000000", None),
    ("raw/xaes open", None),
    ("raw/xaes key setup and open", Some("raw/xaes open")),
    ("raw/xaes seal", None),
    ("raw/nonce", None),
    ("raw/hkdf subkey", None),
    ("raw/base64url decode", None),
];

/// The sections of the pages: the command that each is from, and its text, if the command has been run.
type Section = (&'static str, fn() -> anyhow::Result<Option<String>>);

const SECTIONS: [Section; 10] = [
    ("make bench", || tables("results", figures::tables)),
    ("make bench-criterion", || {
        let directory = target().join("criterion");
        directory.exists().then(|| times(&directory)).transpose()
    }),
    ("make bench-instructions", || Ok(Some(format!("```text\n{}```\n", fs::read_to_string(INSTRUCTIONS)?)))),
    ("make bench-requests", || tables("requests", requests::tables)),
    ("make bench-memory", || tables("memory", memory::tables)),
    ("make bench-start", || tables("start", start::tables)),
    ("make bench-logins", || tables("logins", logins::tables)),
    ("make bench-flood", || tables("flood", flood::tables)),
    ("make bench-outage", || tables("outage", outage::tables)),
    ("make bench-layout", || tables("layout", layout::tables)),
];

/// Puts the last figures of every command into the page that has its marks. Those of a command that has not been run since
/// stay as they are.
pub(crate) fn write() -> anyhow::Result<()> {
    let mut pages = pages()?;
    for (command, text) in SECTIONS {
        let Some(text) = text()? else {
            println!("left as it is: {command}");
            continue;
        };
        let (begin, end) = (format!("<!-- from {command} -->\n"), format!("<!-- end of {command} -->"));
        let page = pages.iter_mut().find(|(_, page)| page.contains(&begin) && page.contains(&end));
        let (_, page) = page.with_context(|| format!("no page has {begin}"))?;
        *page = replaced(page, &begin, &end, &text);
    }
    for (path, page) in pages {
        fs::write(path, page)?;
    }
    if let Some(results) = results::load("results")? {
        plot::draw(&results, Path::new(PLOT))?;
    }
    if let Some(results) = results::load("logins")? {
        logins::draw(&results, Path::new(LOGINS_PLOT))?;
    }
    println!("{PAGE}, {PAGES}, {PLOT}, {LOGINS_PLOT}");
    Ok(())
}

fn pages() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let entries = fs::read_dir(PAGES).with_context(|| format!("{PAGES}: run it from the root of the repository"))?;
    let paths = entries.map(|entry| Ok(entry?.path())).chain([Ok(PathBuf::from(PAGE))]);
    paths
        .map(|path| path.and_then(|path| fs::read_to_string(&path).map(|page| (path, page)).map_err(Into::into)))
        .collect()
}

fn tables<T: DeserializeOwned>(name: &str, tables: fn(&T) -> anyhow::Result<String>) -> anyhow::Result<Option<String>> {
    results::load(name)?.as_ref().map(tables).transpose()
}

/// `page` with `text` between the two marks, which it has.
fn replaced(page: &str, begin: &str, end: &str, text: &str) -> String {
    let (head, rest) = page.split_once(begin).unwrap_or((page, ""));
    let tail = rest.split_once(end).map_or("", |(_, tail)| tail);
    format!("{head}{begin}\n{}\n\n{end}{tail}", text.trim())
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Medians by the name of the benchmark, in nanoseconds.
fn medians(directory: &Path) -> anyhow::Result<BTreeMap<String, Estimate>> {
    let mut medians = BTreeMap::new();
    let entries = fs::read_dir(directory);
    for entry in entries.with_context(|| format!("{}: make bench-criterion", directory.display()))? {
        let new = entry?.path().join("new");
        let Ok(benchmark) = fs::read(new.join("benchmark.json")) else { continue };
        let benchmark: Benchmark = serde_json::from_slice(&benchmark)?;
        let estimates: Estimates = serde_json::from_slice(&fs::read(new.join("estimates.json"))?)?;
        medians.insert(benchmark.full_id, estimates.median);
    }
    Ok(medians)
}

/// What `benches/turns.rs` has left behind: nanoseconds of opening and of the bare primitive, turn by turn.
fn turns() -> anyhow::Result<Vec<[f64; 2]>> {
    let path = target().join("tmp/turns.json");
    let turns = fs::read(&path).with_context(|| format!("{}: make bench-criterion", path.display()))?;
    Ok(serde_json::from_slice(&turns)?)
}

fn times(directory: &Path) -> anyhow::Result<String> {
    let medians = medians(directory)?;
    let figure = |name: &str| medians.get(name).with_context(|| format!("no figure of {name}: make bench-criterion"));
    let mut out = "| what | median | 95 % interval | x | of |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (name, base) in TIMES {
        let this = figure(name)?;
        let multiple = match base {
            Some(base) => format!("{:.2} | {base}", this.point_estimate / figure(base)?.point_estimate),
            None => " |".to_owned(),
        };
        let Interval { lower_bound, upper_bound } = this.confidence_interval;
        let (middle, lower, upper) = (time(this.point_estimate), time(lower_bound), time(upper_bound));
        writeln!(out, "| {name} | {middle} | {lower} to {upper} | {multiple} |")?;
    }
    let ratio = Spread::of(turns()?.into_iter().map(|[open, bare]| open / bare));
    verdicts(
        &mut out,
        "of opening, by turns",
        &[Verdict::at_most("usual ticket, x bare XAES open of the same bytes", 1.4, ratio)],
    )?;
    Ok(out)
}

fn time(ns: f64) -> String {
    match ns {
        _ if ns < 10_000.0 => format!("{ns:.0} ns"),
        _ if ns < 10_000_000.0 => format!("{:.1} µs", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}
