//! Reached limits, by name.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::http::labels::Limit;

/// Counts connections closed or kept waiting and requests refused. Clones share one count.
#[derive(Clone, Debug)]
pub(crate) struct LimitCounter(Family<OfLimit, Counter>);

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct OfLimit {
    limit: &'static str,
}

impl Default for LimitCounter {
    /// Starts all of them at 0, so that the first event shows as a change.
    fn default() -> Self {
        let family = Family::default();
        for limit in Limit::ALL {
            drop(family.get_or_create(&OfLimit { limit: limit.as_str() }));
        }
        Self(family)
    }
}

impl LimitCounter {
    pub(crate) fn reached(&self, limit: Limit) {
        self.0.get_or_create(&OfLimit { limit: limit.as_str() }).inc();
    }

    pub(crate) fn family(&self) -> Family<OfLimit, Counter> {
        self.0.clone()
    }
}
