//! The demo's page and the routes that only the demo has, and the three replicas behind them.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::support::{Answer, Outcome, Server, Site, auth_ticket, call, demo, simulator, until};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const ACTIONS: [&str; 2] = ["/_demo/rotate", "/_demo/cutoff"];

fn started() -> (tempfile::TempDir, Server) {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&mut demo(directory.path()));
    until("it has said everything", || server.stdout().contains("weixin-web"));
    (directory, server)
}

fn replicas(server: &Server, headers: &[(&str, &str)]) -> Vec<Value> {
    server.get("/_demo/replicas", headers).json()["replicas"].as_array().unwrap().clone()
}

fn addresses(server: &Server) -> Vec<SocketAddr> {
    let url = |replica: &Value| replica["url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    replicas(server, &[]).iter().map(url).collect()
}

fn key_files(directory: &Path) -> usize {
    let keys = std::fs::read_dir(directory).unwrap().next().unwrap().unwrap().path();
    let is_key = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "key");
    std::fs::read_dir(keys)
        .unwrap()
        .filter(|entry| is_key(entry.as_ref().unwrap().file_name().to_str().unwrap()))
        .count()
}

fn log_in(address: SocketAddr, code: &str) -> String {
    let answer = call(address, "POST", "/v1/login", &[JSON], &format!(r#"{{"code":"{code}"}}"#)).json();
    answer["ticket"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn status_at(address: SocketAddr, ticket: &str) -> u16 {
    call(address, "GET", "/v1/session", &[("weixinauth", ticket)], "").status
}

#[test]
fn three_replicas_take_each_others_tickets_and_the_welcome_names_them() {
    let (_directory, server) = started();
    let addresses = addresses(&server);
    assert_eq!(addresses.len(), 3);
    assert_eq!(addresses[0], server.address);
    let told = server.stdout();
    assert!(
        told.contains(&format!("replicas with the same keys on http://{} and http://{}\n", addresses[1], addresses[2])),
        "{told}"
    );
    for (number, address) in addresses.iter().enumerate() {
        let ticket = log_in(*address, &format!("demo-alice-{number}"));
        for other in &addresses {
            assert_eq!(status_at(*other, &ticket), 200, "of {address} at {other}");
        }
    }
    // Phone numbers, whose keys the simulated platform was told of once, at each of them, too.
    for (number, address) in addresses.iter().enumerate() {
        let body = format!(r#"{{"code":"demo-alice-tt{number}","appid":"tt0123456789abcdef01"}}"#);
        let ticket = call(*address, "POST", "/v1/login", &[JSON], &body).json()["ticket"].as_str().unwrap().to_owned();
        let body = format!(r#"{{"code":"phone-alice-{number}"}}"#);
        let answer = call(*address, "POST", "/v1/phone", &[JSON, ("weixinauth", &ticket)], &body);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for (number, address) in addresses.iter().enumerate() {
        let body = format!(r#"{{"code":"demo-alice-ali{number}","appid":"2021000000000001"}}"#);
        assert_eq!(call(*address, "POST", "/v1/login", &[JSON], &body).status, 200, "alipay at {number}");
    }
}

#[test]
fn a_rotation_reaches_all_replicas_and_old_tickets_go_on_working() {
    let (directory, server) = started();
    let addresses = addresses(&server);
    let old = log_in(addresses[0], "demo-alice-1");
    let answer = server.post("/_demo/rotate", &[JSON], "{}");
    assert_eq!(answer.status, 200, "{answer:?}");
    let kid = answer.json()["kid"].as_str().unwrap().to_owned();
    let again = server.post("/_demo/rotate", &[JSON], "{}");
    assert_eq!((again.status, &again.json()["error"]), (409, &"conflict".into()), "one waits already");
    assert_eq!(key_files(directory.path()), 2);
    let state = |replica: &Value| {
        let keys = replica["keys"]["keys"].as_array().unwrap();
        keys.iter().find(|key| key["kid"] == *kid).map(|key| key["state"].as_str().unwrap().to_owned())
    };
    until("all have the key", || replicas(&server, &[]).iter().all(|replica| state(replica).is_some()));
    until("all seal with it", || {
        replicas(&server, &[]).iter().all(|replica| state(replica).as_deref() == Some("active"))
    });
    let of_new_key = |ticket: &str| Outcome::of(&mut auth_ticket(&["ticket", "inspect", ticket])).done().contains(&kid);
    for (number, address) in addresses.iter().enumerate() {
        assert_eq!(status_at(*address, &old), 200);
        assert!(of_new_key(&log_in(*address, &format!("demo-bob-{number}"))));
    }
    assert!(!of_new_key(&old));
}

#[test]
fn a_cut_off_ends_this_login_on_all_replicas_and_no_other() {
    let (_directory, server) = started();
    let [alice, bob] = ["demo-alice-1", "demo-bob-1"].map(|code| log_in(server.address, code));
    let checks = |ticket: &str| {
        let status = |replica: &Value| replica["check"]["status"].as_u64().unwrap();
        replicas(&server, &[("weixinauth", ticket)]).iter().map(status).collect::<Vec<_>>()
    };
    assert_eq!(checks(&alice), [200; 3]);
    let without = server.post("/_demo/cutoff", &[JSON], "{}");
    assert_eq!((without.status, &without.json()["error"]), (401, &"invalid_ticket".into()), "only who holds a ticket");
    let answer = server.post("/_demo/cutoff", &[JSON, ("weixinauth", &alice)], "{}");
    assert_eq!(answer.status, 200, "{answer:?}");
    until("all refuse it", || checks(&alice) == [401; 3]);
    for address in addresses(&server) {
        let refused = call(address, "GET", "/v1/session", &[("weixinauth", &alice)], "");
        assert_eq!((refused.status, &refused.json()["error"]), (401, &"ticket_revoked".into()));
        assert_eq!(status_at(address, &bob), 200);
    }
    assert_eq!(checks(&bob), [200; 3]);
}

#[test]
fn the_page_is_handed_a_login_at_its_own_origin_only() {
    let (_directory, server) = started();
    let second = addresses(&server)[1];
    let ticket = log_in(server.address, "demo-alice-1");
    for host in [format!("127.0.0.1:{}", second.port()), format!("localhost:{}", second.port())] {
        let body = format!(r#"{{"origin":"http://{host}"}}"#);
        let answer = server.post("/v1/handover", &[JSON, ("weixinauth", &ticket)], &body).json();
        let body = format!(r#"{{"handover":{}}}"#, answer["handover"]);
        let redeem = |origin: &str| call(second, "POST", "/v1/handover/redeem", &[JSON, ("Origin", origin)], &body);
        assert_eq!(redeem(&format!("http://{host}")).status, 200, "{host}");
        assert_eq!(redeem(&format!("http://{}", server.address)).status, 400, "another page");
    }
}

/// What a page of another origin can send, and what a request of its own looks like.
#[test]
fn no_page_of_another_origin_reaches_what_changes_something() {
    let (directory, server) = started();
    let ticket = log_in(server.address, "demo-alice-1");
    let ticket = ("weixinauth", &*ticket);
    let own = format!("http://{}", server.address);
    let refused = |answer: &Answer| (answer.status, answer.json()["error"].as_str().unwrap().to_owned());
    for path in ACTIONS {
        for origin in
            ["http://evil.example", "null", "https://127.0.0.1", &own.replace("http", "https"), &format!("{own}0")]
        {
            let answer = server.post(path, &[JSON, ticket, ("Origin", origin)], "{}");
            assert_eq!(refused(&answer), (403, "origin_not_allowed".to_owned()), "{path} {origin}");
        }
        // Two of them, one of which is right.
        let answer = server.post(path, &[JSON, ticket, ("Origin", &own), ("Origin", "http://evil.example")], "{}");
        assert_eq!(answer.status, 403, "{path}");
        let answer = server.post(path, &[JSON, ticket, ("Host", "evil.example")], "{}");
        assert_eq!(refused(&answer), (403, "host_not_allowed".to_owned()), "{path}");
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/jsonp"]
        {
            let answer = server.post(path, &[("Content-Type", media_type), ticket], "{}");
            assert_eq!(refused(&answer), (415, "unsupported_media_type".to_owned()), "{path} {media_type}");
        }
        assert_eq!(server.post(path, &[ticket], "{}").status, 415, "{path} without a type");
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            let answer = call(server.address, method, path, &[JSON, ticket], "");
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None), "{method} {path}");
        }
    }
    assert_eq!(key_files(directory.path()), 1, "nothing was rotated");
    assert_eq!(status_at(server.address, ticket.1), 200, "nor cut off");
    // Nor can a page whose name was made to resolve to this machine read anything.
    for path in ["/", "/_demo/replicas", "/_demo/page.js"] {
        assert_eq!(call(server.address, "GET", path, &[("Host", "evil.example")], "").status, 403, "{path}");
    }
    let answer = server.post(
        "/_demo/cutoff",
        &[("content-type", "application/json; charset=utf-8"), ticket, ("Origin", &own)],
        "{}",
    );
    assert_eq!(answer.status, 200, "a request of the page: {answer:?}");
}

#[test]
fn the_page_runs_nothing_but_its_own_script_and_names_no_other_site() {
    let (_directory, server) = started();
    let addresses = addresses(&server);
    let policy = |answer: &Answer| answer.header("content-security-policy").unwrap_or_default().to_owned();
    for (address, path, framed_by) in
        [(addresses[0], "/", "'none'".to_owned()), (addresses[1], "/h5", format!("http://*:{}", addresses[0].port()))]
    {
        let page = call(address, "GET", path, &[], "");
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        let policy = policy(&page);
        for part in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", &format!("frame-ancestors {framed_by}")]
        {
            assert!(policy.contains(part), "{path}: {part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let html = page.body_text();
        assert!(!html.contains("://") && !html.contains(" style=") && !html.contains(" onclick="), "{path}");
        let mut parts = html.split('"').filter(|part| part.starts_with("/_demo/")).peekable();
        assert!(parts.peek().is_some());
        for part in parts {
            let answer = call(address, "GET", part, &[], "");
            assert_eq!((answer.status, answer.header("x-content-type-options")), (200, Some("nosniff")), "{part}");
        }
    }
}

#[test]
fn only_the_demo_has_the_page_and_its_routes() {
    let simulator = simulator();
    let site = Site::new(simulator.address, "");
    let serve = site.start();
    for path in ["/", "/h5", "/_demo/replicas", "/_demo/page.js", "/_demo/page.css", "/_demo/icon.svg", "/_demo/h5.js"]
    {
        assert_eq!(serve.get(path, &[]).status, 404, "{path}");
        // It answers whatever it does not know as a platform does.
        let answer = simulator.get(path, &[]);
        let is_page = answer.header("content-security-policy").is_some() || answer.body_text().contains("replicas");
        assert!(!is_page, "{path}: {answer:?}");
    }
    for path in ACTIONS {
        assert_eq!(serve.post(path, &[JSON], "{}").status, 404, "{path}");
        assert!(!simulator.post(path, &[JSON], "{}").body_text().contains("ticket"), "{path}");
    }
}
