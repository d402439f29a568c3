//! What all commands about keys share.

use std::path::PathBuf;
use std::time::Duration;

use auth_ticket::keystore::{Directory, WriteLock};
use clap::{Args, ValueHint};

use super::owner::{self, Access};
use crate::cli::report;

/// How long a command waits for another one that writes.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Which directory.
#[derive(Args, Clone, Debug)]
pub(crate) struct KeysOptions {
    /// Keys directory
    #[arg(long, value_name = "DIR", default_value = "keys", env = "AUTH_TICKET_KEYS_DIR", value_hint = ValueHint::DirPath)]
    keys: PathBuf,
    /// Accept key files that are readable by their group
    #[arg(long, env = "AUTH_TICKET_ALLOW_GROUP_READ")]
    allow_group_read: bool,
}

impl KeysOptions {
    /// The directory, not opened yet.
    pub(crate) fn directory(&self) -> Directory {
        Directory::new(&self.keys).allow_group_read(self.allow_group_read)
    }

    /// Refuses what the system lacks.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        owner::refuse_group_read(self.allow_group_read)
    }

    /// The directory, opened once for all by its owner.
    pub(crate) fn open(&self, access: Access) -> anyhow::Result<Directory> {
        self.check()?;
        owner::open(self.directory(), access)
    }

    /// The directory, opened by its owner to be changed, and its lock.
    pub(crate) fn lock(&self) -> anyhow::Result<(Directory, WriteLock)> {
        let directory = self.open(Access::Write)?;
        let lock = directory.lock_within(LOCK_WAIT).map_err(report::write_failed)?;
        Ok((directory, lock))
    }
}
