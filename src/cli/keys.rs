//! `keys`: make, rotate, list, plan, prune, revoke, export, check.

pub(crate) mod change;
pub(crate) mod check;
mod export;
pub(crate) mod options;
pub(crate) mod owner;
pub(crate) mod prune;
mod replica;
mod revoke;
mod show;

use clap::Subcommand;

/// Create, rotate, inspect and revoke keys
///
/// Each key file states when its key seals tickets or signs JWTs. Replicas with the same files therefore agree, without
/// communicating.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(change::Init),
    Rotate(change::Rotate),
    List(show::List),
    Plan(show::Plan),
    Prune(prune::Prune),
    Revoke(revoke::Revoke),
    Export(export::Export),
    Check(check::Check),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Init(options) => options.run(),
            Self::Rotate(options) => options.run(),
            Self::List(options) => options.run(),
            Self::Plan(options) => options.run(),
            Self::Prune(options) => options.run(),
            Self::Revoke(options) => options.run(),
            Self::Export(options) => options.run(),
            Self::Check(options) => options.run(),
        }
    }
}
