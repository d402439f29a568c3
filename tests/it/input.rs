//! All input is total: whatever comes, the answer is the table's, and the server goes on.

use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Call, TestServer};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Bodies that are no login, whatever they look like.
fn bad_logins() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "}",
        "{}",
        "[]",
        "null",
        "true",
        "7",
        "\"demo-alice-1\"",
        "[\"demo-alice-1\"]",
        "[\"demo-alice-1\",null]",
        "[{\"code\":\"demo-alice-1\"}]",
        "{\"code\":null}",
        "{\"code\":7}",
        "{\"code\":true}",
        "{\"code\":[\"demo-alice-1\"]}",
        "{\"code\":{\"code\":\"demo-alice-1\"}}",
        "{\"code\":\"\"}",
        "{\"code\":\" \"}",
        "{\"code\":\"demo alice\"}",
        "{\"code\":\"demo-alice-1\\n\"}",
        "{\"code\":\"demo-alice-1\\u0000\"}",
        "{\"code\":\"demo-alice-1\0\"}",
        "{\"code\":\"demo-\u{e4}lice-1\"}",
        "{\"code\":\"demo-\\ud800-1\"}",
        "{\"Code\":\"demo-alice-1\"}",
        "{\"code\":\"demo-alice-1\",\"code\":\"demo-alice-1\"}",
        "{\"code\":\"demo-alice-1\",\"code\":\"demo-bob-1\"}",
        "{\"code\":\"demo-alice-1\",\"c\\u006fde\":\"demo-bob-1\"}",
        "{\"code\":\"demo-alice-1\",\"appid\":7}",
        "{\"code\":\"demo-alice-1\",\"appid\":[]}",
        "{\"code\":\"demo-alice-1\",\"appid\":\"wx0123456789abcdef\",\"appid\":\"wx0123456789abcdef\"}",
        "{\"code\":\"demo-alice-1\"",
        "{\"code\":\"demo-alice-1",
        "{\"code\":\"demo-alice-1\"}x",
        "{\"code\":\"demo-alice-1\"}{\"code\":\"demo-alice-1\"}",
        "{\"code\":\"demo-alice-1\",}",
        "{'code':'demo-alice-1'}",
        "{code:\"demo-alice-1\"}",
        "{\"code\":\"demo-alice-1\",\"n\":NaN}",
        "code=demo-alice-1",
        "<code>demo-alice-1</code>",
        "\u{feff}{\"code\":\"demo-alice-1\"}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let valid = "{\"code\":\"demo-alice-1\"}";
    bodies.extend([
        format!("{{\"code\":\"{}\"}}", "x".repeat(513)).into_bytes(),
        b"{\"code\":\"demo-\xff-1\"}".to_vec(),
        b"{\"code\":\"demo-\xc0\x80-1\"}".to_vec(),
        b"{\"code\":\"demo-\xed\xa0\x80-1\"}".to_vec(),
        valid.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        valid.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        [&b"\xff\xfe"[..], &valid.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat(),
        b"[".repeat(60_000),
        b"{\"a\":".repeat(12_000),
        vec![0; 1000],
        vec![0xff; 1000],
        vec![b' '; 64 << 10],
    ]);
    bodies
}

fn login(content_type: &str, body: impl AsRef<[u8]>) -> Call {
    Call::post("/v1/login").body(content_type, body)
}

#[tokio::test]
async fn a_body_that_is_no_login_is_invalid_request() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    for body in bad_logins() {
        let call = login(JSON, body);
        let answer = connection.call(&call).await;
        assert_eq!(answer.status, 400, "{call:?} {answer:?}");
        answer.is_error("invalid_request");
    }
    connection.call(&login(JSON, b"{\"code\":\"demo-alice-1\"}")).await.is_ok();
    assert_eq!(server.platform.exchanges(), 1, "none of them was sent to the platform");
}

