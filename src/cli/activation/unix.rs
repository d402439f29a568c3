//! Sockets that systemd has made and passes on (`sd_listen_fds(3)`), so that connections wait while the server restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;

use anyhow::{Context, anyhow};
use auth_ticket::http::Listener;
use listenfd::ListenFd;

use crate::cli::report::WithHint;

/// What was passed to this process.
pub(crate) struct Passed {
    sockets: ListenFd,
    /// By position; of `FileDescriptorName=`, or the unit's name.
    names: Vec<String>,
    taken: BTreeSet<usize>,
}

impl Passed {
    /// Takes what `env` tells of, and unsets `LISTEN_FDS` and `LISTEN_PID`. Call it before there is another thread.
    pub(crate) fn from_env(env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let env: BTreeMap<OsString, OsString> = env.into_iter().collect();
        let variable = |name: &str| env.get(OsStr::new(name)).and_then(|value| value.to_str()).unwrap_or_default();
        // What was meant for the parent of this process is none of its own.
        let is_ours = variable("LISTEN_PID") == std::process::id().to_string();
        let names = variable("LISTEN_FDNAMES");
        let sockets = if is_ours { ListenFd::from_env() } else { ListenFd::empty() };
        // Without names, each is called so.
        let mut names: Vec<String> = names.split(':').map(str::to_owned).collect();
        names.resize(sockets.len(), "unknown".to_owned());
        Self { sockets, names, taken: BTreeSet::new() }
    }

    /// The sockets called `name`, which `setting` asks for.
    pub(crate) fn take(&mut self, name: &str, setting: &str) -> anyhow::Result<Vec<Listener>> {
        let at: Vec<usize> =
            (0..self.sockets.len()).filter(|index| self.names.get(*index).is_some_and(|own| own == name)).collect();
        if at.is_empty() {
            let passed = match self.names.as_slice() {
                [] => "none was passed to this process".to_owned(),
                names => format!("those that were passed are called {}", names.join(", ")),
            };
            return Err(anyhow!("there is no socket called {name}: {passed}")).hint(format!(
                "start it by a .socket unit with FileDescriptorName={name}, or give {setting} an address"
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

    fn listener(&mut self, index: usize) -> io::Result<Listener> {
        self.taken.insert(index);
        if let Ok(Some(unix)) = self.sockets.take_unix_listener(index) {
            unix.set_nonblocking(true)?;
            return Ok(Listener::Unix(unix.try_into()?));
        }
        let tcp = self.sockets.take_tcp_listener(index)?;
        let tcp = tcp.ok_or_else(|| io::Error::other("it is used already"))?;
        tcp.set_nonblocking(true)?;
        Ok(Listener::Tcp(tcp.try_into()?))
    }

    /// The names of those that nobody has taken: their clients would wait for ever.
    pub(crate) fn left_over(&self) -> Vec<&str> {
        let names = self.names.iter().enumerate().filter(|(index, _)| !self.taken.contains(index));
        names.map(|(_, name)| name.as_str()).collect()
    }
}
