//! What answers have in common.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What `--version` says, too.
pub(crate) const BUILD_VERSION: &str = env!("BUILD_VERSION");

/// An answer of JSON with status 200: some platforms' clients take no other status for a success.
pub(crate) fn json_answer(value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(json_text(value)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("answers have text for keys, so they are always JSON")
}

/// Shorter than the lead of a JWT key, so that caches have a new key before it signs.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// JSON that is the same for everybody.
#[derive(Debug)]
pub(crate) struct PublicJson {
    text: Bytes,
    etag: HeaderValue,
}

impl PublicJson {
    pub(crate) fn new(value: &impl Serialize) -> Self {
        let text = json_text(value);
        let sum = hex::encode(Sha256::digest(&text).first_chunk::<8>().copied().unwrap_or_default());
        let etag = HeaderValue::from_str(&format!("\"{sum}\"")).expect("hex digits may stand in a header");
        Self { text: text.into(), etag }
    }

    /// Publicly cacheable for five minutes, with an `ETag`; 304 on a match (RFC 9110 section 13.1.2).
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_known = known
            .flat_map(|list| list.split(','))
            .any(|one| one.trim().trim_start_matches("W/") == self.etag || one.trim() == "*");
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(CONTENT_TYPE, "application/json")], self.text.clone()).into_response()
        };
        let fields = response.headers_mut();
        fields.insert(CACHE_CONTROL, CACHE);
        fields.insert(ETAG, self.etag.clone());
        response
    }
}
