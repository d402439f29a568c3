//! The whole session in an encrypted cookie, by axum-extra: as stateless as a ticket.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{any, post};
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key};
use tokio::net::TcpListener;

use super::{SESSION_COOKIE, Session};

pub(super) async fn serve(listener: std::net::TcpListener) -> anyhow::Result<()> {
    let router =
        Router::new().route("/login", post(login)).route("/v1/verify", any(verify)).with_state(Key::generate());
    Ok(axum::serve(TcpListener::from_std(listener)?, router).await?)
}

async fn login(jar: PrivateCookieJar) -> Result<PrivateCookieJar, StatusCode> {
    let session = serde_json::to_string(&Session::usual()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(jar.add(Cookie::new(SESSION_COOKIE, session)))
}

async fn verify(jar: PrivateCookieJar) -> Result<Response, StatusCode> {
    let cookie = jar.get(SESSION_COOKIE).ok_or(StatusCode::UNAUTHORIZED)?;
    let session: Session = serde_json::from_str(cookie.value()).map_err(|_| StatusCode::UNAUTHORIZED)?;
    Ok(AppendHeaders(session.headers()).into_response())
}
