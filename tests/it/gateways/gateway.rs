//! Gateways that run here, each with the shipped file, between a client and a service.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::files::{replaced, yaml};
use crate::deploy::program::{self, deploy_tools, needed, read, shipped, write};
use crate::support::{Answer, Call};

/// A program, or a way to use it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Nginx,
    /// With the module that the file speaks of.
    NginxWithHeadersMore,
    Caddy,
    Haproxy,
    Envoy,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Nginx, Self::NginxWithHeadersMore, Self::Caddy, Self::Haproxy, Self::Envoy];
}

/// The program, without whatever settings the tests' environment holds. It writes to `directory` alone.
pub(super) fn program(kind: Kind, directory: &Path) -> Command {
    let mut command = Command::new(needed(match kind {
        Kind::Nginx | Kind::NginxWithHeadersMore => "nginx",
        Kind::Caddy => "caddy",
        Kind::Haproxy => "haproxy",
        Kind::Envoy => "envoy",
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
    pub(super) service: SocketAddr,
    /// The app to check for, if the file is changed to name one.
    pub(super) appid: Option<&'static str>,
    /// Changes of the Lua script.
    pub(super) script_changes: &'static [(&'static str, &'static str)],
}

impl Setup {
    pub(super) const fn new(kind: Kind, check: SocketAddr, service: SocketAddr) -> Self {
        Self { kind, check, service, appid: None, script_changes: &[] }
    }

    /// The shipped file, with what it says to change changed.
    fn file(&self, name: &str, listen: (&str, &str)) -> String {
        let (check, service) = (self.check.to_string(), self.service.to_string());
        let mut changes = vec![listen, ("127.0.0.1:8080", &check), ("127.0.0.1:3000", &service)];
        let route = self.appid.map(|appid| format!("/v1/verify/{appid}"));
        if let Some(route) = &route {
            changes.push(("/v1/verify", route));
        }
        // A comment speaks of the route with an app.
        let text = read(&shipped("deploy/gateways").join(name)).replace("/v1/verify/APPID", "that route");
        replaced(text, &changes)
    }

    fn nginx(&self, at: &Path) -> Command {
        let listen = format!("listen unix:{}/socket;", at.display());
        let mut site = self.file("nginx.conf", ("listen 443 ssl;", &listen));
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
        let main = format!(
            "{load}daemon off;\nmaster_process off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\n{temporary}  \
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
            ("bind :443 ssl crt /etc/haproxy/api.example.com.pem alpn h2,http/1.1", &listen),
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
        write(&at.join("envoy.json"), &config.to_string());
        let mut command = program(self.kind, at);
        command
            .args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "critical", "-c"])
            .arg(at.join("envoy.json"));
        command
    }

    pub(super) async fn start(&self) -> Gateway {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let mut command = match self.kind {
            Kind::Nginx | Kind::NginxWithHeadersMore => self.nginx(at),
            Kind::Caddy => self.caddy(at),
            Kind::Haproxy => self.haproxy(at),
            Kind::Envoy => self.envoy(at),
        };
        let log = std::fs::File::create(at.join("log")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let socket = at.join("socket");
        while UnixStream::connect(&socket).await.is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?} ended: {}", self.kind, read(&at.join("log")));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Gateway { socket, _running: program::Running(child), _directory: directory }
    }
}

/// A running gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    socket: PathBuf,
    _running: program::Running,
    _directory: TempDir,
}

impl Gateway {
    /// Sends `call` byte by byte as it is, on a connection that ends with it.
    pub(super) async fn call(&self, call: Call) -> Answer {
        self.call_naming("", call).await
    }

    /// The same, with `nominated` in `Connection`.
    pub(super) async fn call_naming(&self, nominated: &str, call: Call) -> Answer {
        let call = call.header("Connection", if nominated.is_empty() { "close" } else { nominated });
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let mut received = Vec::new();
        let exchange = async {
            // The answer may come, and the connection end, before the request is through.
            let (mut reader, mut writer) = stream.split();
            let bytes = call.to_bytes();
            let _ = tokio::join!(writer.write_all(&bytes), reader.read_to_end(&mut received));
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), exchange).await;
        assert!(ended.is_ok(), "no end of the answer to {call:?}");
        parse(&received).unwrap_or_else(|| panic!("{call:?}: no answer but {}", received.escape_ascii()))
    }
}

fn parse(mut received: &[u8]) -> Option<Answer> {
    loop {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(received.get(..end)?).ok()?;
        received = received.get(end + 4..)?;
        let mut lines = head.lines();
        let status = lines.next()?.get(9..12)?.parse().ok()?;
        if status == 100 {
            continue;
        }
        let headers: Vec<(String, Vec<u8>)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()))
            .collect();
        let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == b"chunked");
        let body = if is_chunked { without_chunks(received) } else { received.to_vec() };
        return Some(Answer { status, headers, body });
    }
}

fn without_chunks(mut received: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = received.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&received[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&received[end + 2..end + 2 + size]);
        received = &received[end + 4 + size..];
    }
    body
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
