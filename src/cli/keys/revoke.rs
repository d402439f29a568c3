//! `keys revoke`: takes a key's power away, whatever else is broken.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, anyhow};
use auth_ticket::clock::{Clock, LEEWAY_S, SystemClock, UnixSeconds};
use auth_ticket::keyring::{Key, KeyId, KeyName, KeyRing, KeyState, KeyUse};
use auth_ticket::keystore::{Directory, Scan, WriteError, WriteLock};
use clap::Args;

use super::change::{add_successor, newest_of};
use super::options::{KeysOptions, LOCK_WAIT};
use super::owner::Access;
use crate::cli::changes::{Changes, TellOptions, warn};
use crate::cli::report::{self, WithHint};
use crate::cli::text::parse_duration_s;

const NOT_REVOKED: &str = "NOT REVOKED";

/// Revoke a key and every ticket that it sealed, at once
///
/// If the key is active or pending, adds a successor first. Works even if the rest of the directory is faulty.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// The key's kid (a1b2c3d4), or its name (ticket-a1b2c3d4)
    #[arg(value_name = "KID")]
    key: KeyArgument,
    #[command(flatten)]
    keys: KeysOptions,
    /// Lead time until the successor of an active key takes over
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_s, default_value = "0s")]
    lead: u64,
    #[command(flatten)]
    tell: TellOptions,
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
        Ok(Self { key_use, kid: KeyId::parse(kid).map_err(|_| EXAMPLE.to_owned())? })
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
        self.tell.tell(|changes| self.revoke(changes))
    }

    fn revoke(&self, changes: &mut Changes) -> anyhow::Result<()> {
        let directory = self.keys.open(Access::Write).context(NOT_REVOKED)?;
        let lock = directory.lock_within(LOCK_WAIT);
        let found = Found::look(&directory);
        let name = self.key_name(&directory, &found.scan).context(NOT_REVOKED)?;
        let need = self.need(&directory, &found, name, SystemClock.now());
        let successor = need.map(|need| need.meet(lock, name.key_use).inspect(|key| changes.made(key)));
        // Comes last, so that a replica rarely has one without the other, and whatever became of the successor.
        let is_new = match directory.revoke(name).map_err(report::write_failed) {
            Ok(is_new) => is_new,
            Err(error) => return Err(error.context(NOT_REVOKED)),
        };
        if !is_new {
            changes.say(&format!("{name} was already revoked"));
            return Ok(());
        }
        changes.revoked(name);
        changes.say(&format!("revoked {name}: {}", effect(name.key_use)));
        match successor {
            None => Ok(()),
            Some(Ok(successor)) => {
                let was_pending = found.state(name) == Some(KeyState::Pending);
                follow(changes, &directory, name, &successor, was_pending)
            }
            Some(Err(error)) => {
                let path = directory.path().display();
                let rotate = format!("auth-ticket keys rotate --use {} --now --keys {path}", name.key_use);
                Err(error)
                    .with_context(|| format!("{name} is revoked, but {}", harm(name, &found)))
                    .hint(format!("when that is mended, look at keys list, and if nothing seals: {rotate}"))
            }
        }
    }

    /// Which key is meant: by its full name, or by a kid that stands in the directory.
    fn key_name(&self, directory: &Directory, scan: &Scan) -> anyhow::Result<KeyName> {
        if let Some(key_use) = self.key.key_use {
            return Ok(KeyName { key_use, kid: self.key.kid });
        }
        let names = KeyUse::ALL.map(|key_use| KeyName { key_use, kid: self.key.kid });
        names
            .into_iter()
            .find(|name| directory.has_key_file(*name) || scan.content.revoked.contains(name))
            .ok_or_else(|| anyhow!("no key {} in {}", self.key, directory.path().display()))
            .hint(format!("see auth-ticket keys list; to revoke a key that is not there: ticket-{}", self.key.kid))
    }

    /// The successor that is missing once `name` is revoked: of the key that seals now, or of one whose turn would come.
    fn need(&self, directory: &Directory, found: &Found, name: KeyName, now: UnixSeconds) -> Option<Need> {
        let at = now.plus(self.lead);
        let ring = match &found.ring {
            Ok(ring) => ring,
            Err(why) => {
                let why = anyhow!("what seals cannot be read: {why}");
                return directory.has_key_file(name).then(|| Need::Unmet(why));
            }
        };
        let need = |seal_from| Need::Key { newest: newest_of(ring, name.key_use), now, seal_from };
        let Some(revoked) = ring.key(name) else {
            // Its file is there and not right: running servers may seal with it, and a key too many harms nobody.
            return (directory.has_key_file(name) && !found.scan.content.revoked.contains(&name)).then(|| need(at));
        };
        let spec = revoked.key().spec();
        match revoked.state(now) {
            // Made by a clock that was ahead. Its turn never came, and `keys prune` removes it.
            KeyState::Pending if spec.created > now.plus(LEEWAY_S) => {
                ring.sealing_key(name.key_use, now).is_none().then(|| need(at))
            }
            // Strictly later than the revoked key's own start, or the revoked one might stay the last that has started.
            KeyState::Active | KeyState::Pending => Some(need(at.max(spec.seal_from.plus(1)))),
            _ => None,
        }
    }
}

