//! What the page does to the directory of keys; on the command line it is `keys rotate` and `cutoff add`.

use anyhow::{anyhow, ensure};
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::cutoffs::{Cutoff, Entry, Who};
use auth_ticket::keyring::{Key, KeyState, KeyUse, LoginId};
use auth_ticket::keystore::Directory;

use crate::cli::keys::change::{add_successor, newest_of};
use crate::cli::keys::options::LOCK_WAIT;
use crate::cli::report;

/// Long enough for every replica of the demo to have loaded the key before one seals with it, and to watch it wait.
const LEAD_S: u64 = 5;
/// Each key is a file that every replica reads every second.
const MAX_KEYS: usize = 40;

/// Adds a key that takes over in a moment.
///
/// # Errors
/// Another one is waiting, there are too many, or it cannot be written.
pub(super) fn rotate(directory: &Directory) -> anyhow::Result<Key> {
    let lock = directory.lock_within(LOCK_WAIT).map_err(report::write_failed)?;
    let now = SystemClock.now();
    let (ring, _) = directory.load_ring([], now).map_err(report::load_failed)?;
    let mut keys = ring.keys_of(KeyUse::Ticket);
    ensure!(keys.all(|key| key.state(now) != KeyState::Pending), "a key is already waiting to take over");
    ensure!(ring.keys().count() < MAX_KEYS, "the demo keeps {MAX_KEYS} keys at most; start it again");
    add_successor(&lock, KeyUse::Ticket, newest_of(&ring, KeyUse::Ticket), now, now.plus(LEAD_S))
}

/// Refuses all tickets of one login from now on.
///
/// # Errors
/// The list of cut-offs cannot be read or written.
pub(super) fn cut_off(directory: &Directory, login_id: LoginId) -> anyhow::Result<()> {
    let lock = directory.lock_within(LOCK_WAIT).map_err(report::write_failed)?;
    let (mut list, problem) = directory.recover_cutoffs().map_err(|problem| anyhow!("{problem}"))?;
    if let Some(problem) = problem {
        return Err(anyhow!("{problem}"));
    }
    let who = Who::Login(login_id);
    if list.cutoffs().all(|cutoff| cutoff.who != who) {
        list.entries.push(Entry::Cutoff(Cutoff { who, created: SystemClock.now() }));
        lock.replace_cutoffs(&list).map_err(report::write_failed)?;
    }
    Ok(())
}
