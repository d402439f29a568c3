//! `deploy/nginx/auth-ticket.conf` in a real nginx: replicas may die, a code is spent once, nobody is believed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::bare;
use crate::support::system::{Running, needed, read, shipped, start, succeed, told, url, write};

/// nginx with the shipped file, in front of two addresses.
struct Balancer {
    url: String,
    client: Client,
    _nginx: Running,
    _directory: TempDir,
}

/// A port that nobody uses at the moment: nginx cannot choose one by itself.
pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(super) fn make_certificate(directory: &Path) {
    let mut openssl = Command::new(needed("openssl"));
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=login.example.com", "-keyout"]).arg(directory.join("tls.key"));
    succeed(openssl.arg("-out").arg(directory.join("tls.crt")));
}

/// The shipped file with what it says to change changed.
fn site(port: u16, replicas: [&str; 2], directory: &Path) -> String {
    let mut text = read(&shipped("deploy/nginx/auth-ticket.conf"));
    let crt = directory.join("tls.crt").display().to_string();
    let key = directory.join("tls.key").display().to_string();
    for (from, to) in [
        ("10.0.0.11:8080", replicas[0]),
        ("10.0.0.12:8080", replicas[1]),
        ("    server 10.0.0.13:8080 max_fails=2 fail_timeout=5s;\n", ""),
        ("listen 443 ssl http2;\n    listen [::]:443 ssl http2;", &format!("listen 127.0.0.1:{port} ssl http2;")),
        ("/etc/nginx/tls/login.example.com.crt", &crt),
        ("/etc/nginx/tls/login.example.com.key", &key),
    ] {
        assert!(text.contains(from), "the shipped file has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// Starts an nginx with every `*site.conf` in `at`; it has nothing to complain of.
pub(super) fn start_nginx(at: &Path) -> Running {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", at.display()))
        .concat();
    let main = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{temporary}  \
         access_log off;\n  include {at}/*site.conf;\n}}\n",
        at = at.display()
    );
    write(&at.join("nginx.conf"), &main);
    let nginx = || {
        let mut command = Command::new(needed("nginx"));
        command.arg("-p").arg(at).arg("-c").arg(at.join("nginx.conf"));
        command
    };
    let tested = nginx().arg("-t").output().unwrap();
    let told = told(&tested);
    assert!(tested.status.success() && !told.contains("[warn]"), "{told}");
    Running(nginx().stderr(Stdio::null()).spawn().unwrap())
}

impl Balancer {
    async fn start(replicas: [&str; 2]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        make_certificate(at);
        let port = free_port();
        write(&at.join("site.conf"), &site(port, replicas, at));
        let running = start_nginx(at);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        let client = Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        Self { url: format!("https://127.0.0.1:{port}"), client, _nginx: running, _directory: directory }
    }

    async fn login(&self, code: &str) -> (StatusCode, String) {
        let request = self.client.post(format!("{}/v1/login", self.url)).header("Content-Type", "application/json");
        let answer = request.body(format!(r#"{{"code":"{code}"}}"#)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn send(&self, method: Method, path: &str, ticket: &str) -> StatusCode {
        let request = self.client.request(method, format!("{}{path}", self.url)).header("weixinauth", ticket);
        request.send().await.unwrap().status()
    }

    async fn ticket(&self, code: &str) -> String {
        let (status, answer) = self.login(code).await;
        assert_eq!(status, 200, "{answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["ticket"].as_str().unwrap().to_owned()
    }
}

/// Two servers that share a keys directory, and the platform behind them.
pub(super) struct Replicas {
    pub(super) servers: [(Running, String); 2],
    _platform: Running,
    _directory: TempDir,
}

pub(super) fn start_replicas() -> Replicas {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    succeed(bare(&[]).args(["keys", "init", "--keys"]).arg(&keys));
    let (platform, lines) = start(bare(&[]).args(["simulator", "--listen", "127.0.0.1:0"]), 1);
    let config = directory.path().join("auth-ticket.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"\"\nkeys_dir = {keys:?}\n[[app]]\nappid = \"wx0123456789abcdef\"\n\
         platform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \"{}\"\n",
        url(&lines[0])
    );
    write(&config, &text);
    let servers = [(); 2].map(|()| {
        let mut command = bare(&[]);
        let (running, lines) = start(command.args(["serve", "--config"]).arg(&config).env("WX_SECRET", "x"), 1);
        (running, url(&lines[0]).trim_start_matches("http://").to_owned())
    });
    Replicas { servers, _platform: platform, _directory: directory }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_is_noticed_by_nobody_who_has_a_ticket() {
    let mut replicas = start_replicas();
    let balancer = Arc::new(Balancer::start([&replicas.servers[0].1, &replicas.servers[1].1]).await);
    let ticket = balancer.ticket("demo-alice-1").await;

    // Checks and renewals that run while a replica dies.
    let users: Vec<_> = (0..8)
        .map(|_| {
            let (balancer, ticket) = (Arc::clone(&balancer), ticket.clone());
            tokio::spawn(async move {
                for _ in 0..40 {
                    assert_eq!(balancer.send(Method::GET, "/v1/verify", &ticket).await, 200);
                    assert_eq!(balancer.send(Method::POST, "/v1/renew", &ticket).await, 200);
                    assert_eq!(balancer.send(Method::GET, "/v1/session", &ticket).await, 200);
                }
            })
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(balancer.send(Method::GET, "/v1/verify/wx0123456789abcdef", &ticket).await, 200);
    }
    replicas.servers[0].0.0.kill().unwrap();
    for user in users {
        user.await.unwrap();
    }
    // A login finds nobody at the dead one's address, so it may go to the other.
    for number in 0..10 {
        let ticket = balancer.ticket(&format!("demo-bob-{number}")).await;
        assert_eq!(balancer.send(Method::GET, "/v1/verify", &ticket).await, 200);
    }
    assert_eq!(balancer.send(Method::GET, "/v1/verify", "no ticket").await, 401);
}

/// A server that takes a request in and dies, as far as anybody can tell.
pub(super) async fn dying(seen: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 << 10];
            let len = stream.read(&mut request).await.unwrap();
            seen.lock().unwrap().push(String::from_utf8_lossy(&request[..len]).into_owned());
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_a_replica_may_have_received_goes_to_no_other() {
    for (method, path, times) in [
        (Method::POST, "/v1/login", 1),
        (Method::POST, "/v1/phone", 1),
        (Method::POST, "/v1/session/reset", 1),
        (Method::POST, "/miniLogin/phone.ajax", 1),
        (Method::POST, "/v1/session/check", 2),
        (Method::GET, "/miniLogin/login.ajax?code=1", 1),
        (Method::POST, "/miniLogin/login.ajax", 1),
        (Method::POST, "/v1/renew", 2),
        (Method::POST, "/v1/introspect", 2),
        (Method::GET, "/v1/verify/wx0123456789abcdef", 2),
        (Method::GET, "/v1/session", 2),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (one, other) = (dying(Arc::clone(&seen)).await, dying(Arc::clone(&seen)).await);
        let balancer = Balancer::start([&one, &other]).await;
        let answer = balancer.client.request(method.clone(), format!("{}{path}", balancer.url)).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(answer["error"], "overloaded");
        assert_eq!(seen.lock().unwrap().len(), times, "{method} {path}");
    }
}

/// A server that answers everything with 200 and remembers it.
pub(super) async fn remembering(seen: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 << 10];
            let len = stream.read(&mut request).await.unwrap();
            seen.lock().unwrap().push(String::from_utf8_lossy(&request[..len]).to_lowercase());
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_about_itself_goes_no_further() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let replica = remembering(Arc::clone(&seen)).await;
    let balancer = Balancer::start([&replica, &replica]).await;
    for path in ["/v1/verify", "/v1/login"] {
        let mut request = balancer.client.get(format!("{}{path}", balancer.url)).header("weixinauth", "kept");
        for name in ["Appid", "Platform", "Openid", "Unionid", "Phone", "Login-Id", "Expires-At", "Claims", "Assertion"]
        {
            for name in [format!("X-Auth-{name}"), format!("X_Auth_{name}"), format!("X.Auth.{name}")] {
                request = request.header(name, "spoofed");
            }
        }
        request = request.header("X-Request-Id", "spoofed").header("Authorization", "Basic kept");
        request = request.header("X-Forwarded-For", "spoofed").header("X-Forwarded-For", "192.0.2.1");
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for request in seen.iter() {
        assert!(request.contains("weixinauth: kept") && request.contains("authorization: basic kept"), "{request}");
        assert!(!request.contains("spoofed"), "{request}");
        let forwarded: Vec<&str> = request.lines().filter_map(|line| line.strip_prefix("x-forwarded-for:")).collect();
        assert_eq!(forwarded, [" 127.0.0.1"], "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nginx_refuses_by_itself_has_the_shape_of_the_servers_errors() {
    let balancer = Balancer::start(["127.0.0.1:1", "127.0.0.1:1"]).await;
    let login = || balancer.client.post(format!("{}/v1/login", balancer.url));
    for (request, status, error) in [
        (login().body("x".repeat(70_000)), 413, "too_large"),
        (login().header("x-long", "x".repeat(20_000)), 431, "headers_too_large"),
        (login().body("{}"), 503, "overloaded"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(answer["error"], error);
        assert!(answer["request_id"].as_str().is_some_and(|id| id.len() == 32));
    }
}
