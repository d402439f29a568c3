//! The routes of `[compat]`, for clients that were written against a server with a session table.
//!
//! HTTP 200 always; the status stands in `code`. The `openid` that the first route hands out is no openid but a sealed
//! login handle of five minutes: the second route gets it back and believes nothing else, least of all a bare openid.
//! So with phone numbers: what counts is a sealed proof, never a number that a client writes down.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bearer::Refusal;
use crate::claims::PhoneNumber;
use crate::http::answer::json_answer;
use crate::http::clients::login::LoginOrigin;
use crate::http::clients::{login, owner_claims, phone};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::HookEvent;
use crate::http::request::{BodyKind, body_kind, json_object, read_body};
use crate::http::state::AppState;
use crate::keyring::Purpose;
use crate::ticket::{Ticket, UnverifiedTicket};

/// Code -> login handle.
pub(crate) const LOGIN: &str = "/miniLogin/login.ajax";
/// Login handle -> ticket.
pub(crate) const LOGIN_CHECK: &str = "/miniLogin/loginCheck.ajax";
/// Login handle and phone code -> phone proof.
pub(crate) const PHONE: &str = "/miniLogin/phone.ajax";

/// `code`, perhaps `appid`, in the query, a form or JSON -> `{"openid": H, "unionid": null}`.
pub(crate) async fn login(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    if request.method() == Method::HEAD {
        // A route for GET takes HEAD, too, and here that would spend a code for an answer that nobody sees.
        return Err(ApiError::new(ErrorCode::MethodNotAllowed, "the route does not take this method"));
    }
    let caller = LoginOrigin::of(&request, &state);
    let fields = Fields::of(request, &state).await?;
    let code = fields.one("code")?.ok_or(ApiError::invalid_request("code is missing"))?;
    let app = login::chosen_app(&state, fields.one("appid")?.as_deref())?;
    let (handle, _) = login::exchange(&state, app, code, Purpose::LoginHandle, &caller).await?;
    Ok(success(&json!({ "openid": handle.text(), "unionid": null })))
}

/// `openid=H`, perhaps `phoneNo=P` -> `{"AUTH_TICKET": T}`; a renewal in all but the purpose of what comes in.
///
/// Code 400, "not bound", is for a handle without a phone proof where one is required, and for a user whom the owner does
/// not know.
pub(crate) async fn login_check(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let fields = Fields::of(request, &state).await.map_err(not_400)?;
    let handle = opened_handle(&state, &fields).await?;
    let phone = proven_phone(&state, &fields, &handle).await?;
    let mut session = state.unsealed(&handle)?;
    if phone.is_none() && state.settings.compat.require_phone {
        return Err(ApiError::new(ErrorCode::NotBound, "the login needs a phone number"));
    }
    let app = state.app_of(&handle)?;
    session.phone = phone.or(session.phone);
    let session = owner_claims::refresh(&state, app, session, HookEvent::Login).await?;
    let (ticket, _) = state.seal(&app.id, &session, Purpose::Ticket)?;
    Ok(success(&json!({ "AUTH_TICKET": ticket.text() })))
}

/// `openid=H`, `code` of a phone button -> `{"phoneNo": P}`: a sealed proof for this login, good for five minutes.
pub(crate) async fn phone(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    let fields = Fields::of(request, &state).await?;
    let handle = opened_handle(&state, &fields).await?;
    let code = fields.one("code")?.ok_or(ApiError::invalid_request("code is missing"))?;
    let app = state.app_of(&handle)?;
    let mut session = state.unsealed(&handle)?;
    let phone = phone::by_code(&state, app, &handle, code).await?;
    session.phone = Some(*phone.number());
    let (proof, _) = state.seal(&app.id, &session, Purpose::PhoneProof)?;
    Ok(success(&json!({ "phoneNo": proof.text() })))
}

/// Whatever is no handle is 401. Never 400: to those clients that means "bind a phone number".
fn not_400(error: ApiError) -> ApiError {
    match error.code() {
        ErrorCode::InvalidRequest => Refusal::InvalidTicket.into(),
        _ => error,
    }
}

