//! Whose request it was: the address in log lines, and the names by which operators call.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use regex::Regex;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Server, Site, call, simulator, until};

const SERVICE: &str = "\n[[service]]\nid = \"orders\"\nsecret_env = \"ORDERS_SECRET\"\n";

/// A server that logs JSON at `level`, with an address for operators.
fn start(site: &Site, level: &str) -> (Server, SocketAddr) {
    let mut command = site.command();
    command.env("RUST_LOG", level).env("ORDERS_SECRET", "a-secret-of-orders").args(["--admin-listen", "127.0.0.1:0"]);
    let server = Server::start(&mut command);
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    let admin = server.admin();
    (server, admin)
}

/// The lines of the log with this request's id, once there is one.
fn line(server: &Server, request_id: &str) -> Value {
    let mut found = Value::Null;
    until("the request is logged", || {
        let log = server.stderr();
        let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        let of_request = |line: &Value| line["request_id"] == request_id && line["message"] != "answered";
        found = lines.find(of_request).unwrap_or_default();
        !found.is_null()
    });
    found
}

const FORWARDED: &str = "6.6.6.6, 192.0.2.7";

/// Each kind of failed attempt, and a login, as a proxy sends them on: name of the request, message, level, error.
fn attempts(server: &Server) -> Vec<(&'static str, &'static str, Value)> {
    let post = |id, path, content_type: &str, more: (&str, &str), body: &str| {
        let headers = [("X-Forwarded-For", FORWARDED), ("X-Request-Id", id), ("Content-Type", content_type), more];
        server.post(path, &headers, body).status
    };
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let nothing = ("X-Nothing", "");
    let code = |code| json!({ "code": code }).to_string();
    assert_eq!(post("bad-ticket", "/v1/renew", json, ("weixinauth", "AQAA"), ""), 401);
    assert_eq!(post("bad-code", "/v1/login", json, nothing, &code("err-40029")), 401);
    assert_eq!(post("login", "/v1/login", json, nothing, &code("demo-alice-1")), 200);
    assert_eq!(post("used-code", "/v1/login", json, nothing, &code("demo-alice-1")), 401);
    let basic = ("Authorization", "Basic b3JkZXJzOndyb25n");
    assert_eq!(post("bad-secret", "/v1/introspect", form, basic, "token=x"), 401);
    assert_eq!(
        post("bare-openid", "/miniLogin/loginCheck.ajax", form, nothing, "openid=oGZUI0egBJY1zhBYw2KhdUfwVJJE"),
        200
    );
    let failed = "authentication failed";
    vec![
        ("bad-ticket", failed, json!("invalid_ticket")),
        ("bad-code", failed, json!("invalid_code")),
        ("used-code", failed, json!("code_used")),
        ("bad-secret", failed, json!("invalid_client")),
        ("bare-openid", failed, json!("invalid_ticket")),
        ("login", "logged in", Value::Null),
    ]
}

