//! What back-end services get: JWTs for tickets, introspection, and the keys to check with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Server, Site, simulator, until};

const ISSUER: &str = "https://login.example.com";
const OTHER_APPID: &str = "wxfedcba9876543210";
const TABLES: &str = r#"
[[app]]
appid = "wxfedcba9876543210"
platform = "weapp"
subject = "unionid"
secret_env = "WX_SECRET"
base_url = "UPSTREAM"

[[service]]
id = "orders"
secret_env = "ORDERS_SECRET"
apps = ["wx0123456789abcdef", "wxfedcba9876543210"]

[[service]]
id = "mails"
secret_env = "MAILS_SECRET"
apps = ["wxfedcba9876543210"]

[jwt.audience.orders]
apps = ["wx0123456789abcdef", "wxfedcba9876543210"]
public = true

[jwt.audience.mails]
apps = ["wx0123456789abcdef", "wxfedcba9876543210"]
"#;
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

struct Services {
    site: Site,
    server: Server,
    _platform: Server,
}

impl Services {
    fn start() -> Self {
        let platform = simulator();
        let tables = TABLES.replace("UPSTREAM", &format!("http://{}", platform.address));
        let site = Site::new(platform.address, &tables);
        let mut command = site.command();
        command.env("ORDERS_SECRET", "orders long secret&=".replace(' ', "_")).env("MAILS_SECRET", "a-secret-of-mails");
        command.env("AUTH_TICKET_PUBLIC_URL", ISSUER).env("AUTH_TICKET_KEYS_POLL", "10m");
        Self { server: Server::start(&mut command), site, _platform: platform }
    }

    fn ticket(&self, appid: &str, code: &str) -> String {
        let body = json!({ "code": code, "appid": appid }).to_string();
        let answer = self.server.post("/v1/login", &[("Content-Type", "application/json")], &body);
        answer.json()["ticket"].as_str().unwrap().to_owned()
    }

    fn jwks(&self) -> JwkSet {
        serde_json::from_value(self.server.get("/.well-known/jwks.json", &[]).json()).unwrap()
    }

    /// `POST /v1/token` by the service `orders`, with `change` made to an exchange that is right.
    fn exchange(&self, ticket: &str, change: &str) -> Answer {
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
             &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}{change}"
        );
        self.server.post("/v1/token", &[FORM, ("Authorization", &basic("orders", "orders_long_secret%26%3D"))], &form)
    }

    fn introspect(&self, id: &str, secret: &str, token: &str) -> Answer {
        self.server.post("/v1/introspect", &[FORM, ("Authorization", &basic(id, secret))], &format!("token={token}"))
    }
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// The claims of `token`, checked as a service would.
#[track_caller]
fn checked(token: &str, keys: &JwkSet, audience: &str) -> Value {
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::ES256, Some("at+jwt")));
    let key = keys.find(&header.kid.unwrap()).expect("the key is published");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

