//! `deploy/gateways/envoy-jwt.yaml`: Envoy checks access tokens by itself.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::forge::{Signer, encode};
use super::world::{JWKS, World};
use crate::gateways::files::{replaced, yaml};
use crate::gateways::gateway::{Kind, free_port, program};
use crate::support::system::{Running, read, shipped, write};
use crate::support::{Answer, Reply, Upstream, call, try_call, until};

/// Envoy with the shipped file, in front of a service that keeps what comes.
struct Gateway {
    port: u16,
    service: Upstream,
    log: std::path::PathBuf,
    _running: Running,
    _directory: TempDir,
}

impl Gateway {
    /// Keys are fetched every `cache` in place of five minutes.
    fn start(world: &World, cache: &str) -> Self {
        Self::for_type(world, cache, "at+jwt")
    }

    /// The same for tokens of the type `typ`.
    fn for_type(world: &World, cache: &str, typ: &str) -> Self {
        let service = Upstream::start(|_| Reply::Http("200 OK", "served".to_owned()));
        let directory = tempfile::tempdir().unwrap();
        let (at, port, log) = (directory.path(), free_port(), directory.path().join("log"));
        let issuer = world.front.url();
        let changes = [
            ("https://login.example.com", issuer.clone()),
            ("exact: at+jwt", format!("exact: {typ}")),
            ("port_value: 3000", format!("port_value: {}", service.address.port())),
            ("port_value: 8080", format!("port_value: {}", issuer.rsplit(':').next().unwrap())),
            ("cache_duration: 300s", format!("cache_duration: {cache}")),
            ("failed_refetch_duration: 5s", "failed_refetch_duration: 0.5s".to_owned()),
        ];
        let changes: Vec<_> = changes.iter().map(|(from, to)| (*from, &**to)).collect();
        let mut config = yaml(&replaced(read(&shipped("deploy/gateways/envoy-jwt.yaml")), &changes));
        let listener = &mut config["static_resources"]["listeners"][0];
        listener["address"] = json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
        listener["filter_chains"][0].as_object_mut().unwrap().remove("transport_socket").unwrap();
        // A connection that ends with a refusal is kept for a second otherwise.
        listener["filter_chains"][0]["filters"][0]["typed_config"]["delayed_close_timeout"] = json!("0.01s");
        write(&at.join("envoy.json"), &config.to_string());
        let mut command = program(Kind::Envoy, at);
        command.args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "error", "-c"]).arg(at.join("envoy.json"));
        command.stdout(std::process::Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        let running = Running(command.spawn().unwrap());
        let gateway = Self { port, service, log, _running: running, _directory: directory };
        until("Envoy listens", || try_call(gateway.address(), "GET", "/", &[], "").is_ok());
        gateway
    }

    fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn get(&self, headers: &[(&str, &str)]) -> Answer {
        call(self.address(), "GET", "/orders?id=7", headers, "")
    }

    fn status(&self, token: &str) -> u16 {
        self.get(&[("Authorization", &format!("Bearer {token}"))]).status
    }

    /// The head of the one request that has reached the service with a good `token`.
    #[track_caller]
    fn seen(&self, token: &str, more: &[(&str, &str)]) -> String {
        let before = self.service.requests().len();
        let answer = self.get(&[&[("Authorization", &*format!("Bearer {token}"))], more].concat());
        assert_eq!(answer.status, 200, "{answer:?}\n{}", read(&self.log));
        let requests = self.service.requests();
        assert_eq!(requests.len(), before + 1);
        requests.last().unwrap().to_ascii_lowercase()
    }
}

/// The server's key that signs, and what it says of alice.
fn signer(world: &World, token: &str) -> (Signer, Value) {
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let claims = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
    (Signer::of_server(&world.site.keys, &kid, &world.jwks()), claims)
}

/// `claims` with one of them changed.
fn with(claims: &Value, name: &str, value: Value) -> String {
    let mut claims = claims.clone();
    claims[name] = value;
    claims.to_string()
}

#[test]
fn envoy_tells_the_service_what_the_token_says_and_nothing_that_the_client_says() {
    let world = World::start(&[]);
    let gateway = Gateway::start(&world, "300s");
    let token = world.token();
    let forged = ["X-Auth-Openid", "X-Auth-Phone", "X_Auth_Openid", "X.Auth.Claims", "X-Auth-New"];
    let seen = gateway.seen(&token, &forged.map(|name| (name, "forged")));
    // The file names the keys' address, which the metadata would have said.
    let metadata = world.server.get("/.well-known/openid-configuration", &[]).json();
    let url = world.front.url();
    assert_eq!((&metadata["issuer"], &metadata["jwks_uri"]), (&json!(url), &json!(format!("{url}{JWKS}"))));
    let session = world.server.get("/v1/session", &[("weixinauth", &world.ticket())]).json();
    let (_, claims) = signer(&world, &token);
    for (header, value) in [
        ("x-auth-appid", session["appid"].as_str().unwrap()),
        ("x-auth-platform", "weapp"),
        ("x-auth-openid", session["openid"].as_str().unwrap()),
        ("x-auth-unionid", session["unionid"].as_str().unwrap()),
        ("x-auth-login-id", claims["login_id"].as_str().unwrap()),
        ("x-auth-expires-at", &claims["exp"].to_string()),
    ] {
        let value = value.to_ascii_lowercase();
        assert_eq!(seen.lines().filter(|line| *line == format!("{header}: {value}")).count(), 1, "{header}: {seen}");
    }
    assert!(!seen.contains("forged") && !seen.contains("authorization"), "{seen}");
    let names = |line: &&str| line.starts_with("x-auth-") || line.starts_with("x_auth");
    assert_eq!(seen.lines().filter(names).count(), 6, "{seen}");
}

