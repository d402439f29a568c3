//! Access tokens: what the owner has them say, and what introspection says of them.

mod matrix;

use std::cell::Cell;
use std::time::Duration;

use auth_ticket::http::{Audience, ClaimTemplate, Settings, TokenType};
use auth_ticket::keyring::AppId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::support::{
    APPID, Answer, Builder, Call, DEADLINE, ISSUER, JWT_TTL_S, MAX_SESSION_S, OTHER_APPID, START, TestKey, TestServer,
    session,
};

const SECRET: &str = "a-secret-of-orders";
const OTHER_SECRET: &str = "a-secret-of-mails";

/// Two apps; `orders` sees and takes the first, `mails` the second.
fn builder() -> Builder {
    let builder = TestServer::builder().two_apps().any_app().assertions("gateway");
    let builder = builder.service_of("orders", SECRET, &[APPID]).service_of("mails", OTHER_SECRET, &[OTHER_APPID]);
    builder.audience_of("orders", &[APPID], false).audience_of("mails", &[OTHER_APPID], false)
}

async fn exchange(server: &TestServer, client: &str, ticket: &str) -> Answer {
    let form = format!(
        "{client}&grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
    );
    server.call(Call::post("/v1/token").form(&form)).await
}

async fn token_of(server: &TestServer, name: &str) -> String {
    let ticket = server.ticket_for(name).await;
    exchange(server, &format!("client_id=orders&client_secret={SECRET}"), &ticket).await.text("access_token")
}

async fn introspect(server: &TestServer, token: &str) -> Value {
    let form = format!("client_id=orders&client_secret={SECRET}&token={token}");
    server.call(Call::post("/v1/introspect").form(&form)).await.is_ok().json()
}

async fn is_active(server: &TestServer, token: &str) -> bool {
    let told = introspect(server, token).await;
    assert!(told["active"] == true || told == json!({ "active": false }), "and nothing more: {told}");
    told["active"] == true
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "ES256", "kid": TestKey::jwt(101, START).kid() })
}

/// Signs these very texts with the server's own key.
fn signed(header: &str, claims: &str) -> String {
    signed_by(101, header, claims)
}

