//! A server with services, behind a front, by a clock that can be moved.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::clock::MovedClock;
use super::front::Front;
use crate::support::{APPID, Answer, Keys, Server, Site, simulator, until};

pub(super) const OTHER_APPID: &str = "wxfedcba9876543210";
pub(super) const JWKS: &str = "/.well-known/jwks.json";
pub(super) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const TABLES: &str = r#"
[[app]]
appid = "wxfedcba9876543210"
platform = "weapp"
secret_env = "WX_SECRET"
base_url = "UPSTREAM"

[[service]]
id = "orders"
secret_env = "SERVICE_SECRET"
apps = ["wx0123456789abcdef"]

[jwt.audience.orders]
apps = ["wx0123456789abcdef"]

[compat]
enabled = true
"#;
/// Every client here is the service `orders`.
pub(super) const SECRET: &str = "a-secret-of-orders";

#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: MovedClock,
    pub(super) site: Site,
    pub(super) front: Front,
    pub(super) server: Server,
    _platform: Server,
}

impl World {
    /// `init` is added to `keys init`.
    pub(super) fn start(init: &[&str]) -> Self {
        Self::with_tables(init, "")
    }

    /// The same with more tables in the configuration.
    pub(super) fn with_tables(init: &[&str], more: &str) -> Self {
        let (clock, platform, front) = (MovedClock::new(), simulator(), Front::start());
        let keys = Keys::missing();
        keys.run(&[&["init"], init].concat()).done();
        let tables = TABLES.replace("UPSTREAM", &format!("http://{}", platform.address)) + more;
        let site = Site::with_keys(keys, platform.address, &tables);
        let mut command = site.command();
        command.env("SERVICE_SECRET", SECRET).env("AUTH_TICKET_KEYS_POLL", "10m");
        command.env("AUTH_TICKET_PUBLIC_URL", front.url());
        let server = Server::start(clock.apply_to_date(&mut command));
        front.lead_to(server.address);
        Self { clock, site, front, server, _platform: platform }
    }

    /// `auth-ticket keys ARGS` by the clock of this world, and a server that knows what came of it.
    #[track_caller]
    pub(super) fn keys(&self, args: &[&str], jwt_keys: usize) {
        let outcome = self.site.keys.watch(args, self.clock.apply_to_date(&mut self.site.keys.command(args)));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        self.reload(jwt_keys);
    }

    /// Waits until so many keys are published.
    #[track_caller]
    pub(super) fn reload(&self, jwt_keys: usize) {
        self.server.signal(Signal::HUP);
        until("the keys are loaded", || self.jwks()["keys"].as_array().unwrap().len() == jwt_keys);
    }

    pub(super) fn jwks(&self) -> Value {
        self.server.get(JWKS, &[]).json()
    }

    pub(super) fn ticket(&self) -> String {
        self.ticket_at(APPID)
    }

    pub(super) fn ticket_at(&self, appid: &str) -> String {
        self.ticket_of(appid, "alice")
    }

    #[track_caller]
    pub(super) fn ticket_of(&self, appid: &str, name: &str) -> String {
        // Codes work once.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let code = format!("demo-{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "code": code, "appid": appid }).to_string();
        let answer = self.server.post("/v1/login", &[("Content-Type", "application/json")], &body);
        answer.json()["ticket"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    /// A JWT for the service `orders`.
    #[track_caller]
    pub(super) fn token(&self) -> String {
        self.token_for("orders", &self.ticket())
    }

    /// A JWT for `audience`, for which the service of this name asks.
    #[track_caller]
    pub(super) fn token_for(&self, audience: &str, ticket: &str) -> String {
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&audience={audience}\
             &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
        );
        let answer = self.server.post("/v1/token", &[FORM, ("Authorization", &basic(audience))], &form);
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    pub(super) fn introspect(&self, token: &str) -> Answer {
        self.server.post("/v1/introspect", &[FORM, ("Authorization", &basic("orders"))], &format!("token={token}"))
    }
}

fn basic(service: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{service}:{SECRET}")))
}
