//! Events of the console. They come on a thread of the system's own, so there is nothing to hold.

use std::task::{Context, Poll};

use anyhow::Context as _;
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

/// What the console tells of.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Break.
    Break,
    /// Its window is closed.
    Close,
    /// The machine is shut down.
    Shutdown,
}

/// What ends a server.
pub(in crate::cli) const STOP: &[Signal] = &[Signal::Interrupt, Signal::Break, Signal::Close, Signal::Shutdown];
/// The same: a window that is closed is among them.
pub(in crate::cli) const STOP_OR_HANGUP: &[Signal] = STOP;

/// Ready when an event has come.
type PollEvent = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<()>> + Send>;

/// Does `work`.
pub(in crate::cli) fn held<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    work()
}

/// Nothing: no events are without meaning.
pub(in crate::cli) fn hold_user_signals() {}

/// Nothing, likewise.
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
pub(in crate::cli) fn ignore_user_signals() -> anyhow::Result<()> {
    Ok(())
}

/// Does `act` when `signal` comes for the first time.
pub(in crate::cli) fn once(signal: Signal, act: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    const WHAT: &str = "cannot listen for events of the console";
    let mut poll: PollEvent = match signal {
        Signal::Interrupt => {
            let mut event = ctrl_c().context(WHAT)?;
            Box::new(move |context| event.poll_recv(context))
        }
        Signal::Break => {
            let mut event = ctrl_break().context(WHAT)?;
            Box::new(move |context| event.poll_recv(context))
        }
        Signal::Close => {
            let mut event = ctrl_close().context(WHAT)?;
            Box::new(move |context| event.poll_recv(context))
        }
        Signal::Shutdown => {
            let mut event = ctrl_shutdown().context(WHAT)?;
            Box::new(move |context| event.poll_recv(context))
        }
    };
    tokio::spawn(async move {
        std::future::poll_fn(move |context| poll(context)).await;
        act();
    });
    Ok(())
}

/// Never comes: the keys are looked at by poll, and when a ticket names an unknown kid.
pub(in crate::cli) struct Hangup;

#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as elsewhere")]
impl Hangup {
    pub(in crate::cli) fn new() -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub(in crate::cli) fn poll(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
