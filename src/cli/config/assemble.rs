//! The tree -> [`Config`]: defaults, bounds, and the rules that hold between keys.

use std::cell::Cell;

use auth_ticket::keyring::AppId;

use super::check;
use super::problem::{Origin, quoted};
use super::reader::{Item, Read, Reported};
use super::tree::Tree;
use super::{
    Address, AppConfig, ClaimsConfig, ClientLimits, CompatConfig, Config, CorsConfig, JwtConfig, LimitsConfig,
    PhoneConfig, ServiceConfig, TicketConfig, UpstreamConfig, VerifyConfig,
};

impl Tree {
    /// Reads everything before the first `?`, so that no mistake hides another.
    pub(super) fn config(&mut self, file: &str) -> Read<Config> {
        let mut warnings = Vec::new();
        let addresses = self.addresses();
        let public_url = self.optional("public_url", check::public_url);
        let keys_dir = self.text("keys_dir", "keys", check::directory);
        let allow_group_read = self.boolean("allow_group_read", false);
        let keys_poll = self.duration("keys_poll", "5s", ("100ms", "10m"));
        let workers = self.integer("workers", 0, 0..=1024);
        let secret_files = self.text("secret_files", "private", check::secret_files);
        let ticket = self.ticket();
        let apps = self.apps(file, &mut warnings);
        let services = self.services();
        let jwt = self.jwt();
        let claims = self.claims(file, &mut warnings);
        let upstream = self.upstream();
        let log_format = self.text("log.format", "text", check::log_format);
        let verify = self.verify();
        let check_origin = self.boolean("phone.check_origin", true);
        let compat = self.compat();
        let cors = self.cors();
        let limits = self.limits();
        let admin_hosts = self.list("admin_hosts", check::host_name);
        let (listen, admin_listen) = addresses?;
        secret_files?;
        Ok(Config {
            listen,
            admin_listen,
            admin_hosts: values(admin_hosts?.unwrap_or_default()),
            public_url: public_url?,
            keys_dir: keys_dir?,
            allow_group_read: allow_group_read?,
            keys_poll: keys_poll?,
            workers: workers?,
            ticket: ticket?,
            apps: apps?,
            services: services?,
            jwt: jwt?,
            claims: claims?,
            upstream: upstream?,
            log_format: log_format?,
            verify: verify?,
            phone: PhoneConfig { check_origin: check_origin? },
            compat: compat?,
            cors: cors?,
            limits: limits?,
            warnings,
        })
    }

    pub(super) fn addresses(&mut self) -> Read<(Address, Option<Address>)> {
        let listen = self.text("listen", "[::]:8080", check::address);
        let admin = self.text("admin_listen", "127.0.0.1:9090", check::address_or_off);
        let (listen, admin) = (listen?, admin?);
        if let Some(admin) = admin
            && listen.overlaps(admin)
        {
            let path = if self.origin("admin_listen").is_some() { "admin_listen" } else { "listen" };
            let message = format!("listen is {listen} and admin_listen is {admin}: give them different ports");
            return Err(self.report(self.given_or_file(path), path, message));
        }
        Ok((listen, admin))
    }

    fn ticket(&mut self) -> Read<TicketConfig> {
        let ttl_s = self.seconds("ticket.ttl", "2h", ("60s", "90d"));
        let max_session_s = self.seconds("ticket.max_session", "30d", ("60s", "3650d"));
        let (ttl_s, max_session_s) = (ttl_s?, max_session_s?);
        if max_session_s < ttl_s {
            let is_default = self.origin("ticket.max_session").is_none();
            let path = if is_default { "ticket.ttl" } else { "ticket.max_session" };
            let message = if is_default {
                "is longer than max_session, which is \"30d\" unless set; write a shorter ttl or a longer max_session"
            } else {
                "is shorter than ttl; write a longer max_session or a shorter ttl"
            };
            return Err(self.report(self.given_or_file(path), path, message));
        }
        Ok(TicketConfig { ttl_s, max_session_s })
    }

