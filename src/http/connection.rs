//! Connections: accept, watch over their time, end them in good order.
//!
//! Our own loop because `axum::serve` sets no timer: a half-sent request would stay open for ever. A connection is, in
//! turn, waiting for a request, receiving a request's head, or being answered; each of the first two has a deadline.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Routes;
use super::metrics::ConnectionCount;

/// Above this, hyper answers 431 by itself; well above what the router refuses with the usual error.
const MAX_HEAD_LEN: usize = 128 << 10;
/// How long to wait after `accept` failed, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections there may be, and how long each may take for what.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "numbers that callers fill in")]
pub struct ConnectionLimits {
    /// Most open connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// From a request's first byte, or from the connection's start, to the end of its head.
    pub header_timeout: Duration,
    /// From an answer to the next request's first byte.
    pub idle_timeout: Duration,
    /// From the stop signal to the end of the last answer.
    pub shutdown_grace: Duration,
}

/// Serves `routes` on `listener` until `stop` turns true, then finishes the requests that run and returns.
pub async fn serve(
    listener: TcpListener,
    routes: impl Into<Routes>,
    limits: ConnectionLimits,
    count: ConnectionCount,
    mut stop: watch::Receiver<bool>,
) {
    let routes = Arc::new(routes.into());
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let stopped = stop.clone();
    tokio::select! {
        () = accept(&listener, &routes, limits, &count, &room, &stopped) => {}
        // An error means that the sender is gone, which is as good a reason to stop.
        _ = stop.wait_for(|stop| *stop) => {}
    }
    drop(listener);
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    if timeout(limits.shutdown_grace, room.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were cut off at the end of the shutdown grace");
    }
}

async fn accept(
    listener: &TcpListener,
    routes: &Arc<Routes>,
    limits: ConnectionLimits,
    count: &ConnectionCount,
    room: &Arc<Semaphore>,
    stop: &watch::Receiver<bool>,
) {
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (routes, stop) = (Arc::clone(routes), stop.clone());
                let counted = count.enter();
                tokio::spawn(async move {
                    run(stream, &routes, limits, stop).await;
                    drop((place, counted));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn run(stream: TcpStream, routes: &Routes, limits: ConnectionLimits, mut stop: watch::Receiver<bool>) {
    // Answers are written in one piece, so there is nothing to gain from waiting for more.
    let _ = stream.set_nodelay(true);
    let watchdog = &Watchdog::new(limits);
    let io = WatchedIo { inner: TokioIo::new(stream), watchdog };
    let service = service_fn(async |request: Request<Incoming>| {
        watchdog.answering();
        let response = routes.answer(request).await;
        watchdog.waiting();
        Ok::<_, Infallible>(response)
    });
    let mut connection =
        pin!(http1::Builder::new().max_buf_size(MAX_HEAD_LEN).half_close(true).serve_connection(io, service));
    let mut stopping = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut overdue = pin!(watchdog.overdue());
    let mut asked_to_stop = false;
    loop {
        tokio::select! {
            biased;
            // A client that breaks off or sends no HTTP is its own affair.
            _ = connection.as_mut() => return,
            () = &mut stopping, if !asked_to_stop => {
                asked_to_stop = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut overdue => return,
        }
    }
}

/// When a connection's time is up.
#[derive(Debug)]
struct Watchdog {
    start: Instant,
    limits: ConnectionLimits,
    /// Milliseconds after `start`, or one of the two marks below.
    deadline_ms: AtomicU64,
    /// 1 while the next byte that arrives is a request's first.
    awaits_first_byte: AtomicU64,
}

/// While a request is being answered: handlers have deadlines of their own.
const NO_DEADLINE: u64 = u64::MAX;

impl Watchdog {
    fn new(limits: ConnectionLimits) -> Self {
        let deadline_ms = AtomicU64::new(millis(limits.header_timeout));
        Self { start: Instant::now(), limits, deadline_ms, awaits_first_byte: AtomicU64::new(0) }
    }

    /// A request's head is complete.
    fn answering(&self) {
        self.awaits_first_byte.store(0, Ordering::Relaxed);
        self.deadline_ms.store(NO_DEADLINE, Ordering::Relaxed);
    }

    /// The answer is ready to be written; then comes the next request, or nothing.
    fn waiting(&self) {
        self.set(self.limits.idle_timeout);
        self.awaits_first_byte.store(1, Ordering::Relaxed);
    }

    fn bytes_arrived(&self) {
        if self.awaits_first_byte.swap(0, Ordering::Relaxed) == 1 {
            self.set(self.limits.header_timeout);
        }
    }

    fn set(&self, from_now: Duration) {
        self.deadline_ms.store(millis(self.start.elapsed() + from_now), Ordering::Relaxed);
    }

    /// Ends when the time is up. Looks again at least every `header_timeout`, so that a deadline which came nearer
    /// meanwhile is not missed, and nobody has to wake it.
    async fn overdue(&self) {
        loop {
            let now = self.start.elapsed();
            let deadline_ms = self.deadline_ms.load(Ordering::Relaxed);
            if millis(now) >= deadline_ms {
                return;
            }
            let next_look = now + self.limits.header_timeout;
            sleep_until(self.start + next_look.min(Duration::from_millis(deadline_ms))).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A stream that tells the watchdog when bytes arrive.
struct WatchedIo<'a> {
    inner: TokioIo<TcpStream>,
    watchdog: &'a Watchdog,
}

impl Read for WatchedIo<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        // The end of the stream counts as bytes, too: then hyper ends the connection before any deadline.
        if matches!(result, Poll::Ready(Ok(()))) {
            self.watchdog.bytes_arrived();
        }
        result
    }
}

impl Write for WatchedIo<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}
