//! `deploy/nginx/one-host.conf`: the login server, a service and pages behind one name, and no other file in the way.

use std::path::Path;
use std::sync::{Arc, Mutex};

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::nginx::{dying, free_port, make_certificate, remembering, start_nginx, start_replicas};
use crate::support::system::{Running, read, shipped, write};

/// An nginx with all three shipped files, as somebody has it who copied them all.
struct OneHost {
    url: String,
    client: Client,
    _nginx: Running,
    _directory: TempDir,
}

/// The shipped file, with its certificate and ports changed.
fn site(name: &str, directory: &Path, listen: &str, changes: &[(&str, &str)]) -> String {
    let mut text = read(&shipped("deploy").join(name));
    let listens: Vec<String> =
        text.lines().filter(|line| line.trim_start().starts_with("listen ")).map(str::to_owned).collect();
    text = text.replace(&listens.join("\n"), listen);
    assert!(text.contains(listen), "{name} has its listen lines apart");
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    let is_tls = |line: &str| line.trim_start().starts_with("ssl_certificate");
    let names = [("_key", "tls.key"), ("", "tls.crt")];
    let lines =
        text.lines().map(|line| match names.iter().find(|(kind, _)| line.contains(&format!("certificate{kind} "))) {
            Some((kind, file)) if is_tls(line) => format!("ssl_certificate{kind} {};", directory.join(file).display()),
            _ => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

impl OneHost {
    async fn start(login: &str, service: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        make_certificate(at);
        write(&at.join("index.html"), "a page");
        let port = free_port();
        let root = at.display().to_string();
        let listen = format!("listen 127.0.0.1:{port} ssl http2;");
        let changes = [("127.0.0.1:8080", login), ("127.0.0.1:3000", service), ("/var/www/app.example.com", &root)];
        write(&at.join("one-site.conf"), &site("nginx/one-host.conf", at, &listen, &changes));
        for (name, other) in [("nginx/auth-ticket.conf", "login-site.conf"), ("gateways/nginx.conf", "api-site.conf")] {
            let listen = format!("listen unix:{}/{other}.socket ssl;", at.display());
            write(&at.join(other), &site(name, at, &listen, &[]));
        }
        let nginx = start_nginx(at);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        let client = Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        Self { url: format!("https://127.0.0.1:{port}"), client, _nginx: nginx, _directory: directory }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    fn login(&self, code: &str) -> RequestBuilder {
        let request = self.client.post(format!("{}/v1/login", self.url)).header("Content-Type", "application/json");
        request.body(json!({ "code": code }).to_string())
    }
}

async fn answered(request: RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn json_of(request: RequestBuilder) -> (StatusCode, Value) {
    let (status, text) = answered(request).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_serves_login_service_and_pages_beside_the_other_files() {
    let replicas = start_replicas();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let host = OneHost::start(&replicas.servers[0].1, &remembering(Arc::clone(&seen)).await).await;

    let (status, ticket) = json_of(host.login("demo-alice-1")).await;
    assert_eq!(status, 200, "{ticket}");
    let ticket = ticket["ticket"].as_str().unwrap();
    assert_eq!(json_of(host.get("/v1/session").header("weixinauth", ticket)).await.1["active"], true);
    assert_eq!(json_of(host.get("/openapi.json")).await.0, 200);
    for page in ["/", "/index.html", "/some/route/of/the/page"] {
        assert_eq!(answered(host.get(page)).await, (StatusCode::OK, "a page".to_owned()), "{page}");
    }
    // Nobody outside asks these.
    for path in ["/v1/verify", "/v1/verify/wx0123456789abcdef", "/v1/ext-authz/x", "/.auth-ticket", "/v1/other"] {
        assert_eq!(answered(host.get(path).header("weixinauth", ticket)).await.0, 404, "{path}");
    }

    let forged = host.get("/api/orders?a=b").header("weixinauth", ticket).header("X-Auth-Phone", "forged");
    let own_token = "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    assert_eq!(answered(forged.header("Authorization", own_token)).await.0, 200);
    assert_eq!(answered(host.get("/api/").bearer_auth(ticket)).await.0, 200);
    {
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 2);
        for request in seen.iter() {
            assert!(request.contains("x-auth-openid: o") && !request.contains("forged"), "{request}");
            assert!(!request.contains("weixinauth") && !request.contains(&ticket.to_lowercase()), "{request}");
        }
        assert!(seen[0].starts_with("get /api/orders?a=b ") && seen[0].contains(&own_token.to_lowercase()));
    }
    for request in [host.get("/api/"), host.get("/api/").header("weixinauth", "x")] {
        let (status, refused) = json_of(request).await;
        assert_eq!((status, &refused["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_ticket")));
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_once_also_behind_one_name() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let host = OneHost::start(&dying(Arc::clone(&seen)).await, "127.0.0.1:1").await;
    for request in [host.login("demo-alice-1"), host.get("/miniLogin/login.ajax?code=1")] {
        let (status, refused) = json_of(request).await;
        assert_eq!((status, &refused["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("overloaded")));
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()).len(), 1);
    }
    let (status, refused) = json_of(host.get("/api/").header("weixinauth", "x")).await;
    assert_eq!((status, &refused["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("overloaded")));
}
