//! `/openapi.json` tells the truth: it describes every route, no other, and what they really answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Builder, Call, ISSUER, TestServer};

const PAGE: &str = "https://h5.example.com";
const SERVICE: (&str, &str) = ("orders", "c4n4ryServiceSecret");

fn builder() -> Builder {
    let with_everything = TestServer::builder().compat().handover(&[PAGE]).assertions("gateway");
    let with_everything = with_everything.service(SERVICE.0, SERVICE.1).may_sign();
    with_everything.audience_of("orders", &[APPID], true)
}

async fn description(server: &TestServer) -> Value {
    server.call(Call::get("/openapi.json")).await.is_ok().json()
}

fn source(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http").join(file)).unwrap()
}

/// The paths of `routes`, and those of checks, as the description writes them.
fn routes() -> BTreeSet<String> {
    let http = source("routes.rs");
    let for_clients = http.split("pub fn admin_routes").next().unwrap();
    let sources = http.clone() + &source("clients/compat.rs");
    let arguments = for_clients.split(".route(").skip(1).map(|rest| rest.split(',').next().unwrap().trim());
    let path_of = |argument: &str| {
        if argument.starts_with('"') {
            return argument.trim_matches('"').to_owned();
        }
        let name = argument.rsplit(':').next().unwrap();
        let (_, rest) = sources.split_once(&format!("const {name}: &str = \"")).unwrap_or_else(|| panic!("{name}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let verify = source("labels.rs");
    let checks = verify.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \"/"));
    let checks = checks.map(|(_, rest)| format!("/{}", rest.split('"').next().unwrap()));
    arguments.map(path_of).chain(checks).collect()
}

#[tokio::test]
async fn every_route_is_described_and_no_other() {
    let described = description(&builder().start().await).await;
    let described: BTreeSet<String> = described["paths"].as_object().unwrap().keys().cloned().collect();
    assert!(described.len() > 15, "{described:?}");
    assert_eq!(described, routes());
}

#[tokio::test]
async fn every_described_method_is_taken_and_no_other() {
    let server = builder().start().await;
    let description = description(&server).await;
    for (path, operations) in description["paths"].as_object().unwrap() {
        let target = path.replace("{appid}", APPID).replace("{path}", "a/b?c=d");
        let takes_any = operations.get("get").is_some_and(|get| get["tags"] == json!(["gateways"]));
        for method in ["get", "post", "put", "patch", "delete"] {
            let answer = server.call(Call::new(&method.to_uppercase(), &target)).await;
            let is_taken = takes_any || operations.get(method).is_some();
            let is_compat = path.starts_with("/miniLogin/");
            let refused = if is_compat { answer.field("code") == 405 } else { answer.status == 405 };
            assert_eq!(refused, !is_taken, "{method} {path}: {answer:?}");
            assert_ne!(answer.status, 404, "{method} {path}");
        }
    }
}

/// The texts in quotes that follow `start` at once.
fn quoted_after<'a>(text: &'a str, start: &'static str) -> impl Iterator<Item = &'a str> {
    text.split(start).filter_map(|rest| rest.strip_prefix('"')?.split('"').next())
}

#[tokio::test]
async fn every_error_is_described_and_no_other() {
    let description = description(&builder().start().await).await;
    let described = description["components"]["schemas"]["Error"]["properties"]["error"]["enum"].as_array().unwrap();
    let described: BTreeSet<&str> = described.iter().map(|name| name.as_str().unwrap()).collect();
    let (codes, refusals) = (source("error/code.rs"), source("../bearer.rs"));
    let refusals = refusals.split_once("fn error").unwrap().1.split_once("fn description").unwrap().0;
    let known: BTreeSet<&str> = quoted_after(&codes, "=> (").chain(quoted_after(refusals, "=> ")).collect();
    // What only operators meet is not the clients' affair.
    let for_clients: BTreeSet<&str> = known.into_iter().filter(|name| *name != "host_not_allowed").collect();
    assert_eq!(described, for_clients);
}

/// Asserts that `answer` is one that the description has for the operation `id`.
#[track_caller]
fn is_described(description: &Value, id: &str, answer: &Answer) {
    let resolved = |value: &Value| match value.get("$ref").and_then(Value::as_str) {
        Some(pointer) => description.pointer(pointer.trim_start_matches('#')).unwrap().clone(),
        None => value.clone(),
    };
    let paths = description["paths"].as_object().unwrap();
    let mut operations = paths.values().flat_map(|operations| operations.as_object().unwrap().values());
    let operation = operations.find(|operation| operation["operationId"] == id).unwrap_or_else(|| panic!("{id}"));
    let response = operation["responses"].get(answer.status.to_string());
    let response = resolved(response.unwrap_or_else(|| panic!("{id} does not describe {answer:?}")));
    let body_schema = response.pointer("/content/application~1json/schema");
    let mut checks = vec![];
    match body_schema {
        Some(schema) => checks.push((schema.clone(), answer.json())),
        None => assert!(answer.body.is_empty(), "{id}: {answer:?}"),
    }
    for (name, header) in response.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let value = answer.header(&name.to_lowercase()).unwrap_or_else(|| panic!("{id}: no {name} in {answer:?}"));
        let schema = resolved(header)["schema"].clone();
        let value = if schema["type"] == "integer" { json!(value.parse::<u64>().unwrap()) } else { json!(value) };
        checks.push((schema, value));
    }
    for (schema, value) in checks {
        let schema = json!({ "allOf": [schema], "components": description["components"] });
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(&value).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{id}: {faults:?}\n{value:#}");
    }
}

#[tokio::test]
async fn what_is_answered_is_what_is_described() {
    let server = builder().start().await;
    let description = description(&server).await;
    let ticket = server.ticket_for("alice").await;
    let exchange = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
    );
    let client = format!("client_id={}&client_secret={}", SERVICE.0, SERVICE.1);
    let etag = server.call(Call::get("/openapi.json")).await.header("etag").unwrap().to_owned();
    let verify_app = format!("/v1/verify/{APPID}");
    let handle = server.call(Call::get(&format!("/miniLogin/login.ajax?code={}", server.code_for("alice")))).await;
    let handle = handle.json()["data"]["openid"].as_str().unwrap().to_owned();
    let phone = |body: Value| Call::post("/v1/phone").ticket(&ticket).json(&body);
    let user_data = |body: Value| Call::post("/v1/userdata").ticket(&ticket).json(&body);
    let profile = server.simulator("encrypt", &json!({ "appid": APPID, "name": "alice" })).await;
    let encrypted = json!({ "encryptedData": profile["encryptedData"], "iv": profile["iv"] });
    let post_form = |path: &str, form: &str| Call::post(path).form(form);
    let token = server.call(post_form("/v1/token", &format!("{exchange}&{client}"))).await.text("access_token");
    for (id, status, call) in [
        ("login", 200, Call::login(&server.code_for("alice"))),
        ("login", 400, Call::post("/v1/login").json(&json!({}))),
        ("login", 401, Call::login("err-40029")),
        ("login", 403, Call::login("err-40226")),
        ("login", 413, Call::post("/v1/login").body("application/json", vec![b' '; 70_000])),
        ("login", 415, Call::post("/v1/login").body("text/plain", "x")),
        ("login", 429, Call::login("err-45011")),
        ("login", 431, Call::login("x").header("x-long", vec![b'x'; 17_000])),
        ("login", 500, Call::login("err-40013")),
        ("login", 502, Call::login("garbage")),
        ("login", 503, Call::login("err--1")),
        ("renew", 200, Call::post("/v1/renew").ticket(&ticket)),
        ("renew", 401, Call::post("/v1/renew")),
        ("session", 200, Call::get("/v1/session").ticket(&ticket)),
        ("session", 401, Call::get("/v1/session").ticket("x")),
        ("checkSession", 200, Call::post("/v1/session/check").ticket(&ticket)),
        ("checkSession", 401, Call::post("/v1/session/check")),
        ("phone", 200, phone(json!({ "code": "phone-alice-1" }))),
        ("phone", 400, phone(json!({}))),
        ("phone", 400, phone(json!({ "code": "phone-alice-1" }))),
        ("phone", 401, Call::post("/v1/phone").json(&json!({ "code": "phone-alice-2" }))),
        ("phone", 429, phone(json!({ "code": "err-45011" }))),
        ("phone", 503, phone(json!({ "code": "err--1" }))),
        ("userData", 200, user_data(profile.clone())),
        ("userData", 200, user_data(encrypted)),
        ("userData", 400, user_data(json!({}))),
        ("userData", 400, user_data(json!({ "rawData": "x", "signature": "x" }))),
        ("userData", 401, Call::post("/v1/userdata").json(&profile)),
        ("resetSession", 200, Call::post("/v1/session/reset").ticket(&ticket)),
        ("resetSession", 429, Call::post("/v1/session/reset").ticket(&ticket)),
        ("exchangeToken", 200, post_form("/v1/token", &format!("{exchange}&{client}"))),
        ("exchangeToken", 200, post_form("/v1/token", &format!("{exchange}&client_id={APPID}"))),
        ("exchangeToken", 400, post_form("/v1/token", &format!("{exchange}&{client}&audience=others"))),
        ("exchangeToken", 400, post_form("/v1/token", &format!("{client}&grant_type=password"))),
        ("exchangeToken", 401, post_form("/v1/token", &exchange)),
        ("exchangeToken", 401, post_form("/v1/token", &exchange).header("authorization", "Basic eDp5")),
        ("introspect", 200, post_form("/v1/introspect", &format!("{client}&token={ticket}"))),
        ("introspect", 200, post_form("/v1/introspect", &format!("{client}&token={token}"))),
        ("introspect", 200, post_form("/v1/introspect", &format!("{client}&token=x"))),
        ("introspect", 400, post_form("/v1/introspect", &client)),
        ("introspect", 401, post_form("/v1/introspect", "token=x")),
        ("verify", 200, Call::get("/v1/verify").ticket(&ticket)),
        ("verify", 401, Call::get("/v1/verify")),
        ("verifyApp", 200, Call::get(&verify_app).ticket(&ticket)),
        ("verifyApp", 403, Call::get("/v1/verify/wxNobody").ticket(&ticket)),
        ("extAuthz", 200, Call::get("/v1/ext-authz").ticket(&ticket)),
        ("extAuthzPath", 401, Call::get("/v1/ext-authz/a/b")),
        ("extAuthzApp", 200, Call::get(&format!("/v1/ext-authz-app/{APPID}/a/b")).ticket(&ticket)),
        ("jwks", 200, Call::get("/.well-known/jwks.json")),
        ("metadata", 200, Call::get("/.well-known/oauth-authorization-server")),
        ("openidConfiguration", 200, Call::get("/.well-known/openid-configuration")),
        ("openapi", 200, Call::get("/openapi.json")),
        ("openapi", 304, Call::get("/openapi.json").header("if-none-match", &etag)),
        ("healthz", 200, Call::get("/healthz")),
        ("readyz", 200, Call::get("/readyz")),
        ("compatLogin", 200, Call::get(&format!("/miniLogin/login.ajax?code={}", server.code_for("alice")))),
        ("compatLogin", 200, Call::get("/miniLogin/login.ajax?code=err-40029")),
        ("compatLoginPost", 200, post_form("/miniLogin/login.ajax", &format!("code={}", server.code_for("alice")))),
        ("compatLoginCheck", 200, post_form("/miniLogin/loginCheck.ajax", &format!("openid={handle}&phoneNo="))),
        ("compatLoginCheck", 200, post_form("/miniLogin/loginCheck.ajax", "openid=o-alice")),
        ("compatPhone", 200, post_form("/miniLogin/phone.ajax", &format!("openid={handle}&code=phone-alice-3"))),
        ("compatPhone", 200, post_form("/miniLogin/phone.ajax", "openid=o-alice")),
    ] {
        let answer = server.call(call).await;
        assert_eq!(answer.status, status, "{id}: {answer:?}");
        is_described(&description, id, &answer);
    }
}

