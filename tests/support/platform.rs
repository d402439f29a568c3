//! The platform behind a server under test: the simulator or a stub, with every exchange counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde_json::Value;

use super::Running;
use super::answer::Secrets;

/// A running platform.
#[derive(Debug)]
pub(crate) struct TestPlatform {
    pub(crate) address: SocketAddr,
    exchanges: Arc<AtomicUsize>,
    _running: Running,
}

impl TestPlatform {
    /// Serves `router`. What it hands out as a `session_key` is added to `secrets`.
    pub(super) async fn start(router: Router, secrets: Secrets) -> Self {
        let exchanges = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&exchanges);
        let router = router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let (counted, secrets) = (Arc::clone(&counted), secrets.clone());
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                let is_whole = !request.uri().query().unwrap_or_default().contains("js_code=cut");
                let response = next.run(request).await;
                if is_whole { remember_session_key(response, &secrets).await } else { response }
            }
        }));
        let (address, running) = super::serve(router, super::LIMITS).await;
        Self { address, exchanges, _running: running }
    }

    /// How many requests have come in so far.
    pub(crate) fn exchanges(&self) -> usize {
        self.exchanges.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have come in.
    pub(crate) async fn reached(&self, count: usize) {
        let reached = async {
            while self.exchanges() < count {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        super::within_5_s("requests at the platform", reached).await;
    }
}

async fn remember_session_key(response: Response, secrets: &Secrets) -> Response {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(session_key) = answer.get("session_key").and_then(Value::as_str) {
        secrets.add(session_key);
    }
    Response::from_parts(parts, Body::from(body))
}

/// A platform that answers `json` to everything.
pub(crate) fn stub(json: &Value) -> Router {
    let text = json.to_string();
    Router::new().fallback(move || {
        let text = text.clone();
        async move { text.into_response() }
    })
}
