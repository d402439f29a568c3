//! The ring in use: swapped whole, and asked to open what strangers present.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

#[cfg(feature = "server")]
use crate::claims::WebOrigin;
use crate::clock::{Clock, UnixSeconds};
use crate::keyring::{KeyRing, Purpose};
use crate::rescan::Rescans;
use crate::ticket::{OpenError, Policy, Ticket, UnverifiedTicket};

/// Opens tickets with the keys as they are now. `R` holds them, perhaps with what belongs to them.
#[derive(Debug)]
pub(crate) struct Opener<R> {
    current: ArcSwap<R>,
    rescans: Rescans,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

impl<R> Opener<R> {
    pub(crate) fn new(ring: R, policy: Policy, clock: Arc<dyn Clock>) -> Self {
        Self { current: ArcSwap::from_pointee(ring), rescans: Rescans::default(), policy, clock }
    }

    /// Puts another ring in the place of the present one. What runs finishes with the one that it began with.
    pub(crate) fn swap(&self, ring: R) {
        self.current.store(Arc::new(ring));
    }

    pub(crate) fn current(&self) -> Guard<Arc<R>> {
        self.current.load()
    }

    /// Where requests ask for a look at the keys directory.
    pub(crate) const fn rescans(&self) -> &Rescans {
        &self.rescans
    }

    #[cfg(feature = "server")]
    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// Opens `claimed` with the ring of what [`Opener::current`] gave.
    pub(crate) fn open(
        &self,
        ring: &KeyRing,
        claimed: UnverifiedTicket,
        purpose: Purpose,
    ) -> Result<Ticket, OpenError> {
        claimed.open(ring, purpose, self.now(), &self.policy)
    }

    /// The same for who needs the ticket no longer than `then` runs.
    #[cfg(feature = "server")]
    pub(crate) fn open_for<T>(
        &self,
        ring: &KeyRing,
        claimed: &mut UnverifiedTicket,
        purpose: Purpose,
        then: impl FnOnce(&Ticket) -> T,
    ) -> Result<T, OpenError> {
        claimed.open_for(ring, purpose, self.now(), &self.policy, then)
    }

    /// The same for a hand-over to the page at `origin`.
    #[cfg(feature = "server")]
    pub(crate) fn open_handover(
        &self,
        ring: &KeyRing,
        claimed: UnverifiedTicket,
        origin: &WebOrigin,
    ) -> Result<Ticket, OpenError> {
        claimed.open_handover(ring, origin, self.now(), &self.policy)
    }

    /// What `attempt` gives. Where that `is_unknown_key`, once more after a look at the keys directory, if one is due: the
    /// key may have just arrived.
    pub(crate) async fn with_look<T>(&self, attempt: impl Fn() -> T, is_unknown_key: impl FnOnce(&T) -> bool) -> T {
        let first = attempt();
        if is_unknown_key(&first) && self.rescans.ask().await { attempt() } else { first }
    }
}
