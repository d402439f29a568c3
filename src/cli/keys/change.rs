//! The commands that write: `keys init`, `rotate`, `prune`, `revoke`. Each does all of its work under the lock.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use anyhow::{Context, anyhow};
use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{Alg, Key, KeyId, KeyName, KeyRing, KeySpec, KeyState, KeyUse, RingContent, RingKey};
use auth_ticket::keystore::{Directory, Scan, WriteLock};
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use super::KeysOptions;
use crate::cli::report::{self, WithHint};
use crate::cli::text::{self, parse_duration_s};

const DEFAULT_LIFE_S: u64 = 90 * 86400;
const DEFAULT_MAX_TTL_S: u64 = 86400;
/// Below this, some replica may be asked to open what a key seals that it has not loaded.
pub(crate) const SAFE_LEAD_S: u64 = 5 * 60;
/// A first key has nobody to take over from, so it may start at once, for replicas with slower clocks too.
const INIT_BACKDATED_S: u64 = 60;

/// How long after its making a key starts to seal when nobody says otherwise, in seconds.
const fn default_lead_s(key_use: KeyUse) -> u64 {
    match key_use {
        KeyUse::Ticket => 15 * 60,
        // Longer than anybody may cache the JWKS.
        KeyUse::Jwt => 60 * 60,
    }
}

/// What goes wrong when a key seals before everybody who needs it has it.
const fn harm_of_haste(key_use: KeyUse) -> &'static str {
    match key_use {
        KeyUse::Ticket => "until a replica has loaded the new key, it refuses the tickets that others seal with it",
        KeyUse::Jwt => "until a service has fetched the JWKS with the new key, it refuses the JWTs that it signs",
    }
}

fn key_use_parser() -> impl TypedValueParser<Value = KeyUse> {
    PossibleValuesParser::new(KeyUse::ALL.map(KeyUse::as_str)).try_map(|text| text.parse::<KeyUse>())
}

fn jwt_alg_parser() -> impl TypedValueParser<Value = Alg> {
    PossibleValuesParser::new([Alg::Es256.as_str(), Alg::EdDsa.as_str()]).try_map(|text| text.parse::<Alg>())
}

fn parse_max_ttl_s(text: &str) -> Result<u64, String> {
    let seconds = parse_duration_s(text)?;
    if !(Key::MIN_MAX_TTL_S..=Key::MAX_MAX_TTL_S).contains(&seconds) {
        return Err("not between 1m and 90d".to_owned());
    }
    Ok(seconds)
}

fn parse_life_s(text: &str) -> Result<u64, String> {
    parse_duration_s(text).and_then(|seconds| if seconds == 0 { Err("longer than 0".to_owned()) } else { Ok(seconds) })
}

/// Make the keys directory and its first keys, one for each use
///
/// The first keys seal at once: there is nothing to hand over from.
#[derive(Args, Debug)]
pub(crate) struct Init {
    #[command(flatten)]
    keys: KeysOptions,
    /// Longest life of a ticket that the keys will seal
    #[arg(long, value_name = "DURATION", value_parser = parse_max_ttl_s, default_value = "1d")]
    max_ttl: u64,
    /// How long the keys may seal, should nobody rotate them
    #[arg(long, value_name = "DURATION", value_parser = parse_life_s, default_value = "90d")]
    life: u64,
    /// Algorithm of the key that signs JWTs
    #[arg(long, value_name = "ALG", value_parser = jwt_alg_parser(), default_value = "ES256")]
    jwt_alg: Alg,
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let directory = self.keys.directory();
        directory.create().with_context(|| format!("cannot make {}", directory.path().display()))?;
        let lock = directory.lock().map_err(report::write_failed)?;
        let scan = directory.scan().map_err(report::load_failed)?;
        let is_empty = scan.content.keys.is_empty() && scan.content.revoked.is_empty();
        if !is_empty || !scan.problems.is_empty() || !scan.passed_over.is_empty() {
            return Err(anyhow!("{} already holds keys", directory.path().display()))
                .hint("to add a key that takes over: auth-ticket keys rotate");
        }
        let now = SystemClock.now();
        let seal_from = now.minus(INIT_BACKDATED_S);
        for key_use in KeyUse::ALL {
            let spec = KeySpec {
                key_use,
                alg: if key_use == KeyUse::Jwt { self.jwt_alg } else { key_use.default_alg() },
                created: now,
                seal_from,
                seal_until: seal_from.plus(self.life),
                max_ttl_s: self.max_ttl,
            };
            let key = lock.add_key(spec).map_err(report::write_failed)?;
            say(&format!("made {}, which seals from now until {}", key.name(), spec.seal_until));
        }
        say(&format!("look at them: auth-ticket keys list --keys {}", directory.path().display()));
        Ok(())
    }
}

