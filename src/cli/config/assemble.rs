//! The tree -> [`Config`]: each setting is read once, and the rules that hold between settings are checked.

use std::cell::Cell;

use auth_ticket::hook::HookOptions;
use auth_ticket::http::{ClientLimits, CompatSettings, ConnectionLimits, Service, Settings};
use auth_ticket::keyring::AppId;
use auth_ticket::platform::{Outbound, PlatformOptions};
use auth_ticket::ticket::Policy;
use url::Url;

use super::mistake::{Mistake, Origin, quoted};
use super::reader::{Item, values};
use super::tree::Tree;
use super::{AppOptions, Config, Endpoint, ExportSettings, check};

impl Tree {
    /// Everything; it counts only if [`Tree::mistakes`] is empty then.
    pub(super) fn config(&mut self, file: &str) -> Config {
        let (listen, admin_listen) = self.endpoints();
        self.text("secret_files", check::secret_files);
        let is_local = listen.iter().all(Endpoint::is_local);
        self.check_system(is_local);
        let allow_simulator = self.allow_simulator(is_local);
        let any_app = self.boolean("verify.any_app");
        let appids = self.appids();
        Config {
            listen,
            listen_mode: self.text("listen_mode", check::mode),
            admin_listen,
            admin_listen_mode: self.text("admin_listen_mode", check::mode),
            admin_hosts: self.list("admin_hosts", check::host_name),
            keys_dir: self.text("keys_dir", check::directory),
            allow_group_read: self.boolean("allow_group_read"),
            keys_poll: self.duration("keys_poll"),
            workers: self.integer("workers"),
            log_format: self.text("log.format", check::log_format),
            apps: self.apps(&Outbound::default().with_simulator(is_local || allow_simulator)),
            services: self.services(&appids),
            hook: self.hook(),
            settings: Settings {
                policy: self.policy(),
                any_app,
                default_app: self.default_app(),
                assertion_audiences: self.assertion_audiences(&appids, any_app),
                phone_check_origin: self.boolean("phone.check_origin"),
                allow_simulator,
                compat: CompatSettings {
                    enabled: self.boolean("compat.enabled"),
                    require_phone: self.boolean("compat.require_phone"),
                },
                cors_origins: self.cors_origins(),
                handover_origins: self.list("handover.origins", check::web_origin),
                body_timeout: self.duration("limits.body_timeout"),
                limits: ClientLimits {
                    max_connections_per_address: self.integer("limits.max_connections_per_address"),
                    login_rate_per_address: self.text("limits.login_rate_per_address", check::rate_or_off),
                    login_rate_per_app: self.text("limits.login_rate_per_app", check::rate_or_off),
                    trusted_proxies: self.list("limits.trusted_proxies", check::trusted_proxy),
                },
                issuer: self.optional("public_url", check::public_url),
                jwt: self.jwt(&appids),
                hook: None,
            },
            connections: ConnectionLimits {
                max_connections: self.integer("limits.max_connections"),
                header_timeout: self.duration("limits.header_timeout"),
                idle_timeout: self.duration("limits.idle_timeout"),
                shutdown_grace: self.duration("limits.shutdown_grace"),
            },
            warnings: self.warnings.iter().map(|warning| warning.line(file)).collect(),
        }
    }

    /// What verifier files are made from.
    pub(super) fn for_export(&mut self) -> ExportSettings {
        let mut apps = Vec::new();
        for index in 0..self.count("app") {
            let app = self.required(("app", index), "appid", check::appid);
            let kind = self.required(("app", index), "platform", check::platform);
            apps.extend(app.zip(kind.map(|kind| kind.name)));
        }
        ExportSettings {
            keys_dir: self.text("keys_dir", check::directory),
            allow_group_read: self.boolean("allow_group_read"),
            keys_poll: self.duration("keys_poll"),
            max_session_s: self.seconds("ticket.max_session"),
            apps,
        }
    }

