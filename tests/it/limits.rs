//! Nobody can keep a connection by doing nothing with it, nobody gets more than his share, and a stop is an orderly one.

mod by_address;
mod logins;

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use auth_ticket::http::ConnectionLimits;

use crate::support::{Call, LIMITS, TestServer, within_5_s};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Far more than any limit of these tests, far less than [`LIMITS`].
const SOON: Duration = ms(3000);

/// Another address of this machine than the one that tests usually call from.
const ALICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const BOB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Where the tests have their trusted proxy.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

async fn start(limits: ConnectionLimits) -> TestServer {
    TestServer::builder().limits(limits).start().await
}

#[tokio::test]
async fn a_half_sent_head_is_closed_in_time() {
    let server = start(ConnectionLimits { header_timeout: ms(200), ..LIMITS }).await;
    for head in ["", "G", "GET /v1/verify HTTP/1.1\r\n", "GET /v1/verify HTTP/1.1\r\nHost: x\r\nweixinauth: abc"] {
        let mut connection = server.connect().await;
        connection.send(head).await;
        assert!(connection.is_silent_for(ms(100)).await, "{head}");
        connection.is_closed_within(SOON).await;
    }
    assert_eq!(server.limit_reached("header_timeout").await, 4);
    assert_eq!(server.limit_reached("idle_timeout").await, 0);
}

#[tokio::test]
async fn a_head_that_trickles_in_is_closed_in_time() {
    let server = start(ConnectionLimits { header_timeout: ms(200), ..LIMITS }).await;
    let mut connection = server.connect().await;
    let start = Instant::now();
    connection.send("GET /healthz HTTP/1.1\r\n").await;
    while connection.is_silent_for(ms(20)).await {
        connection.try_send("X: y\r\n").await;
        assert!(start.elapsed() < SOON);
    }
    connection.is_closed_within(SOON).await;
}

#[tokio::test]
async fn a_slow_body_is_answered_and_closed_in_time() {
    let server = TestServer::builder().body_timeout(ms(200)).compat().start().await;
    for call in [
        Call::post("/v1/login").header("content-length", "100").body("application/json", "{\"code\":"),
        Call::post("/v1/login").header("transfer-encoding", "chunked").body("application/json", "5\r\n{\"cod"),
    ] {
        let mut connection = server.connect().await;
        connection.send(call.to_bytes()).await;
        assert!(connection.is_silent_for(ms(100)).await);
        let answer = connection.answer(&call).await;
        assert_eq!(answer.is_error("invalid_request").header("connection"), Some("close"));
        connection.is_closed_within(SOON).await;
    }
    let call = Call::post("/miniLogin/login.ajax").header("content-length", "100").form("code=");
    let mut connection = server.connect().await;
    assert_eq!(connection.call(&call).await.field("code"), 400);
    connection.is_closed_within(SOON).await;
    assert_eq!(server.limit_reached("body_timeout").await, 3);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_timeout_and_not_before() {
    let server = start(ConnectionLimits { header_timeout: ms(100), idle_timeout: ms(400), ..LIMITS }).await;
    let mut connection = server.connect().await;
    for _ in 0..2 {
        connection.call(&Call::get("/healthz")).await.is_ok();
        assert!(connection.is_silent_for(ms(250)).await);
    }
    connection.is_closed_within(SOON).await;
    assert_eq!(server.limit_reached("idle_timeout").await, 1);
}

#[tokio::test]
async fn a_kept_connection_takes_a_request_long_after_the_header_timeout() {
    let server = start(ConnectionLimits { header_timeout: ms(100), ..LIMITS }).await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        connection.call(&Call::get("/healthz")).await.is_ok();
        sleep(ms(250)).await;
    }
    connection.send("GET /healthz HT").await;
    connection.is_closed_within(SOON).await;
}

#[tokio::test]
async fn a_slow_login_is_not_cut_off_by_the_time_limits_of_heads() {
    let server = start(ConnectionLimits { header_timeout: ms(100), idle_timeout: ms(100), ..LIMITS }).await;
    let mut connection = server.connect().await;
    let call = Call::login("slow-400-alice");
    connection.call(&call).await.is_ok();
}

