//! Gateways that run here, each with the shipped file, between a client and a service.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::files::{replaced, yaml};
use crate::support::system::{Running, deploy_tools, needed, read, shipped, write};
use crate::support::{Answer, Call};

/// A program, or a way to use it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Nginx,
    /// With the module that the file speaks of.
    NginxWithHeadersMore,
    /// With the lines of docs/GATEWAYS.md, which are no complete file.
    NginxOfReadme,
    Caddy,
    Haproxy,
    Envoy,
    Traefik,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Nginx, Self::NginxWithHeadersMore, Self::Caddy, Self::Haproxy, Self::Envoy, Self::Traefik];
}

/// The program, without whatever settings the tests' environment holds. It writes to `directory` alone.
pub(crate) fn program(kind: Kind, directory: &Path) -> Command {
    let mut command = Command::new(needed(match kind {
        Kind::Nginx | Kind::NginxWithHeadersMore | Kind::NginxOfReadme => "nginx",
        Kind::Caddy => "caddy",
        Kind::Haproxy => "haproxy",
        Kind::Envoy => "envoy",
        Kind::Traefik => "traefik",
    }));
    command.env_clear().env("HOME", directory).env("PATH", "/usr/bin:/bin").current_dir(directory);
    if kind == Kind::Haproxy {
        let unpacked = deploy_tools().join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
        command.env("LD_LIBRARY_PATH", unpacked);
    }
    command
}

/// A gateway that is about to start.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) kind: Kind,
    pub(super) check: SocketAddr,
    /// The check's Unix socket, in place of its address.
    pub(super) check_socket: Option<PathBuf>,
    pub(super) service: SocketAddr,
    /// The app to check for, if the file is changed to name one.
    pub(super) appid: Option<&'static str>,
    /// Changes of the Lua script.
    pub(super) script_changes: &'static [(&'static str, &'static str)],
    /// Changes of nginx's file.
    pub(super) site_changes: Vec<(String, String)>,
}

impl Setup {
    pub(super) fn new(kind: Kind, check: SocketAddr, service: SocketAddr) -> Self {
        Self { kind, check, check_socket: None, service, appid: None, script_changes: &[], site_changes: Vec::new() }
    }

    /// Where the check is, in the words of the gateway's file.
    fn check_place(&self) -> String {
        let Some(path) = &self.check_socket else { return self.check.to_string() };
        let prefix = match self.kind {
            Kind::Caddy => "unix/",
            Kind::Haproxy => "unix@",
            _ => "unix:",
        };
        format!("{prefix}{}", path.display())
    }

    /// The shipped file, with what it says to change changed.
    fn file(&self, name: &str, listen: (&str, &str)) -> String {
        let (check, service) = (self.check_place(), self.service.to_string());
        let mut changes = vec![listen, ("127.0.0.1:8080", &check), ("127.0.0.1:3000", &service)];
        let route = self.appid.map(|appid| format!("/v1/verify/{appid}"));
        if let Some(route) = &route {
            changes.push(("/v1/verify", route));
        }
        // A comment speaks of the route with an app.
        let text = if self.kind == Kind::NginxOfReadme {
            let readme = read(&shipped("docs/GATEWAYS.md"));
            readme.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap().to_owned()
        } else {
            read(&shipped("deploy/gateways").join(name))
        };
        replaced(text.replace("/v1/verify/APPID", "that route"), &changes)
    }

    /// Writes the configuration, too.
    fn nginx(&self, at: &Path) -> Command {
        let listen = format!("listen unix:{}/socket;", at.display());
        let in_server = format!("server {{ {listen}");
        let is_readmes = self.kind == Kind::NginxOfReadme;
        let place = if is_readmes {
            ("server {", &*in_server)
        } else {
            ("listen 443 ssl;\n    listen [::]:443 ssl;", &*listen)
        };
        let mut site = self.file("nginx.conf", place);
        let changes: Vec<_> = self.site_changes.iter().map(|(from, to)| (&**from, &**to)).collect();
        site = replaced(site, &changes);
        site = site.lines().filter(|line| !line.contains("ssl_")).collect::<Vec<_>>().join(
            "
",
        );
        let mut load = String::new();
        if self.kind == Kind::NginxWithHeadersMore {
            site = replaced(site, &[("#more_clear_input_headers", "more_clear_input_headers")]);
            let module = "usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so";
            load = format!("load_module {};\n", deploy_tools().join(module).display());
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("  {name}_temp_path {}/{name};\n", at.display()))
            .concat();
        let pid = at.join("pid");
        // Workers of root would be nobody, who may not write here. A worker that is told to reload needs a master.
        let processes = if self.site_changes.is_empty() { "master_process off;" } else { "user root;" };
        let main = format!(
            "{load}daemon off;\n{processes}\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\n{temporary}  \
             access_log off;\n{site}\n}}\n",
            pid.display()
        );
        write(&at.join("nginx.conf"), &main);
        let mut command = program(self.kind, at);
        command.arg("-p").arg(at).arg("-c").arg(at.join("nginx.conf"));
        command
    }

