//! Who asks for a token or an introspection: a configured service with its secret (RFC 6749 section 2.3.1), or a
//! mini-program, which has no secret that it could keep.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use crate::http::error::{ApiError, ErrorCode};
use crate::http::services::form::Form;
use crate::http::settings::Service;
use crate::http::state::AppState;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenClient<'a> {
    /// A configured service that has shown its secret.
    Service(&'a Service),
    /// A public client (RFC 6749 section 2.1) that names this app and proves nothing.
    Public(&'a str),
}

const WRONG: &str = "the client is unknown or its secret is wrong";

/// Authenticates the client, by `Authorization: Basic` or by `client_id` and `client_secret` in the form.
///
/// # Errors
/// 401 for an unknown client or a wrong secret, 400 for both ways at once.
pub(crate) fn caller<'a>(
    state: &'a AppState,
    headers: &HeaderMap,
    form: &'a Form,
) -> Result<TokenClient<'a>, ApiError> {
    let (id, secret) = (form.one("client_id")?, form.one("client_secret")?);
    if let Some(credentials) = basic(headers)? {
        if secret.is_some() || id.is_some_and(|id| id != credentials.0) {
            return Err(ApiError::invalid_request("the client authenticates in two ways at once"));
        }
        let refused = || ApiError::new(ErrorCode::InvalidClient, WRONG).after_basic();
        return service(state, &credentials.0, &credentials.1).map(TokenClient::Service).ok_or_else(refused);
    }
    let refused = ApiError::new(ErrorCode::InvalidClient, WRONG);
    match (id, secret) {
        (Some(id), Some(secret)) => service(state, id, secret).map(TokenClient::Service).ok_or(refused),
        // A service that leaves its secret out is not taken for a mini-program.
        (Some(id), None) if state.services().iter().all(|service| service.id != id) => Ok(TokenClient::Public(id)),
        _ => Err(refused),
    }
}

/// Authenticates a service by `Authorization: Basic`, the only way where the body is no form.
///
/// # Errors
/// 401 for an unknown service, a wrong secret, and none.
pub(crate) fn service_by_basic<'a>(state: &'a AppState, headers: &HeaderMap) -> Result<&'a Service, ApiError> {
    let shown = basic(headers)?;
    let found = shown.and_then(|(id, secret)| service(state, &id, &secret));
    found.ok_or_else(|| ApiError::new(ErrorCode::InvalidClient, WRONG).after_basic())
}

/// The service of this id, if `secret` is its. An unknown id costs the same comparison.
fn service<'a>(state: &'a AppState, id: &str, secret: &str) -> Option<&'a Service> {
    let found = state.services().iter().find(|service| service.id == id);
    let compared = found.or_else(|| state.services().first())?;
    let same = compared.secret.is(secret);
    found.filter(|_| same)
}

/// Id and secret of a `Basic` header, each form-decoded after base64.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refused = || ApiError::new(ErrorCode::InvalidClient, WRONG).after_basic();
    if values.next().is_some() {
        return Err(refused());
    }
    let text = value.to_str().map_err(|_| refused())?;
    let Some((scheme, credentials)) = text.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let decoded = STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(refused)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(refused)?;
    Ok(Some((form_decoded(id), form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    // `&` and `=` would end a name; in credentials they stand for themselves, or what follows them would be ignored.
    let name = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}
