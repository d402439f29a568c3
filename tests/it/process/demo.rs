//! `auth-ticket demo`: nothing to configure, nothing left behind.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use auth_ticket::clock::SystemClock;
use auth_ticket::platform::kind;
use auth_ticket::simulator::Simulator;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Outcome, Server, auth_ticket, call, demo, until};

#[track_caller]
fn is_empty(directory: &Path) {
    let left: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn a_name_that_a_shell_would_take_apart_is_not_among_what_to_type() {
    // The second is what npx starts.
    let npx = "/a/node_modules/@auth-ticket/linux-x64/bin/auth-ticket";
    for (called, typed) in
        [("./auth-ticket", "./auth-ticket"), (npx, npx), ("/a b/$(x)", "auth-ticket"), ("", "auth-ticket")]
    {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server::start(demo(directory.path()).arg0(called));
        until(called, || server.stdout().contains(&format!("\n{typed} keys rotate --now --keys /")));
        server.stop();
    }
}

#[test]
fn the_demo_serves_the_older_routes_too() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&mut demo(directory.path()));
    let login = server.get("/miniLogin/login.ajax?code=demo-alice-1", &[]).json();
    assert_eq!(login["code"], 200, "{login}");
    let handle = login["data"]["openid"].as_str().unwrap();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("openid={handle}&unionid=&phoneNo=");
    let check = server.post("/miniLogin/loginCheck.ajax", &form, &body).json();
    assert_eq!(server.verify(check["data"]["AUTH_TICKET"].as_str().unwrap()).status, 200);
}

#[test]
fn the_demo_has_an_app_of_each_platform_and_weapps_is_the_default_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&mut demo(directory.path()));
    let last = kind::ALL.last().unwrap().name;
    until("it has told all appids", || server.stdout().contains(&format!("\n{last} ")));
    let told = server.stdout();
    for (number, kind) in kind::ALL.iter().enumerate() {
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("{} ", kind.name)));
        let appid = line.unwrap_or_else(|| panic!("no app of {}: {told}", kind.name)).trim();
        let body = format!(r#"{{"code":"demo-alice-{number}","appid":"{appid}"}}"#);
        let answer = server.post("/v1/login", &[("Content-Type", "application/json")], &body).json();
        let ticket = answer["ticket"].as_str().unwrap_or_else(|| panic!("{}: {answer}", kind.name));
        let check = server.get(&format!("/v1/verify/{appid}"), &[("weixinauth", ticket)]);
        assert_eq!((check.status, check.header("x-auth-platform")), (200, Some(kind.name)), "{check:?}");
        assert_eq!(server.verify(ticket).status, if kind.name == "weapp" { 200 } else { 403 }, "{}", kind.name);
    }
    assert_eq!(server.verify(&server.ticket("demo-bob-1")).header("x-auth-platform"), Some("weapp"));
}

/// With WeChat's developer tools: their codes are real, so the simulator has never heard of them.
#[test]
fn the_demo_logs_the_developer_tools_in_and_shows_each_request() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(demo(directory.path()).env_remove("RUST_LOG"));
    let code = "0a3Xu2000kxyzS1abc300def4Q0Xu20S";
    let ticket = server.login(code).json()["ticket"].as_str().unwrap().to_owned();
    assert_eq!(server.verify(&ticket).status, 200);
    assert_eq!(server.login(code).status, 401);
    server.get("/v1/logn", &[]);
    server.get(&format!("/{ticket}"), &[]);
    let devtools = Simulator::new(Arc::new(SystemClock)).user("wx0123456789abcdef", "devtools").unwrap();
    let session = server.get("/v1/session", &[("weixinauth", &ticket)]).json();
    assert_eq!(session["openid"], *devtools.openid);
    for line in [
        "method=POST route=\"/v1/login\" status=200 outcome=\"ok\"",
        "method=GET route=\"/v1/verify\" status=200 outcome=\"ok\"",
        "method=POST route=\"/v1/login\" status=401 outcome=\"code_used: the code was used before; take a new code and log in again\"",
        "method=GET route=\"/v1/logn\" status=404 outcome=\"not_found: ",
        "method=GET route=\"not shown\" status=404",
        "method=GET route=\"/v1/session\" status=200 outcome=\"ok\"",
    ] {
        until(line, || server.stderr().contains(line));
    }
    let shown = server.stderr();
    assert_eq!(shown.lines().count(), 6, "one line each: {shown}");
    assert!(!shown.contains(code) && !shown.contains(&ticket[..30]) && !shown.contains(&devtools.openid), "{shown}");
    server.stop();
}

/// The address for phones that the demo has printed, or 127.0.0.2 where it says that there is no network.
fn address_for_phones(server: &Server) -> SocketAddr {
    let mut found = None;
    until("it says where phones find it", || {
        let told = server.stdout();
        if told.contains("in no network") {
            found = Some(([127, 0, 0, 2], server.address.port()).into());
        } else if let Some(line) = told.lines().find(|line| line.contains("in the same network: http://")) {
            let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
            found = Some(address.parse().unwrap());
        }
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn the_demo_logs_in_a_phone_in_the_same_network() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = auth_ticket(&["demo", "--listen", listen]);
        let mut server = Server::start(command.env("TMPDIR", directory.path()).env_remove("RUST_LOG"));
        assert!(server.address.ip().is_loopback(), "the lines to type work here: {}", server.stdout());
        let phone = address_for_phones(&server);
        assert_eq!(phone.port(), server.address.port());
        assert!(!phone.ip().is_unspecified() && phone.ip() != server.address.ip(), "{phone}");

        // As the tools' codes look, without an appid, as the README has it.
        let body = r#"{"code":"0f1kQOFa1Kzb0J0WTDHa1yNk4H1kQOFm"}"#;
        let answer = call(phone, "POST", "/v1/login", &[("Content-Type", "application/json")], body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
        let session = call(phone, "GET", "/v1/session", &[("weixinauth", &ticket)], "").json();
        let devtools = Simulator::new(Arc::new(SystemClock)).user("wx0123456789abcdef", "devtools").unwrap();
        assert_eq!(session["openid"], *devtools.openid);
        for line in [
            "method=POST route=\"/v1/login\" status=200 outcome=\"ok\"",
            "method=GET route=\"/v1/session\" status=200 outcome=\"ok\"",
        ] {
            until(line, || server.stderr().contains(line));
        }
        server.stop();
    }
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(&mut demo(directory.path()));
    until("it has said everything", || server.stdout().contains("keys rotate"));
    assert!(!server.stdout().contains("network"), "on loopback there is nothing to say: {}", server.stdout());
    server.stop();
}

#[test]
fn the_demo_takes_its_keys_with_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server::start(&mut demo(directory.path()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "throw-away keys");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        is_empty(directory.path());
    }
}

#[test]
fn the_demo_takes_its_keys_with_it_even_when_it_ends_while_it_starts() {
    for moment in 0..40 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = demo(directory.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(250) * moment);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        until("it ends", || child.try_wait().unwrap().is_some());
        is_empty(directory.path());
    }
}

#[test]
fn the_demo_on_a_port_in_use_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = auth_ticket(&["demo", "--listen", &address]);
    let refusal = Outcome::of(command.env("TMPDIR", directory.path())).refused();
    assert!(refusal.contains(&format!("error: cannot listen on {address}: Address already in use")), "{refusal}");
    assert!(refusal.ends_with("hint: choose another address with --listen; port 0 picks a free one\n"), "{refusal}");
    is_empty(directory.path());
}
