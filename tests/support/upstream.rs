//! A platform that answers what a test tells it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a platform of a test does with a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Status line's rest and further header lines, then the body.
    Http(&'static str, String),
    /// Half an answer.
    Cut(String),
    Silence,
}

/// A platform that answers as the test says and remembers what it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    /// `answer` gets each request, head and body.
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let (requests, answer) = (Arc::clone(&upstream.requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                // A client that goes away early is the test's doing.
                std::thread::spawn(move || drop(Self::serve(stream, &requests, &*answer)));
            }
        });
        upstream
    }

    fn serve(stream: TcpStream, requests: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Reply) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let lengths = head
            .lines()
            .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        let mut body = vec![0; lengths.sum()];
        stream.read_exact(&mut body)?;
        let request = head + &String::from_utf8_lossy(&body);
        requests.lock().unwrap().push(request.clone());
        let stream = stream.get_mut();
        match answer(&request) {
            Reply::Http(status, body) => {
                let len = body.len();
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
            }
            Reply::Cut(body) => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{body}"),
            Reply::Silence => stream.read(&mut [0]).map(drop),
        }
    }

    /// All requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
