//! `cutoff`: whose tickets are refused before they expire.

mod change;
mod list;
mod options;

use clap::Subcommand;

/// Refuse tickets of somebody before they expire
///
/// A cut-off stands in the keys directory and reaches replicas as keys do. It refuses tickets, not people: who logs in
/// again, after the minute in which clocks may differ, is let in.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(change::Add),
    List(list::List),
    Remove(change::Remove),
    Prune(change::Prune),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add(options) => options.run(),
            Self::List(options) => options.run(),
            Self::Remove(options) => options.run(),
            Self::Prune(options) => options.run(),
        }
    }
}
