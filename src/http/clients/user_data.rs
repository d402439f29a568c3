//! `POST /v1/userdata`: what the platform encrypted or signed for this user, once it is proven to be that.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bearer::presented_ticket;
use crate::claims::{PlatformId, SessionKey};
use crate::http::answer::json_answer;
use crate::http::clients::session_key;
use crate::http::error::{ApiError, require};
use crate::http::request::{json_body, json_object};
use crate::http::settings::App;
use crate::http::state::AppState;
use crate::keyring::Purpose;
use crate::platform::{Capability, Encrypted, UserData};
use crate::ticket::{Session, Ticket};

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
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_valid: Option<bool>,
}

const WRONG: ApiError =
    ApiError::invalid_request("the body is not JSON with encryptedData and iv, or rawData and signature, or all four");

/// Ticket header and `{"encryptedData","iv"}`, `{"rawData","signature"}` or both -> the decrypted data, and that the
/// signature is right.
pub(crate) async fn user_data(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let body = json_body(request, state.settings.body_timeout).await?;
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    let UserDataRequest { encrypted_data, iv, raw_data, signature } = json_object(&body).ok_or(WRONG)?;
    let encrypted = pair(encrypted_data, iv)?.map(|(data, iv)| Encrypted::parse(data, &iv)).transpose()?;
    let signed = pair(raw_data, signature)?;
    if encrypted.is_none() && signed.is_none() {
        return Err(WRONG);
    }
    if encrypted.is_some() {
        require(app, Capability::EncryptedUserData)?;
    }
    if signed.is_some() {
        require(app, Capability::SignedUserData)?;
    }
    let session_key = &session_key::of_ticket(&state, &ticket)?;
    match proven(app, &ticket, session_key, encrypted, signed) {
        Ok(proven) => Ok(json_answer(&proven)),
        Err(cause) => Err(session_key::blame(&state, app, &ticket, session_key, &cause).await),
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
    session_key: &SessionKey,
    encrypted: Option<Encrypted>,
    signed: Option<(String, String)>,
) -> Result<UserDataObject, String> {
    let signature_valid = match signed {
        None => None,
        // Over exactly the text that was received; written anew, it would be another one.
        Some((raw_data, signature)) if app.platform.has_signed(session_key, &raw_data, &signature) => Some(true),
        Some(_) => return Err("the signature is wrong".to_owned()),
    };
    let Some(encrypted) = encrypted else { return Ok(UserDataObject { data: None, signature_valid }) };
    let data = app.platform.decrypt(session_key, &encrypted).map_err(|error| error.to_string())?;
    of_user(&data, ticket.session())?;
    Ok(UserDataObject { data: Some(data.into_json()), signature_valid })
}

/// Why `data` is not to be handed to the user of `session`, if so.
fn of_user(data: &UserData, session: &Session) -> Result<(), String> {
    let openid = data.openid().map_err(|error| error.to_string())?;
    let unionid = data.unionid().map_err(|error| error.to_string())?;
    let own_unionid = session.unionid.as_ref().map(PlatformId::as_str);
    if openid.is_some_and(|openid| openid != session.openid.as_str()) {
        return Err("the data is another user's".to_owned());
    }
    match unionid {
        // Where the ticket has no unionid, none is believed: users can write one into genuine data of their own.
        Some(_) if own_unionid.is_none() => {
            return Err("the data has a unionId and the login had none; a new login brings it".to_owned());
        }
        Some(unionid) if own_unionid != Some(unionid) => return Err("the data has another user's unionId".to_owned()),
        _ => {}
    }
    if data.mentions_a_phone() {
        // That is believed only from /v1/phone, which asks the platform.
        return Err("the data has a phone number".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixSeconds;
    use crate::keyring::LoginId;
    use crate::platform::user_data::WATERMARKED;

    #[test]
    fn the_log_says_why_data_is_not_the_users() {
        let session = |unionid: &str| Session {
            openid: PlatformId::parse("o-alice").unwrap(),
            unionid: PlatformId::parse(unionid).ok(),
            session_key: None,
            phone: None,
            owner_claims: None,
            login_id: LoginId::parse("00112233445566aa").unwrap(),
            auth_time: UnixSeconds::new(1_800_000_000),
        };
        for (members, unionid, expected) in [
            (r#""openId":"o-alice","unionId":"u-alice","#, "u-alice", None),
            (r#""unionId":"","#, "u-alice", None),
            (r#""unionId":"","#, "", None),
            ("", "", None),
            (r#""openId":"o-bob","#, "u-alice", Some("another user's")),
            (r#""openId":"","#, "u-alice", Some("another user's")),
            (r#""unionId":"u-bob","#, "u-alice", Some("another user's unionId")),
            (r#""unionId":"u-alice","#, "", Some("a new login brings it")),
            (r#""openId":"o-bob","unionId":"u-bob","#, "", Some("another user's")),
            (r#""purePhoneNumber":"1","#, "", Some("a phone number")),
        ] {
            let data = format!(r#"{{{members}"watermark":{{"appid":"wx0"}}}}"#);
            let told = of_user(&UserData::parse(data.as_bytes(), &WATERMARKED).unwrap(), &session(unionid));
            match expected {
                None => assert_eq!(told, Ok(()), "{members}"),
                Some(expected) => assert!(told.clone().unwrap_err().ends_with(expected), "{members} {told:?}"),
            }
        }
    }
}