async fn opened_handle(state: &AppState, fields: &Fields) -> Result<Ticket, ApiError> {
    let handle = fields.one("openid").map_err(not_400)?.ok_or(Refusal::NoTicket)?;
    state.open(|| UnverifiedTicket::parse(handle.as_bytes()), Purpose::LoginHandle).await
}

/// The number that `phoneNo` proves for the login of `handle`. Anything but such a proof, a bare number above all, counts
/// as if nothing had been sent.
async fn proven_phone(state: &AppState, fields: &Fields, handle: &Ticket) -> Result<Option<PhoneNumber>, ApiError> {
    let Some(proof) = fields.one("phoneNo").map_err(not_400)? else { return Ok(None) };
    let proof = state.open(|| UnverifiedTicket::parse(proof.as_bytes()), Purpose::PhoneProof).await;
    let is_of_this_login = |proof: &Ticket| {
        let (proven, own) = (proof.session(), handle.session());
        proof.app() == handle.app() && proven.login_id == own.login_id && proven.openid == own.openid
    };
    Ok(proof.ok().filter(is_of_this_login).and_then(|proof| proof.session().phone))
}

/// What the routes look at in a body of JSON.
#[derive(Deserialize)]
struct JsonFields {
    code: Option<Value>,
    appid: Option<Value>,
    openid: Option<Value>,
    #[serde(rename = "phoneNo")]
    phone_no: Option<Value>,
}

/// What a request says, wherever it says it.
struct Fields(Vec<(String, Value)>);

impl Fields {
    async fn of(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let mut fields = Self(Vec::new());
        fields.add_form(request.uri().query().unwrap_or_default().as_bytes())?;
        if request.method() == Method::POST {
            let kind = body_kind(request.headers());
            let body = read_body(request, state.settings.body_timeout).await?;
            fields.add_body(kind, &body)?;
        }
        Ok(fields)
    }

    fn add_body(&mut self, kind: BodyKind, body: &Bytes) -> Result<(), ApiError> {
        match kind {
            _ if body.is_empty() => Ok(()),
            BodyKind::Form => self.add_form(body),
            BodyKind::Json => {
                let JsonFields { code, appid, openid, phone_no } = json_object(body)
                    .ok_or(ApiError::invalid_request("the body is not a JSON object with each field once"))?;
                let fields = [("code", code), ("appid", appid), ("openid", openid), ("phoneNo", phone_no)];
                self.0.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
                Ok(())
            }
            BodyKind::Other => {
                Err(ApiError::new(ErrorCode::UnsupportedMediaType, "send the body as a form or as application/json"))
            }
        }
    }

    fn add_form(&mut self, text: &[u8]) -> Result<(), ApiError> {
        for (name, value) in form_urlencoded::parse(text) {
            // What is not UTF-8 was replaced; a code or a handle has no such character, so it is refused.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(ApiError::invalid_request("a value is not UTF-8"));
            }
            self.0.push((name.into_owned(), Value::String(value.into_owned())));
        }
        Ok(())
    }

    /// The one text of this name; an empty one counts as missing.
    fn one(&self, name: &str) -> Result<Option<String>, ApiError> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        let first = values.next();
        if values.next().is_some() {
            return Err(ApiError::invalid_request("a value is given twice"));
        }
        match first {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(ApiError::invalid_request("a value is not text")),
        }
    }
}

fn success(data: &Value) -> Response {
    json_answer(&json!({ "code": 200, "msg": "ok", "data": data }))
}

/// Any refusal, in the shape that those clients know.
pub(crate) fn failure(error: &ApiError) -> Response {
    // To an older client, 400 means "bind the user first".
    let code = if error.code() == ErrorCode::NotBound { 400 } else { error.code().status().as_u16() };
    json_answer(&json!({ "code": code, "msg": error.description(), "data": null }))
}
