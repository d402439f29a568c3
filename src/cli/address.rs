//! Addresses to listen on: read, bound, and asked from this machine.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// As the operating system's own default for servers.
const BACKLOG: u32 = 1024;

/// `IP:port`, or `localhost:port`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Address {
    Ip(SocketAddr),
    /// 127.0.0.1, and `::1` on a host that has it: clients that look the name up may take either.
    Localhost(u16),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()).map(Self::Localhost);
        local.or_else(|| text.parse().ok().map(Self::Ip)).ok_or_else(|| {
            "write an IP and a port, for example \"[::]:8080\", \"127.0.0.1:8080\" or \"localhost:8080\"".to_owned()
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
        }
    }
}

impl Address {
    const fn port(self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Localhost(port) => port,
        }
    }

    /// The same host, on a free port.
    pub(crate) const fn with_free_port(self) -> Self {
        match self {
            Self::Ip(address) => Self::Ip(SocketAddr::new(address.ip(), 0)),
            Self::Localhost(_) => Self::Localhost(0),
        }
    }

    fn ips(self) -> Vec<IpAddr> {
        match self {
            Self::Ip(address) => vec![address.ip()],
            Self::Localhost(_) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        }
    }

    /// Whether binding `other` would fail because of `self`. Port 0 is always free.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let covers = |wide: IpAddr, other: IpAddr| {
            wide.is_unspecified() && (wide.is_ipv6() || other.is_ipv4()) // [::] takes IPv4 along
        };
        let is_same = |one: IpAddr, other: IpAddr| one == other || covers(one, other) || covers(other, one);
        let (ours, theirs) = (self.ips(), other.ips());
        self.port() == other.port()
            && self.port() != 0
            && ours.iter().any(|one| theirs.iter().any(|other| is_same(*one, *other)))
    }

    /// Whether only programs on this machine reach what listens here.
    pub(crate) fn is_local(self) -> bool {
        self.ips().iter().all(IpAddr::is_loopback)
    }

    /// Where a program on this machine reaches what listens here, in the order to try.
    pub(crate) fn reachable_here(self) -> Vec<SocketAddr> {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let ips = match self {
            Self::Ip(address) if !address.ip().is_unspecified() => vec![address.ip()],
            // All of IPv4 alone.
            Self::Ip(SocketAddr::V4(_)) => vec![loopback[0]],
            Self::Ip(SocketAddr::V6(_)) | Self::Localhost(_) => loopback.to_vec(),
        };
        ips.into_iter().map(|ip| SocketAddr::new(ip, self.port())).collect()
    }

    /// Listens: on one socket, or on two for `localhost`, which have one port.
    pub(crate) fn bind(self) -> io::Result<Vec<TcpListener>> {
        match self {
            Self::Ip(address) => Ok(vec![or_ipv4(address, bind_one)?]),
            Self::Localhost(port) => {
                let first = bind_one((Ipv4Addr::LOCALHOST, port).into())?;
                match bind_one((Ipv6Addr::LOCALHOST, first.local_addr()?.port()).into()) {
                    Ok(second) => Ok(vec![first, second]),
                    // Another program would get what is meant for this one.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != 0 => Err(error),
                    Err(_) => Ok(vec![first]),
                }
            }
        }
    }
}

/// `[::]` means every address; on a host without IPv6 that is 0.0.0.0.
fn or_ipv4<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match bind(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && has_no_ipv6(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        result => result,
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| code == Some(errno.raw_os_error()))
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Whatever net.ipv6.bindv6only says. Some systems know no such sockets; there it is IPv6 alone.
        let _ = set_ipv6_v6only(&socket, false);
    }
    // Elsewhere it would let two programs listen on one port.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_an_ip_or_localhost_with_a_port() {
        for text in ["127.0.0.1:80", "[::]:0", "[::1]:9090", "localhost:8080", "0.0.0.0:1"] {
            assert_eq!(address(text).to_string(), text);
        }
        for text in [
            "",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:x",
            "localhost:70000",
            "example.com:80",
            "::1:80",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_addresses_are_those_of_ipv4_where_there_is_no_ipv6() {
        let without_ipv6 = |errno: Errno| {
            move |address: SocketAddr| {
                if address.is_ipv6() { Err(io::Error::from_raw_os_error(errno.raw_os_error())) } else { Ok(address) }
            }
        };
        for errno in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            let bound = or_ipv4("[::]:8080".parse().unwrap(), without_ipv6(errno)).unwrap();
            assert_eq!(bound, "0.0.0.0:8080".parse().unwrap());
            // Somebody who names an address means that one.
            assert!(or_ipv4("[::1]:8080".parse().unwrap(), without_ipv6(errno)).is_err());
        }
        for errno in [Errno::ADDRINUSE, Errno::ACCESS] {
            let error = or_ipv4("[::]:8080".parse().unwrap(), without_ipv6(errno)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
        }
    }

    #[test]
    fn loopback_alone_is_local() {
        for (text, expected) in [
            ("127.0.0.1:8080", true),
            ("127.8.9.1:8080", true),
            ("[::1]:8080", true),
            ("localhost:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("10.0.0.7:8080", false),
        ] {
            assert_eq!(address(text).is_local(), expected, "{text}");
        }
    }

    #[test]
    fn a_wildcard_is_asked_on_loopback() {
        for (text, expected) in [
            ("0.0.0.0:9090", vec!["127.0.0.1:9090"]),
            ("[::]:9090", vec!["127.0.0.1:9090", "[::1]:9090"]),
            ("localhost:9090", vec!["127.0.0.1:9090", "[::1]:9090"]),
            ("[::1]:9090", vec!["[::1]:9090"]),
            ("10.0.0.7:9090", vec!["10.0.0.7:9090"]),
        ] {
            let expected: Vec<SocketAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(address(text).reachable_here(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn localhost_is_reached_by_either_family_on_one_port() {
        let listeners = address("localhost:0").bind().unwrap();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]) && ports[0] != 0, "{ports:?}");
        assert_eq!(listeners[0].local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
        for listener in &listeners {
            tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        }
        assert_eq!(Address::Localhost(ports[0]).bind().unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let listeners = address("[::]:0").bind().unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }
}
