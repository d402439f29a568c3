//! What a command changes: a line for each change as it happens or, with `--json`, one object at the end.

use std::fmt;
use std::io::{self, Write};

use auth_ticket::keyring::cutoffs::Cutoff;
use auth_ticket::keyring::{Key, KeyName};
use clap::Args;
use serde::Serialize;

/// How to tell it.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct TellOptions {
    /// Print the changes as JSON; its format is in docs/OPERATING.md
    #[arg(long)]
    json: bool,
}

impl TellOptions {
    /// Does `work` and tells what it changed, also when it failed after the first change.
    ///
    /// Where nothing was changed because it failed, standard output stays empty, as it does for commands that list.
    pub(crate) fn tell(self, work: impl FnOnce(&mut Changes) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut changes = Changes { is_for_people: !self.json, ..Changes::default() };
        let result = work(&mut changes);
        if self.json && (result.is_ok() || changes.are_any()) {
            print(&serde_json::to_string(&changes)?);
        }
        result
    }
}

/// Everything that a command changed. Every list is there in JSON, be it empty.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Changes {
    #[serde(skip)]
    is_for_people: bool,
    made: Vec<MadeKey>,
    revoked: Vec<ListedName>,
    deleted: Vec<ListedName>,
    would_delete: Vec<ListedName>,
    cut_off: Vec<Cutoff>,
    removed: Vec<Cutoff>,
}

/// A new key, in the words of `keys list --json`.
#[derive(Debug, Serialize)]
struct MadeKey {
    #[serde(flatten)]
    name: ListedName,
    alg: &'static str,
    created: String,
    seal_from: String,
    seal_until: String,
    max_ttl_s: u64,
}

#[derive(Debug, Serialize)]
struct ListedName {
    #[serde(rename = "use")]
    key_use: &'static str,
    kid: String,
}

impl ListedName {
    fn of(name: KeyName) -> Self {
        Self { key_use: name.key_use.as_str(), kid: name.kid.to_string() }
    }
}

impl Changes {
    /// A line for people; programs see the lists.
    pub(crate) fn say(&self, line: &str) {
        if self.is_for_people {
            print(line);
        }
    }

    pub(crate) fn made(&mut self, key: &Key) {
        let spec = key.spec();
        self.made.push(MadeKey {
            name: ListedName::of(key.name()),
            alg: spec.alg.as_str(),
            created: spec.created.to_string(),
            seal_from: spec.seal_from.to_string(),
            seal_until: spec.seal_until.to_string(),
            max_ttl_s: spec.max_ttl_s,
        });
    }

    pub(crate) fn revoked(&mut self, name: KeyName) {
        self.revoked.push(ListedName::of(name));
    }

    pub(crate) fn deleted(&mut self, name: KeyName) {
        self.deleted.push(ListedName::of(name));
    }

    pub(crate) fn would_delete(&mut self, name: KeyName) {
        self.would_delete.push(ListedName::of(name));
    }

    pub(crate) fn cut_off(&mut self, cutoff: &Cutoff) {
        self.cut_off.push(cutoff.clone());
    }

    pub(crate) fn removed(&mut self, cutoffs: &[Cutoff]) {
        self.removed.extend_from_slice(cutoffs);
    }

    fn are_any(&self) -> bool {
        let Self { is_for_people: _, made, revoked, deleted, would_delete, cut_off, removed } = self;
        let keys = [revoked, deleted, would_delete];
        !made.is_empty() || keys.iter().any(|names| !names.is_empty()) || !cut_off.is_empty() || !removed.is_empty()
    }
}

/// That nobody can read it is no reason to leave the rest undone: the exit status is about keys.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// For people, on standard error, whatever standard output is.
pub(crate) fn warn(what: &dyn fmt::Display) {
    // If standard error is closed, nobody waits for the warning.
    let _ = writeln!(io::stderr(), "warning: {what}");
}
