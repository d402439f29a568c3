//! What operators count: each way a ticket can end and each route of checks has a number of its own.

use std::collections::BTreeMap;

use auth_ticket::keyring::Purpose;
use serde_json::json;

use crate::support::{APPID, Call, OTHER_APPID, Plan, START, TestKey, TestServer, seal, session};

/// The samples of one family whose labels begin with `labels`, by what follows there.
async fn samples(server: &TestServer, family: &str, labels: &str) -> BTreeMap<String, u64> {
    let start = format!("{family}{{{labels}");
    let of_line = |line: &str| {
        let (rest, value) = line.strip_prefix(&start)?.split_once("\"} ")?;
        Some((rest.to_owned(), value.parse().unwrap()))
    };
    server.metrics().await.lines().filter_map(of_line).collect()
}

#[tokio::test]
async fn each_way_a_ticket_can_end_is_counted_by_key() {
    let mut plan = Plan { keys: vec![TestKey::new(1, START.minus(90_000))], ..Plan::one_key() };
    let server = TestServer::builder().plan(plan.clone()).start().await;
    let (alice, hour_s) = (session("o-alice", START.minus(80_000)), 3600);
    let at = |now| seal(&plan, APPID, &alice, Purpose::Ticket, now);
    let good = at(START);
    let forged = format!("{}{}", &good[..good.len() - 4], if good.ends_with("AAAA") { "BBBB" } else { "AAAA" });
    let (expired, early) = (at(START.minus(3 * hour_s)), at(START.plus(hour_s)));
    let of_nobody = seal(&plan, "wxSomeOtherApp", &alice, Purpose::Ticket, START);
    for (ticket, times) in [(&good, 1), (&expired, 2), (&early, 3), (&forged, 4), (&of_nobody, 5)] {
        for _ in 0..times {
            server.verify(ticket).await;
        }
    }
    server.cut_off(json!({ "scope": "login", "login_id": "00112233445566aa" }));
    for _ in 0..6 {
        server.verify(&good).await.is_error("ticket_revoked");
    }
    plan.keys.push(TestKey::new(2, START.minus(hour_s)));
    let kid = plan.keys[0].kid();
    server.change_ring(|now| {
        now.keys.clone_from(&plan.keys);
        now.revoked.push(1);
    });
    for _ in 0..7 {
        server.verify(&good).await.is_error("invalid_ticket");
    }

    let counted = samples(&server, "auth_ticket_tickets_opened_total", &format!("kid=\"{kid}\",outcome=\"")).await;
    let expected = [
        ("ok", 1),
        ("expired", 2),
        ("from_the_future", 3),
        ("unauthentic", 4),
        ("unknown_app", 5),
        ("cut_off", 6),
        ("dead_key", 7),
    ];
    assert_eq!(counted, expected.map(|(outcome, times)| (outcome.to_owned(), times)).into());
}

#[tokio::test]
async fn each_route_of_checks_is_counted_by_status() {
    let server = TestServer::builder().two_apps().any_app().start().await;
    let ticket = server.ticket_for("alice").await;
    let routes = [
        ("/v1/verify", "/v1/verify".to_owned()),
        ("/v1/verify/{appid}", format!("/v1/verify/{APPID}")),
        ("/v1/ext-authz", "/v1/ext-authz".to_owned()),
        ("/v1/ext-authz/{path}", "/v1/ext-authz/orders/7".to_owned()),
        ("/v1/ext-authz-app/{appid}/{path}", format!("/v1/ext-authz-app/{APPID}/orders/7")),
    ];
    let mut expected = BTreeMap::new();
    for (times, (route, path)) in (1..).zip(&routes) {
        for _ in 0..times {
            server.raw(Call::get(path).ticket(&ticket)).await.is_ok();
        }
        server.raw(Call::get(path)).await.is_error("invalid_ticket");
        expected.insert(format!("{route}\",status=\"200"), times);
        expected.insert(format!("{route}\",status=\"401"), 1);
    }
    for path in [format!("/v1/verify/{OTHER_APPID}"), "/v1/verify/a/b".to_owned()] {
        server.raw(Call::get(&path).ticket(&ticket)).await.is_error("wrong_app");
    }
    expected.insert("/v1/verify/{appid}\",status=\"403".to_owned(), 1);
    expected.insert("none\",status=\"403".to_owned(), 1);

    let mut counted = samples(&server, "auth_ticket_http_requests_total", "route=\"").await;
    counted.retain(|label, times| *times > 0 && !label.starts_with("/v1/login"));
    assert_eq!(counted, expected);
}
