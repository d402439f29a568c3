//! `WeChat`'s side of HTTP: paths, methods, parameters, labels.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde_json::Value;

use super::interfaces::{
    ComponentJscode2session, Jscode2session, PhoneNumberCall, SessionRequest, TokenRequest, Wechat,
};
use super::xpay::{self, PaymentRequest};
use crate::simulator::body::{parameters, read_body, texts_in};
use crate::simulator::control::own_route;
use crate::simulator::reply::{self, Reply};

/// `WeChat`'s label for JSON.
pub(super) async fn respond(reply: Reply) -> Response {
    reply::respond(reply, "text/plain").await
}

pub(super) fn routes() -> Router<Arc<Wechat>> {
    Router::new()
        .route("/sns/jscode2session", only_get(jscode2session).post(jscode2session_by_post))
        .route("/sns/component/jscode2session", only_get(component_jscode2session))
        .route("/cgi-bin/token", only_get(token))
        .route("/cgi-bin/stable_token", only_post(stable_token))
        .route("/wxa/checksession", only_get(checksession))
        .route("/wxa/resetusersessionkey", only_get(resetusersessionkey))
        .route("/wxa/business/getuserphonenumber", only_post(getuserphonenumber))
        .route("/wxa/business/checkencryptedmsg", only_post(checkencryptedmsg))
        .route(xpay::QUERY_ORDER, only_post(query_order))
        .route(xpay::QUERY_USER_BALANCE, only_post(query_user_balance))
        .layer(middleware::from_fn(with_length))
        .route("/_sim/weapp/payment-app", own_route(Wechat::set_payment_app))
        .route("/_sim/weapp/virtual-payment", own_route(Wechat::virtual_payment))
        .fallback(unknown)
}

/// The real one takes no body without a length: clients that send one in chunks fail there, and have to fail here.
async fn with_length(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(TRANSFER_ENCODING) && !headers.contains_key(CONTENT_LENGTH) {
        return (StatusCode::PRECONDITION_FAILED, "").into_response();
    }
    next.run(request).await
}

/// Clients look for an errcode in a 200; of a bare 404 many make a success.
async fn unknown(State(wechat): State<Arc<Wechat>>) -> Response {
    respond(wechat.refuse(40066)).await
}

fn only_get<T: 'static>(handler: impl Handler<T, Arc<Wechat>>) -> MethodRouter<Arc<Wechat>> {
    let refuse = async |State(wechat): State<Arc<Wechat>>| respond(wechat.refuse(43001)).await;
    // HEAD is named because a GET route would serve it, and so spend a code.
    get(handler).head(refuse).fallback(refuse)
}

fn only_post<T: 'static>(handler: impl Handler<T, Arc<Wechat>>) -> MethodRouter<Arc<Wechat>> {
    post(handler).fallback(async |State(wechat): State<Arc<Wechat>>| respond(wechat.refuse(43002)).await)
}

async fn jscode2session(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery) -> Response {
    let [appid, secret, js_code, grant_type] =
        parameters(&query.unwrap_or_default(), ["appid", "secret", "js_code", "grant_type"]);
    respond(wechat.jscode2session(&Jscode2session { appid, secret, js_code, grant_type })).await
}

/// The real one is reported not to see the parameters of a POST.
async fn jscode2session_by_post(State(wechat): State<Arc<Wechat>>) -> Response {
    respond(wechat.refuse(41002)).await
}

async fn component_jscode2session(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery) -> Response {
    let names = ["component_access_token", "component_appid", "appid", "js_code", "grant_type"];
    let [component_access_token, component_appid, appid, js_code, grant_type] =
        parameters(&query.unwrap_or_default(), names);
    let request = ComponentJscode2session { component_access_token, component_appid, appid, js_code, grant_type };
    respond(wechat.component_jscode2session(&request)).await
}

async fn token(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery) -> Response {
    let [grant_type, appid, secret] = parameters(&query.unwrap_or_default(), ["grant_type", "appid", "secret"]);
    respond(wechat.token(&TokenRequest { grant_type, appid, secret })).await
}

/// Whatever is no JSON object has no appid: that is how the real one is reported to answer a form.
async fn stable_token(State(wechat): State<Arc<Wechat>>, body: Body) -> Response {
    let body: Value = read_body(body).await.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
    let [grant_type, appid, secret] = texts_in(&body, ["grant_type", "appid", "secret"]);
    let force_refresh = body.get("force_refresh").unwrap_or(&Value::Bool(false)).as_bool();
    let request = TokenRequest { grant_type, appid, secret };
    respond(match force_refresh {
        Some(force_refresh) => wechat.stable_token(&request, force_refresh),
        None => wechat.refuse(47001),
    })
    .await
}

async fn checksession(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery) -> Response {
    respond(wechat.checksession(&session_request(query))).await
}

async fn resetusersessionkey(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery) -> Response {
    respond(wechat.resetusersessionkey(&session_request(query))).await
}

fn session_request(query: Option<String>) -> SessionRequest {
    let [access_token, openid, signature, sig_method] =
        parameters(&query.unwrap_or_default(), ["access_token", "openid", "signature", "sig_method"]);
    SessionRequest { access_token, openid, signature, sig_method }
}

async fn getuserphonenumber(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery, body: Body) -> Response {
    let [access_token] = parameters(&query.unwrap_or_default(), ["access_token"]);
    let body = json_in(read_body(body).await);
    let request = body.and_then(|body| {
        let openid = body.get("openid").and_then(Value::as_str).filter(|openid| !openid.is_empty());
        Ok(PhoneNumberCall { code: text_in(&body, "code", 41008)?, openid: openid.map(str::to_owned) })
    });
    respond(wechat.getuserphonenumber(&access_token, request)).await
}

async fn checkencryptedmsg(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery, body: Body) -> Response {
    let [access_token] = parameters(&query.unwrap_or_default(), ["access_token"]);
    let hash = json_in(read_body(body).await).and_then(|body| text_in(&body, "encrypted_msg_hash", 40097));
    respond(wechat.checkencryptedmsg(&access_token, hash)).await
}

async fn query_order(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery, body: Body) -> Response {
    respond(wechat.query_order(&payment_request(query, body).await)).await
}

async fn query_user_balance(State(wechat): State<Arc<Wechat>>, RawQuery(query): RawQuery, body: Body) -> Response {
    respond(wechat.query_user_balance(&payment_request(query, body).await)).await
}

async fn payment_request(query: Option<String>, body: Body) -> PaymentRequest {
    let [access_token, pay_sig, signature] =
        parameters(&query.unwrap_or_default(), ["access_token", "pay_sig", "signature"]);
    let body = read_body(body).await.and_then(|body| String::from_utf8(body).ok());
    PaymentRequest { access_token, pay_sig, signature, body }
}

/// The JSON of a body.
fn json_in(body: Option<Vec<u8>>) -> Result<Value, i64> {
    let body = body.ok_or(47001)?;
    if body.is_empty() {
        return Err(44002);
    }
    serde_json::from_slice(&body).map_err(|_| 47001)
}

/// A text in a JSON object; `missing` is what a body without it is refused with.
fn text_in(body: &Value, name: &str, missing: i64) -> Result<String, i64> {
    let text = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(missing)
}
