//! Runs the binary: commands that end, and servers that do not.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::answer::Answer;
use super::blocking::call;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_auth-ticket");
/// For whatever takes a moment. Only a failure takes that long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The binary with an empty environment.
pub(crate) fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

/// The same, with the most talkative log.
pub(crate) fn auth_ticket(args: &[&str]) -> Command {
    let mut command = bare(args);
    command.env("RUST_LOG", "trace");
    command
}

/// Asks until the answer is yes, or fails with `what`.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "not so within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::of_output(command.output().unwrap())
    }

    pub(crate) fn of_child(child: Child) -> Self {
        Self::of_output(child.wait_with_output().unwrap())
    }

    fn of_output(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// It exited with 0 and had nothing to say on standard error.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:#?}");
        self.stdout
    }

    /// It exited with 1, said why, and wrote nothing on standard output.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, &*self.stdout), (Some(1), ""), "{self:#?}");
        assert!(self.stderr.contains("error: "), "{self:#?}");
        self.stderr
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }
}

/// A server in a process of its own, killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    stdout: Collected,
    stderr: Collected,
}

impl Server {
    /// Starts `command` and waits for the first line that it prints, which has to hold its address.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// The same with another standard error; what it is told there is the test's affair.
    #[track_caller]
    pub(crate) fn start_with(command: &mut Command, stderr: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        // Otherwise the command would keep the other ends of what it gave its child.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let stdout = Collected::from(child.stdout.take().unwrap());
        let stderr = child.stderr.take().map(Collected::from).unwrap_or_default();
        let start = Instant::now();
        while !stdout.text().contains('\n') {
            let ended = child.try_wait().unwrap().is_some() || start.elapsed() > DEADLINE;
            if ended {
                let _ = child.kill();
                let _ = child.wait();
                panic!("it does not start:\n{}\n{}", stdout.text(), stderr.text());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let address = address_in(stdout.text().lines().next().unwrap_or_default());
        Self { child, address, stdout, stderr }
    }

    /// Where operators connect: the second line that it prints.
    #[track_caller]
    pub(crate) fn admin(&self) -> SocketAddr {
        until("the address for operators is told", || self.stdout().matches('\n').count() >= 2);
        address_in(self.stdout().lines().nth(1).unwrap_or_default())
    }

    /// The most memory that it has had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end that a signal or a client has brought about.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// SIGTERM, and waits until it has ended.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL: it learns nothing of its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as a supervisor does, which has to succeed.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        assert_eq!(self.terminate().code(), Some(0), "{}", self.stderr());
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        call(self.address, "GET", path, headers, "")
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        call(self.address, "POST", path, headers, body)
    }

    /// `POST /v1/login` with this code and nothing else.
    pub(crate) fn login(&self, code: &str) -> Answer {
        let body = serde_json::json!({ "code": code }).to_string();
        self.post("/v1/login", &[("Content-Type", "application/json")], &body)
    }

    /// A login that has to succeed.
    #[track_caller]
    pub(crate) fn ticket(&self, code: &str) -> String {
        let answer = self.login(code);
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.stderr());
        answer.json()["ticket"].as_str().unwrap().to_owned()
    }

    pub(crate) fn verify(&self, ticket: &str) -> Answer {
        self.get("/v1/verify", &[("weixinauth", ticket)])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `auth-ticket simulator` on a free port.
#[track_caller]
pub(crate) fn simulator() -> Server {
    Server::start(&mut auth_ticket(&["simulator", "--listen", "127.0.0.1:0"]))
}

/// The demo on a free port, with `directory` for temporary files.
pub(crate) fn demo(directory: &Path) -> Command {
    let mut command = auth_ticket(&["demo", "--listen", "127.0.0.1:0"]);
    command.env("TMPDIR", directory);
    command
}

/// The address in the first URL of `line`.
#[track_caller]
pub(crate) fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("http://").unwrap_or_else(|| panic!("no URL in {line:?}"));
    let end = rest.find([' ', '/', ')']).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

/// What a stream has brought so far.
#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<String>>);

impl Collected {
    fn from(stream: impl Read + Send + 'static) -> Self {
        let collected = Self::default();
        let shared = collected.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                shared.0.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        collected
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}
