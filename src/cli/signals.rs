//! What ends a server from outside, or has it look at the keys: signals, or what the system has instead.

use std::sync::Arc;

use tokio::sync::Notify;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Hangup, STOP, STOP_OR_HANGUP, Signal, held, hold_user_signals, ignore_user_signals, once};
#[cfg(windows)]
pub(super) use windows::{Hangup, STOP, STOP_OR_HANGUP, Signal, held, hold_user_signals, ignore_user_signals, once};

/// Notified when any of `signals` has come.
pub(super) fn any(signals: &[Signal]) -> anyhow::Result<Arc<Notify>> {
    let notify = Arc::new(Notify::new());
    for signal in signals {
        let notify = Arc::clone(&notify);
        once(*signal, move || notify.notify_one())?;
    }
    Ok(notify)
}
