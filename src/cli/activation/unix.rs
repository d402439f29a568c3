//! Sockets that systemd has made and passes on (`sd_listen_fds(3)`), so that connections wait while the server restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;

use anyhow::{Context, anyhow};
use auth_ticket::http::Listener;
use listenfd::ListenFd;
#[cfg(not(target_vendor = "apple"))]
use rustix::net::sockopt;

use crate::cli::report::WithHint;

/// What a socket is called to which nobody gave a name (`sd_listen_fds_with_names(3)`).
const NAMELESS: &str = "unknown";

/// What was passed to this process.
pub(crate) struct Passed {
    sockets: ListenFd,
    /// By position; of `FileDescriptorName=`, or the unit's name.
    names: Vec<String>,
    taken: BTreeSet<usize>,
}

impl Passed {
    /// Takes what `env` tells of, and unsets `LISTEN_FDS` and `LISTEN_PID`. Call it before there is another thread.
    ///
    /// # Errors
    /// There are not as many names as sockets, so nobody knows which is whose.
    pub(crate) fn from_env(env: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<Self> {
        let env: BTreeMap<OsString, OsString> = env.into_iter().collect();
        let variable = |name: &str| env.get(OsStr::new(name)).and_then(|value| value.to_str()).unwrap_or_default();
        // What was meant for the parent of this process is none of its own.
        let is_ours = variable("LISTEN_PID") == std::process::id().to_string();
        let names = variable("LISTEN_FDNAMES");
        let sockets = if is_ours { ListenFd::from_env() } else { ListenFd::empty() };
        let names: Vec<String> = match (sockets.len(), names) {
            (0, _) => Vec::new(),
            (count, "") => vec![NAMELESS.to_owned(); count],
            (_, names) => names.split(':').map(str::to_owned).collect(),
        };
        if names.len() != sockets.len() {
            let told = format!("{} sockets were passed to this process, with {} names", sockets.len(), names.len());
            return Err(anyhow!(told)).hint("give LISTEN_FDNAMES one name for each of LISTEN_FDS, or unset it");
        }
        Ok(Self { sockets, names, taken: BTreeSet::new() })
    }

    /// The sockets called `name`, which `setting` asks for.
    pub(crate) fn take(&mut self, name: &str, setting: &str) -> anyhow::Result<Vec<Listener>> {
        let named = self.names.iter().enumerate().filter(|(_, own)| *own == name);
        let at: Vec<usize> = named.map(|(index, _)| index).collect();
        if at.is_empty() {
            let passed = match self.names.as_slice() {
                [] => "none was passed to this process".to_owned(),
                [one] => format!("the one that was passed is called {one}"),
                names => format!("those that were passed are called {}", names.join(", ")),
            };
            return Err(anyhow!("there is no socket called {name}: {passed}")).hint(format!(
                "start it by a .socket unit with FileDescriptorName={name} and Accept=no, or give {setting} an address"
            ));
        }
        at.into_iter()
            .map(|index| {
                let listener = self.listener(index);
                listener
                    .with_context(|| format!("the socket called {name} cannot be listened on"))
                    .hint("use ListenStream= in the .socket unit, and Accept=no")
            })
            .collect()
    }

    /// Takes the socket at `index`, if it accepts connections.
    fn listener(&mut self, index: usize) -> io::Result<Listener> {
        self.taken.insert(index);
        if let Ok(Some(unix)) = self.sockets.take_unix_listener(index) {
            check_listening(&unix)?;
            unix.set_nonblocking(true)?;
            return Ok(Listener::Unix(unix.try_into()?));
        }
        let tcp = self.sockets.take_tcp_listener(index)?;
        let tcp = tcp.ok_or_else(|| io::Error::other("it is used already"))?;
        check_listening(&tcp)?;
        tcp.set_nonblocking(true)?;
        Ok(Listener::Tcp(tcp.try_into()?))
    }

    /// The names of those that nobody has taken: their clients would wait for ever.
    pub(crate) fn left_over(&self) -> Vec<&str> {
        let names = self.names.iter().enumerate().filter(|(index, _)| !self.taken.contains(index));
        names.map(|(_, name)| name.as_str()).collect()
    }
}

/// With `Accept=yes`, systemd passes on one connection in place of the socket that accepts them.
#[cfg(not(target_vendor = "apple"))]
fn check_listening(socket: impl AsFd) -> io::Result<()> {
    if !sockopt::socket_acceptconn(socket)? {
        return Err(io::Error::other("it is a connection, or was never listened on"));
    }
    Ok(())
}

/// Apple's systems cannot say it, and have no systemd.
#[cfg(target_vendor = "apple")]
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
fn check_listening(_socket: impl AsFd) -> io::Result<()> {
    Ok(())
}
