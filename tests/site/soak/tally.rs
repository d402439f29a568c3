//! What came of everything, as tables.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::ledger::{Sky, Trouble};

/// No answer; the connection ended.
pub(super) const CLOSED: &str = "closed";
/// We broke off.
pub(super) const RESET: &str = "reset by client";

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_kind: BTreeMap<(&'static str, String), u64>,
    by_trouble: BTreeMap<Trouble, Logins>,
    keys: BTreeMap<&'static str, (u64, Duration)>,
}

/// What logins met during one kind of trouble.
#[derive(Debug, Default)]
struct Logins {
    times: u64,
    outcomes: BTreeMap<String, u64>,
    slowest: Duration,
    checks: u64,
    slowest_recovery: Duration,
}

impl Tally {
    pub(super) fn count(&self, kind: &'static str, outcome: &str) {
        *self.counts().by_kind.entry((kind, outcome.to_owned())).or_default() += 1;
    }

    /// How often `kind` came to `outcome`.
    pub(super) fn of(&self, kind: &'static str, outcome: &str) -> u64 {
        self.counts().by_kind.get(&(kind, outcome.to_owned())).copied().unwrap_or_default()
    }

    /// A login that came to `outcome` under `sky`.
    pub(super) fn login(&self, sky: Sky, outcome: &str, took: Duration) {
        let Sky::Bad(trouble) = sky else { return };
        let mut counts = self.counts();
        let logins = counts.by_trouble.entry(trouble).or_default();
        *logins.outcomes.entry(outcome.to_owned()).or_default() += 1;
        logins.slowest = logins.slowest.max(took);
    }

    /// A check went well under `sky`.
    pub(super) fn check(&self, sky: Sky) {
        if let Sky::Bad(trouble) = sky {
            self.counts().by_trouble.entry(trouble).or_default().checks += 1;
        }
    }

    /// A trouble was over, and logins succeeded again after `took`.
    pub(super) fn recovered(&self, trouble: Trouble, took: Duration) {
        let mut counts = self.counts();
        let logins = counts.by_trouble.entry(trouble).or_default();
        logins.times += 1;
        logins.slowest_recovery = logins.slowest_recovery.max(took);
    }

    /// How often there was this trouble, and it was over again.
    pub(super) fn times(&self, trouble: Trouble) -> u64 {
        self.counts().by_trouble.get(&trouble).map_or(0, |logins| logins.times)
    }

    /// How many checks went well during this trouble.
    pub(super) fn checks_during(&self, trouble: Trouble) -> u64 {
        self.counts().by_trouble.get(&trouble).map_or(0, |logins| logins.checks)
    }

    /// Something happened to the keys, and was in force after `took`.
    pub(super) fn keys(&self, what: &'static str, took: Duration) {
        let mut counts = self.counts();
        let (times, slowest) = counts.keys.entry(what).or_default();
        *times += 1;
        *slowest = took.max(*slowest);
    }

    pub(super) fn keys_done(&self) -> Vec<&'static str> {
        self.counts().keys.keys().copied().collect()
    }

    pub(super) fn tables(&self) -> String {
        let counts = self.counts();
        let mut out = "| traffic | count | answers | ended without an answer |\n| --- | --- | --- | --- |\n".to_owned();
        let mut kinds: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((kind, outcome), count) in &counts.by_kind {
            kinds.entry(kind).or_default().insert(outcome, *count);
        }
        for (kind, mut outcomes) in kinds {
            let sum: u64 = outcomes.values().sum();
            let ended = [CLOSED, RESET].map(|end| outcomes.remove_entry(end));
            let ended = listed(ended.into_iter().flatten());
            let _ = writeln!(out, "| {kind} | {sum} | {} | {ended} |", listed(outcomes));
        }
        out += "\n| the platform | times | logins meanwhile | slowest | good checks meanwhile | logins good again after, at most |\n\
                | --- | --- | --- | --- | --- | --- |\n";
        for (trouble, logins) in &counts.by_trouble {
            let Logins { times, outcomes, slowest, checks, slowest_recovery } = logins;
            let outcomes = listed(outcomes.iter().map(|(outcome, count)| (&**outcome, *count)));
            let name = trouble.as_str();
            let _ =
                writeln!(out, "| {name} | {times} | {outcomes} | {slowest:.2?} | {checks} | {slowest_recovery:.2?} |");
        }
        out += "\n| the keys | times | in force after, at most |\n| --- | --- | --- |\n";
        for (what, (times, slowest)) in &counts.keys {
            let _ = writeln!(out, "| {what} | {times} | {slowest:.2?} |");
        }
        out
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap()
    }
}

fn listed<'a>(outcomes: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    outcomes.into_iter().map(|(outcome, count)| format!("{outcome}: {count}")).collect::<Vec<_>>().join(", ")
}
