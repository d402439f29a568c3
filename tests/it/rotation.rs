//! Keys come and go; tickets go on working, on every replica, until their own end.

use auth_ticket::keyring::Purpose;

use crate::support::{Call, Plan, START, TTL_S, TestKey, TestServer, session};

const DAY_S: u64 = 86400;

fn kid_of(ticket: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(ticket).unwrap();
    hex::encode(&bytes[1..5])
}

#[tokio::test]
async fn a_ticket_survives_rotation() {
    let server = TestServer::start().await;
    let old = server.ticket_for("alice").await;
    server.clock.advance(60);
    server.rotate();
    server.verify(&old).await.is_openid(&server.openid("alice"));
    let new = server.ticket_for("alice").await;
    server.verify(&new).await.is_openid(&server.openid("alice"));
    assert_ne!(kid_of(&old), kid_of(&new));
    assert_eq!(kid_of(&new), TestKey::new(2, START).kid());
    let renewed = server.call(Call::post("/v1/renew").ticket(&old)).await.ticket();
    assert_eq!(kid_of(&renewed), kid_of(&new), "a renewal moves to the new key");
    let login_id = server.session(&old).await.text("login_id");
    assert_eq!(server.session(&renewed).await.text("login_id"), login_id);
}

#[tokio::test]
async fn a_session_survives_a_rotation_every_day() {
    let server = TestServer::start().await;
    let mut ticket = server.ticket_for("alice").await;
    for _ in 0..10 {
        for _ in 0..12 {
            server.clock.advance(TTL_S);
            ticket = server.call(Call::post("/v1/renew").ticket(&ticket)).await.ticket();
        }
        server.rotate();
    }
    server.verify(&ticket).await.is_openid(&server.openid("alice"));
    assert_eq!(server.session(&ticket).await.field("auth_time"), START.as_u64());
}

#[tokio::test]
async fn what_another_replica_seals_with_a_pending_key_opens() {
    let server = TestServer::start().await;
    let soon = TestKey::new(2, START.plus(900));
    server.change_ring(|plan| plan.keys.push(soon));
    // The other replica's clock is ahead, or ours behind.
    let ahead = Plan { keys: vec![TestKey::new(2, START)], ..Plan::one_key() };
    let ticket = server.sealed_by(&ahead, &session("o-alice", START), Purpose::Ticket);
    assert_eq!(kid_of(&ticket), soon.kid());
    server.verify(&ticket).await.is_openid("o-alice");
    assert_eq!(kid_of(&server.ticket_for("alice").await), TestKey::new(1, START).kid(), "we do not seal with it yet");
    server.clock.advance(900);
    assert_eq!(kid_of(&server.ticket_for("alice").await), soon.kid());
}

#[tokio::test]
async fn a_dead_key_opens_nothing() {
    let server = TestServer::start().await;
    server.clock.advance(DAY_S);
    server.rotate();
    // A year's ttl in the configuration would not help: the key allows a day.
    let mut forger = Plan::one_key();
    forger.keys[0].max_ttl_s = 90 * DAY_S;
    let ticket = server.sealed_by(&Plan::one_key(), &session("o-alice", server.now()), Purpose::Ticket);
    server.verify(&ticket).await.is_openid("o-alice");
    server.clock.advance(DAY_S + 59);
    let last = server.sealed_by(&forger, &session("o-alice", server.now()), Purpose::Ticket);
    server.verify(&last).await.is_openid("o-alice");
    server.clock.advance(1);
    server.verify(&last).await.is_error("invalid_ticket");
    server.verify(&server.ticket_for("alice").await).await.is_openid(&server.openid("alice"));
}

#[tokio::test]
async fn a_revoked_key_is_dead_at_once_and_no_older_one_steps_in() {
    let server = TestServer::start().await;
    let old = server.ticket_for("alice").await;
    server.clock.advance(1);
    server.rotate();
    let new = server.ticket_for("alice").await;
    server.change_ring(|plan| plan.revoked.push(2));
    server.verify(&new).await.is_error("invalid_ticket");
    server.verify(&old).await.is_openid(&server.openid("alice"));
    server.call(Call::login("demo-bob-1")).await.is_error("no_sealing_key");
    server.call(Call::post("/v1/renew").ticket(&old)).await.is_error("no_sealing_key");
    server.clock.advance(1);
    server.rotate();
    server.call(Call::login("demo-bob-1")).await.is_ok();
    server.call(Call::post("/v1/renew").ticket(&old)).await.is_ok();
}

#[tokio::test]
async fn two_replicas_share_nothing_but_the_keys() {
    let (one, other) = (TestServer::start().await, TestServer::start().await);
    let ticket = one.ticket_for("alice").await;
    other.verify(&ticket).await.is_openid(&one.openid("alice"));
    let renewed = other.call(Call::post("/v1/renew").ticket(&ticket)).await.ticket();
    assert_eq!(one.session(&renewed).await.text("login_id"), one.session(&ticket).await.text("login_id"));
}
