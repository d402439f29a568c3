//! What a client may try: identities, tickets that are none, other protocols.

use super::{Nginx, Owner, get, verifier_file, workers};
use crate::gateways::gateway::headers_of_answer;
use crate::gateways::headers::{FORGED, Marks, expected, identity, spellings};
use crate::gateways::service::Service;
use crate::gateways::websocket::{start_service, upgrade};
use crate::memory;
use crate::support::{Answer, Call, Keys};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_forges_an_identity_to_a_service_behind_the_module() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let gateway = Nginx::new(service.address, &owner.verifier_file()).start().await;
    let ticket = owner.server.ticket("demo-alice-1");
    let told = expected(headers_of_answer(&owner.server.verify(&ticket)));
    assert!(told.len() >= 6, "{told:?}");
    for names in spellings(Marks::All, true).chunks(40) {
        let mut call = Call::get("/orders").ticket(&ticket).header("Cookie", "a=b");
        for name in names {
            call = call.header(name, FORGED).header(name, format!("{FORGED} again"));
        }
        let answer = gateway.call(call).await;
        assert_eq!(answer.status, 200, "{names:?} {answer:?}");
        let seen = service.one();
        assert_eq!(identity(&seen), told, "{names:?}");
        // All nine are there, and what is not about identity stays.
        assert_eq!(seen.headers.iter().filter(|(name, _)| name.starts_with("x-auth-")).count(), 9, "{seen:?}");
        assert_eq!((seen.all("cookie"), seen.all("weixinauth")), (vec!["a=b"], vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_kept_back_and_other_credentials_are_not() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let gateway = Nginx::new(service.address, &owner.verifier_file()).start().await;
    let ticket = owner.server.ticket("demo-alice-1");
    for kept in ["Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "Basic YTpi", "Bearer AQ.x", "Token AQx"] {
        let answer = gateway.call(Call::get("/").ticket(&ticket).header("Authorization", kept)).await;
        assert_eq!(answer.status, 200, "{kept}: {answer:?}");
        let seen = service.one();
        assert_eq!((seen.all("authorization"), seen.all("weixinauth")), (vec![kept], vec![]), "{seen:?}");
    }
    for taken in [format!("Bearer {ticket}"), format!("bEARER   {ticket}")] {
        for call in [Call::get("/"), Call::post("/").ticket(&ticket).body("text/plain", "abc")] {
            assert_eq!(gateway.call(call.header("Authorization", &taken)).await.status, 200);
            let seen = service.one();
            assert!(seen.all("authorization").is_empty() && seen.all("weixinauth").is_empty(), "{seen:?}");
        }
    }
}

/// What the manuals warn of: it is nginx that writes, before any module is asked.
#[tokio::test(flavor = "multi_thread")]
async fn two_authorization_headers_are_told_by_nginx_itself_at_info() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let gateway = Nginx::new(service.address, &owner.verifier_file()).start().await;
    let call = Call::get("/").header("Authorization", "Bearer AQone").header("Authorization", "Bearer AQtwo");
    let answer = gateway.call(call).await;
    assert_eq!((answer.status, service.take().len()), (400, 0), "{answer:?}");
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("AQone")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("[info]") && line.contains("client sent duplicate header line"), "{line}");
}

#[track_caller]
fn is_refused(answer: &Answer, service: &Service, error: &str, has_body: bool) {
    assert_eq!((answer.status, answer.header("cache-control")), (401, Some("no-store")), "{answer:?}");
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    if has_body {
        answer.is_error(error);
        assert_eq!(answer.text("request_id").len(), 32, "{answer:?}");
    } else {
        assert!(answer.body.is_empty(), "{answer:?}");
    }
    assert!(!format!("{answer:?}").contains("x-auth-"), "{answer:?}");
    assert!(service.take().is_empty(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_servers_and_the_service_hears_nothing() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let gateway = Nginx::new(service.address, &owner.verifier_file()).start().await;
    let (ticket, other) = (owner.server.ticket("demo-alice-1"), owner.server.ticket("demo-bob-1"));
    let bearer = |ticket: &str| format!("Bearer {ticket}");
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let call = || Call::new(method, "/orders?weixinauth=x");
        for call in [
            call(),
            call().ticket(""),
            call().ticket("garbage"),
            call().ticket(&"A".repeat(8192)),
            call().ticket(&format!("{ticket}{}", "A".repeat(8192))),
            call().header("Authorization", bearer(&"A".repeat(8192))),
            call().ticket(&ticket).ticket(&ticket),
            call().ticket(&ticket).header("WEIXINAUTH", &other),
            call().ticket(&format!("{ticket}, {ticket}")),
            call().ticket(&ticket).header("Authorization", bearer(&other)),
            call().header("Authorization", &ticket),
            call().header("Authorization", "Basic YTpi"),
            call().header("X-Auth-Openid", "o-alice"),
            call().header("Cookie", format!("weixinauth={ticket}")),
        ] {
            is_refused(&gateway.call(call).await, &service, "invalid_ticket", method != "HEAD");
        }
    }
    // With a body, which nobody reads, or waits for.
    let body = Call::post("/orders").ticket("garbage");
    let expecting = body.clone().header("Expect", "100-continue").body("text/plain", "abc");
    is_refused(&gateway.call(expecting).await, &service, "invalid_ticket", true);
    let chunked = body.header("Transfer-Encoding", "chunked").body("", "3\r\nabc\r\n0\r\n\r\n");
    is_refused(&gateway.call(chunked).await, &service, "invalid_ticket", true);
    assert_eq!((get(&gateway, "/", &ticket).await.status, service.take().len()), (200, 1));
    // Neither tickets nor keys are in the log.
    let log = gateway.log();
    assert!(log.contains("no identity: no ticket was sent"), "{log}");
    let file = owner.verifier_file();
    let subkey = &file.split("\"subkey\":\"").nth(1).unwrap()[..64];
    assert!(!log.contains(&ticket[..40]) && !log.contains(subkey), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_let_through_with_a_ticket_and_refused_without() {
    let owner = Owner::start();
    let (_service, address) = start_service();
    let gateway = Nginx::new(address, &owner.verifier_file()).start().await;
    let ticket = owner.server.ticket("demo-alice-1");
    let opened = upgrade(&gateway, &[("weixinauth", &ticket), ("X-Auth-Phone", FORGED)]).await;
    assert_eq!((&opened["status"], &opened["close"]), (&101.into(), &1000.into()), "{opened}");
    assert!(!opened.to_string().contains(FORGED) && !opened.to_string().contains(&ticket), "{opened}");
    assert_eq!(upgrade(&gateway, &[("weixinauth", "garbage")]).await["status"], 401);
}

/// A verifier file takes no `session_key` out of a ticket, so nginx never holds one.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_that_has_checked_tickets_has_no_session_key_in_memory() {
    if !rustix::process::geteuid().is_root() {
        // nginx's processes are not dumpable for others.
        return;
    }
    let (keys, service) = (Keys::init(), Service::start().await);
    let gateway = Nginx::new(service.address, &verifier_file(&keys)).start().await;
    for ticket in memory::tickets_with_session_keys(&keys).iter().cycle().take(20) {
        assert_eq!(get(&gateway, "/", ticket).await.status, 200);
    }
    memory::holds_users_but_no_session_key(&[workers(&gateway), vec![gateway.pid()]].concat());
}
