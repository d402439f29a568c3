//! Answers as they go out: whole, late or broken.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::faults::Broken;

/// What becomes of a request.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Reply {
    /// A 200 with this JSON, after a while.
    Json(Duration, String),
    /// This JSON with another status.
    Status(StatusCode, String),
    Broken(Broken),
}

/// Answers with a platform's label for JSON, or plays the fault. A server drops this future when the client goes away.
pub(super) async fn respond(reply: Reply, content_type: &'static str) -> Response {
    let labelled = |text: String| ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response();
    match reply {
        Reply::Json(delay, json) => {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            labelled(json)
        }
        Reply::Status(status, json) => (status, labelled(json)).into_response(),
        Reply::Broken(Broken::Garbage) => labelled("<html><body>busy</body></html>".to_owned()),
        Reply::Broken(Broken::ServerError) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
        Reply::Broken(Broken::Hang) => std::future::pending().await,
        Reply::Broken(Broken::Cut) => cut_off(content_type),
    }
}

fn cut_off(content_type: &'static str) -> Response {
    let half = stream::iter([Ok(Bytes::from_static(br#"{"session_key":"q83vEjRW"#))]);
    let end = stream::once(async {
        // The server writes the half out while it waits for the rest.
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static(content_type)), (CONTENT_LENGTH, HeaderValue::from_static("120"))];
    (headers, Body::from_stream(half.chain(end))).into_response()
}