    fn apps(&mut self, file: &str, warnings: &mut Vec<String>) -> Read<Vec<AppConfig>> {
        let count = self.tables.get("app").map_or(0, Vec::len);
        if count == 0 && !self.refused.contains("app") {
            let message = "no mini-program is configured; write [[app]] and in the lines below appid, platform and \
                           secret_env";
            self.report(Origin::File { line: 0 }, "app", message);
        }
        let mut apps = Vec::with_capacity(count);
        let mut appids: Vec<(usize, AppId)> = Vec::with_capacity(count);
        for index in 0..count {
            let appid = self.required(("app", index), "appid", check::appid);
            let appid = appid.and_then(|appid| self.distinct_appid(&mut appids, index, appid));
            let app = self.app(file, index, appid, warnings);
            apps.push(app);
        }
        let apps = apps.into_iter().collect::<Read<Vec<_>>>()?;
        if apps.is_empty() { Err(Reported) } else { Ok(apps) }
    }

    fn app(&mut self, file: &str, index: usize, appid: Read<AppId>, warnings: &mut Vec<String>) -> Read<AppConfig> {
        let path = |key: &str| format!("app[{index}].{key}");
        let platform = self.required(("app", index), "platform", check::platform);
        let subject = self.text(&path("subject"), "openid", check::subject);
        let doubt = Cell::new(None);
        let secret = self.secret(("app", index), |text| {
            doubt.set(platform.as_ref().ok().and_then(|kind| (kind.doubt_secret)(text)));
            Ok(())
        });
        let base_url = self.optional(&path("base_url"), check::base_url)?;
        if let Some((_, true)) = base_url {
            let place = self.given_or_file(&path("base_url")).shown(file);
            let host = "http to a host that is not loopback: the app secret travels unencrypted";
            warnings.push(format!("{place}: {}: {host}", path("base_url")));
        }
        let base_url = base_url.map(|(url, _)| url);
        // A simulator takes any secret, and speaks no TLS.
        let is_real = base_url.as_ref().is_none_or(|url| url.starts_with("https:"));
        if let Some(doubt) = doubt.get().filter(|_| is_real) {
            let by = ["secret_env", "secret_file"].map(path);
            let by = by.into_iter().find(|path| self.origin(path).is_some()).unwrap_or_default();
            let place = self.given_or_file(&by).shown(file);
            warnings.push(format!("{place}: {by}: the secret there {doubt}"));
        }
        Ok(AppConfig { appid: appid?, platform: platform?, subject: subject?, secret: secret?, base_url })
    }

    /// A ticket's header names its app by four bytes, so neither appids nor these may be equal.
    fn distinct_appid(&mut self, seen: &mut Vec<(usize, AppId)>, index: usize, appid: AppId) -> Read<AppId> {
        let message = seen.iter().find(|(_, other)| other.tag() == appid.tag()).map(|(other, text)| {
            if *text == appid {
                format!("app[{other}] has this appid already; remove one of the two")
            } else {
                format!("tickets cannot tell this appid from that of app[{other}]; serve the two by different servers")
            }
        });
        seen.push((index, appid.clone()));
        match message {
            None => Ok(appid),
            Some(message) => {
                let path = format!("app[{index}].appid");
                Err(self.report(self.given_or_file(&path), path, message))
            }
        }
    }

    fn services(&mut self) -> Read<Vec<ServiceConfig>> {
        let count = self.tables.get("service").map_or(0, Vec::len);
        let appids: Vec<String> = self.appids();
        let mut ids: Vec<String> = Vec::with_capacity(count);
        let mut services = Vec::with_capacity(count);
        for index in 0..count {
            let path = format!("service[{index}].id");
            let mut id = self.required(("service", index), "id", check::service_id);
            if let Ok(text) = &id {
                let taken = if appids.contains(text) {
                    Some("is also an appid; a service needs an id of its own".to_owned())
                } else {
                    let first = ids.iter().position(|other| other == text);
                    first.map(|_| format!("another service is called {} already; write another id", quoted(text)))
                };
                ids.push(text.clone());
                if let Some(message) = taken {
                    id = Err(self.report(self.given_or_file(&path), path, message));
                }
            }
            let secret = self.secret(("service", index), check::service_secret);
            let apps = self.apps_of_service(index, &appids);
            services.push((|| Ok(ServiceConfig { id: id?, secret: secret?, apps: apps? }))());
        }
        services.into_iter().collect()
    }