#[tokio::test]
async fn signatures_and_handovers_are_described() {
    let server = builder().start().await;
    let description = description(&server).await;
    let (ticket, other) = (server.ticket_for("alice").await, server.ticket_for("bob").await);
    let credentials = STANDARD.encode(format!("{}:{}", SERVICE.0, SERVICE.1));
    let sign = |ticket: &str, data: &str| {
        let call = Call::post("/v1/signature").header("authorization", format!("Basic {credentials}"));
        call.json(&json!({ "ticket": ticket, "data": data }))
    };
    let hand_over = |origin: &str| Call::post("/v1/handover").ticket(&ticket).json(&json!({ "origin": origin }));
    let redeem = |text: &str| Call::post("/v1/handover/redeem").json(&json!({ "handover": text }));
    let handover = server.call(hand_over(PAGE)).await.is_ok().text("handover");
    for (id, status, call) in [
        ("handOver", 200, hand_over(PAGE)),
        ("handOver", 400, hand_over("https://evil.example")),
        ("handOver", 401, Call::post("/v1/handover").json(&json!({ "origin": PAGE }))),
        ("redeemHandover", 200, redeem(&handover).header("origin", PAGE)),
        ("redeemHandover", 400, redeem(&handover)),
        ("redeemHandover", 401, redeem(&ticket).header("origin", PAGE)),
        ("signature", 200, sign(&other, "{\"a\":1}")),
        ("signature", 400, sign(&other, "{}")),
        ("signature", 400, sign("garbage", "{\"a\":1}")),
        ("signature", 401, Call::post("/v1/signature").json(&json!({}))),
    ] {
        let answer = server.call(call).await;
        assert_eq!(answer.status, status, "{id}: {answer:?}");
        is_described(&description, id, &answer);
    }
}

