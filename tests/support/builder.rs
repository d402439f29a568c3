//! What a [`TestServer`] can be like.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_ticket::claims::WebOrigin;
use auth_ticket::clock::FixedClock;
use auth_ticket::hook::Hook;
use auth_ticket::http::{self, App, AppState, ConnectionLimits, Service, Settings, Subject};
use auth_ticket::keyring::AppId;
use auth_ticket::platform::weapp::Weapp;
use auth_ticket::platform::{Platform, PlatformOptions};
use auth_ticket::secret::SecretText;
use auth_ticket::simulator::Simulator;
use axum::Router;

use super::answer::{Rules, Secrets};
use super::platform::TestPlatform;
use super::{
    APP_SECRET, APPID, ISSUER, JWT_TTL_S, LIMITS, OTHER_APPID, Plan, SESSION_KEY, START, TestKey, TestServer, serve,
    serve_counted,
};

/// A server that is about to start.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(super) apps: Vec<&'static str>,
    pub(super) subject: Subject,
    pub(super) service: Option<(&'static str, &'static str)>,
    pub(super) service_apps: Option<&'static [&'static str]>,
    pub(super) may_sign: bool,
    pub(super) settings: Settings,
    pub(super) limits: ConnectionLimits,
    pub(super) own_platform: Option<fn() -> Box<dyn Platform>>,
    pub(super) platform: Option<Router>,
    pub(super) base_url: Option<String>,
    pub(super) upstream_timeout: Duration,
    pub(super) max_concurrent: usize,
    pub(super) plan: Plan,
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

    /// The service may see tickets of these apps only.
    pub(crate) fn service_apps(mut self, apps: &'static [&'static str]) -> Self {
        self.service_apps = Some(apps);
        self
    }

    /// The service may have signatures made, and no other one.
    pub(crate) fn may_sign(mut self) -> Self {
        self.may_sign = true;
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

    /// Pages that may take over a session from a mini-program.
    pub(crate) fn handover(mut self, origins: &[&str]) -> Self {
        self.settings.handover_origins = origins.iter().map(|origin| WebOrigin::parse(origin).unwrap()).collect();
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
                secret: Some(SecretText::new(APP_SECRET)),
                base_url: Some(base_url.parse().unwrap()),
                timeout: self.upstream_timeout,
                max_concurrent: self.max_concurrent,
                ..PlatformOptions::new(id.as_str())
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
            let is_seen = |app: &&AppId| self.service_apps.is_none_or(|seen| seen.contains(&app.as_str()));
            Service {
                id: id.to_owned(),
                secret: SecretText::new(secret),
                apps: apps.iter().filter(is_seen).cloned().collect(),
                may_sign: self.may_sign,
            }
        };
        let services = self.service.into_iter().map(make_service).collect();
        let has_cors = !self.settings.cors_origins.is_empty() || !self.settings.handover_origins.is_empty();
        let rules = Rules { secrets, compat: self.settings.compat.enabled, cors: has_cors };
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