/// Add a key that takes over after a lead; nobody is logged out
///
/// Nothing but new files is written: the key that seals now loses its turn when the new one's begins, and opens what it
/// has sealed for as long as that lives. Copy the directory to all replicas within the lead.
#[derive(Args, Debug)]
pub(crate) struct Rotate {
    #[command(flatten)]
    keys: KeysOptions,
    /// Only this use [default: every use that has a key]
    #[arg(long = "use", value_name = "USE", value_parser = key_use_parser())]
    key_use: Option<KeyUse>,
    /// How long until the new key takes over [default: 15m, 1h for jwt]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_s)]
    lead: Option<u64>,
    /// Take over at once, for emergencies; says what that breaks
    #[arg(long, conflicts_with = "lead")]
    now: bool,
    /// Do nothing unless the newest key was made longer ago than this; for cron
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_s)]
    if_older_than: Option<u64>,
    /// Add a key even if one is waiting to take over
    #[arg(long)]
    force: bool,
}

impl Rotate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let directory = self.keys.directory();
        let lock = directory.lock().map_err(report::write_failed)?;
        let now = SystemClock.now();
        let (ring, passed_over) = directory.load_ring([], now).map_err(report::load_failed)?;
        for file in passed_over {
            warn(&file);
        }
        let uses: Vec<KeyUse> = match self.key_use {
            Some(key_use) => vec![key_use],
            None => KeyUse::ALL.into_iter().filter(|key_use| ring.keys_of(*key_use).next().is_some()).collect(),
        };
        let mut due = Vec::new();
        for key_use in uses {
            let newest = newest_of(&ring, key_use);
            let age_s = newest.map_or(u64::MAX, |newest| now.since(newest.created));
            // A revoked last key seals nothing, however young it is.
            let last_is_revoked = ring.keys_of(key_use).next_back().is_some_and(RingKey::is_revoked);
            if !last_is_revoked && self.if_older_than.is_some_and(|limit_s| age_s <= limit_s) {
                say(&format!("{key_use}: the newest key is {} old, nothing to do", text::duration(age_s)));
                continue;
            }
            self.refuse_if_pending(&ring, key_use, now)?;
            due.push((key_use, newest));
        }
        for (key_use, newest) in due {
            let lead_s = if self.now { 0 } else { self.lead.unwrap_or(default_lead_s(key_use)) };
            let harm = harm_of_haste(key_use);
            if self.now {
                warn(&format_args!("--now: {harm}"));
            } else if lead_s < SAFE_LEAD_S {
                let (lead, safe) = (text::duration(lead_s), text::duration(SAFE_LEAD_S));
                warn(&format_args!("a lead of {lead} is shorter than {safe}: {harm}"));
            }
            let key = add_successor(&lock, key_use, newest, now, now.plus(lead_s))?;
            let seal_from = key.spec().seal_from;
            say(&format!("added {}, which takes over {} ({seal_from})", key.name(), text::relative(seal_from, now)));
        }
        Ok(())
    }

    fn refuse_if_pending(&self, ring: &KeyRing, key_use: KeyUse, now: UnixSeconds) -> anyhow::Result<()> {
        let pending = ring.keys_of(key_use).find(|ring_key| ring_key.state(now) == KeyState::Pending);
        match pending {
            Some(waiting) if !self.force => {
                let (name, at) = (waiting.key().name(), waiting.key().spec().seal_from);
                Err(anyhow!("{name} is already waiting to take over {} ({at})", text::relative(at, now)))
                    .hint("wait for it, or add another one with --force")
            }
            _ => Ok(()),
        }
    }
}

fn newest_of(ring: &KeyRing, key_use: KeyUse) -> Option<KeySpec> {
    ring.keys_of(key_use).map(|ring_key| *ring_key.key().spec()).max_by_key(|spec| (spec.created, spec.seal_from))
}

/// Adds a key that inherits algorithm, life and longest ttl from `newest`.
fn add_successor(
    lock: &WriteLock,
    key_use: KeyUse,
    newest: Option<KeySpec>,
    now: UnixSeconds,
    seal_from: UnixSeconds,
) -> anyhow::Result<Key> {
    let life_s = newest.map_or(DEFAULT_LIFE_S, |spec| spec.seal_until.since(spec.seal_from));
    let spec = KeySpec {
        key_use,
        alg: newest.map_or(key_use.default_alg(), |spec| spec.alg),
        created: now,
        seal_from,
        seal_until: seal_from.plus(life_s),
        max_ttl_s: newest.map_or(DEFAULT_MAX_TTL_S, |spec| spec.max_ttl_s),
    };
    lock.add_key(spec).map_err(report::write_failed)
}

