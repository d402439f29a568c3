//! `cutoff`: whose tickets are refused before they expire.

mod change;
mod list;
mod options;

use clap::Subcommand;

/// Sign out users: refuse their tickets before they expire
///
/// Cut-offs are stored in the keys directory and reach replicas as keys do. They refuse existing logins, not users: a user
/// can log in again after one minute, the tolerated difference between clocks.
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
