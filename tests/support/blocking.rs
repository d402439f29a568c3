//! HTTP without a runtime: one request on one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::answer::Answer;
use super::program::DEADLINE;

/// One request on one connection.
#[track_caller]
pub(crate) fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    try_call(address, method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

pub(crate) fn try_call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut head =
        vec![format!("{method} {path} HTTP/1.1"), format!("Host: {address}"), "Connection: close".to_owned()];
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !body.is_empty() || method == "POST" {
        head.push(format!("Content-Length: {}", body.len()));
    }
    stream.write_all((head.join("\r\n") + "\r\n\r\n" + body).as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    Answer::parse(&raw).ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {}", raw.escape_ascii())))
}

/// A connection that stays open, and the status of one check after the other on it.
#[derive(Debug)]
pub(crate) struct Held(TcpStream);

impl Held {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(stream)
    }

    pub(crate) fn verify(&mut self, ticket: &str) -> u16 {
        write!(self.0, "GET /v1/verify HTTP/1.1\r\nHost: a\r\nweixinauth: {ticket}\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }
}
