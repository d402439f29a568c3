//! By which names operators reach this server.
//!
//! The operators' address has no password. A web page in the browser of somebody who can reach it could have a name of its
//! own resolve to it (DNS rebinding), and then read and change what operators may. The `Host` of such a request is the
//! page's name, which is none of those below.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::header::{HOST, HeaderValue};

use crate::http::error::{ApiError, ErrorCode};
use crate::http::transport::peer::Peer;

/// Names that are allowed beside every IP address and `localhost`, in lower case.
#[derive(Clone, Debug)]
pub struct AllowedHosts(Arc<[String]>);

impl AllowedHosts {
    /// These names, in lower case, every IP address, and `localhost`.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self(names.into())
    }

    /// Whether `request` was sent to one of them, or to nobody in particular: no browser leaves `Host` out, or sends more than one.
    pub fn allow<B>(&self, request: &hyper::Request<B>) -> bool {
        let in_headers = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
        let in_uri = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        in_headers.chain(in_uri).all(|host| self.allows(host))
    }

    fn allows(&self, host: &[u8]) -> bool {
        let Ok(host) = str::from_utf8(host) else { return false };
        if host.is_empty() {
            return true;
        }
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((ip, "")) => return ip.parse::<Ipv6Addr>().is_ok(),
            Some((ip, rest)) if ip.parse::<Ipv6Addr>().is_ok() => ("localhost", rest.strip_prefix(':')),
            Some(_) => return false,
            None => host.split_once(':').map_or((host, Some("")), |(name, port)| (name, Some(port))),
        };
        let is_port = port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        is_port && (name == "localhost" || name.parse::<IpAddr>().is_ok() || self.0.contains(&name))
    }
}

/// Refuses a request that was sent to another name.
pub(crate) async fn only_allowed(
    State(hosts): State<AllowedHosts>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    const OTHER: ApiError = ApiError::new(
        ErrorCode::HostNotAllowed,
        "operators reach this server by IP address, as localhost, or by a name that admin_hosts lists",
    );
    // No page reaches a Unix socket, and what programs call it by is nobody's name.
    let is_unix = matches!(request.extensions().get(), Some(Peer(None)));
    if is_unix || hosts.allow(&request) { Ok(next.run(request).await) } else { Err(OTHER) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(host: &str) -> bool {
        AllowedHosts::new(vec!["ops.example.com".to_owned()]).allows(host.as_bytes())
    }

    #[test]
    fn addresses_localhost_and_configured_names_are_allowed() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "10.1.2.3:80",
            "[::1]",
            "[2001:db8::1]:9090",
            "localhost",
            "LocalHost:9090",
            "localhost.",
            "ops.example.com",
            "OPS.example.com:9090",
            "",
        ] {
            assert!(allows(host), "{host}");
        }
    }

    #[test]
    fn other_names_are_not_whatever_they_look_like() {
        for host in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "ops.example.com.evil.example",
            "x.ops.example.com",
            "127.0.0.1:9090:1",
            "127.0.0.1:x",
            "127.1",
            "0x7f.0.0.1",
            "::1",
            "[::1",
            "[::1]evil",
            "[::1]:x",
            "[evil.example]",
            "[]",
            ":9090",
            ".",
            "127.0.0.1 evil",
            "127.0.0.1/",
            "user@127.0.0.1",
        ] {
            assert!(!allows(host), "{host}");
        }
        assert!(!AllowedHosts::new(Vec::new()).allows(b"\xff"));
    }

    #[test]
    fn every_host_of_a_request_has_to_be_allowed() {
        let hosts = AllowedHosts::new(Vec::new());
        let request = |uri: &str, hosts: &[&str]| {
            let mut request = hyper::Request::builder().uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            request.body(()).unwrap()
        };
        assert!(hosts.allow(&request("/keys", &[])));
        assert!(hosts.allow(&request("/keys", &["127.0.0.1"])));
        assert!(hosts.allow(&request("http://127.0.0.1/keys", &["127.0.0.1"])));
        assert!(!hosts.allow(&request("/keys", &["127.0.0.1", "evil.example"])));
        assert!(!hosts.allow(&request("http://evil.example/keys", &["127.0.0.1"])));
        assert!(!hosts.allow(&request("http://evil.example/keys", &[])));
    }
}