    fn caddy(&self, at: &Path) -> Command {
        let listen = format!("http:// {{\n\tbind unix/{}/socket", at.display());
        let site = self.file("Caddyfile", ("api.example.com {", &listen));
        write(&at.join("Caddyfile"), &format!("{{\n\tadmin off\n}}\n{site}"));
        let mut command = program(self.kind, at);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(at.join("Caddyfile"));
        command
    }

    fn haproxy(&self, at: &Path) -> Command {
        let listen = format!("bind unix@{}/socket", at.display());
        let mut config = self.file(
            "haproxy/haproxy.cfg",
            ("bind :::443 v4v6 ssl crt /etc/haproxy/api.example.com.pem alpn h2,http/1.1", &listen),
        );
        let check = format!("unix@{}/check", at.display());
        let script = at.join("auth-ticket.lua").display().to_string();
        config = replaced(config, &[("abns@auth-ticket-check", &check), ("/etc/haproxy/auth-ticket.lua", &script)]);
        write(&at.join("haproxy.cfg"), &config);
        let script = read(&shipped("deploy/gateways/haproxy/auth-ticket.lua"));
        write(&at.join("auth-ticket.lua"), &replaced(script, self.script_changes));
        let mut command = program(self.kind, at);
        command.arg("-f").arg(at.join("haproxy.cfg"));
        command
    }

    fn envoy(&self, at: &Path) -> Command {
        let text = read(&shipped("deploy/gateways/envoy.yaml"));
        let route = self.appid.map_or("/v1/ext-authz".to_owned(), |appid| format!("/v1/ext-authz-app/{appid}"));
        let mut changes = vec![("path_prefix: /v1/ext-authz", format!("path_prefix: {route}"))];
        for (shipped, address) in [("port_value: 3000", self.service), ("port_value: 8080", self.check)] {
            changes.push((shipped, format!("port_value: {}", address.port())));
        }
        let changes: Vec<_> = changes.iter().map(|(from, to)| (*from, &**to)).collect();
        let mut config = yaml(&replaced(text, &changes));
        let listener = &mut config["static_resources"]["listeners"][0];
        listener["address"] = json!({ "pipe": { "path": at.join("socket") } });
        listener["filter_chains"][0].as_object_mut().unwrap().remove("transport_socket").unwrap();
        if let Some(path) = &self.check_socket {
            let cluster = &mut config["static_resources"]["clusters"][1];
            assert_eq!(cluster["name"], "auth_ticket");
            cluster["type"] = json!("STATIC");
            cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
                json!({ "pipe": { "path": path } });
        }
        write(&at.join("envoy.json"), &config.to_string());
        let mut command = program(self.kind, at);
        command
            .args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "critical", "-c"])
            .arg(at.join("envoy.json"));
        command
    }

    /// Traefik listens on no Unix socket.
    fn traefik(&self, at: &Path, port: u16) -> Command {
        let text = self.file("traefik.yaml", ("Host(`api.example.com`)", "PathPrefix(`/`)"));
        let mut file = yaml(&text);
        let routers = file["http"]["routers"].as_object_mut().unwrap();
        for router in routers.values_mut() {
            router.as_object_mut().unwrap().remove("tls").unwrap();
        }
        let ready = json!({ "rule": "Path(`/.ready`)", "priority": 9000, "entryPoints": ["websecure"], "service": "ping@internal" });
        routers.insert("ready".to_owned(), ready);
        write(&at.join("routes.yaml"), &file.to_string());
        let mut command = program(self.kind, at);
        command.arg(format!("--entryPoints.websecure.address=127.0.0.1:{port}"));
        command.arg(format!("--providers.file.filename={}", at.join("routes.yaml").display()));
        command.args(["--ping.manualRouting=true", "--log.level=ERROR", "--global.checkNewVersion=false"]);
        command
    }

    pub(super) async fn start(&self) -> Gateway {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let port = free_port();
        let mut command = match self.kind {
            Kind::Nginx | Kind::NginxWithHeadersMore | Kind::NginxOfReadme => self.nginx(at),
            Kind::Caddy => self.caddy(at),
            Kind::Haproxy => self.haproxy(at),
            Kind::Envoy => self.envoy(at),
            Kind::Traefik => self.traefik(at, port),
        };
        let door = if self.kind == Kind::Traefik { Door::Port(port) } else { Door::Socket(at.join("socket")) };
        Gateway::start(&mut command, door, directory).await
    }
}

