//! Which thread takes signals, and when.

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};

/// Signals that a server listens for.
const LISTENED_FOR: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Does `work` while signals that a server listens for have to wait. Threads that it starts never take them.
pub(super) fn held<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let held: SigSet = LISTENED_FOR.into_iter().collect();
    // Within another call of this, they stay held.
    let before = held.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).context("cannot hold signals")?;
    let done = work();
    before.thread_set_mask().context("cannot let signals through")?;
    done
}
