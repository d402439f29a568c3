//! A time of day that several processes share and a test moves.

use std::path::PathBuf;
use std::process::Command;

use auth_ticket::clock::{Clock, SystemClock};
use tempfile::TempDir;

use crate::drill::process::Tools;

/// libfaketime, told by a file how far it is ahead.
#[derive(Debug)]
pub(crate) struct MovedClock {
    directory: TempDir,
    preloaded: PathBuf,
    ahead_s: i64,
}

impl MovedClock {
    /// Shows what the machine's clock shows.
    pub(crate) fn new() -> Self {
        let clock = Self { directory: tempfile::tempdir().unwrap(), preloaded: Tools::find().faketime, ahead_s: 0 };
        clock.write();
        clock
    }

    /// Lets `command` go by this clock.
    pub(crate) fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", &self.preloaded)
            .env("FAKETIME_TIMESTAMP_FILE", self.directory.path().join("ahead"))
            .env("FAKETIME_NO_CACHE", "1")
    }

    /// The same, but timers go on as they are; only the time of day is another.
    pub(crate) fn apply_to_date<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.apply(command).env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.move_to(self.ahead_s + i64::try_from(seconds).unwrap());
    }

    /// So many seconds ahead of the machine's clock, or behind it.
    pub(crate) fn move_to(&mut self, ahead_s: i64) {
        self.ahead_s = ahead_s;
        self.write();
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        SystemClock.now().as_u64().checked_add_signed(self.ahead_s).unwrap()
    }

    /// At once, so that nobody reads half a number.
    fn write(&self) {
        let next = self.directory.path().join("next");
        std::fs::write(&next, format!("{:+}\n", self.ahead_s)).unwrap();
        std::fs::rename(next, self.directory.path().join("ahead")).unwrap();
    }
}
