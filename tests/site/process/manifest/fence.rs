//! The limits under which an orchestrator runs a container: memory by a control group, file descriptors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::process::scarce::after;

/// A control group with a limit on memory. Needs root, and a hierarchy that can be written to: version 2 or 1.
#[derive(Debug)]
pub(super) struct Fence {
    directory: PathBuf,
}

impl Fence {
    /// `None` where no such group can be made.
    pub(super) fn new(limit: u64) -> Option<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("auth-ticket-test-{}-{}", id(), MADE.fetch_add(1, Ordering::Relaxed));
        [("/sys/fs/cgroup", true), ("/sys/fs/cgroup/memory", false)].into_iter().find_map(|(root, is_v2)| {
            let controllers = fs::read_to_string(Path::new(root).join("cgroup.controllers"));
            if is_v2 != controllers.is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "memory"))
            {
                return None;
            }
            let fence = Self { directory: Path::new(root).join(&name) };
            fs::create_dir(&fence.directory).ok()?;
            let settings: &[(&str, u64)] = if is_v2 {
                &[("memory.max", limit), ("memory.swap.max", 0)]
            } else {
                // Version 1 counts sockets apart, and only once they have a limit.
                &[("memory.limit_in_bytes", limit), ("memory.kmem.tcp.limit_in_bytes", 1 << 40)]
            };
            let (required, optional) = settings.split_first()?;
            for (name, value) in optional {
                let _ = fs::write(fence.directory.join(name), value.to_string());
            }
            // What is dropped here, if it cannot be set, is removed again.
            fs::write(fence.directory.join(required.0), required.1.to_string()).ok()?;
            Some(fence)
        })
    }

    fn number(&self, name: &str) -> Option<u64> {
        fs::read_to_string(self.directory.join(name)).ok()?.trim().parse().ok()
    }

    /// The most that was charged for sockets, in KiB, where that is counted apart.
    pub(super) fn sockets_kib(&self) -> Option<u64> {
        Some(self.number("memory.kmem.tcp.max_usage_in_bytes")? >> 10)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.directory);
    }
}

/// `program` with the arguments and the environment of `command`, in the group of `fence`, and with a soft limit of so many file
/// descriptors.
pub(super) fn within(fence: Option<&Fence>, descriptors: u32, program: &Path, command: &Command) -> Command {
    let join =
        fence.map_or_else(String::new, |fence| format!("echo $$ >{}/cgroup.procs && ", fence.directory.display()));
    after(&format!("{join}ulimit -S -n {descriptors}"), program, command)
}
