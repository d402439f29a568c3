//! The commands that rewrite the list: `cutoff add`, `remove`, `prune`. What they do not understand of it stays as it stands.

use anyhow::{Context, anyhow};
use auth_ticket::clock::{Clock, LEEWAY_S, SystemClock, UnixSeconds};
use auth_ticket::keyring::cutoffs::{Cutoff, Entry, Recovered, Who};
use auth_ticket::keystore::{Directory, FileProblem, WriteLock};
use clap::Args;

use super::options::{MEND, WhoOptions, describe, latest_before, parse_before, place, unreadable};
use crate::cli::changes::{Changes, TellOptions, warn};
use crate::cli::keys::options::KeysOptions;
use crate::cli::keys::prune::{clocks_apart_s, trusted_now};
use crate::cli::report::{self, WithHint};
use crate::cli::text;

/// A cut-off goes this long after nothing that it refuses can be alive, in seconds.
const KEPT_S: u64 = 3600;
const NOT_CUT_OFF: &str = "NOT CUT OFF";
const NOTHING_REMOVED: &str = "NOTHING REMOVED";

/// Add a cut-off for everybody, an app, one of its users, or one login
///
/// Works even if the rest of the directory is faulty.
#[derive(Args, Debug)]
pub(crate) struct Add {
    #[command(flatten)]
    keys: KeysOptions,
    #[command(flatten)]
    who: WhoOptions,
    /// Refuse logins before this time, RFC 3339 [default: in one minute, because clocks may be ahead]
    #[arg(long, value_name = "TIME", value_parser = parse_before, conflicts_with = "login_id")]
    before: Option<UnixSeconds>,
    #[command(flatten)]
    tell: TellOptions,
}

impl Add {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.tell.tell(|changes| self.cut_off(changes))
    }

    fn cut_off(self, changes: &mut Changes) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let latest = latest_before(now);
        let before = self.before.unwrap_or(latest);
        if before > latest {
            return Err(anyhow!("--before {before} is {} from now", text::duration(before.since(now))))
                .context(NOT_CUT_OFF)
                .hint("a cut-off is about logins that have happened; leave --before out to refuse all of them");
        }
        let who = self.who.who(before);
        let opened = LockedList::open(&self.keys).context(NOT_CUT_OFF)?;
        opened.add(who, now, changes)
    }
}

/// Remove cut-offs
///
/// Removes every cut-off of exactly this scope, whatever its time: `--appid` alone removes those of the app and keeps those
/// of its users.
#[derive(Args, Debug)]
pub(crate) struct Remove {
    #[command(flatten)]
    keys: KeysOptions,
    #[command(flatten)]
    who: WhoOptions,
    /// Only the cut-off with this time, as `cutoff list` shows it [default: any time]
    #[arg(long, value_name = "TIME", value_parser = parse_before, conflicts_with = "login_id")]
    before: Option<UnixSeconds>,
    #[command(flatten)]
    tell: TellOptions,
}

impl Remove {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.tell.tell(|changes| self.remove(changes))
    }

    fn remove(self, changes: &mut Changes) -> anyhow::Result<()> {
        let who = self.who.who(self.before.unwrap_or_default());
        let is_meant = |cutoff: &Cutoff| match (self.before, cutoff.who.clone()) {
            (None, Who::Everybody(_)) => who == Who::Everybody(UnixSeconds::default()),
            (None, Who::App(app, _)) => who == Who::App(app, UnixSeconds::default()),
            (None, Who::Openid(app, openid, _)) => who == Who::Openid(app, openid, UnixSeconds::default()),
            (_, theirs) => who == theirs,
        };
        let opened = LockedList::open(&self.keys).context(NOTHING_REMOVED)?;
        let gone = opened.remove(is_meant).context(NOTHING_REMOVED)?;
        if gone.is_empty() {
            return Err(anyhow!("there is no such cut-off"))
                .context(NOTHING_REMOVED)
                .hint("see auth-ticket cutoff list");
        }
        tell_removed(changes, &gone);
        changes.say(&format!("removed {}", text::count(gone.len(), "cut-off")));
        Ok(())
    }
}

/// Remove cut-offs that no longer have an effect
///
/// A cut-off is removed once it is older than the longest ticket that any key seals, plus one hour.
#[derive(Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    keys: KeysOptions,
    #[command(flatten)]
    tell: TellOptions,
}

impl Prune {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.tell.tell(|changes| self.remove(changes))
    }

    fn remove(&self, changes: &mut Changes) -> anyhow::Result<()> {
        let opened = LockedList::open(&self.keys)?;
        let now = trusted_now(&opened.lock)?;
        let longest_s = longest_ticket_s(&opened.directory)?;
        let gone = opened.remove(|cutoff| cutoff.created.plus(longest_s).plus(KEPT_S) < now)?;
        if gone.is_empty() {
            changes.say("nothing to remove");
        }
        tell_removed(changes, &gone);
        Ok(())
    }
}

