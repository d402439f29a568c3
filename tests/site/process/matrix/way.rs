//! The ways in which a keys directory, or what is around it, can be wrong.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use auth_ticket::clock::{Clock, SystemClock};

use super::stage::{OTHER, OWNER, Stage, key_text};
use crate::support::until;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Way {
    Right,
    OpenToOthers,
    ForeignOwner,
    Unlistable,
    HalfAFile,
    UnknownVersion,
    UnreadableFile,
    FullDisk,
    NoDescriptors,
    BrokenCutoffs,
    ClockAhead,
    LockHeld,
}

const HALF: &str = "ticket-00000001.key";
const NEWER: &str = "ticket-00000002.key";
const FILLING: &str = "filling";
const CUTOFFS: &str = "cutoffs.json";
/// Silent clients: four descriptors are free, and some that the server keeps back.
const MORE_THAN_IT_HAS: usize = 16;

impl Way {
    pub(super) const ALL: [Self; 12] = [
        Self::Right,
        Self::OpenToOthers,
        Self::ForeignOwner,
        Self::Unlistable,
        Self::HalfAFile,
        Self::UnknownVersion,
        Self::UnreadableFile,
        Self::FullDisk,
        Self::NoDescriptors,
        Self::BrokenCutoffs,
        Self::ClockAhead,
        Self::LockHeld,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Right => "is right",
            Self::OpenToOthers => "is open to its group (0775)",
            Self::ForeignOwner => "belongs to another user than the server's",
            Self::Unlistable => "cannot be listed (0300)",
            Self::HalfAFile => "has half a key file",
            Self::UnknownVersion => "has a key of a newer version",
            Self::UnreadableFile => "has a key that cannot be read",
            Self::FullDisk => "is on a full disk",
            Self::NoDescriptors => "is right, and the server has no descriptor left",
            Self::BrokenCutoffs => "has half a `cutoffs.json`",
            Self::ClockAhead => "has a key that was made in the future",
            Self::LockHeld => "is locked for longer than 10 s",
        }
    }
}

impl Stage {
    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.keys().file(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn give(&self, uid: u32) {
        chown(self.keys().path(), Some(uid), Some(uid)).unwrap();
    }

    /// A file of the server's user.
    pub(super) fn put(&self, name: &str, content: &[u8]) {
        let path = self.keys().file(name);
        let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&path).unwrap();
        file.write_all(content).unwrap();
        chown(path, Some(OWNER), Some(OWNER)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.keys().file(name)).unwrap();
    }

    /// Makes it wrong.
    pub(super) fn spoil(&mut self) {
        match self.way {
            Way::Right => {}
            Way::OpenToOthers => self.mode(".", 0o775),
            Way::ForeignOwner => {
                self.give(OTHER);
                self.mode(".", 0o755);
            }
            Way::Unlistable => self.mode(".", 0o300),
            Way::HalfAFile => self.put(HALF, br#"{"v":1, "use":"ticket", "alg":"XAES-2"#),
            Way::UnknownVersion => self.put(NEWER, br#"{"v":2}"#),
            Way::UnreadableFile => self.mode(&format!("{}.key", self.jwt), 0),
            Way::FullDisk => {
                // Writes until there is no room, which is what it is for.
                let _ = fs::write(self.keys().file(FILLING), vec![0; 128 << 10]);
            }
            Way::NoDescriptors => self.take_descriptors(),
            Way::BrokenCutoffs => {
                let list = fs::read_to_string(self.keys().file(CUTOFFS)).unwrap();
                self.put(CUTOFFS, format!("{}{{\"sco", list.trim_end().trim_end_matches("]}")).as_bytes());
            }
            Way::ClockAhead => {
                let (name, text) = key_text(SystemClock.now().plus(400 * 86400), 0);
                self.put(&format!("{name}.key"), text.as_bytes());
                self.future = Some(name);
            }
            Way::LockHeld => {
                let mut flock = Command::new("flock");
                self.holder =
                    Some(flock.arg("--no-fork").arg(self.keys().file(".lock")).args(["sleep", "60"]).spawn().unwrap());
                let lock = fs::File::open(self.keys().file(".lock")).unwrap();
                until("the lock is held", || lock.try_lock().inspect(|()| lock.unlock().unwrap()).is_err());
            }
        }
    }

    /// Makes it right again.
    pub(super) fn mend(&mut self) {
        match self.way {
            Way::Right => {}
            Way::OpenToOthers | Way::Unlistable => self.mode(".", 0o700),
            Way::ForeignOwner => {
                self.give(OWNER);
                self.mode(".", 0o700);
            }
            Way::HalfAFile => self.remove(HALF),
            Way::UnknownVersion => self.remove(NEWER),
            Way::UnreadableFile => self.mode(&format!("{}.key", self.jwt), 0o600),
            Way::FullDisk => self.remove(FILLING),
            Way::NoDescriptors => self.silent.clear(),
            Way::BrokenCutoffs => {
                let list = fs::read_to_string(self.keys().file(CUTOFFS)).unwrap();
                if let Some(whole) = list.strip_suffix("{\"sco") {
                    self.put(CUTOFFS, format!("{whole}]}}\n").as_bytes());
                }
            }
            Way::ClockAhead => {
                let future = self.future.take().unwrap();
                self.remove(&format!("{future}.key"));
            }
            Way::LockHeld => self.let_lock_go(),
        }
    }

    /// Has silent clients take every descriptor that the server may have.
    fn take_descriptors(&mut self) {
        let pid = self.server.pid();
        let limit = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() + 4;
        // Its own user may, where root in a container may not.
        let mut prlimit = Command::new("prlimit");
        let (of, soft) = (format!("--pid={pid}"), format!("--nofile={limit}:"));
        assert!(prlimit.args([of, soft]).uid(OWNER).gid(OWNER).status().unwrap().success());
        // The limit is one of numbers, and some above it may be in use. The log says it every ten seconds only.
        let is_taken = |number| fs::symlink_metadata(format!("/proc/{pid}/fd/{number}")).is_ok();
        // No more than it takes: those that wait when they are let go have to be accepted before the next ones are.
        let connect = || TcpStream::connect(self.server.address).unwrap();
        let mut silent: Vec<_> = std::iter::repeat_with(connect).take(MORE_THAN_IT_HAS).collect();
        let mut last = Instant::now();
        until("it has no descriptor left, and another client waits", || {
            if last.elapsed() > Duration::from_millis(50) {
                // In place of one that was silent for too long.
                silent.push(connect());
                last = Instant::now();
            }
            (0..limit).all(is_taken)
        });
        until("it has said so", || self.server.stderr().contains("cannot accept a connection"));
        self.silent = silent;
    }
}
