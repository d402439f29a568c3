//! One connection, with one request under way at a time.

use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::io::{Errno, read, write};

use super::Place;

/// Longer than any answer here.
const ANSWER_LEN: usize = 16 * 1024;
const HEADERS: usize = 64;

/// Names in lower case, and values.
pub(crate) type Headers = Vec<(String, String)>;

/// A connection that is kept, as long as the server keeps it.
pub(super) struct Line {
    socket: OwnedFd,
    received: Box<[u8]>,
    received_len: usize,
    due: Instant,
    /// The server has said that it closes after this answer.
    is_over: bool,
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// Of head and body.
    len: usize,
    closes: bool,
}

impl Line {
    pub(super) fn open(place: &Place) -> anyhow::Result<Self> {
        let socket: OwnedFd = match place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                stream.into()
            }
            Place::Unix(path) => {
                let stream =
                    UnixStream::connect(path).with_context(|| format!("cannot connect to {}", path.display()))?;
                stream.set_nonblocking(true)?;
                stream.into()
            }
        };
        let received = vec![0; ANSWER_LEN].into_boxed_slice();
        Ok(Self { socket, received, received_len: 0, due: Instant::now(), is_over: false })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn send(&mut self, message: &[u8], due: Instant) -> anyhow::Result<()> {
        self.due = due;
        self.received_len = 0;
        let written = write(&self.socket, message)?;
        ensure!(written == message.len(), "{written} of {} bytes were sent", message.len());
        Ok(())
    }

    /// Reads what is there. If the answer is complete, when the request was due.
    ///
    /// # Errors
    /// If its status is not 200, or it breaks off.
    pub(super) fn receive(&mut self) -> anyhow::Result<Option<Instant>> {
        self.read()?;
        let Some(head) = head(&self.received[..self.received_len])? else { return Ok(None) };
        ensure!(head.status == 200, "an answer has status {}", head.status);
        ensure!(self.received_len <= head.len, "more than one answer to a request");
        self.is_over = head.closes;
        Ok((self.received_len == head.len).then_some(self.due))
    }

    /// The same with status and headers, whatever the status is.
    pub(super) fn answer(&mut self) -> anyhow::Result<Option<(u16, Headers)>> {
        self.read()?;
        let received = &self.received[..self.received_len];
        let Some(head) = head(received)?.filter(|head| head.len == received.len()) else { return Ok(None) };
        let mut space = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut space);
        response.parse(received)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = response.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
        Ok(Some((head.status, headers.collect())))
    }

    fn read(&mut self) -> anyhow::Result<()> {
        match read(&self.socket, &mut self.received[self.received_len..]) {
            Ok(0) => bail!("a connection ended without an answer, or the answer has more than {ANSWER_LEN} bytes"),
            Ok(len) => self.received_len += len,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// None if there is more to come.
fn head(received: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut space = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut space);
    let httparse::Status::Complete(len) = response.parse(received)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let (mut body_len, mut closes) = (None, false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body_len = Some(std::str::from_utf8(header.value)?.parse::<usize>()?);
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let body_len = if status == 204 { 0 } else { body_len.context("an answer does not say how long it is")? };
    Ok(Some(Head { status, len: len + body_len, closes }))
}
