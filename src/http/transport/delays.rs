//! How long the answer to a wrong secret waits: one after the other for each address.
//!
//! Whoever tries secrets out from one address gets ten answers a second, on however many connections. A right secret waits
//! for nothing, whatever else its address has sent.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Between two answers.
const STEP: Duration = Duration::from_millis(100);
/// No answer waits longer, so that what waits stays little.
const LONGEST: Duration = Duration::from_secs(5);
/// So many addresses are told apart; beyond that all begin anew.
const MOST_ADDRESSES: usize = 10_000;

/// When the next answer to a wrong secret is due, by address.
#[derive(Debug)]
pub(crate) struct Delays<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for Delays<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + std::hash::Hash> Delays<K> {
    /// Waits until the answer to `address`, which has just sent a wrong secret, is due.
    pub(crate) async fn wait(&self, address: K) {
        sleep_until(self.due(address, Instant::now())).await;
    }

    fn due(&self, address: K, now: Instant) -> Instant {
        // Entries are replaced whole: a panic elsewhere leaves nothing half-done in the map.
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if next.len() >= MOST_ADDRESSES {
            next.retain(|_, due| *due > now);
        }
        if next.len() >= MOST_ADDRESSES {
            next.clear();
        }
        let due = next.get(&address).copied().unwrap_or(now).max(now) + STEP;
        let due = due.min(now + LONGEST);
        next.insert(address, due);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_one_address_come_one_after_the_other() {
        let (delays, now) = (Delays::default(), Instant::now());
        let wait = |address: u32, now: Instant| (delays.due(address, now) - now).as_millis();
        assert_eq!([wait(1, now), wait(1, now), wait(1, now)], [100, 200, 300]);
        assert_eq!(wait(2, now), 100, "another address has its own");
        for _ in 0..1000 {
            wait(1, now);
        }
        assert_eq!(wait(1, now), LONGEST.as_millis());
        assert_eq!(wait(1, now + LONGEST), 100);
    }

    #[test]
    fn a_flood_of_addresses_takes_little_room() {
        let (delays, now) = (Delays::default(), Instant::now());
        for address in 0..3 * MOST_ADDRESSES {
            delays.due(address, now);
            assert!(delays.0.lock().unwrap().len() <= MOST_ADDRESSES);
        }
        delays.due(0, now + LONGEST);
        for address in 0..MOST_ADDRESSES {
            delays.due(address, now + LONGEST);
        }
        assert!(delays.0.lock().unwrap().len() <= MOST_ADDRESSES);
    }
}