/// The same with the key of this number.
fn signed_by(number: u8, header: &str, claims: &str) -> String {
    // PKCS#8 around a P-256 scalar (RFC 5915).
    let prefix = hex::decode("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420").unwrap();
    let key = EncodingKey::from_ec_der(&[prefix, Sha256::digest([number]).to_vec()].concat());
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

fn with(object: &Value, name: &str, value: Value) -> String {
    let mut changed = object.clone();
    changed[name] = value;
    changed.to_string()
}

#[tokio::test]
async fn an_access_token_is_introspected_with_its_claims() {
    let server = builder().start().await;
    let token = token_of(&server, "alice").await;
    let mut expected = part(&token, 1);
    (expected["active"], expected["token_type"]) = (json!(true), json!("Bearer"));
    assert_eq!(introspect(&server, &token).await, expected);
    assert_eq!((&expected["client_id"], &expected["aud"]), (&json!("orders"), &json!("orders")));
    assert!(is_active(&server, &signed(&header().to_string(), &part(&token, 1).to_string())).await, "the forge works");
}

#[tokio::test]
async fn cut_offs_of_every_scope_end_access_tokens() {
    for scope in ["all", "app", "openid", "login"] {
        let server = builder().start().await;
        let (alice, bob) = (token_of(&server, "alice").await, token_of(&server, "bob").await);
        assert!(is_active(&server, &alice).await && is_active(&server, &bob).await);
        let before = START.plus(1).to_string();
        server.cut_off(match scope {
            "all" => json!({ "scope": scope, "before": before }),
            "app" => json!({ "scope": scope, "appid": APPID, "before": before }),
            "openid" => json!({ "scope": scope, "appid": APPID, "openid": server.openid("alice"), "before": before }),
            _ => json!({ "scope": scope, "login_id": part(&alice, 1)["login_id"] }),
        });
        assert!(!is_active(&server, &alice).await, "{scope}");
        assert_eq!(is_active(&server, &bob).await, matches!(scope, "openid" | "login"), "{scope}");
        server.clock.advance(2);
        assert!(is_active(&server, &token_of(&server, "alice").await).await, "{scope}: a later login");
    }
}

#[tokio::test]
async fn an_access_token_lives_through_rotation_and_dies_with_its_key() {
    let server = builder().start().await;
    let old = token_of(&server, "alice").await;
    server.change_ring(|plan| plan.keys.push(TestKey::jwt(102, START.plus(1))));
    server.clock.advance(1);
    let new = token_of(&server, "alice").await;
    assert_ne!(part(&old, 0)["kid"], part(&new, 0)["kid"]);
    assert!(is_active(&server, &old).await && is_active(&server, &new).await);
    server.change_ring(|plan| plan.revoked.push(101));
    assert!(!is_active(&server, &old).await && is_active(&server, &new).await);
    server.change_ring(|plan| plan.keys.retain(|key| key.number != 102));
    assert!(!is_active(&server, &new).await, "its key is unknown");
}

/// Rule: a token may come from a replica whose key arrives here a moment later. There is one look for all unknown keys, at most
/// once a second, so forged ones cannot cause disk load.
#[tokio::test]
async fn an_access_token_under_an_unknown_key_makes_a_replica_look_once() {
    let (server, looks) = (builder().start().await, Cell::new(0));
    let claims = part(&token_of(&server, "alice").await, 1).to_string();
    let of_key = |number: u8| {
        let header = with(&header(), "kid", json!(TestKey::jwt(number, START).kid()));
        signed_by(number, &header, &claims)
    };
    let attend = async {
        loop {
            server.rescans().asked().await;
            let look = server.rescans().begin();
            looks.set(looks.get() + 1);
            // The second key is there from the second look on.
            server.change_ring(|plan| plan.keys.push(TestKey::jwt(101 + looks.get(), START)));
            look.finish();
        }
    };
    let ask = async {
        let began = Instant::now();
        assert!(is_active(&server, &of_key(102)).await, "the look has brought its key");
        let forged = (0..100).map(|kid| signed(&with(&header(), "kid", json!(format!("{kid:08x}"))), &claims));
        let forged: Vec<String> = forged.collect();
        let active = join_all(forged.iter().map(|token| is_active(&server, token))).await;
        assert!(active.iter().all(|active| !active));
        assert!(u64::from(looks.get()) <= 1 + began.elapsed().as_secs(), "{} looks", looks.get());
        while !is_active(&server, &of_key(103)).await {
            assert!(began.elapsed() < DEADLINE, "the next look has brought the next key");
        }
        assert!(began.elapsed() >= Duration::from_secs(1) && looks.get() >= 2);
        assert!(u64::from(looks.get()) <= 1 + began.elapsed().as_secs(), "{} looks", looks.get());
    };
    tokio::select! {
        biased;
        _ = attend => (),
        () = ask => (),
    }
}

/// Rule: the end has no leeway. The beginning has that of clocks that differ.
#[tokio::test]
async fn an_access_token_ends_to_the_second() {
    let server = builder().start().await;
    let token = token_of(&server, "alice").await;
    server.clock.advance(JWT_TTL_S - 1);
    assert!(is_active(&server, &token).await);
    server.clock.advance(1);
    assert!(!is_active(&server, &token).await);

    let (header, claims, now) = (header().to_string(), part(&token, 1), START.as_u64() + JWT_TTL_S);
    let mut claims = claims;
    claims["exp"] = json!(now + 1);
    for (iat, expected) in [(now, true), (now + 60, true), (now + 61, false)] {
        assert_eq!(is_active(&server, &signed(&header, &with(&claims, "iat", json!(iat)))).await, expected, "{iat}");
    }
    for (auth_time, expected) in [(now - MAX_SESSION_S + 1, true), (now - MAX_SESSION_S, false)] {
        let token = signed(&header, &with(&claims, "auth_time", json!(auth_time)));
        assert_eq!(is_active(&server, &token).await, expected, "the session has ended: {auth_time}");
    }
}

#[tokio::test]
async fn what_is_no_access_token_for_the_callers_apps_is_inactive() {
    let server = builder().start().await;
    let (token, header) = (token_of(&server, "alice").await, header().to_string());
    let claims = part(&token, 1);
    let ticket = server.ticket_for("alice").await;
    let assertion = server.verify(&ticket).await.header("x-auth-assertion").unwrap().to_owned();
    assert!(!is_active(&server, &assertion).await, "an assertion");

    let ticket = server.ticket_at(OTHER_APPID, "alice").await;
    let foreign = exchange(&server, &format!("client_id=mails&client_secret={OTHER_SECRET}"), &ticket).await;
    let foreign = foreign.text("access_token");
    assert!(!is_active(&server, &foreign).await, "of an app that is not the caller's");
    let form = format!("client_id=mails&client_secret={OTHER_SECRET}&token=");
    let as_mails = async |token: &str| {
        server.call(Call::post("/v1/introspect").form(&format!("{form}{token}"))).await.json()["active"].clone()
    };
    assert_eq!((as_mails(&foreign).await, as_mails(&token).await), (json!(true), json!(false)));

    for (name, value) in [
        ("iss", json!("https://login.example.com/")),
        ("iss", json!("https://other.example.com")),
        ("aud", json!("gateway")),
        ("aud", json!("others")),
        ("aud", json!(["orders"])),
        ("aud", json!("mails")),
        ("appid", json!(OTHER_APPID)),
        ("appid", json!("wx9999999999999999")),
        ("appid", json!("")),
        ("login_id", json!("x")),
        ("auth_time", json!("1800000000")),
        ("exp", json!(1.8e9)),
        ("exp", json!(-1)),
        ("iat", json!(null)),
        ("openid", json!(["o-alice"])),
    ] {
        let changed = signed(&header, &with(&claims, name, value.clone()));
        assert!(!is_active(&server, &changed).await, "{name}: {value}");
    }
    for name in ["iss", "aud", "exp", "iat", "appid", "openid", "login_id", "auth_time"] {
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(name);
        assert!(!is_active(&server, &signed(&header, &without.to_string())).await, "without {name}");
        let twice = claims.to_string().replacen('{', &format!("{{\"{name}\":{},", claims[name]), 1);
        assert!(!is_active(&server, &signed(&header, &twice)).await, "{name} twice");
    }
}

#[tokio::test]
async fn what_our_key_has_not_signed_as_such_is_inactive() {
    let server = builder().start().await;
    let token = token_of(&server, "alice").await;
    let claims = part(&token, 1).to_string();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let head = header();
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("claims-request+jwt")),
        ("typ", json!("AT+JWT")),
        ("typ", json!("application/at+jwt")),
        ("typ", json!(null)),
        ("alg", json!("EdDSA")),
        ("alg", json!("none")),
        ("kid", json!("00000000")),
        ("kid", json!("../etc/passwd")),
        ("kid", json!(1)),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jwk", json!({})),
        ("jku", json!("https://evil.example/keys")),
    ] {
        assert!(!is_active(&server, &signed(&with(&head, name, value.clone()), &claims)).await, "{name}: {value}");
    }
    for name in ["typ", "alg", "kid"] {
        let twice = head.to_string().replacen('{', &format!("{{\"{name}\":{},", head[name]), 1);
        assert!(!is_active(&server, &signed(&twice, &claims)).await, "{name} twice");
        let mut without = head.clone();
        without.as_object_mut().unwrap().remove(name);
        assert!(!is_active(&server, &signed(&without.to_string(), &claims)).await, "without {name}");
    }
    // A library that lets the token choose would take the public key for a shared secret.
    let jwks: Value = serde_json::from_str(&server.jwks().await).unwrap();
    for secret in [
        jwks["keys"][0].to_string().into_bytes(),
        URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap(),
    ] {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(with(&head, "alg", json!("HS256"))),
            URL_SAFE_NO_PAD.encode(&claims)
        );
        let key = EncodingKey::from_secret(&secret);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert!(!is_active(&server, &format!("{message}.{signature}")).await, "HS256");
    }
    let none = URL_SAFE_NO_PAD.encode(with(&head, "alg", json!("none")));
    let other = signed(&head.to_string(), &with(&part(&token, 1), "sub", json!("o-bob")));
    let other_signature = other.rsplit_once('.').unwrap().1;
    for (why, changed) in [
        ("alg none", format!("{none}.{}.", URL_SAFE_NO_PAD.encode(&claims))),
        ("no signature", format!("{message}.")),
        ("no dot", message.to_owned()),
        ("another's signature", format!("{message}.{other_signature}")),
        ("a part more", format!("{token}.{signature}")),
        ("a dot more", format!("{token}.")),
        ("padding", format!("{token}%3D")),
        ("a blank", format!("{token}+")),
        ("dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        ("huge claims", format!("{}.{}.{signature}", message.split('.').next().unwrap(), "A".repeat(40_000))),
        ("a huge header", format!("{}.{signature}", "A".repeat(40_000))),
        ("many dots", ".".repeat(40_000)),
    ] {
        assert!(!is_active(&server, &changed).await, "{why}");
    }
    let mut at = 0;
    while at < token.len() {
        let with = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
        assert!(!is_active(&server, &changed).await, "character {at}");
        at += 7;
    }
    assert!(is_active(&server, &token).await, "after all of that");
}

