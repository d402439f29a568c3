//! Where it takes place: the server, its keys, the simulator of the platform, and a road between the two.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{AppId, KeyUse, Purpose};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::Policy;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::block_in_place;

use super::form::Form;
use super::ledger::Ledger;
use super::road::Road;
use super::tally::Tally;
use crate::drill::within;
use crate::support::{APPID, Keys, Outcome, Server, Site, auth_ticket, call, simulator, until};
use crate::support::{Connection, OTHER_APPID, connection, session};

/// Everything that runs, and what all know.
pub(super) struct Stage {
    pub(super) form: Form,
    pub(super) seed: u64,
    pub(super) server: Server,
    pub(super) road: Road,
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    /// Held while the platform is in trouble, and while many have to log in.
    pub(super) logins: Mutex<()>,
    /// Genuine, but of a login that was long ago.
    pub(super) expired: Vec<String>,
    site: Site,
    platform: Server,
    admin: SocketAddr,
    codes: AtomicU64,
    over: AtomicBool,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Footprint {
    pub(super) rss_kib: u64,
    pub(super) descriptors: usize,
    pub(super) threads: u64,
}

impl Stage {
    pub(super) async fn set(form: Form, seed: u64) -> Arc<Self> {
        let platform = simulator();
        let road = Road::open(platform.address).await;
        let ms = |duration: Duration| format!("\"{}ms\"", duration.as_millis());
        let tables = format!(
            "\n[[app]]\nappid = \"{OTHER_APPID}\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\nbase_url = \
             \"http://{}\"\n\n[verify]\nany_app = true\n\n[compat]\nenabled = true\n\n[jwt.audience.orders]\napps = [\"{APPID}\", \"{OTHER_APPID}\"]\npublic = true\n\n[upstream]\ntimeout = {}\n\n[limits]\ntrusted_proxies = \
             [\"127.0.0.1\"]\nlogin_rate_per_address = \"10/m\"\nheader_timeout = \
             {}\nbody_timeout = {}\nidle_timeout = {}\n",
            road.address,
            ms(form.upstream_timeout),
            ms(form.header_timeout),
            ms(form.body_timeout),
            ms(form.idle_timeout)
        );
        let keys = Keys::init();
        keys.add_old(KeyUse::Ticket, 3600, 3000);
        keys.add_old(KeyUse::Jwt, 60, 86400);
        let expired = expired_tickets(&keys);
        let site = Site::with_keys(keys, road.address, &tables);
        let mut command = command(&form);
        command.args(["serve", "--admin-listen", "127.0.0.1:0", "--config"]).arg(&site.config);
        command
            .env_clear()
            .env("RUST_LOG", "info")
            .env("WX_SECRET", Site::SECRET)
            .env("AUTH_TICKET_PUBLIC_URL", "https://login.example")
            .env("AUTH_TICKET_KEYS_POLL", format!("{}ms", form.keys_poll.as_millis()));
        let server = Server::start(&mut command);
        until("the operators' address is announced", || server.stdout().lines().count() == 2);
        let admin = server.admin();
        let (ledger, tally) = (Ledger::default(), Tally::default());
        let (logins, codes, over) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { form, seed, server, road, ledger, tally, logins, expired, site, platform, admin, codes, over })
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.site.keys
    }

    /// The kid of the key that seals.
    pub(super) fn sealing_kid(&self) -> String {
        block_in_place(|| self.keys().kid("ticket", "active"))
    }

    /// Runs a command on the keys, which has to succeed, and gives back what it printed.
    pub(super) fn command(&self, args: &[&str]) -> String {
        let outcome = block_in_place(|| match args {
            // It replaces a file, which is what no other command may do.
            ["cutoff", ..] => Outcome::of(auth_ticket(args).arg("--keys").arg(self.keys().path())),
            _ => self.keys().run(args),
        });
        assert_eq!(outcome.code, Some(0), "{args:?}: {outcome:#?}");
        outcome.stdout
    }

