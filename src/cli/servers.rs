//! What all servers of the program share: their threads, sockets and signals.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, available_parallelism};

use anyhow::Context;
use auth_ticket::http::{self, ConnectionCount, ConnectionLimits, Listener, Routes};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::activation::Passed;
use super::address::Address;
use super::endpoint::Endpoint;
use super::process;
use super::report::WithHint;
use super::signals::{self, Signal};
use super::socket_file::{self, Occupied, SocketFile};

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

/// Sockets that are listened on.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    listeners: Vec<Listener>,
    /// Where they are, as a person writes it.
    places: Vec<String>,
    /// To be taken away at the end.
    files: Vec<SocketFile>,
}

/// Binds `address`, which came from `flag` or the setting of that name.
pub(crate) fn bind(address: Address, flag: &str) -> anyhow::Result<Bound> {
    let listeners = address
        .bind()
        .with_context(|| format!("cannot listen on {address}"))
        .hint(format!("choose another address with {flag}; port 0 picks a free one"))?;
    let mut bound = Bound::default();
    for listener in listeners.into_iter().map(Listener::Tcp) {
        bound.places.push(listener.place()?);
        bound.listeners.push(listener);
    }
    Ok(bound)
}

/// Listens at all of `endpoints`, which came from `flag` or the setting of that name; Unix sockets get `mode`.
pub(crate) fn listen(endpoints: &[Endpoint], mode: u32, flag: &str, passed: &mut Passed) -> anyhow::Result<Bound> {
    let mut all = Bound::default();
    for endpoint in endpoints {
        match endpoint {
            Endpoint::Address(address) => all.extend(bind(*address, flag)?),
            Endpoint::Unix(path) => {
                let bound = socket_file::listen(path, mode);
                let remedy = bound.as_ref().map_or_else(Occupied::remedy, |_| "");
                let (listener, file) = bound.with_context(|| format!("cannot listen on {endpoint}")).hint(remedy)?;
                all.places.push(endpoint.to_string());
                all.listeners.push(listener);
                all.files.push(file);
            }
            Endpoint::Systemd(name) => {
                for listener in passed.take(name, flag)? {
                    all.places.push(format!("{} ({endpoint})", listener.place()?));
                    all.listeners.push(listener);
                }
            }
        }
    }
    Ok(all)
}

impl Bound {
    fn extend(&mut self, other: Self) {
        self.listeners.extend(other.listeners);
        self.places.extend(other.places);
        self.files.extend(other.files);
    }

    /// Where they are, as a person writes it.
    pub(crate) fn places(&self) -> String {
        self.places.join(" and ")
    }

    /// The first address; that of `localhost` has another beside it.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listeners.iter().find_map(Listener::address).context("listens nowhere")??)
    }
}

/// Servers that run side by side and end together, at the first signal.
pub(crate) struct Servers {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
    files: Vec<SocketFile>,
}

impl Servers {
    /// Begins to listen for `signals`, so that one that comes while others still start is not lost.
    pub(crate) fn new(signals: &[Signal]) -> anyhow::Result<Self> {
        let stop = watch::Sender::new(false);
        // A signal that came in the middle of this would find nobody: no listener yet, and nothing that ends the process.
        signals::held(|| {
            for signal in signals {
                let stop = stop.clone();
                signals::once(*signal, move || {
                    stop.send_replace(true);
                })?;
            }
            Ok(())
        })?;
        signals::ignore_user_signals()?;
        Ok(Self { running: JoinSet::new(), stop, files: Vec::new() })
    }

    /// Ends them, too, when standard input is closed: whoever holds its other end is gone, however that came about.
    pub(crate) fn end_with_stdin(&self) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let read = move || {
            // An error is an end, too.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            stop.send_replace(true);
        };
        // A thread of its own: a read of standard input cannot be called off, and a runtime would wait for it.
        signals::held(|| {
            thread::Builder::new().name("stdin".to_owned()).spawn(read).context("cannot watch standard input")
        })?;
        Ok(())
    }

    /// Starts to serve `routes` on all of `bound`, which share `limits`.
    pub(crate) fn add(&mut self, limits: ConnectionLimits, bound: Bound, routes: &Routes, count: &ConnectionCount) {
        let stop = self.stop.subscribe();
        self.running.spawn(http::serve(bound.listeners, routes.clone(), limits, count.clone(), stop));
        self.files.extend(bound.files);
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
