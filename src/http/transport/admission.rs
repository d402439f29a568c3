//! Admission of connections, and their count.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;

use crate::http::labels::Limit;
use crate::http::metrics::limits::LimitCounter;
use crate::http::transport::peer::{ClientAddress, TrustedProxies};

/// Admits connections. Those of trusted proxies are not counted by address, since they carry everybody's requests.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) proxies: Arc<TrustedProxies>,
    pub(crate) connections: Slots,
}

impl Admission {
    /// Lets a connection from `peer` in, with what it holds for as long as it lives.
    ///
    /// # Errors
    /// Its address has reached its limit.
    pub(crate) fn enter(&self, peer: Option<IpAddr>) -> Result<Option<Slot>, TooMany> {
        match peer {
            Some(ip) if !self.proxies.trust(peer) => self.connections.take(ip.into()).map(Some).ok_or(TooMany),
            _ => Ok(None),
        }
    }
}

/// An address has reached its limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooMany;

/// How many slots each address holds. Clones share one count.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    most: usize,
    /// Of those that hold one or more, so there are never more entries than slots.
    held: Arc<Mutex<HashMap<ClientAddress, usize>>>,
}

/// One slot, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    address: ClientAddress,
    slots: Slots,
}

impl Slots {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    pub(crate) fn take(&self, address: ClientAddress) -> Option<Slot> {
        let mut held = self.held();
        let count = held.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Slot { address, slots: self.clone() })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ClientAddress, usize>> {
        // The map is whole between any two statements, so a panic elsewhere leaves nothing half-done in it.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.slots.held();
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// Counts the connections of one listener, and limits them by address where that is configured.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCount {
    open: Gauge,
    limits_reached: LimitCounter,
    admission: Option<Admission>,
}

impl ConnectionCount {
    /// Counts in `open`, and every connection that a limit keeps out or ends in `limits_reached`.
    pub(crate) fn new(open: Gauge, limits_reached: LimitCounter) -> Self {
        Self { open, limits_reached, admission: None }
    }

    /// The same, with connections let in by `admission` alone.
    pub(crate) fn limited(self, admission: Option<Admission>) -> Self {
        Self { admission, ..self }
    }

    /// Counts one from `peer` until the guard is dropped.
    ///
    /// # Errors
    /// It is one too many for its address, and is counted as that.
    pub(crate) fn enter(&self, peer: Option<IpAddr>) -> Result<ConnectionGuard, TooMany> {
        let entered = self.admission.as_ref().map_or(Ok(None), |admission| admission.enter(peer));
        let slot = entered.inspect_err(|TooMany| self.limit_reached(Limit::ConnectionsPerAddress))?;
        self.open.inc();
        Ok(ConnectionGuard { open: self.open.clone(), _slot: slot })
    }

    /// Counts that `limit` has kept a connection out, or ended it.
    pub(crate) fn limit_reached(&self, limit: Limit) {
        self.limits_reached.reached(limit);
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    open: Gauge,
    _slot: Option<Slot>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_address_has_so_many_slots_and_gets_them_back() {
        let slots = Slots::new(2);
        let held: Vec<_> = (0..2).map(|_| slots.take(address("192.0.2.1")).unwrap()).collect();
        assert!(slots.take(address("192.0.2.1")).is_none());
        assert!(slots.take(address("192.0.2.2")).is_some());
        drop(held);
        assert!(slots.held().is_empty(), "nothing is kept of who holds nothing");
        assert!(slots.take(address("192.0.2.1")).is_some());
    }
}