#[tokio::test]
async fn a_connection_beyond_the_cap_waits_until_another_ends() {
    let server = start(ConnectionLimits { max_connections: 2, ..LIMITS }).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.call(&Call::get("/healthz")).await.is_ok();
    second.call(&Call::get("/healthz")).await.is_ok();
    assert!(server.limit_reached("max_connections").await > 0);
    let mut third = server.connect().await;
    third.send(Call::get("/healthz").to_bytes()).await;
    assert!(third.is_silent_for(ms(200)).await);
    second.call(&Call::get("/healthz")).await.is_ok();
    drop(first);
    third.answer(&Call::get("/healthz")).await.is_ok();
}

#[tokio::test]
async fn what_is_too_large_is_counted() {
    let server = TestServer::builder().compat().start().await;
    let long = "x".repeat(70_000);
    server.call(Call::post("/v1/login").body("application/json", &long)).await.is_error("too_large");
    assert_eq!(server.call(Call::post("/miniLogin/login.ajax").form(&long)).await.field("code"), 413);
    assert_eq!(server.limit_reached("body_size").await, 2);
    server.call(Call::get("/v1/session").header("x-long", &long[..17_000])).await.is_error("headers_too_large");
    server.call(Call::get("/v1/verify").header("x-long", &long[..17_000])).await.is_error("invalid_ticket");
    // So long that hyper refuses it, before there is a request.
    let mut connection = server.connect().await;
    connection.try_send(format!("GET /healthz HTTP/1.1\r\nx-long: {}", long.repeat(3))).await;
    assert!(connection.unchecked_answer().await.is_none_or(|answer| answer.status == 431));
    assert_eq!(server.limit_reached("header_size").await, 3);
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_takes_nothing_new() {
    let mut server = TestServer::start().await;
    let (mut busy, mut idle, _unused) = (server.connect().await, server.connect().await, server.connect().await);
    idle.call(&Call::get("/healthz")).await.is_ok();
    let call = Call::login("slow-300-alice");
    busy.send(call.to_bytes()).await;
    server.platform.reached(1).await;
    server.stop();
    idle.is_closed_within(ms(200)).await;
    assert!(TcpStream::connect(server.address).await.is_err(), "the address is free again");
    busy.answer(&call).await.ticket();
    busy.is_closed_within(SOON).await;
    within_5_s("the end of the server", server.stopped()).await;
}

/// Rule: a restart loses no request. A client that has just connected cannot know that its connection was closed.
#[tokio::test]
async fn a_first_request_that_is_on_its_way_at_a_stop_is_answered() {
    let mut server = TestServer::start().await;
    let mut on_its_way = server.connect().await;
    let accepted = "auth_ticket_connections{listener=\"clients\"} 1\n";
    within_5_s("it is accepted", async { while !server.metrics().await.contains(accepted) {} }).await;
    server.stop();
    within_5_s("the stop", async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
    assert!(on_its_way.is_silent_for(ms(100)).await, "nothing has come yet");
    let call = Call::get("/healthz");
    on_its_way.send(call.to_bytes()).await;
    on_its_way.answer(&call).await.is_ok();
    on_its_way.is_closed_within(SOON).await;
    within_5_s("the end of the server", server.stopped()).await;
}

#[tokio::test]
async fn the_grace_bounds_a_login_that_hangs() {
    let mut server = start(ConnectionLimits { shutdown_grace: ms(300), ..LIMITS }).await;
    let mut connection = server.connect().await;
    connection.send(Call::login("hang").to_bytes()).await;
    server.platform.reached(1).await;
    let start = Instant::now();
    server.stop();
    within_5_s("the end of the server", server.stopped()).await;
    assert!((ms(250)..SOON).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let calls = [
        Call::login("slow-150-bob"),
        Call::get("/v1/verify").ticket(&ticket),
        Call::get("/v1/verify"),
        Call::get("/v1/nothing"),
        Call::post("/v1/renew").ticket(&ticket),
        Call::get("/v1/session").ticket(&ticket),
    ];
    let mut connection = server.connect().await;
    connection.send(calls.iter().flat_map(Call::to_bytes).collect::<Vec<_>>()).await;
    let mut statuses = Vec::new();
    for call in &calls {
        statuses.push(connection.answer(call).await.status);
    }
    assert_eq!(statuses, [200, 200, 401, 404, 200, 200]);
}

#[tokio::test]
async fn a_client_that_asks_much_and_reads_nothing_is_closed_after_the_idle_timeout() {
    let server = start(ConnectionLimits { idle_timeout: ms(300), header_timeout: ms(300), ..LIMITS }).await;
    let mut connection = server.connect().await;
    let call = Call::get("/openapi.json");
    connection.try_send(call.to_bytes().repeat(1000)).await;
    within_5_s("it is counted", async { while server.limit_reached("idle_timeout").await == 0 {} }).await;
    let mut answers = 0;
    while connection.try_answer(&call, SOON).await.is_some() {
        answers += 1;
    }
    assert!((1..100).contains(&answers), "{answers} answers of 65 KB were made for nobody");
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    connection.send("GET /v1/session HTTP/1.0\r\n\r\n").await;
    let answer = connection.unchecked_answer().await.unwrap();
    assert_eq!(answer.is_error("invalid_ticket").status, 401);
    connection.is_closed_within(SOON).await;
}

/// hyper refuses these by itself, with a bare status of which a gateway would make a 500 and a client nothing.
#[tokio::test]
async fn a_head_that_is_too_large_to_be_read_has_the_routes_own_answer() {
    let server = TestServer::start().await;
    let long = |len: usize| format!("x-long: {}\r\n", "x".repeat(len));
    let many = |count: usize| (0..count).fold(String::new(), |fields, number| fields + &format!("x-{number}: y\r\n"));
    for (index, fields) in [long(17_000), long(30_000), long(125_000), many(101), many(400)].iter().enumerate() {
        for (path, status, error) in [
            ("/v1/session", 431, "headers_too_large"),
            ("/nothing", 431, "headers_too_large"),
            ("/v1/verify", 401, "invalid_ticket"),
            ("/v1/ext-authz/a", 401, "invalid_ticket"),
        ] {
            let mut connection = server.connect().await;
            connection.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{fields}\r\n")).await;
            let answer = connection.unchecked_answer().await.unwrap_or_else(|| panic!("{path}, {index}: no answer"));
            assert_eq!(answer.is_error(error).status, status, "{path}, {index}");
        }
    }
    assert_eq!(server.limit_reached("header_size").await, 20);
}

/// What follows the prefix decides nothing, and a check answers 200, 401 or 403 whatever it is.
#[tokio::test]
async fn no_path_makes_a_check_answer_anything_else() {
    let server = TestServer::start().await;
    let ticket = server.ticket_for("alice").await;
    let long = "a/".repeat(3000);
    for (below, status) in [
        (&b"%ff"[..], 200),
        (b"%00", 200),
        (b"%", 200),
        (b"/", 200),
        (b"../../v1/login", 200),
        (long.as_bytes(), 200),
        (b"\xff", 401),
        (b"a\xc3(", 401),
        (b"\x00", 401),
        (b"a b", 401),
    ] {
        let mut connection = server.connect().await;
        let head = format!(" HTTP/1.1\r\nhost: x\r\nweixinauth: {ticket}\r\n\r\n");
        connection.send([b"GET /v1/ext-authz/", below, head.as_bytes()].concat()).await;
        let answer = connection.unchecked_answer().await.expect("an answer");
        let is_right = answer.status == status || (below == b"a\xc3(" || below == b"\xff") && answer.status == 200;
        assert!(is_right, "{:?}: {answer:?}", String::from_utf8_lossy(below));
    }
    let mut connection = server.connect().await;
    connection.send(b"GET /\xff\x01 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(connection.unchecked_answer().await.expect("an answer").is_error("invalid_request").status, 400);
}
