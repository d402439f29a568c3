//! What one client, and one app, may ask of this process; and the names under which reached limits are counted.
//!
//! Nothing here outlives the process or is told to another: each replica counts for itself. Checks and probes never come
//! here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::HeaderMap;
use ipnet::IpNet;

use super::AppState;
use super::error::{ApiError, ErrorCode};
use super::peer::{Address, Peer, TrustedProxies, X_FORWARDED_FOR};
use super::rates::{Rate, Rates};
use crate::keyring::AppId;

/// What clients and apps may ask for. Nothing is limited by default.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "settings that callers fill in")]
pub struct ClientLimits {
    /// Most open connections of one address; behind a trusted proxy, most requests of one address in flight. 0 is no limit.
    pub max_connections_per_address: usize,
    /// How often one address may log in.
    pub login_rate_per_address: Option<Rate>,
    /// How often all users of one app may log in.
    pub login_rate_per_app: Option<Rate>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// A limit that closes connections or refuses requests, as it is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Limit {
    MaxConnections,
    ConnectionsPerAddress,
    RequestsPerAddress,
    HeaderTimeout,
    HeaderSize,
    IdleTimeout,
    BodyTimeout,
    BodySize,
    LoginRatePerAddress,
    LoginRatePerApp,
    UpstreamConcurrent,
    ClaimsConcurrent,
    SessionKeyAsks,
    PhoneCalls,
    ClaimsAsks,
}

impl Limit {
    pub(super) const ALL: [Self; 15] = [
        Self::MaxConnections,
        Self::ConnectionsPerAddress,
        Self::RequestsPerAddress,
        Self::HeaderTimeout,
        Self::HeaderSize,
        Self::IdleTimeout,
        Self::BodyTimeout,
        Self::BodySize,
        Self::LoginRatePerAddress,
        Self::LoginRatePerApp,
        Self::UpstreamConcurrent,
        Self::ClaimsConcurrent,
        Self::SessionKeyAsks,
        Self::PhoneCalls,
        Self::ClaimsAsks,
    ];

    /// The name of its setting, where it has one of its own.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::ConnectionsPerAddress => "max_connections_per_address",
            Self::RequestsPerAddress => "requests_per_address",
            Self::HeaderTimeout => "header_timeout",
            Self::HeaderSize => "header_size",
            Self::IdleTimeout => "idle_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::BodySize => "body_size",
            Self::LoginRatePerAddress => "login_rate_per_address",
            Self::LoginRatePerApp => "login_rate_per_app",
            Self::UpstreamConcurrent => "upstream_max_concurrent",
            Self::ClaimsConcurrent => "claims_max_concurrent",
            Self::SessionKeyAsks => "session_key_asks",
            Self::PhoneCalls => "phone_calls",
            Self::ClaimsAsks => "claims_asks",
        }
    }
}

/// The limits that count addresses and apps, with their counts.
#[derive(Debug)]
pub(super) struct Limits {
    proxies: Arc<TrustedProxies>,
    /// By address; none is limited without it.
    connections: Option<Places>,
    requests: Option<Places>,
    logins_by_address: Option<Rates<Address>>,
    logins_by_app: Option<Rates<AppId>>,
    told_of_proxy: Once,
}

impl Limits {
    pub(super) fn new(settings: &ClientLimits) -> Self {
        let proxies = TrustedProxies::new(settings.trusted_proxies.clone());
        let most = Some(settings.max_connections_per_address).filter(|most| *most > 0);
        Self {
            connections: most.map(Places::new),
            requests: most.filter(|_| !proxies.is_empty()).map(Places::new),
            proxies: Arc::new(proxies),
            logins_by_address: settings.login_rate_per_address.map(Rates::new),
            logins_by_app: settings.login_rate_per_app.map(Rates::new),
            told_of_proxy: Once::new(),
        }
    }

    /// Whose request it is: the connection's other end, or whom trusted proxies name. Nobody's if it came over no network.
    pub(super) fn client(&self, request: &Request) -> Option<IpAddr> {
        let Peer(peer) = request.extensions().get()?;
        Some(self.sender(*peer, request.headers()))
    }

    /// The same for a request that came from `peer` with `headers`.
    pub(super) fn sender(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.sender(peer, headers).to_canonical()
    }

    /// What decides whether a new connection of clients is one too many; nothing if none ever is.
    pub(super) fn door(&self) -> Option<Door> {
        let connections = self.connections.clone()?;
        Some(Door { proxies: Arc::clone(&self.proxies), connections })
    }

    /// Whether requests of some addresses may be too many while their connections are not.
    pub(super) const fn limit_requests(&self) -> bool {
        self.requests.is_some()
    }

