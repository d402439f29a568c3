//! What protects the process from others on its machine, and from its own clients.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, geteuid};

use crate::memory;
use crate::support::{BINARY, Keys, Outcome, Server, Site, call, simulator, try_call, until};

/// `command` as a user who is not root; as ourselves if that is one.
fn unprivileged(command: &mut Command) -> &mut Command {
    const NOBODY: u32 = 65534;
    if geteuid().is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

/// The binary where everybody can run it.
fn binary() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("auth-ticket");
    fs::copy(BINARY, &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (directory, path)
}

/// Whether another process of the same user reads `file` of process `pid`.
fn can_read(pid: u32, file: &str) -> bool {
    let path = format!("/proc/{pid}/{file}");
    let mut command = Command::new("head");
    command.args(["-c", "1", &path]).env_clear().env("PATH", "/usr/bin:/bin").stderr(Stdio::null());
    let output = unprivileged(&mut command).output().unwrap();
    output.status.success() && !output.stdout.is_empty()
}

fn waits_for_input(mut child: Child) -> Child {
    until("it has started", || fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap() == "auth-ticket\n");
    assert_eq!(child.try_wait().unwrap(), None);
    child
}

#[test]
fn no_process_of_the_same_user_reads_the_memory() {
    let (_directory, path) = binary();
    let mut sleep = unprivileged(Command::new("sleep").arg("60").env_clear().env("X", "1")).spawn().unwrap();
    until("a process that does not protect itself is read", || can_read(sleep.id(), "environ"));
    sleep.kill().unwrap();
    sleep.wait().unwrap();

    let mut simulator = Command::new(&path);
    let simulator = simulator.args(["simulator", "--listen", "127.0.0.1:0"]).env_clear().env("RUST_LOG", "info");
    let server = Server::start(unprivileged(simulator));
    for file in ["environ", "mem", "maps", "auxv"] {
        assert!(!can_read(server.pid(), file), "{file} of a server");
    }
    drop(server);

    // Commands that hold keys for a moment only are protected, too.
    let mut inspect = Command::new(&path);
    let inspect = inspect.args(["ticket", "inspect", "-"]).env_clear().env("X", "1").stdin(Stdio::piped());
    let mut child = waits_for_input(unprivileged(inspect.stdout(Stdio::null()).stderr(Stdio::null())).spawn().unwrap());
    until("it has begun", || !can_read(child.id(), "environ"));
    assert_eq!(child.try_wait().unwrap(), None, "it waits for its input");
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// A check leaves the `session_key` encrypted, so there is none in the memory of a server that has only answered checks.
#[test]
fn a_server_that_has_only_answered_checks_has_no_session_key_in_memory() {
    if !geteuid().is_root() {
        // Nobody else may read the memory of a process that is not dumpable.
        return;
    }
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let tickets = memory::tickets_with_session_keys(&site.keys);
    let server = site.start();
    for ticket in tickets.iter().cycle().take(20) {
        assert_eq!(server.verify(ticket).status, 200);
        assert_eq!(server.get("/v1/session", &[("weixinauth", ticket)]).status, 200);
    }
    memory::holds_users_but_no_session_key(&[server.pid()]);
}

#[test]
fn signals_that_mean_nothing_end_nobody() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    for mut server in [site.start(), simulator()] {
        for signal in [Signal::USR1, Signal::USR2] {
            server.signal(signal);
        }
        until("both are told of", || {
            let log = server.stderr();
            log.contains("SIGUSR1 means nothing here") && log.contains("SIGUSR2 means nothing here")
        });
        server.stop();
    }
}

#[test]
fn a_command_that_changes_keys_is_not_ended_half_way_by_such_a_signal() {
    let keys = Keys::missing();
    let command = keys.command(&["init"]);
    let mut shell = Command::new("sh");
    // The shell holds its own signal until the command has taken its place.
    shell.args(["-c", "trap '' USR1; kill -USR1 $$; exec \"$0\" \"$@\"", BINARY]).args(command.get_args());
    shell.env_clear().env("PATH", "/usr/bin:/bin");
    Outcome::of(&mut shell).done();
}

/// `serve` in a process that may have so few descriptors.
fn with_descriptors(site: &Site, limit: u32) -> Server {
    let serve = site.command();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\""), BINARY]).args(serve.get_args());
    shell.args(["--admin-listen", "127.0.0.1:0"]).env_clear().stdin(Stdio::null());
    for (name, value) in serve.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.env("AUTH_TICKET_KEYS_POLL", "200ms").env("PATH", "/usr/bin:/bin");
    let server = Server::start(&mut shell);
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    server
}

#[test]
fn silent_clients_leave_descriptors_for_operators_and_the_keys() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let mut server = with_descriptors(&site, 128);
    let admin = server.admin();
    let log = server.stderr();
    assert!(log.contains("limits.max_connections is 10000, but with 128 file descriptors there can be 48"), "{log}");

    let silent: Vec<TcpStream> =
        (0..300).map_while(|_| TcpStream::connect_timeout(&server.address, Duration::from_secs(2)).ok()).collect();
    assert!(silent.len() > 100, "{}", silent.len());
    let limit = "auth_ticket_limits_reached_total{limit=\"max_connections\"} 1";
    until("all places are taken", || call(admin, "GET", "/metrics", &[], "").body_text().contains(limit));
    assert_eq!(call(admin, "GET", "/healthz", &[], "").status, 200);
    let kid = site.keys.kid("ticket", "active");
    site.keys.run(&["revoke", &kid]).done();
    until("the revocation has arrived", || {
        let told = call(admin, "GET", "/keys", &[], "").json();
        let keys = told["keys"].as_array().unwrap().clone();
        keys.iter().any(|key| key["kid"] == kid.as_str() && key["state"] == "revoked")
    });
    assert!(!server.stderr().contains("cannot accept"), "{}", server.stderr());
    drop(silent);
    until("clients are served again", || {
        try_call(server.address, "GET", "/healthz", &[], "").is_ok_and(|answer| answer.status == 200)
    });
    server.stop();
}

#[test]
fn operators_cannot_use_up_the_descriptors_either() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let server = with_descriptors(&site, 128);
    let admin = server.admin();
    let _silent: Vec<TcpStream> =
        (0..200).map_while(|_| TcpStream::connect_timeout(&admin, Duration::from_secs(2)).ok()).collect();
    assert_eq!(server.get("/healthz", &[]).status, 200);
    assert!(!server.stderr().contains("cannot accept"), "{}", server.stderr());
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -Sn 64 && exec \"$0\" \"$@\"", BINARY, "simulator", "--listen", "127.0.0.1:0"]);
    let server = Server::start(shell.env_clear().env("PATH", "/usr/bin:/bin"));
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{files}");
}
