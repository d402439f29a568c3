//! Odd requests for a while: nginx neither ends nor grows. `make nginx-module-soak` has more of it, and valgrind.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::agreement::Numbers;
use super::{Nginx, Owner, get, put, workers};
use crate::gateways::gateway::{Door, Gateway};
use crate::gateways::service::Service;
use crate::support::Call;
use crate::support::system::needed;

/// A request with up to twelve headers, some of them nearly those that matter, with values of any bytes that a header may have.
fn odd(numbers: &mut Numbers, ticket: &str) -> Call {
    const NAMES: [&str; 10] = [
        "weixinauth",
        "Authorization",
        "X-Auth-Openid",
        "x_auth_phone",
        "X.Auth.Claims",
        "Cookie",
        "X-Auth-",
        "x-auth",
        "X-Forwarded-For",
        "Upgrade",
    ];
    let mut call = Call::new(["GET", "POST", "HEAD", "PUT"][numbers.below(4)], "/odd?a=b");
    for _ in 0..numbers.below(12) {
        let value: Vec<u8> = match numbers.below(4) {
            0 => ticket.into(),
            1 => format!("Bearer {}", &ticket[..numbers.below(ticket.len())]).into(),
            _ => (0..numbers.below(300))
                .map(|_| u8::try_from(numbers.below(256)).unwrap())
                .filter(|byte| !matches!(byte, 0 | b'\r' | b'\n'))
                .collect(),
        };
        call = call.header(NAMES[numbers.below(NAMES.len())], value);
    }
    call
}

/// The memory of nginx's workers, in KiB.
fn resident_kib(gateway: &Gateway) -> u64 {
    let of = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    workers(gateway).into_iter().map(of).sum()
}

/// Meanwhile the verifier file is made anew every second: it would grow too old, and looks must not make nginx grow either.
async fn send_odd(gateway: &Gateway, owner: &Owner, numbers: &mut Numbers, ticket: &str, until: Instant) -> u64 {
    let (mut sent, mut made) = (0, Instant::now());
    while Instant::now() < until {
        if made.elapsed() > Duration::from_secs(1) {
            put(&gateway.directory().join("app.verify"), &owner.verifier_file());
            made = Instant::now();
        }
        let answer = gateway.call(odd(numbers, ticket)).await;
        assert!(matches!(answer.status, 200 | 400 | 401 | 426), "{answer:?}");
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_neither_end_nginx_nor_make_it_grow() {
    let length = std::env::var_os("NGINX_MODULE_SOAK").map_or(Duration::from_secs(3), |_| Duration::from_secs(600));
    let (owner, service) = (Owner::start(), Service::start().await);
    let gateway = Nginx::new(service.address, &owner.verifier_file()).start().await;
    let ticket = owner.server.ticket("demo-alice-1");
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let warm = send_odd(&gateway, &owner, &mut numbers, &ticket, Instant::now() + length / 3).await;
    service.take();
    let before = resident_kib(&gateway);
    let sent = send_odd(&gateway, &owner, &mut numbers, &ticket, Instant::now() + length).await;
    let after = resident_kib(&gateway);
    assert!(sent > 100 && warm > 30, "{sent} {warm}");
    assert!(after < before + 1024, "{before} KiB, then {after} KiB after {sent} requests");
    assert!(!gateway.log().contains("exited on signal"), "{}", gateway.log());
    assert!(gateway.log().contains("has changed and is used"), "{}", gateway.log());
    assert_eq!(get(&gateway, "/", &ticket).await.status, 200);
    // The service keeps what it saw.
    drop(service.take());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "ten thousand connections are more than many machines allow: make nginx-module-soak"]
async fn each_of_ten_thousand_connections_has_its_own_user() {
    const CONNECTIONS: usize = 10_000;
    let (owner, service) = (Owner::start(), Service::start().await);
    let gateway = Nginx::new(service.address, &owner.verifier_file()).start().await;
    let users = ["alice", "bob"].map(|name| {
        let ticket = owner.server.ticket(&format!("demo-{name}-1"));
        let openid = owner.server.verify(&ticket).header("x-auth-openid").unwrap().to_owned();
        (ticket, openid)
    });
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(gateway.connect().await);
    }
    for (number, connection) in connections.iter_mut().enumerate() {
        // Every third one has no ticket.
        let (ticket, openid) =
            if number % 3 == 2 { ("garbage", None) } else { (&*users[number % 3].0, Some(&*users[number % 3].1)) };
        let request = format!("GET / HTTP/1.1\r\nHost: api.example.com\r\nweixinauth: {ticket}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 4096];
        let len = connection.read(&mut answer).await.unwrap();
        let status: &[u8] = if openid.is_some() { b"HTTP/1.1 200 " } else { b"HTTP/1.1 401 " };
        assert!(answer[..len].starts_with(status), "{number}: {}", String::from_utf8_lossy(&answer[..len]));
        if let Some(openid) = openid {
            assert_eq!(service.one().all("x-auth-openid"), [openid], "{number}");
        }
    }
    assert!(service.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "valgrind takes minutes: make nginx-module-soak"]
async fn valgrind_finds_nothing() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let mut nginx = Nginx::new(service.address, &owner.verifier_file());
    nginx.main = "master_process off;";
    let plain = nginx.command();
    let mut command = std::process::Command::new(needed("valgrind"));
    // In files of its own: nginx writes to standard error as well.
    let logs = nginx.file("valgrind");
    fs::create_dir(&logs).unwrap();
    command.arg(format!("--log-file={}/%p", logs.display())).arg(plain.get_program()).args(plain.get_args());
    let door = Door::Socket(nginx.file("socket"));
    let gateway = Gateway::start(&mut command, door, nginx.directory).await;
    let ticket = owner.server.ticket("demo-alice-1");
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let sent = send_odd(&gateway, &owner, &mut numbers, &ticket, Instant::now() + Duration::from_secs(60)).await;
    assert!(sent > 50, "{sent}");
    assert_eq!(get(&gateway, "/", &ticket).await.status, 200);
    gateway.signal(Signal::QUIT);
    let said = || fs::read_to_string(logs.join(gateway.pid().to_string())).unwrap();
    let told = Instant::now();
    while !said().contains("ERROR SUMMARY: ") {
        assert!(told.elapsed().as_secs() < 60, "{} {}", said(), gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(said().contains("ERROR SUMMARY: 0 errors from 0 contexts"), "{}", said());
    assert_eq!(fs::read_dir(&logs).unwrap().count(), 1);
}
