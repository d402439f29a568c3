//! A refusal as the server would answer it.

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use ::http::{HeaderMap, Response};
use serde_json::json;

use crate::bearer::Refusal;
use crate::request_id::RequestId;

/// The answer to the request that came with `headers`; the log has its id and the reason.
pub(super) fn refusal<B: From<String>>(refusal: Refusal, headers: &HeaderMap) -> Response<B> {
    let request_id = RequestId::of(headers);
    tracing::debug!(%request_id, error = refusal.error(), "refused");
    let body = json!({
        "error": refusal.error(),
        "error_description": refusal.description(),
        "request_id": request_id,
    });
    let mut response = Response::new(B::from(body.to_string()));
    *response.status_mut() = refusal.status();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = refusal.challenge() {
        fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
