//! A connection's bytes: tells the watchdog when some arrive, and answers in the routes' own shape where hyper refuses a
//! request by itself.
//!
//! hyper answers a head that is too long, has too many fields or is no HTTP with a bare status. Gateways take nothing but
//! 200, 401 and 403 from a check, and clients read the shape of errors, so another answer is written in place of that one.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use hyper::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watchdog::{Doing, Watchdog};
use crate::bearer::Refusal;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::Limit;
use crate::http::transport::admission::ConnectionCount;
use crate::request_id::RequestId;

/// How much of what still comes after the last answer is thrown away, so that the client can read the answer; in bytes.
const MAX_DRAINED_LEN: usize = 2 << 20;
/// What the paths of checks begin with.
const CHECKS: [&[u8]; 2] = [b"/v1/verify", b"/v1/ext-authz"];

#[expect(clippy::struct_excessive_bools, reason = "each says something else about one connection")]
pub(crate) struct WatchedIo<'a, S> {
    inner: S,
    watchdog: &'a Watchdog,
    count: &'a ConnectionCount,
    /// Nothing of a head has arrived yet.
    is_fresh: bool,
    /// Whether the head that arrives is of a check, as far as its first bytes tell.
    is_check: bool,
    /// The last write took a part, so the next one goes on in the middle of an answer.
    is_amid_answer: bool,
    refusal: Option<RefusedHead>,
    /// Pages may call: then they may read a refusal, too, whichever they are.
    for_pages: bool,
    /// After the last answer: how many bytes are still read, so that the client ends first.
    left_to_drain: usize,
}

/// What is written in place of hyper's refusal.
struct RefusedHead {
    text: Vec<u8>,
    written: usize,
}

impl<'a, S> WatchedIo<'a, S> {
    pub(crate) const fn new(inner: S, watchdog: &'a Watchdog, count: &'a ConnectionCount, for_pages: bool) -> Self {
        Self {
            inner,
            watchdog,
            count,
            is_fresh: true,
            is_check: false,
            is_amid_answer: false,
            refusal: None,
            for_pages,
            left_to_drain: 0,
        }
    }

    /// hyper's refusal, if that is what `buf` begins with: written while a head arrives, and not in the middle of an answer,
    /// whose body may hold any text.
    fn refusal_in(&self, buf: &[u8]) -> Option<RefusedHead> {
        let is_receiving = || Doing::of(self.watchdog.state.load(Ordering::Relaxed)) == Doing::Receiving;
        let is_too_large = own_refusal_of_hyper(buf).filter(|_| !self.is_amid_answer && is_receiving())?;
        Some(self.refuse(is_too_large))
    }

    fn bytes_arrived(&mut self, bytes: &[u8]) {
        if self.watchdog.bytes_arrived() || self.is_fresh {
            let path = bytes.iter().take(16).position(|byte| *byte == b' ').and_then(|at| bytes.get(at + 1..));
            self.is_check = path.is_some_and(|path| CHECKS.iter().any(|check| path.starts_with(check)));
            self.is_fresh = false;
        }
    }

    fn refuse(&self, is_too_large: bool) -> RefusedHead {
        let request_id = RequestId::of(&HeaderMap::new());
        let error = match (self.is_check, is_too_large) {
            (true, _) => Refusal::InvalidTicket.into(),
            (false, true) => ApiError::new(
                ErrorCode::HeadersTooLarge,
                "the request headers are larger than 16 KiB, or more than 100",
            ),
            (false, false) => ApiError::invalid_request("the request is not HTTP/1.1, or its target is not ASCII"),
        };
        if is_too_large {
            self.count.limit_reached(Limit::HeaderSize);
        }
        tracing::debug!(%request_id, error = error.code().as_str(), is_too_large, "a head was refused");
        let more = match (self.is_check, self.for_pages) {
            (true, _) => "www-authenticate: Bearer\r\n",
            // The origin has not been read, and there is nothing to hide.
            (false, true) => "access-control-allow-origin: *\r\n",
            (false, false) => "",
        };
        let body = format!(
            r#"{{"error":"{}","error_description":"{}","request_id":"{request_id}"}}"#,
            error.code().as_str(),
            error.description()
        );
        let (status, len) = (error.code().status(), body.len());
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n{more}\
             connection: close\r\ncontent-length: {len}\r\n\r\n{body}"
        );
        RefusedHead { text: text.into_bytes(), written: 0 }
    }
}

