//! What all servers of the program share: their threads, sockets and signals.

use std::io;
use std::thread::{self, available_parallelism};

use anyhow::Context;
use auth_ticket::http::{self, ConnectionCount, ConnectionLimits, Routes};
use nix::sys::signal::Signal;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::address::Address;
use super::report::WithHint;
use super::{process, signals};

/// A runtime for [`Servers`], whose threads leave signals to the main thread.
pub(crate) fn server_runtime(workers: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    // Before anything needs them, so that it is known what for.
    process::raise_descriptor_limit()?;
    signals::held(|| runtime(workers))
}

/// A runtime with so many threads; 0 is one for each processor.
///
/// Idle threads take work from busy ones. A runtime for each thread, whose connections stay with it, is measured beside that
/// in `docs/PERFORMANCE.md`, section 8.
pub(crate) fn runtime(workers: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    let threads = if workers == 0 { available_parallelism().map_or(1, usize::from) } else { workers };
    try_threads(threads)
        .with_context(|| format!("cannot start {threads} threads to answer requests"))
        .hint("allow the process more threads (ulimit -u, TasksMax=), or set workers lower")?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name("worker").enable_all().build().context("cannot start the runtime")
}

/// Starts so many threads at once and ends them: a runtime that gets fewer hangs for ever.
fn try_threads(count: usize) -> io::Result<()> {
    let started = (0..count).map(|_| thread::Builder::new().spawn(thread::park)).collect::<io::Result<Vec<_>>>()?;
    for thread in started {
        thread.thread().unpark();
        let _ = thread.join();
    }
    Ok(())
}

/// Binds `address`, which came from `flag` or the setting of that name.
pub(crate) fn bind(address: Address, flag: &str) -> anyhow::Result<Vec<TcpListener>> {
    address
        .bind()
        .with_context(|| format!("cannot listen on {address}"))
        .hint(format!("choose another address with {flag}; port 0 picks a free one"))
}

/// Where `listeners` are, as a person writes it.
pub(crate) fn urls(listeners: &[TcpListener]) -> anyhow::Result<String> {
    let urls = listeners.iter().map(|listener| Ok(format!("http://{}", listener.local_addr()?)));
    Ok(urls.collect::<anyhow::Result<Vec<_>>>()?.join(" and "))
}

/// What ends a server.
pub(crate) const STOP_SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Servers that run side by side and end together, at the first signal.
pub(crate) struct Servers {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Servers {
    /// Begins to listen for `signals`, so that one that comes while others still start is not lost.
    pub(crate) fn new(signals: &[Signal]) -> anyhow::Result<Self> {
        let stop = watch::Sender::new(false);
        // A signal that came in the middle of this would find nobody: no listener yet, and nothing that ends the process.
        signals::held(|| {
            for stops in signals {
                let mut signal = signal(SignalKind::from_raw(*stops as i32)).context("cannot listen for signals")?;
                let stop = stop.clone();
                tokio::spawn(async move {
                    signal.recv().await;
                    stop.send_replace(true);
                });
            }
            Ok(())
        })?;
        signals::ignore_user_signals()?;
        Ok(Self { running: JoinSet::new(), stop })
    }

    /// Starts to serve `routes` on `listeners`.
    pub(crate) fn add(
        &mut self,
        limits: ConnectionLimits,
        listeners: Vec<TcpListener>,
        routes: &Routes,
        count: &ConnectionCount,
    ) {
        for listener in listeners {
            let stop = self.stop.subscribe();
            self.running.spawn(http::serve(listener, routes.clone(), limits, count.clone(), stop));
        }
    }

    /// Runs until a signal comes and all servers have finished.
    pub(crate) async fn run(mut self) {
        // It ends with an error only when every sender is gone, and `self` holds one.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
        tracing::info!("stopping: no new connections, finishing what runs");
        while self.running.join_next().await.is_some() {}
        tracing::info!("stopped");
    }
}
