//! One service that several apps' owners share: what goes wrong for one of them costs the others nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::hook_at;
use super::owner::{Owner, Question, Reply};
use crate::support::{APPID, Answer, Call, OTHER_APPID, TestServer};

async fn login(server: &TestServer, appid: &str, name: &str) -> Answer {
    let body = json!({ "code": server.code_for(name), "appid": appid });
    server.call(Call::post("/v1/login").json(&body)).await
}

fn is_of_first(question: &Question) -> bool {
    question.claims()["appid"] == APPID
}

#[tokio::test]
async fn a_service_that_fails_for_one_app_is_asked_for_the_others() {
    let answer = |question: &Question| {
        if is_of_first(question) {
            Reply::Http("503 Service Unavailable", String::new())
        } else {
            Reply::claims("uid=1")
        }
    };
    let owner = Owner::start(answer).await;
    let server =
        TestServer::builder().two_apps().claims(hook_at(&owner.url(), Duration::from_secs(5), 8)).start().await;
    for _ in 0..10 {
        assert_eq!(login(&server, APPID, "alice").await.status, 503);
    }
    let asked = owner.asked().iter().filter(|question| is_of_first(question)).count();
    assert_eq!(asked, 5, "its circuit breaker has opened");
    for _ in 0..10 {
        let ticket = login(&server, OTHER_APPID, "bob").await.ticket();
        server.call(Call::post("/v1/renew").ticket(&ticket)).await.is_ok();
    }
}

#[tokio::test]
async fn a_service_that_is_slow_for_one_app_has_permits_for_the_others() {
    let allowed = Arc::new(Notify::new());
    let waits_for = Arc::clone(&allowed);
    let owner = Owner::start(move |question: &Question| {
        if is_of_first(question) {
            Reply::After(Arc::clone(&waits_for), r#"{"claims":"uid=2"}"#)
        } else {
            Reply::claims("uid=1")
        }
    });
    let owner = owner.await;
    let server =
        TestServer::builder().two_apps().claims(hook_at(&owner.url(), Duration::from_secs(4), 2)).start().await;
    // Two questions of the first app are out, and so is every permit that it has.
    let waiting = async { tokio::join!(login(&server, APPID, "a"), login(&server, APPID, "b")) };
    let others = async {
        owner.reached(2).await;
        for _ in 0..5 {
            let ticket = login(&server, OTHER_APPID, "bob").await.ticket();
            server.call(Call::post("/v1/renew").ticket(&ticket)).await.is_ok();
        }
        assert_eq!(owner.asked().iter().filter(|question| is_of_first(question)).count(), 2);
        allowed.notify_waiters();
    };
    let ((first, second), ()) = tokio::join!(waiting, others);
    first.is_ok();
    second.is_ok();
}
