//! `keys check`: is the ring as it should be, and is it the same everywhere?

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{Concern, KeyRing, KeyState, KeyUse, Step};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::VERSION;
use clap::{Args, ValueHint};
use tokio::time::{sleep, timeout};

use super::change::SAFE_LEAD_S;
use super::options::KeysOptions;
use super::owner::Access;
use super::replica::{Replica, clocks_differ};
use crate::cli::findings::{Findings, Level};
use crate::cli::local_http::ServerUrl;
use crate::cli::report;
use crate::cli::{servers, text};

/// For the whole of an answer.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(5);
/// A ring of thousands of keys is told of in less.
const MAX_ANSWER_LEN: usize = 1 << 20;
/// A server's `keys_poll`, unless it is configured.
const DEFAULT_POLL: Duration = Duration::from_secs(5);
/// What a look at the directory takes on a slow disk.
const LOOK_TAKES: Duration = Duration::from_secs(1);
/// Between two questions to a replica that may be about to see a change.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// Check the keys, and whether replicas have the same ones; for cron and CI
///
/// Exits with 1 if somebody must act: a file is faulty, no key can seal, the last key is in the last fifth of its life, there
/// will be a time without a key, a replica still has other keys after the time that it needs to see a change, or its clock
/// is more than a minute off.
#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    keys: KeysOptions,
    /// Also check this server configuration: whether the keys allow its ttl
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// A running replica's address for operators, http://HOST:PORT or unix:PATH; may be repeated
    #[arg(long = "replica", value_name = "URL", value_hint = ValueHint::Url)]
    replicas: Vec<ServerUrl>,
    /// How long a replica may take to see a change [default: keys_poll, or 5s, plus one second]
    #[arg(long, value_name = "DURATION", value_parser = text::parse_duration_s)]
    wait: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut findings = Findings::default();
        let config = match &self.config {
            Some(path) => findings.load_config(path, self.json)?,
            None => None,
        };
        let ttl_s = config.as_ref().map(|config| config.settings.policy.ttl_s);
        let ring = check_opened(&mut findings, self.keys.open(Access::Read), ttl_s);
        if !self.replicas.is_empty() {
            let poll = config.map_or(DEFAULT_POLL, |config| config.keys_poll);
            let patience = self.wait.map_or(poll + LOOK_TAKES, Duration::from_secs);
            servers::runtime(0)?.block_on(check_replicas(&mut findings, ring.as_ref(), &self.replicas, patience))?;
        }
        findings.conclude(self.json)
    }
}

/// As [`check_directory`], and why it is not `opened`.
pub(crate) fn check_opened(
    findings: &mut Findings,
    opened: anyhow::Result<Directory>,
    ttl_s: Option<u64>,
) -> Option<KeyRing> {
    match opened {
        Ok(directory) => check_directory(findings, &directory, ttl_s),
        Err(error) => {
            findings.add(Level::Fail, "keys", format!("{error:#}"), report::hint_of(&error).map(str::to_owned));
            None
        }
    }
}

/// Everything about a directory that can be said on the spot; the ring, if there is one.
fn check_directory(findings: &mut Findings, directory: &Directory, ttl_s: Option<u64>) -> Option<KeyRing> {
    let now = SystemClock.now();
    let (ring, passed_over) = match directory.load_ring([], now) {
        Ok(loaded) => loaded,
        Err(error) => {
            findings.add(Level::Fail, "keys", error.to_string(), error.remedy());
            return None;
        }
    };
    let place = directory.path().display();
    findings.ok(
        "keys",
        format!("{} in {place}, fingerprint {}", text::count(ring.keys().count(), "key"), ring.fingerprint()),
    );
    for file in passed_over {
        findings.add(Level::Warn, "files", file.to_string(), None);
    }
    for key_use in KeyUse::ALL {
        check_use(findings, &ring, key_use, ttl_s.filter(|_| key_use == KeyUse::Ticket), now);
    }
    Some(ring)
}

