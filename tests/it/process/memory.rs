//! Memory follows from the limits: what clients send and never finish has a bound for each connection.

use std::io::Write;
use std::net::TcpStream;

use crate::support::{Site, simulator};

#[test]
fn heads_and_bodies_that_never_end_take_so_much_and_no_more() {
    const CONNECTIONS: u32 = 400;
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let server = site.start();
    let ticket = server.ticket("demo-alice-1");
    let before = server.peak_kib();
    let head = |len: usize| format!("GET /v1/verify HTTP/1.1\r\nhost: x\r\nx-long: {}", "x".repeat(len));
    let body = "POST /v1/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 65536\r\n\r\n";
    let unfinished = [head(22_000), head(125_000), format!("{body}{}", " ".repeat(65_000))];
    let held: Vec<TcpStream> = (0..CONNECTIONS)
        .zip(unfinished.iter().cycle())
        .map(|(_, text)| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.set_nonblocking(true).unwrap();
            // As much of it as the system takes at once.
            let _ = stream.write(text.as_bytes());
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(server.verify(&ticket).status, 200);
    }
    server.ticket("demo-bob-1");
    let taken = server.peak_kib() - before;
    assert!(taken < u64::from(CONNECTIONS) * 144, "{taken} KiB for {CONNECTIONS} connections");
    drop(held);
}