/// A port that nobody uses at the moment.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where a gateway listens.
#[derive(Debug)]
pub(super) enum Door {
    Socket(PathBuf),
    Port(u16),
}

pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Door {
    async fn connect(&self) -> std::io::Result<Box<dyn Connection>> {
        Ok(match self {
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Self::Port(port) => Box::new(TcpStream::connect(("127.0.0.1", *port)).await?),
        })
    }

    /// Traefik listens before it has read its file.
    async fn is_open(&self) -> bool {
        let Ok(mut stream) = self.connect().await else { return false };
        if matches!(self, Self::Socket(_)) {
            return true;
        }
        let request = b"GET /.ready HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n";
        let mut received = Vec::new();
        stream.write_all(request).await.is_ok()
            && stream.read_to_end(&mut received).await.is_ok()
            && received.starts_with(b"HTTP/1.1 200")
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Port(port) => port.fmt(f),
        }
    }
}

/// A running gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) door: Door,
    running: Running,
    directory: TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A master takes its workers with it, unless it is killed.
        if kill_process(Pid::from_child(&self.running.0), Signal::TERM).is_ok() {
            let _ = self.running.0.wait();
        }
    }
}

impl Gateway {
    /// Runs `command`, whose files are in `directory`, and waits until it listens.
    pub(super) async fn start(command: &mut Command, door: Door, directory: TempDir) -> Self {
        let path = directory.path().join("log");
        let log = std::fs::File::create(&path).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        while !door.is_open().await {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {}", read(&path));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { door, running: Running(child), directory }
    }

    /// Where its files are.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has written so far.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory().join("log")).unwrap()).into_owned()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.running.0), signal).unwrap();
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.0.id()
    }

    /// As nginx does when it is told to reload.
    pub(super) fn reload(&self, setup: &Setup) {
        drop(setup.nginx(self.directory.path()));
        self.signal(Signal::HUP);
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> Box<dyn Connection> {
        self.door.connect().await.unwrap()
    }

    /// Sends `call` byte by byte as it is, on a connection that ends with it.
    pub(super) async fn call(&self, call: Call) -> Answer {
        self.call_naming("", call).await
    }

    /// The same, with `nominated` in `Connection`.
    pub(super) async fn call_naming(&self, nominated: &str, call: Call) -> Answer {
        let call = call.header("Connection", if nominated.is_empty() { "close" } else { nominated });
        let stream = self.door.connect().await.unwrap();
        let mut received = Vec::new();
        let exchange = async {
            // The answer may come, and the connection end, before the request is through.
            let (mut reader, mut writer) = tokio::io::split(stream);
            let bytes = call.to_bytes();
            let _ = tokio::join!(writer.write_all(&bytes), reader.read_to_end(&mut received));
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), exchange).await;
        assert!(ended.is_ok(), "no end of the answer to {call:?}");
        Answer::parse(&received).unwrap_or_else(|| panic!("{call:?}: no answer but {}", received.escape_ascii()))
    }
}

/// The identity headers of an answer of the server.
pub(super) fn headers_of_answer(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let is_identity = |name: &str| name.starts_with("x-auth-");
    answer.headers.iter().filter(|(name, _)| is_identity(name)).map(|(n, value)| (n.clone(), text(value))).collect()
}

/// Keeps `promise` with every gateway, all at once.
pub(super) async fn everywhere<F: Future<Output = ()> + Send + 'static>(promise: impl Fn(Kind) -> F) {
    let mut kept = JoinSet::new();
    let names = Arc::new(std::sync::Mutex::new(Vec::new()));
    for kind in Kind::ALL {
        let broken = Arc::clone(&names);
        broken.lock().unwrap().push(kind);
        let promise = promise(kind);
        kept.spawn(async move {
            promise.await;
            broken.lock().unwrap().retain(|name| *name != kind);
        });
    }
    while kept.join_next().await.is_some() {}
    assert!(names.lock().unwrap().is_empty(), "does not hold with {:?}", names.lock().unwrap());
}
