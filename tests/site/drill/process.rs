//! Real processes: replicas, the simulated platform, nginx, the command line. All die with their handle.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::system::Running;
use crate::support::{APPID, BINARY, Outcome, Server, bare, simulator};

/// Where a listener goes when any port will do.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// A directory, a simulated platform and a configuration: what replicas share, apart from their keys.
pub(crate) struct Site {
    pub(crate) directory: TempDir,
    _simulator: Server,
}

impl Site {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let simulator = simulator();
        let platform = simulator.address;
        let config = format!(
            "[[app]]\nappid = \"{APPID}\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \"http://{platform}\"\n"
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
            .env_clear()
            .stdin(Stdio::null())
            .env("AUTH_TICKET_KEYS_POLL", &setup.poll)
            .env("WX_SECRET", "0123456789abcdef0123456789abcdef");
        if let Some(library) = &setup.faketime {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME", format!("{:+.1}s", setup.clock_s))
                // Timers go on as they are; only the time of day is wrong.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let server = Server::start(&mut command);
        let (url, admin) = (format!("http://{}", server.address), format!("http://{}", server.admin()));
        Replica { setup, server, url, admin }
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
    pub(crate) server: Server,
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
    let outcome = Outcome::of(bare(arguments).arg("--keys").arg(keys));
    assert_eq!(outcome.code, Some(0), "{arguments:?} failed: {outcome:?}");
    outcome.stdout
}

/// Runs a command that does what it can and fails all the same, and gives back what it complained of.
pub(crate) fn cli_fails(arguments: &[&str], keys: &Path) -> String {
    let outcome = Outcome::of(bare(arguments).arg("--keys").arg(keys));
    assert_eq!(outcome.code, Some(1), "{arguments:?}: {outcome:?}");
    outcome.stderr
}

/// The 8 digits after `ticket-` in what a command printed.
pub(crate) fn kid_in(printed: &str) -> String {
    let at = printed.find("ticket-").expect("it names a ticket key");
    printed[at + 7..at + 15].to_owned()
}

/// nginx in front of `replicas`: round robin, and no second try, so that no error stays hidden.
pub(crate) struct Nginx {
    _running: Running,
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
        let log = File::options().create(true).append(true).open(site.path("nginx.log")).unwrap();
        let running = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        Self { _running: running, url: format!("http://{address}") }
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