    /// `listen` and `admin_listen`.
    pub(super) fn endpoints(&mut self) -> (Vec<Endpoint>, Vec<Endpoint>) {
        let listen = self.one_or_more("listen", check::endpoint);
        let is_off = |text: &str| text.is_empty();
        let admin_listen = if self.shown_text("admin_listen").as_deref().is_some_and(is_off) {
            Vec::new()
        } else {
            self.one_or_more("admin_listen", check::endpoint)
        };
        if listen.is_empty() && !self.is_wrong("listen") {
            self.report_at("listen", "lists nothing; write for example \"[::]:8080\"");
        }
        let all: Vec<&Item<Endpoint>> = listen.iter().chain(&admin_listen).collect();
        let clash = all.iter().enumerate().find_map(|(index, later)| {
            let earlier = all.iter().take(index).find(|earlier| earlier.value.overlaps(&later.value))?;
            let message = format!(
                "{} is {} and {} is {}: give them different ports or paths",
                earlier.key, earlier.value, later.key, later.value
            );
            // A default is nobody's mistake.
            let blamed = if later.origin == (Origin::File { line: 0 }) { earlier } else { later };
            Some((blamed.origin.clone(), blamed.key.clone(), message))
        });
        if let Some((origin, key, message)) = clash {
            self.report(origin, key, message);
        }
        (values(listen), values(admin_listen))
    }

    fn policy(&mut self) -> Policy {
        let (ttl, max_session) = ("ticket.ttl", "ticket.max_session");
        let policy = Policy { ttl_s: self.seconds(ttl), max_session_s: self.seconds(max_session) };
        if policy.max_session_s < policy.ttl_s && !self.is_wrong(ttl) && !self.is_wrong(max_session) {
            if self.origin(max_session).is_some() {
                self.report_at(max_session, "is shorter than ttl; write a longer max_session or a shorter ttl");
            } else {
                let message = "is longer than max_session, which is \"30d\" unless set; write a shorter ttl or a longer \
                               max_session";
                self.report_at(ttl, message);
            }
        }
        policy
    }

    /// Whether answers of the simulator count for more clients than those on this machine.
    fn allow_simulator(&mut self, is_local: bool) -> bool {
        let path = "upstream.allow_simulator";
        let allowed = self.boolean(path) && !is_local;
        if allowed {
            let what = "answers of a simulator count: where one is a platform, anybody who reaches this server can log in as \
                        anybody";
            self.warn(path, what);
        }
        allowed
    }

    fn apps(&mut self, outbound: &Outbound) -> Vec<AppOptions> {
        let count = self.count("app");
        if count == 0 && !self.refused.contains("app") {
            let message = "no mini-program is configured; write [[app]] and in the lines below appid, platform and \
                           secret_env";
            self.report(Origin::File { line: 0 }, "app", message);
        }
        let timeout = self.duration("upstream.timeout");
        let max_concurrent = self.integer("upstream.max_concurrent");
        let mut seen = Vec::with_capacity(count);
        let app = |index| {
            let path = |key: &str| format!("app[{index}].{key}");
            let id = self.required(("app", index), "appid", check::appid);
            if let Some(id) = &id {
                self.check_distinct(&mut seen, index, id);
            }
            let kind = self.required(("app", index), "platform", check::platform);
            let subject = self.text(&path("subject"), check::subject);
            let doubt = Cell::new(None);
            let secret =
                self.app_secret(index, kind, |text| doubt.set(kind.and_then(|kind| (kind.doubt_secret)(text))));
            let settings = self.app_settings(index, kind);
            let base_url = self.optional(&path("base_url"), check::base_url);
            if let Some(url) = &base_url {
                self.warn_of_base_url(&path("base_url"), url);
            }
            // A simulator takes any secret, and speaks no TLS.
            let is_real = base_url.as_ref().is_none_or(|url| url.scheme() == "https");
            if let Some(doubt) = doubt.get().filter(|_| is_real) {
                let by = ["secret_env", "secret_file"].map(path).into_iter().find(|path| self.origin(path).is_some());
                self.warn(&by.unwrap_or_default(), &format!("the secret there {doubt}"));
            }
            let (id, kind) = (id?, kind?);
            let platform = PlatformOptions {
                secret,
                settings,
                base_url,
                timeout,
                max_concurrent,
                outbound: outbound.clone(),
                ..PlatformOptions::new(id.as_str())
            };
            Some(AppOptions { id, kind, subject, platform })
        };
        (0..count).filter_map(app).collect()
    }

    /// The app that is meant where none is named; of one app, that one is.
    fn default_app(&mut self) -> Option<AppId> {
        let mut defaults = Vec::new();
        for index in 0..self.count("app") {
            let path = format!("app[{index}].default");
            if self.boolean(&path) {
                if let Some(first) = defaults.first() {
                    self.report_at(&path, format!("app[{first}] is the default already; one of the two can be it"));
                }
                defaults.push(index);
            }
        }
        let appid = self.shown_text(&format!("app[{}].appid", defaults.first()?))?;
        AppId::parse(&appid).ok()
    }