#[test]
fn a_service_exchanges_a_ticket_for_a_jwt_that_anybody_can_check() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    let session = services.server.get("/v1/session", &[("weixinauth", &ticket)]).json();
    let answer = services
        .exchange(&ticket, "&audience=orders&requested_token_type=urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json();
    assert_eq!(
        (&told["token_type"], &told["expires_in"], &told["issued_token_type"]),
        (&json!("Bearer"), &json!(300), &json!("urn:ietf:params:oauth:token-type:access_token"))
    );
    let claims = checked(told["access_token"].as_str().unwrap(), &services.jwks(), "orders");
    for field in ["appid", "platform", "openid", "unionid", "login_id", "auth_time"] {
        assert_eq!(claims[field], session[field], "{field}");
    }
    assert_eq!((&claims["sub"], &claims["client_id"]), (&session["openid"], &json!("orders")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 13, "and nothing else: {names:?}");
    let again = services.exchange(&ticket, "&audience=orders").json();
    let again = checked(again["access_token"].as_str().unwrap(), &services.jwks(), "orders");
    assert_ne!(again["jti"], claims["jti"]);
}

#[test]
fn the_subject_is_the_unionid_where_that_is_configured() {
    let services = Services::start();
    let ticket = services.ticket(OTHER_APPID, "demo-alice-1");
    let told = services.exchange(&ticket, "&audience=mails").json();
    let claims = checked(told["access_token"].as_str().unwrap(), &services.jwks(), "mails");
    assert_eq!(claims["sub"], claims["unionid"]);
    assert_ne!(claims["sub"], claims["openid"]);
}

#[test]
fn a_token_has_all_that_was_asked_for_or_there_is_none() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    for (change, error) in [
        ("&audience=orders&resource=https://billing.example", "invalid_target"),
        ("&resource=https://billing.example", "invalid_target"),
        ("&resource=orders%20", "invalid_target"),
        ("&resource=ORDERS", "invalid_target"),
        ("&audience=orders&resource=mails", "invalid_target"),
        ("&audience=mails&resource=orders", "invalid_target"),
        ("&resource=orders&resource=orders", "invalid_request"),
        ("&audience=orders&scope=read", "invalid_scope"),
        ("&audience=orders&scope=%20", "invalid_scope"),
        ("&audience=orders&scope=&scope=read", "invalid_request"),
        ("&audience=orders&actor_token=x", "invalid_request"),
        ("&audience=orders&actor_token_type=urn:ietf:params:oauth:token-type:jwt", "invalid_request"),
    ] {
        let answer = services.exchange(&ticket, change);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{change}");
    }
    for same in
        ["&resource=orders", "&audience=orders&resource=orders", "&audience=orders&resource=&scope=&actor_token="]
    {
        let told = services.exchange(&ticket, same).json();
        checked(told["access_token"].as_str().unwrap(), &services.jwks(), "orders");
    }
}

#[test]
fn an_exchange_that_is_not_right_is_refused_by_its_name() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    for (change, error) in [
        ("", "invalid_request"),
        ("&audience=", "invalid_request"),
        ("&audience=others", "invalid_target"),
        ("&audience=orders&audience=orders", "invalid_request"),
        ("&audience=orders&requested_token_type=urn:ietf:params:oauth:token-type:id_token", "invalid_request"),
        ("&audience=orders&grant_type=password", "invalid_request"),
        ("&audience=orders&subject_token=x", "invalid_request"),
        ("&audience=orders&client_secret=x", "invalid_request"),
        ("&audience=orders&client_id=mails", "invalid_request"),
        ("&audience=%ff", "invalid_request"),
    ] {
        let answer = services.exchange(&ticket, change);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{change}");
    }
    assert_eq!(
        services.exchange(&ticket, "&audience=orders&unknown=1&unknown=2").status,
        200,
        "unknown ones are ignored"
    );
    for bad in ["", "x", &ticket[1..], &format!("{ticket}A"), &"A".repeat(182)] {
        let answer = services.exchange(bad, "&audience=orders");
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{bad}");
    }
    let headers = [FORM, ("Authorization", &*basic("orders", "orders_long_secret%26%3D"))];
    let password = services.server.post("/v1/token", &headers, "grant_type=password&username=a&password=b");
    assert_eq!((password.status, &password.json()["error"]), (400, &json!("unsupported_grant_type")));
    let json = services.server.post("/v1/token", &[("Content-Type", "application/json"), headers[1]], "{}");
    assert_eq!(json.status, 415);
    assert_eq!(services.server.get("/v1/token", &[]).status, 405);
}

#[test]
fn a_client_proves_who_it_is_in_one_way() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    let form = |more: &str| {
        format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&audience=orders\
             &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}{more}"
        )
    };
    let post = |headers: &[(&str, &str)], more: &str| {
        services.server.post("/v1/token", &[&[FORM], headers].concat(), &form(more))
    };
    assert_eq!(post(&[], "&client_id=orders&client_secret=orders_long_secret%26%3D").status, 200);
    for (authorization, more) in [
        (Some(basic("orders", "wrong")), ""),
        (Some(basic("orders", "")), ""),
        (Some(basic("orders", "orders_long_secret%26%3D&more")), ""),
        (Some(basic("orders", "orders_long_secret%26%3D=more")), ""),
        (Some(basic("orders&more", "orders_long_secret%26%3D")), ""),
        (Some(basic("nobody", "orders_long_secret%26%3D")), ""),
        (Some("Basic !".to_owned()), ""),
        (Some("Basic b3JkZXJz".to_owned()), ""),
        (None, "&client_id=orders&client_secret=wrong"),
        (None, "&client_id=orders"),
        (None, "&client_secret=orders_long_secret%26%3D"),
        (None, ""),
    ] {
        let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        let answer = post(&headers, more);
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (401, &json!("invalid_client")),
            "{authorization:?} {more}"
        );
        let challenge = if authorization.is_some() { "Basic realm=\"auth-ticket\"" } else { "Bearer" };
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{authorization:?} {more}");
    }
    let right = basic("orders", "orders_long_secret%26%3D");
    let twice = [("Authorization", &*right), ("Authorization", &*right)];
    assert_eq!(post(&twice, "").json()["error"], "invalid_client");
    assert_eq!(post(&twice[..1], "").status, 200);
    assert!(!services.server.stderr().contains("orders_secret"));
}

