//! `docs/MIGRATION.md`: from a session table in Redis to tickets, with nobody logged out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gateway::{Gateway, Kind, Setup, free_port};
use super::service::Service;
use crate::support::system::{Running, deploy_tools, needed, read, shipped, start, url};
use crate::support::{APPID, Call, TestServer};

/// Redis with nothing in it.
struct Redis {
    address: SocketAddr,
    _running: Running,
    _directory: TempDir,
}

impl Redis {
    fn start() -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let mut command = Command::new(needed("redis-server"));
        let libraries = deploy_tools().join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
        command.env_clear().env("LD_LIBRARY_PATH", libraries).current_dir(directory.path());
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
        let running = Running(command.stdout(Stdio::null()).spawn().unwrap());
        let address = ([127, 0, 0, 1], port).into();
        crate::support::until("Redis listens", || TcpStream::connect(address).is_ok());
        Self { address, _running: running, _directory: directory }
    }

    /// The first line of what it replies.
    fn command(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let bulk: Vec<String> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        stream.write_all(format!("*{}\r\n{}", bulk.len(), bulk.concat()).as_bytes()).unwrap();
        let mut reply = String::new();
        BufReader::new(stream.take(1000)).read_line(&mut reply).unwrap();
        reply
    }

    /// A session as the old server makes it.
    fn session(&self, number: u32, openid: &str, seconds: u32) -> String {
        let id = format!("{number:032x}");
        let value = json!({ "openid": openid, "session_key": "HyVFkGl5F5OQWJZZaNzBBg==" }).to_string();
        let reply = self.command(&["SET", &format!("session:{id}"), &value, "EX", &seconds.to_string()]);
        assert_eq!(reply, "+OK\r\n");
        id
    }
}

/// The page's blocks for nginx: what is written where.
struct Page {
    in_front: String,
    check: String,
    location: String,
    upstream: String,
}

