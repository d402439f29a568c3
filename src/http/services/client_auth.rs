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
        let service = service(state, &credentials.0, &credentials.1).map_err(ApiError::after_basic)?;
        return Ok(TokenClient::Service(service));
    }
    match (id, secret) {
        (Some(id), Some(secret)) => service(state, id, secret).map(TokenClient::Service),
        // A service that leaves its secret out is not taken for a mini-program.
        (Some(id), None) if state.services().iter().all(|service| service.id != id) => Ok(TokenClient::Public(id)),
        _ => Err(ApiError::new(ErrorCode::InvalidClient, WRONG)),
    }
}

/// Authenticates a service by `Authorization: Basic`, the only way where the body is no form.
///
/// # Errors
/// 401 for an unknown service, a wrong secret, and none.
pub(crate) fn service_by_basic<'a>(state: &'a AppState, headers: &HeaderMap) -> Result<&'a Service, ApiError> {
    let refused = || ApiError::new(ErrorCode::InvalidClient, WRONG).after_basic();
    let (id, secret) = basic(headers)?.ok_or_else(refused)?;
    service(state, &id, &secret).map_err(ApiError::after_basic)
}

/// The service of this id, if `secret` is its. An unknown id costs the same comparison, and has the same answer; the log
/// says whose secret was tried.
fn service<'a>(state: &'a AppState, id: &str, secret: &str) -> Result<&'a Service, ApiError> {
    const REFUSED: ApiError = ApiError::new(ErrorCode::InvalidClient, WRONG);
    let found = state.services().iter().find(|service| service.id == id);
    let compared = found.or_else(|| state.services().first()).ok_or(REFUSED)?;
    match (compared.secret.is(secret), found) {
        (true, Some(service)) => Ok(service),
        (false, Some(service)) => Err(REFUSED.because(&format_args!("a wrong secret for service {}", service.id))),
        (_, None) => Err(REFUSED.because(&"no such service")),
    }
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
