//! `auth-ticket serve` and `auth-ticket simulator`, started, used and ended as a supervisor does.

use std::fs;
use std::io::{ErrorKind, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{APPID, Outcome, Reply, Server, Site, Upstream, auth_ticket, call, simulator, until};

#[test]
fn a_user_logs_in_is_checked_and_renews() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let mut server = site.start();

    let answer = server.login("demo-alice-1");
    assert_eq!(answer.status, 200, "{answer:?}");
    let object = answer.json();
    assert_eq!((&object["token_type"], &object["expires_in"]), (&json!("AuthTicket"), &json!(7200)));
    let ticket = object["ticket"].as_str().unwrap();

    let checked = server.verify(ticket);
    assert_eq!((checked.status, &*checked.body_text()), (200, ""));
    assert_eq!(checked.header("x-auth-appid"), Some(APPID));
    let openid = checked.header("x-auth-openid").unwrap();
    assert_eq!(openid.len(), 28);

    let renewed = server.post("/v1/renew", &[("Authorization", &format!("Bearer {ticket}"))], "");
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let renewed = renewed.json()["ticket"].as_str().unwrap().to_owned();
    assert_ne!(renewed, ticket);
    let session = server.get("/v1/session", &[("weixinauth", &renewed)]).json();
    assert_eq!((session["active"].as_bool(), session["openid"].as_str()), (Some(true), Some(openid)));

    let again = server.login("demo-alice-1");
    assert_eq!((again.status, again.json()["error"].as_str()), (401, Some("code_used")));
    assert_eq!(server.verify("x").status, 401);
    server.stop();
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let platform = simulator();
    let site = Site::new(platform.address, "[ticket]\nttl = \"1h\"\n");
    let expires_in = |server: &Server| server.login("slow-0-alice").json()["expires_in"].as_u64();
    let from_file = site.start();
    assert_eq!((from_file.address.ip().to_string(), expires_in(&from_file)), ("127.0.0.1".to_owned(), Some(3600)));
    let by_environment = || {
        let mut command = site.command();
        command.env("AUTH_TICKET_LISTEN", "127.0.0.2:0").env("AUTH_TICKET_TICKET__TTL", "5m");
        command
    };
    let server = Server::start(&mut by_environment());
    assert_eq!((server.address.ip().to_string(), expires_in(&server)), ("127.0.0.2".to_owned(), Some(300)));
    let server = Server::start(by_environment().args(["--listen", "127.0.0.3:0"]));
    assert_eq!((server.address.ip().to_string(), expires_in(&server)), ("127.0.0.3".to_owned(), Some(300)));

    let mut command = auth_ticket(&["serve"]);
    let server = Server::start(command.env("AUTH_TICKET_CONFIG", &site.config).env("WX_SECRET", "s"));
    assert_eq!(expires_in(&server), Some(3600));
}

#[test]
fn so_many_threads_answer_requests() {
    let platform = simulator();
    let workers = |server: &Server| {
        let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
        names.filter(|name| name == "worker\n").count()
    };
    for count in [1, 3] {
        let site = Site::new(platform.address, "");
        let server = Server::start(site.command().env("AUTH_TICKET_WORKERS", count.to_string()));
        assert_eq!(server.verify("x").status, 401);
        // At times there is one more of the same name, which reads the keys directory.
        until("as many as configured", || (count..=count + 1).contains(&workers(&server)));
    }
}

