//! Dashboard and alerts speak of numbers that a server exports, and every alert says where its section is.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_ticket::hook::{Hook, HookOptions};

use crate::support::system::{read, shipped, start, succeed, url};
use crate::support::{Call, TestServer, bare};

const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");
const ALERT_TESTS: &str = include_str!("../../../deploy/prometheus/alerts.test.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/dashboard.json");

/// Everything of the form `auth_ticket_...`.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("auth_ticket_"))
        .collect()
}

/// The labels of every `name{...}` in an expression, by name.
fn label_names(selector: &str) -> Vec<&str> {
    selector.split(',').filter_map(|matcher| Some(matcher.split_at(matcher.find(['=', '!'])?).0.trim())).collect()
}

/// The exported series, after everything has happened once that has a counter of its own.
async fn exported() -> String {
    // It is killed and clears nothing away.
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = bare(&[]);
    demo.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", temporary.path());
    let (_demo, lines) = start(&mut demo, 16);
    let (clients, operators) = (url(&lines[0]), url(lines[1].split("operators on").nth(1).unwrap()));
    let client = reqwest::Client::new();
    let login = async |code: &str| {
        let request = client.post(format!("{clients}/v1/login")).header("Content-Type", "application/json");
        let answer = request.body(format!(r#"{{"code":"{code}"}}"#)).send().await.unwrap();
        answer.text().await.unwrap()
    };
    login("err-40029").await;
    login("garbage").await;
    let answer = login("demo-alice-1").await;
    let ticket = answer.split('"').nth(3).unwrap();
    client.get(format!("{clients}/v1/verify")).header("weixinauth", ticket).send().await.unwrap();

    let keys =
        lines.iter().find_map(|line| Some(line.split_once("--keys ")?.1)).expect("the demo tells where its keys are");
    succeed(bare(&[]).args(["keys", "rotate", "--keys", keys]));
    loop {
        let text = client.get(format!("{operators}/metrics")).send().await.unwrap().text().await.unwrap();
        if text.contains("auth_ticket_ring_reloads_total") {
            return text + &of_the_owners_service().await + &of_signatures().await + &of_a_paused_platform().await;
        }
        // The demo looks at its keys every second.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The demo asks no owner, so another server does, who finds nobody there.
async fn of_the_owners_service() -> String {
    let nobody = "http://127.0.0.1:1/".parse().unwrap();
    let options =
        HookOptions { url: nobody, audience: "users".to_owned(), timeout: Duration::from_secs(20), max_concurrent: 1 };
    let server = TestServer::builder().claims(Hook::new(options).unwrap()).start().await;
    server.call(Call::login(&server.code_for("alice"))).await.is_error("upstream_busy");
    server.metrics().await
}

/// A platform that does not answer ten times in a row is left alone.
async fn of_a_paused_platform() -> String {
    let server = TestServer::builder().upstream_timeout(Duration::from_millis(50)).start().await;
    for _ in 0..10 {
        server.call(Call::login("hang")).await.is_error("upstream_timeout");
    }
    server.metrics().await
}

async fn of_signatures() -> String {
    let server = TestServer::builder().service("payments", "payments-secret-0123456789").may_sign().start().await;
    let body = serde_json::json!({ "ticket": server.ticket_for("alice").await, "data": "{\"a\":1}" });
    let basic = "Basic cGF5bWVudHM6cGF5bWVudHMtc2VjcmV0LTAxMjM0NTY3ODk=";
    server.call(Call::post("/v1/signature").header("authorization", basic).json(&body)).await.is_ok();
    server.metrics().await
}

#[tokio::test]
async fn every_metric_of_dashboard_and_alerts_is_exported() {
    let exported = exported().await;
    let series: BTreeSet<&str> = exported
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for (file, text) in [("alerts.yml", ALERTS), ("alerts.test.yml", ALERT_TESTS), ("dashboard.json", DASHBOARD)] {
        let used = metrics_in(text);
        assert!(used.len() > 10, "{file}: the metrics were not found");
        for metric in used {
            assert!(series.contains(metric), "{file} uses {metric}, which the server does not export");
        }
    }
    for metric in &series {
        let metric = metric.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
        assert!(DASHBOARD.contains(metric), "the dashboard shows nothing of {metric}");
    }
}

#[tokio::test]
async fn every_label_that_an_expression_selects_by_is_exported() {
    let exported = exported().await;
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let expressions = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| {
        panel["targets"].as_array().into_iter().flatten().map(|target| target["expr"].as_str().unwrap().to_owned())
    });
    let mut checked = 0;
    for text in expressions.chain([ALERTS.to_owned()]) {
        for (at, metric) in text.match_indices("auth_ticket_") {
            let rest = &text[at..];
            let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(metric);
            let Some(selector) = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next()) else {
                continue;
            };
            let line = exported.lines().find(|line| line.starts_with(&format!("{name}{{")));
            for label in label_names(selector).into_iter().filter(|label| !["job", "instance"].contains(label)) {
                let there = line.is_some_and(|line| line.contains(&format!("{label}=\"")));
                assert!(there, "{name} has no label {label}: {line:?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "only {checked} labels were found");
}

#[test]
fn every_alert_names_its_section_of_the_manual_and_has_a_test() {
    let manual = read(&shipped("docs/OPERATING.md"));
    let sections: BTreeSet<String> = manual
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .collect();
    let mut alerts: Vec<(&str, &str)> = Vec::new();
    for line in ALERTS.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push((name, ""));
        } else if let Some(runbook) = line.strip_prefix("runbook: ") {
            alerts.last_mut().unwrap().1 = runbook;
        }
    }
    assert!(alerts.len() > 10);
    for (name, runbook) in alerts {
        let section = runbook.strip_prefix("docs/OPERATING.md#").unwrap_or_else(|| panic!("{name} has no runbook"));
        assert!(sections.contains(section), "{name}: docs/OPERATING.md has no section {section}");
        assert!(ALERT_TESTS.contains(&format!("alertname: {name}\n")), "nothing shows that {name} fires");
        assert!(ALERT_TESTS.contains(&format!("alertname: {name}, exp_alerts: []")), "{name} may fire on nothing");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_lay_out() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have the id {}", panel["id"]);
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{} is too wide", panel["title"]);
        if panel["type"] != "row" {
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{} shows nothing", panel["title"]);
        }
    }
}
