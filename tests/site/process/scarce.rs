//! A server that gets little from the system: few file descriptors, few threads.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::support::{BINARY, Held, Keys, Outcome, Server, Site, auth_ticket, call, simulator, until};

/// `program` with the arguments and the environment of `command`, once a shell has done `setup`.
pub(super) fn after(setup: &str, program: &Path, command: &Command) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", &format!("{setup} && exec \"$0\" \"$@\"")]).arg(program).args(command.get_args());
    limited.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.stdin(Stdio::null());
    limited
}

fn limited(setup: &str, command: &Command) -> Command {
    after(setup, Path::new(BINARY), command)
}

fn open_connections(admin: SocketAddr) -> usize {
    let metrics = call(admin, "GET", "/metrics", &[], "").body_text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("auth_ticket_connections{listener=\"clients\"} "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// So many connections that say nothing, or wait to be taken, until this is dropped.
fn silent(address: SocketAddr, count: usize) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for _ in 0..count {
        runtime.spawn(async move {
            let _stream = TcpStream::connect(address).await;
            std::future::pending::<()>().await;
        });
    }
    runtime
}

#[test]
fn a_revocation_is_in_force_while_silent_clients_hold_every_connection() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let platform = simulator();
    let site = Site::new(platform.address, "[limits]\nheader_timeout = \"10m\"\n");
    let mut serve = site.command();
    serve.env("AUTH_TICKET_KEYS_POLL", "500ms").args(["--admin-listen", "127.0.0.1:0"]);
    let mut server = Server::start(&mut limited("ulimit -n 1024", &serve));
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    let admin = server.admin();
    let says = "limits.max_connections is 10000, but with 1024 file descriptors there can be 800";
    assert!(server.stderr().contains(says), "{}", server.stderr());
    let ticket = server.ticket("demo-alice-1");
    let mut held = Held::open(server.address);
    assert_eq!(held.verify(&ticket), 200);
    let crowd = silent(server.address, 2400);
    until("it has as many connections as it may", || open_connections(admin) == 800);
    for probe in ["/healthz", "/readyz", "/keys"] {
        assert_eq!(call(admin, "GET", probe, &[], "").status, 200);
    }
    assert_eq!(held.verify(&ticket), 200);
    site.keys.run(&["revoke", &site.keys.kid("ticket", "active")]).done();
    // It looks twice a second; nothing but that is waited for, least of all the end of a connection.
    until("the ticket is refused", || held.verify(&ticket) == 401);
    assert_eq!(open_connections(admin), 800);
    assert!(!server.stderr().contains("cannot accept a connection"), "{}", server.stderr());
    drop(crowd);
    until("others are taken", || server.verify(&ticket).status == 401);
    server.stop();
}

#[test]
fn with_too_few_descriptors_nothing_starts_and_it_says_why() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let commands = [
        site.command(),
        auth_ticket(&["simulator", "--listen", "127.0.0.1:0"]),
        auth_ticket(&["demo", "--listen", "127.0.0.1:0"]),
    ];
    for descriptors in [12, 40, 63] {
        for command in &commands {
            let refusal = Outcome::of(&mut limited(&format!("ulimit -n {descriptors}"), command)).refused();
            let says = format!("error: {descriptors} file descriptors are too few: a server needs 64 at least\nhint: ");
            assert!(refusal.contains(&says) && refusal.contains("LimitNOFILE="), "{refusal}");
        }
    }
    // The least that is taken is enough to work with.
    let mut server = Server::start(&mut limited("ulimit -n 64", &site.command()));
    let crowd = silent(server.address, 4);
    let ticket = server.ticket("demo-alice-1");
    site.keys.run(&["revoke", &site.keys.kid("ticket", "active")]).done();
    until("the ticket is refused", || server.verify(&ticket).status == 401);
    drop(crowd);
    server.stop();
}

/// A user who runs nothing else, and whom the system limits, unlike root.
const USER: u32 = 61_234;

#[test]
fn without_a_thread_to_look_at_the_keys_a_revocation_is_in_force_all_the_same() {
    let platform = simulator();
    let keys = Keys::init();
    fs::set_permissions(keys.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for name in keys.names().iter().map(String::as_str).chain([".", ".lock"]) {
        if chown(keys.file(name), Some(USER), Some(USER)).is_err() {
            return;
        }
    }
    let site = Site::with_keys(keys, platform.address, "");
    let start = |threads: u32| {
        let mut serve = site.command();
        serve.env("AUTH_TICKET_KEYS_POLL", "200ms").env("AUTH_TICKET_WORKERS", "2");
        let mut limited = Command::new("setpriv");
        limited.args([&format!("--reuid={USER}"), "--clear-groups", "prlimit", &format!("--nproc={threads}"), BINARY]);
        limited.args(serve.get_args()).env_clear().stdin(Stdio::null());
        limited.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited
    };
    // The first number with which it starts has room for every thread but that one, which comes last. With fewer it says why.
    let fits = (1..40).find(|threads| {
        let mut child = start(*threads).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = [0];
        let has_started = child.stdout.as_mut().unwrap().read(&mut said).is_ok_and(|len| len == 1);
        if has_started {
            child.kill().unwrap();
        }
        let mut log = String::new();
        child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
        let refused = child.wait().unwrap().code() == Some(1) && log.contains("error: cannot start ");
        assert!(has_started || refused, "{threads}: {log}");
        has_started
    });
    let mut server = Server::start(&mut start(fits.unwrap()));
    let says = "no thread for looking at the keys";
    until("it says that it has no thread", || server.stderr().contains(says));
    let ticket = server.ticket("demo-alice-1");
    site.keys.run(&["revoke", &site.keys.kid("ticket", "active")]);
    until("the ticket is refused", || server.verify(&ticket).status == 401);
    server.stop();
}
