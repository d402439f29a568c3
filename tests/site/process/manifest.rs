//! The server inside of what `deploy/kubernetes` allows it, with the limits that are configured there, while clients do
//! their worst: it answers good checks and probes, and is not killed for memory.
//!
//! Where a control group can be made (root), the memory is limited as the kernel would limit a container's; elsewhere only the
//! peak is looked at. `make soak` runs all of this at full scale, with the release build.

mod fence;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{BINARY, Held, Server, Site, call, simulator, until};
use fence::Fence;

/// What a container runtime gives; the server raises it to the hard limit.
const SOFT_DESCRIPTORS: u32 = 1024;
/// Connections that stay free for good clients.
const SPARE: usize = 8;

fn is_full() -> bool {
    std::env::var_os("SOAK").is_some_and(|form| form == "full")
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes").join(name);
    fs::read_to_string(path).unwrap()
}

/// The memory that the manifest allows the server, in bytes.
fn shipped_memory() -> u64 {
    let manifest = shipped("deployment.yaml");
    let limit = manifest.lines().find_map(|line| line.trim().strip_prefix("limits: {memory: ")?.strip_suffix("Mi}"));
    limit.unwrap().parse::<u64>().unwrap() << 20
}

/// The shipped `[limits]`, and how many connections they allow.
fn shipped_limits() -> (String, usize) {
    let config = shipped("auth-ticket.toml");
    let limits = config.split_once("[limits]").unwrap().1;
    let count = limits.lines().find_map(|line| line.strip_prefix("max_connections = ")).unwrap();
    (format!("[limits]{limits}"), count.parse().unwrap())
}

/// A server within the shipped limits.
struct Inside {
    server: Server,
    admin: SocketAddr,
    ticket: String,
    connections: usize,
    limit: u64,
    fence: Option<Fence>,
    _site: Site,
    _platform: Server,
}

impl Inside {
    fn start() -> Self {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let ((tables, connections), limit) = (shipped_limits(), shipped_memory());
        let platform = simulator();
        let site = Site::new(platform.address, &tables);
        let fence = Fence::new(limit);
        let mut serve = site.command();
        serve.env_remove("RUST_LOG").args(["--admin-listen", "127.0.0.1:0"]);
        let program = std::env::var_os("SOAK_BINARY").map_or_else(|| PathBuf::from(BINARY), PathBuf::from);
        let mut command = fence::within(fence.as_ref(), SOFT_DESCRIPTORS, &program, &serve);
        let server = Server::start_with(command.stdin(Stdio::null()), Stdio::piped());
        until("it says where operators connect", || server.stdout().lines().count() == 2);
        let admin = server.admin();
        let ticket = server.ticket("demo-alice-1");
        Self { server, admin, ticket, connections, limit, fence, _site: site, _platform: platform }
    }

