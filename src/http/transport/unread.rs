//! What a route leaves unread of a request's body.
//!
//! Many routes ignore the body, and refusals come before it is read. The next request of the connection stands behind it, so a
//! small body is read and dropped; otherwise the connection ends, and the answer says so. hyper ends it without a word.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use tokio::time::timeout;

use crate::http::request::MAX_BODY_LEN;

/// How long an answer waits for a body that nobody reads. Clients that send head and body apart do so within a round trip.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The body of a request that is being answered, once the handler has dropped it.
pub(crate) struct Unread {
    returned: Arc<Mutex<Option<Body>>>,
    /// The client sends no body before it has been asked to.
    is_held_back: bool,
}

impl Unread {
    /// Watches over the body of `request`; `None` if it has none.
    pub(crate) fn watch(request: Request<Body>) -> (Request<Body>, Option<Self>) {
        if request.body().is_end_stream() {
            return (request, None);
        }
        let unread = Self { returned: Arc::default(), is_held_back: request.headers().contains_key(EXPECT) };
        let lend = |body| Body::new(Lent { body, returned: Arc::clone(&unread.returned) });
        (request.map(lend), Some(unread))
    }

    /// Drops what is left of the body, or has `response` say that the connection ends with it.
    pub(crate) async fn settle(self, response: &mut Response) {
        if response.headers().contains_key(CONNECTION) {
            return;
        }
        let body = self.returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_read = match body {
            Some(body) if self.is_held_back => body.is_end_stream(),
            Some(body) => timeout(DRAIN_TIME, drain(body)).await.unwrap_or(false),
            None => false,
        };
        if !is_read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Reads the rest of `body`, up to the length of one that a route would take. Whether that was all.
async fn drain(mut body: Body) -> bool {
    let mut seen = 0;
    while !body.is_end_stream() {
        if body.size_hint().lower() > (MAX_BODY_LEN - seen) as u64 {
            return false;
        }
        let Some(frame) = body.frame().await else { return true };
        let Ok(frame) = frame else { return false };
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > MAX_BODY_LEN {
            return false;
        }
    }
    true
}

/// Goes back when it is dropped.
struct Lent {
    body: Body,
    returned: Arc<Mutex<Option<Body>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let body = std::mem::take(&mut self.body);
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
