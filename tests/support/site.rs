//! What a server of the binary needs: a configuration and keys; and what operators see of it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::APPID;
use super::answer::Answer;
use super::blocking::call;
use super::keys::Keys;
use super::program::{Outcome, Server, auth_ticket, simulator, until};

/// A server's configuration with one app, and the keys directory that it names.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) keys: Keys,
    pub(crate) config: PathBuf,
}

impl Site {
    pub(crate) const SECRET: &str = "app-secret";

    /// For the platform at `upstream`; `tables` are added at the end of the file.
    pub(crate) fn new(upstream: SocketAddr, tables: &str) -> Self {
        Self::with_keys(Keys::init(), upstream, tables)
    }

    /// The same with keys that are there already.
    pub(crate) fn with_keys(keys: Keys, upstream: SocketAddr, tables: &str) -> Self {
        let config = keys.root().join("login.toml");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin_listen = \"\"\nkeys_dir = \"{}\"\n\n[[app]]\nappid = \"{APPID}\"\n\
             platform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \"http://{upstream}\"\n{tables}",
            keys.path().display()
        );
        fs::write(&config, text).unwrap();
        Self { keys, config }
    }

    /// `serve`, not started yet.
    pub(crate) fn command(&self) -> Command {
        let mut command = auth_ticket(&["serve", "--config"]);
        command.arg(&self.config).env("WX_SECRET", Self::SECRET);
        command
    }

    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        Server::start(&mut self.command())
    }
    /// The same with an address for operators, and a look at the keys every `poll`.
    #[track_caller]
    pub(crate) fn start_for_operators(&self, poll: &str) -> (Server, SocketAddr) {
        let mut command = self.command();
        command.env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0").env("AUTH_TICKET_KEYS_POLL", poll);
        let server = Server::start(&mut command);
        let admin = server.admin();
        (server, admin)
    }
}

/// A server with an address for operators, its platform, and its keys.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) site: Site,
    pub(crate) server: Server,
    pub(crate) admin: SocketAddr,
    _platform: Server,
}

impl Replica {
    /// Looks at its keys every `poll`.
    pub(crate) fn start(poll: &str) -> Self {
        let platform = simulator();
        let site = Site::new(platform.address, "");
        let (server, admin) = site.start_for_operators(poll);
        Self { site, server, admin, _platform: platform }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.site.keys
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        call(self.admin, "GET", path, &[], "")
    }

    pub(crate) fn fingerprint(&self) -> Value {
        self.get("/keys").json()["fingerprint"].clone()
    }

    /// `cutoff ARGS` on its keys directory.
    pub(crate) fn cutoff(&self, args: &[&str]) -> Outcome {
        Outcome::of(auth_ticket(&["cutoff"]).args(args).arg("--keys").arg(self.keys().path()))
    }

    #[track_caller]
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let text = self.get("/metrics").body_text();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in {text}")).trim().parse().unwrap()
    }

    #[track_caller]
    pub(crate) fn refuses(&self, ticket: &str, error: &str) {
        until("the ticket is refused", || self.server.verify(ticket).status == 401);
        assert_eq!(self.server.verify(ticket).json()["error"], error);
    }
}
