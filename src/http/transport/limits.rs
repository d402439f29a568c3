//! What one client, and one app, may ask of this process.
//!
//! Each replica counts for itself. Checks and probes are not limited here.

use std::net::IpAddr;
use std::sync::{Arc, Once};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::HeaderMap;

use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::Limit;
use crate::http::settings::ClientLimits;
use crate::http::transport::admission::{Admission, Slot, Slots};
use crate::http::transport::delays::Delays;
use crate::http::transport::peer::{ClientAddress, Peer, TrustedProxies, X_FORWARDED_FOR};
use crate::http::transport::rates::Rates;
use crate::keyring::AppId;

/// The limits that count addresses and apps, with their counts.
#[derive(Debug)]
pub(crate) struct Limits {
    proxies: Arc<TrustedProxies>,
    /// By address; none is limited without it.
    connections: Option<Slots>,
    requests: Option<Slots>,
    logins_by_address: Option<Rates<(ClientAddress, AppId)>>,
    logins_by_app: Option<Rates<AppId>>,
    wrong_secrets: Delays<Option<ClientAddress>>,
    told_of_proxy: Once,
}

impl Limits {
    pub(crate) fn new(settings: &ClientLimits) -> Self {
        let proxies = TrustedProxies::new(settings.trusted_proxies.clone());
        let most = Some(settings.max_connections_per_address).filter(|most| *most > 0);
        Self {
            connections: most.map(Slots::new),
            requests: most.filter(|_| !proxies.is_empty()).map(Slots::new),
            proxies: Arc::new(proxies),
            logins_by_address: settings.login_rate_per_address.map(Rates::new),
            logins_by_app: settings.login_rate_per_app.map(Rates::new),
            wrong_secrets: Delays::default(),
            told_of_proxy: Once::new(),
        }
    }

    /// The client's address: the peer's, or the one that trusted proxies name, if either has one.
    pub(crate) fn client(&self, request: &Request) -> Option<IpAddr> {
        let Peer(peer) = request.extensions().get()?;
        self.sender(*peer, request.headers())
    }

    /// The same for a request that came from `peer` with `headers`.
    pub(crate) fn sender(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        self.proxies.sender(peer, headers).map(|ip| ip.to_canonical())
    }

    /// What limits connections by address, if anything does.
    pub(crate) fn admission(&self) -> Option<Admission> {
        let connections = self.connections.clone()?;
        Some(Admission { proxies: Arc::clone(&self.proxies), connections })
    }

    /// Whether requests in flight are limited by address: behind a trusted proxy connections cannot be.
    pub(crate) const fn limit_requests(&self) -> bool {
        self.requests.is_some()
    }

    /// The address that a login counts for; `None` if logins are not limited by address, or it came from none.
    pub(crate) fn address_of(&self, request: &Request) -> Option<ClientAddress> {
        self.logins_by_address.as_ref()?;
        let Peer(peer) = request.extensions().get()?;
        if !self.proxies.trust(*peer) && request.headers().contains_key(X_FORWARDED_FOR) {
            self.told_of_proxy.call_once(|| {
                let peer = peer.map_or_else(|| "unix".to_owned(), |ip| ip.to_string());
                tracing::warn!(
                    %peer,
                    "a login came with X-Forwarded-For from a peer that is not among limits.trusted_proxies; if it is your \
                     proxy, its clients are not told apart (this is said once)"
                );
            });
        }
        self.proxies.sender(*peer, request.headers()).map(ClientAddress::from)
    }

    /// Counts a login that is about to spend its code.
    ///
    /// # Errors
    /// It is one too many for its address or its app. The code has not been spent.
    pub(crate) fn admit_login(&self, address: Option<ClientAddress>, app: &AppId) -> Result<(), ApiError> {
        const BY_ADDRESS: ApiError = ApiError::new(
            ErrorCode::RateLimited,
            "too many logins from this address; the code was not spent, try later",
        )
        .at(Limit::LoginRatePerAddress);
        const BY_APP: ApiError =
            ApiError::new(ErrorCode::RateLimited, "too many logins at this app; the code was not spent, try later")
                .at(Limit::LoginRatePerApp);
        // In this order, so that one address cannot use up the budget that all share.
        if let (Some(rates), Some(address)) = (&self.logins_by_address, address) {
            rates.admit(&(address, app.clone())).map_err(|wait_s| BY_ADDRESS.after_s(wait_s))?;
        }
        if let Some(rates) = &self.logins_by_app {
            rates.admit(app).map_err(|wait_s| BY_APP.after_s(wait_s))?;
        }
        Ok(())
    }

    /// Waits until the answer to a wrong secret from `client` is due. All without an address count as one.
    pub(crate) async fn delay_refusal(&self, client: Option<IpAddr>) {
        self.wrong_secrets.wait(client.map(ClientAddress::from)).await;
    }

    /// A slot among the requests in flight, for a request that a trusted proxy has sent on; `None` needs none.
    fn slot_in_flight(&self, request: &Request) -> Result<Option<Slot>, ApiError> {
        const TOO_MANY: ApiError = ApiError::new(ErrorCode::RateLimited, "too many requests from this address at once")
            .at(Limit::RequestsPerAddress);
        let (Some(slots), Some(Peer(peer))) = (&self.requests, request.extensions().get()) else { return Ok(None) };
        if !self.proxies.trust(*peer) {
            // It has one request at a time on each of its connections, and these are counted.
            return Ok(None);
        }
        let Some(sender) = self.proxies.sender(*peer, request.headers()) else { return Ok(None) };
        slots.take(sender.into()).map(Some).ok_or(TOO_MANY)
    }
}

/// Answers a request if its address has not too many in flight.
pub(crate) async fn in_flight(
    State(limits): State<Arc<Limits>>,
    request: Request<Body>,
    next: Next,
) -> Result<Response, ApiError> {
    let _slot = limits.slot_in_flight(&request)?;
    Ok(next.run(request).await)
}