/// Whether hyper's own refusal is in `buf`, and whether it is for the size. All answers of ours have a `cache-control`.
fn own_refusal_of_hyper(buf: &[u8]) -> Option<bool> {
    let status = buf.strip_prefix(b"HTTP/1.")?.get(2..6)?;
    let is_too_large = match status {
        b"400 " => false,
        b"414 " | b"431 " => true,
        _ => return None,
    };
    let is_ours = buf.windows(13).any(|name| name.eq_ignore_ascii_case(b"cache-control"));
    (!is_ours).then_some(is_too_large)
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedIo<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        // The end of the stream counts as bytes, too: then hyper ends the connection before any deadline.
        if matches!(result, Poll::Ready(Ok(()))) {
            self.bytes_arrived(buf.filled().get(before..).unwrap_or_default());
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedIo<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_none() {
            this.refusal = this.refusal_in(buf);
            if this.refusal.is_some() {
                this.left_to_drain = MAX_DRAINED_LEN;
            }
        }
        let Some(refusal) = &mut this.refusal else {
            let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
            this.is_amid_answer = written < buf.len();
            return Poll::Ready(Ok(written));
        };
        while let Some(rest @ [_, ..]) = refusal.text.get(refusal.written..) {
            match ready!(Pin::new(&mut this.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => refusal.written += len,
            }
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Where the client may still send, also waits for its end, for as long as a head may take: closing while bytes are
    /// unread would reset the connection, and the client might never see the answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        if this.watchdog.leaves_unread.swap(false, Ordering::Relaxed) {
            this.watchdog.now_doing(Doing::Receiving);
            this.left_to_drain = MAX_DRAINED_LEN;
        }
        let mut scratch = [0; 4096];
        while this.left_to_drain > 0 {
            let mut unread = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut unread))?;
            let len = unread.filled().len();
            this.left_to_drain = if len == 0 { 0 } else { this.left_to_drain.saturating_sub(len) };
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::http::ConnectionLimits;

    const REFUSAL: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";

    fn watchdog() -> Watchdog {
        let second = Duration::from_secs(1);
        let [header_timeout, idle_timeout, shutdown_grace] = [second; 3];
        Watchdog::new(ConnectionLimits { max_connections: 1, header_timeout, idle_timeout, shutdown_grace })
    }

    /// Writes `first`, of which all but `REFUSAL` fits, and then the rest; gives what the other end sees.
    async fn written(doing: Doing, first: &[u8]) -> String {
        let (watchdog, count) = (watchdog(), ConnectionCount::default());
        watchdog.now_doing(doing);
        let room = (first.len() - REFUSAL.len()).max(1);
        let (ours, mut theirs) = duplex(room);
        let mut io = WatchedIo::new(ours, &watchdog, &count, false);
        let writing = async {
            io.write_all(first).await.unwrap();
            drop(io);
        };
        let mut seen = String::new();
        let ((), read) = tokio::join!(writing, theirs.read_to_string(&mut seen));
        read.unwrap();
        seen
    }

    #[tokio::test]
    async fn a_refusal_is_replaced_where_hyper_writes_one_and_nowhere_else() {
        let replaced = written(Doing::Receiving, REFUSAL).await;
        assert!(replaced.starts_with("HTTP/1.1 431 ") && replaced.contains("headers_too_large"), "{replaced}");
        // An answer's body may hold the same bytes, and what the socket takes may end right before them.
        let body = [b"HTTP/1.1 200 OK\r\ncontent-length: 68\r\n\r\n", REFUSAL].concat();
        for doing in [Doing::Receiving, Doing::Answering, Doing::Waiting] {
            assert_eq!(written(doing, &body).await.as_bytes(), body, "{doing:?}");
        }
        for doing in [Doing::Answering, Doing::Waiting] {
            assert_eq!(written(doing, REFUSAL).await.as_bytes(), REFUSAL, "{doing:?}");
        }
    }

    #[test]
    fn only_hypers_own_refusals_are_replaced() {
        for (head, expected) in [
            (
                "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                Some(true),
            ),
            ("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", Some(false)),
            ("HTTP/1.1 414 URI Too Long\r\nconnection: close\r\n\r\n", Some(true)),
            ("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\r\n{}", None),
            ("HTTP/1.1 401 Unauthorized\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("431 ", None),
            ("", None),
        ] {
            assert_eq!(own_refusal_of_hyper(head.as_bytes()), expected, "{head}");
        }
    }
}
