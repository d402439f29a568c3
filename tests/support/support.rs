//! What both test binaries share.
//!
//! [`TestServer`] is the server inside of the test's process, on a free port, with a platform behind it and a clock that
//! stands until a test moves it. [`Server`] is the binary in a process of its own. [`Call`] and [`Connection`] check every
//! answer against what holds for all of them, and assert nothing about features.

mod answer;
mod blocking;
mod builder;
mod client;
mod keys;
mod platform;
mod program;
mod ring;
mod site;
mod sources;
pub(crate) mod system;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_ticket::claims::{PlatformId, SessionKey};
use auth_ticket::clock::{Clock, FixedClock, UnixSeconds};
use auth_ticket::hook::Hook;
use auth_ticket::http::{
    self, App, AppState, ConnectionCount, ConnectionLimits, Rescans, Routes, Service, Settings, Subject,
};
use auth_ticket::keyring::{AppId, LoginId, Purpose};
use auth_ticket::platform::weapp::Weapp;
use auth_ticket::platform::{Platform, PlatformOptions};
use auth_ticket::secret::SecretText;
use auth_ticket::simulator::Simulator;
use auth_ticket::ticket::{Policy, Session};
use axum::Router;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use answer::Answer;
use answer::{Rules, Secrets};
pub(crate) use blocking::{Held, call, try_call};
pub(crate) use builder::Builder;
pub(crate) use client::{Call, Connection, receive};
pub(crate) use keys::{Keys, Seen};
use platform::TestPlatform;
pub(crate) use platform::stub;
pub(crate) use program::{BINARY, DEADLINE, Outcome, Server, address_in, auth_ticket, bare, demo, simulator, until};
pub(crate) use ring::{Plan, TestKey};
pub(crate) use site::{Replica, Site};
pub(crate) use sources::tests_of_the_crate;
pub(crate) use upstream::{Reply, Upstream};

/// What all clocks show at first: 2027-01-15T08:00:00Z.
pub(crate) const START: UnixSeconds = UnixSeconds::new(1_800_000_000);
/// The first app of every server.
pub(crate) const APPID: &str = "wx0123456789abcdef";
/// The second, where there are two.
pub(crate) const OTHER_APPID: &str = "wxfedcba9876543210";
/// Issuer of the JWTs, where there are some.
pub(crate) const ISSUER: &str = "https://login.example.com";
/// Life of a ticket, in seconds.
pub(crate) const TTL_S: u64 = 7200;
/// Life of a session, in seconds.
pub(crate) const MAX_SESSION_S: u64 = 30 * 86400;
/// Life of a JWT, in seconds.
pub(crate) const JWT_TTL_S: u64 = 300;

const APP_SECRET: &str = "c4n4ryAppSecret/0123456789abcdef";
/// In every [`session`].
const SESSION_KEY: &str = "c2Vzc2lvbi1rZXktMTYhIQ==";

/// Limits that no test reaches by accident.
pub(crate) const LIMITS: ConnectionLimits = ConnectionLimits {
    max_connections: 1000,
    header_timeout: Duration::from_secs(20),
    // Above that, too, by which tests move the runtime's clock.
    idle_timeout: Duration::from_secs(3600),
    shutdown_grace: Duration::from_secs(20),
};

/// A running server.
#[derive(Debug)]
pub(crate) struct TestServer {
    /// Moves the server's and the simulator's time.
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) platform: TestPlatform,
    pub(crate) address: SocketAddr,
    simulator: Simulator,
    admin_address: SocketAddr,
    apps: Vec<AppId>,
    state: Arc<AppState>,
    plan: Mutex<Plan>,
    rules: Rules,
    running: Running,
    _admin: Running,
    client: reqwest::Client,
    codes: AtomicUsize,
}