    /// Forgotten in production, it lets anybody in as anybody.
    fn warn_of_base_url(&mut self, path: &str, url: &Url) {
        let host = url.host_str().unwrap_or_default();
        let mut what = format!("the app's platform is {host}, which decides who users are; remove it in production");
        if check::is_in_clear(url) {
            what += "; http to a host that is not loopback: the app secret travels unencrypted";
        }
        self.warn(path, &what);
    }

    /// A ticket's header names its app by four bytes, so neither appids nor these may be equal.
    fn check_distinct(&mut self, seen: &mut Vec<(usize, AppId)>, index: usize, appid: &AppId) {
        if let Some((other, text)) = seen.iter().find(|(_, other)| other.tag() == appid.tag()) {
            let message = if text == appid {
                format!("app[{other}] has this appid already; remove one of the two")
            } else {
                format!("tickets cannot tell this appid from that of app[{other}]; serve the two by different servers")
            };
            self.report_at(&format!("app[{index}].appid"), message);
        }
        seen.push((index, appid.clone()));
    }

    /// As written, for comparison only; faulty ones are reported elsewhere.
    fn appids(&self) -> Vec<String> {
        (0..self.count("app")).filter_map(|index| self.shown_text(&format!("app[{index}].appid"))).collect()
    }

    fn services(&mut self, appids: &[String]) -> Vec<Service> {
        let mut ids = Vec::new();
        let count = self.count("service");
        let service = |index| {
            let id = self.required(("service", index), "id", check::service_id);
            if let Some(id) = &id {
                let path = format!("service[{index}].id");
                if appids.contains(id) {
                    self.report_at(&path, "is also an appid; a service needs an id of its own");
                } else if ids.contains(id) {
                    let message = format!("another service is called {} already; write another id", quoted(id));
                    self.report_at(&path, message);
                }
                ids.push(id.clone());
            }
            let secret = self.secret(("service", index), check::service_secret);
            let apps = self.apps_of(&format!("service[{index}].apps"), &self.table_origin("service", index), appids);
            let may_sign = self.boolean(&format!("service[{index}].may_sign"));
            Some(Service { id: id?, secret: secret?, apps, may_sign })
        };
        (0..count).filter_map(service).collect()
    }

    fn hook(&mut self) -> Option<HookOptions> {
        let path = "claims.url";
        let url = self.optional(path, check::claims_url);
        let audience = self.optional("claims.audience", check::audience);
        let timeout = self.duration("claims.timeout");
        let max_concurrent = self.integer("claims.max_concurrent");
        if self.origin(path).is_some() {
            self.check_issuer(path, "JWTs");
        }
        let url = url?;
        if check::is_in_clear(&url) {
            let what = "http to a host that is not loopback: who logs in can be read on the way, and claims be forged";
            self.warn(path, what);
        }
        let audience = audience.or_else(|| self.shown_text(path)).unwrap_or_default();
        self.check_question_audience(&audience);
        Some(HookOptions { url, audience, timeout, max_concurrent })
    }

    /// `what` names its issuer, so where `path` is given, there has to be one.
    pub(super) fn check_issuer(&mut self, path: &str, what: &str) {
        self.check_issuer_at(self.given_or_file(path), path, what);
    }

    pub(super) fn check_issuer_at(&mut self, origin: Origin, path: &str, what: &str) {
        if self.origin("public_url").is_none() {
            let message = format!(
                "is missing, and {path} needs it: {what} name their issuer; write for example public_url = \
                 \"https://login.example.com\""
            );
            self.report(origin, "public_url", message);
        }
    }

    fn cors_origins(&mut self) -> Vec<String> {
        let items = self.items("cors.origins", check::cors_origin);
        if items.len() > 1
            && let Some(item) = items.iter().find(|item| item.value == "*")
        {
            let message = "\"*\" stands for every origin; write it alone, or leave it out";
            self.report(item.origin.clone(), item.key.clone(), message);
        }
        values(items)
    }

    /// The items that are in `known`; of the others it is reported that each `wrong`.
    pub(super) fn all_of(&mut self, items: Vec<Item<String>>, known: &[String], wrong: &str) -> Vec<String> {
        for Item { origin, key, value } in items.iter().filter(|item| !known.contains(&item.value)) {
            let list = check::shown(known);
            let hint = if known.is_empty() { "there is none".to_owned() } else { format!("write one of {list}") };
            self.report(origin.clone(), key.clone(), format!("{} {wrong}; {hint}", quoted(value)));
        }
        values(items)
    }

    pub(super) fn warn(&mut self, path: &str, message: &str) {
        self.warnings.push(Mistake::new(self.given_or_file(path), path, message));
    }
}
