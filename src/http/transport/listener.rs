//! Where connections come from: TCP, or a Unix socket on the same machine.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// What the system may hold of a connection in each direction, and doubles for its own needs. Left alone, it holds megabytes for
/// a client that does not read, and counts them among the memory of a container.
const SOCKET_BUFFER_LEN: usize = 32 << 10;

/// A socket that accepts connections.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the two kinds of sockets that HTTP is served on")]
pub enum Listener {
    /// Peers have an address.
    Tcp(TcpListener),
    /// Peers are processes of this machine, and have no address.
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// Its address; `None` for a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<io::Result<SocketAddr>> {
        match self {
            Self::Tcp(listener) => Some(listener.local_addr()),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// Where it is, as a person writes it: `http://127.0.0.1:8080`, `unix:/run/http.sock`.
    ///
    /// # Errors
    /// The system does not say.
    pub fn place(&self) -> io::Result<String> {
        Ok(match self {
            Self::Tcp(listener) => format!("http://{}", listener.local_addr()?),
            #[cfg(unix)]
            Self::Unix(listener) => match listener.local_addr()?.as_pathname() {
                Some(path) => format!("unix:{}", path.display()),
                None => "a socket without a path".to_owned(),
            },
        })
    }
}

/// One kind of listener, so that serving a connection costs nothing for there being another.
pub(super) trait Accept: Sync {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Sets what all connections inherit.
    fn prepare(&self) {}

    /// The next connection, and the address of its other end if it has one.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;

    /// Sets what a connection does not inherit.
    fn tune(stream: &Self::Stream);

    /// Ends a connection that is not served.
    fn refuse(stream: Self::Stream);
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn prepare(&self) {
        // Connections inherit the buffer sizes of their listener.
        let set = sockopt::set_socket_send_buffer_size(self, SOCKET_BUFFER_LEN)
            .and_then(|()| sockopt::set_socket_recv_buffer_size(self, SOCKET_BUFFER_LEN));
        if let Err(error) = set {
            tracing::warn!(%error, "cannot bound what the system holds of each connection");
        }
    }

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        Ok((stream, Some(peer.ip())))
    }

    fn tune(stream: &TcpStream) {
        // Answers are written in one piece; there is nothing to gain from waiting.
        let _ = stream.set_nodelay(true);
    }

    fn refuse(stream: TcpStream) {
        // A reset leaves nothing behind to be kept for a minute, as an orderly end would.
        let _ = stream.set_zero_linger();
    }
}

#[cfg(unix)]
impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }

    fn tune(stream: &UnixStream) {
        // What the client sends is counted as the client's; of the two buffers this one is ours.
        let _ = sockopt::set_socket_send_buffer_size(stream, SOCKET_BUFFER_LEN);
    }

    fn refuse(_stream: UnixStream) {}
}