/// What a revocation means for what the key has made.
fn effect(key_use: KeyUse) -> &'static str {
    match key_use {
        KeyUse::Ticket => "whatever it sealed is refused as soon as a replica sees the file",
        KeyUse::Jwt => {
            "replicas sign nothing with it and publish it no more as soon as they see the file; a service that keeps its \
             public half (for 300 s, as the answer allows) accepts its tokens until it fetches the keys again, or they expire"
        }
    }
}

/// A successor that is to be added.
enum Need {
    Key { newest: Option<auth_ticket::keyring::KeySpec>, now: UnixSeconds, seal_from: UnixSeconds },
    Unmet(anyhow::Error),
}

impl Need {
    fn meet(self, lock: Result<WriteLock, WriteError>, key_use: KeyUse) -> anyhow::Result<Key> {
        match self {
            Self::Key { newest, now, seal_from } => {
                let lock = lock.map_err(report::write_failed)?;
                add_successor(&lock, key_use, newest, now, seal_from)
            }
            Self::Unmet(why) => Err(why),
        }
    }
}

/// What it means that there is no successor.
fn harm(name: KeyName, found: &Found) -> String {
    match found.state(name) {
        Some(KeyState::Pending) => {
            "NOTHING SEALS from the time on that it was to take over: it has no successor".to_owned()
        }
        Some(_) => "NOTHING SEALS, for it has no successor".to_owned(),
        None => "it has NO SUCCESSOR: if it was the one that seals, NOTHING SEALS".to_owned(),
    }
}

/// What becomes of the successor, `key`, now that `revoked` is.
///
/// # Errors
/// Servers do not load it, and logins stop. If `revoked` was pending, another key goes on sealing.
fn follow(
    changes: &Changes,
    directory: &Directory,
    revoked: KeyName,
    key: &Key,
    was_pending: bool,
) -> anyhow::Result<()> {
    let (name, at) = (key.name(), key.spec().seal_from);
    match directory.load(SystemClock.now()) {
        Ok(_) => {
            let until_then = match name.key_use {
                KeyUse::Ticket => "a replica that has not loaded it yet refuses its tickets until it does",
                KeyUse::Jwt => {
                    "a service that has fetched the keys before then refuses its tokens until it fetches them again"
                }
            };
            changes.say(&format!("{name} takes over at {at}; {until_then}"));
            Ok(())
        }
        Err(_) if was_pending => {
            changes.say(&format!("{name} takes over at {at}, but servers load it only once the directory is right"));
            Ok(())
        }
        Err(error) => {
            let harm = format!("NOTHING SEALS: servers load {name} only once the directory is right");
            Err(report::load_failed(error).context(format!("{revoked} is revoked, but {harm}")))
        }
    }
}

/// What is in the directory, right or not.
struct Found {
    scan: Scan,
    ring: Result<KeyRing, String>,
}

impl Found {
    /// A key that leaks does not wait until everything else is in order: what is wrong is told, and nothing more.
    fn look(directory: &Directory) -> Self {
        if let Err(error) = directory.scan() {
            warn(&error);
        }
        let scan = directory.scan_as_it_is();
        for problem in scan.iter().flat_map(|scan| &scan.problems) {
            warn(problem);
        }
        match scan {
            Ok(scan) => {
                let ring = KeyRing::new(scan.content.clone(), []).map_err(|error| error.to_string());
                Self { scan, ring }
            }
            Err(error) => Self { scan: Scan::default(), ring: Err(error.to_string()) },
        }
    }

    /// Where the key `name` stands; `None` where that cannot be read.
    fn state(&self, name: KeyName) -> Option<KeyState> {
        Some(self.ring.as_ref().ok()?.key(name)?.state(SystemClock.now()))
    }
}
