//! What stands between services and the server: it counts, and it can be away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::try_call;

/// The public address of a server whose own port nobody knew when it was configured.
#[derive(Clone, Debug)]
pub(super) struct Front {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    server: Option<SocketAddr>,
    max_age_s: Option<u64>,
    hangs: bool,
    seen: Vec<String>,
}

impl Front {
    /// Away, until [`Front::lead_to`].
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let shared = front.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let front = shared.clone();
                // A client that goes away early has what it wanted.
                std::thread::spawn(move || drop(front.serve(stream)));
            }
        });
        front
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn lead_to(&self, server: SocketAddr) {
        let mut state = self.state.lock().unwrap();
        (state.server, state.hangs) = (Some(server), false);
    }

    /// From now on requests are cut off without an answer.
    pub(super) fn go_away(&self) {
        self.state.lock().unwrap().server = None;
    }

    /// From now on nothing is answered, and nothing cut off.
    pub(super) fn hang(&self) {
        self.state.lock().unwrap().hangs = true;
    }

    /// Answers may be kept for so long, whatever the server says.
    pub(super) fn shorten_max_age(&self, seconds: u64) {
        self.state.lock().unwrap().max_age_s = Some(seconds);
    }

    /// How many requests for `path` there were, answered or not.
    pub(super) fn count(&self, path: &str) -> usize {
        self.state.lock().unwrap().seen.iter().filter(|seen| *seen == path).count()
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let mut lines = head.lines();
        let request: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        let find = |name: &str| headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        let len = find("content-length").and_then(|(_, len)| len.parse().ok()).unwrap_or(0);
        let mut body = vec![0; len];
        stream.read_exact(&mut body)?;
        let (server, max_age_s, hangs) = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(request[1].to_owned());
            (state.server, state.max_age_s, state.hangs)
        };
        if hangs {
            // Until the client gives up.
            return stream.read(&mut [0]).map(drop);
        }
        let Some(server) = server else { return Ok(()) };
        let passed: Vec<_> =
            ["authorization", "content-type", "accept"].into_iter().filter_map(find).copied().collect();
        let answer = try_call(server, request[0], request[1], &passed, &String::from_utf8_lossy(&body))?;
        let mut raw = answer.whole();
        if let Some(max_age_s) = max_age_s {
            raw = raw.replace("max-age=300", &format!("max-age={max_age_s}"));
        }
        stream.get_mut().write_all(raw.as_bytes())
    }
}
