//! Connections: accepted, given deadlines, shut down gracefully.
//!
//! Our own loop because `axum::serve` sets no timer: a half-sent request would stay open for ever. A connection is, in
//! turn, waiting for a request, receiving a request's head, or being answered; each of the first two has a deadline.

mod gate;
mod io;
mod watchdog;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::http::Routes;
use crate::http::labels::Limit;
use crate::http::transport::admission::ConnectionCount;
use crate::http::transport::listener::{Accept, Listener};
use gate::Gate;
use io::WatchedIo;
pub use watchdog::ConnectionLimits;
use watchdog::{Doing, Watchdog};

/// The largest head that a connection holds: 16 KiB of header section, which the routes refuse with their own error, and
/// some for the path. What more comes is thrown away. Memory follows from it: docs/OPERATING.md, "Memory".
const MAX_HEAD_LEN: usize = 24 << 10;
/// How long to wait after `accept` failed, usually because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` on `listeners`, which share `limits`, until `stop` turns true; then finishes the requests that run and
/// returns.
pub async fn serve(
    listeners: Vec<Listener>,
    routes: impl Into<Routes>,
    limits: ConnectionLimits,
    count: ConnectionCount,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let server = Arc::new(Server { routes: routes.into(), limits, count, room: Arc::clone(&room), stop: stop.clone() });
    let accepting = listeners.into_iter().map(|listener| match listener {
        Listener::Tcp(listener) => accept(listener, Arc::clone(&server)).boxed(),
        #[cfg(unix)]
        Listener::Unix(listener) => accept(listener, Arc::clone(&server)).boxed(),
    });
    tokio::select! {
        _ = join_all(accepting) => {}
        // An error means that the sender is gone: stop as well.
        _ = stop.wait_for(|stop| *stop) => {}
    }
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    if timeout(limits.shutdown_grace, room.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were cut off at the end of the shutdown grace");
    }
}

/// What all connections share.
struct Server {
    routes: Routes,
    limits: ConnectionLimits,
    count: ConnectionCount,
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

async fn accept<L: Accept>(listener: L, server: Arc<Server>) {
    listener.prepare();
    let Server { count, room, .. } = &*server;
    loop {
        if room.available_permits() == 0 {
            count.limit_reached(Limit::MaxConnections);
        }
        let Ok(place) = Arc::clone(room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Ok(counted) = count.enter(peer) else {
                    L::refuse(stream);
                    continue;
                };
                L::tune(&stream);
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    run(stream, peer, &server).await;
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

async fn run(stream: impl AsyncRead + AsyncWrite + Unpin, peer: Option<IpAddr>, server: &Server) {
    let Server { routes, limits, count, .. } = server;
    let mut stop = server.stop.clone();
    let watchdog = &Watchdog::new(*limits);
    let io = TokioIo::new(WatchedIo::new(stream, watchdog, count, routes.are_for_pages()));
    let service = service_fn(|request: Request<Incoming>| {
        watchdog.now_doing(Doing::Answering);
        let has_body = !request.body().is_end_stream();
        routes.answer(request, peer).map(move |response| {
            if has_body && response.headers().contains_key(CONNECTION) {
                watchdog.leaves_unread.store(true, Ordering::Relaxed);
            }
            watchdog.now_doing(Doing::Waiting);
            Ok::<_, Infallible>(response)
        })
    });
    let mut connection = pin!(
        // Answers are written in one piece, for which `write` costs less than `writev`.
        http1::Builder::new().max_buf_size(MAX_HEAD_LEN).half_close(true).writev(false).serve_connection(io, service)
    );
    let mut stopping = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
        // It may be on its way: where the next server has the same socket, the client would lose nothing but this.
        watchdog.first_request().await;
    });
    let mut overdue = pin!(watchdog.overdue());
    let (mut gate, mut asked_to_stop) = (Gate::new(), false);
    let overdue = poll_fn(|task| {
        loop {
            // Nothing to do for a client that breaks off or sends no HTTP.
            if connection.as_mut().poll(task).is_ready() {
                return Poll::Ready(None);
            }
            let Some(mut behind) = gate.due(task) else { return Poll::Pending };
            if let Poll::Ready(limit) = overdue.as_mut().poll(&mut behind) {
                return Poll::Ready(Some(limit));
            }
            if asked_to_stop || stopping.as_mut().poll(&mut behind).is_pending() {
                return Poll::Pending;
            }
            asked_to_stop = true;
            connection.as_mut().graceful_shutdown();
        }
    });
    if let Some(limit) = overdue.await {
        count.limit_reached(limit);
    }
}
