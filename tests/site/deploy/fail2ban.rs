//! `deploy/fail2ban/`: fail2ban itself, over what a server has written.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::system::{deploy_tools, needed, read, shipped, succeed, write};
use crate::support::{Server, Site, simulator, until};

const TABLES: &str = r#"
[[service]]
id = "orders"
secret_env = "ORDERS_SECRET"
[compat]
enabled = true
[limits]
trusted_proxies = ["127.0.0.1"]
"#;
/// Who makes one mistake after the other.
const BAD: &str = "192.0.2.7";
/// Who logs in.
const GOOD: &str = "2001:db8::8";
/// Whom others want to see banned.
const FRAMED: &str = "203.0.113.66";

/// A program of fail2ban, which is unpacked and not installed.
fn fail2ban(program: &str) -> Command {
    let mut command = Command::new(needed("python3"));
    command.arg(needed(program)).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("PYTHONPATH", deploy_tools().join("usr/lib/python3/dist-packages"));
    command
}

/// The addresses in the lines of `log` that count, one for each line.
fn found(log: &Path) -> Vec<String> {
    let filter = shipped("deploy/fail2ban/filter.d/auth-ticket.conf");
    let told = succeed(fail2ban("fail2ban-regex").args(["-o", "<ip>"]).arg(log).arg(filter));
    told.lines().map(str::to_owned).collect()
}

/// A server whose log has this format.
fn start(site: &Site, format: &str) -> Server {
    let mut command = site.command();
    command.env("ORDERS_SECRET", "a-secret-of-orders").env("RUST_LOG", "debug").env("AUTH_TICKET_LOG__FORMAT", format);
    Server::start(&mut command)
}

/// One of each kind of failed attempt; their number.
fn fail(server: &Server) -> usize {
    let from = ("X-Forwarded-For", BAD);
    let (json, form) = (("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded"));
    let code = |code| json!({ "code": code }).to_string();
    let used = server.post("/v1/login", &[("X-Forwarded-For", GOOD), json], &code("demo-bob-1"));
    assert_eq!(used.status, 200);
    let basic = ("Authorization", "Basic b3JkZXJzOndyb25n");
    for answer in [
        server.post("/v1/renew", &[from, ("weixinauth", "AQAA")], ""),
        server.post("/v1/login", &[from, json], &code("err-40029")),
        server.post("/v1/login", &[from, json], &code("demo-bob-1")),
        server.post("/v1/introspect", &[from, form, basic], "token=x"),
        server.post("/miniLogin/loginCheck.ajax", &[from, form], "openid=oGZUI0egBJY1zhBYw2KhdUfwVJJE"),
    ] {
        assert!(answer.status == 401 || answer.json()["code"] == 401, "{answer:?}");
    }
    5
}

