//! Unix sockets, and sockets that systemd passes.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::Value;

use crate::support::{BINARY, DEADLINE, Outcome, Server, Site, auth_ticket, until};

fn site(tables: &str) -> Site {
    Site::new("127.0.0.1:1".parse().unwrap(), tables)
}

/// Where the sockets of a test are.
fn place(site: &Site, name: &str) -> PathBuf {
    site.keys.root().join(name)
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// `serve` with these two settings.
fn listening(site: &Site, listen: &str, admin_listen: &str) -> Command {
    let mut command = site.command();
    command.args(["--listen", listen, "--admin-listen", admin_listen]).env("RUST_LOG", "info,auth_ticket::http=debug");
    command
}

/// The status and the whole answer to a request over a connection of its own.
fn ask(mut stream: impl Read + Write, head: &str) -> std::io::Result<(u16, String)> {
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.map(|status| (status, answer)).ok_or_else(|| std::io::Error::other("no answer"))
}

fn ask_unix(path: &Path, head: &str) -> (u16, String) {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    ask(stream, head).unwrap()
}

#[test]
fn one_server_answers_at_an_address_and_at_sockets() {
    let site = site("");
    let (clients, other, operators) = (place(&site, "http.sock"), place(&site, "other.sock"), place(&site, "ops.sock"));
    let listen = format!("127.0.0.1:0,{},{}", unix(&clients), unix(&other));
    let mut server = Server::start(listening(&site, &listen, &unix(&operators)).env("AUTH_TICKET_LISTEN_MODE", "0666"));
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    let places = format!("listening on http://{} and {} and {}", server.address, unix(&clients), unix(&other));
    assert_eq!(server.stdout(), format!("{places}\noperators on {}\n", unix(&operators)));

    assert_eq!(server.get("/healthz", &[]).status, 200);
    for path in [&clients, &other] {
        assert_eq!(ask_unix(path, "GET /healthz HTTP/1.1\r\nHost: x\r\n").0, 200);
        let (status, answer) = ask_unix(path, "GET /v1/verify HTTP/1.1\r\nHost: x\r\nweixinauth: AQAA\r\n");
        assert!(status == 401 && answer.contains("invalid_ticket"), "{answer}");
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o666);
    }
    assert_eq!(fs::metadata(&operators).unwrap().mode() & 0o777, 0o600);
    // No page reaches it, whatever a client calls it.
    assert_eq!(ask_unix(&operators, "GET /keys HTTP/1.1\r\nHost: evil.example\r\n").0, 200);

    server.stop();
    for path in [&clients, &other, &operators] {
        assert!(!path.exists(), "{}", path.display());
    }
}

#[test]
fn a_peer_without_an_address_is_whom_a_trusted_socket_names() {
    let forwarded = "POST /v1/renew HTTP/1.1\r\nHost: x\r\nweixinauth: AQAA\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n";
    for (trusted, client) in [("[]", Value::Null), ("[\"unix\"]", Value::from("192.0.2.7"))] {
        let site = site(&format!("[log]\nformat = \"json\"\n[limits]\ntrusted_proxies = {trusted}\n"));
        let path = place(&site, "http.sock");
        let server = Server::start(&mut listening(&site, &format!("127.0.0.1:0,{}", unix(&path)), ""));
        assert_eq!(ask_unix(&path, forwarded).0, 401);
        until("it is logged", || server.stderr().contains("authentication failed"));
        let log = server.stderr();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let line = lines.into_iter().find(|line| line["message"] == "authentication failed").unwrap();
        assert_eq!(line["client"], client, "{line}");
    }
}