    /// Whom a login counts for; nobody, if logins are not limited by address.
    pub(super) fn address_of(&self, request: &Request) -> Option<Address> {
        self.logins_by_address.as_ref()?;
        let Peer(peer) = request.extensions().get()?;
        if !self.proxies.trusts(*peer) && request.headers().contains_key(X_FORWARDED_FOR) {
            self.told_of_proxy.call_once(|| {
                tracing::warn!(
                    %peer,
                    "a login came with X-Forwarded-For from an address that is not among limits.trusted_proxies; if it is \
                     your proxy's, all its clients count as one (this is said once)"
                );
            });
        }
        Some(self.proxies.sender(*peer, request.headers()).into())
    }

    /// Counts a login that is about to spend its code.
    ///
    /// # Errors
    /// It is one too many for its address or its app. The code has not been spent.
    pub(super) fn admit_login(&self, address: Option<Address>, app: &AppId) -> Result<(), ApiError> {
        const BY_ADDRESS: ApiError = ApiError::new(
            ErrorCode::RateLimited,
            "too many logins from this address; the code was not spent, try later",
        )
        .at(Limit::LoginRatePerAddress);
        const BY_APP: ApiError =
            ApiError::new(ErrorCode::RateLimited, "too many logins at this app; the code was not spent, try later")
                .at(Limit::LoginRatePerApp);
        // In this order, so that one address does not use up what all have together.
        if let (Some(rates), Some(address)) = (&self.logins_by_address, address) {
            rates.admit(&address).map_err(|wait_s| BY_ADDRESS.after_s(wait_s))?;
        }
        if let Some(rates) = &self.logins_by_app {
            rates.admit(app).map_err(|wait_s| BY_APP.after_s(wait_s))?;
        }
        Ok(())
    }

    /// A place among the requests in flight, for a request that a trusted proxy has sent on; `None` needs none.
    fn place_in_flight(&self, request: &Request) -> Result<Option<Place>, ApiError> {
        const TOO_MANY: ApiError = ApiError::new(ErrorCode::RateLimited, "too many requests from this address at once")
            .at(Limit::RequestsPerAddress);
        let (Some(places), Some(Peer(peer))) = (&self.requests, request.extensions().get()) else { return Ok(None) };
        if !self.proxies.trusts(*peer) {
            // It has one request at a time on each of its connections, and these are counted.
            return Ok(None);
        }
        let sender = self.proxies.sender(*peer, request.headers());
        places.take(sender.into()).map(Some).ok_or(TOO_MANY)
    }
}

/// Answers a request if its address has not too many in flight.
pub(super) async fn in_flight(
    State(state): State<Arc<AppState>>,
    request: Request<Body>,
    next: Next,
) -> Result<Response, ApiError> {
    let _place = state.limits.place_in_flight(&request)?;
    Ok(next.run(request).await)
}

/// Lets connections in. Those of trusted proxies are not counted by address: they carry everybody's requests.
#[derive(Clone, Debug)]
pub(super) struct Door {
    proxies: Arc<TrustedProxies>,
    connections: Places,
}

impl Door {
    /// Lets a connection from `peer` in, with what it holds for as long as it lives.
    ///
    /// # Errors
    /// Its address has as many as it may have.
    pub(super) fn enter(&self, peer: IpAddr) -> Result<Option<Place>, TooMany> {
        if self.proxies.trusts(peer) {
            return Ok(None);
        }
        self.connections.take(peer.into()).map(Some).ok_or(TooMany)
    }
}

/// An address has as many of something as it may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooMany;

/// How many places each address holds. Clones share one count.
#[derive(Clone, Debug)]
struct Places {
    most: usize,
    /// Of those that hold one or more, so there are never more entries than places.
    held: Arc<Mutex<HashMap<Address, usize>>>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    address: Address,
    places: Places,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    fn take(&self, address: Address) -> Option<Place> {
        let mut held = self.held();
        let count = held.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Place { address, places: self.clone() })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        // The map is whole between any two statements, so a panic elsewhere leaves nothing half-done in it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_address_has_so_many_places_and_gets_them_back() {
        let places = Places::new(2);
        let held: Vec<_> = (0..2).map(|_| places.take(address("192.0.2.1")).unwrap()).collect();
        assert!(places.take(address("192.0.2.1")).is_none());
        assert!(places.take(address("192.0.2.2")).is_some());
        drop(held);
        assert!(places.held().is_empty(), "nothing is kept of who holds nothing");
        assert!(places.take(address("192.0.2.1")).is_some());
    }

    #[test]
    fn every_limit_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
        assert_eq!(names.len(), Limit::ALL.len());
    }
}
