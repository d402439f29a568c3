//! Servers that look at nothing: what the framework alone costs.

use std::convert::Infallible;
use std::future::IntoFuture;

use axum::Router;
use axum::response::AppendHeaders;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixListener};

use super::Session;

/// 200 with an empty body, always; over TCP and, if there is one, over a Unix socket.
pub(super) async fn axum(
    listener: std::net::TcpListener,
    socket: Option<std::os::unix::net::UnixListener>,
) -> anyhow::Result<()> {
    let router = Router::new().route("/v1/verify", any(async || ()));
    let tcp = axum::serve(TcpListener::from_std(listener)?, router.clone()).into_future();
    let Some(socket) = socket else { return Ok(tcp.await?) };
    socket.set_nonblocking(true)?;
    let unix = axum::serve(UnixListener::from_std(socket)?, router).into_future();
    tokio::try_join!(tcp, unix)?;
    Ok(())
}

/// The same with the headers of a check, made anew for each answer.
pub(super) async fn axum_with_headers(listener: std::net::TcpListener) -> anyhow::Result<()> {
    let router = Router::new().route("/v1/verify", any(async || AppendHeaders(Session::usual().headers())));
    Ok(axum::serve(TcpListener::from_std(listener)?, router).await?)
}

/// 200 with an empty body, without a framework.
pub(super) async fn hyper(listener: std::net::TcpListener) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let answer = |_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) };
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}
