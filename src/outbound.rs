//! HTTP clients for calls that carry secrets: they go to one place, follow nothing, send nothing twice, and read bounded answers.

pub(crate) mod circuit_breaker;
pub(crate) mod concurrency;

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use url::{Host, Url};

use crate::secret::Zeroizing;

/// Short, so that a connection which the other side is about to close is rarely chosen for something that works once.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// In every answer of the simulator, so that nothing takes it for a platform's.
pub(crate) const SIMULATOR_HEADER: &str = "x-auth-ticket-simulator";

/// How calls to platforms leave this process. All apps of a server share one: a client with certificates takes milliseconds
/// and a hundred kilobytes.
///
/// Clones share the clients. Answers of the simulator are refused, unless they are allowed.
#[derive(Clone, Default)]
pub struct Outbound {
    clients: Arc<Mutex<HashMap<ClientKind, Client>>>,
    allows_simulator: bool,
}

/// What clients differ in.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct ClientKind {
    is_loopback: bool,
    is_plain: bool,
    connect_timeout: Duration,
}

impl Outbound {
    /// The same clients; answers of the simulator count as a platform's if `allows` says so. Anybody can log in as anybody
    /// there.
    #[must_use]
    pub fn with_simulator(&self, allows: bool) -> Self {
        Self { allows_simulator: allows, ..self.clone() }
    }

    pub(crate) const fn allows_simulator(&self) -> bool {
        self.allows_simulator
    }

    /// The client for calls of `url`.
    ///
    /// # Errors
    /// It cannot be built, usually because the system has no trusted certificates.
    pub(crate) fn client(&self, url: &Url, connect_timeout: Duration) -> Result<Client, reqwest::Error> {
        let kind = ClientKind { is_loopback: is_loopback(url), is_plain: url.scheme() == "http", connect_timeout };
        // Clients are added whole: a panic elsewhere leaves nothing half-done in the map.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let client = client(url).connect_timeout(connect_timeout).build()?;
        clients.insert(kind, client.clone());
        Ok(client)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("allows_simulator", &self.allows_simulator).finish_non_exhaustive()
    }
}

/// A client for calls of `url`, not built yet: a proxy from the environment is used beyond loopback, and certificates are
/// the system's.
pub(crate) fn client(url: &Url) -> ClientBuilder {
    let mut builder = Client::builder()
        .user_agent("auth-ticket")
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT);
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // No certificate is ever checked, so a machine without any can do it.
        builder = builder.tls_certs_only([]);
    }
    builder
}

/// Sends `request` once, and gives the head of the answer.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, NoAnswer> {
    let response = request.send().await.map_err(|error| NoAnswer::of(&error))?;
    match response.status() {
        // Only a proxy says that, and one that does has passed nothing on.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(NoAnswer::Unreachable(Unreachable::Proxy)),
        _ => Ok(response),
    }
}

