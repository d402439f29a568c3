//! Connections: accepted, given deadlines, shut down gracefully.
//!
//! Our own loop because `axum::serve` sets no timer: a half-sent request would stay open for ever. A connection is, in
//! turn, waiting for a request, receiving a request's head, or being answered; each of the first two has a deadline.

mod io;
mod watchdog;

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::http::Routes;
use crate::http::labels::Limit;
use crate::http::transport::admission::ConnectionCount;
use io::WatchedIo;
pub use watchdog::ConnectionLimits;
use watchdog::{Doing, Watchdog};

/// The largest head that a connection holds: 16 KiB of header section, which the routes refuse with their own error, and
/// some for the path. What more comes is thrown away. Memory follows from it: docs/OPERATING.md, "Memory".
const MAX_HEAD_LEN: usize = 24 << 10;
/// What the system may hold of a connection in each direction, and doubles for its own needs. Left alone, it holds megabytes for
/// a client that does not read, and counts them among the memory of a container.
const SOCKET_BUFFER_LEN: usize = 32 << 10;
/// How long to wait after `accept` failed, usually because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` on `listener` until `stop` turns true, then finishes the requests that run and returns.
pub async fn serve(
    listener: TcpListener,
    routes: impl Into<Routes>,
    limits: ConnectionLimits,
    count: ConnectionCount,
    mut stop: watch::Receiver<bool>,
) {
    let (routes, count) = (Arc::new(routes.into()), Arc::new(count));
    bound_buffers(&listener);
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let stopped = stop.clone();
    tokio::select! {
        () = accept(&listener, &routes, limits, &count, &room, &stopped) => {}
        // An error means that the sender is gone: stop as well.
        _ = stop.wait_for(|stop| *stop) => {}
    }
    drop(listener);
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    if timeout(limits.shutdown_grace, room.acquire_many(all)).await.is_err() {
        tracing::warn!("connections were cut off at the end of the shutdown grace");
    }
}

/// Connections inherit the buffer sizes of their listener.
fn bound_buffers(listener: &TcpListener) {
    let set = sockopt::set_socket_send_buffer_size(listener, SOCKET_BUFFER_LEN)
        .and_then(|()| sockopt::set_socket_recv_buffer_size(listener, SOCKET_BUFFER_LEN));
    if let Err(error) = set {
        tracing::warn!(%error, "cannot bound what the system holds of each connection");
    }
}

async fn accept(
    listener: &TcpListener,
    routes: &Arc<Routes>,
    limits: ConnectionLimits,
    count: &Arc<ConnectionCount>,
    room: &Arc<Semaphore>,
    stop: &watch::Receiver<bool>,
) {
    loop {
        if room.available_permits() == 0 {
            count.limit_reached(Limit::MaxConnections);
        }
        let Ok(place) = Arc::clone(room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Ok(counted) = count.enter(peer.ip()) else {
                    // A reset leaves nothing behind to be kept for a minute, as an orderly end would.
                    let _ = stream.set_zero_linger();
                    continue;
                };
                let (routes, count, stop) = (Arc::clone(routes), Arc::clone(count), stop.clone());
                tokio::spawn(async move {
                    run(stream, peer.ip(), &routes, limits, &count, stop).await;
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

async fn run(
    stream: TcpStream,
    peer: IpAddr,
    routes: &Routes,
    limits: ConnectionLimits,
    count: &ConnectionCount,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written in one piece, for which `write` costs less than `writev`; there is nothing to gain from waiting.
    let _ = stream.set_nodelay(true);
    let watchdog = &Watchdog::new(limits);
    let io = TokioIo::new(WatchedIo::new(stream, watchdog, count));
    let service = service_fn(async |request: Request<Incoming>| {
        watchdog.now_doing(Doing::Answering);
        let has_body = !request.body().is_end_stream();
        let response = routes.answer(request, Some(peer)).await;
        if has_body && response.headers().contains_key(CONNECTION) {
            watchdog.leaves_unread.store(true, Ordering::Relaxed);
        }
        watchdog.now_doing(Doing::Waiting);
        Ok::<_, Infallible>(response)
    });
    let mut connection = pin!(
        http1::Builder::new().max_buf_size(MAX_HEAD_LEN).half_close(true).writev(false).serve_connection(io, service)
    );
    let mut stopping = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut overdue = pin!(watchdog.overdue());
    let mut asked_to_stop = false;
    loop {
        tokio::select! {
            biased;
            // Nothing to do for a client that breaks off or sends no HTTP.
            _ = connection.as_mut() => return,
            () = &mut stopping, if !asked_to_stop => {
                asked_to_stop = true;
                connection.as_mut().graceful_shutdown();
            }
            limit = &mut overdue => return count.limit_reached(limit),
        }
    }
}