/// All combinations of `values` for each of `names`; one that has no value is left out.
fn combinations(names: &[&str], values: &[Option<Value>]) -> Vec<Value> {
    names.iter().fold(vec![json!({})], |bodies, name| {
        let with = |body: &Value, value: &Option<Value>| {
            let mut body = body.clone();
            if let Some(value) = value {
                body[*name] = value.clone();
            }
            body
        };
        bodies.iter().flat_map(|body| values.iter().map(move |value| with(body, value))).collect()
    })
}

#[tokio::test]
async fn bodies_are_taken_if_they_are_described_and_no_others() {
    let server = builder().start().await;
    let description = description(&server).await;
    let ticket = server.ticket_for("alice").await;
    let data = "AAAAAAAAAAAAAAAAAAAAAA==";
    for (schema, path, names, good) in [
        ("PhoneRequest", "/v1/phone", &["code", "encryptedData", "iv"][..], data),
        ("UserDataRequest", "/v1/userdata", &["encryptedData", "iv", "rawData", "signature"], data),
        ("LoginRequest", "/v1/login", &["code", "appid"], APPID),
    ] {
        let values = [None, Some(Value::Null), Some(json!("")), Some(json!(good)), Some(json!(7))];
        let schema =
            json!({ "$ref": format!("#/components/schemas/{schema}"), "components": description["components"] });
        let validator = jsonschema::options().build(&schema).unwrap();
        let bodies = combinations(names, &values);
        let mut taken = 0;
        for body in &bodies {
            let answer = server.call(Call::post(path).ticket(&ticket).json(body)).await;
            let is_taken = answer.status != 400 || answer.text("error") != "invalid_request";
            assert_eq!(is_taken, validator.is_valid(body), "{path} {body}: {answer:?}");
            taken += usize::from(is_taken);
        }
        assert!(taken > 1 && taken < bodies.len(), "{path}: {taken}");
    }
}

