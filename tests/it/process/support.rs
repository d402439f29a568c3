//! Running the binary: commands that end, servers that do not, a keys directory under watch, and a plain HTTP client.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{Key, KeyName, KeySpec, KeyUse, text};
use auth_ticket::keystore::Directory;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_auth-ticket");
pub(crate) const APPID: &str = "wx0123456789abcdef";
/// For whatever takes a moment. Only a failure takes that long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The binary with an environment of nothing but the most talkative log.
pub(crate) fn auth_ticket(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).env_clear().env("RUST_LOG", "trace").stdin(Stdio::null());
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

/// What can be told of a file without opening the seal: content, permission bits, time of the last change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    content: Vec<u8>,
    pub(crate) mode: u32,
    modified: (i64, i64),
}

/// A keys directory; each command that runs on it is watched for what no command may do.
#[derive(Debug)]
pub(crate) struct Keys {
    root: TempDir,
}

impl Keys {
    /// The directory does not exist yet.
    pub(crate) fn missing() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// As `keys init` makes it.
    pub(crate) fn init() -> Self {
        let keys = Self::missing();
        keys.run(&["init"]).done();
        keys
    }

    /// A temporary directory that nothing but the keys directory is in.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("keys")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// `keys ARGS --keys DIRECTORY`, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = auth_ticket(&["keys"]);
        command.args(args).arg("--keys").arg(self.path());
        command
    }

    /// Adds a key that was made `age_s` ago, sealed from then on, and was to seal for `life_s`.
    ///
    /// Not under the lock: a process that another test starts meanwhile would hold it, too, for a moment.
    pub(crate) fn add_old(&self, key_use: KeyUse, age_s: u64, life_s: u64) -> KeyName {
        Directory::new(self.path(), false).create().unwrap();
        let created = SystemClock.now().minus(age_s);
        let (alg, seal_until) = (key_use.default_alg(), created.plus(life_s));
        let key = Key::generate(KeySpec { key_use, alg, created, seal_from: created, seal_until, max_ttl_s: 3600 });
        let key = key.unwrap();
        let mut options = fs::File::options();
        let mut file = options.create_new(true).write(true).mode(0o600).open(self.file(&format!("{}.key", key.name())));
        file.as_mut().unwrap().write_all(text::encode(&key).as_bytes()).unwrap();
        key.name()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.watch(args, &mut self.command(args))
    }

    /// Runs `command`, and sees to it that it shows no secret, changes no file and, unless it prunes, removes none.
    pub(crate) fn watch(&self, args: &[&str], command: &mut Command) -> Outcome {
        let before = self.files();
        let outcome = Outcome::of(command);
        let after = self.files();
        for (name, seen) in &before {
            match after.get(name) {
                Some(now) => assert_eq!(now, seen, "{args:?} changed {name}"),
                None => assert!(args.contains(&"prune") || name.starts_with(".tmp-"), "{args:?} removed {name}"),
            }
        }
        for secret in self.secrets() {
            let shown = [&outcome.stdout, &outcome.stderr].into_iter().any(|text| text.contains(&secret));
            assert!(!shown, "{args:?} shows a secret");
        }
        outcome
    }

    /// Everything in the directory, the lock excepted.
    pub(crate) fn files(&self) -> BTreeMap<String, Seen> {
        let Ok(entries) = fs::read_dir(self.path()) else { return BTreeMap::new() };
        let see = |entry: fs::DirEntry| {
            let metadata = entry.metadata().unwrap();
            let content = if metadata.is_file() { fs::read(entry.path()).unwrap_or_default() } else { Vec::new() };
            let modified = (metadata.mtime(), metadata.mtime_nsec());
            (entry.file_name().into_string().unwrap(), Seen { content, mode: metadata.mode() & 0o7777, modified })
        };
        entries.map(|entry| see(entry.unwrap())).filter(|(name, _)| name != ".lock").collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files().into_keys().collect()
    }

    /// The 64 hex digits of every key.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let secret_of = |seen: &Seen| {
            let text: Value = serde_json::from_slice(&seen.content).ok()?;
            text.get("secret")?.as_str().map(str::to_owned)
        };
        self.files().values().filter_map(secret_of).collect()
    }

    /// `keys list --json`.
    #[track_caller]
    pub(crate) fn list(&self) -> Value {
        self.run(&["list", "--json"]).json()
    }

    /// The kid of the key of this use that is in this state; there has to be one, and one only.
    #[track_caller]
    pub(crate) fn kid(&self, key_use: &str, state: &str) -> String {
        let list = self.list();
        let keys = list["keys"].as_array().unwrap();
        let mut found = keys.iter().filter(|key| key["use"] == key_use && key["state"] == state);
        let (Some(only), None) = (found.next(), found.next()) else {
            panic!("not one {state} {key_use} key: {list:#}")
        };
        only["kid"].as_str().unwrap().to_owned()
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

    /// Ends it as a supervisor does, which has to succeed.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.stderr());
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

/// An HTTP answer, and all of it as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) raw: String,
}

