//! What services get for a ticket, as time passes.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::join;
use tokio::time::Instant;

use crate::support::{Answer, Call, START, TestServer, session};

const TTL_S: u64 = 7200;

async fn introspected(server: &TestServer, ticket: &str) -> Answer {
    let form = format!("client_id=orders&client_secret=orders-secret&token={ticket}");
    server.call(Call::post("/v1/introspect").form(&form)).await
}

async fn exchanged(server: &TestServer, ticket: &str) -> Answer {
    let form = format!(
        "client_id=orders&client_secret=orders-secret&grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
    );
    server.call(Call::post("/v1/token").form(&form)).await
}

/// Rule: the leeway of a check is for clocks that differ. Who is told the end of a ticket is told that it is over, too.
#[tokio::test]
async fn services_are_told_of_no_ticket_after_its_end() {
    let builder = TestServer::builder().assertions("gateway").service("orders", "orders-secret");
    let server = builder.audience("orders").start().await;
    let ticket = server.sealed(&session("o-alice", START));
    server.clock.advance(TTL_S - 1);
    let told = introspected(&server, &ticket).await;
    assert_eq!((told.field("active"), told.field("exp")), (json!(true), json!(START.plus(TTL_S).as_u64())));
    exchanged(&server, &ticket).await.is_ok();

    server.clock.advance(1);
    assert_eq!(introspected(&server, &ticket).await.json(), json!({ "active": false }));
    exchanged(&server, &ticket).await.is_error("invalid_request");
    server.verify(&ticket).await.is_ok();
}

const SECRET: &str = "orders-secret";

fn introspection(secret: &str) -> Call {
    Call::post("/v1/introspect").form(&format!("client_id=orders&client_secret={secret}&token=x"))
}

/// Rule: who tries secrets out waits for each answer; who has the right one never does.
#[tokio::test]
async fn wrong_secrets_are_answered_one_after_the_other_and_right_ones_at_once() {
    const GUESSES: u32 = 20;
    let server = TestServer::builder().service("orders", SECRET).start().await;
    let (began, guesses_are_over) = (Instant::now(), Cell::new(false));
    let guesses = async {
        join_all(
            (0..GUESSES).map(async |_| server.call(introspection("wrong")).await.is_error("invalid_client").status),
        )
        .await;
        guesses_are_over.set(true);
    };
    let others = async {
        for _ in 0..3 {
            server.call(introspection(SECRET)).await.is_ok();
        }
        // Another address has its own turn.
        let call = introspection("wrong");
        server.connect_from([127, 0, 0, 2].into()).await.call(&call).await.is_error("invalid_client");
        assert!(!guesses_are_over.get(), "the answers to the guesses took {:?}", began.elapsed());
    };
    join!(guesses, others);
    assert_eq!(server.limit_reached("wrong_secrets").await, u64::from(GUESSES) + 1, "right ones reach no limit");
    assert!(began.elapsed() >= Duration::from_millis(100) * GUESSES, "{:?}", began.elapsed());
}

/// Rule: the answer to a wrong secret waits outside of every limit.
#[tokio::test]
async fn an_answer_that_waits_takes_no_place_of_its_address() {
    let behind_us = |settings: &mut auth_ticket::http::Settings| {
        settings.limits.max_connections_per_address = 1;
        settings.limits.trusted_proxies = vec![std::net::IpAddr::from([127, 0, 0, 1]).into()];
    };
    let server = TestServer::builder().service("orders", SECRET).settings(behind_us).start().await;
    let of_one_address = |call: Call| call.header("x-forwarded-for", "192.0.2.1");
    let mut waiting = server.connect().await;
    let guess = of_one_address(introspection("wrong"));
    // The answer to the last one of these is due in a second.
    for _ in 0..10 {
        let mut connection = server.connect().await;
        connection.send(guess.to_bytes()).await;
        drop(connection);
    }
    waiting.send(guess.to_bytes()).await;
    assert!(waiting.is_silent_for(Duration::from_millis(50)).await);
    server.call(of_one_address(introspection(SECRET))).await.is_ok();
    // Who does not wait for the answer is counted, too.
    assert_eq!(server.limit_reached("wrong_secrets").await, 11);
    waiting.answer(&guess).await;
}
