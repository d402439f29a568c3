//! Clocks that jump, and a worker that has run out of descriptors.

use std::time::Duration;

use auth_ticket::clock::UnixSeconds;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Nginx, Owner, changed, comes_to, get, put, verifier_file_of};
use crate::consumers::clock::MovedClock;
use crate::gateways::gateway::{Connection, Door, Gateway};
use crate::gateways::service::Service;
use crate::support::APPID;

/// libfaketime reads where nginx's workers keep only what they are told to.
const KEPT_FOR_FAKETIME: &str =
    "env FAKETIME_TIMESTAMP_FILE;\nenv FAKETIME_NO_CACHE;\nenv FAKETIME_DONT_FAKE_MONOTONIC;\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_lets_nobody_in_until_a_file_of_that_time_arrives() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let ticket = owner.server.ticket("demo-alice-1");
    let mut clock = MovedClock::new();
    let exported = |clock: &MovedClock| verifier_file_of(&owner.site.keys, APPID, UnixSeconds::new(clock.now()));
    let mut nginx = Nginx::new(service.address, &exported(&clock));
    nginx.main = KEPT_FOR_FAKETIME;
    let door = Door::Socket(nginx.file("socket"));
    let gateway = Gateway::start(clock.apply_to_date(&mut nginx.command()), door, nginx.directory).await;
    let file = gateway.directory().join("app.verify");
    comes_to(&gateway, &ticket, (200, "")).await;

    // Ahead by more than auth_ticket_max_stale: nobody can tell whether the exporter has stopped.
    clock.move_to(700);
    comes_to(&gateway, &ticket, (503, "overloaded")).await;
    put(&file, &exported(&clock));
    comes_to(&gateway, &ticket, (200, "")).await;

    // Back again: now the file in use is from the future, and gives way to an older one.
    clock.move_to(0);
    comes_to(&gateway, &ticket, (503, "overloaded")).await;
    put(&file, &exported(&clock));
    comes_to(&gateway, &ticket, (200, "")).await;

    // Back by less than the leeway: the file in use stays, and one that is made before it counts for what it takes away.
    clock.move_to(-30);
    let login_id = owner.server.verify(&ticket).header("x-auth-login-id").unwrap().to_owned();
    let other = owner.server.ticket("demo-bob-1");
    let cut_off = changed(&exported(&clock), |file| {
        file["cutoffs"] = json!([{ "scope": "login", "login_id": login_id, "created": "2026-11-22T21:00:00Z" }]);
    });
    put(&file, &cut_off);
    comes_to(&gateway, &ticket, (401, "ticket_revoked")).await;
    assert_eq!(get(&gateway, "/", &other).await.status, 200, "{}", gateway.log());
    assert!(gateway.log().contains("before the one in use"), "{}", gateway.log());
}

/// The status of the answer to `GET /` with this ticket, over a connection that stays open.
async fn asks(connection: &mut dyn Connection, ticket: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: api.example.com\r\nweixinauth: {ticket}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 8192];
    let len = tokio::time::timeout(Duration::from_secs(10), connection.read(&mut answer)).await.unwrap().unwrap();
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap_or_else(|_| panic!("{}", answer[..len].escape_ascii()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_descriptors_still_refuses_who_was_logged_out() {
    let owner = Owner::start();
    let right = owner.verifier_file();
    let mut nginx = Nginx::new("127.0.0.1:9".parse().unwrap(), &right);
    nginx.main = "worker_rlimit_nofile 64;";
    // An answer that takes no descriptor.
    nginx.server = "location / { auth_ticket on; auth_ticket_status; }".to_owned();
    let gateway = nginx.start().await;
    let file = gateway.directory().join("app.verify");
    let tickets = ["alice", "bob"].map(|name| owner.server.ticket(&format!("demo-{name}-1")));
    let login_id = owner.server.verify(&tickets[0]).header("x-auth-login-id").unwrap().to_owned();
    let mut kept = gateway.connect().await;
    assert_eq!(asks(&mut *kept, &tickets[0]).await, 200);

    let mut others = Vec::new();
    while !gateway.log().contains("Too many open files") {
        assert!(others.len() < 200, "{}", gateway.log());
        others.push(gateway.connect().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cut_off = changed(&right, |file| {
        file["cutoffs"] = json!([{ "scope": "login", "login_id": login_id, "created": "2026-11-22T21:00:00Z" }]);
    });
    put(&file, &cut_off);
    let began = std::time::Instant::now();
    while asks(&mut *kept, &tickets[0]).await != 401 {
        assert!(began.elapsed().as_secs() < 10, "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(asks(&mut *kept, &tickets[1]).await, 200);
    // A broken file is told as what it is, and not as one that cannot be opened.
    put(&file, "{}");
    while !gateway.log().contains("`v` is missing") {
        assert!(began.elapsed().as_secs() < 20, "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(others);
    put(&file, &right);
    comes_to(&gateway, &tickets[0], (200, "")).await;
}
