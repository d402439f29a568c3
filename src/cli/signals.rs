//! What ends a server from outside, or has it look at the keys: signals, or what the system has instead.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Hangup, STOP, STOP_OR_HANGUP, Signal, held, hold_user_signals, ignore_user_signals, once};
#[cfg(windows)]
pub(super) use windows::{Hangup, STOP, STOP_OR_HANGUP, Signal, held, hold_user_signals, ignore_user_signals, once};
