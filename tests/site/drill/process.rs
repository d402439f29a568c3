//! Real processes: replicas, the simulated platform, nginx, the command line. All die with their handle.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use tempfile::TempDir;

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_auth-ticket");
/// The one app of every site.
pub(crate) const APPID: &str = "wx0123456789abcdef";
/// Where a listener goes when any port will do.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// A child process, killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// Open for as long as the process lives: it may go on printing.
    stdout: Option<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes to standard error is kept in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let stderr = File::options().create(true).append(true).open(log).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout, log: log.to_owned() }
    }

    /// What follows `prefix` on the next line of standard output, up to a blank.
    fn announced(&mut self, prefix: &str) -> String {
        let mut line = String::new();
        if let Some(stdout) = &mut self.stdout {
            stdout.read_line(&mut line).unwrap();
        }
        let said = line.trim().strip_prefix(prefix).and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        said.unwrap_or_else(|| panic!("it said {line:?} and not {prefix:?}; its log:\n{}", self.log()))
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGKILL: it learns nothing of its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits until it has ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory, a simulated platform and a configuration: what replicas share, apart from their keys.
pub(crate) struct Site {
    pub(crate) directory: TempDir,
    _simulator: Process,
}

impl Site {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(BINARY);
        let mut simulator =
            Process::start(command.args(["simulator", "--listen", ANY_PORT]), &directory.path().join("simulator.log"));
        let platform = simulator.announced("simulator on ");
        let config = format!(
            "[[app]]\nappid = \"{APPID}\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \"{platform}\"\n"
        );
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        Self { directory, _simulator: simulator }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new keys directory of this name with first keys.
    pub(crate) fn keys(&self, name: &str) -> PathBuf {
        let keys = self.path(name);
        cli(&["keys", "init"], &keys);
        keys
    }

    /// Starts a replica, and waits until it listens.
    pub(crate) fn replica(&self, setup: Setup) -> Replica {
        let mut command = Command::new(&setup.binary);
        command
            .args(["serve", "--admin-listen", ANY_PORT, "--listen", &setup.listen, "--keys-dir"])
            .arg(&setup.keys)
            .arg("--config")
            .arg(self.path("config.toml"))
            .env("AUTH_TICKET_KEYS_POLL", &setup.poll)
            .env("WX_SECRET", "0123456789abcdef0123456789abcdef");
        if let Some(library) = &setup.faketime {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME", format!("{:+.1}s", setup.clock_s))
                // Timers go on as they are; only the time of day is wrong.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let log = self.path(&format!("{}.log", setup.name));
        let mut process = Process::start(&mut command, &log);
        let url = process.announced("listening on ");
        let admin = process.announced("operators on ");
        Replica { setup, process, url, admin }
    }
}

/// How a replica is started.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    pub(crate) keys: PathBuf,
    pub(crate) listen: String,
    pub(crate) poll: String,
    /// How far its clock is ahead, in seconds; needs `faketime`.
    pub(crate) clock_s: f64,
    pub(crate) faketime: Option<PathBuf>,
}

impl Setup {
    pub(crate) fn new(name: &str, keys: &Path, poll: &str) -> Self {
        Self {
            name: name.to_owned(),
            binary: PathBuf::from(BINARY),
            keys: keys.to_owned(),
            listen: ANY_PORT.to_owned(),
            poll: poll.to_owned(),
            clock_s: 0.0,
            faketime: None,
        }
    }
}

/// A running `serve`.
pub(crate) struct Replica {
    pub(crate) setup: Setup,
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) admin: String,
}

impl Replica {
    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The way it was started, but for the port, which is now known.
    pub(crate) fn setup_here(&self) -> Setup {
        Setup { listen: self.address().to_owned(), ..self.setup.clone() }
    }
}

/// Runs a command of the program on the true clock, and gives back what it printed. It must succeed.
pub(crate) fn cli(arguments: &[&str], keys: &Path) -> String {
    let output = Command::new(BINARY).args(arguments).arg("--keys").arg(keys).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} failed: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that does what it can and fails all the same, and gives back what it complained of.
pub(crate) fn cli_fails(arguments: &[&str], keys: &Path) -> String {
    let output = Command::new(BINARY).args(arguments).arg("--keys").arg(keys).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    stderr
}

/// The 8 digits after `ticket-` in what a command printed.
pub(crate) fn kid_in(printed: &str) -> String {
    let at = printed.find("ticket-").expect("it names a ticket key");
    printed[at + 7..at + 15].to_owned()
}

/// nginx in front of `replicas`: round robin, and no second try, so that no error stays hidden.
pub(crate) struct Nginx {
    _process: Process,
    pub(crate) url: String,
}

impl Nginx {
    pub(crate) fn start(site: &Site, nginx: &Path, replicas: &[Replica]) -> Self {
        let address = free_address();
        let root = site.directory.path().display();
        let servers: Vec<String> =
            replicas.iter().map(|replica| format!("server {} max_fails=0;", replica.address())).collect();
        let servers = servers.join("\n");
        let config = format!(
            "daemon off;
master_process off;
worker_processes 1;
pid {root}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
access_log off;
client_body_temp_path {root}/nginx-body;
proxy_temp_path {root}/nginx-proxy;
fastcgi_temp_path {root}/nginx-fastcgi;
uwsgi_temp_path {root}/nginx-uwsgi;
scgi_temp_path {root}/nginx-scgi;
keepalive_requests 1000000;
upstream replicas {{
{servers}
keepalive 16;
keepalive_requests 1000000;
}}
server {{
listen {address};
location / {{
proxy_pass http://replicas;
proxy_http_version 1.1;
proxy_set_header Connection \"\";
proxy_next_upstream off;
proxy_connect_timeout 1s;
proxy_read_timeout 10s;
add_header X-Replica $upstream_addr always;
}}
}}
}}
"
        );
        let file = site.path("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(site.directory.path()).arg("-e").arg(site.path("nginx.log")).arg("-c").arg(&file);
        let process = Process::start(&mut command, &site.path("nginx.log"));
        Self { _process: process, url: format!("http://{address}") }
    }
}

/// A port that was free a moment ago: nginx cannot say which one it took.
fn free_address() -> SocketAddr {
    TcpListener::bind(ANY_PORT).and_then(|listener| listener.local_addr()).unwrap()
}

/// The tools of the drill that are not part of the project.
pub(crate) struct Tools {
    pub(crate) nginx: PathBuf,
    pub(crate) faketime: PathBuf,
}

impl Tools {
    /// # Panics
    /// One is missing: a drill that is left out in silence shows nothing.
    pub(crate) fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let nginx = std::env::split_paths(&path)
            .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
            .map(|directory| directory.join("nginx"))
            .find(|file| file.is_file())
            .expect("nginx is missing, and the drill needs it: run make drill-tools");
        let libraries = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].into_iter().flat_map(|root| {
            let below = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
            below.chain([PathBuf::from(root)]).collect::<Vec<_>>()
        });
        let faketime = libraries
            .map(|directory| directory.join("faketime/libfaketimeMT.so.1"))
            .find(|file| file.is_file())
            .expect("libfaketime is missing, and the drill needs it: run make drill-tools");
        Self { nginx, faketime }
    }
}