    fn open_connections(&self) -> usize {
        let metrics = call(self.admin, "GET", "/metrics", &[], "").body_text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("auth_ticket_connections{listener=\"clients\"} "));
        line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    }

    /// As many connections as there may be, but for some, each with as much of `text` as is taken from it.
    fn crowd(&self, text: &[u8]) -> Vec<Pushing> {
        let count = self.connections - SPARE;
        let mut crowd: Vec<Pushing> = (0..count).map(|_| Pushing::connect(self.server.address)).collect();
        // Until nothing is taken for a while: what is full now may be taken later.
        let mut idle = 0;
        while idle < 20 {
            let pushed: usize = crowd.iter_mut().map(|pushing| pushing.push(text)).sum();
            idle = if pushed == 0 { idle + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(5));
        }
        until("all are taken", || self.open_connections() > count);
        crowd
    }

    /// Does `abuse` while good clients check and probes ask; then says how much memory that took at most.
    fn withstands<T>(mut self, what: &str, abuse: impl FnOnce(&Self) -> T) {
        let before = self.server.peak_kib();
        let over = &AtomicBool::new(false);
        let (checks, start) = (AtomicUsize::new(0), Instant::now());
        let this = &self;
        let slowest = std::thread::scope(|scope| {
            let probing = scope.spawn(|| {
                let (mut held, mut slowest) = (Held::open(this.server.address), Duration::ZERO);
                while !over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    assert_eq!(held.verify(&this.ticket), 200, "{what}");
                    for probe in ["/healthz", "/readyz"] {
                        assert_eq!(call(this.admin, "GET", probe, &[], "").status, 200, "{what}: {probe}");
                    }
                    slowest = slowest.max(asked.elapsed());
                    checks.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(5));
                }
                slowest
            });
            let _ends = OnDrop(over);
            let held = abuse(this);
            let seen = checks.load(Ordering::Relaxed);
            until("checks go on", || checks.load(Ordering::Relaxed) > seen + 10 || probing.is_finished());
            over.store(true, Ordering::Relaxed);
            let slowest = probing.join().unwrap();
            drop(held);
            slowest
        });
        let (peak, limit) = (self.server.peak_kib(), self.limit >> 10);
        let sockets = self.fence.as_ref().and_then(Fence::sockets_kib);
        let fenced = match (&self.fence, sockets) {
            (None, _) => "no control group".to_owned(),
            (Some(_), None) => "in a control group, with its sockets".to_owned(),
            (Some(_), Some(kib)) => format!("in a control group, and {} MiB of sockets", kib >> 10),
        };
        say(&format!(
            "{what}: at most {} MiB of {}, {fenced}; {} MiB before; {} checks with probes in {:?}, the slowest {slowest:?}",
            peak >> 10,
            limit >> 10,
            before >> 10,
            checks.load(Ordering::Relaxed),
            start.elapsed(),
        ));
        // Version 2 of control groups counts both together.
        assert!(peak + sockets.unwrap_or_default() < limit, "{what}: {peak} KiB and {sockets:?} of {limit}");
        assert_eq!(self.server.verify(&self.ticket).status, 200);
        self.server.stop();
    }
}

/// Ends the probing, also where the abuse fails.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection, and how much was sent on it.
struct Pushing {
    stream: TcpStream,
    sent: usize,
}

impl Pushing {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        // What waits here takes nothing from this machine, which the server's own shares.
        sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, sent: 0 }
    }

    /// Sends what the system takes of the rest of `text`; how much that was.
    fn push(&mut self, text: &[u8]) -> usize {
        let before = self.sent;
        while let Some(rest @ [_, ..]) = text.get(self.sent..)
            && let Ok(len) = self.stream.write(rest)
        {
            self.sent += len;
        }
        self.sent - before
    }
}

#[expect(clippy::print_stdout, reason = "what make soak shows")]
fn say(line: &str) {
    println!("{line}");
}

#[test]
fn unfinished_heads_on_every_connection() {
    for len in [22_000, 125_000] {
        let head = format!("GET /v1/verify HTTP/1.1\r\nhost: x\r\nx-long: {}", "x".repeat(len));
        Inside::start().withstands(&format!("heads of {len} bytes"), |inside| inside.crowd(head.as_bytes()));
    }
}

#[test]
fn bodies_held_back_on_every_connection() {
    let head = "POST /v1/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 65536\r\n\r\n";
    let text = head.to_owned() + &" ".repeat(65_535);
    Inside::start().withstands("bodies that lack a byte", |inside| inside.crowd(text.as_bytes()));
}

#[test]
fn bodies_whose_logins_take_their_time_with_more_behind_them() {
    let head = "POST /v1/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 65536\r\n\r\n";
    let login = format!("{head}{{\"code\":\"slow-2000-alice\"}}{}", " ".repeat(65_536 - 26));
    Inside::start().withstands("bodies of slow logins", |inside| inside.crowd(login.repeat(3).as_bytes()));
}

#[test]
fn answers_that_nobody_reads_on_every_connection() {
    let text = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    Inside::start().withstands("answers that nobody reads", |inside| inside.crowd(text.as_bytes()));
}

#[test]
fn logins_that_are_abandoned() {
    let count = if is_full() { 20_000 } else { 4_000 };
    Inside::start().withstands(&format!("{count} abandoned logins"), |inside| {
        for number in 0..count {
            let body = format!("{{\"code\":\"slow-300-user{number}\"}}");
            let head = "POST /v1/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
            let mut stream = TcpStream::connect(inside.server.address).unwrap();
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
        until("all are in the past", || inside.open_connections() <= 2);
    });
}
