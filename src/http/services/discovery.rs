//! What services and tools read by themselves: the public keys (RFC 7517), where everything is (RFC 8414), and the
//! description of all routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use serde::Serialize;

use crate::http::answer::PublicJson;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::services::token::GRANT_TYPE;
use crate::http::settings::Settings;
use crate::http::state::AppState;
use crate::keyring::Alg;

/// The public keys of everything that may still be alive.
pub(crate) async fn jwks(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let live = state.ring();
    PublicJson::new(&live.jwks(state.now())).answer(&headers)
}

/// Where tokens, introspection and keys are (RFC 8414). Nothing, unless the server knows its own name.
pub(crate) async fn metadata(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    Ok(PublicJson::new(&Metadata::of(&state.settings)?).answer(&headers))
}

/// The same where verifiers look that know `OpenID` Connect only (`OpenID` Connect Discovery 1.0 section 4). Nobody logs in
/// here by `OpenID` Connect: there is no authorization endpoint, and there are no ID tokens.
pub(crate) async fn openid_configuration(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let metadata = Metadata {
        subject_types_supported: Some(["public"]),
        // Of what the keys sign: verifiers that read this take other algorithms for forged.
        id_token_signing_alg_values_supported: Some([Alg::Es256.as_str(), Alg::EdDsa.as_str()]),
        ..Metadata::of(&state.settings)?
    };
    Ok(PublicJson::new(&metadata).answer(&headers))
}

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    introspection_endpoint: String,
    jwks_uri: String,
    /// Some clients refuse an empty list.
    response_types_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    scopes_supported: BTreeSet<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_types_supported: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token_signing_alg_values_supported: Option<[&'static str; 2]>,
}

impl<'a> Metadata<'a> {
    fn of(settings: &'a Settings) -> Result<Self, ApiError> {
        const NO_NAME: ApiError =
            ApiError::new(ErrorCode::NotFound, "there is no such route unless public_url is configured");
        let issuer = settings.issuer.as_deref().ok_or(NO_NAME)?;
        let scopes = settings.jwt.audiences.iter().flat_map(|audience| &audience.scopes);
        Ok(Self {
            issuer,
            token_endpoint: format!("{issuer}/v1/token"),
            introspection_endpoint: format!("{issuer}/v1/introspect"),
            jwks_uri: format!("{issuer}/.well-known/jwks.json"),
            response_types_supported: ["none"],
            grant_types_supported: [GRANT_TYPE],
            token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
            introspection_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
            scopes_supported: scopes.map(String::as_str).collect(),
            subject_types_supported: None,
            id_token_signing_alg_values_supported: None,
        })
    }
}

/// The description of all routes for clients.
pub(crate) async fn openapi(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    state.description.answer(&headers)
}
