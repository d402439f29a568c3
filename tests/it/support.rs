//! The real server on a free port, with a platform behind it and a clock that stands until a test moves it.
//!
//! The client checks every answer against what holds for all of them, and asserts nothing about features.

mod answer;
mod client;
mod platform;
mod ring;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_ticket::claims::{PlatformId, SessionKey};
use auth_ticket::clock::{Clock, FixedClock, UnixSeconds};
use auth_ticket::hook::Hook;
use auth_ticket::http::{
    self, App, AppState, ClientLimits, CompatSettings, ConnectionCount, ConnectionLimits, JwtSettings, Routes, Service,
    Settings, Subject,
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
pub(crate) use client::{Call, Connection};
use platform::TestPlatform;
pub(crate) use platform::stub;
pub(crate) use ring::{Plan, TestKey};

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

/// A server that is about to start.
#[derive(Debug)]
pub(crate) struct Builder {
    apps: Vec<&'static str>,
    subject: Subject,
    service: Option<(&'static str, &'static str)>,
    settings: Settings,
    limits: ConnectionLimits,
    own_platform: Option<fn() -> Box<dyn Platform>>,
    platform: Option<Router>,
    base_url: Option<String>,
    upstream_timeout: Duration,
    max_concurrent: usize,
    plan: Plan,
}

impl Builder {
    pub(crate) fn two_apps(mut self) -> Self {
        self.apps = vec![APPID, OTHER_APPID];
        self
    }

    pub(crate) fn any_app(mut self) -> Self {
        self.settings.any_app = true;
        self
    }

    /// Checks are signed for `audience`, by key number 101.
    pub(crate) fn assertions(mut self, audience: &str) -> Self {
        self.settings.assertion_audience = Some(audience.to_owned());
        self.signing()
    }

    fn signing(mut self) -> Self {
        self.settings.issuer = Some(ISSUER.to_owned());
        self.settings.jwt.ttl_s = JWT_TTL_S;
        self.plan.keys.push(TestKey::jwt(101, START));
        self
    }

    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// A service with this id and secret, which may see tickets of all apps.
    pub(crate) fn service(mut self, id: &'static str, secret: &'static str) -> Self {
        self.service = Some((id, secret));
        self
    }

    pub(crate) fn subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    pub(crate) fn compat(mut self) -> Self {
        self.settings.compat.enabled = true;
        self
    }

    /// The first app is this one.
    pub(crate) fn app(mut self, appid: &'static str) -> Self {
        self.apps = vec![appid];
        self
    }

    /// With [`Builder::compat`]: no ticket without a phone number.
    pub(crate) fn require_phone(mut self) -> Self {
        self.settings.compat.require_phone = true;
        self
    }

    /// Phone numbers that come encrypted are believed.
    pub(crate) fn without_check_of_origin(mut self) -> Self {
        self.settings.phone_check_origin = false;
        self
    }

    pub(crate) fn cors(mut self, origins: &[&str]) -> Self {
        self.settings.cors_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        self
    }

    /// Asks `hook` about users; and there is a service `orders`, which may have JWTs.
    pub(crate) fn claims(mut self, hook: Hook) -> Self {
        self.settings.hook = Some(Arc::new(hook));
        self.settings.jwt.audiences = vec!["orders".to_owned()];
        self.signing().service("orders", "orders-secret")
    }

    /// Phone numbers may be in JWTs.
    pub(crate) fn jwt_phone(mut self) -> Self {
        self.settings.jwt.phone = true;
        self
    }

    pub(crate) fn body_timeout(mut self, limit: Duration) -> Self {
        self.settings.body_timeout = limit;
        self
    }

    pub(crate) fn limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Another platform than the simulator.
    pub(crate) fn platform(mut self, router: Router) -> Self {
        self.platform = Some(router);
        self
    }

    /// A platform of the test's own, instead of a simulated one.
    pub(crate) fn own_platform(mut self, make: fn() -> Box<dyn Platform>) -> Self {
        self.own_platform = Some(make);
        self
    }

    /// Where the server looks for the platform, if not where it is.
    pub(crate) fn base_url(mut self, url: &str) -> Self {
        self.base_url = Some(url.to_owned());
        self
    }

    pub(crate) fn upstream_timeout(mut self, limit: Duration) -> Self {
        self.upstream_timeout = limit;
        self
    }

    pub(crate) fn max_concurrent(mut self, count: usize) -> Self {
        self.max_concurrent = count;
        self
    }

    pub(crate) fn plan(mut self, plan: Plan) -> Self {
        self.plan = plan;
        self
    }

    pub(crate) async fn start(self) -> TestServer {
        let clock = Arc::new(FixedClock::new(START));
        let simulator = Simulator::new(Arc::<FixedClock>::clone(&clock));
        let secrets = Secrets::default();
        secrets.add(APP_SECRET);
        secrets.add(SESSION_KEY);
        let router = self.platform.unwrap_or_else(|| simulator.router());
        let platform = TestPlatform::start(router, secrets.clone()).await;
        let base_url = self.base_url.unwrap_or_else(|| format!("http://{}", platform.address));
        let apps: Vec<AppId> = self.apps.iter().map(|appid| AppId::parse(appid).unwrap()).collect();
        let weapp = |id: &AppId| -> Box<dyn Platform> {
            let options = PlatformOptions {
                appid: id.to_string(),
                secret: SecretText::new(APP_SECRET),
                base_url: Some(base_url.parse().unwrap()),
                timeout: self.upstream_timeout,
                max_concurrent: self.max_concurrent,
            };
            Box::new(Weapp::new(options).unwrap())
        };
        let make_app = |id: &AppId| App {
            id: id.clone(),
            subject: self.subject,
            platform: self.own_platform.map_or_else(|| weapp(id), |make| make()),
        };
        let make_service = |(id, secret): (&str, &str)| {
            secrets.add(secret);
            Service { id: id.to_owned(), secret: SecretText::new(secret), apps: apps.clone() }
        };
        let services = self.service.into_iter().map(make_service).collect();
        let rules =
            Rules { secrets, compat: self.settings.compat.enabled, cors: !self.settings.cors_origins.is_empty() };
        let state = AppState::new(
            self.settings,
            apps.iter().map(make_app).collect(),
            services,
            self.plan.ring(&apps),
            Arc::<FixedClock>::clone(&clock),
        )
        .unwrap();
        let count = state.client_connections();
        let (address, running) = serve_counted(http::routes(Arc::clone(&state)), self.limits, count).await;
        let (admin_address, admin) = serve(http::admin_routes(Arc::clone(&state), Vec::new()), LIMITS).await;
        TestServer {
            clock,
            platform,
            simulator,
            address,
            admin_address,
            apps,
            state,
            plan: Mutex::new(self.plan),
            rules,
            running,
            _admin: admin,
            client: reqwest::Client::builder().no_proxy().http1_only().tls_certs_only([]).build().unwrap(),
            codes: AtomicUsize::new(0),
        }
    }
}

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
            service: None,
            settings: Settings {
                policy: Policy { ttl_s: TTL_S, max_session_s: MAX_SESSION_S },
                any_app: false,
                phone_check_origin: true,
                assertion_audience: None,
                compat: CompatSettings::default(),
                cors_origins: Vec::new(),
                body_timeout: Duration::from_secs(20),
                limits: ClientLimits::default(),
                issuer: None,
                jwt: JwtSettings::default(),
                hook: None,
            },
            limits: LIMITS,
            own_platform: None,
            platform: None,
            base_url: None,
            upstream_timeout: Duration::from_secs(10),
            max_concurrent: 64,
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
    Session {
        openid: PlatformId::parse(openid).unwrap(),
        unionid: None,
        session_key: Some(SessionKey::parse(SESSION_KEY).unwrap()),
        phone: None,
        owner_claims: None,
        login_id: LoginId::parse("00112233445566aa").unwrap(),
        auth_time,
    }
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
    let server = tokio::spawn(http::serve(listener, routes.into(), limits, count, stopped));
    (address, Running { stop, server })
}

/// Waits for what comes at once when all is well.
pub(crate) async fn within_5_s<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.unwrap_or_else(|_| panic!("{what}: waited in vain"))
}