impl Page {
    fn read(check: SocketAddr, sessions: SocketAddr) -> Self {
        let text = read(&shipped("docs/MIGRATION.md"));
        let text = text.replace("127.0.0.1:8080", &check.to_string()).replace("127.0.0.1:8090", &sessions.to_string());
        let mut blocks = text.split("```nginx\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
        let mut next = || blocks.next().unwrap();
        Self { in_front: next(), check: next(), location: next(), upstream: next() }
    }

    /// nginx.conf, which checks old ids as well; once switched, logins are auth-ticket's.
    fn setup(&self, check: SocketAddr, service: SocketAddr, is_switched: bool) -> Setup {
        let mut setup = Setup::new(Kind::Nginx, check, service);
        let upstreams = if is_switched { &*self.upstream } else { "" };
        let location = if is_switched { &*self.location } else { "" };
        setup.site_changes = [
            ("upstream auth_ticket_check {", format!("{}{upstreams}upstream auth_ticket_check {{", self.in_front)),
            ("        proxy_pass http://auth_ticket_check/v1/verify;\n", self.check.clone()),
            ("    location / {\n", format!("{location}    location / {{\n")),
        ]
        .map(|(from, to)| (from.to_owned(), to))
        .to_vec();
        setup
    }
}

/// A request of the mini-program, with whatever it has stored.
fn request(stored: &str) -> Call {
    Call::get("/orders").header("weixinauth", stored)
}

/// The older two-step login at the gateway, if auth-ticket answers both.
async fn log_in(gateway: &Gateway, code: &str) -> Option<String> {
    let handle = gateway.call(Call::get(&format!("/miniLogin/login.ajax?code={code}"))).await;
    let handle: Value = serde_json::from_slice(&handle.body).ok()?;
    let form = format!("openid={}&unionid=&phoneNo=", handle["data"]["openid"].as_str()?);
    let answer = gateway.call(Call::post("/miniLogin/loginCheck.ajax").form(&form)).await;
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    answer["data"]["AUTH_TICKET"].as_str().map(str::to_owned)
}

fn old_sessions(redis: &Redis) -> (Running, SocketAddr) {
    let mut command = Command::new(needed("python3"));
    command.arg(shipped("deploy/migration/old-sessions.py")).args(["0", &redis.address.port().to_string()]);
    let (running, lines) = start(&mut command, 1);
    (running, url(&lines[0]).trim_start_matches("http://").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn old_sessions_and_tickets_are_good_side_by_side_until_the_old_ones_end() {
    let redis = Redis::start();
    let (_check, sessions) = old_sessions(&redis);
    let (server, service) = (TestServer::builder().compat().start().await, Service::start().await);
    let page = Page::read(server.address, sessions);
    let gateway = page.setup(server.address, service.address, false).start().await;

    // Before: logins are the old server's, which makes sessions.
    let alice = server.openid("alice");
    let id = redis.session(1, &alice, 1000);
    assert_eq!(gateway.call(request(&id)).await.status, 200);
    let old = service.one();
    assert_eq!((old.all("x-auth-openid"), old.all("x-auth-appid")), (vec![&*alice], vec![APPID]));
    assert!(old.all("weixinauth").is_empty() && old.all("x-auth-unionid").is_empty(), "{old:?}");
    let ends: u64 = old.all("x-auth-expires-at")[0].parse().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!((now + 900..=now + 1001).contains(&ends), "{ends}");
    assert_eq!(gateway.call(Call::get("/miniLogin/login.ajax?code=x").ticket(&id)).await.status, 200);
    assert_eq!(service.one().target, "/miniLogin/login.ajax?code=x");

    // The switch.
    gateway.reload(&page.setup(server.address, service.address, true));
    let mut new = None;
    // A login that meets an old worker starts again.
    while new.is_none() {
        new = log_in(&gateway, &server.code_for("alice")).await;
    }
    let ticket = new.unwrap();
    service.take();
    for stored in [&id, &ticket] {
        assert_eq!(gateway.call(request(stored)).await.status, 200);
        assert_eq!(service.one().all("x-auth-openid"), [&*alice], "the service sees the same user");
    }

    // What is neither.
    let forged = format!("{:032x}", 7);
    for stored in
        [&*forged, &id[1..], &format!("{id}0"), &id.to_uppercase().replace('0', "F"), "", "../x", &ticket[1..]]
    {
        let answer = gateway.call(request(stored).header("X-Auth-Openid", &alice)).await;
        assert_eq!((answer.status, answer.field("error")), (401, json!("invalid_ticket")), "{stored}");
    }
    for call in [request(&id).header("weixinauth", &ticket), request(&ticket).header("weixinauth", &id)] {
        assert_ne!(gateway.call(call).await.status, 200, "two at once");
    }
    assert!(service.take().is_empty());

    // The old one ends, the client logs in, as it does when any session ends.
    assert_eq!(redis.command(&["DEL", &format!("session:{id}")]), ":1\r\n");
    let refused = gateway.call(request(&id)).await;
    assert_eq!((refused.status, refused.field("error")), (401, json!("invalid_ticket")), "{refused:?}");
    assert_eq!(gateway.call(request(&ticket)).await.status, 200);

    // Without Redis, tickets go on, and nobody who had a session is told that it is over.
    drop(redis);
    assert_eq!(gateway.call(request(&id)).await.status, 503);
    assert_eq!(gateway.call(request(&ticket)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_logged_out_while_logins_are_switched() {
    let redis = Redis::start();
    let (_check, sessions) = old_sessions(&redis);
    let (server, service) = (TestServer::builder().compat().start().await, Service::start().await);
    let page = Page::read(server.address, sessions);
    let gateway = Arc::new(page.setup(server.address, service.address, false).start().await);
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut users = tokio::task::JoinSet::new();
    for number in 0..8 {
        let stored =
            if number % 2 == 0 { redis.session(number, "o-old", 1000) } else { server.ticket_for("alice").await };
        let (gateway, is_over, answered) = (Arc::clone(&gateway), Arc::clone(&is_over), Arc::clone(&answered));
        users.spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                assert_eq!(gateway.call(request(&stored)).await.status, 200, "user {number}");
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    // To and fro, since going back is part of the plan.
    for round in 1..=6 {
        let enough = answered.load(Ordering::SeqCst) + 40;
        gateway.reload(&page.setup(server.address, service.address, round % 2 == 1));
        while answered.load(Ordering::SeqCst) < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(users.len(), 8);
            assert!(users.try_join_next().is_none(), "a user was refused");
        }
    }
    is_over.store(true, Ordering::SeqCst);
    while let Some(user) = users.join_next().await {
        user.unwrap();
    }
}
