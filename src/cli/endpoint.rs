//! Where a server listens: an address, a Unix socket, or sockets that systemd passes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::address::Address;

/// The longest path of a Unix socket: one byte of `sun_path` (`unix(7)`) is for the NUL behind it.
pub(crate) const MAX_SOCKET_PATH_LEN: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// `IP:port`, `localhost:port`, `unix:/path`, or `systemd:name`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Endpoint {
    Address(Address),
    /// A socket at this absolute path.
    Unix(PathBuf),
    /// The sockets of this name (`FileDescriptorName=`), made by a unit's `.socket`.
    Systemd(String),
}

/// What a program on this machine connects to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix);
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            refuse_on_windows("socket activation by systemd")?;
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            let hint = "write the FileDescriptorName= of the .socket unit, for example \"systemd:http\"";
            return if is_name { Ok(Self::Systemd(name.to_owned())) } else { Err(hint.to_owned()) };
        }
        text.parse().map(Self::Address)
    }
}

/// The path of a Unix socket.
pub(crate) fn socket_path(path: &str) -> Result<PathBuf, String> {
    refuse_on_windows("a Unix socket")?;
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err("write an absolute path, for example \"unix:/run/auth-ticket/http.sock\"".to_owned());
    }
    if path.len() > MAX_SOCKET_PATH_LEN {
        let len = path.len();
        return Err(format!(
            "its path has {len} bytes, and this system takes {MAX_SOCKET_PATH_LEN} at most; write a shorter one"
        ));
    }
    Ok(PathBuf::from(path))
}

fn refuse_on_windows(what: &str) -> Result<(), String> {
    if cfg!(windows) {
        return Err(format!(
            "{what} is not available on Windows; write an IP and a port, for example \"127.0.0.1:8080\""
        ));
    }
    Ok(())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Endpoint {
    /// Whether both cannot be listened on at once.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(one), Self::Address(other)) => one.overlaps(*other),
            (one, other) => one == other,
        }
    }

    /// Whether only programs on this machine reach what listens here. Where sockets of systemd are is not known.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.is_local(),
            Self::Unix(_) => true,
            Self::Systemd(_) => false,
        }
    }

    /// Where a program on this machine reaches what listens here, in the order to try; nowhere that is known for sockets of
    /// systemd and for port 0.
    pub(crate) fn reachable_here(&self) -> Vec<Target> {
        match self {
            Self::Address(address) => {
                address.reachable_here().into_iter().filter(|address| address.port() != 0).map(Target::Tcp).collect()
            }
            Self::Unix(path) => vec![Target::Unix(path.clone())],
            Self::Systemd(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn an_endpoint_is_an_address_a_path_or_a_name() {
        for text in ["127.0.0.1:80", "localhost:8080", "unix:/run/auth-ticket/http.sock", "systemd:http"] {
            assert_eq!(endpoint(text).to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "unix:http.sock",
            "unix:/run/",
            "unix:/run/a\0b",
            "unix://",
            "systemd:",
            "systemd:a:b",
            "systemd:a b",
            "UNIX:/run/x",
            "/run/x",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_is_as_long_as_the_system_allows() {
        use std::os::unix::net::SocketAddr;
        let of_len = |len: usize| format!("/{}", "x".repeat(len - 1));
        assert!(SocketAddr::from_pathname(of_len(MAX_SOCKET_PATH_LEN)).is_ok(), "the system takes it");
        assert!(SocketAddr::from_pathname(of_len(MAX_SOCKET_PATH_LEN + 1)).is_err(), "and none that is longer");
        assert!(socket_path(&of_len(MAX_SOCKET_PATH_LEN)).is_ok());
        let told = socket_path(&of_len(MAX_SOCKET_PATH_LEN + 1)).unwrap_err();
        let (is, most) = (MAX_SOCKET_PATH_LEN + 1, MAX_SOCKET_PATH_LEN);
        assert_eq!(told, format!("its path has {is} bytes, and this system takes {most} at most; write a shorter one"));
    }

    #[test]
    fn the_same_place_is_taken_once() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "localhost:80", true),
            ("unix:/run/a", "unix:/run/a", true),
            ("unix:/run/a", "unix:/run/b", false),
            ("systemd:http", "systemd:http", true),
            ("systemd:http", "unix:/http", false),
            ("127.0.0.1:80", "unix:/run/a", false),
        ] {
            assert_eq!(endpoint(one).overlaps(&endpoint(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn programs_here_are_told_where_to_connect() {
        let targets = |text| endpoint(text).reachable_here().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(targets("0.0.0.0:9090"), ["http://127.0.0.1:9090"]);
        assert_eq!(targets("unix:/run/a"), ["unix:/run/a"]);
        assert!(targets("systemd:http").is_empty() && targets("127.0.0.1:0").is_empty());
    }
}
