//! What a layer does to requests and answers, whatever service is behind it. What a directory has to do with it, tests/it
//! shows.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use http_body::Body;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};

use super::test_util::TestKeys;
use super::{AuthTicket, Refusal, TicketLayer, Verifier};
use crate::bearer::WEIXINAUTH;
use crate::clock::{Clock, FixedClock, SystemClock};
use crate::keyring::AppId;

const APPID: &str = "wx0123456789abcdef";

fn keys() -> TestKeys {
    TestKeys::new(APPID)
}

fn layer(keys: &TestKeys) -> TicketLayer {
    keys.verifier().layer(keys.app()).unwrap()
}

fn with(fields: &[(&str, &str)]) -> Request<String> {
    let request = fields.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
    request.body(String::new()).unwrap()
}

/// Status and text of the answer of a service with bodies of type `B` behind `layer`.
async fn answered<B>(layer: TicketLayer, request: Request<String>, body: fn(String) -> B) -> (StatusCode, String)
where
    B: Body + Send + 'static,
    B::Data: From<Bytes>,
    B::Error: std::fmt::Debug,
{
    let orders = move |request: Request<String>| async move {
        let ticket: Option<&AuthTicket> = request.extensions().get();
        Ok::<_, Infallible>(Response::new(body(format!("the orders of {}", ticket.map_or("-", AuthTicket::openid)))))
    };
    let answer = ServiceBuilder::new().layer(layer).service_fn(orders).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let (is_over, exact) = (body.is_end_stream(), body.size_hint().exact());
    let bytes = body.collect().await.unwrap().to_bytes();
    assert!(!is_over && exact == Some(bytes.len() as u64), "{exact:?}");
    (parts.status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// A layer around a service whose answers have such a body, with a ticket and without.
async fn tried<B>(keys: &TestKeys, ticket: &str, body: fn(String) -> B)
where
    B: Body + Send + 'static,
    B::Data: From<Bytes>,
    B::Error: std::fmt::Debug,
{
    let (status, text) = answered(layer(keys), with(&[("weixinauth", ticket)]), body).await;
    assert_eq!((status, &*text), (StatusCode::OK, "the orders of o-alice"));
    let (status, text) = answered(layer(keys), with(&[]), body).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["error"], "invalid_ticket");
}

#[tokio::test]
async fn a_layer_fits_whatever_bodies_a_service_has() {
    let keys = keys();
    let ticket = keys.ticket("o-alice").seal();
    tried(&keys, &ticket, |text| text).await;
    tried(&keys, &ticket, Full::<Bytes>::from).await;
    tried::<BoxBody<Bytes, Infallible>>(&keys, &ticket, |text| Full::from(text).boxed()).await;
    tried(&keys, &ticket, axum::body::Body::from).await;
}

/// What of a request reaches a service behind `layers`, of which the first is outermost.
async fn seen(layers: [TicketLayer; 2], request: Request<String>) -> HeaderMap {
    let [outer, inner] = layers;
    let show = |request: Request<String>| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(response)
    };
    let service = ServiceBuilder::new().layer(outer).layer(inner).service_fn(show);
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    assert_eq!(parts.status, 200, "{:?}", body.collect().await.unwrap().to_bytes());
    parts.headers
}

#[tokio::test]
async fn a_service_sees_neither_the_ticket_nor_what_a_client_says_it_is() {
    let keys = keys();
    let (ticket, bearer) = (keys.ticket("o-alice").seal(), format!("Bearer {}", keys.ticket("o-alice").seal()));
    let claimed = [("X-Auth-Openid", "o-eve"), ("x_auth_openid", "o-eve"), ("X-AUTH_Unionid", "u"), ("accept", "*/*")];
    for (carrier, stays) in [
        (vec![("weixinauth", &*ticket)], vec!["accept"]),
        (vec![("authorization", &*bearer)], vec!["accept"]),
        (vec![("weixinauth", &*ticket), ("authorization", "Bearer a.b.c")], vec!["accept", "authorization"]),
    ] {
        let both = [keys.verifier().layer_for_any_app(), layer(&keys)];
        let request = with(&[&claimed[..], &carrier].concat());
        let mut names: Vec<_> = seen(both, request).await.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        assert_eq!(names, stays);
    }
    let kept = [layer(&keys), layer(&keys).keep_ticket()];
    assert_eq!(seen(kept, with(&[("weixinauth", &ticket)])).await["weixinauth"], *ticket);
    let without = [layer(&keys).optional(), layer(&keys).optional()];
    assert!(seen(without, with(&claimed)).await.keys().eq(["accept"].iter()));
}

#[tokio::test]
async fn refusals_have_the_shape_that_a_service_wants() {
    let keys = keys();
    let shaped = layer(&keys).optional().refuse_with(|refusal, request_id| {
        let problem = json!({ "title": refusal.to_string(), "instance": request_id }).to_string();
        Response::builder()
            .status(refusal.status())
            .header("content-type", "application/problem+json")
            .body(problem)
            .unwrap()
    });
    // By the layer, and by a handler that will not do without a ticket.
    let handler = |_: Request<String>| async {
        let mut response = Response::builder().status(401).body(Full::<Bytes>::default()).unwrap();
        response.extensions_mut().insert(Refusal::NoTicket);
        Ok::<_, Infallible>(response)
    };
    for (ticket, title) in [(Some("x"), Refusal::InvalidTicket), (None, Refusal::NoTicket)] {
        let mut request = with(&[("x-request-id", "from-the-proxy")]);
        request.headers_mut().extend(ticket.map(|ticket| (WEIXINAUTH, HeaderValue::from_static(ticket))));
        let service = ServiceBuilder::new().layer(shaped.clone()).service_fn(handler);
        let answer = service.oneshot(request).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (401, &"application/problem+json".parse().unwrap())
        );
        let problem: Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(problem, json!({ "title": title.to_string(), "instance": "from-the-proxy" }));
    }
}