/// One request of the same address is in flight already, and there may be one.
#[tokio::test]
async fn whatever_a_limit_by_address_refuses_is_described() {
    let behind_us = |settings: &mut auth_ticket::http::Settings| {
        settings.limits.max_connections_per_address = 1;
        settings.limits.trusted_proxies = vec![std::net::IpAddr::from([127, 0, 0, 1]).into()];
    };
    let server = builder().settings(behind_us).start().await;
    let description = description(&server).await;
    let of_one_address = |call: Call| call.header("x-forwarded-for", "192.0.2.1");
    let mut waiting = server.connect().await;
    waiting.send(of_one_address(Call::login("hang")).to_bytes()).await;
    server.platform.reached(1).await;
    let mut limited = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let target = path.replace("{appid}", APPID).replace("{path}", "a/b?c=d");
            let answer = server.call(of_one_address(Call::new(&method.to_uppercase(), &target))).await;
            let is_compat = path.starts_with("/miniLogin/");
            if answer.status == 429 || is_compat {
                is_described(&description, operation["operationId"].as_str().unwrap(), &answer);
                limited += 1;
            }
            // Checks, probes, and documents that are the same for everybody are for all.
            let tag = operation["tags"][0].as_str().unwrap();
            let is_free = ["gateways", "probes"].contains(&tag) || tag == "services" && method == "get";
            assert_eq!(answer.status == 429, !is_free && !is_compat, "{method} {path}: {answer:?}");
            assert!(!is_compat || answer.field("code") == 429, "{method} {path}: {answer:?}");
        }
    }
    assert!(limited > 8, "{limited}");
}

#[tokio::test]
async fn it_is_this_server_that_is_described() {
    let described = description(&builder().start().await).await;
    assert_eq!(described["servers"], json!([{ "url": ISSUER }]));
    assert_eq!(described["info"]["version"], env!("CARGO_PKG_VERSION"));
    let plain = TestServer::start().await;
    let answer = plain.call(Call::get("/openapi.json")).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let described = answer.json();
    assert_eq!(described["servers"], json!([{ "url": "/" }]));
    assert!(described["paths"].get("/v1/login").is_some());
    assert!(!answer.body_text().contains("/miniLogin/"), "a route that is turned off is not described");
}