#[test]
fn limits_hold_as_configured_and_a_proxy_that_is_not_named_is_told_of_once() {
    let platform = simulator();
    let limited = |lines: &str| {
        let site = Site::new(platform.address, &format!("[limits]\n{lines}"));
        let server = site.start();
        (site, server)
    };
    let rates = "login_rate_per_address = \"1/h\"\nlogin_rate_per_app = \"2/h\"\n";
    let login = |server: &Server, code: &str, client: &str| {
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", client)];
        server.post("/v1/login", &headers, &json!({ "code": code }).to_string()).status
    };

    let one_connection = "max_connections_per_address = 1\n";
    let (_site, server) = limited(&format!("{one_connection}{rates}trusted_proxies = [\"127.0.0.1\"]\n"));
    let _open = (TcpStream::connect(server.address).unwrap(), TcpStream::connect(server.address).unwrap());
    assert_eq!(login(&server, "demo-alice-1", "192.0.2.1"), 200);
    assert_eq!(login(&server, "demo-alice-2", "192.0.2.1"), 429, "its address has had one");
    assert_eq!(login(&server, "demo-bob-1", "192.0.2.2"), 200);
    assert_eq!(login(&server, "demo-carol-1", "192.0.2.3"), 429, "the app has had two");
    assert!(!server.stderr().contains("trusted_proxies"), "{}", server.stderr());

    let (_site, server) = limited(rates);
    let statuses = ["1", "2", "3"].map(|n| login(&server, &format!("demo-dave-{n}"), &format!("192.0.2.{n}")));
    assert_eq!(statuses, [200, 429, 429]);
    until("the log tells why", || server.stderr().contains("is not among limits.trusted_proxies"));
    assert_eq!(server.stderr().matches("trusted_proxies").count(), 1);

    let (_site, server) = limited(one_connection);
    let _open = TcpStream::connect(server.address).unwrap();
    until("a second connection is closed", || {
        let mut second = TcpStream::connect(server.address).unwrap();
        second.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        !matches!(second.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
}

#[test]
fn the_secret_comes_from_a_variable_or_a_file() {
    let login = r#"{"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE"}"#;
    let platform = Upstream::start(move |_| Reply::Http("200 OK", login.to_owned()));
    let site = Site::new(platform.address, "");
    site.start().ticket("code-1");
    assert!(platform.requests()[0].contains(&format!("&secret={}&", Site::SECRET)));

    let secret = site.keys.root().join("secret");
    fs::write(&secret, "from-a-file\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let config = fs::read_to_string(&site.config).unwrap();
    let by_file = format!("secret_file = {secret:?}");
    fs::write(&site.config, config.replace("secret_env = \"WX_SECRET\"", &by_file)).unwrap();
    site.start().ticket("code-2");
    assert!(platform.requests()[1].contains("&secret=from-a-file&"));
}

#[test]
fn a_platform_on_this_machine_is_asked_past_any_proxy() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let mut command = site.command();
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
    }
    let server = Server::start(&mut command);
    assert_eq!(server.login("demo-alice-1").status, 200);
}

#[test]
fn a_signal_lets_the_login_that_runs_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let (asked, is_asked) = channel();
        let (release, released) = channel();
        let gate = Mutex::new((asked, released));
        let platform = Upstream::start(move |_| {
            let (asked, released) = &*gate.lock().unwrap();
            asked.send(()).unwrap();
            released.recv().unwrap();
            Reply::Http("200 OK", r#"{"session_key":"a","openid":"o"}"#.to_owned())
        });
        let site = Site::new(platform.address, "");
        let mut server = site.start();
        let address = server.address;
        let login = std::thread::spawn(move || {
            call(address, "POST", "/v1/login", &[("Content-Type", "application/json")], r#"{"code":"c"}"#)
        });
        is_asked.recv().unwrap();
        server.signal(signal);
        until("new connections are refused", || TcpStream::connect(address).is_err());
        release.send(()).unwrap();
        let answer = login.join().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn what_does_not_finish_is_cut_off_at_the_end_of_the_grace() {
    let platform = Upstream::start(|_| Reply::Silence);
    let site = Site::new(platform.address, "[limits]\nshutdown_grace = \"100ms\"\n");
    let mut server = site.start();
    let address = server.address;
    let login = std::thread::spawn(move || {
        TcpStream::connect(address).and_then(|mut stream| {
        let body = r#"{"code":"c"}"#;
        let len = body.len();
        write!(stream, "POST /v1/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}")?;
        stream.read(&mut [0])
    })
    });
    until("the platform is asked", || !platform.requests().is_empty());
    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < Duration::from_secs(4), "the platform's timeout was waited for");
    drop(login.join());
}

#[test]
fn replicas_that_share_a_directory_share_tickets() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let (one, other) = (site.start(), site.start());
    let ticket = one.ticket("demo-alice-1");
    assert_eq!(other.verify(&ticket).status, 200);
    let stranger = Site::new(platform.address, "").start();
    assert_eq!(stranger.verify(&ticket).status, 401);
}

#[test]
fn an_address_in_use_is_told_with_a_way_out_and_nothing_is_announced() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Site::new(taken.local_addr().unwrap(), "");
    let in_use = |command: &mut Command, flag: &str| {
        let refusal = Outcome::of(command.args([flag, &address])).refused();
        let (error, hint) = refusal.trim_end().rsplit_once('\n').unwrap();
        assert!(error.ends_with(&format!("error: cannot listen on {address}: Address already in use (os error 98)")));
        assert_eq!(hint, format!("hint: choose another address with {flag}; port 0 picks a free one"));
    };
    in_use(&mut site.command(), "--listen");
    in_use(&mut site.command(), "--admin-listen");
    in_use(&mut auth_ticket(&["simulator"]), "--listen");
}

#[test]
fn keys_that_are_not_right_keep_a_server_from_starting() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let names = site.keys.names();
    fs::set_permissions(site.keys.file(&names[0]), fs::Permissions::from_mode(0o644)).unwrap();
    let refusal = Outcome::of(&mut site.command()).refused();
    assert!(refusal.contains(&format!("{} is open to others (mode 0644); chmod 600 ", names[0])), "{refusal}");

    let missing = Outcome::of(site.command().args(["--keys-dir", "/nowhere/keys"])).refused();
    let hint = "hint: on a replica, copy them there; the first keys of a new installation: auth-ticket keys init --keys \
                /nowhere/keys\n";
    assert!(missing.contains("error: cannot list /nowhere/keys") && missing.ends_with(hint), "{missing}");
}

