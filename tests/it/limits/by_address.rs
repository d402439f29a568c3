//! What one address may have at once, be it at the other end of a connection or behind a proxy.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use auth_ticket::http::{ClientLimits, ConnectionLimits};
use axum::Router;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{ALICE, BOB, PROXY};
use crate::support::{Builder, Call, Connection, LIMITS, TestServer, within_5_s};

const HEALTH: &str = "/healthz";

fn builder(limits: ClientLimits) -> Builder {
    TestServer::builder().settings(|settings| settings.limits = limits)
}

fn so_many(max_connections_per_address: usize) -> ClientLimits {
    ClientLimits { max_connections_per_address, ..ClientLimits::default() }
}

fn so_many_behind_the_proxy(max_connections_per_address: usize) -> ClientLimits {
    let trusted_proxies = vec![IpAddr::from(PROXY).into()];
    ClientLimits { trusted_proxies, ..so_many(max_connections_per_address) }
}

/// A connection that has been served, so the server knows of it.
async fn served(server: &TestServer, own: Ipv4Addr) -> Connection {
    let mut connection = server.connect_from(own).await;
    connection.call(&Call::get(HEALTH)).await.is_ok();
    connection
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_others_have_theirs() {
    let server = builder(so_many(2)).start().await;
    let (mut first, second) = (served(&server, ALICE).await, served(&server, ALICE).await);
    for _ in 0..3 {
        assert!(!server.lets_in(ALICE).await);
    }
    assert_eq!(server.limit_reached("max_connections_per_address").await, 3);
    let _others = (served(&server, BOB).await, served(&server, BOB).await);
    first.call(&Call::get(HEALTH)).await.is_ok();
    drop(second);
    // As soon as the server has seen that it is gone.
    let again = async { while !server.lets_in(ALICE).await {} };
    within_5_s("a place", Box::pin(again)).await;
}

#[tokio::test]
async fn a_connection_too_many_takes_nobodys_place() {
    let limits = ConnectionLimits { max_connections: 3, ..LIMITS };
    let server = builder(so_many(1)).limits(limits).start().await;
    let _alice = served(&server, ALICE).await;
    for _ in 0..5 {
        assert!(!server.lets_in(ALICE).await);
    }
    let _others = (served(&server, BOB).await, served(&server, PROXY).await);
}

#[tokio::test]
async fn connections_of_a_trusted_proxy_are_not_counted() {
    let server = builder(so_many_behind_the_proxy(1)).start().await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(served(&server, PROXY).await);
    }
    let _alice = served(&server, ALICE).await;
    assert!(!server.lets_in(ALICE).await);
    assert_eq!(server.limit_reached("max_connections_per_address").await, 1);
}

/// A platform that answers as often as there are permits.
fn gated() -> (Arc<Semaphore>, Router) {
    let gate = Arc::new(Semaphore::new(0));
    let at_gate = Arc::clone(&gate);
    let router = Router::new().fallback(move || {
        let gate = Arc::clone(&at_gate);
        async move {
            gate.acquire().await.unwrap().forget();
            json!({ "openid": "o-alice", "session_key": "c2Vzc2lvbi1rZXktMTYhIQ==" }).to_string()
        }
    });
    (gate, router)
}

#[tokio::test]
async fn behind_the_proxy_an_address_has_so_many_requests_in_flight() {
    let (gate, platform) = gated();
    let server = builder(so_many_behind_the_proxy(1)).platform(platform).compat().start().await;
    let from = |client: &str, call: Call| call.header("x-forwarded-for", client);
    let mut waiting = server.connect_from(PROXY).await;
    let login = from("1.1.1.1", Call::login("c1"));
    waiting.send(login.to_bytes()).await;
    server.platform.reached(1).await;

    let mut other = server.connect_from(PROXY).await;
    let answer = other.call(&from("1.1.1.1", Call::login("c2"))).await;
    assert_eq!(answer.is_error("rate_limited").header("retry-after"), Some("5"));
    other.call(&from("6.6.6.6, 1.1.1.1", Call::get("/v1/session"))).await.is_error("rate_limited");
    let compat = other.call(&from("1.1.1.1", Call::get("/miniLogin/login.ajax?code=c2"))).await;
    assert_eq!(compat.field("code"), 429);
    assert_eq!(server.limit_reached("requests_per_address").await, 3);
    // Other clients, and what is not the client's own.
    other.call(&from("1.1.1.2", Call::get("/v1/session"))).await.is_error("invalid_ticket");
    for path in ["/v1/verify", "/v1/ext-authz/a"] {
        other.call(&from("1.1.1.1", Call::get(path))).await.is_error("invalid_ticket");
    }
    other.call(&from("1.1.1.1", Call::get(HEALTH))).await.is_ok();
    // Who is not the proxy has one request at a time on his only connection.
    let mut alice = server.connect_from(ALICE).await;
    alice.call(&from("1.1.1.1", Call::get("/v1/session"))).await.is_error("invalid_ticket");

    assert_eq!(server.platform.exchanges(), 1, "no refused code was spent");
    gate.add_permits(2);
    waiting.answer(&login).await.is_ok();
    other.call(&from("1.1.1.1", Call::login("c2"))).await.is_ok();
    assert_eq!(server.limit_reached("requests_per_address").await, 3);
}

#[tokio::test]
async fn operators_come_in_whatever_the_clients_have() {
    let server = builder(so_many(1)).start().await;
    let _own = served(&server, Ipv4Addr::LOCALHOST).await;
    assert!(!server.lets_in(Ipv4Addr::LOCALHOST).await);
    for _ in 0..3 {
        server.admin(Call::get("/readyz")).await.is_ok();
    }
}

#[tokio::test]
async fn checks_go_on_while_their_address_is_at_its_limit() {
    let server = builder(so_many(1)).start().await;
    let mut gateway = server.connect_from(ALICE).await;
    let ticket = gateway.call(&Call::login(&server.code_for("alice"))).await.ticket();
    for _ in 0..10 {
        assert!(!server.lets_in(ALICE).await);
        gateway.call(&Call::get("/v1/verify").ticket(&ticket)).await.is_openid(&server.openid("alice"));
    }
}