#[test]
fn limits_by_address_hold_for_those_whom_a_trusted_socket_names() {
    let site = site("[limits]\ntrusted_proxies = [\"unix\"]\nlogin_rate_per_address = \"1/h\"\n");
    let path = place(&site, "http.sock");
    let _server = Server::start(&mut listening(&site, &format!("127.0.0.1:0,{}", unix(&path)), ""));
    let login = |client: &str| {
        let body = r#"{"code":"0"}"#;
        let head = format!(
            "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{client}",
            body.len()
        );
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let first = login("X-Forwarded-For: 192.0.2.1\r\n");
    assert!(first != 429, "{first}");
    assert_eq!(login("X-Forwarded-For: 192.0.2.1\r\n"), 429);
    assert_ne!(login("X-Forwarded-For: 192.0.2.2\r\n"), 429);
    // Nobody knows whose these are, so they are not limited by address.
    assert!([login(""), login("")].iter().all(|status| *status != 429));
}

#[test]
fn what_is_at_the_path_is_replaced_only_if_it_is_stale() {
    let site = site("");
    let path = place(&site, "http.sock");
    let refused = |because: &str| {
        let told = Outcome::of(&mut listening(&site, &unix(&path), "")).refused();
        assert!(told.contains("cannot listen on unix:") && told.contains(because) && told.contains("hint: "), "{told}");
    };
    fs::write(&path, "somebody's").unwrap();
    refused("what is there is no socket");
    assert_eq!(fs::read(&path).unwrap(), b"somebody's");
    fs::remove_file(&path).unwrap();

    let alive = UnixListener::bind(&path).unwrap();
    refused("another process answers there");
    drop(alive);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket(), "a stale one stays behind");
    let listen = format!("127.0.0.1:0,{}", unix(&path));
    let mut server = Server::start(&mut listening(&site, &listen, ""));
    refused("another process answers there");
    assert_eq!(ask_unix(&path, "GET /healthz HTTP/1.1\r\nHost: x\r\n").0, 200);

    // Killed, it cannot take its socket away; the next one puts its own in that place.
    server.kill();
    assert!(path.exists());
    let mut server = Server::start(&mut listening(&site, &listen, ""));
    assert_eq!(ask_unix(&path, "GET /healthz HTTP/1.1\r\nHost: x\r\n").0, 200);
    // What somebody has put in its place is not its own.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "somebody's").unwrap();
    server.stop();
    assert_eq!(fs::read(&path).unwrap(), b"somebody's");
}

/// Makes something at a path.
type Obstacle<'a> = &'a dyn Fn(&Path);

#[test]
fn what_is_in_the_way_is_told_word_by_word() {
    let other = "or choose another path";
    let (remove, user) = (
        format!("remove it if nobody needs it, {other}"),
        format!("see that the server's user may write in its directory, {other}"),
    );
    let directory = format!("make its directory for the server's user (RuntimeDirectory= in a unit), {other}");
    let no_socket = "what is there is no socket";
    let link = |to: &Path, path: &Path| std::os::unix::fs::symlink(to, path).unwrap();
    let cases: [(&str, Obstacle<'_>, &str, &str); 7] = [
        ("file", &|path| fs::write(path, "somebody's").unwrap(), no_socket, &remove),
        ("directory", &|path| fs::create_dir(path).unwrap(), no_socket, &remove),
        ("link to nothing", &|path| link(Path::new("none"), path), no_socket, &remove),
        (
            "link to a socket",
            &|path| {
                drop(UnixListener::bind(path.with_extension("real")).unwrap());
                link(&path.with_extension("real"), path);
            },
            no_socket,
            &remove,
        ),
        ("pipe", &|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()), no_socket, &remove),
        ("below/nothing", &|_| (), "No such file or directory (os error 2)", &directory),
        (
            "below a file/x",
            &|path| fs::write(path.parent().unwrap(), "").unwrap(),
            "Not a directory (os error 20)",
            &user,
        ),
    ];
    for (name, make, why, remedy) in cases {
        let site = site("");
        let path = place(&site, name);
        make(&path);
        let told = Outcome::of(&mut listening(&site, &unix(&path), "")).refused();
        let expected = format!("error: cannot listen on {}: {why}\nhint: {remedy}\n", unix(&path));
        assert!(told.ends_with(&expected), "{name}: {told}");
    }
}

#[test]
fn commands_reach_a_server_at_its_socket() {
    let site = site("");
    let (clients, operators) = (place(&site, "http.sock"), place(&site, "ops.sock"));
    let listen = format!("127.0.0.1:0,{}", unix(&clients));
    let text = fs::read_to_string(&site.config).unwrap();
    let text = text.replace(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"\"",
        &format!("listen = [\"{}\"]\nadmin_listen = \"{}\"", unix(&clients), unix(&operators)),
    );
    fs::write(&site.config, text).unwrap();
    let healthcheck = |more: &[&str]| Outcome::of(auth_ticket(&["healthcheck"]).args(more));
    let config = ["--config", site.config.to_str().unwrap()];
    let told = healthcheck(&config).refused();
    assert!(told.contains(&format!("nobody listens at {}, {}", unix(&operators), unix(&clients))), "{told}");
    let _server = Server::start(listening(&site, &listen, &unix(&operators)).env("AUTH_TICKET_KEYS_POLL", "100ms"));
    until("it answers operators", || operators.exists());
    assert_eq!(healthcheck(&config).done(), format!("ready: {}\n", unix(&operators)));
    assert_eq!(healthcheck(&["--url", &unix(&clients)]).done(), format!("ready: {}\n", unix(&clients)));

    let check = |replica: &str| {
        Outcome::of(auth_ticket(&["keys", "check", "--replica", replica, "--keys"]).arg(site.keys.path()))
    };
    let told = check(&unix(&operators)).done();
    assert!(told.contains(&format!("{}  the same ring", unix(&operators))), "{told}");
    assert!(check(&unix(&clients)).stdout.contains("not an address for operators"));
    assert!(check(&unix(&place(&site, "none.sock"))).stdout.contains("cannot be reached"));
}

