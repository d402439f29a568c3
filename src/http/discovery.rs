//! What services read by themselves: the public keys (RFC 7517) and where everything is (RFC 8414).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::{ApiError, ErrorCode};
use super::token::GRANT_TYPE;
use super::{AppState, json_text};

/// Shorter than the lead of a JWT key, so that whoever caches the keys has a new one before it signs.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The public keys of everything that may still be alive.
pub(super) async fn jwks(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let live = state.ring();
    Public::new(&live.signers.jwks(&live.ring, state.now())).answer(&headers)
}

/// Where tokens, introspection and keys are. Nothing, unless the server knows its own name.
pub(super) async fn metadata(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let Some(issuer) = &state.settings.issuer else {
        return Err(ApiError::new(ErrorCode::NotFound, "there is no such route unless public_url is configured"));
    };
    let metadata = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/v1/token"),
        "introspection_endpoint": format!("{issuer}/v1/introspect"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        // Some clients refuse an empty list.
        "response_types_supported": ["none"],
        "grant_types_supported": [GRANT_TYPE],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    });
    Ok(Public::new(&metadata).answer(&headers))
}

/// JSON that is the same for everybody.
#[derive(Debug)]
pub(super) struct Public {
    text: Bytes,
    etag: HeaderValue,
}

impl Public {
    pub(super) fn new(value: &impl Serialize) -> Self {
        let text = json_text(value);
        let sum = hex::encode(Sha256::digest(&text).first_chunk::<8>().copied().unwrap_or_default());
        let etag = HeaderValue::from_str(&format!("\"{sum}\"")).expect("hex digits may stand in a header");
        Self { text: text.into(), etag }
    }

    /// Publicly cacheable for five minutes, and 304 to whoever has it already (RFC 9110 section 13.1.2).
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
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
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        fields.insert(ETAG, self.etag.clone());
        response
    }
}
