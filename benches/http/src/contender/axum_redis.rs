//! The usual way: a random id in a cookie, the session in Redis under it, one connection that all requests share.

use std::env;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{any, post};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpListener;

use super::{REDIS_URL, SESSION_COOKIE, Session};

/// As long as a random one; there is one session only.
const ID: &str = "f81d4fae7dec11d0a76500a0c91e6bf6";
const LIFETIME_S: u64 = 7200;

pub(super) async fn serve(listener: std::net::TcpListener) -> anyhow::Result<()> {
    let url = env::var(REDIS_URL).context(REDIS_URL)?;
    let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let router = Router::new().route("/login", post(login)).route("/v1/verify", any(verify)).with_state(connection);
    Ok(axum::serve(TcpListener::from_std(listener)?, router).await?)
}

async fn login(State(mut redis): State<MultiplexedConnection>, jar: CookieJar) -> Result<CookieJar, StatusCode> {
    let session = serde_json::to_string(&Session::usual()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let stored = redis.set_ex::<_, _, ()>(key(ID), session, LIFETIME_S).await;
    stored.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(jar.add(Cookie::new(SESSION_COOKIE, ID)))
}

async fn verify(State(mut redis): State<MultiplexedConnection>, jar: CookieJar) -> Result<Response, StatusCode> {
    let id = jar.get(SESSION_COOKIE).ok_or(StatusCode::UNAUTHORIZED)?.value();
    let stored: Option<Vec<u8>> = redis.get(key(id)).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let session: Option<Session> = stored.and_then(|stored| serde_json::from_slice(&stored).ok());
    Ok(AppendHeaders(session.ok_or(StatusCode::UNAUTHORIZED)?.headers()).into_response())
}

fn key(id: &str) -> String {
    format!("session:{id}")
}