/// Delete the files of keys that have been dead for an hour
///
/// A key is dead when nothing that it sealed can still be alive. The last key of a use and all revocations stay.
#[derive(Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    keys: KeysOptions,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let directory = self.keys.directory();
        let lock = directory.lock().map_err(report::write_failed)?;
        let now = SystemClock.now();
        let (ring, _) = directory.load_ring([], now).map_err(report::load_failed)?;
        let names = ring.prunable(now);
        if names.is_empty() {
            say("nothing to delete");
        }
        for name in names {
            if self.dry_run {
                say(&format!("would delete {name}"));
            } else {
                lock.remove_key(name).map_err(report::write_failed)?;
                say(&format!("deleted {name}"));
            }
        }
        Ok(())
    }
}

/// Kill a key at once, with every ticket that it sealed
///
/// If it is the key that seals, or one that waits for its turn, a successor is added first. Works in a directory that is otherwise broken.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// The key's kid (a1b2c3d4), or its name (ticket-a1b2c3d4)
    #[arg(value_name = "KID")]
    key: KeyArgument,
    #[command(flatten)]
    keys: KeysOptions,
    /// How long until the successor of a sealing key takes over
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_s, default_value = "0s")]
    lead: u64,
}

/// A kid, with or without the use in front of it.
#[derive(Clone, Copy, Debug)]
struct KeyArgument {
    key_use: Option<KeyUse>,
    kid: KeyId,
}

impl FromStr for KeyArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "write for example a1b2c3d4 or ticket-a1b2c3d4";
        let (key_use, kid) = match text.rsplit_once('-') {
            Some((key_use, kid)) => (Some(key_use.parse::<KeyUse>().map_err(|_| EXAMPLE.to_owned())?), kid),
            None => (None, text),
        };
        Ok(Self { key_use, kid: KeyId::parse(kid).ok_or_else(|| EXAMPLE.to_owned())? })
    }
}

impl fmt::Display for KeyArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key_use {
            Some(key_use) => write!(f, "{key_use}-{}", self.kid),
            None => write!(f, "{}", self.kid),
        }
    }
}

impl Revoke {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let directory = self.keys.directory();
        let lock = directory.lock().map_err(report::write_failed)?;
        // A key that leaks does not wait until everything else is in order.
        if let Err(error) = directory.scan() {
            warn(&error);
        }
        let scan = directory.scan_as_it_is().unwrap_or_default();
        for problem in &scan.problems {
            warn(problem);
        }
        let name = self.key_name(&directory, &scan)?;
        let successor = self.successor(&lock, scan.content, name)?;
        if !lock.revoke(name).map_err(report::write_failed)? {
            say(&format!("{name} was already revoked"));
            return Ok(());
        }
        say(&format!("revoked {name}: whatever it sealed is refused as soon as a replica sees the file"));
        if let Some(successor) = successor {
            say(&format!(
                "{} takes over at {}; a replica that has not loaded it yet refuses its tickets until it does",
                successor.name(),
                successor.spec().seal_from
            ));
        }
        Ok(())
    }

    /// Which key is meant: by its full name, or by a kid that stands in the directory.
    fn key_name(&self, directory: &Directory, scan: &Scan) -> anyhow::Result<KeyName> {
        if let Some(key_use) = self.key.key_use {
            return Ok(KeyName { key_use, kid: self.key.kid });
        }
        let names = KeyUse::ALL.map(|key_use| KeyName { key_use, kid: self.key.kid });
        let there = |name: &KeyName| {
            let file = directory.path().join(format!("{name}.key"));
            file.symlink_metadata().is_ok() || scan.content.revoked.contains(name)
        };
        names
            .into_iter()
            .find(there)
            .ok_or_else(|| anyhow!("no key {} in {}", self.key, directory.path().display()))
            .hint(format!("see auth-ticket keys list; to revoke a key that is not there: ticket-{}", self.key.kid))
    }

    /// Adds a key to go on with, if `name` is the one that seals now or one whose turn would come.
    fn successor(&self, lock: &WriteLock, content: RingContent, name: KeyName) -> anyhow::Result<Option<Key>> {
        let now = SystemClock.now();
        let ring = match KeyRing::new(content, []) {
            Ok(ring) => ring,
            Err(error) => {
                warn(&error);
                return Ok(None);
            }
        };
        let has_a_turn = |state| matches!(state, KeyState::Active | KeyState::Pending);
        let revoked = ring.keys_of(name.key_use).find(|ring_key| ring_key.key().name() == name);
        let Some(revoked) = revoked.filter(|revoked| has_a_turn(revoked.state(now))) else { return Ok(None) };
        // Strictly later than the revoked key's own start, or the revoked one might stay the last that has started.
        let after_the_revoked = revoked.key().spec().seal_from.plus(1);
        let seal_from = now.plus(self.lead).max(after_the_revoked);
        add_successor(lock, name.key_use, newest_of(&ring, name.key_use), now, seal_from).map(Some)
    }
}

/// Tells what was done. That nobody can read it is no reason to leave the rest undone: the exit status is about keys.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn warn(what: &dyn fmt::Display) {
    // If standard error is closed, nobody waits for the warning.
    let _ = writeln!(io::stderr(), "warning: {what}");
}
