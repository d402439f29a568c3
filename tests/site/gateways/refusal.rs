//! Whom the server does not let in, nobody does; and he is told why by the server.

use futures_util::future::join_all;
use serde_json::json;

use super::check::{Check, NOBODY};
use super::gateway::{Gateway, Kind, Setup, everywhere};
use super::service::Service;
use crate::support::{APPID, Answer, Call, OTHER_APPID, START, TestServer, session};

/// Asserts that `answer` is the server's refusal `error`, and that the service was not asked.
#[track_caller]
fn is_refused(answer: &Answer, service: &Service, status: u16, error: &str, has_body: bool) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let challenge = answer.header("www-authenticate");
    let is_challenge = matches!(challenge, Some("Bearer" | "Bearer error=\"invalid_token\""));
    assert!(if status == 401 { is_challenge } else { challenge.is_none() }, "{answer:?}");
    if has_body {
        answer.is_error(error);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.text("request_id").len(), 16, "{answer:?}");
    } else {
        assert!(answer.body.is_empty(), "{answer:?}");
    }
    assert!(!format!("{answer:?}").contains("x-auth-"), "{answer:?}");
    assert!(service.take().is_empty(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_servers_own_and_the_service_hears_nothing() {
    everywhere(|kind| async move {
        let (server, service) = (TestServer::start().await, Service::start().await);
        let gateway = Setup::new(kind, server.address, service.address).start().await;
        let (ticket, other) = (server.ticket_for("alice").await, server.ticket_for("bob").await);
        let cut_off = server.sealed(&session("o-alice", START));
        server.cut_off(json!({ "scope": "login", "login_id": "00112233445566aa" }));
        let bearer = |ticket: &str| format!("Bearer {ticket}");
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let call = || Call::new(method, "/orders?weixinauth=x");
            for (call, error) in [
                (call(), "invalid_ticket"),
                (call().ticket(""), "invalid_ticket"),
                (call().ticket("garbage"), "invalid_ticket"),
                (call().ticket(&"A".repeat(8192)), "invalid_ticket"),
                (call().ticket(&format!("{ticket}{}", "A".repeat(8192))), "invalid_ticket"),
                (call().header("Authorization", bearer(&"A".repeat(8192))), "invalid_ticket"),
                (call().ticket(&ticket).ticket(&ticket), "invalid_ticket"),
                (call().ticket(&ticket).ticket(&other), "invalid_ticket"),
                (call().ticket(&ticket).header("WEIXINAUTH", &other), "invalid_ticket"),
                (call().ticket(&format!("{ticket}, {ticket}")), "invalid_ticket"),
                (call().ticket(&ticket).header("Authorization", bearer(&other)), "invalid_ticket"),
                (call().header("Authorization", "Basic YTpi"), "invalid_ticket"),
                (call().header("X-Auth-Openid", "o-alice").header("X-Forwarded-Uri", "/healthz"), "invalid_ticket"),
                (call().header("Cookie", format!("weixinauth={ticket}")), "invalid_ticket"),
                (call().ticket(&cut_off), "ticket_revoked"),
            ] {
                is_refused(&gateway.call(call).await, &service, 401, error, method != "HEAD");
            }
        }
        // nginx has an answer of its own to two of these, with whatever in them.
        let bearer = bearer(&ticket);
        let twice = Call::get("/").header("Authorization", &bearer).header("authorization", &bearer);
        let answer = gateway.call(twice).await;
        if answer.status == 400 {
            assert!(
                matches!(kind, Kind::Nginx | Kind::NginxWithHeadersMore) && service.take().is_empty(),
                "{answer:?}"
            );
        } else {
            is_refused(&answer, &service, 401, "invalid_ticket", true);
        }
        // With a body, which nobody reads, or waits for.
        let body = Call::post("/orders").ticket("garbage");
        is_refused(&gateway.call(body.clone().json(&json!({ "a": 1 }))).await, &service, 401, "invalid_ticket", true);
        let expecting = body.clone().header("Expect", "100-continue").body("text/plain", "abc");
        is_refused(&gateway.call(expecting).await, &service, 401, "invalid_ticket", true);
        let chunked = body.header("Transfer-Encoding", "chunked").body("", "3\r\nabc\r\n0\r\n\r\n");
        is_refused(&gateway.call(chunked).await, &service, 401, "invalid_ticket", true);

        let let_in = gateway.call(Call::get("/").ticket(&ticket)).await;
        assert_eq!((let_in.status, service.take().len()), (200, 1));
        server.clock.advance(8000);
        is_refused(&gateway.call(Call::get("/").ticket(&ticket)).await, &service, 401, "ticket_expired", true);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_another_app_is_403() {
    everywhere(|kind| async move {
        let (server, service) = (TestServer::builder().two_apps().start().await, Service::start().await);
        let setup = Setup::new(kind, server.address, service.address);
        let gateway = Setup { appid: Some(OTHER_APPID), ..setup.clone() }.start().await;
        let (foreign, own) = (server.ticket_at(APPID, "alice").await, server.ticket_at(OTHER_APPID, "alice").await);
        is_refused(&gateway.call(Call::get("/").ticket(&foreign)).await, &service, 403, "wrong_app", true);
        is_refused(&gateway.call(Call::post("/").ticket(&foreign)).await, &service, 403, "wrong_app", true);
        is_refused(&gateway.call(Call::get("/").ticket("x")).await, &service, 401, "invalid_ticket", true);
        assert_eq!(gateway.call(Call::get("/").ticket(&own)).await.status, 200);
        assert_eq!(service.one().all("x-auth-appid"), [OTHER_APPID]);
        let without_app = setup.start().await;
        is_refused(&without_app.call(Call::get("/").ticket(&own)).await, &service, 403, "app_required", true);
    })
    .await;
}

async fn lets_nobody_in(gateway: &Gateway, service: &Service) -> u16 {
    let posted = Call::post("/").ticket("good").json(&json!({ "a": 1 }));
    let (answer, posted) = tokio::join!(gateway.call(Call::get("/").ticket("good")), gateway.call(posted));
    assert!(service.take().is_empty(), "{answer:?} {posted:?}");
    assert_eq!(posted.status, answer.status, "{posted:?}");
    answer.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_down_or_hangs_or_breaks_off_is_5xx() {
    let hanging = Check::answering("").await.address;
    let half = "HTTP/1.1 200 OK\r\nX-Auth-Openid: o-al";
    let half_and_hanging = Check::answering(half).await.address;
    let cut = Check::breaking_off_after(half).await.address;
    let garbage = Check::answering("220 mail.example.com ESMTP\r\n").await.address;
    let checks = [NOBODY, hanging, half_and_hanging, cut, garbage].map(|check| {
        everywhere(move |kind| async move {
            // It waits for 30 seconds, and nobody can change that.
            if kind == Kind::Traefik && [hanging, half_and_hanging].contains(&check) {
                return;
            }
            let service = Service::start().await;
            let gateway = Setup::new(kind, check, service.address).start().await;
            let status = lets_nobody_in(&gateway, &service).await;
            assert!((500..600).contains(&status), "{status}");
        })
    });
    join_all(checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_server_never_gives_lets_nobody_in() {
    let statuses = ["500 Oops", "302 Found", "404 Not Found", "429 Slow", "503 Busy"].map(|status| async move {
        let answer = format!("HTTP/1.1 {status}\r\nX-Auth-Openid: o-alice\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        let check = Check::answering(&answer).await.address;
        everywhere(move |kind| async move {
            let service = Service::start().await;
            let gateway = Setup::new(kind, check, service.address).start().await;
            assert!(lets_nobody_in(&gateway, &service).await >= 300);
        })
        .await;
    });
    join_all(statuses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_lets_nobody_in() {
    let (check, service) = (Check::passing(&[("X-Auth-Openid", "o-alice")]).await, Service::start().await);
    let mut setup = Setup::new(Kind::Haproxy, check.address, service.address);
    assert_eq!(setup.start().await.call(Call::get("/").ticket("good")).await.status, 200);
    service.one();
    setup.script_changes = &[("core.httpclient()", "core.no_such_client()")];
    assert_eq!(lets_nobody_in(&setup.start().await, &service).await, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_is_5xx() {
    everywhere(|kind| async move {
        let server = TestServer::start().await;
        let gateway = Setup::new(kind, server.address, NOBODY).start().await;
        let ticket = server.ticket_for("alice").await;
        let answer = gateway.call(Call::get("/").ticket(&ticket)).await;
        assert!((500..600).contains(&answer.status), "{answer:?}");
        assert_eq!(gateway.call(Call::get("/").ticket("x")).await.status, 401);
    })
    .await;
}
