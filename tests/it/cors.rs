//! Web pages may call only where an operator has said so.

use crate::support::{Answer, Call, TestServer};

const OWN: &str = "https://shop.example";
const FOREIGN: &str = "https://evil.example";
const ROUTES: [(&str, &str); 5] = [
    ("POST", "/v1/login"),
    ("POST", "/v1/renew"),
    ("GET", "/v1/session"),
    ("GET", "/miniLogin/login.ajax"),
    ("POST", "/miniLogin/loginCheck.ajax"),
];

async fn start(origins: &[&str]) -> TestServer {
    TestServer::builder().compat().cors(origins).start().await
}

fn preflight(path: &str, origin: &str) -> Call {
    Call::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,weixinauth")
}

fn cors_headers(answer: &Answer) -> Vec<&str> {
    answer.headers.iter().map(|(name, _)| &**name).filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn by_default_there_is_no_cors_and_options_is_405() {
    let server = TestServer::start().await;
    for (_, path) in &ROUTES[..3] {
        server.call(preflight(path, OWN)).await.is_error("method_not_allowed");
    }
    let call = Call::get("/v1/session").ticket(&server.ticket_for("alice").await).header("origin", OWN);
    assert!(cors_headers(server.call(call).await.is_ok()).is_empty());
}

#[tokio::test]
async fn a_configured_origin_may_ask_before_it_sends() {
    let server = start(&[OWN, "https://h5.example:8443"]).await;
    for (_, path) in ROUTES {
        for origin in [OWN, "https://h5.example:8443"] {
            let answer = server.call(preflight(path, origin)).await;
            assert_eq!(answer.is_ok().header("access-control-allow-origin"), Some(origin), "{path}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET,POST"));
            let headers = answer.header("access-control-allow-headers").unwrap();
            assert_eq!(headers, "authorization,content-type,weixinauth");
            assert!(answer.header("vary").unwrap().contains("origin"), "{answer:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer:?}");
            assert!(answer.body.is_empty());
        }
    }
}

#[tokio::test]
async fn answers_to_a_configured_origin_say_so_errors_too() {
    let server = start(&[OWN]).await;
    let ticket = server.ticket_for("alice").await;
    for call in [
        Call::get("/v1/session").ticket(&ticket),
        Call::post("/v1/renew").ticket(&ticket),
        Call::login("demo-alice-77"),
        Call::get("/v1/session"),
        Call::login("err-45011"),
        Call::post("/v1/login").body("text/plain", "x"),
        Call::post("/v1/login").body("application/json", "{"),
        Call::post("/v1/login").body("application/json", vec![b' '; 70_000]),
        Call::new("PUT", "/v1/login"),
        Call::new("DELETE", "/v1/session"),
        Call::get("/v1/token"),
        Call::post("/v1/token").form("client_id=orders&client_secret=wrong"),
        Call::post("/v1/phone"),
        Call::get("/miniLogin/login.ajax?code=err-40029"),
        Call::get("/v1/no-such-route"),
        Call::post("/"),
        Call::login("x").header("x-long", vec![b'x'; 17_000]),
        Call::get("/v1/no-such-route").header("x-long", vec![b'x'; 17_000]),
    ] {
        let answer = server.call(call.header("origin", OWN)).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(OWN), "{answer:?}");
        // By name: a star is not for requests with credentials, and older web views do not know it.
        assert_eq!(answer.header("access-control-expose-headers"), Some("retry-after,www-authenticate"), "{answer:?}");
    }
}

/// What pages need to read is there on the answers that matter most, too.
#[tokio::test]
async fn a_page_learns_when_to_come_back_and_that_a_route_is_not_there() {
    let server = start(&[OWN]).await;
    let limited = server.call(Call::login("err-45011").header("origin", OWN)).await;
    assert_eq!(limited.is_error("rate_limited").header("retry-after"), Some("60"));
    server.call(Call::get("/v2/login").header("origin", OWN)).await.is_error("not_found");
    server.call(preflight("/v2/login", OWN)).await.is_ok();
    server
        .call(Call::login("x").header("origin", OWN).header("x-long", vec![b'x'; 17_000]))
        .await
        .is_error("headers_too_large");
    let foreign = server.call(Call::get("/v2/login").header("origin", FOREIGN)).await;
    assert_eq!(foreign.is_error("not_found").header("access-control-allow-origin"), None);
}

/// Such a head is refused before anything in it is read.
#[tokio::test]
async fn a_page_can_read_that_its_head_has_too_many_fields() {
    let many = |call: Call| (0..101).fold(call.header("origin", OWN), |call, n| call.header(&format!("x-{n}"), "1"));
    let server = start(&[OWN]).await;
    let mut connection = server.connect().await;
    connection.send(many(Call::login("x")).to_bytes()).await;
    let answer = connection.unchecked_answer().await.unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (431, Some("*")), "{answer:?}");
    let mut connection = server.connect().await;
    connection.send(many(Call::get("/v1/verify")).to_bytes()).await;
    let answer = connection.unchecked_answer().await.unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, None), "{answer:?}");
    let closed = TestServer::start().await;
    let mut connection = closed.connect().await;
    connection.send(many(Call::login("x")).to_bytes()).await;
    let answer = connection.unchecked_answer().await.unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (431, None), "{answer:?}");
}

