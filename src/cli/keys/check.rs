//! `keys check`: is the ring as it should be, and is it the same everywhere?

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{Concern, KeyRing, KeyState, KeyUse, Step};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::VERSION;
use clap::{Args, ValueHint};
use serde::Deserialize;
use url::Url;

use super::KeysOptions;
use super::change::SAFE_LEAD_S;
use super::owner::Access;
use crate::cli::config::{self, Config, ConfigError, Overrides};
use crate::cli::findings::{Findings, Level};
use crate::cli::report::{self, WithHint};
use crate::cli::{serve, text};

/// For the whole of an answer.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(5);
/// A ring of thousands of keys is told of in less.
const MAX_ANSWER_LEN: usize = 1 << 20;

/// Check the keys, and whether replicas hold the same ones; for cron and CI
///
/// Exits 1 when somebody has to act: a file is not right, no key can seal, the last one is in the last fifth of its life,
/// a gap lies ahead, or a replica holds another ring.
#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    keys: KeysOptions,
    /// Check against this server configuration, too: a ttl that the keys do not allow
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// A running replica's address for operators, http://HOST:PORT; may be given several times
    #[arg(long = "replica", value_name = "URL", value_hint = ValueHint::Url)]
    replicas: Vec<Url>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut findings = Findings::default();
        let ttl_s = match self.config.as_deref().map(configured_ttl_s).transpose() {
            Ok(ttl_s) => ttl_s,
            Err(error) if self.json => {
                findings.mistakes(&error);
                None
            }
            Err(error) => {
                return Err(error).hint("see every setting and its default: auth-ticket serve --print-example-config");
            }
        };
        let ring = check_opened(&mut findings, self.keys.open(Access::Read), ttl_s);
        if !self.replicas.is_empty() {
            serve::runtime(0)?.block_on(check_replicas(&mut findings, ring.as_ref(), &self.replicas))?;
        }
        findings.conclude(self.json)
    }
}

fn configured_ttl_s(path: &Path) -> Result<u64, ConfigError> {
    Ok(Config::load(path, config::environment(), &Overrides::default())?.ticket.ttl_s)
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
    findings
        .ok("keys", format!("{} in {place}, fingerprint {}", count(ring.keys().count(), "key"), ring.fingerprint()));
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

/// What a replica tells of itself at `/keys`.
#[derive(Deserialize)]
struct Told {
    version: String,
    ticket_version: u8,
    fingerprint: String,
}

impl Told {
    /// What is shown of it goes to a terminal, and it comes from whoever answers at the address.
    fn is_printable(&self) -> bool {
        let is_plain = |text: &str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        };
        is_plain(&self.version) && is_plain(&self.fingerprint)
    }
}

async fn check_replicas(findings: &mut Findings, ring: Option<&KeyRing>, replicas: &[Url]) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .timeout(REPLICA_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("cannot set up the HTTP client; are the system's CA certificates installed?")?;
    let mut first_version: Option<String> = None;
    for replica in replicas {
        let told = match ask(&client, replica).await {
            Ok(told) => told,
            Err(error) => {
                let remedy =
                    Some("give the address that admin_listen names, and see that it can be reached".to_owned());
                findings.add(Level::Fail, replica.as_str(), format!("{error:#}"), remedy);
                continue;
            }
        };
        let same = ring.is_some_and(|ring| ring.fingerprint().to_string() == told.fingerprint);
        if told.ticket_version != VERSION {
            let what = format!("seals tickets of version {}, not {VERSION}", told.ticket_version);
            findings.add(Level::Fail, replica.as_str(), what, Some("finish the upgrade".to_owned()));
        } else if same {
            findings.ok(replica.as_str(), format!("the same ring, version {}", told.version));
        } else {
            let what = format!("another ring: fingerprint {}", told.fingerprint);
            let remedy = Some("copy the keys to it; if it has them, its log says why it does not take them".to_owned());
            findings.add(Level::Fail, replica.as_str(), what, remedy);
        }
        match &first_version {
            None => first_version = Some(told.version),
            Some(first) if *first != told.version => {
                let what = format!("runs {}, another one {first}", told.version);
                findings.add(Level::Warn, replica.as_str(), what, Some("finish the upgrade".to_owned()));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

async fn ask(client: &reqwest::Client, replica: &Url) -> anyhow::Result<Told> {
    let url = replica.join("/keys").context("no URL of a replica")?;
    let broke_off = |error: reqwest::Error| {
        let what = if error.is_timeout() { "did not finish its answer in time" } else { "broke off its answer" };
        anyhow!(what)
    };
    let mut response = client.get(url).send().await.map_err(|_| anyhow!("cannot be reached"))?;
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
    let told: Option<Told> = serde_json::from_slice(&body).ok();
    told.filter(Told::is_printable).ok_or_else(|| anyhow!("answers something else than its keys"))
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}
