//! Whose request it is, as far as limits by address go: the other end of the connection, unless that is a proxy which the
//! owner trusts. Then it is whom the proxy names.
//!
//! Everybody can write `X-Forwarded-For`, and each proxy appends whom it heard. So the list is read from its end, and no
//! further than proxies are trusted; what stands to the left of that is somebody's word.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::HeaderName;
use ipnet::IpNet;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of the connection on which a request came; a process of this machine, which came over a Unix socket, has no
/// address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

/// What counts as one address: one of IPv4, or a network of 64 bits of IPv6, since no subscriber has less.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct ClientAddress(IpAddr);

impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
            ip @ IpAddr::V4(_) => ip,
        })
    }
}

/// A proxy, or several, whose `X-Forwarded-For` is believed: an address, a prefix, or `unix` for whoever may connect to a
/// Unix socket of this server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TrustedProxy(Proxy);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proxy {
    Network(IpNet),
    Unix,
}

/// A text is neither an IP address, nor a prefix such as `10.0.0.0/8`, nor `unix`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an IP address, a prefix or `unix`")]
#[non_exhaustive]
pub struct TrustedProxyError;

impl FromStr for TrustedProxy {
    type Err = TrustedProxyError;

    fn from_str(text: &str) -> Result<Self, TrustedProxyError> {
        if text == "unix" {
            return Ok(Self(Proxy::Unix));
        }
        let single = text.parse().ok().map(|ip: IpAddr| IpNet::from(ip));
        single.or_else(|| text.parse().ok()).map(|network| Self(Proxy::Network(network))).ok_or(TrustedProxyError)
    }
}

impl From<IpAddr> for TrustedProxy {
    fn from(ip: IpAddr) -> Self {
        Self(Proxy::Network(ip.into()))
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Proxy::Network(network) => network.fmt(f),
            Proxy::Unix => f.write_str("unix"),
        }
    }
}

impl TrustedProxy {
    fn includes(&self, peer: Option<IpAddr>) -> bool {
        match (&self.0, peer) {
            (Proxy::Network(network), Some(ip)) => network.contains(&ip.to_canonical()),
            (Proxy::Unix, None) => true,
            _ => false,
        }
    }
}

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Debug)]
pub(crate) struct TrustedProxies(Vec<TrustedProxy>);

impl TrustedProxies {
    pub(crate) const fn new(proxies: Vec<TrustedProxy>) -> Self {
        Self(proxies)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn trust(&self, peer: Option<IpAddr>) -> bool {
        self.0.iter().any(|proxy| proxy.includes(peer))
    }

    /// Who sent a request that came from `peer` with `headers`: the last one on its way who is not trusted.
    ///
    /// Where the list ends, or holds something else than an address, it is the proxy that sent it on: none of its clients
    /// gets more for spoiling the list. `None` where nobody on its way has an address.
    pub(crate) fn sender(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut sender = peer;
        while self.trust(sender) {
            let Some(before) = entries.next().and_then(address) else { break };
            sender = Some(before);
        }
        sender
    }
}

/// An entry of the list: an address, by some proxies with a port or in brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text.parse().ok();
    let with_port = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(|ip: Ipv6Addr| ip.into());
    bare.or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    /// Who sent what comes from `peer` with one line of the header for each of `lines`.
    fn sender(peer: &str, lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        proxies(&["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]).sender(Some(ip(peer)), &headers).unwrap().to_string()
    }

    #[test]
    fn nobody_is_trusted_unless_configured() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"));
        for peer in ["127.0.0.1", "10.0.0.1", "::1"] {
            assert_eq!(proxies(&[]).sender(Some(ip(peer)), &headers), Some(ip(peer)));
        }
        assert_eq!(proxies(&["0.0.0.0/0", "::/0"]).sender(None, &headers), None);
    }

    #[test]
    fn the_list_is_read_from_its_end_and_as_far_as_proxies_are_trusted() {
        for (peer, lines, expected) in [
            ("203.0.113.9", &[b"1.1.1.1" as &[u8]] as &[&[u8]], "203.0.113.9"),
            ("10.0.0.1", &[b"1.1.1.1"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &[b"1.1.1.1"], "1.1.1.1"),
            ("fd00::1", &[b"2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &[b"6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &[b"6.6.6.6,10.0.0.9,1.1.1.1 ,\t10.0.0.2,192.0.2.7"], "1.1.1.1"),
            ("10.0.0.1", &[b"6.6.6.6, 192.0.2.8, 192.0.2.7"], "192.0.2.8"),
            // Lines are one list, the last one its end.
            ("10.0.0.1", &[b"6.6.6.6", b"1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &[b"6.6.6.6", b"1.1.1.1", b"10.0.0.2"], "1.1.1.1"),
            // Only proxies so far as anybody can tell.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(sender(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_trusted_unix_socket_says_whom_it_serves() {
        let proxies = proxies(&["unix", "10.0.0.0/8"]);
        for (list, expected) in [
            (Some("6.6.6.6, 1.1.1.1"), Some("1.1.1.1")),
            (Some("1.1.1.1, 10.0.0.2"), Some("1.1.1.1")),
            (Some("unknown"), None),
            (Some(""), None),
            (None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(list.map(|list| (X_FORWARDED_FOR, HeaderValue::from_static(list))));
            assert_eq!(proxies.sender(None, &headers), expected.map(ip), "{list:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("1.1.1.1"));
        assert_eq!(proxies.sender(Some(ip("203.0.113.9")), &headers), Some(ip("203.0.113.9")));
    }

    #[test]
    fn an_entry_may_have_a_port_or_brackets() {
        for (entry, expected) in [
            ("1.1.1.1:4711", "1.1.1.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("1.1.1.1, ::ffff:10.0.0.2", "1.1.1.1"),
        ] {
            assert_eq!(sender("10.0.0.1", &[entry.as_bytes()]), expected, "{entry}");
        }
    }

    #[test]
    fn whatever_is_no_address_ends_the_list() {
        for entry in [
            &b""[..],
            b",",
            b" ",
            b"unknown",
            b"_hidden",
            b"1.1.1",
            b"1.1.1.1.1",
            b"01.1.1.1",
            b"1.1.1.1:",
            b"1.1.1.1:x",
            b"\"1.1.1.1\"",
            b"[1.1.1.1]",
            b"[::1",
            b"::1]",
            b"2001:db8::1%eth0",
            b"1.1.1.1 2.2.2.2",
            b"for=1.1.1.1",
            b"\xff",
            b"1.1.1.1;",
        ] {
            assert_eq!(sender("10.0.0.1", &[b"6.6.6.6", entry]), "10.0.0.1", "{}", entry.escape_ascii());
            // The hop before it is the last one that is known.
            let after = [b"6.6.6.6,", entry, b",10.0.0.2"].concat();
            assert_eq!(sender("10.0.0.1", &[&after]), "10.0.0.2", "{}", entry.escape_ascii());
        }
        // What a client put there is not even looked at.
        assert_eq!(sender("10.0.0.1", &[b"\xff\xfe, unknown,, 1.1.1.1"]), "1.1.1.1");
    }

    #[test]
    fn sixty_four_bits_of_ipv6_are_one_address() {
        let address = |text: &str| ClientAddress::from(ip(text));
        assert_eq!(address("2001:db8:0:1::1"), address("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_ne!(address("::ffff:192.0.2.1"), address("::ffff:192.0.2.2"));
    }
}
