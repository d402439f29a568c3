//! Which thread takes signals, and when.

use std::task::{Context, Poll};

use anyhow::Context as _;
pub(in crate::cli) use nix::sys::signal::Signal;
use nix::sys::signal::{SigSet, SigmaskHow};
use tokio::signal::unix::{self, SignalKind, signal};

/// What ends a server.
pub(in crate::cli) const STOP: &[Signal] = &[Signal::SIGTERM, Signal::SIGINT];
/// The same, and the terminal that is closed.
pub(in crate::cli) const STOP_OR_HANGUP: &[Signal] = &[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// Signals that a server listens for.
const LISTENED_FOR: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// Signals that mean something to other servers and would end this one.
const WITHOUT_MEANING: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// Does `work` while signals that a server listens for have to wait. Threads that it starts never take them.
pub(in crate::cli) fn held<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let held: SigSet = LISTENED_FOR.into_iter().collect();
    // Within another call of this, they stay held.
    let before = held.thread_swap_mask(SigmaskHow::SIG_BLOCK).context("cannot hold signals")?;
    let done = work();
    before.thread_set_mask().context("cannot let signals through")?;
    done
}

/// Has SIGUSR1 and SIGUSR2 wait until [`ignore_user_signals`]: somebody who means another program must end none of ours.
pub(in crate::cli) fn hold_user_signals() {
    // It fails for no set of signals.
    let _ = WITHOUT_MEANING.into_iter().collect::<SigSet>().thread_block();
}

/// From now on, SIGUSR1 and SIGUSR2 are a line in the log. Called on the thread that holds them.
pub(in crate::cli) fn ignore_user_signals() -> anyhow::Result<()> {
    for without_meaning in WITHOUT_MEANING {
        let mut signal = signal(SignalKind::from_raw(without_meaning as i32)).context("cannot listen for signals")?;
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                tracing::info!(
                    "{without_meaning} means nothing here: SIGHUP looks at the keys, PUT /log changes what is logged, \
                     SIGTERM ends"
                );
            }
        });
    }
    WITHOUT_MEANING.into_iter().collect::<SigSet>().thread_unblock().context("cannot let signals through")
}

/// Does `act` when `signal` comes for the first time.
pub(in crate::cli) fn once(signal: Signal, act: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let mut signal = unix::signal(SignalKind::from_raw(signal as i32)).context("cannot listen for signals")?;
    tokio::spawn(async move {
        signal.recv().await;
        act();
    });
    Ok(())
}

/// SIGHUP, which would otherwise end the process.
pub(in crate::cli) struct Hangup(unix::Signal);

impl Hangup {
    /// Begins to listen.
    pub(in crate::cli) fn new() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?))
    }

    /// Ready when it has come.
    pub(in crate::cli) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_recv(context).map(drop)
    }
}