#[tokio::test]
async fn a_foreign_origin_gets_no_leave() {
    let server = start(&[OWN]).await;
    let ticket = server.ticket_for("alice").await;
    for origin in [FOREIGN, "null", "https://shop.example.evil.example", "http://shop.example", "HTTPS://SHOP.EXAMPLE"]
    {
        for (method, path) in ROUTES {
            for call in [preflight(path, origin), Call::new(method, path).ticket(&ticket).header("origin", origin)] {
                let answer = server.call(call).await;
                assert_eq!(answer.header("access-control-allow-origin"), None, "{origin} {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_star_allows_all_origins() {
    let server = start(&["*"]).await;
    let ticket = server.ticket_for("alice").await;
    let answer = server.call(Call::get("/v1/session").ticket(&ticket).header("origin", FOREIGN)).await;
    assert_eq!(answer.is_ok().header("access-control-allow-origin"), Some("*"));
    server.call(preflight("/v1/login", FOREIGN)).await.is_ok();
}

/// A page learns why it gets no keys, whatever pages are configured.
#[tokio::test]
async fn any_page_reads_what_is_the_same_for_everybody_errors_too() {
    const ROUTES: [&str; 4] = [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/openapi.json",
    ];
    for server in [TestServer::start().await, start(&[OWN]).await] {
        for route in ROUTES {
            for (call, expected) in [
                (Call::get(route), None),
                (Call::post(route), Some("method_not_allowed")),
                (preflight(route, FOREIGN), Some("method_not_allowed")),
                (Call::get(route).header("x-long", vec![b'x'; 17_000]), Some("headers_too_large")),
            ] {
                let answer = server.call(call.header("origin", FOREIGN)).await;
                assert_eq!(cors_headers(&answer), ["access-control-allow-origin"], "{answer:?}");
                assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
                // Without a name of its own, the server has no metadata.
                let expected = expected.or(route.contains("oauth").then_some("not_found"));
                let expected = expected.or(route.contains("openid").then_some("not_found"));
                if let Some(error) = expected {
                    answer.is_error(error);
                } else {
                    answer.is_ok();
                }
            }
        }
    }
}

/// Which back end asks is no page's business, and a page has no secret of a service.
#[tokio::test]
async fn what_back_ends_and_probes_call_has_no_headers_for_pages() {
    let server = TestServer::builder().service("orders", "a-secret-of-orders").cors(&["*"]).start().await;
    for (route, method, error) in [
        ("/v1/introspect", "POST", "invalid_client"),
        ("/v1/signature", "POST", "invalid_client"),
        ("/healthz", "GET", ""),
        ("/readyz", "GET", ""),
    ] {
        let form = |call: Call| call.form("client_id=orders&client_secret=wrong&token=x").header("origin", OWN);
        let answer = server.call(form(Call::new(method, route))).await;
        if error.is_empty() {
            answer.is_ok()
        } else {
            answer.is_error(error)
        };
        assert!(cors_headers(&answer).is_empty(), "{answer:?}");
        for (call, error) in [
            (preflight(route, OWN), "method_not_allowed"),
            (Call::new("PUT", route), "method_not_allowed"),
            (Call::new(method, route).header("x-long", vec![b'x'; 17_000]), "headers_too_large"),
        ] {
            let answer = server.call(call.header("origin", OWN)).await;
            assert!(cors_headers(answer.is_error(error)).is_empty(), "{answer:?}");
        }
    }
}

/// Pages inside of mini-programs are told the same as others; a 404 is for pages that may call more than one route.
#[tokio::test]
async fn a_page_that_redeems_can_read_its_errors() {
    let server = TestServer::builder().handover(&[OWN]).start().await;
    let redeem = "/v1/handover/redeem";
    for (call, error) in [
        (Call::post(redeem).body("application/json", r#"{"handover":"x"}"#), "invalid_ticket"),
        (Call::post(redeem).body("application/json", "{"), "invalid_request"),
        (Call::get(redeem), "method_not_allowed"),
        (Call::post(redeem).header("x-long", vec![b'x'; 17_000]), "headers_too_large"),
    ] {
        let answer = server.call(call.header("origin", OWN)).await;
        assert_eq!(answer.is_error(error).header("access-control-allow-origin"), Some(OWN), "{answer:?}");
    }
    server.call(preflight(redeem, OWN)).await.is_ok();
    let nowhere = server.call(Call::get("/v1/no-such-route").header("origin", OWN)).await;
    assert!(cors_headers(nowhere.is_error("not_found")).is_empty(), "{nowhere:?}");
}

#[tokio::test]
async fn checks_and_probes_know_no_origins() {
    let server = start(&[OWN]).await;
    let ticket = server.ticket_for("alice").await;
    assert_eq!(server.call(preflight("/v1/verify", OWN)).await.is_error("invalid_ticket").status, 401);
    for call in [Call::get("/v1/verify").ticket(&ticket), preflight("/v1/verify", OWN).ticket(&ticket)] {
        server.call(call.header("origin", OWN)).await.is_openid(&server.openid("alice"));
    }
    assert!(cors_headers(server.call(Call::get("/healthz").header("origin", OWN)).await.is_ok()).is_empty());
}
