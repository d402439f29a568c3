//! Nobody reads what a server writes: it goes on, counts what is lost, and ends when it is told to.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{BINARY, DEADLINE, Server, Site, auth_ticket, call, simulator, until};

/// A server with the most talkative log, whose reader is there and does not read.
fn start() -> (Server, Site, Server, SocketAddr, PipeReader) {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let (reader, writer) = pipe().unwrap();
    let mut command = site.command();
    command.env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0");
    let server = Server::start_with(&mut command, Stdio::from(writer));
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    let admin = server.admin();
    (platform, site, server, admin, reader)
}

fn dropped(admin: SocketAddr) -> u64 {
    let metrics = call(admin, "GET", "/metrics", &[], "").body_text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("auth_ticket_log_lines_dropped_total "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// Has checks refused, on one connection, until lines are lost.
fn flood(server: &Server, admin: SocketAddr) {
    const AT_ONCE: usize = 500;
    let request = format!("GET /v1/verify HTTP/1.1\r\nHost: x\r\nX-Request-Id: {}\r\n\r\n", "a".repeat(64));
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let start = Instant::now();
    while dropped(admin) == 0 {
        assert!(start.elapsed() < DEADLINE, "no line is lost");
        let mut writer = stream.try_clone().unwrap();
        let requests = request.repeat(AT_ONCE);
        let sending = std::thread::spawn(move || writer.write_all(requests.as_bytes()).unwrap());
        let (mut answers, mut piece) = (Vec::new(), [0; 16384]);
        while String::from_utf8_lossy(&answers).matches("HTTP/1.1 401").count() < AT_ONCE {
            let len = stream.read(&mut piece).expect("checks go on");
            assert!(len > 0, "the connection was closed");
            answers.extend_from_slice(&piece[..len]);
        }
        sending.join().unwrap();
    }
}

#[test]
fn a_log_that_nobody_reads_stalls_nothing() {
    let (_platform, _site, mut server, admin, _unread) = start();
    let ticket = server.ticket("demo-alice-1");
    flood(&server, admin);
    assert_eq!(server.verify(&ticket).status, 200);
    assert_eq!(server.get("/healthz", &[]).status, 200);
    assert_eq!(server.login("demo-bob-1").status, 200);
    assert_eq!(call(admin, "GET", "/readyz", &[], "").status, 200);
    assert_eq!(call(admin, "PUT", "/log", &[("Content-Length", "4")], "info").status, 200);
    let lost = dropped(admin);
    assert!(lost > 0);
    let start = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "it ended within the shutdown grace: {:?}", start.elapsed());
}

/// A process that reads what a server logs, until it is stopped.
struct Reader(Child);

impl Reader {
    fn start() -> (Self, Stdio) {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let log = Stdio::from(cat.stdin.take().unwrap());
        (Self(cat), log)
    }

    fn stop(&self) {
        kill_process(Pid::from_child(&self.0), Signal::STOP).unwrap();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The times of checks, in order, while others log in, renew and are refused.
fn times_of_checks(server: &Server, time: Duration, codes: &str) -> Vec<Duration> {
    let ticket = &server.ticket(&format!("demo-alice-{codes}"));
    let start = Instant::now();
    let is_over = || start.elapsed() > time;
    let mut times = std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0.. {
                if is_over() {
                    return;
                }
                assert_eq!(server.login(&format!("demo-bob-{codes}{number}")).status, 200);
                assert_eq!(server.post("/v1/renew", &[("weixinauth", ticket)], "").status, 200);
                assert_eq!(server.get("/v1/session", &[("weixinauth", "AQAA")]).status, 401);
            }
        });
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("GET /v1/verify HTTP/1.1\r\nHost: x\r\nweixinauth: {ticket}\r\n\r\n");
        let (mut times, mut answer) = (Vec::new(), [0; 4096]);
        while !is_over() {
            let sent = Instant::now();
            stream.write_all(request.as_bytes()).unwrap();
            let len = stream.read(&mut answer).expect("checks go on");
            assert!(answer[..len].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..len]));
            times.push(sent.elapsed());
        }
        times
    });
    times.sort_unstable();
    times
}

