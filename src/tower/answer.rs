//! A refusal as the server would answer it.

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use ::http::{HeaderMap, Response};

use crate::bearer::Refusal;
use crate::request_id::RequestId;

impl Refusal {
    /// The answer to the request that came with `headers`, as the login server would give it: status, headers and JSON.
    ///
    /// Its `request_id` is that of a proxy (`X-Request-Id`), otherwise one of its own.
    #[must_use]
    pub fn to_response(self, headers: &HeaderMap) -> Response<String> {
        response(self, &RequestId::of(headers).to_string())
    }
}

pub(super) fn response(refusal: Refusal, request_id: &str) -> Response<String> {
    let mut response = Response::new(refusal.to_json(request_id));
    *response.status_mut() = refusal.status();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = refusal.challenge() {
        fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