/// `serve` with `sockets` passed as systemd does it, under these names.
fn activated(site: &Site, sockets: &[impl AsFd], names: &str, listen: &str) -> Command {
    let aside = sockets.iter().enumerate().map(|(index, socket)| {
        // As for every descriptor that a child is to have.
        fcntl_setfd(socket, FdFlags::empty()).unwrap();
        format!("{}<&{}", 200 + index, socket.as_fd().as_raw_fd())
    });
    let aside: Vec<String> = aside.collect();
    let first: Vec<String> = (0..aside.len()).map(|index| format!("{}<&{}", 3 + index, 200 + index)).collect();
    let script = format!("exec {} && exec {} && LISTEN_PID=$$ exec \"$@\"", aside.join(" "), first.join(" "));
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", BINARY, "serve", "--config"]).arg(&site.config).env_clear();
    command.args(["--listen", listen]).env("WX_SECRET", Site::SECRET).env("RUST_LOG", "info");
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    command
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn sockets_that_systemd_passes_are_taken_by_name() {
    let site = site("");
    let ((http, address), (ops, operators), (other, _)) = (listener(), listener(), listener());
    let mut command = activated(&site, &[&ops, &other, &http], "ops:unused:http", "systemd:http");
    let mut server = Server::start(command.args(["--admin-listen", "systemd:ops"]));
    assert_eq!(server.address, address);
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    assert_eq!(
        server.stdout(),
        format!("listening on http://{address} (systemd:http)\noperators on http://{operators} (systemd:ops)\n")
    );
    assert_eq!(server.get("/healthz", &[]).status, 200);
    assert!(ask(TcpStream::connect(operators).unwrap(), "GET /keys HTTP/1.1\r\n").unwrap().1.contains("fingerprint"));
    until("it warns of the third", || server.stderr().contains("the socket called unused was passed to this server"));
    server.stop();
}

#[test]
fn a_socket_that_was_not_passed_is_missed_with_words() {
    let site = site("");
    let (http, _) = listener();
    let refused = |command: &mut Command, because: &str| {
        let told = Outcome::of(command).refused();
        assert!(told.contains("error: there is no socket called web") && told.contains(because), "{told}");
    };
    refused(&mut activated(&site, &[&http], "http", "systemd:web"), "the one that was passed is called http\n");
    let two = [&http, &listener().0];
    refused(&mut activated(&site, &two, "http:ops", "systemd:web"), "those that were passed are called http, ops\n");
    refused(&mut listening(&site, "systemd:web", ""), "none was passed to this process");
    // Meant for another process.
    let mut command = listening(&site, "systemd:web", "");
    refused(command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1").env("LISTEN_FDNAMES", "web"), "none was passed");
}

/// Rule: `sd_listen_fds_with_names(3)`.
#[test]
fn sockets_without_names_are_called_unknown() {
    let site = site("");
    let ((first, address), (second, _)) = (listener(), listener());
    for names in [None, Some("")] {
        let mut command = activated(&site, &[&first, &second], "", "systemd:unknown");
        match names {
            None => command.env_remove("LISTEN_FDNAMES"),
            Some(names) => command.env("LISTEN_FDNAMES", names),
        };
        let mut server = Server::start(&mut command);
        assert_eq!(server.address, address);
        assert_eq!(server.stdout().matches(" (systemd:unknown)").count(), 2, "{}", server.stdout());
        server.stop();
    }
    for names in ["http", "http:ops:more", ":"] {
        let mut command = activated(&site, &[&first], names, "systemd:http");
        command.env("LISTEN_FDS", "2");
        if names == ":" {
            command.env("LISTEN_FDS", "1");
        }
        let told = Outcome::of(&mut command).refused();
        assert!(told.contains("sockets were passed to this process, with"), "{names}: {told}");
        assert!(told.contains("hint: give LISTEN_FDNAMES one name for each of LISTEN_FDS"), "{names}: {told}");
    }
}

/// What systemd passes on with `Accept=yes` has been accepted already, and is called `connection`.
#[test]
fn a_connection_is_not_taken_for_a_socket_to_listen_on() {
    let site = site("");
    let (http, address) = listener();
    let _client = TcpStream::connect(address).unwrap();
    let (tcp, _) = http.accept().unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    for connection in [tcp.as_fd(), unix.as_fd()] {
        let told = Outcome::of(&mut activated(&site, &[connection], "connection", "systemd:connection")).refused();
        let expected = "error: the socket called connection cannot be listened on: it is a connection, or was never \
                        listened on\nhint: use ListenStream= in the .socket unit, and Accept=no\n";
        assert!(told.ends_with(expected), "{told}");
        let told = Outcome::of(&mut activated(&site, &[connection], "connection", "systemd:http")).refused();
        assert!(told.contains("the one that was passed is called connection\nhint: "), "{told}");
        assert!(told.contains("FileDescriptorName=http and Accept=no"), "{told}");
    }
}

#[test]
fn a_socket_may_have_a_path_of_all_that_the_system_takes() {
    let (longest, site) = (if cfg!(target_os = "linux") { 107 } else { 103 }, site(""));
    let root = site.keys.root().display().to_string();
    let parent = place(&site, &"d".repeat(longest - root.len() - "//s".len()));
    fs::create_dir(&parent).unwrap();
    let path = parent.join("s");
    let listen = format!("127.0.0.1:0,{}", unix(&path));
    let server = Server::start(&mut listening(&site, &listen, ""));
    assert_eq!(ask_unix(&path, "GET /healthz HTTP/1.1\r\nHost: x\r\n").0, 200);
    drop(server);
    let told = Outcome::of(&mut listening(&site, &unix(&parent.join("ss")), "")).refused();
    let expected = format!("its path has {} bytes, and this system takes {longest} at most", longest + 1);
    assert!(told.contains(&expected), "{told}");
}

/// What is sent over connections of their own, by several clients at once, until told to stop.
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    const CLIENTS: usize = 4;
    const REQUEST: &str = "GET /v1/verify HTTP/1.1\r\nHost: x\r\nweixinauth: AQAA\r\n";

    fn new() -> Self {
        Self { stop: AtomicBool::new(false), answered: AtomicUsize::new(0) }
    }

    /// Each request has an answer, and it is the right one.
    fn run<S: Read + Write>(&self, connect: impl Fn() -> S) -> Result<(), String> {
        while !self.stop.load(Ordering::Relaxed) {
            match ask(connect(), Self::REQUEST) {
                Ok((401, _)) => self.answered.fetch_add(1, Ordering::Relaxed),
                other => return Err(format!("after {} answers: {other:?}", self.answered.load(Ordering::Relaxed))),
            };
        }
        Ok(())
    }

    /// Until so many more were answered, or one was not.
    #[track_caller]
    fn goes_on<T>(&self, clients: &[std::thread::ScopedJoinHandle<'_, T>]) {
        let before = self.answered.load(Ordering::Relaxed);
        until("clients are answered", || {
            clients.iter().any(std::thread::ScopedJoinHandle::is_finished)
                || self.answered.load(Ordering::Relaxed) > before + 200
        });
    }
}

/// Restarts a server three times while its socket, which this process holds as systemd would, has clients.
fn restarts_lose_nothing<S: Read + Write>(socket: impl AsFd + Copy, connect: impl Fn() -> S + Sync) {
    let (site, load) = (site(""), Load::new());
    let start = || Server::start(&mut activated(&site, &[socket], "http", "127.0.0.1:0,systemd:http"));
    let mut server = start();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..Load::CLIENTS).map(|_| scope.spawn(|| load.run(&connect))).collect();
        for _ in 0..3 {
            load.goes_on(&clients);
            server.stop();
            // While there is no server, clients are connected, send, and wait.
            let mut waiting = connect();
            waiting.write_all(format!("{}Connection: close\r\n\r\n", Load::REQUEST).as_bytes()).unwrap();
            server = start();
            let mut answer = String::new();
            waiting.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
        load.goes_on(&clients);
        load.stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert_eq!(client.join().unwrap(), Ok(()));
        }
    });
}

#[test]
fn a_restart_under_load_loses_no_connection() {
    let (http, address) = listener();
    restarts_lose_nothing(&http, || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    let socket = UnixListener::bind(&path).unwrap();
    restarts_lose_nothing(&socket, || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    });
    assert!(path.exists(), "what systemd has made is systemd's to take away");
}