/// Of the 99th percentile of checks, with the reader stopped and before.
const MOST_TIMES_QUIET: f64 = 2.0;

/// `SOAK=full` makes it a minute each, in which the times mean something: `make soak-log` shows and judges them.
#[test]
fn a_reader_that_is_stopped_costs_lines_and_no_answers() {
    let is_full = std::env::var_os("SOAK").is_some_and(|form| form == "full");
    let time = if is_full { Duration::from_secs(60) } else { Duration::from_secs(1) };
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let (reader, log) = Reader::start();
    let serve = site.command();
    let mut command = Command::new(std::env::var_os("SOAK_BINARY").unwrap_or(BINARY.into()));
    command.args(serve.get_args()).env_clear().args(["--admin-listen", "127.0.0.1:0"]).stdin(Stdio::null());
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut server = Server::start_with(&mut command, log);
    until("it says where operators connect", || server.stdout().lines().count() == 2);
    let admin = server.admin();

    let quiet = times_of_checks(&server, time, "quiet");
    reader.stop();
    let stopped = times_of_checks(&server, time, "stopped");
    flood(&server, admin);
    let lost = dropped(admin);
    server.signal(Signal::TERM);
    let code = server.wait().code();
    let percentile = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    for (what, times) in [("log read", &quiet), ("reader stopped", &stopped)] {
        let (p50, p99) = (percentile(times, 50), percentile(times, 99));
        say(&format!("{what}: {} checks, p50 {p50:?}, p99 {p99:?}", times.len()));
    }
    let times = percentile(&stopped, 99).as_secs_f64() / percentile(&quiet, 99).as_secs_f64();
    say(&format!("p99 {times:.2} x the quiet one; lines lost: {lost}; exit code after SIGTERM: {code:?}"));
    assert!(lost > 0 && code == Some(0));
    assert!(!is_full || times <= MOST_TIMES_QUIET, "p99 of checks is {times:.2} x the quiet one");
}

#[expect(clippy::print_stdout, reason = "what make soak shows")]
fn say(line: &str) {
    println!("{line}");
}

#[test]
fn when_the_log_is_read_again_it_says_how_much_is_missing_and_goes_on() {
    let (_platform, _site, mut server, admin, mut unread) = start();
    flood(&server, admin);
    let log = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&log);
    let reading = std::thread::spawn(move || {
        let mut piece = [0; 16384];
        while let Ok(len) = unread.read(&mut piece)
            && len > 0
        {
            shared.lock().unwrap().extend_from_slice(&piece[..len]);
        }
    });
    let text = || String::from_utf8_lossy(&log.lock().unwrap()).into_owned();
    until("it says what is missing", || text().contains("log lines were dropped, since nobody read them"));
    let told: u64 = text().lines().filter_map(|line| line.split_once("dropped=")?.1.trim().parse::<u64>().ok()).sum();
    assert_eq!(told, dropped(admin));
    server.stop();
    reading.join().unwrap();
    assert!(text().ends_with("stopped\n"), "nothing of the end is missing");
}

#[test]
fn a_failure_to_start_ends_although_nobody_reads_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let (unread, writer) = pipe().unwrap();
    fill(&writer);
    let mut command = site.command();
    command.args(["--listen", &taken.local_addr().unwrap().to_string()]).stdout(Stdio::null()).stderr(writer);
    let mut child = command.spawn().unwrap();
    let mut status = None;
    until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(1));
    drop(unread);
}

#[test]
fn the_simulator_goes_on_when_nobody_reads_its_log_either() {
    let (unread, writer) = pipe().unwrap();
    fill(&writer);
    let mut command = auth_ticket(&["simulator", "--listen", "127.0.0.1:0"]);
    let mut server = Server::start_with(&mut command, Stdio::from(writer));
    assert_eq!(server.get("/_sim/nothing", &[]).status, 404);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    drop(unread);
}

/// Leaves no room in the pipe.
fn fill(mut writer: &PipeWriter) {
    fcntl_setfl(writer, OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(writer, OFlags::empty()).unwrap();
}