impl TestServer {
    /// One app, no extras.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    pub(crate) fn builder() -> Builder {
        Builder {
            apps: vec![APPID],
            subject: Subject::Openid,
            services: Vec::new(),
            may_sign: false,
            settings: Settings {
                policy: Policy { ttl_s: TTL_S, max_session_s: MAX_SESSION_S },
                body_timeout: Duration::from_secs(20),
                ..Settings::default()
            },
            assertion_audience: None,
            limits: LIMITS,
            own_platform: None,
            platform: None,
            base_url: None,
            upstream_timeout: Duration::from_secs(10),
            max_concurrent: 64,
            allow_simulator: true,
            plan: Plan::one_key(),
        }
    }

    pub(crate) async fn call(&self, call: Call) -> Answer {
        client::send(&self.client, self.address, &call, &self.rules).await
    }

    /// The same at the operators' address.
    pub(crate) async fn admin(&self, call: Call) -> Answer {
        client::send(&self.client, self.admin_address, &call, &self.rules).await
    }

    /// The public keys, whose answer may be cached, unlike all others.
    pub(crate) async fn jwks(&self) -> String {
        self.text_at(self.address, "/.well-known/jwks.json").await
    }

    /// What operators measure; no JSON.
    pub(crate) async fn metrics(&self) -> String {
        self.text_at(self.admin_address, "/metrics").await
    }

    async fn text_at(&self, address: SocketAddr, path: &str) -> String {
        self.client.get(format!("http://{address}{path}")).send().await.unwrap().text().await.unwrap()
    }

    /// The same, but byte by byte, on a connection of its own.
    pub(crate) async fn raw(&self, call: Call) -> Answer {
        self.connect().await.call(&call).await
    }

    pub(crate) async fn connect(&self) -> Connection {
        self.connect_from(Ipv4Addr::LOCALHOST).await
    }

    /// The same, from another address of this machine, `127.x.y.z`.
    pub(crate) async fn connect_from(&self, own: Ipv4Addr) -> Connection {
        Connection::open(own, self.address, self.rules.clone()).await.unwrap()
    }

    /// Whether the server takes a request on a new connection from `own`, or closes it at once.
    pub(crate) async fn lets_in(&self, own: Ipv4Addr) -> bool {
        let Ok(mut connection) = Connection::open(own, self.address, self.rules.clone()).await else { return false };
        connection.try_send(Call::get("/healthz").to_bytes()).await;
        connection.unchecked_answer().await.is_some()
    }

    /// How often operators were told that `limit` was reached.
    pub(crate) async fn limit_reached(&self, limit: &str) -> u64 {
        let start = format!("auth_ticket_limits_reached_total{{limit=\"{limit}\"}} ");
        let metrics = self.metrics().await;
        let value = metrics.lines().find_map(|line| line.strip_prefix(&start));
        value.unwrap_or_else(|| panic!("{limit} is not counted")).parse().unwrap()
    }

    /// A code that logs `name` in and was never used.
    pub(crate) fn code_for(&self, name: &str) -> String {
        format!("demo-{name}-{}", self.codes.fetch_add(1, Ordering::Relaxed))
    }

    /// Logs `name` in to the first app.
    pub(crate) async fn ticket_for(&self, name: &str) -> String {
        self.ticket_at(APPID, name).await
    }

    pub(crate) async fn ticket_at(&self, appid: &str, name: &str) -> String {
        let body = serde_json::json!({ "code": self.code_for(name), "appid": appid });
        self.call(Call::post("/v1/login").json(&body)).await.ticket()
    }

    pub(crate) async fn verify(&self, ticket: &str) -> Answer {
        self.call(Call::get("/v1/verify").ticket(ticket)).await
    }

    pub(crate) async fn session(&self, ticket: &str) -> Answer {
        self.call(Call::get("/v1/session").ticket(ticket)).await
    }

    /// Asks the simulator for something that no platform does: `POST /_sim/...`.
    pub(crate) async fn simulator(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/_sim/{path}", self.platform.address);
        let response = self.client.post(url).body(body.to_string()).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// How often the simulator's interface `endpoint` was called for the first app.
    pub(crate) async fn calls(&self, endpoint: &str) -> u64 {
        let url = format!("http://{}/_sim/stats", self.platform.address);
        let stats: Value =
            serde_json::from_str(&self.client.get(url).send().await.unwrap().text().await.unwrap()).unwrap();
        stats[endpoint][self.apps[0].as_str()]["calls"].as_u64().unwrap_or_default()
    }

    /// The phone number of `name` as a ticket carries it.
    pub(crate) fn phone(&self, name: &str) -> String {
        let user = self.simulator.user(APPID, name).unwrap();
        format!("+{}{}", user.country_code, user.phone)
    }

    pub(crate) fn openid(&self, name: &str) -> String {
        self.simulator.user(APPID, name).unwrap().openid
    }

    pub(crate) fn unionid(&self, name: &str) -> String {
        self.simulator.user(APPID, name).unwrap().unionid
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// Adds a key that seals from now on.
    pub(crate) fn rotate(&self) {
        let now = self.now();
        self.change_ring(|plan| {
            let number = plan.keys.iter().map(|key| key.number).max().unwrap_or_default() + 1;
            plan.keys.push(TestKey::new(number, now));
        });
    }

    /// Puts the ring that is left after `change` in the place of the present one.
    pub(crate) fn change_ring(&self, change: impl FnOnce(&mut Plan)) {
        let mut plan = self.plan.lock().unwrap();
        change(&mut plan);
        self.state.swap_ring(plan.ring(&self.apps));
    }

    /// Where requests ask for a look at the keys.
    pub(crate) fn rescans(&self) -> &Rescans {
        self.state.rescans()
    }

    /// Puts a ring in place that comes from elsewhere.
    pub(crate) fn use_ring(&self, ring: auth_ticket::keyring::KeyRing) {
        self.state.swap_ring(ring);
    }

    /// Adds an entry to the cut-offs.
    pub(crate) fn cut_off(&self, mut entry: Value) {
        entry["created"] = self.now().to_string().into();
        self.change_ring(|plan| plan.cutoffs.push(entry));
    }

    /// What a server with the keys of `plan` would seal for `session`.
    pub(crate) fn sealed_by(&self, plan: &Plan, session: &Session, purpose: Purpose) -> String {
        seal(plan, APPID, session, purpose, self.now())
    }

    /// What this server would seal for `session`.
    pub(crate) fn sealed(&self, session: &Session) -> String {
        seal(&self.plan.lock().unwrap(), self.apps[0].as_str(), session, Purpose::Ticket, self.now())
    }

    pub(crate) fn stop(&self) {
        self.running.stop.send_replace(true);
    }

    /// Ends when the server for clients has ended.
    pub(crate) async fn stopped(&mut self) {
        (&mut self.running.server).await.unwrap();
    }
}

/// A ticket of the app `appid` under the keys of `plan`, as sealed at `now`.
pub(crate) fn seal(plan: &Plan, appid: &str, session: &Session, purpose: Purpose, now: UnixSeconds) -> String {
    let app = AppId::parse(appid).unwrap();
    let policy = Policy { ttl_s: TTL_S, max_session_s: MAX_SESSION_S };
    let ring = plan.ring(std::slice::from_ref(&app));
    session.seal(&ring, &app, purpose, now, &policy).unwrap().text().to_owned()
}

/// A login of `openid` now, with a `session_key` and nothing that need not be there.
pub(crate) fn session(openid: &str, auth_time: UnixSeconds) -> Session {
    session_of(openid, LoginId::parse("00112233445566aa").unwrap(), auth_time)
}

/// The same for a login of its own.
pub(crate) fn session_of(openid: &str, login_id: LoginId, auth_time: UnixSeconds) -> Session {
    let mut session = Session::new(PlatformId::parse(openid).unwrap(), login_id, auth_time);
    session.session_key = Some(SessionKey::parse(SESSION_KEY).unwrap());
    session
}

/// `stream` to a server with the routes of `[compat]`; its answers are checked for everything but secrets.
pub(crate) fn connection(stream: TcpStream) -> Connection {
    Connection::over(stream, Rules { secrets: Secrets::default(), compat: true, cors: false })
}

/// A server that somebody serves.
#[derive(Debug)]
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// Serves `routes` on a free port.
pub(crate) async fn serve(routes: impl Into<Routes>, limits: ConnectionLimits) -> (SocketAddr, Running) {
    serve_counted(routes, limits, ConnectionCount::default()).await
}

async fn serve_counted(
    routes: impl Into<Routes>,
    limits: ConnectionLimits,
    count: ConnectionCount,
) -> (SocketAddr, Running) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(http::serve(vec![http::Listener::Tcp(listener)], routes.into(), limits, count, stopped));
    (address, Running { stop, server })
}

/// Waits for what comes at once when all is well.
pub(crate) async fn within_5_s<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.unwrap_or_else(|_| panic!("{what}: waited in vain"))
}