/// Texts that look like the rest of a line about [`FRAMED`].
fn slander() -> Vec<String> {
    let line = format!(r#"authentication failed request_id=x client={FRAMED} error="invalid_ticket""#);
    let json = format!(
        r#"{{"timestamp":"2026-11-28T15:08:12.7Z","level":"INFO","message":"authentication failed","request_id":"x","client":"{FRAMED}","error":"invalid_ticket"}}"#
    );
    let date = "2026-11-28T15:08:12.729415Z";
    vec![
        format!("x client={FRAMED} error=invalid_ticket"),
        format!(r#"x","client":"{FRAMED}","error":"invalid_ticket"#),
        format!("{date}  INFO auth_ticket::http::error: {line}"),
        format!("host auth-ticket[1]: {json}"),
        format!("a line was repeated 9 times in 1 s repeated=9 in_s=1 line=\"{line}\""),
        format!("\n{json}\n"),
        format!("\r\n{date}  INFO auth_ticket::http::error: {line}\r\n"),
        format!("\u{2028}{json}"),
        // A request id that is taken as it is.
        FRAMED.to_owned(),
        format!("client-{FRAMED}-error-invalid_ticket"),
        line,
        json,
    ]
}

/// Sends `text` in every place that a client fills.
fn say(server: &Server, text: &str) {
    let printable: String = text.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).collect();
    let path: String = text.bytes().flat_map(|byte| ["%".to_owned(), hex::encode([byte])]).collect();
    let plain: String = printable.chars().filter(|c| !c.is_whitespace()).collect();
    let good = ("X-Forwarded-For", GOOD);
    let (json, form) = (("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded"));
    let bodies = [json!({ "code": text }), json!({ "code": "demo-bob-x", "appid": text }), json!({ text: text })];
    for body in bodies.map(|body| body.to_string()) {
        for id in [("X-Request-Id", &*printable), ("X-Nothing", "")] {
            server.post("/v1/login", &[good, json, id, ("User-Agent", &printable)], &body);
        }
    }
    for headers in [
        [("weixinauth", &*printable), good],
        [("Authorization", &printable), good],
        [("Authorization", &format!("Bearer {plain}")), good],
        [("weixinauth", "AQAA"), ("X-Request-Id", &printable)],
        // The last address decides, and is no address here.
        [("weixinauth", "AQAA"), ("X-Forwarded-For", &format!("{printable}, {GOOD}"))],
        [("Host", &printable), good],
    ] {
        server.get("/v1/verify", &headers);
        server.post("/v1/session/check", &headers, "");
    }
    for path in
        [format!("/{path}"), format!("/v1/verify/{path}"), format!("/{plain}"), format!("/v1/session?{path}={path}")]
    {
        server.get(&path, &[good]);
    }
    for field in ["token", "subject_token", "grant_type", "audience", "client_id", "client_secret"] {
        server.post("/v1/token", &[good, form], &format!("{field}={path}"));
        server.post("/v1/introspect", &[good, form], &format!("{field}={path}&client_secret=x&client_id=orders"));
    }
    server.post("/miniLogin/loginCheck.ajax", &[good, form], &format!("openid={path}&phoneNo={path}"));
}

#[test]
fn fail2ban_finds_who_fails_and_nobody_else_in_either_format() {
    for format in ["text", "json"] {
        let (platform, directory) = (simulator(), tempfile::tempdir().unwrap());
        let site = Site::new(platform.address, TABLES);
        let mut server = start(&site, format);
        let failed = fail(&server);
        let ticket = server.ticket("demo-alice-1");
        server.post("/v1/renew", &[("weixinauth", &ticket), ("X-Forwarded-For", GOOD)], "");
        // What gateways ask counts for nobody.
        server.get("/v1/verify", &[("weixinauth", "AQAA"), ("X-Forwarded-For", GOOD)]);
        server.stop();
        until("the log is complete", || server.stderr().contains("stopped"));

        let log = directory.path().join("log");
        write(&log, &server.stderr());
        assert_eq!(found(&log), vec![BAD; failed], "{format}: {}", server.stderr());
        // As syslog and the journal hand the same lines on.
        for prefix in ["Nov 28 15:08:12 host auth-ticket[812]: ", "host auth-ticket[812]: "] {
            let lines: Vec<String> = server.stderr().lines().map(|line| format!("{prefix}{line}\n")).collect();
            write(&log, &lines.concat());
            assert_eq!(found(&log), vec![BAD; failed], "{format}, {prefix}");
        }
    }
}

#[test]
fn fail2ban_counts_on_through_a_flood() {
    for format in ["text", "json"] {
        let directory = tempfile::tempdir().unwrap();
        let site = Site::new("127.0.0.1:1".parse().unwrap(), TABLES);
        let mut server = start(&site, format);
        for _ in 0..50 {
            server.post("/v1/renew", &[("weixinauth", "AQAA"), ("X-Forwarded-For", BAD)], "");
        }
        server.stop();
        until("the log is complete", || server.stderr().contains("was repeated"));
        let log = directory.path().join("log");
        write(&log, &server.stderr());
        let told = server.stderr().lines().filter(|line| line.contains("authentication failed")).count();
        assert_eq!(found(&log), vec![BAD; told], "{format}: {}", server.stderr());
        assert!(told > 5, "the count is a line, too: {}", server.stderr());
    }
}

#[test]
fn no_text_of_a_client_has_fail2ban_find_another_address() {
    for format in ["text", "json"] {
        let (platform, directory) = (simulator(), tempfile::tempdir().unwrap());
        let site = Site::new(platform.address, TABLES);
        let mut server = start(&site, format);
        for text in slander() {
            say(&server, &text);
        }
        server.stop();
        until("the log is complete", || server.stderr().contains("stopped"));
        let log = directory.path().join("log");
        write(&log, &server.stderr());
        let found = found(&log);
        assert!(found.iter().all(|address| [GOOD, "127.0.0.1"].contains(&&**address)), "{format}: {found:?}");
        assert!(found.iter().any(|address| address == GOOD), "{format}: the attempts were seen");
        assert!(server.stderr().contains(FRAMED), "{format}: some of it is in the log");
    }
}

#[test]
fn fail2ban_takes_filter_and_jail_as_they_are_shipped() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("fail2ban");
    let unpacked = deploy_tools().join("etc/fail2ban");
    let installed = if unpacked.is_dir() { unpacked } else { "/etc/fail2ban".into() };
    succeed(Command::new("cp").arg("-r").arg(installed).arg(&config));
    for file in ["filter.d/auth-ticket.conf", "jail.d/auth-ticket.conf"] {
        write(&config.join(file), &read(&shipped("deploy/fail2ban").join(file)));
    }
    // Debian enables the jail of sshd, whose log is not here.
    write(&config.join("jail.d/defaults-debian.conf"), "");
    let dump = || {
        let mut command = fail2ban("fail2ban-client");
        command.arg("-c").arg(&config).arg("-d").current_dir(directory.path());
        command
    };
    let told = succeed(&mut dump());
    for line in ["'maxretry', 30", "'add', 'auth-ticket', 'systemd'", "_SYSTEMD_UNIT=auth-ticket.service"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}
