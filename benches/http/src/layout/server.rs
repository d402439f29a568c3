//! One server that answers as a good check is answered, without looking at anything, and its connections spread over
//! threads in one of several ways. What happens to a connection is the same code in all of them.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// As `std` has it for the others.
const BACKLOG: u32 = 128;
/// Tells which worker a connection belongs to.
pub(super) const WORKER: &str = "x-worker";

const IDENTITY: [(&str, &str); 8] = [
    ("x-auth-appid", "wx0123456789abcdef"),
    ("x-auth-platform", "weapp"),
    ("x-auth-openid", "oGZUI0egBJY1zhBYw2KhdUfwVJJE"),
    ("x-auth-unionid", "ocMvos6NjeKLIBqg5Mr9QjxrP1FA"),
    ("x-auth-phone", ""),
    ("x-auth-claims", ""),
    ("x-auth-login-id", "0123456789abcdef"),
    ("x-auth-expires-at", "1800000000"),
];

/// Serves with so many workers until it is killed.
pub(crate) fn serve(layout: &str, workers: usize) -> anyhow::Result<()> {
    match layout {
        "stealing" => stealing(workers),
        "reuseport" => reuseport(workers),
        "handed-out" => handed_out(workers),
        "shared" => shared(workers),
        _ => bail!("there is no such layout"),
    }
}

/// The runtime's default: connections are tasks, and idle workers take tasks from busy ones.
fn stealing(workers: usize) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listen()?)?;
        tokio::spawn(accept(listener, 0)).await?
    })
}

/// A runtime and a listener for each worker; the kernel chooses by a hash of both addresses.
fn reuseport(workers: usize) -> anyhow::Result<()> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut listeners = Vec::new();
    for _ in 0..workers {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        address = socket.local_addr()?;
        listeners.push(socket);
    }
    say(address);
    in_threads(listeners, async |socket, worker| accept(socket.listen(BACKLOG)?, worker).await)
}

/// A runtime for each worker, one listener in all of them: who comes first gets the connection.
fn shared(workers: usize) -> anyhow::Result<()> {
    let listener = listen()?;
    let listeners = (0..workers).map(|_| listener.try_clone()).collect::<Result<_, _>>()?;
    in_threads(listeners, async |listener, worker| accept(TcpListener::from_std(listener)?, worker).await)
}

/// A runtime for each worker, and a thread that gives each connection to the worker which has the fewest.
fn handed_out(workers: usize) -> anyhow::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(false)?;
    let open: Arc<[AtomicUsize]> = (0..workers).map(|_| AtomicUsize::new(0)).collect();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
    let counts = Arc::clone(&open);
    thread::spawn(move || {
        in_threads(receivers, async |mut receiver: mpsc::UnboundedReceiver<std::net::TcpStream>, worker| {
            while let Some(stream) = receiver.recv().await {
                let (stream, open) = (TcpStream::from_std(stream)?, Arc::clone(&counts));
                tokio::spawn(async move {
                    converse(stream, worker).await;
                    open[worker].fetch_sub(1, Ordering::Relaxed);
                });
            }
            Ok(())
        })
    });
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        let worker = (0..workers).min_by_key(|worker| open[*worker].load(Ordering::Relaxed)).unwrap_or_default();
        open[worker].fetch_add(1, Ordering::Relaxed);
        senders[worker].send(stream).context("a worker has ended")?;
    }
}

fn listen() -> anyhow::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    listener.set_nonblocking(true)?;
    say(listener.local_addr()?);
    Ok(listener)
}

fn say(address: SocketAddr) {
    println!("listening on http://{address}");
}

/// Runs one thread with a runtime of its own for each of `parts`; returns when one has failed.
fn in_threads<T: Send>(parts: Vec<T>, work: impl AsyncFn(T, usize) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let runtimes: Vec<Runtime> =
        parts.iter().map(|_| Builder::new_current_thread().enable_all().build()).collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> = runtimes
            .into_iter()
            .zip(parts)
            .enumerate()
            .map(|(worker, (runtime, part))| {
                let work = &work;
                scope.spawn(move || runtime.block_on(work(part, worker)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a worker does not panic"))
    })
}

async fn accept(listener: TcpListener, worker: usize) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, worker));
    }
}

async fn converse(stream: TcpStream, worker: usize) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |_: Request<Incoming>| async move { Ok::<_, Infallible>(answer(worker)) });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn answer(worker: usize) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    let headers = response.headers_mut();
    for (name, value) in IDENTITY {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(WORKER, HeaderValue::from(worker));
    response
}