#[tokio::test]
async fn tokens_have_the_configured_type() {
    let plain = |settings: &mut Settings| settings.jwt.typ = TokenType::Jwt;
    let server = builder().settings(plain).start().await;
    let token = token_of(&server, "alice").await;
    assert_eq!(part(&token, 0)["typ"], "JWT");
    assert!(is_active(&server, &token).await);
    assert!(!is_active(&server, &signed(&header().to_string(), &part(&token, 1).to_string())).await, "at+jwt");
    let ticket = server.ticket_for("alice").await;
    let assertion = server.verify(&ticket).await.header("x-auth-assertion").unwrap().to_owned();
    assert_eq!(part(&assertion, 0)["typ"], "JWT");
    assert!(!is_active(&server, &assertion).await, "the audience tells the two apart");
}

#[tokio::test]
async fn the_owner_adds_claims_to_the_tokens_of_an_audience() {
    let claims = json!({
        "role": "authenticated",
        "https://hasura.io/jwt/claims": { "x-hasura-user-id": "$openid", "x-hasura-union": "$unionid" },
        "phone": "$phone",
        "ids": ["$sub", "$unionid", "$appid", "$platform", "$login_id"],
    });
    let Value::Object(claims) = claims else { unreachable!() };
    let add = |settings: &mut Settings| {
        let mut rest = Audience::new("rest", [AppId::parse(APPID).unwrap()]);
        rest.claims = ClaimTemplate::new(claims).unwrap();
        settings.jwt.audiences.push(rest);
    };
    let server = builder().settings(add).start().await;
    let client = format!("client_id=orders&client_secret={SECRET}&audience=");
    let ticket = server.ticket_for("alice").await;
    let token = exchange(&server, &format!("{client}rest"), &ticket).await.text("access_token");
    let told = part(&token, 1);
    let (openid, unionid) = (server.openid("alice"), server.unionid("alice"));
    assert_eq!(told["role"], "authenticated");
    let hasura = json!({ "x-hasura-user-id": openid, "x-hasura-union": unionid });
    assert_eq!(told["https://hasura.io/jwt/claims"], hasura);
    assert_eq!(told["ids"], json!([openid, unionid, APPID, "weapp", told["login_id"]]));
    assert_eq!(told.get("phone"), None, "jwt.phone is off");
    assert_eq!((&told["iss"], &told["sub"], &told["aud"]), (&json!(ISSUER), &json!(openid), &json!("rest")));
    let mut expected = told.clone();
    (expected["active"], expected["token_type"]) = (json!(true), json!("Bearer"));
    assert_eq!(introspect(&server, &token).await, expected);

    // Who has no unionid has no claim of it, and other audiences have none of these.
    let ticket = server.sealed(&session("o-nobody", START));
    let told = part(&exchange(&server, &format!("{client}rest"), &ticket).await.text("access_token"), 1);
    let has_unionid = told.get("unionid").is_some();
    assert_eq!(told["https://hasura.io/jwt/claims"].get("x-hasura-union").is_some(), has_unionid);
    assert_eq!(told["ids"].as_array().unwrap().len(), if has_unionid { 5 } else { 4 });
    let told = part(&exchange(&server, &format!("{client}orders"), &ticket).await.text("access_token"), 1);
    assert_eq!((told.get("role"), told.get("ids")), (None, None));
}

#[tokio::test]
async fn both_addresses_of_the_metadata_say_the_same() {
    let server = builder().start().await;
    let metadata = server.call(Call::get("/.well-known/oauth-authorization-server")).await.is_ok().json();
    let answer = server.call(Call::get("/.well-known/openid-configuration")).await;
    assert_eq!(answer.is_ok().header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut openid = answer.json();
    let members = openid.as_object_mut().unwrap();
    assert_eq!(members.remove("subject_types_supported"), Some(json!(["public"])));
    assert_eq!(members.remove("id_token_signing_alg_values_supported"), Some(json!(["ES256", "EdDSA"])));
    assert_eq!(openid, metadata);
    let expected = json!({
        "issuer": ISSUER,
        "token_endpoint": format!("{ISSUER}/v1/token"),
        "introspection_endpoint": format!("{ISSUER}/v1/introspect"),
        "jwks_uri": format!("{ISSUER}/.well-known/jwks.json"),
        "response_types_supported": ["none"],
        "grant_types_supported": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    });
    assert_eq!(metadata, expected);
    let nameless = TestServer::start().await;
    nameless.call(Call::get("/.well-known/openid-configuration")).await.is_error("not_found");
}