#[test]
fn a_refusal_renders_itself_for_who_has_no_framework() {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", "from-the-proxy".parse().unwrap());
    let answer = Refusal::TicketExpired.to_response(&headers);
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    let expected = json!({
        "error": "ticket_expired",
        "error_description": "the ticket has expired; log in again",
        "request_id": "from-the-proxy",
    });
    assert_eq!(serde_json::from_str::<Value>(answer.body()).unwrap(), expected);
    let error: Box<dyn std::error::Error + Send + Sync> = Refusal::TicketExpired.into();
    assert_eq!(error.to_string(), "the ticket has expired; log in again");
}

#[test]
fn a_layer_for_an_app_without_keys_is_refused_when_it_is_made() {
    let error = keys().verifier().layer(&AppId::parse("wxfedcba9876543210").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "the verifier was not loaded for the app wxfedcba9876543210");
}

#[tokio::test]
async fn test_tickets_say_what_they_were_told() {
    let keys = keys();
    let full = keys.ticket("o-alice").unionid("u-alice").phone("+8613800000000").claims("vip");
    let ticket = full.open();
    let told = (ticket.app(), ticket.openid(), ticket.unionid(), ticket.phone(), ticket.claims());
    assert_eq!(told, (keys.app(), "o-alice", Some("u-alice"), Some("+8613800000000"), Some("vip")));
    let layer = || layer(&keys);
    let good = answered(layer(), with(&[("weixinauth", &full.seal())]), |text| text).await;
    assert_eq!(good.0, 200);
    for (ticket, error) in
        [(keys.ticket("o-alice").expired(), "ticket_expired"), (self::keys().ticket("o-alice"), "invalid_ticket")]
    {
        let (status, text) = answered(layer(), with(&[("weixinauth", &ticket.seal())]), |text| text).await;
        assert!(status == 401 && text.contains(error), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_outlives_its_request_ends_with_the_ticket() {
    let keys = keys();
    let ticket = keys.ticket("o-alice").open();
    let ended = tokio::spawn(ticket.until_refused());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!ended.is_finished());
    keys.revoke();
    assert_eq!(ended.await.unwrap(), Refusal::InvalidTicket);
    assert_eq!(ticket.until_refused().await, Refusal::InvalidTicket, "at once");
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_a_check_would_be_refused() {
    let keys = keys();
    let clock = Arc::new(FixedClock::new(SystemClock.now()));
    let ring = keys.ring();
    let verifier = Verifier::of(ring, Duration::from_secs(86400), Arc::<FixedClock>::clone(&clock));
    let mut headers = HeaderMap::new();
    headers.insert("weixinauth", keys.ticket("o-alice").seal().parse().unwrap());
    let ticket = verifier.verify(&headers).await.unwrap();
    let ended = tokio::spawn(ticket.until_refused());
    clock.set(ticket.expires_at().plus(59));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(verifier.verify(&headers).await.is_ok() && !ended.is_finished());
    clock.advance(1);
    assert_eq!(verifier.verify(&headers).await.unwrap_err(), Refusal::TicketExpired);
    assert_eq!(ended.await.unwrap(), Refusal::TicketExpired);

    clock.set(SystemClock.now());
    let ended = tokio::spawn(ticket.until_refused());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!ended.is_finished());
    verifier.0.has_ended();
    assert_eq!(ended.await.unwrap(), Refusal::NotSetUp, "it would not be noticed if it were revoked");
}

#[cfg(feature = "axum")]
mod with_axum {
    use axum::Router;
    use axum::body::Body;
    use axum::response::IntoResponse;
    use axum::routing::get;

    use super::*;

    async fn orders(ticket: AuthTicket) -> String {
        format!("the orders of {}", ticket.openid())
    }

    fn router(verifier: &Verifier) -> Router {
        let app = AppId::parse(APPID).unwrap();
        Router::new().route("/orders", get(orders)).layer(verifier.layer(&app).unwrap())
    }

    #[tokio::test]
    async fn a_handler_is_tested_in_five_lines() {
        let ticket = TestKeys::new(APPID).ticket("o-alice").open();
        assert_eq!(orders(ticket).await, "the orders of o-alice");
    }

    #[tokio::test]
    async fn a_router_is_tested_in_five_lines() {
        let keys = TestKeys::new(APPID);
        let request = Request::get("/orders").header("weixinauth", keys.ticket("o-alice").seal());
        let answer = router(&keys.verifier()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    #[tokio::test]
    async fn a_handler_can_refuse_as_a_layer_does() {
        let keys = TestKeys::new(APPID);
        let refuse = |_: AuthTicket| async { Err::<(), _>(Refusal::WrongApp) };
        let router = Router::new().route("/", get(refuse)).layer(layer(&keys));
        let request = Request::get("/").header("weixinauth", keys.ticket("o-alice").seal());
        let request = request.header("x-request-id", "from-the-proxy").body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 403);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(*body, *Refusal::WrongApp.to_json("from-the-proxy").as_bytes());
        assert_eq!(Refusal::WrongApp.into_response().headers()["content-type"], "application/json");
    }
}