#[tokio::test]
async fn odd_but_valid_json_is_a_login() {
    let server = TestServer::start().await;
    for body in [
        " \r\n\t{ \"code\" : \"demo-alice-1\" } \n",
        "{\"c\\u006fde\":\"demo-alice\\u002d2\"}",
        "{\"a\":{\"code\":7},\"code\":\"demo-alice-3\",\"code2\":null,\"n\":-1.5e999999}",
        "{\"x\":1,\"x\":2,\"code\":\"demo-alice-4\"}",
        "{\"\":\"\",\"code\":\"demo-alice-5\",\"\u{7f51}\":\"\u{1f600}\"}",
    ] {
        server.call(login(JSON, body)).await.is_ok();
    }
    let deep = ["{\"code\":\"demo-alice-6\",\"deep\":", &"[".repeat(30_000), &"]".repeat(30_000), "}"].concat();
    server.call(login(JSON, deep)).await.is_ok();
    // 512 characters are a code; that the platform does not know it is another matter.
    let longest = json!({ "code": "x".repeat(512) });
    server.call(Call::post("/v1/login").json(&longest)).await.is_error("invalid_code");
}

#[tokio::test]
async fn the_content_type_may_have_parameters_and_must_be_json() {
    let server = TestServer::start().await;
    for (n, good) in [
        JSON,
        "application/json;charset=utf-8",
        "Application/JSON ; charset=\"GBK\"; x",
        "application/json;",
        "application/json, application/json",
        "application/json;charset=utf-8,Application/JSON",
    ]
    .iter()
    .enumerate()
    {
        server.call(login(good, format!("{{\"code\":\"demo-alice-{n}\"}}"))).await.is_ok();
    }
    for bad in [
        "",
        "text/plain",
        "text/json",
        FORM,
        "application/jsonx",
        "application/json5",
        "application/json, text/plain",
        "application",
        "/",
        ";",
        "multipart/form-data; boundary=x",
    ] {
        server.call(login(bad, "{\"code\":\"demo-alice-1\"}")).await.is_error("unsupported_media_type");
    }
    let call = Call::post("/v1/login").header("content-type", b"application/json\xff").body("", "{}");
    server.raw(call).await.is_error("unsupported_media_type");
    assert_eq!(server.platform.exchanges(), 6);
}

#[tokio::test]
async fn a_body_above_64_kib_is_413_and_the_client_can_read_it() {
    let server = TestServer::start().await;
    let padded = |len: usize| {
        let mut body = b"{\"code\":\"demo-alice-1\"}".to_vec();
        body.resize(len, b' ');
        body
    };
    for len in [(64 << 10) + 1, 1 << 20, 2 << 20] {
        server.call(login(JSON, padded(len))).await.is_error("too_large");
        let mut connection = server.connect().await;
        connection.call(&login(JSON, padded(len))).await.is_error("too_large");
        connection.call(&chunked(&padded(len), 10_000)).await.is_error("too_large");
        connection.call(&Call::get("/healthz")).await.is_ok();
    }
    for call in [login(JSON, padded(3 << 20)), chunked(&padded(3 << 20), 10_000)] {
        for _ in 0..5 {
            let mut connection = server.connect().await;
            connection.try_send(call.to_bytes()).await;
            connection.answer(&call).await.is_error("too_large");
        }
    }
    assert_eq!(server.platform.exchanges(), 0);
    server.call(login(JSON, padded(64 << 10))).await.is_ok();
}

