//! The owner's service: it takes whatever comes and remembers it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use http_body_util::BodyExt;

use crate::support::{LIMITS, Running, serve};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    /// The values of the header `name`.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value).collect()
    }
}

/// A running service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _running: Running,
}

impl Service {
    pub(super) async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let noted = Arc::clone(&noted);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes().to_vec();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
                let (method, target) = (head.method.to_string(), head.uri.to_string());
                let seen = Seen { method, target, headers: headers.collect(), body };
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
                "served"
            }
        });
        let (address, running) = serve(router, LIMITS).await;
        Self { address, seen, _running: running }
    }

    /// What has come since the last time.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one request that has come since the last time.
    #[track_caller]
    pub(super) fn one(&self) -> Seen {
        let seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }
}