#[test]
fn envoy_refuses_what_is_no_access_token_of_ours() {
    let world = World::start(&[]);
    let gateway = Gateway::start(&world, "300s");
    let token = world.token();
    let (server, claims) = signer(&world, &token);
    let header = server.header().to_string();
    let now = world.clock.now();
    let sign = |name: &str, value: Value| server.sign(&header, &with(&claims, name, value));

    let missing = gateway.get(&[]);
    assert_eq!(missing.status, 401, "{missing:?}");
    assert!(missing.header("www-authenticate").unwrap().starts_with("Bearer"), "{missing:?}");
    assert_eq!(gateway.get(&[("weixinauth", &world.ticket())]).status, 401);
    let in_url = call(gateway.address(), "GET", &format!("/?access_token={token}"), &[], "");
    assert_eq!(in_url.status, 401, "a token in a URL counts for nothing");

    let (message, _) = token.rsplit_once('.').unwrap();
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none","typ":"at+jwt"}"#), encode(claims.to_string()));
    let jwt = json!({ "typ": "JWT", "alg": "ES256", "kid": server.jwk["kid"] }).to_string();
    for (why, status, token) in [
        ("over for longer than clocks may differ", 401, sign("exp", json!(now - 90))),
        ("good for a year", 401, sign("exp", json!(now + 365 * 86400))),
        ("no end", 401, sign("exp", Value::Null)),
        ("not yet good", 401, sign("nbf", json!(now + 120))),
        ("another issuer", 401, sign("iss", json!("https://elsewhere.example"))),
        ("an attacker's key", 401, Signer::of_attacker("ES256").sign(&header, &claims.to_string())),
        ("another signature", 401, format!("{message}.{}", encode([1; 64]))),
        ("no signature", 401, unsigned),
        ("a ticket", 401, world.ticket()),
        ("another audience", 403, sign("aud", json!("billing"))),
        ("another app", 403, sign("appid", json!("wxfedcba9876543210"))),
        ("no app", 403, sign("appid", Value::Null)),
        ("another kind of JWT", 403, server.sign(&jwt, &claims.to_string())),
    ] {
        assert_eq!(gateway.status(&token), status, "{why}");
    }
    assert_eq!(gateway.service.requests(), Vec::<String>::new(), "none of it has reached the service");
    for (why, token) in [
        ("as it came", token.clone()),
        ("over for less than clocks may differ", sign("exp", json!(now - 30))),
        ("several audiences, ours among them", sign("aud", json!(["billing", "orders"]))),
    ] {
        assert_eq!(gateway.status(&token), 200, "{why}\n{}", read(&gateway.log));
    }
}

/// With `typ = "JWT"`, the audience alone tells an access token from an assertion.
#[test]
fn envoy_takes_the_type_that_its_file_names_and_no_other() {
    let world = World::with_tables(&[], "[jwt]\ntyp = \"JWT\"\n");
    let token = world.token();
    let (server, claims) = signer(&world, &token);
    assert_eq!(jsonwebtoken::decode_header(&token).unwrap().typ.as_deref(), Some("JWT"));
    let other = server.sign(&server.header().to_string(), &claims.to_string());
    assert_eq!(jsonwebtoken::decode_header(&other).unwrap().typ.as_deref(), Some("at+jwt"));
    let jwt = json!({ "typ": "JWT", "alg": "ES256", "kid": server.jwk["kid"] }).to_string();
    let assertion = server.sign(&jwt, &with(&claims, "aud", json!("gateway")));
    for (typ, right, wrong) in [("JWT", &token, &other), ("at+jwt", &other, &token)] {
        let gateway = Gateway::for_type(&world, "300s", typ);
        let seen = gateway.seen(right, &[]);
        assert!(seen.contains(&format!("x-auth-appid: {}\r\n", claims["appid"].as_str().unwrap())), "{seen}");
        assert_eq!((gateway.status(wrong), gateway.status(&assertion)), (403, 403), "{typ}");
        assert_eq!(gateway.service.requests().len(), 1, "none of it has reached the service");
    }
}

#[test]
fn envoy_goes_through_a_rotation_and_an_absence_of_the_server() {
    let mut world = World::start(&[]);
    let gateway = Gateway::start(&world, "1s");
    let first = world.token();
    assert_eq!(gateway.status(&first), 200);

    // The new key is published now, and signs an hour later.
    world.keys(&["rotate", "--use", "jwt"], 2);
    let fetched = world.front.count(JWKS);
    until("Envoy has fetched the keys again", || world.front.count(JWKS) > fetched + 1);
    world.front.go_away();
    world.clock.advance(3601);
    let second = world.token();
    assert_ne!(jsonwebtoken::decode_header(&first).unwrap().kid, jsonwebtoken::decode_header(&second).unwrap().kid);
    let fetched = world.front.count(JWKS);
    until("Envoy asks in vain", || world.front.count(JWKS) > fetched + 1);
    for token in [&first, &second] {
        assert_eq!(gateway.status(token), 200, "both keys are good while the server is away\n{}", read(&gateway.log));
    }

    // A revoked key is gone with the next answer of the server.
    let kid = jsonwebtoken::decode_header(&second).unwrap().kid.unwrap();
    world.front.lead_to(world.server.address);
    world.keys(&["revoke", &format!("jwt-{kid}")], 2);
    until("the revoked key is dead", || gateway.status(&second) == 401);
    let third = world.token();
    until("its successor is known", || gateway.status(&third) == 200);
}
