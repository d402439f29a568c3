//! The owner's service behind a server under test: it keeps what it was asked, and answers well, badly or not at all.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// What becomes of a question.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// A whole answer: the status line's rest and further header lines, then the body.
    Http(&'static str, String),
    /// These bytes, and then the connection is closed.
    Raw(String),
    /// 200 with this body, once the test allows it.
    After(Arc<Notify>, &'static str),
    /// This, and then silence.
    Hang(&'static str),
    /// A good beginning, and then a byte now and then for ever.
    Drip,
}

impl Reply {
    /// 200 with a body.
    pub(super) fn body(text: impl Into<String>) -> Self {
        Self::Http("200 OK", text.into())
    }

    /// 200 with claims.
    pub(super) fn claims(claims: &str) -> Self {
        Self::body(serde_json::json!({ "claims": claims }).to_string())
    }
}

/// A question as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) head: String,
    pub(super) jwt: String,
}

impl Question {
    /// The JWT's claims, unchecked.
    pub(super) fn claims(&self) -> Value {
        let payload = self.jwt.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }
}

type Answering = dyn Fn(&Question) -> Reply + Send + Sync;

/// A running service; stopped when dropped.
pub(super) struct Owner {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
    answering: Arc<Mutex<Arc<Answering>>>,
    accepting: AbortHandle,
}

impl Owner {
    pub(super) async fn start(answer: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Question>>>::default();
        let answering: Arc<Mutex<Arc<Answering>>> = Arc::new(Mutex::new(Arc::new(answer)));
        let shared = (Arc::clone(&asked), Arc::clone(&answering));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (asked, answering) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                // A client that goes away early is the test's doing.
                tokio::spawn(async move { drop(serve(stream, &asked, &answering).await) });
            }
        });
        Self { address, asked, answering, accepting: accepting.abort_handle() }
    }

    /// Answers everybody with `reply`.
    pub(super) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/auth-ticket?tenant=1", self.address)
    }

    /// From now on it answers everybody with `reply`.
    pub(super) fn now(&self, reply: Reply) {
        *self.answering.lock().unwrap() = Arc::new(move |_: &Question| reply.clone());
    }

    pub(super) fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }

    #[track_caller]
    pub(super) fn last(&self) -> Question {
        self.asked().pop().expect("a question")
    }

    /// Waits until `count` questions have arrived.
    pub(super) async fn reached(&self, count: usize) {
        let reached = async {
            while self.asked().len() < count {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        crate::support::within_5_s("questions", reached).await;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    asked: &Mutex<Vec<Question>>,
    answering: &Mutex<Arc<Answering>>,
) -> std::io::Result<()> {
    let Some(question) = read(&mut stream).await? else { return Ok(()) };
    asked.lock().unwrap().push(question.clone());
    let answer = Arc::clone(&answering.lock().unwrap());
    match answer(&question) {
        Reply::Http(status, body) => {
            let len = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await
        }
        Reply::After(allowed, body) => {
            allowed.notified().await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).await
        }
        Reply::Raw(bytes) => stream.write_all(bytes.as_bytes()).await,
        Reply::Hang(beginning) => {
            stream.write_all(beginning.as_bytes()).await?;
            stream.read_u8().await.map(drop)
        }
        Reply::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{\"claims\":\"uid=1\"}").await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

/// A whole request; `None` if none came.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Question>> {
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).expect("a length").1;
            if body.len() == length.parse::<usize>().unwrap() {
                return Ok(Some(Question { head: head.to_owned(), jwt: body.to_owned() }));
            }
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(None);
        }
    }
}
