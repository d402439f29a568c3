//! Numbers for operators, in the [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) text format.
//!
//! Labels hold kids of our own keys, configured appids and services, names of our own: never anything that a client made up.

pub(crate) mod limits;
pub(crate) mod notices;
mod opened;
mod sharded;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::clock::UnixSeconds;
use crate::http::answer::BUILD_VERSION;
use crate::http::labels::{HookEvent, Interface, Limit, Route};
use crate::http::transport::admission::ConnectionCount;
use crate::keyring::{KeyId, KeyRing, KeyState, KeyUse, Purpose};
use crate::platform::PlatformError;
use limits::LimitCounter;
pub(crate) use opened::OpenedUnder;
use opened::{Kid, Opened};
use sharded::ShardedCounter;

/// What a check may be answered with.
const CHECK_STATUSES: [u16; 3] = [200, 401, 403];

/// All metrics of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Held while the numbers that depend on the time are set and read.
    scrape: Mutex<()>,
    sealed: Family<Sealed, Counter>,
    opened: Family<Opened, ShardedCounter>,
    unknown_kids: ShardedCounter,
    logins: Family<Login, Counter>,
    signatures: Family<OfService, Counter>,
    upstream_seconds: Family<CallLabels, Histogram>,
    upstream_errcodes: Family<ByErrcode, Counter>,
    upstream_failures: Family<FailureLabels, Counter>,
    upstream_paused: Family<CallLabels, Gauge>,
    hook_calls: Family<HookCall, Counter>,
    hook_seconds: Histogram,
    requests: Family<RequestLabels, ShardedCounter>,
    /// Those of `requests` that are checks, for each of [`Route::ALL`] by each of [`CHECK_STATUSES`].
    checks: [[ShardedCounter; CHECK_STATUSES.len()]; Route::ALL.len()],
    connections: Family<OfListener, Gauge>,
    limits_reached: LimitCounter,
    keys: Family<KeysInState, Gauge>,
    can_seal: Family<OfUse, Gauge>,
    seals_until: Family<OfUse, Gauge>,
    sealing_gap: Family<OfUse, Gauge>,
    next_change: Gauge,
    ring: Family<RingLabels, Gauge>,
    ring_loaded: Gauge,
    reloads: Family<OfResult, Counter>,
    reload_failed: Gauge,
    looked_at_age: Gauge<f64, AtomicU64>,
    passed_over: Gauge,
    newest_key_ahead: Gauge,
    clock_ahead: Family<OfApp, Gauge>,
    log_lines_dropped: Counter,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Sealed {
    kid: Kid,
    purpose: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Login {
    appid: String,
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfService {
    service: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfApp {
    appid: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    appid: String,
    call: &'static str,
}

impl CallLabels {
    fn new(appid: &str, interface: Interface) -> Self {
        Self { appid: appid.to_owned(), call: interface.as_str() }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ByErrcode {
    appid: String,
    errcode: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct FailureLabels {
    appid: String,
    call: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct HookCall {
    event: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfListener {
    listener: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KeysInState {
    key_use: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfUse {
    key_use: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RingLabels {
    fingerprint: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfResult {
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Build {
    version: &'static str,
    ticket_version: u8,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let requests = Family::<RequestLabels, ShardedCounter>::default();
        let check = |route: Route, status| RequestLabels { route: route.as_str().to_owned(), status };
        let checks =
            Route::ALL.map(|route| CHECK_STATUSES.map(|status| requests.get_or_create_owned(&check(route, status))));
        let mut all = Self {
            registry: Registry::with_prefix("auth_ticket"),
            scrape: Mutex::default(),
            sealed: Family::default(),
            opened: Family::default(),
            unknown_kids: ShardedCounter::default(),
            logins: Family::default(),
            signatures: Family::default(),
            // 5 ms to about 10 s.
            upstream_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 12))),
            upstream_errcodes: Family::default(),
            upstream_failures: Family::default(),
            upstream_paused: Family::default(),
            hook_calls: Family::default(),
            hook_seconds: Histogram::new(exponential_buckets(0.005, 2.0, 12)),
            requests,
            checks,
            connections: Family::default(),
            limits_reached: LimitCounter::default(),
            keys: Family::default(),
            can_seal: Family::default(),
            seals_until: Family::default(),
            sealing_gap: Family::default(),
            next_change: Gauge::default(),
            ring: Family::default(),
            ring_loaded: Gauge::default(),
            reloads: Family::default(),
            reload_failed: Gauge::default(),
            looked_at_age: Gauge::default(),
            passed_over: Gauge::default(),
            newest_key_ahead: Gauge::default(),
            clock_ahead: Family::default(),
            log_lines_dropped: Counter::default(),
        };
        all.register_traffic();
        all.register_ring();
        all
    }

    fn register_traffic(&mut self) {
        let to = &mut self.registry;
        to.register("tickets_sealed", "Tickets and login handles sealed, by key", self.sealed.clone());
        to.register("tickets_opened", "Attempts to open a ticket under a known key, by outcome", self.opened.clone());
        to.register("unknown_kids", "Tickets that named a key which the ring does not hold", self.unknown_kids.clone());
        to.register("logins", "Logins by result: ok, or the error that the client was told", self.logins.clone());
        to.register("signatures", "Signatures made with session_keys, by service", self.signatures.clone());
        let help = "Time that the platform took to answer a call, our own queue included";
        to.register_with_unit("upstream_latency", help, Unit::Seconds, self.upstream_seconds.clone());
        to.register("upstream_errcodes", "Refusals of the platform by its errcode", self.upstream_errcodes.clone());
        let help =
            "Calls without a usable answer, by reason: where the platform cannot be reached, or what its answer was";
        to.register("upstream_failures", help, self.upstream_failures.clone());
        let help = "1 while the circuit breaker of an interface of an app's platform is open";
        to.register("upstream_paused", help, self.upstream_paused.clone());
        let help = "Questions to the owner's service by what came of them";
        to.register("claims_hook_calls", help, self.hook_calls.clone());
        let help = "Time that the owner's service took to answer";
        to.register_with_unit("claims_hook_latency", help, Unit::Seconds, self.hook_seconds.clone());
        to.register("http_requests", "Answers by route and status", self.requests.clone());
        to.register("connections", "Open connections", self.connections.clone());
        let help = "Connections closed or kept waiting and requests refused, by the limit that did it";
        to.register("limits_reached", help, self.limits_reached.family());
    }

    fn register_ring(&mut self) {
        let to = &mut self.registry;
        to.register("keys", "Keys by use and state", self.keys.clone());
        to.register("can_seal", "1 while a key of this use can seal", self.can_seal.clone());
        let help = "When the last key of this use stops sealing, Unix time";
        to.register_with_unit("seals_until_timestamp", help, Unit::Seconds, self.seals_until.clone());
        let help = "When no key of this use can seal before another one starts, Unix time; 0 without such a gap ahead";
        to.register_with_unit("sealing_gap_timestamp", help, Unit::Seconds, self.sealing_gap.clone());
        let help = "Until the next key changes its state; -1 when none will";
        to.register_with_unit("next_key_change", help, Unit::Seconds, self.next_change.clone());
        to.register(
            "ring_info",
            "Always 1; the fingerprint is equal on replicas with the same ring",
            self.ring.clone(),
        );
        let help = "When the ring was loaded, Unix time";
        to.register_with_unit("ring_loaded_timestamp", help, Unit::Seconds, self.ring_loaded.clone());
        to.register("ring_reloads", "Changes of the keys directory, by whether they were taken", self.reloads.clone());
        let help = "1 while the keys directory is not right and the last good keys are in use";
        to.register("ring_reload_failed", help, self.reload_failed.clone());
        let help = "How long ago the keys directory was looked at; a revocation made since then is not in force";
        to.register_with_unit("keys_looked_at_age", help, Unit::Seconds, self.looked_at_age.clone());
        let help = "Files in the keys directory that a newer version wrote or that are misnamed";
        to.register("key_files_passed_over", help, self.passed_over.clone());
        let help = "By how much the newest key was made in what this clock takes for the future";
        to.register_with_unit("newest_key_ahead", help, Unit::Seconds, self.newest_key_ahead.clone());
        let help = "Log lines that were lost because nobody read them in time";
        to.register("log_lines_dropped", help, self.log_lines_dropped.clone());
        let help = "By how much this clock is ahead of the platform's, by its last quick answer; below 0 it is behind";
        to.register_with_unit("clock_ahead_of_platform", help, Unit::Seconds, self.clock_ahead.clone());
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: BUILD_VERSION, ticket_version: crate::ticket::VERSION }).set(1);
        to.register("build_info", "Always 1; the version that runs", build);
    }

    pub(crate) fn sealed(&self, kid: KeyId, purpose: Purpose) {
        self.sealed.get_or_create(&Sealed { kid: Kid(kid), purpose: purpose.as_str() }).inc();
    }

    pub(crate) fn unknown_kid(&self) {
        self.unknown_kids.inc();
    }

    /// Counters for what tickets under the keys of `ring` come to.
    pub(crate) fn for_ring(&self, ring: &KeyRing) -> OpenedUnder {
        let kids = ring.keys_of(KeyUse::Ticket).map(|ring_key| ring_key.key().kid());
        OpenedUnder::new(self.opened.clone(), kids)
    }

    pub(crate) fn logged_in(&self, appid: &str, result: &'static str) {
        self.logins.get_or_create(&Login { appid: appid.to_owned(), result }).inc();
    }

    pub(crate) fn signed(&self, service: &str) {
        self.signatures.get_or_create(&OfService { service: service.to_owned() }).inc();
    }

    pub(crate) fn called(&self, appid: &str, interface: Interface, took: Duration, error: Option<&PlatformError>) {
        self.upstream_seconds.get_or_create(&CallLabels::new(appid, interface)).observe(took.as_secs_f64());
        if let Some(errcode) = error.and_then(PlatformError::errcode) {
            self.upstream_errcodes
                .get_or_create(&ByErrcode { appid: appid.to_owned(), errcode: errcode.to_string() })
                .inc();
        }
        if let Some(reason) = error.and_then(PlatformError::failure) {
            let failure = FailureLabels { appid: appid.to_owned(), call: interface.as_str(), reason };
            self.upstream_failures.get_or_create(&failure).inc();
        }
    }

    /// `took` is there if something was sent.
    pub(crate) fn hook_called(&self, event: HookEvent, outcome: &'static str, took: Option<Duration>) {
        self.hook_calls.get_or_create(&HookCall { event: event.as_str(), outcome }).inc();
        if let Some(took) = took {
            self.hook_seconds.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn platform_paused(&self, appid: &str, interface: Interface, is_paused: bool) {
        self.upstream_paused.get_or_create(&CallLabels::new(appid, interface)).set(i64::from(is_paused));
    }

    pub(crate) fn checked(&self, route: Route, status: u16) {
        let at = CHECK_STATUSES.iter().position(|known| *known == status);
        if let Some(counter) = at.and_then(|at| self.checks.get(route as usize)?.get(at)) {
            counter.inc();
        }
    }

    pub(crate) fn answered(&self, route: &str, status: u16) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
    }

    pub(crate) fn connections(&self, listener: &'static str) -> ConnectionCount {
        let open = self.connections.get_or_create_owned(&OfListener { listener });
        ConnectionCount::new(open, self.limits_reached.clone())
    }

    pub(crate) fn limit_reached(&self, limit: Limit) {
        self.limits_reached.reached(limit);
    }

    pub(crate) fn ring_loaded(&self, now: UnixSeconds, passed_over: usize) {
        self.ring_loaded.set(signed(now.as_u64()));
        self.passed_over.set(signed(passed_over as u64));
    }

    pub(crate) fn reloaded(&self, taken: bool) {
        self.reloads.get_or_create(&OfResult { result: if taken { "taken" } else { "kept_old" } }).inc();
        self.reload_failed.set(i64::from(!taken));
    }

    pub(crate) fn clock_compared(&self, appid: &str, ahead_s: i64) {
        self.clock_ahead.get_or_create(&OfApp { appid: appid.to_owned() }).set(ahead_s);
    }

    /// `None`: this process never looks.
    pub(crate) fn keys_looked_at(&self, age: Option<Duration>) {
        self.looked_at_age.set(age.unwrap_or_default().as_secs_f64());
    }

    /// Everything, with what depends on `ring` and the time as they are now; `lines_dropped` is the log's own count.
    pub(crate) fn encode(&self, ring: &KeyRing, now: UnixSeconds, lines_dropped: u64) -> Result<String, fmt::Error> {
        let _one_at_a_time = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.log_lines_dropped.inc_by(lines_dropped.saturating_sub(self.log_lines_dropped.get()));
        self.keys.clear();
        for ring_key in ring.keys() {
            let key_use = ring_key.key().spec().key_use.as_str();
            self.keys.get_or_create(&KeysInState { key_use, state: ring_key.state(now).as_str() }).inc();
        }
        for key_use in KeyUse::ALL {
            let Some(last) = ring.keys_of(key_use).next_back() else { continue };
            let labels = OfUse { key_use: key_use.as_str() };
            self.can_seal.get_or_create(&labels).set(i64::from(ring.sealing_key(key_use, now).is_some()));
            let until = if last.state(now) == KeyState::Revoked { 0 } else { last.end().as_u64() };
            self.seals_until.get_or_create(&labels).set(signed(until));
            let gap = ring.sealing_gap(key_use, now).unwrap_or_default();
            self.sealing_gap.get_or_create(&labels).set(signed(gap.as_u64()));
        }
        self.next_change.set(ring.next_change(now).map_or(-1, |at| signed(at.since(now))));
        let newest = ring.keys().map(|ring_key| ring_key.key().spec().created).max();
        self.newest_key_ahead.set(newest.map_or(0, |created| signed(created.since(now))));
        self.ring.clear();
        self.ring.get_or_create(&RingLabels { fingerprint: ring.fingerprint().to_string() }).set(1);
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