#[test]
fn a_mini_program_may_ask_for_public_audiences_alone() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    let ask = |more: &str| {
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
             &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}{more}"
        );
        services.server.post("/v1/token", &[FORM], &form)
    };
    let told = ask(&format!("&client_id={APPID}")).json();
    let claims = checked(told["access_token"].as_str().unwrap(), &services.jwks(), "orders");
    assert_eq!(claims["client_id"], APPID);
    for (more, error) in [
        (format!("&client_id={APPID}&audience=mails"), "invalid_target"),
        (format!("&client_id={OTHER_APPID}"), "invalid_request"),
        ("&client_id=wxNobody".to_owned(), "invalid_request"),
    ] {
        assert_eq!(ask(&more).json()["error"], error, "{more}");
    }
}

#[test]
fn introspection_tells_of_live_tickets_of_the_services_own_apps_and_of_nothing_else() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    let session = services.server.get("/v1/session", &[("weixinauth", &ticket)]).json();
    let told = services.introspect("orders", "orders_long_secret%26%3D", &ticket).json();
    assert_eq!(
        (&told["active"], &told["token_type"], &told["iss"]),
        (&json!(true), &json!("AuthTicket"), &json!(ISSUER))
    );
    for field in ["appid", "platform", "openid", "unionid", "login_id", "auth_time"] {
        assert_eq!(told[field], session[field], "{field}");
    }
    assert_eq!((&told["sub"], &told["client_id"]), (&session["openid"], &json!(APPID)));
    assert_eq!(told["exp"].as_u64().unwrap() - told["iat"].as_u64().unwrap(), 7200);

    let inactive = |answer: Answer| {
        assert_eq!((answer.status, &*answer.body_text()), (200, "{\"active\":false}"), "{answer:?}");
    };
    inactive(services.introspect("mails", "a-secret-of-mails", &ticket));
    for bad in ["x", &ticket[1..], &"A".repeat(2000), "%ff%00"] {
        let answer = services.introspect("orders", "orders_long_secret%26%3D", bad);
        if answer.status == 400 {
            continue;
        }
        inactive(answer);
    }
    services.site.keys.run(&["revoke", &services.site.keys.kid("ticket", "active")]).done();
    services.server.signal(Signal::HUP);
    until("the ticket is dead", || services.server.verify(&ticket).status != 200);
    until("the key is dead", || {
        services.introspect("orders", "orders_long_secret%26%3D", &ticket).body_text() == "{\"active\":false}"
    });
    let public = services.server.post("/v1/introspect", &[FORM], &format!("client_id={APPID}&token={ticket}"));
    assert_eq!((public.status, &public.json()["error"]), (401, &json!("invalid_client")));
    let missing = services.introspect("orders", "orders_long_secret%26%3D", "");
    assert_eq!((missing.status, &missing.json()["error"]), (400, &json!("invalid_request")));
}

#[test]
fn a_jwt_key_is_published_before_it_signs_and_after() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    let before = services.exchange(&ticket, "&audience=orders").json();
    let before = before["access_token"].as_str().unwrap();
    assert_eq!(services.jwks().keys.len(), 1);
    services.site.keys.run(&["rotate", "--use", "jwt"]).done();
    services.server.signal(Signal::HUP);
    until("the next key is published", || services.jwks().keys.len() == 2);
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
    let still = services.exchange(&ticket, "&audience=orders").json();
    assert_eq!(kid(still["access_token"].as_str().unwrap()), kid(before));

    services.site.keys.run(&["rotate", "--use", "jwt", "--now", "--force"]);
    services.server.signal(Signal::HUP);
    until("the new key signs", || {
        let now = services.exchange(&ticket, "&audience=orders").json();
        kid(now["access_token"].as_str().unwrap()) != kid(before)
    });
    checked(before, &services.jwks(), "orders");
}