impl Answer {
    pub(crate) fn body(&self) -> &str {
        self.raw.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.raw.split_once("\r\n\r\n").map_or(&*self.raw, |(head, _)| head);
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|error| panic!("{error}: {}", self.raw))
    }
}

/// One request on one connection.
#[track_caller]
pub(crate) fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    try_call(address, method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

pub(crate) fn try_call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut head =
        vec![format!("{method} {path} HTTP/1.1"), format!("Host: {address}"), "Connection: close".to_owned()];
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !body.is_empty() || method == "POST" {
        head.push(format!("Content-Length: {}", body.len()));
    }
    stream.write_all((head.join("\r\n") + "\r\n\r\n" + body).as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    let raw = String::from_utf8_lossy(&raw).into_owned();
    let status = raw.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {raw:?}")))?;
    Ok(Answer { status, raw })
}

/// A server's configuration with one app, and the keys directory that it names.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) keys: Keys,
    pub(crate) config: PathBuf,
}

impl Site {
    pub(crate) const SECRET: &str = "app-secret";

    /// For the platform at `upstream`; `tables` are added at the end of the file.
    pub(crate) fn new(upstream: SocketAddr, tables: &str) -> Self {
        Self::with_keys(Keys::init(), upstream, tables)
    }

    /// The same with keys that are there already.
    pub(crate) fn with_keys(keys: Keys, upstream: SocketAddr, tables: &str) -> Self {
        let config = keys.root().join("login.toml");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin_listen = \"\"\nkeys_dir = {:?}\n\n[[app]]\nappid = \"{APPID}\"\n\
             platform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \"http://{upstream}\"\n{tables}",
            keys.path()
        );
        fs::write(&config, text).unwrap();
        Self { keys, config }
    }

    /// `serve`, not started yet.
    pub(crate) fn command(&self) -> Command {
        let mut command = auth_ticket(&["serve", "--config"]);
        command.arg(&self.config).env("WX_SECRET", Self::SECRET);
        command
    }

    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        Server::start(&mut self.command())
    }
}

/// What a platform of a test does with a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Status line's rest and further header lines, then the body.
    Http(&'static str, String),
    /// Half an answer.
    Cut(String),
    Silence,
}

/// A platform that answers as the test says and remembers what it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    /// `answer` gets each request, head and body.
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let (requests, answer) = (Arc::clone(&upstream.requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                // A client that goes away early is the test's doing.
                std::thread::spawn(move || drop(Self::serve(stream, &requests, &*answer)));
            }
        });
        upstream
    }

    fn serve(stream: TcpStream, requests: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Reply) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let lengths = head
            .lines()
            .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        let mut body = vec![0; lengths.sum()];
        stream.read_exact(&mut body)?;
        let request = head + &String::from_utf8_lossy(&body);
        requests.lock().unwrap().push(request.clone());
        let stream = stream.get_mut();
        match answer(&request) {
            Reply::Http(status, body) => {
                let len = body.len();
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
            }
            Reply::Cut(body) => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{body}"),
            Reply::Silence => stream.read(&mut [0]).map(drop),
        }
    }

    /// All requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
