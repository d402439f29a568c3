//! The module for nginx (`modules/nginx`), in the real nginx: what holds for gateways that ask the server holds for it.

mod agreement;
mod files;
mod phases;
mod refusals;
mod soak;
mod trouble;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::AppId;
use auth_ticket::keystore::Directory;
use auth_ticket::verifier;
use serde_json::Value;
use tempfile::TempDir;

use super::gateway::{Door, Gateway, Kind, program};
use crate::support::system::{deploy_tools, told, write};
use crate::support::{APPID, Answer, Call, Keys, MAX_SESSION_S, Server, Site, simulator};

/// Where `make nginx-module-try` has built another nginx, and the module for it.
fn tried() -> Option<PathBuf> {
    std::env::var_os("NGINX_MODULE_TRY").map(PathBuf::from)
}

/// What `make nginx-module` builds.
fn module() -> PathBuf {
    let directory = tried().unwrap_or_else(|| deploy_tools().with_file_name("nginx"));
    let path = directory.join("ngx_http_auth_ticket_module.so");
    assert!(path.is_file(), "{} is not there, and without it this is not tested: make nginx-module", path.display());
    path
}

/// Puts a verifier file in place as `auth-ticket keys export` does: at once, for owner and group.
fn put(path: &Path, content: &str) {
    put_with_mode(path, content, 0o640);
}

fn put_with_mode(path: &Path, content: &str, mode: u32) {
    let new = path.with_extension("new");
    write(&new, content);
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(new, path).unwrap();
}

/// The verifier file of `appid` for the keys in `keys`, made at `made`.
fn verifier_file_of(keys: &Keys, appid: &str, made: UnixSeconds) -> String {
    let app = AppId::parse(appid).unwrap();
    let (ring, _) = Directory::new(keys.path()).load_ring([app.clone()], SystemClock.now()).unwrap();
    verifier::encode(&ring, &app, "weapp", MAX_SESSION_S, made).unwrap().to_string()
}

pub(crate) fn verifier_file(keys: &Keys) -> String {
    verifier_file_of(keys, APPID, SystemClock.now())
}

/// A server with one app, its platform, and a verifier file of its keys.
struct Owner {
    site: Site,
    server: Server,
    _platform: Server,
}

impl Owner {
    fn start() -> Self {
        let platform = simulator();
        let site = Site::new(platform.address, "");
        let server = Server::start(site.command().env("AUTH_TICKET_KEYS_POLL", "1s"));
        Self { site, server, _platform: platform }
    }

    fn verifier_file(&self) -> String {
        verifier_file(&self.site.keys)
    }
}

/// nginx with the module, about to start.
struct Nginx {
    directory: TempDir,
    workers: u32,
    /// In front of `http`.
    main: &'static str,
    /// At the beginning of `http`, with `DIR` for the directory.
    http: String,
    /// Inside the server, with `DIR` for the directory.
    server: String,
}

/// Headers are not looked through by nginx itself, so that it is the module that does.
const LAX: &str = "underscores_in_headers on; ignore_invalid_headers off; large_client_header_buffers 4 32k;\n";

impl Nginx {
    /// Checks everything, with the verifier file `app.verify`, and hands it to `service`.
    fn new(service: std::net::SocketAddr, verifier_file: &str) -> Self {
        let location = format!(
            "location / {{ auth_ticket on; proxy_pass http://{service}; proxy_http_version 1.1;\n\
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $module_connection; }}"
        );
        let map = "map $http_upgrade $module_connection { default \"\"; websocket upgrade; }\n";
        let nginx = Self {
            directory: tempfile::tempdir().unwrap(),
            workers: 1,
            main: "",
            http: format!("{LAX}{map}auth_ticket_verifier DIR/app.verify;"),
            server: location,
        };
        put(&nginx.file("app.verify"), verifier_file);
        nginx
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the configuration, too.
    fn command(&self) -> Command {
        let at = self.directory.path();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("  {name}_temp_path DIR/{name};\n"))
            .concat();
        let text = format!(
            "load_module {};\ndaemon off;\nuser root;\nworker_processes {};\npid DIR/pid;\nerror_log stderr info;\n{}\n\
             events {{ worker_connections 16384; }}\nhttp {{\n{temporary}  access_log off;\n{}\n\
             server {{ listen unix:DIR/socket;\n{}\n}}\n}}\n",
            module().display(),
            self.workers,
            self.main,
            self.http,
            self.server,
        );
        write(&self.file("nginx.conf"), &text.replace("DIR", &at.display().to_string()));
        let mut command = program(Kind::Nginx, at);
        if let Some(other) = tried() {
            command = Command::new(other.join("nginx/objs/nginx"));
            command.env_clear().current_dir(at);
        }
        command.arg("-p").arg(at).arg("-c").arg(self.file("nginx.conf"));
        command
    }

    async fn start(self) -> Gateway {
        let door = Door::Socket(self.file("socket"));
        Gateway::start(&mut self.command(), door, self.directory).await
    }

    /// What `nginx -t` says.
    fn test(&self) -> (bool, String) {
        let output = self.command().arg("-t").output().unwrap();
        (output.status.success(), told(&output))
    }
}

/// The processes that answer requests.
fn workers(gateway: &Gateway) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", gateway.pid())).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// What `GET path` with this ticket is answered.
async fn get(gateway: &Gateway, path: &str, ticket: &str) -> Answer {
    gateway.call(Call::get(path).ticket(ticket)).await
}

/// Waits until `GET /` with this ticket has this outcome: a status, and the name of an error or nothing.
#[track_caller]
fn comes_to<'a>(
    gateway: &'a Gateway,
    ticket: &'a str,
    expected: (u16, &'a str),
) -> impl Future<Output = Duration> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let began = std::time::Instant::now();
        loop {
            let answer = get(gateway, "/", ticket).await;
            if (answer.status, &*answer.error()) == expected {
                return began.elapsed();
            }
            assert!(began.elapsed().as_secs() < 10, "{caller}: {answer:?}\n{}", gateway.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The content of a verifier file, changed.
fn changed(content: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(content).unwrap();
    change(&mut value);
    value.to_string()
}
