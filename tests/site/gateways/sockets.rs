//! `examples/websocket/`: a socket ends with its ticket, and the client comes back with a renewed one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::gateway::{Gateway, Kind, Setup, free_port};
use crate::drill::process::Tools;
use crate::support::system::{Running, needed, read, shipped, start, succeed, url, write};
use crate::support::{Server, Site, simulator};

/// How long a socket may live here.
const LEFT_S: u64 = 3;

/// The service, whose clock is so far ahead that a ticket of two hours is over soon.
fn start_service() -> (Running, std::net::SocketAddr) {
    let mut command = Command::new(needed("python"));
    command.arg(shipped("examples/websocket/service.py")).env_clear().env("PORT", "0");
    command.env("LD_PRELOAD", Tools::find().faketime).env("FAKETIME", format!("+{}s", 7200 - LEFT_S));
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let (running, lines) = start(&mut command, 1);
    (running, url(&lines[0]).trim_start_matches("http://").parse().unwrap())
}

/// nginx of deploy/gateways at a port, since clients in Node know no Unix sockets.
async fn start_gateway(server: &Server, service: std::net::SocketAddr) -> (Gateway, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut setup = Setup::new(Kind::Nginx, server.address, service);
    setup.site_changes = vec![("listen unix:".to_owned(), format!("listen {address};\n    listen unix:"))];
    (setup.start().await, address)
}

/// The client with its packages, one of which is ours.
fn client(directory: &Path) -> Command {
    let taro = directory.join("node_modules/@tarojs/taro");
    std::fs::create_dir_all(&taro).unwrap();
    write(&taro.join("package.json"), r#"{"name":"@tarojs/taro","type":"module","exports":"./taro.mjs"}"#);
    write(&taro.join("taro.mjs"), &read(&shipped("tests/site/gateways/taro.mjs")));
    write(&directory.join("package.json"), r#"{"type":"module"}"#);
    write(&directory.join("socket.js"), &read(&shipped("examples/websocket/socket.js")));
    write(&directory.join("run.mjs"), &read(&shipped("tests/site/gateways/socket.mjs")));
    let mut command = Command::new("node");
    command.arg("--experimental-websocket").arg("--no-warnings").arg(directory.join("run.mjs"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

/// What the client tells, until it stops by itself after its third message.
async fn run(server: &Server, gateway: &str, more: &[&str]) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let mut command = client(directory.path());
    command.arg(format!("http://{}", server.address)).arg(gateway).args(more);
    let told = tokio::task::spawn_blocking(move || succeed(&mut command)).await.unwrap();
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_ticket_and_the_client_comes_back_with_a_renewed_one() {
    let platform = simulator();
    let server = Site::new(platform.address, "").start();
    let (_service, address) = start_service();
    let (_gateway, gateway) = start_gateway(&server, address).await;
    let openid = server.get("/v1/session", &[("weixinauth", &server.ticket("demo-bob-1"))]).json()["openid"].clone();
    let said = |number: u32| json!(["message", format!("{}: number {number}", openid.as_str().unwrap())]);

    let began = Instant::now();
    let events = run(&server, &gateway, &["demo-bob-2"]).await;
    let renewed = [json!(["closed", 4401]), json!(["/v1/renew", 200])];
    let expected = [
        &[json!(["/v1/login", 200]), json!(["login", 200]), said(1)][..],
        &renewed,
        &[said(2)],
        &renewed,
        &[said(3), json!(["closed", 1005])],
    ];
    assert_eq!(events, expected.concat());
    // Two sockets have lived for as long as their tickets, but for the second in which each was sealed.
    assert!(began.elapsed().as_secs() >= 2 * (LEFT_S - 1), "{:?}", began.elapsed());

    // A ticket that is over or was cut off: the gateway refuses, the renewal too, and a login helps.
    let events = run(&server, &gateway, &["demo-bob-3", "AQAA"]).await;
    let refused = [json!(["failed"]), json!(["/v1/renew", 401]), json!(["/v1/login", 200]), json!(["login", 200])];
    // Some versions of Node tell that it is closed, too.
    let events: Vec<Value> = events.into_iter().filter(|event| *event != json!(["closed", 1006])).collect();
    assert_eq!(events[..5], [&refused[..], &[said(1)]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_did_not_come_through_the_gateway_is_closed() {
    let (_service, address) = start_service();
    let script = format!(
        "from websockets.sync.client import connect\nfrom websockets.exceptions import ConnectionClosed\n\
         with connect('ws://{address}/', proxy=None, additional_headers={{'X-Auth-Expires-At': '9999999999'}}) as c:\n \
         try:\n  c.recv()\n except ConnectionClosed as e:\n  print(e.rcvd.code)\n"
    );
    assert_eq!(succeed(Command::new(needed("python")).arg("-c").arg(script)), "1008\n");
}
