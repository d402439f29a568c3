//! `POST /v1/userdata`: what the platform encrypted or signed for this user, once it is proven to be that.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::request::{json_body, json_object, presented_ticket};
use super::{App, AppState, json_answer, session_key};
use crate::keyring::Purpose;
use crate::secret::SecretText;
use crate::ticket::{PlatformId, Ticket};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserDataRequest {
    encrypted_data: Option<String>,
    iv: Option<String>,
    raw_data: Option<String>,
    signature: Option<String>,
}

#[derive(Serialize)]
struct UserDataObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_valid: Option<bool>,
}

const WRONG: ApiError =
    ApiError::invalid_request("the body is not JSON with encryptedData and iv, or rawData and signature, or all four");

/// Ticket header and `{"encryptedData","iv"}`, `{"rawData","signature"}` or both -> the decrypted data, and that the
/// signature is right.
pub(super) async fn user_data(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let body = json_body(request, state.settings.body_timeout).await?;
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    let UserDataRequest { encrypted_data, iv, raw_data, signature } = json_object(&body).ok_or(WRONG)?;
    let encrypted = pair(encrypted_data, iv)?;
    let signed = pair(raw_data, signature)?;
    if encrypted.is_none() && signed.is_none() {
        return Err(WRONG);
    }
    let session_key = session_key::of_ticket(&ticket)?;
    match proven(app, &ticket, &session_key, encrypted, signed) {
        Ok(proven) => Ok(json_answer(&proven)),
        Err(cause) => Err(session_key::blame(&state, app, &ticket, &session_key, &cause).await),
    }
}

/// Both, or neither.
fn pair(one: Option<String>, other: Option<String>) -> Result<Option<(String, String)>, ApiError> {
    match (one, other) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        _ => Err(WRONG),
    }
}

/// What is proven of it, or why not; that is for the log.
fn proven(
    app: &App,
    ticket: &Ticket,
    session_key: &SecretText,
    encrypted: Option<(String, String)>,
    signed: Option<(String, String)>,
) -> Result<UserDataObject, String> {
    let signature_valid = match signed {
        None => None,
        // Over exactly the text that was received; written anew, it would be another one.
        Some((raw_data, signature)) if app.platform.has_signed(session_key, &raw_data, &signature) => Some(true),
        Some(_) => return Err("the signature is wrong".to_owned()),
    };
    let Some((encrypted_data, iv)) = encrypted else { return Ok(UserDataObject { data: None, signature_valid }) };
    let data = app.platform.decrypt(session_key, &encrypted_data, &iv).map_err(|error| error.to_string())?;
    let session = ticket.session();
    let openid = data.openid().map_err(|error| error.to_string())?;
    let unionid = data.unionid().map_err(|error| error.to_string())?;
    // Where the ticket has no unionid, none is believed: a user can write one into genuine data of his own.
    let is_own = openid.is_none_or(|openid| openid == session.openid.as_str())
        && unionid.is_none_or(|unionid| session.unionid.as_ref().map(PlatformId::as_str) == Some(unionid));
    if !is_own {
        return Err("the data is another user's".to_owned());
    }
    if data.mentions_a_phone() {
        // That is believed only from /v1/phone, which asks the platform.
        return Err("the data has a phone number".to_owned());
    }
    Ok(UserDataObject { data: Some(data.into_fields()), signature_valid })
}
