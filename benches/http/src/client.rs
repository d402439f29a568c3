//! The other load, where one kind of request is not enough: connections that are opened, used and closed one by one, and answers with
//! their status and time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::net::TcpSocket;
use tokio::task::{JoinHandle, JoinSet};

use crate::process::LOAD_CORE;

/// Runs `load` on the core of the load, in one thread.
pub(crate) fn run<T>(load: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    pin(LOAD_CORE)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(load)
}

/// Lets this thread, and what it starts from now on, run on `core` only.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("this needs two cores, and there is no core {core}"))
}

/// Lets this program and those that it starts have so many connections.
pub(crate) fn allow_connections(count: u64) -> anyhow::Result<()> {
    // Files, pipes, listeners.
    let needed = count + 100;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    ensure!(
        maximum.is_none_or(|maximum| maximum >= needed),
        "{count} connections need {needed} file descriptors, and a process may have {} here: raise it with ulimit -Hn as root",
        maximum.unwrap_or_default()
    );
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })?)
}

/// A connection that is kept alive.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Ends with the connection, and the connection with it.
    driver: JoinHandle<()>,
}

/// An answer, and when it was complete after the request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn ms(&self) -> f64 {
        self.took.as_secs_f64() * 1e3
    }
}

impl Connection {
    /// Connects to the server at `url` from `source`, one of the addresses of the loopback interface.
    pub(crate) async fn open(url: &str, source: Ipv4Addr) -> anyhow::Result<Self> {
        let address: SocketAddr = url.strip_prefix("http://").context("a URL")?.parse()?;
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let stream = socket.connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // What goes wrong is seen by who sends.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends a request and reads all of its answer.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        self.sender.ready().await?;
        let began = Instant::now();
        let answer = self.sender.send_request(request).await?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await?;
        Ok(Answer { status, took: began.elapsed() })
    }

    /// Whether neither side has closed it.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Ends the connection in good order.
    pub(crate) async fn close(self) {
        drop(self.sender);
        let _ = self.driver.await;
    }
}

/// Opens so many connections to the server at `url`.
pub(crate) async fn open_all(url: &str, count: usize) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(Connection::open(url, Ipv4Addr::LOCALHOST).await?);
    }
    Ok(connections)
}

/// Logs in on all `connections` at once, again on each as soon as it is answered and `again` says so, given how often it was.
/// Returns the connections, and every answer with the moment when it came.
pub(crate) async fn log_in_on(
    connections: Vec<Connection>,
    latency: Duration,
    again: impl Fn(usize) -> bool + Clone + Send + 'static,
) -> anyhow::Result<(Vec<Connection>, Vec<(Instant, Answer)>)> {
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let again = again.clone();
        tasks.spawn(async move {
            let mut answers = Vec::new();
            while again(answers.len()) {
                let answer = connection.ask(login(latency)).await?;
                answers.push((Instant::now(), answer));
            }
            anyhow::Ok((connection, answers))
        });
    }
    let (mut connections, mut answers) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (connection, its_answers) = done??;
        connections.push(connection);
        answers.extend(its_answers);
    }
    Ok((connections, answers))
}

/// Closes all of them.
pub(crate) async fn close_all(connections: Vec<Connection>) {
    for connection in connections {
        connection.close().await;
    }
}

/// A check of `ticket`.
pub(crate) fn check(ticket: &str) -> Request<Full<Bytes>> {
    let builder = Request::get("/v1/verify").header("host", "localhost");
    builder.header("authorization", format!("Bearer {ticket}")).body(Full::default()).expect("a ticket is ASCII")
}

/// A login that the simulator takes so long for; no two are with the same code.
pub(crate) fn login(latency: Duration) -> Request<Full<Bytes>> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let code = format!("slow-{}-alice-{number}", latency.as_millis());
    let builder = Request::post("/v1/login").header("host", "localhost").header("content-type", "application/json");
    builder.body(format!(r#"{{"code":"{code}"}}"#).into()).expect("all of it is ASCII")
}
