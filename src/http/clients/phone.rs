//! `POST /v1/phone`: a phone number that the platform vouches for, sealed into a new ticket.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::bearer::presented_ticket;
use crate::claims::PlatformId;
use crate::http::answer::json_answer;
use crate::http::clients::login::TicketObject;
use crate::http::clients::session_key;
use crate::http::error::{ApiError, ErrorCode, Stake, require};
use crate::http::labels::Interface;
use crate::http::request::{json_body, json_object};
use crate::http::settings::App;
use crate::http::state::AppState;
use crate::keyring::{AppId, Purpose};
use crate::platform::{Capability, Code, Encrypted, Phone, SignedDataError};
use crate::ticket::Ticket;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneRequest {
    code: Option<String>,
    encrypted_data: Option<String>,
    iv: Option<String>,
    response: Option<String>,
}

#[derive(Serialize)]
struct PhoneObject<'a> {
    phone_number: &'a str,
    pure_phone_number: &'a str,
    country_code: &'a str,
    #[serde(flatten)]
    ticket: TicketObject<'a>,
}

const WRONG: ApiError =
    ApiError::invalid_request("the body is not JSON with either code, or encryptedData and iv, or response");

/// Ticket header and `{"code"}`, `{"encryptedData","iv"}` or `{"response"}` -> the number, and a ticket object with it sealed in.
pub(crate) async fn phone(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let body = json_body(request, state.settings.body_timeout).await?;
    let ticket = state.open(|| presented_ticket(&headers), Purpose::Ticket).await?;
    let app = state.app_of(&ticket)?;
    // Before a code is spent for a ticket that cannot be sealed anew.
    let mut session = state.unsealed(&ticket)?;
    let phone = match json_object(&body).ok_or(WRONG)? {
        PhoneRequest { code: Some(code), encrypted_data: None, iv: None, response: None } => {
            by_code(&state, app, &ticket, code).await?
        }
        PhoneRequest { code: None, encrypted_data: Some(data), iv: Some(iv), response: None } => {
            by_data(&state, app, &ticket, Encrypted::parse(data, &iv)?).await?
        }
        PhoneRequest { code: None, encrypted_data: None, iv: None, response: Some(response) } => {
            by_signed_data(&state, app, &ticket, &response)?
        }
        _ => return Err(WRONG),
    };
    session.phone = Some(*phone.number());
    let (sealed, now) = state.seal(&app.id, &session, Purpose::Ticket)?;
    Ok(json_answer(&PhoneObject {
        phone_number: phone.number().as_str(),
        pure_phone_number: phone.pure(),
        country_code: phone.country_code(),
        ticket: TicketObject::new(&sealed, now),
    }))
}

/// Spends the code that the phone button gave the user of `ticket`, or of a login handle.
///
/// # Errors
/// Before the code is spent, that there is no key to seal with, or that this login has spent too many; and every failure
/// of the call.
pub(crate) async fn by_code(
    state: &Arc<AppState>,
    app: &App,
    ticket: &Ticket,
    code: String,
) -> Result<Phone, ApiError> {
    require(app, Capability::PhoneByCode)?;
    let code =
        Code::parse(code).map_err(|_| ApiError::invalid_request("code is not 1 to 512 printable ASCII characters"))?;
    state.can_seal()?;
    state.quotas.phone.admit(&app.id, ticket.session().login_id)?;
    let openid = ticket.session().openid;
    let spent = spend(Arc::clone(state), app.id.clone(), openid, &code);
    state.phone_flights.join(&app.id, Some(openid.as_str()), &code, spent).await
}

/// The call itself, free of the request that asked for it.
fn spend(
    state: Arc<AppState>,
    app: AppId,
    openid: PlatformId,
    code: &Code,
) -> impl Future<Output = Result<Phone, ApiError>> + Send + 'static {
    let code = code.duplicate();
    async move {
        let app = state.app(app.as_str()).ok_or(ApiError::unusable_answer())?;
        let phone = state.upstream.call(app, Interface::Phone, app.platform.phone(&code, &openid)).await;
        phone.map_err(|error| ApiError::of_platform(&error, Stake::PhoneCode))
    }
}

/// Decrypts with the sealed `session_key`.
///
/// The cipher has no MAC and the iv is the client's, so users can re-cut genuine data of their own into an object with any
/// number: unless the settings say otherwise, the platform has to confirm that it made the ciphertext. Where a platform cannot be
/// asked, the app's configuration has allowed that, or else there is no such capability.
async fn by_data(state: &Arc<AppState>, app: &App, ticket: &Ticket, encrypted: Encrypted) -> Result<Phone, ApiError> {
    require(app, Capability::PhoneByData)?;
    let session_key = &session_key::of_ticket(state, ticket)?;
    state.can_seal()?;
    let opened = app.platform.decrypt(session_key, &encrypted).and_then(|data| data.phone());
    let phone = match opened {
        Ok(phone) => phone,
        Err(cause) => return Err(session_key::blame(state, app, ticket, session_key, &cause).await),
    };
    if state.settings.phone_check_origin && app.platform.facts().has(Capability::OriginOfData) {
        state.quotas.phone.admit(&app.id, ticket.session().login_id)?;
        let vouches = state.upstream.call(app, Interface::VouchesFor, app.platform.vouches_for(encrypted.text())).await;
        if !vouches.map_err(|error| ApiError::of_platform(&error, Stake::Nothing))? {
            let cause = "the platform did not make this ciphertext";
            return Err(session_key::blame(state, app, ticket, session_key, &cause).await);
        }
    }
    Ok(phone)
}

/// Takes the number from what the platform has signed. No key of the user's is needed, and nothing in it names the user: only an
/// app whose configuration says so has the capability.
fn by_signed_data(state: &AppState, app: &App, ticket: &Ticket, response: &str) -> Result<Phone, ApiError> {
    require(app, Capability::PhoneBySignedData)?;
    state.can_seal()?;
    state.quotas.phone.admit(&app.id, ticket.session().login_id)?;
    app.platform.signed_phone(response).map_err(|error| match error {
        SignedDataError::Refused(error) => ApiError::of_platform(&error, Stake::PhoneCode),
        cause => {
            ApiError::new(ErrorCode::BadUserData, "the data is not what the platform encrypted and signed for this app")
                .because(&cause)
        }
    })
}