/// The longest life of a ticket that any key seals. What is wrong with the list of cut-offs has no part in that.
fn longest_ticket_s(directory: &Directory) -> anyhow::Result<u64> {
    let scan = directory.scan().map_err(report::load_failed)?;
    let is_key = |problem: &&FileProblem| !problem.path.ends_with("cutoffs.json");
    if let Some(problem) = scan.problems.iter().find(is_key) {
        return Err(anyhow!("{problem}"));
    }
    Ok(scan.content.keys.iter().map(|key| key.spec().max_ttl_s).max().unwrap_or_default())
}

fn tell_removed(changes: &mut Changes, gone: &[Cutoff]) {
    changes.removed(gone);
    for cutoff in gone {
        changes.say(&format!("removed: {}", describe(&cutoff.who)));
    }
}

/// The list under the lock.
struct LockedList {
    directory: Directory,
    lock: WriteLock,
    list: Result<Recovered, FileProblem>,
}

impl LockedList {
    fn open(keys: &KeysOptions) -> anyhow::Result<Self> {
        let (directory, lock) = keys.lock()?;
        let list = directory.recover_cutoffs().map(|(list, problem)| {
            if let Some(problem) = problem {
                // The file that takes its place is as it should be.
                warn(&problem);
            }
            for other in list.others() {
                warn(&format_args!("cut-off number {} is kept, and not understood: {}", other.number, other.what));
            }
            list
        });
        Ok(Self { directory, lock, list })
    }

    fn add(self, who: Who, now: UnixSeconds, changes: &mut Changes) -> anyhow::Result<()> {
        let ahead_s = clocks_apart_s(&self.lock, now);
        if ahead_s > LEEWAY_S {
            warn(&format_args!(
                "the clock and the file system's are {} apart; see cutoff remove",
                text::duration(ahead_s)
            ));
        }
        let told = describe(&who);
        let (mut list, lost) = match self.list {
            Ok(list) if list.is_whole => (list, None),
            Ok(list) => {
                let fault = list.fault.as_ref().map(ToString::to_string).unwrap_or_default();
                let lost = match list.entries.len() {
                    0 => "all that it had is LOST".to_owned(),
                    kept => format!("what it had beside its first {kept} is LOST"),
                };
                (list, Some(format!("{fault}: {lost}")))
            }
            Err(problem) => (Recovered::default(), Some(format!("{problem}: all that it had is LOST"))),
        };
        let is_new = list.cutoffs().all(|other| other.who != who);
        let cutoff = Cutoff { who, created: now };
        if is_new {
            list.entries.push(Entry::Cutoff(cutoff.clone()));
        } else if lost.is_none() {
            changes.say(&format!("already cut off: {told}"));
            return Ok(());
        }
        let Some(lost) = lost else {
            self.lock.replace_cutoffs(&list).map_err(report::write_failed).context(NOT_CUT_OFF)?;
            changes.cut_off(&cutoff);
            changes.say(&format!("cut off: {told}"));
            return Ok(());
        };
        let aside = self.lock.replace_broken_cutoffs(&list, now).map_err(report::write_failed).context(NOT_CUT_OFF)?;
        if is_new {
            changes.cut_off(&cutoff);
        }
        changes.say(&format!("cut off: {told}"));
        let aside = self.directory.path().join(aside).display().to_string();
        Err(anyhow!("the cut-off holds, but {} was broken, and is written anew: {lost}", place(&self.directory)))
            .hint(format!("the old file is kept as {aside}: add again whom it names"))
    }

    /// Removes those that `is_gone` says, and writes the list if there are any.
    fn remove(self, is_gone: impl Fn(&Cutoff) -> bool) -> anyhow::Result<Vec<Cutoff>> {
        let mut list = self.list.map_err(|problem| unreadable(&problem))?;
        if !list.is_whole {
            let fault = list.fault.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(anyhow!("{}: {fault}", place(&self.directory))).hint(MEND);
        }
        let is_gone = |entry: &Entry| matches!(entry, Entry::Cutoff(cutoff) if is_gone(cutoff));
        let (gone, left): (Vec<Entry>, Vec<Entry>) = list.entries.into_iter().partition(is_gone);
        list.entries = left;
        if !gone.is_empty() {
            self.lock.replace_cutoffs(&list).map_err(report::write_failed)?;
        }
        let cutoff = |entry| if let Entry::Cutoff(cutoff) = entry { Some(cutoff) } else { None };
        Ok(gone.into_iter().filter_map(cutoff).collect())
    }
}