#[test]
fn the_public_keys_may_be_cached_and_read_by_anybody() {
    let services = Services::start();
    for path in ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"] {
        let answer = services.server.get(path, &[]);
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let etag = answer.header("etag").unwrap();
        let known = services.server.get(path, &[("If-None-Match", etag)]);
        assert_eq!((known.status, &*known.body_text(), known.header("etag")), (304, "", Some(etag)));
        assert_eq!(services.server.get(path, &[("If-None-Match", "\"other\"")]).status, 200);
    }
    let jwks = services.server.get("/.well-known/jwks.json", &[]).json();
    let mut fields: Vec<&String> = jwks["keys"][0].as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    let metadata = services.server.get("/.well-known/oauth-authorization-server", &[]).json();
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["token_endpoint"], format!("{ISSUER}/v1/token"));
    assert_eq!(metadata["response_types_supported"], json!(["none"]));
}

#[test]
fn a_server_without_a_name_has_no_metadata() {
    let platform = simulator();
    let server = Site::new(platform.address, "").start();
    assert_eq!(server.get("/.well-known/oauth-authorization-server", &[]).status, 404);
    assert_eq!(server.get("/.well-known/jwks.json", &[]).status, 200);
}

#[test]
fn envoy_asks_with_any_path_behind_the_route() {
    let services = Services::start();
    let ticket = services.ticket(APPID, "demo-alice-1");
    for path in ["", "/", "/orders/1?x=1", "//a//b", "/..%2f..%2fhealthz", "/%ff"] {
        let bare = services.server.get(&format!("/v1/ext-authz{path}"), &[("weixinauth", &ticket)]);
        assert_eq!((bare.status, &bare.json()["error"]), (403, &json!("app_required")), "{path}: several apps");
        let of_app = format!("/v1/ext-authz-app/{APPID}{path}");
        let answer = services.server.get(&of_app, &[("weixinauth", &ticket)]);
        assert_eq!((answer.status, answer.header("x-auth-appid")), (200, Some(APPID)), "{path}");
        assert_eq!(services.server.get(&of_app, &[]).status, 401, "{path}");
        let other = format!("/v1/ext-authz-app/{OTHER_APPID}{path}");
        assert_eq!(services.server.get(&other, &[("weixinauth", &ticket)]).status, 403, "{path}");
    }
}

#[test]
fn a_signature_is_logged_by_whom_for_whom_and_over_what_and_is_in_no_line() {
    const DATA: &str = r#"{"outTradeNo":"canary-order"}"#;
    let platform = simulator();
    let tables = "[[service]]\nid = \"payments\"\nsecret_env = \"PAYMENTS_SECRET\"\nmay_sign = true\n";
    let site = Site::new(platform.address, tables);
    let mut command = site.command();
    command.env("PAYMENTS_SECRET", "payments-secret-0123456789").env("RUST_LOG", "trace");
    let server = Server::start(&mut command);
    let ticket = server.login("demo-alice-1").json()["ticket"].as_str().unwrap().to_owned();
    let login_id =
        server.get("/v1/session", &[("weixinauth", &ticket)]).json()["login_id"].as_str().unwrap().to_owned();
    let authorization = basic("payments", "payments-secret-0123456789");
    let headers = [("Content-Type", "application/json"), ("Authorization", &*authorization)];
    let body = json!({ "ticket": ticket, "data": DATA }).to_string();
    let answer = server.post("/v1/signature", &headers, &body).json();
    let signature = answer["signature"].as_str().unwrap();
    let line = || server.stderr().lines().find(|line| line.contains(": signed")).map(str::to_owned);
    until("it is logged", || line().is_some());
    let line = line().unwrap();
    // Of `printf %s DATA | sha256sum`.
    let hash = "55edbc55dc96c3ec22e0d1d30aa46172b711e2bb9bc1e28f0270c7d2102632b0";
    for shown in ["INFO", "service=\"payments\"", "client=127.0.0.1", APPID, &login_id, hash, "is_checked=true"] {
        assert!(line.contains(shown), "{shown} is not in {line}");
    }
    for hidden in [signature, &ticket, "canary", "payments-secret"] {
        assert!(!server.stderr().contains(hidden), "{hidden} is in the log");
    }
}
