//! The commands that read: `keys list` and `keys plan`, for people and, with `--json`, for programs.

use std::io::{self, Write};

use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{Concern, Event, KeyRing, KeyState, KeyUse, RingView, Step};
use auth_ticket::keystore::PassedOver;
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::options::KeysOptions;
use super::owner::Access;
use crate::cli::report;
use crate::cli::text::{self, Columns};

/// List the keys with their states and dates, and what happens next
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    keys: KeysOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List everything that will happen to the keys if nobody changes them
#[derive(Args, Debug)]
pub(crate) struct Plan {
    #[command(flatten)]
    keys: KeysOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn load(keys: &KeysOptions, now: UnixSeconds) -> anyhow::Result<(KeyRing, Vec<PassedOver>)> {
    keys.open(Access::Read)?.load_ring([], now).map_err(report::load_failed)
}

impl List {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let (ring, passed_over) = load(&self.keys, now)?;
        let mut out = io::stdout().lock();
        if self.json {
            return Ok(writeln!(out, "{}", list_json(&ring, &passed_over, now)?)?);
        }
        Ok(write_list(&mut out, &ring, &passed_over, now)?)
    }
}

impl Plan {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let (ring, _) = load(&self.keys, now)?;
        let mut out = io::stdout().lock();
        if self.json {
            return Ok(writeln!(out, "{}", plan_json(&ring, now))?);
        }
        Ok(write_plan(&mut out, &ring, now)?)
    }
}

fn write_list(out: &mut impl Write, ring: &KeyRing, passed_over: &[PassedOver], now: UnixSeconds) -> io::Result<()> {
    let mut table = Columns::new(&["USE", "KID", "STATE", "SEALS FROM", "SEALS UNTIL", "OPENS UNTIL", "MAX TTL"]);
    for ring_key in ring.keys() {
        let spec = ring_key.key().spec();
        let state = ring_key.state(now);
        let dates = if state == KeyState::Revoked {
            ["-".to_owned(), "-".to_owned(), "-".to_owned()]
        } else {
            [spec.seal_from, ring_key.end(), ring_key.dead_at()].map(|at| text::relative(at, now))
        };
        let [from, until, opens] = dates;
        let name = ring_key.key().name();
        let cells = vec![
            name.key_use.to_string(),
            name.kid.to_string(),
            state.to_string(),
            from,
            until,
            opens,
            text::duration(spec.max_ttl_s),
        ];
        table.row(cells);
    }
    writeln!(out, "{}", table.render())?;
    if let Some(event) = ring.events(now).first() {
        writeln!(out, "next: {}, {}", text::relative(event.at, now), describe(ring, event))?;
    }
    writeln!(out, "fingerprint: {}", ring.fingerprint())?;
    for concern in ring.concerns(now) {
        writeln!(out, "warning: {}", worry(&concern, now))?;
    }
    for file in passed_over {
        writeln!(out, "warning: {file}")?;
    }
    Ok(())
}

fn write_plan(out: &mut impl Write, ring: &KeyRing, now: UnixSeconds) -> io::Result<()> {
    let mut table = Columns::new(&["WHEN", "UTC", "WHAT HAPPENS"]);
    for key_use in KeyUse::ALL {
        if ring.keys_of(key_use).next().is_some() {
            let sealing = ring.sealing_key(key_use, now).map_or_else(
                || format!("no {key_use} key can seal"),
                |sealing| format!("{} seals", sealing.key().name()),
            );
            table.row(vec!["now".to_owned(), now.to_string(), sealing]);
        }
    }
    for event in ring.events(now) {
        table.row(vec![text::relative(event.at, now), event.at.to_string(), describe(ring, &event)]);
    }
    write!(out, "{}", table.render())?;
    for concern in ring.concerns(now) {
        writeln!(out, "warning: {}", worry(&concern, now))?;
    }
    Ok(())
}

fn describe(ring: &KeyRing, event: &Event) -> String {
    let (name, key_use) = (event.key, event.key.key_use);
    match event.step {
        Step::StartsSealing => match ring.sealing_key(key_use, event.at.minus(1)) {
            Some(before) => format!("{name} takes over from {}, which opens on", before.key().kid()),
            None => format!("{name} starts to seal"),
        },
        Step::LastStopsSealing => {
            let consequence = match key_use {
                KeyUse::Ticket => "logins are refused from then on",
                KeyUse::Jwt => "no JWTs from then on",
            };
            let starts = |later: &&Event| later.step == Step::StartsSealing && later.key.key_use == key_use;
            match ring.events(event.at).iter().find(starts) {
                Some(next) => format!("{name} stops sealing: {consequence}, until {} starts at {}", next.key, next.at),
                None => format!("{name} stops sealing and nothing follows: {consequence}; keys rotate before"),
            }
        }
        Step::Dies => format!("{name} is dead: nothing that it sealed is alive"),
        Step::MayBePruned => format!("the file of {name} may go: keys prune"),
        _ => format!("{name} changes"),
    }
}

fn worry(concern: &Concern, now: UnixSeconds) -> String {
    match concern {
        Concern::CannotSeal(KeyUse::Ticket) => {
            format!("{concern}: logins are refused, checks go on; run {}", text::rotate("--now"))
        }
        Concern::AllDead(KeyUse::Ticket) => {
            format!("{concern}: logins and all tickets are refused; run {}", text::rotate("--now"))
        }
        Concern::CannotSeal(key_use) | Concern::AllDead(key_use) => {
            format!("{concern}; run {}", text::rotate(&format!("--use {key_use}")))
        }
        Concern::LastFifth { key, until } => {
            let (when, rotate) = (text::relative(*until, now), text::rotate(&format!("--use {}", key.key_use)));
            format!("{key} stops sealing {when} and nothing follows it; run {rotate}")
        }
        Concern::Gap { key_use, .. } => {
            format!("{concern}; run {}", text::rotate(&format!("--use {key_use} --force")))
        }
        // Other concerns say all there is to say.
        other => other.to_string(),
    }
}

/// What `keys list --json` prints.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    ring: RingView,
    passed_over: Vec<PassedFile<'a>>,
}

#[derive(Serialize)]
struct PassedFile<'a> {
    file: &'a str,
    why: &'a str,
}

fn list_json(ring: &KeyRing, passed_over: &[PassedOver], now: UnixSeconds) -> anyhow::Result<String> {
    let passed_over = passed_over.iter().map(|file| PassedFile { file: &file.file, why: &file.why }).collect();
    Ok(serde_json::to_string(&Listed { ring: ring.view(now), passed_over })?)
}

fn plan_json(ring: &KeyRing, now: UnixSeconds) -> Value {
    let events: Vec<Value> = ring
        .events(now)
        .iter()
        .map(|event| {
            let step = match event.step {
                Step::StartsSealing => "starts_sealing",
                Step::LastStopsSealing => "last_stops_sealing",
                Step::Dies => "dies",
                Step::MayBePruned => "may_be_pruned",
                _ => "changes",
            };
            json!({
                "at": event.at.to_string(),
                "use": event.key.key_use.as_str(),
                "kid": event.key.kid.to_string(),
                "event": step,
                "description": describe(ring, event),
            })
        })
        .collect();
    json!({ "now": now.to_string(), "fingerprint": ring.fingerprint().to_string(), "events": events })
}