#[test]
fn a_half_sent_request_is_closed_in_time() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "[limits]\nheader_timeout = \"200ms\"\n");
    let server = site.start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").unwrap();
    let mut rest = Vec::new();
    // The default is 10 s, so only the configured limit ends it before the client's own.
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert_eq!(server.get("/healthz", &[]).status, 200);
}

#[test]
fn the_operators_address_can_be_turned_off() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let mut server = site.start();
    assert_eq!(server.get("/readyz", &[]).body_text(), "", "clients get a status alone");
    server.stop();
    assert_eq!(server.stdout(), format!("listening on http://{}\n", server.address));

    let mut server = Server::start(site.command().args(["--admin-listen", "127.0.0.1:0"]));
    until("the second address is announced", || server.stdout().lines().count() == 2);
    let operators = server.admin();
    let ready = call(operators, "GET", "/readyz", &[], "");
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "ok", "reasons": []})));
    assert_eq!(call(operators, "POST", "/v1/login", &[], "").status, 404);
    server.stop();
}

#[test]
fn a_server_leaves_no_core_dump() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    for server in [site.start(), simulator()] {
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    }
}

#[test]
fn a_ttl_above_what_the_key_allows_is_clamped_with_a_warning() {
    let platform = simulator();
    let site = Site::new(platform.address, "[ticket]\nttl = \"2d\"\n");
    let server = site.start();
    let kid = site.keys.kid("ticket", "active");
    assert!(
        server.stderr().contains(&format!("ticket.ttl is 2d, but ticket-{kid} allows 1d: tickets live that long")),
        "{}",
        server.stderr()
    );
    assert_eq!(server.login("demo-alice-1").json()["expires_in"], 86400);
}

#[test]
fn a_server_whose_output_nobody_reads_serves_all_the_same() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let mut serve = site.command();
    serve.args(["--listen", "127.0.77.1:0", "--admin-listen", "127.0.77.2:0"]);
    let simulator = auth_ticket(&["simulator", "--listen", "127.0.77.3:0"]);
    for (mut command, listeners, path) in [
        (serve, vec![[127, 0, 77, 1], [127, 0, 77, 2]], "/healthz"),
        (simulator, vec![[127, 0, 77, 3]], "/sns/jscode2session"),
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut child = Killed(command.stdout(writer).stderr(Stdio::null()).spawn().unwrap());
        for listener in listeners {
            let mut found = None;
            until("it listens", || {
                assert_eq!(child.0.try_wait().unwrap(), None, "it has ended");
                found = listening(listener);
                found.is_some()
            });
            assert_eq!(call(found.unwrap(), "GET", path, &[], "").status, 200);
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where somebody listens on `ip`, which only one test uses.
fn listening(ip: [u8; 4]) -> Option<SocketAddr> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let of_ip = format!("{:08X}", u32::from_ne_bytes(ip));
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = words.get(1)?.split_once(':')?;
        let listens = address == of_ip && words.get(3) == Some(&"0A");
        listens.then(|| SocketAddr::from((ip, u16::from_str_radix(port, 16).unwrap())))
    })
}
