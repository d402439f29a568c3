//! The seed's own two routes, for clients that were written against a server with a session table.
//!
//! HTTP 200 always; the status stands in `code`. The `openid` that the first route hands out is no openid but a sealed
//! login handle of five minutes: the second route gets it back and believes nothing else, least of all a bare openid.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{ApiError, ErrorCode};
use super::request::{BodyKind, body_kind, json_object, read_body};
use super::{AppState, json_answer, login};
use crate::keyring::Purpose;
use crate::request_id::RequestId;
use crate::ticket::UnverifiedTicket;

/// Code -> login handle.
pub(super) const LOGIN: &str = "/miniLogin/login.ajax";
/// Login handle -> ticket.
pub(super) const LOGIN_CHECK: &str = "/miniLogin/loginCheck.ajax";

/// `code`, perhaps `appid`, in the query, a form or JSON -> `{"openid": H, "unionid": null}`.
pub(super) async fn login(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    if request.method() == Method::HEAD {
        // A route for GET takes HEAD, too, and here that would spend a code for an answer that nobody sees.
        return Err(ApiError::new(ErrorCode::MethodNotAllowed, "the route does not take this method"));
    }
    let request_id = RequestId::of_request(&request);
    let fields = Fields::of(request, &state).await?;
    let code = fields.one("code")?.ok_or(ApiError::invalid_request("code is missing"))?;
    let app = login::chosen_app(&state, fields.one("appid")?.as_deref())?;
    let (handle, _) = login::exchange(&state, app, code, Purpose::LoginHandle, &request_id).await?;
    Ok(success(&json!({ "openid": handle.text(), "unionid": null })))
}

/// `openid=H` -> `{"AUTH_TICKET": T}`; a renewal in all but the purpose of what comes in.
pub(super) async fn login_check(State(state): State<Arc<AppState>>, request: Request) -> Result<Response, ApiError> {
    // Whatever is no handle is 401. Never 400: to the seed's client that means "bind a phone number".
    let not_400 = |error: ApiError| match error.code() {
        ErrorCode::InvalidRequest => ApiError::invalid_ticket(),
        _ => error,
    };
    let fields = Fields::of(request, &state).await.map_err(not_400)?;
    let handle = fields.one("openid").map_err(not_400)?.ok_or(ApiError::no_ticket())?;
    let opened = state.open(|| Ok(UnverifiedTicket::parse(handle.as_bytes())?), Purpose::LoginHandle).await?;
    let ticket = opened.renew(&state.ring(), state.now(), &state.settings.policy)?;
    state.metrics.sealed(ticket.kid(), Purpose::Ticket);
    Ok(success(&json!({ "AUTH_TICKET": ticket.text() })))
}

/// What the two routes look at in a body of JSON.
#[derive(Deserialize)]
struct JsonFields {
    code: Option<Value>,
    appid: Option<Value>,
    openid: Option<Value>,
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
                let JsonFields { code, appid, openid } = json_object(body)
                    .ok_or(ApiError::invalid_request("the body is not a JSON object with each field once"))?;
                let fields = [("code", code), ("appid", appid), ("openid", openid)];
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

/// Any refusal, in the seed's shape.
pub(super) fn failure(error: &ApiError) -> Response {
    json_answer(&json!({ "code": error.code().status().as_u16(), "msg": error.description(), "data": null }))
}
