//! HTTP clients for calls that carry secrets: they go to one place, follow nothing, and send nothing twice.

use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use url::{Host, Url};

/// Short, so that a connection which the other side is about to close is rarely chosen for something that works once.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

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