    pub(super) async fn connect(&self) -> Connection {
        connection(TcpStream::connect(self.server.address).await.unwrap())
    }

    /// A code that logs `name` in and was never used.
    pub(super) fn code_for(&self, name: &str) -> String {
        format!("demo-{name}-{}", self.codes.fetch_add(1, Ordering::Relaxed))
    }

    /// What the button for phone numbers gives `name`: a code that was never used.
    pub(super) fn phone_code_for(&self, name: &str) -> String {
        format!("phone-{name}-{}", self.codes.fetch_add(1, Ordering::Relaxed))
    }

    /// Has the simulator do what no platform would, `METHOD /_sim/...`, and gives back what it says.
    pub(super) fn simulator(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = block_in_place(|| call(self.platform.address, method, &format!("/_sim/{path}"), &[], &body));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The platform's login fails in this way until [`Stage::no_fault`].
    pub(super) fn fault(&self, fault: &str) {
        self.simulator("POST", "faults", &json!({ "endpoint": "jscode2session", "fault": fault }));
    }

    pub(super) fn no_fault(&self) {
        self.simulator("DELETE", "faults", &Value::Null);
    }

    /// The number that a metric of this name and these labels shows.
    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        let metrics = block_in_place(|| call(self.admin, "GET", "/metrics", &[], ""));
        metrics.body_text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until the server counts so many connections of clients as are open.
    pub(super) async fn connections_are(&self, open: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let open = open as f64;
        let is_so = async || self.metric("auth_ticket_connections{listener=\"clients\"}") == Some(open);
        within(self.form.longest_head(), "the server counts the connections that are open", is_so).await;
    }

    pub(super) fn footprint(&self) -> Footprint {
        let process = format!("/proc/{}", self.server.pid());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = std::fs::read_dir(format!("{process}/fd")).expect("only root sees them").count();
        Footprint { rss_kib: number("VmRSS:"), descriptors, threads: number("Threads:") }
    }

    /// Whether those who are at work are to finish.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn set_over(&self, over: bool) {
        self.over.store(over, Ordering::Relaxed);
    }

    /// The server has said nothing that it must not say.
    pub(super) fn check_log(&self) {
        let log = self.server.stderr();
        let about = log.lines().find(|line| line.contains("panicked"));
        assert_eq!(about, None, "a panic");
        let tickets = self.ledger.tickets();
        let secrets = self.keys().secrets();
        let secrets = secrets.iter().chain(tickets.iter().take(50)).map(String::as_str).chain([Site::SECRET]);
        for secret in secrets {
            assert!(!log.contains(secret), "a secret is in the log");
        }
    }

    /// Ends it as a supervisor does.
    pub(super) fn end(self: Arc<Self>) {
        let Ok(mut stage) = Arc::try_unwrap(self) else { panic!("somebody is still at work") };
        block_in_place(|| stage.server.stop());
    }
}

/// The server's program, on a core of its own where `make soak` names one.
fn command(form: &Form) -> Command {
    let mut command = match super::core::of_server() {
        None => Command::new(&form.binary),
        Some(core) => {
            let mut command = Command::new("/usr/bin/taskset");
            command.arg("-c").arg(core).arg(&form.binary);
            command
        }
    };
    command.stdin(Stdio::null());
    command
}

/// Sealed half an hour ago for a minute, under a key that still opens.
fn expired_tickets(keys: &Keys) -> Vec<String> {
    let (now, app) = (SystemClock.now(), AppId::parse(APPID).unwrap());
    let (ring, _) = Directory::new(keys.path()).load_ring([app.clone()], now).unwrap();
    let policy = Policy { ttl_s: 60, max_session_s: 86400 };
    let then = now.minus(1800);
    let seal = |number| {
        let session = session(&format!("o-expired-{number}"), then);
        session.seal(&ring, &app, Purpose::Ticket, then, &policy).unwrap().text().to_owned()
    };
    (0..20).map(seal).collect()
}
