//! Requests and how they are sent: as `reqwest` does it, or byte by byte.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::answer::{Answer, Asked, Rules};
use super::within_5_s;

/// A request.
#[derive(Clone)]
pub(crate) struct Call {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// `POST /v1/login` with this code and nothing else.
    pub(crate) fn login(code: &str) -> Self {
        Self::post("/v1/login").json(&serde_json::json!({ "code": code }))
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn ticket(self, ticket: &str) -> Self {
        self.header("weixinauth", ticket)
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        body.as_ref().clone_into(&mut self.body);
        if content_type.is_empty() { self } else { self.header("content-type", content_type) }
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn form(self, body: &str) -> Self {
        self.body("application/x-www-form-urlencoded", body)
    }

    /// Whether it is for one of the routes that tell a status in their bodies alone.
    pub(crate) fn is_compat(&self) -> bool {
        self.target.starts_with("/miniLogin/")
    }

    /// The request as it goes over the wire, with nothing added but `Host` and, where there is a body and no other
    /// word about its length, `Content-Length`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: login.example\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: ").as_bytes());
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let has_length = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        });
        if !self.body.is_empty() && !has_length {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn asked(&self) -> Asked {
        let origin_form = self.target.strip_prefix("http://other.example").unwrap_or(&self.target);
        let path = origin_form.split('?').next().unwrap_or_default().to_owned();
        Asked { method: self.method.clone(), path }
    }
}

/// The beginning of it, to be read by people.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        write!(f, "`{}`", bytes.get(..1000).unwrap_or(&bytes).escape_ascii())
    }
}

/// Sends `call` as programs do that use a library for it.
pub(super) async fn send(client: &reqwest::Client, address: SocketAddr, call: &Call, rules: &Rules) -> Answer {
    let method = reqwest::Method::from_bytes(call.method.as_bytes()).unwrap();
    let mut request = client.request(method, format!("http://{address}{}", call.target));
    for (name, value) in &call.headers {
        request = request.header(name, reqwest::header::HeaderValue::from_bytes(value).unwrap());
    }
    if !call.body.is_empty() {
        request = request.body(call.body.clone());
    }
    let answer = within_5_s("an answer", receive(request)).await;
    answer.unwrap().checked(&call.asked(), rules)
}

/// What `request` is answered, whoever answers.
pub(crate) async fn receive(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
}

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Between answers.
    Closed,
    /// In the middle of one.
    CutOff,
}

/// A connection on which everything goes as it is written here.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    rules: Rules,
    received: Vec<u8>,
    /// How many `100 Continue` have come.
    pub(crate) continues: usize,
}

impl Connection {
    pub(super) async fn open(own: Ipv4Addr, address: SocketAddr, rules: Rules) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((own, 0).into())?;
        Ok(Self::over(socket.connect(address).await?, rules))
    }

    /// On a stream that somebody else has opened.
    pub(super) fn over(stream: TcpStream, rules: Rules) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, rules, received: Vec::new(), continues: 0 }
    }

    /// Breaks it off: the other side gets a reset, and what was under way is lost.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The same, where the server may have enough before the end.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub(crate) async fn call(&mut self, call: &Call) -> Answer {
        self.send(call.to_bytes()).await;
        self.answer(call).await
    }

    /// The next answer, which is to `call`.
    pub(crate) async fn answer(&mut self, call: &Call) -> Answer {
        let asked = call.asked();
        let answer = within_5_s("an answer", self.read_answer(&asked)).await;
        answer.unwrap_or_else(|end| panic!("no answer to {asked:?}: {end:?}")).checked(&asked, &self.rules)
    }

    /// The next answer within `patience`, which is to `call`; none where the connection ends before it is whole. What
    /// was said before there was a request has no shape of ours, and is not checked.
    #[track_caller]
    pub(crate) fn try_answer(&mut self, call: &Call, patience: Duration) -> impl Future<Output = Option<Answer>> {
        let (caller, asked) = (std::panic::Location::caller(), call.asked());
        async move {
            let answer = timeout(patience, self.read_answer(&asked)).await;
            let answer = answer.unwrap_or_else(|_| panic!("{caller}: neither answered nor closed: {asked:?}")).ok()?;
            Some(if answer.is_bare() { answer } else { answer.checked(&asked, &self.rules) })
        }
    }

    /// The next answer without any check, for what ends before there is a request.
    pub(crate) async fn unchecked_answer(&mut self) -> Option<Answer> {
        let asked = Asked { method: "GET".to_owned(), path: "/".to_owned() };
        match within_5_s("an answer", self.read_answer(&asked)).await {
            Err(End::CutOff) => panic!("cut off: {}", String::from_utf8_lossy(&self.received)),
            answer => answer.ok(),
        }
    }

    /// Whether the server says or ends anything within `duration`.
    pub(crate) async fn is_silent_for(&mut self, duration: Duration) -> bool {
        self.received.is_empty() && timeout(duration, self.read_more()).await.is_err()
    }

    /// Asserts that the server closes the connection within `limit`, and says nothing before.
    #[track_caller]
    pub(crate) fn is_closed_within(&mut self, limit: Duration) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let more = timeout(limit, self.read_more()).await;
            let more = more.unwrap_or_else(|_| panic!("{caller}: still open"));
            assert!(!more, "{caller}: more came: {}", self.received.escape_ascii());
        }
    }

    async fn read_answer(&mut self, asked: &Asked) -> Result<Answer, End> {
        let (status, headers) = loop {
            let head_len = loop {
                if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                if !self.read_more().await {
                    return Err(if self.received.is_empty() { End::Closed } else { End::CutOff });
                }
            };
            let head: Vec<u8> = self.received.drain(..head_len).collect();
            match parse_head(&head) {
                (100, _) => self.continues += 1,
                other => break other,
            }
        };
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = match length {
            Some((_, value)) if asked.method != "HEAD" => std::str::from_utf8(value).unwrap().parse().unwrap(),
            _ => 0,
        };
        while self.received.len() < length {
            if !self.read_more().await {
                return Err(End::CutOff);
            }
        }
        let body = self.received.drain(..length).collect();
        Ok(Answer { status, headers, body })
    }

    /// Reads whatever comes next; false at the end.
    async fn read_more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(len) => {
                self.received.extend_from_slice(buffer.get(..len).unwrap_or_default());
                true
            }
        }
    }
}

fn parse_head(head: &[u8]) -> (u16, Vec<(String, Vec<u8>)>) {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status_line = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
    let (version, status) = status_line.split_once(' ').unwrap();
    assert!(matches!(version, "HTTP/1.1" | "HTTP/1.0"), "{status_line}");
    let status = status.get(..3).unwrap().parse().unwrap();
    let headers = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap());
            (String::from_utf8(name.to_ascii_lowercase()).unwrap(), value[1..].trim_ascii().to_vec())
        })
        .collect();
    (status, headers)
}
