//! Stands in for auth-ticket where a test decides what a check is answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

/// Where nobody listens.
pub(super) const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// A server that says the same to everybody.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Clone, Debug)]
struct Answer {
    bytes: String,
    /// The connection ends after it.
    is_last: bool,
    /// It waits until so many are to be given.
    together: Arc<Barrier>,
}

impl Check {
    /// Answers with these bytes, and reads on; with none, for ever.
    pub(super) async fn answering(answer: &str) -> Self {
        Self::start(answer, false, 1).await
    }

    /// Breaks off after these bytes.
    pub(super) async fn breaking_off_after(answer: &str) -> Self {
        Self::start(answer, true, 1).await
    }

    /// A 200 with these headers, for `count` requests that are there at once, and not before.
    pub(super) async fn passing_together(count: usize, headers: &[(&str, &str)]) -> Self {
        Self::start(&ok(headers), false, count).await
    }

    async fn start(answer: &str, is_last: bool, count: usize) -> Self {
        let answer = Answer { bytes: answer.to_owned(), is_last, together: Arc::new(Barrier::new(count)) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let check = Self { address, connections: Arc::default(), asked: Arc::default(), answer: Arc::clone(&answer) };
        let (connections, asked) = (Arc::clone(&check.connections), Arc::clone(&check.asked));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&asked)));
            }
        });
        check
    }

    /// A 200 with these headers.
    pub(super) async fn passing(headers: &[(&str, &str)]) -> Self {
        Self::answering(&ok(headers)).await
    }

    /// From now on a 200 with these headers.
    pub(super) fn pass(&self, headers: &[(&str, &str)]) {
        self.answer.lock().unwrap().bytes = ok(headers);
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What has come since the last time, byte for byte, one text for each request.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn ok(headers: &[(&str, &str)]) -> String {
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\n{}cache-control: no-store\r\ncontent-length: 0\r\n\r\n", lines.concat())
}

async fn serve(mut stream: TcpStream, answer: Arc<Mutex<Answer>>, asked: Arc<Mutex<Vec<String>>>) {
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        received.extend_from_slice(&buffer[..len]);
        if received.ends_with(b"\r\n\r\n") {
            asked.lock().unwrap().push(String::from_utf8_lossy(&received).into_owned());
            received.clear();
            let Answer { bytes, is_last, together } = answer.lock().unwrap().clone();
            together.wait().await;
            if stream.write_all(bytes.as_bytes()).await.is_err() || is_last {
                return;
            }
        }
    }
    // A body, or a part of one, that should not be here.
    if !received.is_empty() {
        asked.lock().unwrap().push(String::from_utf8_lossy(&received).into_owned());
    }
}
