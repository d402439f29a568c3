//! `keys`: make, rotate, list, plan, prune, revoke, check.

pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod owner;
pub(crate) mod prune;
mod replica;
mod revoke;
mod show;

use std::path::PathBuf;
use std::time::Duration;

use auth_ticket::keystore::Directory;
use clap::{Args, Subcommand, ValueHint};
use owner::Access;

/// How long a command waits for another one that writes.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Make, rotate and look after the keys that tickets are sealed with
///
/// Every key file says from when to when it seals. Replicas that hold the same files decide alike, by the clock alone.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(change::Init),
    Rotate(change::Rotate),
    List(show::List),
    Plan(show::Plan),
    Prune(prune::Prune),
    Revoke(revoke::Revoke),
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
            Self::Check(options) => options.run(),
        }
    }
}

/// Which directory.
#[derive(Args, Clone, Debug)]
pub(crate) struct KeysOptions {
    /// Keys directory
    #[arg(long, value_name = "DIR", default_value = "keys", env = "AUTH_TICKET_KEYS_DIR", value_hint = ValueHint::DirPath)]
    keys: PathBuf,
    /// Accept key files that their group can read
    #[arg(long, env = "AUTH_TICKET_ALLOW_GROUP_READ")]
    allow_group_read: bool,
}

impl KeysOptions {
    /// The directory, not opened yet.
    pub(crate) fn directory(&self) -> Directory {
        Directory::new(&self.keys, self.allow_group_read)
    }

    /// The directory, opened once for all by its owner.
    pub(crate) fn open(&self, access: Access) -> anyhow::Result<Directory> {
        owner::open(self.directory(), access)
    }
}