    /// The appids as written, for comparison only; faulty ones are reported elsewhere.
    fn appids(&self) -> Vec<String> {
        let count = self.tables.get("app").map_or(0, Vec::len);
        (0..count).filter_map(|index| self.shown_text(&format!("app[{index}].appid"))).collect()
    }

    /// `appids` are those of the file, right or not: a mistake in one of them hides none here, and is none of the service's.
    fn apps_of_service(&mut self, index: usize, appids: &[String]) -> Read<Vec<String>> {
        let path = format!("service[{index}].apps");
        // An app whose appid is missing, or no text, may be any.
        let all_are_known = appids.len() == self.tables.get("app").map_or(0, Vec::len);
        let Some(items) = self.list(&path, |text| Ok(text.to_owned()))? else {
            let (Some(first), true) = (appids.first(), all_are_known) else { return Err(Reported) };
            if appids.iter().all(|appid| appid == first) {
                return Ok(vec![first.clone()]);
            }
            if self.refused.contains(&format!("service[{index}]")) {
                return Err(Reported);
            }
            let list = appids.join("\", \"");
            let message = format!("is missing; several apps are configured, so write apps = [\"{list}\"] or some");
            return Err(self.report(self.table_origin("service", index), path, message));
        };
        if items.is_empty() {
            let message = "is empty; name at least one appid, or remove the service";
            return Err(self.report(self.given_or_file(&path), path, message));
        }
        if all_are_known && !appids.is_empty() {
            return self.all_of(items, appids, "is not the appid of a configured app");
        }
        for item in items {
            if let Err(message) = check::appid(&item.value) {
                self.report(item.origin, item.key, message);
            }
        }
        Err(Reported)
    }

    fn jwt(&mut self) -> Read<JwtConfig> {
        let ttl_s = self.seconds("jwt.ttl", "5m", ("1s", "1d"));
        let audiences = self.list("jwt.audiences", check::audience);
        let public = self.list("jwt.public_audiences", check::audience);
        let phone = self.boolean("jwt.phone", false);
        // By what stands in the file, so that a mistake in one audience hides none in the others.
        let written = self.shown_list("jwt.audiences");
        if !written.is_empty() {
            self.needs_public_url("jwt.audiences", "JWTs");
        }
        let public =
            public.and_then(|items| self.all_of(items.unwrap_or_default(), &written, "is not one of jwt.audiences"));
        let audiences = values(audiences?.unwrap_or_default());
        Ok(JwtConfig { ttl_s: ttl_s?, audiences, public_audiences: public?, phone: phone? })
    }

    fn claims(&mut self, file: &str, warnings: &mut Vec<String>) -> Read<Option<ClaimsConfig>> {
        let url = self.optional("claims.url", check::claims_url);
        let audience = self.optional("claims.audience", check::audience);
        let timeout = self.duration("claims.timeout", "2s", ("100ms", "30s"));
        let max_concurrent = self.integer("claims.max_concurrent", 64, 1..=10_000);
        if self.origin("claims.url").is_some() {
            self.needs_public_url("claims.url", "JWTs");
        }
        let (url, audience, timeout, max_concurrent) = (url?, audience?, timeout?, max_concurrent?);
        let Some((url, as_written, in_clear)) = url else { return Ok(None) };
        if in_clear {
            let place = self.given_or_file("claims.url").shown(file);
            let what = "http to a host that is not loopback: who logs in can be read on the way, and claims be forged";
            warnings.push(format!("{place}: claims.url: {what}"));
        }
        Ok(Some(ClaimsConfig { url, audience: audience.unwrap_or(as_written), timeout, max_concurrent }))
    }

