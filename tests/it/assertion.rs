//! The JWT on a 200 of a check: for services that must not trust the network between them and the gateway.

use auth_ticket::claims::{PhoneNumber, PlatformId};
use auth_ticket::http::Subject;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Builder, Call, ISSUER, JWT_TTL_S, MAX_SESSION_S, START, TestServer, session};

const GATEWAY: &str = "gateway";

fn builder() -> Builder {
    TestServer::builder().assertions(GATEWAY)
}

/// The claims of the assertion in `answer`, checked as a service would, apart from the time, which the test has stopped.
async fn asserted(server: &TestServer, answer: &Answer) -> Value {
    let assertion = answer.is_ok().header("x-auth-assertion").unwrap();
    let header = jsonwebtoken::decode_header(assertion).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::ES256, Some("at+jwt")));
    let keys: JwkSet = serde_json::from_value(server.call(Call::get("/.well-known/jwks.json")).await.json()).unwrap();
    let key = keys.find(&header.kid.unwrap()).expect("the key is published");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.set_audience(&[GATEWAY]);
    validation.set_issuer(&[ISSUER]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(assertion, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

#[tokio::test]
async fn every_200_of_a_check_says_signed_what_its_headers_say() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    let session = server.session(&ticket).await.json();
    let mut seen = Vec::new();
    for path in [
        "/v1/verify".to_owned(),
        format!("/v1/verify/{APPID}"),
        "/v1/ext-authz/orders/1".to_owned(),
        format!("/v1/ext-authz-app/{APPID}/orders/1"),
    ] {
        let answer = server.call(Call::get(&path).ticket(&ticket)).await;
        let claims = asserted(&server, &answer).await;
        for field in ["appid", "platform", "openid", "unionid", "login_id", "auth_time"] {
            assert_eq!(claims[field], session[field], "{path}: {field}");
        }
        assert_eq!((&claims["sub"], &claims["client_id"]), (&session["openid"], &json!(APPID)), "{path}");
        let now = START.as_u64();
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + JWT_TTL_S)), "{path}");
        let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 13, "and nothing else: {names:?}");
        assert!(!seen.contains(&claims["jti"]), "{path}: each has a name of its own");
        seen.push(claims["jti"].clone());
    }
}

#[tokio::test]
async fn an_assertion_ends_with_the_session_at_the_latest() {
    let server = builder().start().await;
    let almost_over = session("o-alice", START.minus(MAX_SESSION_S - 100));
    let answer = server.verify(&server.sealed(&almost_over)).await;
    assert_eq!(asserted(&server, &answer).await["exp"], START.as_u64() + 100);
}

#[tokio::test]
async fn an_assertion_lives_no_longer_than_its_key_lets_it() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    server.change_ring(|plan| plan.keys[1].max_ttl_s = 60);
    let answer = server.verify(&ticket).await;
    assert_eq!(asserted(&server, &answer).await["exp"], START.as_u64() + 60);
}

#[tokio::test]
async fn without_a_key_that_signs_the_header_is_empty_and_readyz_says_so() {
    let server = builder().start().await;
    let ticket = server.ticket_for("alice").await;
    server.change_ring(|plan| plan.keys[1].seal_until = START.plus(10));
    assert_ne!(server.verify(&ticket).await.is_ok().header("x-auth-assertion"), Some(""));
    server.clock.advance(10);
    let answer = server.verify(&ticket).await;
    assert_eq!(answer.is_openid(&server.openid("alice")).header("x-auth-assertion"), Some(""));
    let reasons = server.admin(Call::get("/readyz")).await.field("reasons");
    assert_eq!(reasons, json!(["no jwt key can seal"]));
    server.change_ring(|plan| plan.keys.truncate(1));
    assert_eq!(server.verify(&ticket).await.is_ok().header("x-auth-assertion"), Some(""));
    let reasons = server.admin(Call::get("/readyz")).await.field("reasons");
    assert_eq!(reasons, json!(["no jwt key can seal"]), "also when there never was one");
}

#[tokio::test]
async fn where_the_unionid_is_the_subject_nobody_is_asserted_by_his_openid() {
    let server = builder().subject(Subject::Unionid).start().await;
    let mut claims = session("o-alice", START);
    let answer = server.verify(&server.sealed(&claims)).await;
    assert_eq!(answer.is_openid("o-alice").header("x-auth-assertion"), Some(""));
    claims.unionid = PlatformId::parse("u-alice").ok();
    let answer = server.verify(&server.sealed(&claims)).await;
    assert_eq!(asserted(&server, &answer).await["sub"], "u-alice");
}

#[tokio::test]
async fn the_phone_number_is_asserted_where_jwts_may_have_it() {
    let mut claims = session("o-alice", START);
    claims.phone = PhoneNumber::parse("+8613800000000").ok();
    for phone in [false, true] {
        let server = builder().settings(|settings| settings.jwt.phone = phone).start().await;
        let answer = server.verify(&server.sealed(&claims)).await;
        let expected = if phone { json!("+8613800000000") } else { Value::Null };
        assert_eq!(asserted(&server, &answer).await["phone_number"], expected);
    }
}