fn check_use(findings: &mut Findings, ring: &KeyRing, key_use: KeyUse, ttl_s: Option<u64>, now: UnixSeconds) {
    let Some(last) = ring.keys_of(key_use).next_back() else { return };
    let rotate = || Some(text::rotate(&format!("--use {key_use}")));
    match ring.sealing_key(key_use, now) {
        None => {
            let at_once = Some(text::rotate(&format!("--use {key_use} --now")));
            findings.add(Level::Fail, key_use.as_str(), ring.cannot_seal(key_use, now).to_string(), at_once);
        }
        Some(sealing) => {
            let spec = sealing.key().spec();
            let until = text::relative(sealing.end(), now);
            findings.ok(key_use.as_str(), format!("{} seals, until {until}", sealing.key().name()));
            if let Some(ttl_s) = ttl_s.filter(|ttl_s| *ttl_s > spec.max_ttl_s) {
                let (ttl, max_ttl) = (text::duration(ttl_s), text::duration(spec.max_ttl_s));
                let what = format!("ticket.ttl is {ttl}, but the key allows {max_ttl}: tickets live that long");
                findings.add(Level::Warn, key_use.as_str(), what, Some("shorten ticket.ttl".to_owned()));
            }
        }
    }
    for concern in ring.concerns(now) {
        if matches!(concern, Concern::LastFifth { key, .. } if key.key_use == key_use) {
            findings.add(Level::Fail, key_use.as_str(), concern.to_string(), rotate());
        }
    }
    for event in ring.events(now) {
        if event.key.key_use == key_use && event.step == Step::LastStopsSealing && event.key != last.key().name() {
            let what = format!("{} stops sealing at {} and the next one starts later", event.key, event.at);
            findings.add(Level::Fail, key_use.as_str(), what, rotate());
        }
    }
    for ring_key in ring.keys_of(key_use).filter(|ring_key| ring_key.state(now) == KeyState::Pending) {
        let lead_s = ring_key.key().spec().seal_from.since(ring_key.key().spec().created);
        if lead_s < SAFE_LEAD_S {
            let what = format!("{} was given a lead of only {}", ring_key.key().name(), text::duration(lead_s));
            findings.add(Level::Warn, key_use.as_str(), what, Some("see that all replicas have it".to_owned()));
        }
    }
}

async fn check_replicas(
    findings: &mut Findings,
    ring: Option<&KeyRing>,
    replicas: &[ServerUrl],
    patience: Duration,
) -> anyhow::Result<()> {
    let mut first_version: Option<String> = None;
    let settled = replicas.iter().map(|replica| settle(replica, ring, patience));
    for (replica, told) in replicas.iter().zip(futures_util::future::join_all(settled).await) {
        let replica = &replica.to_string();
        let (told, clocks) = match told {
            Ok(told) => told,
            Err(error) => {
                let remedy =
                    Some("give the address that admin_listen names, and see that it can be reached".to_owned());
                findings.add(Level::Fail, replica, format!("{error:#}"), remedy);
                continue;
            }
        };
        if told.ticket_version != VERSION {
            let what = format!("seals tickets of version {}, not {VERSION}", told.ticket_version);
            findings.add(Level::Fail, replica, what, Some("finish the upgrade".to_owned()));
        } else if told.is_like(ring) {
            findings.ok(replica, format!("the same ring, version {}", told.version));
        } else {
            let differences = ring.map(|ring| told.differences(ring)).unwrap_or_default();
            let what =
                [vec![format!("another ring: fingerprint {}", told.fingerprint)], differences].concat().join("; ");
            let remedy = Some("copy the keys to it; if it has them, its log says why it does not take them".to_owned());
            findings.add(Level::Fail, replica, what, remedy);
        }
        if let Some(what) = clocks {
            findings.add(Level::Fail, replica, what, Some("set the clocks (NTP) of both".to_owned()));
        }
        match &first_version {
            None => first_version = Some(told.version),
            Some(first) if *first != told.version => {
                let what = format!("runs {}, another one {first}", told.version);
                findings.add(Level::Warn, replica, what, Some("finish the upgrade".to_owned()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What a replica tells, once its ring is that of the directory here or has been another one for all of `patience`; and how
/// its clock differs from ours.
async fn settle(
    replica: &ServerUrl,
    ring: Option<&KeyRing>,
    patience: Duration,
) -> anyhow::Result<(Replica, Option<String>)> {
    let mut told = ask(replica).await?;
    // At once: the clock is compared with ours as the answer comes.
    let mut clocks = told.clock().and_then(|theirs| clocks_differ(theirs, SystemClock.now()));
    let until_equal = async {
        while !told.is_like(ring) {
            sleep(LOOK_AGAIN).await;
            let Ok(again) = ask(replica).await else { continue };
            clocks = again.clock().and_then(|theirs| clocks_differ(theirs, SystemClock.now()));
            told = again;
        }
    };
    // It is not equal, and what it told last says why.
    let _ = timeout(patience, until_equal).await;
    Ok((told, clocks))
}

async fn ask(replica: &ServerUrl) -> anyhow::Result<Replica> {
    let broke_off = |error: reqwest::Error| {
        let what = if error.is_timeout() { "did not finish its answer in time" } else { "broke off its answer" };
        anyhow!(what)
    };
    let mut response = replica.get("/keys", REPLICA_TIMEOUT).await?.map_err(|_| anyhow!("cannot be reached"))?;
    if !response.status().is_success() {
        return Err(anyhow!("answers with status {}: not an address for operators", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(broke_off)? {
        if body.len() + piece.len() > MAX_ANSWER_LEN {
            return Err(anyhow!("answers with more than 1 MiB: not an address for operators"));
        }
        body.extend_from_slice(&piece);
    }
    let told: Option<Replica> = serde_json::from_slice(&body).ok();
    told.filter(Replica::is_printable).ok_or_else(|| anyhow!("answers something else than its keys"))
}