    fn verify(&mut self) -> Read<VerifyConfig> {
        let any_app = self.boolean("verify.any_app", false);
        let path = "verify.assertion_audience";
        let assertion_audience = self.optional(path, check::audience);
        if self.origin(path).is_some() {
            self.needs_public_url(path, "assertions");
        }
        let assertion_audience = assertion_audience?;
        if let Some(audience) = &assertion_audience
            && self.shown_list("jwt.audiences").contains(audience)
        {
            let message = "is one of jwt.audiences, too: who asks for such a JWT could pass it off as an assertion; \
                           write a name of its own";
            return Err(self.report(self.given_or_file(path), path, message));
        }
        Ok(VerifyConfig { any_app: any_app?, assertion_audience })
    }

    /// Reports that `path` is given without an issuer.
    fn needs_public_url(&mut self, path: &str, what: &str) {
        if self.origin("public_url").is_none() {
            let message = format!(
                "is missing, and {path} needs it: {what} name their issuer; write for example public_url = \
                 \"https://login.example.com\""
            );
            self.report(self.given_or_file(path), "public_url", message);
        }
    }

    fn upstream(&mut self) -> Read<UpstreamConfig> {
        let timeout = self.duration("upstream.timeout", "5s", ("100ms", "60s"));
        let max_concurrent = self.integer("upstream.max_concurrent", 64, 1..=10_000);
        Ok(UpstreamConfig { timeout: timeout?, max_concurrent: max_concurrent? })
    }

    fn compat(&mut self) -> Read<CompatConfig> {
        let enabled = self.boolean("compat.enabled", false);
        let require_phone = self.boolean("compat.require_phone", false);
        Ok(CompatConfig { enabled: enabled?, require_phone: require_phone? })
    }

    fn cors(&mut self) -> Read<CorsConfig> {
        let items = self.list("cors.origins", check::cors_origin)?.unwrap_or_default();
        if items.len() > 1
            && let Some(item) = items.iter().find(|item| item.value == "*")
        {
            let message = "\"*\" stands for every origin; write it alone, or leave it out";
            return Err(self.report(item.origin.clone(), item.key.clone(), message));
        }
        Ok(CorsConfig { origins: values(items) })
    }

    fn limits(&mut self) -> Read<LimitsConfig> {
        let max_connections = self.integer("limits.max_connections", 10_000, 1..=1_000_000);
        let mut duration = |name: &str, default| self.duration(&format!("limits.{name}"), default, ("100ms", "10m"));
        let (header, body) = (duration("header_timeout", "10s"), duration("body_timeout", "10s"));
        let (idle, grace) = (duration("idle_timeout", "75s"), duration("shutdown_grace", "10s"));
        let clients = self.client_limits();
        Ok(LimitsConfig {
            max_connections: max_connections?,
            clients: clients?,
            header_timeout: header?,
            body_timeout: body?,
            idle_timeout: idle?,
            shutdown_grace: grace?,
        })
    }

    fn client_limits(&mut self) -> Read<ClientLimits> {
        let per_address = self.integer("limits.max_connections_per_address", 0, 0..=1_000_000);
        let login_rate_per_address = self.text("limits.login_rate_per_address", "", check::rate_or_off);
        let login_rate_per_app = self.text("limits.login_rate_per_app", "", check::rate_or_off);
        let proxies = self.list("limits.trusted_proxies", check::trusted_proxy);
        Ok(ClientLimits {
            max_connections_per_address: per_address?,
            login_rate_per_address: login_rate_per_address?,
            login_rate_per_app: login_rate_per_app?,
            trusted_proxies: values(proxies?.unwrap_or_default()),
        })
    }

    fn all_of(&mut self, items: Vec<Item<String>>, known: &[String], wrong: &str) -> Read<Vec<String>> {
        let count = items.len();
        let mut good = Vec::with_capacity(count);
        for Item { origin, key, value } in items {
            if known.contains(&value) {
                good.push(value);
            } else {
                let list = known.join("\", \"");
                let hint =
                    if known.is_empty() { "there is none".to_owned() } else { format!("write one of \"{list}\"") };
                self.report(origin, key, format!("{} {wrong}; {hint}", quoted(&value)));
            }
        }
        if good.len() == count { Ok(good) } else { Err(Reported) }
    }
}

fn values<T>(items: Vec<Item<T>>) -> Vec<T> {
    items.into_iter().map(|item| item.value).collect()
}
