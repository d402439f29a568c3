//! WebSocket through each gateway: checked as every other request, then left alone.

use std::process::Command;

use serde_json::Value;

use super::gateway::{Gateway, Setup, everywhere, headers_of_answer};
use super::headers::{FORGED, expected, identity};
use super::service::{Seen, Service};
use crate::support::system::{Running, needed, shipped, start, succeed};
use crate::support::{Call, TestServer};

fn script(role: &str) -> Command {
    let mut command = Command::new(needed("python"));
    command.arg(shipped("tests/site/gateways/websocket.py")).arg(role);
    command
}

pub(super) fn start_service() -> (Running, std::net::SocketAddr) {
    let (running, lines) = start(&mut script("service"), 1);
    (running, ([127, 0, 0, 1], lines[0].parse().unwrap()).into())
}

/// What becomes of an upgrade with these headers.
pub(super) async fn upgrade(gateway: &Gateway, headers: &[(&str, &str)]) -> Value {
    let mut client = script("client");
    client.arg(gateway.door.to_string());
    for (name, value) in headers {
        client.args([name, value]);
    }
    let told = tokio::task::spawn_blocking(move || succeed(&mut client)).await.unwrap();
    serde_json::from_str(&told).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_let_through_with_a_ticket_and_refused_without() {
    let (_service, address) = start_service();
    everywhere(|kind| async move {
        let server = TestServer::start().await;
        let gateway = Setup::new(kind, server.address, address).start().await;
        let ticket = server.ticket_for("alice").await;
        let told = expected(headers_of_answer(&server.verify(&ticket).await));
        let bearer = format!("Bearer {ticket}");
        let own_token = "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
        for (headers, kept) in [
            (vec![("weixinauth", &*ticket)], None),
            (vec![("Authorization", &*bearer)], None),
            (vec![("weixinauth", &*ticket), ("Authorization", own_token)], Some(own_token)),
        ] {
            let forged = ["X-Auth-Openid", "X-Auth-Phone", "X_Auth_Openid", "X.Auth.Phone"].map(|name| (name, FORGED));
            let opened = upgrade(&gateway, &[headers, forged.to_vec()].concat()).await;
            assert_eq!(opened["status"], 101, "{opened}");
            assert_eq!(opened["close"], 1000, "{opened}");
            let headers: Vec<(String, String)> = serde_json::from_value(opened["headers"].clone()).unwrap();
            let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
            let seen = Seen { method: String::new(), target: String::new(), headers, body: Vec::new() };
            assert_eq!(identity(&seen), told);
            assert!(seen.all("weixinauth").is_empty(), "{seen:?}");
            assert_eq!(seen.all("authorization"), kept.into_iter().collect::<Vec<_>>(), "{seen:?}");
        }
        for headers in [vec![], vec![("weixinauth", "garbage")], vec![("X-Auth-Openid", FORGED)]] {
            let refused = upgrade(&gateway, &headers).await;
            assert_eq!(refused["status"], 401, "{refused}");
            let body: Value = serde_json::from_str(refused["body"].as_str().unwrap()).unwrap();
            assert_eq!(body["error"], "invalid_ticket");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_protocol_is_changed_to() {
    everywhere(|kind| async move {
        let (server, service) = (TestServer::start().await, Service::start().await);
        let gateway = Setup::new(kind, server.address, service.address).start().await;
        let ticket = server.ticket_for("alice").await;
        for protocol in ["h2c", "TLS/1.2", "websocket, h2c", "foo"] {
            let call = Call::get("/").ticket(&ticket).header("Upgrade", protocol).header("HTTP2-Settings", "AAMAAABk");
            let answer = gateway.call_naming("close, Upgrade, HTTP2-Settings", call).await;
            // Some refuse what they do not know; the others go on as if it had not been asked for.
            let seen = service.take();
            assert!(matches!((answer.status, seen.len()), (200, 1) | (400 | 403, 0)), "{protocol}: {answer:?}");
            assert!(seen.iter().all(|seen| seen.all("upgrade").is_empty()), "{protocol}: {seen:?}");
        }
    })
    .await;
}
