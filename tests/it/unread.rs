//! Bodies that a route does not read: the connection goes on behind them, or the answer says that it ends.

#![cfg(test)]

use std::time::Duration;

use auth_ticket::http::ConnectionLimits;

use crate::support::{Call, Connection, LIMITS, TestServer};

/// Longer than an answer waits for a body that nobody reads.
const SOON: Duration = Duration::from_secs(4);

/// What ignores its body or is answered without it, and the status; for a user of their own, whose `session_key` one changes.
async fn calls(server: &TestServer) -> Vec<(Call, u16)> {
    let code = server.code_for("alice");
    let ticket = &server.ticket_for(&code.replace("demo-alice-", "user")).await;
    let tickets = ["/v1/renew", "/v1/session/check", "/v1/session/reset"];
    let mut calls: Vec<(Call, u16)> = tickets.map(|path| (Call::post(path).ticket(ticket), 200)).into();
    calls.extend([
        (Call::post("/v1/renew"), 401),
        (Call::get("/v1/session").ticket(ticket), 200),
        (Call::get("/openapi.json"), 200),
        (Call::get("/healthz"), 200),
        (Call::get("/readyz"), 200),
        (Call::get(&format!("/miniLogin/login.ajax?code={code}")), 200),
        (Call::get("/nothing"), 404),
        (Call::new("DELETE", "/v1/login"), 405),
        (Call::post("/v1/login").header("content-type", "text/plain"), 415),
        (Call::post("/v1/login").header("x-long", "x".repeat(17_000)), 431),
    ]);
    calls
}

async fn start() -> TestServer {
    let limits = ConnectionLimits { header_timeout: Duration::from_secs(2), ..LIMITS };
    TestServer::builder().compat().limits(limits).start().await
}

/// Asserts that the next request on the connection is answered.
async fn goes_on(connection: &mut Connection) {
    let answer = connection.call(&Call::get("/healthz")).await;
    assert_eq!((answer.status, answer.header("connection")), (200, None));
}

#[tokio::test]
async fn a_body_behind_its_head_is_dropped_and_the_connection_goes_on() {
    let server = start().await;
    let pieces: [(&str, &str, &[&str]); 4] = [
        ("content-length", "2", &["", "{}"]),
        ("content-length", "65536", &["{", &" ".repeat(65_534), "}"]),
        ("transfer-encoding", "chunked", &["", "2\r\n{}\r\n0\r\n\r\n"]),
        ("transfer-encoding", "chunked", &["2\r\n{", "}\r\n", "0\r\n\r\n"]),
    ];
    for (name, value, pieces) in pieces {
        for (call, status) in calls(&server).await {
            let call = call.header(name, value);
            let mut connection = server.connect().await;
            connection.send(call.to_bytes()).await;
            for piece in pieces {
                connection.send(piece).await;
                // Sent on its own, whatever else the machine does.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let answer = connection.answer(&call).await;
            assert_eq!((answer.status, answer.header("connection")), (status, None), "{call:?} {answer:?}");
            goes_on(&mut connection).await;
        }
    }
}

#[tokio::test]
async fn a_body_that_is_held_back_is_not_asked_for() {
    let server = start().await;
    for (call, status) in calls(&server).await {
        let call = call.header("expect", "100-continue").header("content-length", "2");
        let mut connection = server.connect().await;
        connection.send(call.to_bytes()).await;
        let answer = connection.answer(&call).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{call:?} {answer:?}");
        assert_eq!(connection.continues, 0, "{call:?}");
        connection.is_closed_within(SOON).await;
    }
}

#[tokio::test]
async fn for_a_body_that_never_comes_the_answer_waits_a_moment_and_says_that_the_connection_ends() {
    let server = start().await;
    let server = &server;
    let mut cases = Vec::new();
    for (name, value) in [("content-length", "2"), ("transfer-encoding", "chunked")] {
        cases.extend(calls(server).await.into_iter().map(|(call, status)| (call.header(name, value), status)));
    }
    futures_util::future::join_all(cases.into_iter().map(async |(call, status)| {
        let mut connection = server.connect().await;
        connection.send(call.to_bytes()).await;
        let answer = connection.answer(&call).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{call:?} {answer:?}");
        connection.is_closed_within(SOON).await;
    }))
    .await;
}

#[tokio::test]
async fn a_large_body_is_not_waited_for_and_its_sender_can_read_the_answer() {
    let server = start().await;
    let check = (Call::post("/v1/verify").ticket(&server.ticket_for("alice").await), 200);
    for pieces in [0, 64] {
        for (call, status) in calls(&server).await.into_iter().chain([check.clone()]) {
            let call = call.header("content-length", "1048576");
            let mut connection = server.connect().await;
            connection.send(call.to_bytes()).await;
            let answer = connection.answer(&call).await;
            // A reset would take the answer away from some clients, and fail here.
            for _ in 0..pieces {
                connection.send(vec![b' '; 16 << 10]).await;
            }
            assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{call:?} {answer:?}");
            connection.is_closed_within(SOON).await;
        }
    }
}

#[tokio::test]
async fn of_a_body_without_a_length_so_much_is_dropped_and_no_more() {
    let server = start().await;
    for (call, status) in calls(&server).await {
        let call = call.header("transfer-encoding", "chunked");
        let mut connection = server.connect().await;
        connection.send(call.to_bytes()).await;
        connection.try_send("1000\r\n".to_owned() + &" ".repeat(4096) + "\r\n").await;
        for _ in 0..32 {
            connection.try_send("1000\r\n".to_owned() + &" ".repeat(4096) + "\r\n").await;
        }
        let answer = connection.answer(&call).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{call:?} {answer:?}");
    }
}
