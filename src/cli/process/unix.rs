//! Limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The largest soft limit that macOS takes, whatever the hard one is (`OPEN_MAX` in `sys/syslimits.h`).
const MOST: Option<u64> = if cfg!(target_vendor = "apple") { Some(10_240) } else { None };

/// Keeps keys out of the reach of other processes of the same user: no core dump, no `/proc/PID/mem`, no debugger. Only root
/// can still look. Where the limit cannot be lowered, it is already 0.
pub(in crate::cli) fn protect_memory() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Raises the soft limit of file descriptors as far as it goes. How many there may be now; nothing where there is no limit.
pub(in crate::cli) fn raise_soft_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = [maximum, MOST].into_iter().flatten().min();
    // Where this fails, the old limit stays, and is what counts.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    getrlimit(Resource::Nofile).current
}