fn chunked(body: &[u8], chunk_len: usize) -> Call {
    let mut encoded = Vec::new();
    for chunk in body.chunks(chunk_len) {
        encoded.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\nX-Trailer: ignored\r\n\r\n");
    Call::post("/v1/login").header("transfer-encoding", "chunked").body(JSON, encoded)
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let server = TestServer::start().await;
    server.raw(chunked(b"{\"code\":\"demo-alice-1\"}", 1)).await.is_ok();
    let broken = Call::post("/v1/login").header("transfer-encoding", "chunked").body(JSON, "zz\r\n{}");
    server.raw(broken).await.is_error("invalid_request");
    let mut half = server.connect().await;
    let call = Call::post("/v1/login").header("content-length", "100").body(JSON, "{\"code\":");
    half.send(call.to_bytes()).await;
    drop(half);
    server.ticket_for("alice").await;
}

#[tokio::test]
async fn a_client_that_expects_to_be_told_to_go_on_is_told() {
    let server = TestServer::start().await;
    let call = Call::post("/v1/login").header("content-type", JSON).header("expect", "100-continue");
    let call = call.header("content-length", "23");
    let mut connection = server.connect().await;
    connection.send(call.to_bytes()).await;
    assert!(!connection.is_silent_for(Duration::from_secs(5)).await);
    connection.send("{\"code\":\"demo-alice-1\"}").await;
    connection.answer(&call).await.is_ok();
    assert_eq!(connection.continues, 1);
    let refused = login("text/plain", "{\"code\":\"demo-alice-1\"}").header("expect", "100-continue");
    let mut connection = server.connect().await;
    connection.call(&refused).await.is_error("unsupported_media_type");
    assert_eq!(connection.continues, 0, "nobody asks for a body that is not wanted");
}

#[tokio::test]
async fn an_unknown_route_is_404() {
    let server = TestServer::start().await;
    for path in [
        "/",
        "//",
        "/v1",
        "/v1/",
        "/v1/login/",
        "//v1/login",
        "/V1/LOGIN",
        "/v1/login%00",
        "/v1/%6cogin",
        "/v1/../v1/login",
        "/v1/verifyx",
        "/metrics",
        "/keys",
        "/index.html",
        "/.env",
        "/%",
        "/%ff",
        "/v2/login",
        "/miniLogin/login.ajax",
        "/miniLogin/loginCheck.ajax",
        "/openapi.json;x",
    ] {
        for method in ["GET", "POST", "HEAD", "OPTIONS", "WHAT"] {
            let answer = server.raw(Call::new(method, path)).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
    server.raw(Call::new("OPTIONS", "*")).await.is_error("not_found");
    server.ticket_for("alice").await;
}

#[tokio::test]
async fn another_method_is_405_and_allow_names_the_right_one() {
    let server = TestServer::start().await;
    for (path, right) in [
        ("/v1/login", "POST"),
        ("/v1/renew", "POST"),
        ("/v1/session", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
        ("/readyz", "GET,HEAD"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "WHAT"] {
            if right.split(',').any(|right| right == method) {
                continue;
            }
            let answer = server.raw(Call::new(method, path)).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(right)), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn more_than_16_kib_of_headers_is_431() {
    let server = TestServer::start().await;
    for call in [Call::get("/v1/session"), Call::post("/v1/renew"), Call::login("demo-alice-1"), Call::get("/healthz")]
    {
        server.raw(call.clone().header("x-padding", "x".repeat(17 << 10))).await.is_error("headers_too_large");
        let many = (0..90).fold(call, |call, n| call.header(&format!("x-padding-{n}"), "x".repeat(200)));
        server.raw(many).await.is_error("headers_too_large");
    }
    assert_eq!(server.platform.exchanges(), 0);
}

#[tokio::test]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let server = TestServer::start().await;
    for bytes in [
        &b"\0\0\0\0"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health z HTTP/1.1\r\n\r\n",
        b"POST /v1/login HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"POST /v1/login HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/login HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/login HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /v1/verify HTTP/1.1\r\nweixinauth: a\r\n b\r\n\r\n",
        b"GET /v1/verify HTTP/1.1\r\nweixinauth: a\0b\r\n\r\n",
    ] {
        let mut connection = server.connect().await;
        connection.send(bytes).await;
        if let Some(answer) = connection.unchecked_answer().await {
            assert!(matches!(answer.status, 400..=499), "{answer:?}");
        }
    }
    server.ticket_for("alice").await;
}

/// Everything odd at every route that is there.
#[tokio::test]
async fn no_input_makes_a_500() {
    let server = TestServer::builder().compat().start().await;
    let ticket = server.ticket_for("alice").await;
    let routes = [
        ("POST", "/v1/login"),
        ("POST", "/v1/renew"),
        ("GET", "/v1/session"),
        ("POST", "/v1/verify"),
        ("POST", "/v1/verify/wx0123456789abcdef"),
        ("GET", "/miniLogin/login.ajax"),
        ("POST", "/miniLogin/login.ajax"),
        ("POST", "/miniLogin/loginCheck.ajax"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    ];
    for (method, path) in routes {
        let mut connection = server.connect().await;
        for query in
            ["", "?", "?=", "?&&&", "?code", "?code=%", "?code=%ff", "?code=%00", "?appid=&appid=", "?openid[]=x"]
        {
            for (content_type, body) in
                [("", ""), (JSON, "{\"code\":"), (JSON, "[[[["), (FORM, "code=%zz&code"), ("x", "\0\u{ff}")]
            {
                let call = Call::new(method, &format!("{path}{query}")).ticket(&ticket).body(content_type, body);
                let answer: Answer = connection.call(&call).await;
                assert!(answer.status < 500, "{call:?} {answer:?}");
                if answer.header("connection") == Some("close") {
                    connection = server.connect().await;
                }
            }
        }
    }
    server.ticket_for("alice").await;
}
