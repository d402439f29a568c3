//! This version and the next, side by side over one directory of keys: the same sources with another number, built by
//! `make dist-test`. What a replica of either has sealed, the other opens; what either takes away, the other refuses.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{VERSION, fresh, said};
use crate::support::{Answer, BINARY, Outcome, Server, Site, call, simulator, until};

/// A replica of one of the versions.
struct Replica<'a> {
    binary: &'a Path,
    server: Server,
    admin: std::net::SocketAddr,
}

/// The same command of another binary.
fn of(binary: &Path, command: &Command) -> Command {
    let mut other = Command::new(binary);
    other.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            other.env(name, value);
        }
    }
    other
}

impl<'a> Replica<'a> {
    fn start(binary: &'a Path, site: &Site) -> Self {
        let mut command = of(binary, &site.command());
        command.env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0").env("AUTH_TICKET_KEYS_POLL", "1s");
        let server = Server::start(&mut command);
        let admin = server.admin();
        Self { binary, server, admin }
    }

    /// What operators see of its keys.
    fn keys(&self) -> Value {
        call(self.admin, "GET", "/keys", &[], "").json()
    }

    fn renew(&self, ticket: &str) -> Answer {
        self.server.post("/v1/renew", &[("weixinauth", ticket)], "")
    }

    fn ticket(&self) -> String {
        self.server.ticket(&format!("demo-alice-{}", fresh()))
    }

    /// A command of its version on the directory that both share.
    #[track_caller]
    fn run(&self, site: &Site, words: &[&str]) -> String {
        let mut command = Command::new(self.binary);
        command.env_clear().args(words).arg("--keys").arg(site.keys.path());
        let outcome = Outcome::of(&mut command);
        assert_eq!(outcome.code, Some(0), "{words:?}: {outcome:#?}");
        outcome.stdout
    }
}

#[test]
#[ignore = "make dist-test"]
fn both_versions_work_side_by_side_and_going_back_loses_nothing() {
    let next = said("DIST_NEXT");
    let version = |binary: &Path| Outcome::of(Command::new(binary).arg("--version")).done();
    let (this_version, next_version) = (version(Path::new(BINARY)), version(&next));
    assert!(this_version.starts_with(&format!("auth-ticket {VERSION}")), "{this_version}");
    assert!(
        !next_version.starts_with(&format!("auth-ticket {VERSION}")),
        "the drill takes two versions: {next_version}"
    );

    let platform = simulator();
    let site = Site::new(platform.address, "");
    let (old, mut new) = (Replica::start(Path::new(BINARY), &site), Replica::start(&next, &site));
    assert_eq!(old.keys()["ticket_version"], new.keys()["ticket_version"]);
    let agree = || until("both hold the same keys", || old.keys()["fingerprint"] == new.keys()["fingerprint"]);
    agree();

    // Each checks and renews what the other has sealed.
    let cross = |from: &Replica<'_>, to: &Replica<'_>| {
        let ticket = from.ticket();
        let checked = to.server.verify(&ticket);
        assert_eq!(checked.status, 200, "{checked:?}");
        assert_eq!(checked.header("x-auth-openid"), from.server.verify(&ticket).header("x-auth-openid"));
        let renewed = to.renew(&ticket);
        assert_eq!(renewed.status, 200, "{renewed:?}");
        assert_eq!(from.server.verify(renewed.json()["ticket"].as_str().unwrap()).status, 200);
        ticket
    };
    let first = cross(&old, &new);
    cross(&new, &old);

    // Keys of either version's command.
    for maker in [&old, &new] {
        maker.run(&site, &["keys", "rotate", "--now", "--use", "ticket"]);
        let made = maker.run(&site, &["keys", "list", "--json"]);
        assert!(made.contains("\"active\""), "{made}");
        agree();
        cross(&old, &new);
        cross(&new, &old);
    }
    assert_eq!(old.server.verify(&first).status, 200, "a ticket of two keys ago");

    // What one takes away, the other refuses.
    for (taker, other) in [(&old, &new), (&new, &old)] {
        let ticket = other.ticket();
        let kid = &ticket_kid(taker, &site, &ticket);
        taker.run(&site, &["keys", "revoke", kid]);
        until("the other refuses what a revoked key has sealed", || other.server.verify(&ticket).status == 401);
        agree();
        cross(&old, &new);
    }

    // The next version does not please, and this one takes over.
    let ticket = new.ticket();
    new.server.stop();
    let back = Replica::start(Path::new(BINARY), &site);
    assert_eq!(back.server.verify(&ticket).status, 200);
    cross(&back, &old);
}

/// The key that sealed a ticket.
fn ticket_kid(replica: &Replica<'_>, site: &Site, ticket: &str) -> String {
    let mut inspect = Command::new(replica.binary);
    inspect.env_clear().args(["ticket", "inspect", "--json", "--keys"]).arg(site.keys.path());
    inspect.args(["--appid", crate::support::APPID, ticket]);
    let shown = Outcome::of(&mut inspect).json();
    shown["kid"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned()
}
