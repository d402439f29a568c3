//! What services and tools read by themselves: the public keys (RFC 7517), where everything is (RFC 8414), and the
//! description of all routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use serde_json::json;

use crate::http::answer::PublicJson;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::services::token::GRANT_TYPE;
use crate::http::state::AppState;

/// The public keys of everything that may still be alive.
pub(crate) async fn jwks(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let live = state.ring();
    PublicJson::new(&live.jwks(state.now())).answer(&headers)
}

/// Where tokens, introspection and keys are. Nothing, unless the server knows its own name.
pub(crate) async fn metadata(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let Some(issuer) = &state.settings.issuer else {
        return Err(ApiError::new(ErrorCode::NotFound, "there is no such route unless public_url is configured"));
    };
    let mut metadata = json!({
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
    let scopes: BTreeSet<&String> = state.settings.jwt.audiences.iter().flat_map(|audience| &audience.scopes).collect();
    if let Some(metadata) = metadata.as_object_mut().filter(|_| !scopes.is_empty()) {
        metadata.insert("scopes_supported".to_owned(), json!(scopes));
    }
    Ok(PublicJson::new(&metadata).answer(&headers))
}

/// The description of all routes for clients.
pub(crate) async fn openapi(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    state.description.answer(&headers)
}
