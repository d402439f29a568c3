//! `keys prune`: deletes what nothing alive needs any more.

use anyhow::anyhow;
use auth_ticket::clock::{Clock, LEEWAY_S, SystemClock, UnixSeconds};
use auth_ticket::keyring::{KeyName, KeyRing, RingKey};
use auth_ticket::keystore::WriteLock;
use clap::Args;

use super::options::KeysOptions;
use crate::cli::changes::{Changes, TellOptions};
use crate::cli::report::{self, WithHint};
use crate::cli::text;

/// Delete the files of keys that have been dead for an hour
///
/// A key is dead once everything that it sealed has expired. The last key of each use and all revocations are kept. Revoked
/// keys that were created in the future, by a clock that was ahead, are deleted as well.
#[derive(Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    keys: KeysOptions,
    /// Print what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    tell: TellOptions,
}

impl Prune {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.tell.tell(|changes| self.delete(changes))
    }

    fn delete(&self, changes: &mut Changes) -> anyhow::Result<()> {
        let (directory, lock) = self.keys.lock()?;
        let now = trusted_now(&lock)?;
        let ring = directory.load_ring_of_any_time().map_err(report::load_failed)?;
        let mut names = ring.prunable(now);
        names.extend(from_the_future(&ring, now));
        if names.is_empty() {
            changes.say("nothing to delete");
        }
        for name in names {
            if self.dry_run {
                changes.would_delete(name);
                changes.say(&format!("would delete {name}"));
            } else {
                lock.remove_key(name).map_err(report::write_failed)?;
                changes.deleted(name);
                changes.say(&format!("deleted {name}"));
            }
        }
        Ok(())
    }
}

/// Revoked keys that were made in the future. They would take over when their time comes, and then nothing would seal.
fn from_the_future(ring: &KeyRing, now: UnixSeconds) -> impl Iterator<Item = KeyName> {
    let is_so = move |key: &RingKey| key.is_revoked() && key.key().spec().created > now.plus(LEEWAY_S);
    let stays = move |key: &&RingKey| ring.keys_of(key.key().spec().key_use).any(|other| !is_so(other));
    ring.keys().filter(move |key| is_so(key)).filter(stays).map(|key| key.key().name())
}

/// How far this clock and the file system's are apart, in seconds; 0 where that cannot be found out.
pub(crate) fn clocks_apart_s(lock: &WriteLock, now: UnixSeconds) -> u64 {
    lock.file_system_time().map_or(0, |theirs| now.apart(theirs))
}

/// The time by a clock that agrees with the file system's. With a clock that is ahead, what is alive would look dead.
pub(crate) fn trusted_now(lock: &WriteLock) -> anyhow::Result<UnixSeconds> {
    let theirs = lock.file_system_time().map_err(report::write_failed)?;
    let now = SystemClock.now();
    let apart_s = now.apart(theirs);
    if apart_s > LEEWAY_S {
        let apart = text::duration(apart_s);
        return Err(anyhow!("the clock says {now}, and the file system {theirs}: they are {apart} apart"))
            .hint("set the clock (NTP); nothing was deleted");
    }
    Ok(now)
}