/// Reads the body of `response`, of at most `max_len` bytes.
pub(crate) async fn read_body(mut response: Response, max_len: usize) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
    // All at once: a vector that grows leaves copies of a session_key behind.
    let mut body = Zeroizing::new(Vec::with_capacity(max_len));
    while let Some(chunk) = response.chunk().await.map_err(|error| NoAnswer::of(&error))? {
        if chunk.len() > max_len - body.len() {
            return Err(NoAnswer::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why there is no whole answer. Of the client's error only the kind is kept: its texts hold the URL, and that a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoAnswer {
    Unreachable(Unreachable),
    Timeout,
    /// The connection ended, or ceased to be HTTP, before the answer was whole.
    CutOff,
    TooLong,
}

impl NoAnswer {
    fn of(error: &reqwest::Error) -> Self {
        match Unreachable::of(error) {
            Some(why) => Self::Unreachable(why),
            None if error.is_timeout() => Self::Timeout,
            None => Self::CutOff,
        }
    }
}

/// Why no connection came about, so that nothing was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The name of the host has no address here.
    #[error("its host name is not known here")]
    UnknownHost,
    /// Something answered that nobody listens there.
    #[error("the connection is refused")]
    Refused,
    /// There is no way to its network.
    #[error("there is no route to it")]
    NoRoute,
    /// Neither a connection nor a refusal.
    #[error("no connection was established in time")]
    Timeout,
    /// Its certificate is not one that this system trusts for that name.
    #[error("its TLS certificate is not trusted")]
    Certificate,
    /// It does not speak TLS, or not as we do.
    #[error("the TLS handshake fails")]
    Tls,
    /// The proxy is not there, wants a password, or refuses the way.
    #[error("the proxy cannot be reached, or refuses")]
    Proxy,
    /// Something else.
    #[error("no connection was established")]
    Other,
}

impl Unreachable {
    /// Its name for operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown_host",
            Self::Refused => "connection_refused",
            Self::NoRoute => "no_route",
            Self::Timeout => "connect_timeout",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Other => "no_connection",
        }
    }

    /// Why `error` came before anything was sent, if it did. Of the error only its kind is taken: its texts hold the URL.
    fn of(error: &reqwest::Error) -> Option<Self> {
        if !error.is_connect() {
            return None;
        }
        let causes = || std::iter::successors(error.source(), |&cause| cause.source());
        // The types of these two are private to the HTTP client.
        if causes().any(|cause| cause.to_string().starts_with("tunnel error")) {
            return Some(Self::Proxy);
        }
        if error.is_dns() || causes().any(|cause| cause.to_string() == "dns error") {
            return Some(Self::UnknownHost);
        }
        if error.is_timeout() {
            return Some(Self::Timeout);
        }
        let kinds = causes().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(Self::of_io);
        Some(kinds.last().unwrap_or(Self::Other))
    }

    fn of_io(error: &io::Error) -> Self {
        // What is wrapped in one of these is no source of it.
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::of_io(inner);
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::NoRoute,
            io::ErrorKind::TimedOut => Self::Timeout,
            // rustls says so, of certificates in these words.
            io::ErrorKind::InvalidData if error.to_string().contains("certificate") => Self::Certificate,
            // The connection is there, so what ends or breaks is the handshake.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::Tls,
            _ => Self::Other,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a client that may use `proxy` gets no connection to `url`.
    async fn why(url: &str, proxy: Option<String>) -> Option<Unreachable> {
        let mut builder = client(&url.parse().unwrap()).connect_timeout(Duration::from_millis(500));
        if let Some(proxy) = proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).unwrap());
        }
        Unreachable::of(&builder.build().unwrap().get(url).send().await.unwrap_err())
    }

    /// A server that says `answer` to everybody, and where it is.
    async fn saying(answer: &'static [u8]) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let mut request = [0; 4096];
                drop(stream.read(&mut request).await);
                drop(stream.write_all(answer).await);
            }
        });
        address.to_string()
    }

    /// A port where nobody listens.
    async fn closed() -> String {
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_platform_that_cannot_be_reached_is_told_by_its_cause() {
        let closed = closed().await;
        assert_eq!(why(&format!("http://{closed}"), None).await, Some(Unreachable::Refused));
        assert_eq!(why("http://nowhere.invalid", None).await, Some(Unreachable::UnknownHost));
        for not_tls in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
            let url = format!("https://{}", saying(not_tls).await);
            assert_eq!(why(&url, None).await, Some(Unreachable::Tls));
        }
        let proxy = |address: String| Some(format!("http://{address}"));
        let beyond = "https://platform.invalid";
        assert_eq!(why(beyond, proxy(closed)).await, Some(Unreachable::Proxy));
        for refusal in [
            &b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"[..],
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
        ] {
            assert_eq!(why(beyond, proxy(saying(refusal).await)).await, Some(Unreachable::Proxy));
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_off_is_no_such_cause() {
        let url = format!("http://{}", saying(b"").await);
        assert_eq!(why(&url, None).await, None);
    }

    #[test]
    fn a_certificate_is_told_from_other_trouble_with_tls() {
        let invalid = |text: &str| {
            let error = io::Error::new(io::ErrorKind::InvalidData, text);
            Unreachable::of_io(&io::Error::other(error))
        };
        assert_eq!(invalid("invalid peer certificate: UnknownIssuer"), Unreachable::Certificate);
        assert_eq!(invalid("invalid peer certificate: certificate not valid for name"), Unreachable::Certificate);
        assert_eq!(invalid("received corrupt message of type InvalidContentType"), Unreachable::Tls);
    }

    #[test]
    fn this_machine_goes_by_several_names() {
        for (url, expected) in [
            ("http://localhost:1", true),
            ("http://sim.localhost", true),
            ("http://127.8.9.1/a", true),
            ("http://[::1]", true),
            ("http://localhost.example", false),
            ("https://api.weixin.qq.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
