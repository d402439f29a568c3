//! What a [`TestServer`] can be like.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_ticket::claims::WebOrigin;
use auth_ticket::clock::FixedClock;
use auth_ticket::hook::Hook;
use auth_ticket::http::{self, App, AppState, Audience, ConnectionLimits, Service, Settings, Subject};
use auth_ticket::keyring::AppId;
use auth_ticket::platform::weapp::Weapp;
use auth_ticket::platform::{Outbound, Platform, PlatformOptions};
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
    /// Id, secret, and whose tickets it may see; of all apps without a list.
    pub(super) services: Vec<(&'static str, &'static str, Option<Vec<AppId>>)>,
    pub(super) may_sign: bool,
    pub(super) settings: Settings,
    pub(super) assertion_audience: Option<String>,
    pub(super) limits: ConnectionLimits,
    pub(super) own_platform: Option<fn() -> Box<dyn Platform>>,
    pub(super) platform: Option<Router>,
    pub(super) base_url: Option<String>,
    pub(super) upstream_timeout: Duration,
    pub(super) max_concurrent: usize,
    pub(super) allow_simulator: bool,
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
        self.assertion_audience = Some(audience.to_owned());
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

    /// JWTs for `name`, for tickets of all apps.
    pub(crate) fn audience(self, name: &str) -> Self {
        let apps = self.apps.clone();
        self.audience_of(name, &apps, false)
    }

    /// The same for tickets of some apps; if `is_public`, the mini-program itself may ask.
    pub(crate) fn audience_of(mut self, name: &str, apps: &[&str], is_public: bool) -> Self {
        let mut audience = Audience::new(name, apps.iter().map(|appid| AppId::parse(appid).unwrap()));
        audience.is_public = is_public;
        self.settings.jwt.audiences.push(audience);
        if self.settings.issuer.is_some() { self } else { self.signing() }
    }

    /// Of several apps the first one is the default.
    pub(crate) fn default_app(mut self) -> Self {
        self.settings.default_app = Some(AppId::parse(self.apps[0]).unwrap());
        self
    }

    /// A service with this id and secret, which may see tickets of all apps.
    pub(crate) fn service(mut self, id: &'static str, secret: &'static str) -> Self {
        self.services.push((id, secret, None));
        self
    }

    /// The same for tickets of some apps.
    pub(crate) fn service_of(mut self, id: &'static str, secret: &'static str, apps: &[&str]) -> Self {
        let apps = apps.iter().map(|appid| AppId::parse(appid).unwrap()).collect();
        self.services.push((id, secret, Some(apps)));
        self
    }

    /// The service may see tickets of these apps only.
    pub(crate) fn service_apps(mut self, apps: &'static [&'static str]) -> Self {
        let apps: Vec<AppId> = apps.iter().map(|appid| AppId::parse(appid).unwrap()).collect();
        self.services.iter_mut().for_each(|(_, _, its)| *its = Some(apps.clone()));
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
        self.audience("orders").service("orders", "orders-secret")
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

    /// The platform has to be a real one.
    pub(crate) fn refuse_simulator(mut self) -> Self {
        self.allow_simulator = false;
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
        let outbound = Outbound::default().with_simulator(self.allow_simulator);
        let mut settings = self.settings;
        if let Some(audience) = self.assertion_audience {
            settings.assertion_audiences.extend(apps.iter().map(|app| (app.clone(), audience.clone())));
        }
        let weapp = |id: &AppId| -> Box<dyn Platform> {
            let options = PlatformOptions {
                secret: Some(SecretText::new(APP_SECRET)),
                base_url: Some(base_url.parse().unwrap()),
                timeout: self.upstream_timeout,
                max_concurrent: self.max_concurrent,
                outbound: outbound.clone(),
                ..PlatformOptions::new(id.as_str())
            };
            Box::new(Weapp::new(options).unwrap())
        };
        let make_app = |id: &AppId| App {
            id: id.clone(),
            subject: self.subject,
            platform: self.own_platform.map_or_else(|| weapp(id), |make| make()),
        };
        let make_service = |(id, secret, its): (&str, &str, Option<Vec<AppId>>)| {
            secrets.add(secret);
            let apps = its.unwrap_or_else(|| apps.clone());
            Service { id: id.to_owned(), secret: SecretText::new(secret), apps, may_sign: self.may_sign }
        };
        let services = self.services.into_iter().map(make_service).collect();
        let has_cors = !settings.cors_origins.is_empty() || !settings.handover_origins.is_empty();
        let rules = Rules { secrets, compat: settings.compat.enabled, cors: has_cors };
        let state = AppState::new(
            settings,
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
