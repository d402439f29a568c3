//! The commands that add keys: `keys init`, `rotate`. Each does all of its work under the lock.

use std::io;

use anyhow::{Context, anyhow};
use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{Alg, Key, KeyRing, KeySpec, KeyState, KeyUse, RingKey};
use auth_ticket::keystore::{Directory, LoadError, MakeError, Owner, WriteLock};
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use super::options::{KeysOptions, LOCK_WAIT};
use super::owner::{self, Access};
use crate::cli::changes::{Changes, TellOptions, warn};
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

/// Create the keys directory and its first keys, one for each use
///
/// The first keys become active at once, because there are no keys before them.
#[derive(Args, Debug)]
pub(crate) struct Init {
    #[command(flatten)]
    keys: KeysOptions,
    /// Longest lifetime of the tickets that the keys will seal
    #[arg(long, value_name = "DURATION", value_parser = parse_max_ttl_s, default_value = "1d")]
    max_ttl: u64,
    /// How long the keys may seal if nobody rotates them
    #[arg(long, value_name = "DURATION", value_parser = parse_life_s, default_value = "90d")]
    life: u64,
    /// Algorithm of the key that signs JWTs
    #[arg(long, value_name = "ALG", value_parser = jwt_alg_parser(), default_value = "ES256")]
    jwt_alg: Alg,
    /// Create the directory for this user, by name or number [default: the current user]
    ///
    /// Only for a directory that does not exist. Its parent must exist, and be writable by root only.
    #[arg(long, value_name = "USER", value_parser = owner::parse_owner)]
    owner: Option<Owner>,
    #[command(flatten)]
    tell: TellOptions,
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.tell.tell(|changes| self.make(changes))
    }

    fn make(&self, changes: &mut Changes) -> anyhow::Result<()> {
        let directory = self.directory()?;
        let lock = directory.lock_within(LOCK_WAIT).map_err(report::write_failed)?;
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
            changes.made(&key);
            changes.say(&format!("made {}, which seals from now until {}", key.name(), spec.seal_until));
        }
        if let Some(concern) = owner::concern() {
            warn(&concern);
        }
        changes.say(&format!("look at them: auth-ticket keys list --keys {}", directory.path().display()));
        Ok(())
    }

    /// The directory, made if it is missing.
    fn directory(&self) -> anyhow::Result<Directory> {
        self.keys.check()?;
        let directory = self.keys.directory();
        let path = directory.path().display();
        let Some(wanted) = self.owner else {
            directory.create().with_context(|| format!("cannot make {path}"))?;
            return owner::open(directory, Access::Write);
        };
        match directory.owner() {
            Ok(present) if present.uid != wanted.uid => {
                return Err(anyhow!("{path} is there already, and belongs to {}", owner::named(present.uid)))
                    .hint("--owner is for a directory that is missing");
            }
            Ok(_) => {}
            Err(LoadError::List { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                directory.create_for(wanted).map_err(|error| make_failed(error, &directory, wanted))?;
            }
            Err(error) => return Err(report::load_failed(error)),
        }
        owner::open(directory, Access::Write)
    }
}

fn make_failed(error: MakeError, directory: &Directory, owner: Owner) -> anyhow::Error {
    let hint = match &error {
        MakeError::ParentOfOthers(parent) => {
            Some(format!("choose a place where only root can write, or: chmod go-w {}", parent.display()))
        }
        MakeError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => Some("run it as root".to_owned()),
        _ => None,
    };
    let what = format!("cannot make {} for {}", directory.path().display(), owner::named(owner.uid));
    report::with_hint(anyhow::Error::new(error).context(what), hint)
}

/// Add a key that takes over after a lead time; nobody is logged out
///
/// Adds files and changes none. When the new key takes over, the current one stops sealing, but still opens its tickets
/// until they expire. Copy the directory to all replicas within the lead time.
#[derive(Args, Debug)]
pub(crate) struct Rotate {
    #[command(flatten)]
    keys: KeysOptions,
    /// Only rotate keys of this use [default: every use that has a key]
    #[arg(long = "use", value_name = "USE", value_parser = key_use_parser())]
    key_use: Option<KeyUse>,
    /// Lead time until the new key takes over [default: 15m, 1h for jwt]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_s)]
    lead: Option<u64>,
    /// Take over at once, for emergencies; prints what that breaks
    #[arg(long, conflicts_with = "lead")]
    now: bool,
    /// Do nothing unless the newest key is older than this; for cron
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_s)]
    if_older_than: Option<u64>,
    /// Add a key even if another one is pending
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    tell: TellOptions,
}

impl Rotate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.tell.tell(|changes| self.add(changes))
    }

    fn add(&self, changes: &mut Changes) -> anyhow::Result<()> {
        let (directory, lock) = self.keys.lock()?;
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
                changes.say(&format!("{key_use}: the newest key is {} old, nothing to do", text::duration(age_s)));
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
            changes.made(&key);
            let when = text::relative(seal_from, now);
            changes.say(&format!("added {}, which takes over {when} ({seal_from})", key.name()));
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

pub(crate) fn newest_of(ring: &KeyRing, key_use: KeyUse) -> Option<KeySpec> {
    ring.keys_of(key_use).map(|ring_key| *ring_key.key().spec()).max_by_key(|spec| (spec.created, spec.seal_from))
}

/// Adds a key that inherits algorithm, life and longest ttl from `newest`.
pub(crate) fn add_successor(
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