#[test]
fn logins_and_failed_attempts_are_logged_with_the_address_that_can_be_trusted() {
    let tables = |more: &str| format!("{SERVICE}[compat]\nenabled = true\n[log]\nformat = \"json\"\n{more}");
    let pattern = Regex::new(r#""message":"authentication failed".*"client":"(?P<host>[0-9a-f.:]+)""#).unwrap();
    for (more, client) in [("", "127.0.0.1"), ("[limits]\ntrusted_proxies = [\"127.0.0.1\"]\n", "192.0.2.7")] {
        let platform = simulator();
        let site = Site::new(platform.address, &tables(more));
        let (server, _) = start(&site, "info");
        for (request_id, message, error) in attempts(&server) {
            let line = line(&server, request_id);
            assert_eq!((&line["message"], &line["level"]), (&json!(message), &json!("INFO")), "{line}");
            assert_eq!((&line["client"], &line["error"]), (&json!(client), &error), "{line}");
        }
        // What deploy/fail2ban looks for, in short.
        let found: Vec<String> =
            server.stderr().lines().filter_map(|line| Some(pattern.captures(line)?["host"].to_owned())).collect();
        assert_eq!(found, vec![client; 5]);
        assert!(!server.stderr().contains("oGZUI0egBJY1zhBYw2KhdUfwVJJE"), "{}", server.stderr());
    }
}

#[test]
fn refused_checks_have_the_address_where_they_are_logged_and_are_not_logged_at_info() {
    let site = Site::new(
        "127.0.0.1:1".parse().unwrap(),
        "[log]\nformat = \"json\"\n[limits]\ntrusted_proxies = [\"127.0.0.1\"]\n",
    );
    let (server, admin) = start(&site, "info");
    let check = |id: &str| {
        let headers = [("weixinauth", "AQAA"), ("X-Forwarded-For", FORWARDED), ("X-Request-Id", id)];
        assert_eq!(server.get("/v1/verify", &headers).status, 401);
    };
    check("at-info");
    assert_eq!(call(admin, "PUT", "/log", &[("Content-Length", "5")], "debug").status, 200);
    check("at-debug");
    let told = line(&server, "at-debug");
    assert_eq!((&told["level"], &told["client"]), (&json!("DEBUG"), &json!("192.0.2.7")), "{told}");
    assert!(!server.stderr().contains("at-info"), "{}", server.stderr());
}

#[test]
fn a_flood_of_failed_attempts_is_a_few_lines_and_hides_no_other_address() {
    let tables = "[log]\nformat = \"json\"\n[limits]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let site = Site::new("127.0.0.1:1".parse().unwrap(), tables);
    let (mut server, _) = start(&site, "info");
    let attempt = |client: &str| {
        assert_eq!(server.post("/v1/renew", &[("weixinauth", "AQAA"), ("X-Forwarded-For", client)], "").status, 401);
    };
    for _ in 0..300 {
        attempt("192.0.2.7");
    }
    attempt("192.0.2.8");
    server.stop();
    until("the log is complete", || server.stderr().contains("\"stopped\""));
    let log = server.stderr();
    let lines = log.lines().filter(|line| line.contains("authentication failed") && line.contains("192.0.2.7")).count();
    assert!((5..150).contains(&lines), "{lines} lines");
    assert!(log.contains("192.0.2.8"), "{log}");
    let repeated: u64 =
        log.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["repeated"].as_u64()).sum();
    let single = log.lines().filter(|line| line.contains("\"message\":\"authentication failed\"")).count() as u64;
    assert_eq!(single + repeated, 301, "{log}");
}

/// The status of `GET /keys` with these header lines.
fn keys(admin: SocketAddr, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(format!("GET /keys HTTP/1.1\r\n{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn operators_call_by_address_or_by_a_configured_name() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "[log]\nformat = \"json\"\n");
    let mut command = site.command();
    command.args(["--admin-listen", "127.0.0.1:0"]).env("AUTH_TICKET_ADMIN_HOSTS", "Ops.example.com");
    let server = Server::start(&mut command);
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    let admin = server.admin();
    for host in
        [&*admin.to_string(), "127.0.0.1", "localhost:1234", "[::1]:80", "ops.example.com", "OPS.EXAMPLE.COM:9090"]
    {
        assert_eq!(keys(admin, &format!("Host: {host}\r\n")).0, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:9090", "127.0.0.1.evil.example", "ops.example.com.evil.example"] {
        let (status, answer) = keys(admin, &format!("Host: {host}\r\n"));
        assert_eq!(status, 403, "{host}");
        assert!(answer.contains("\"error\":\"host_not_allowed\"") && !answer.contains("fingerprint"), "{answer}");
    }
    // Old scrapers, and HTTP/1.0 probes.
    assert_eq!(call(admin, "GET", "/keys", &[], "").status, 200);
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Another page's name does not change the log either, and is told of.
    let body = "Host: evil.example\r\nContent-Length: 3\r\n";
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(format!("PUT /log HTTP/1.1\r\n{body}Connection: close\r\n\r\noff").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    until("the refusal is logged", || server.stderr().contains("host_not_allowed"));
    // Clients reach theirs by any name.
    assert_eq!(server.get("/healthz", &[("X-Forwarded-Host", "evil.example")]).status, 200);
}

#[test]
fn whoever_changes_the_log_is_in_it() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "[log]\nformat = \"json\"\n");
    let (server, admin) = start(&site, "info");
    for directives in ["error", "off", "debug"] {
        let len = directives.len().to_string();
        assert_eq!(call(admin, "PUT", "/log", &[("Content-Length", &len)], directives).status, 200);
    }
    let told = |directives: &str| {
        let log = server.stderr();
        let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.any(|line| line["directives"] == directives && line["client"] == "127.0.0.1")
    };
    until("each change is logged", || ["error", "off", "debug"].into_iter().all(told));
    let spans = "auth_ticket[s{f=(a|b)*a}]=info";
    let len = spans.len().to_string();
    assert_eq!(call(admin, "PUT", "/log", &[("Content-Length", &len)], spans).status, 400);
    let long = format!("auth_ticket={}debug", " ".repeat(1024));
    let len = long.len().to_string();
    assert_eq!(call(admin, "PUT", "/log", &[("Content-Length", &len)], &long).status, 400);
}
