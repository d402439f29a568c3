//! A rate limit for each key, within this process.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// A limit for each key.
pub(crate) struct Rates<K: Clone + Eq + Hash>(RateLimiter<K, RecentlyUsed<K>, RuntimeClock, NoOpMiddleware<Duration>>);

impl<K: Clone + Eq + Hash> Rates<K> {
    /// Keys that are remembered; addresses take less than 10 MB.
    const MOST_KEYS: usize = 100_000;

    pub(crate) fn new(quota: impl Into<Quota>) -> Self {
        let (quota, clock) = (quota.into(), RuntimeClock(Instant::now()));
        let recent = RecentlyUsed {
            clock: clock.clone(),
            forgiven_after: quota.burst_size_replenished_in(),
            keys: Mutex::new(RecentKeys { recent: HashMap::new(), before: HashMap::new(), since: Duration::ZERO }),
        };
        Self(RateLimiter::new(quota, recent, clock))
    }

    /// Counts one for `key`.
    ///
    /// # Errors
    /// It was one too many, and does not count. The value is after how many seconds, at least one, to try again.
    pub(crate) fn admit(&self, key: &K) -> Result<(), u64> {
        self.0.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.0.clock().now());
            (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
        })
    }
}

impl<K: Clone + Eq + Hash> fmt::Debug for Rates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

/// The runtime's clock, as the time since then.
#[derive(Clone, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The keys that were let through lately, with what is left of their bursts.
///
/// A key idle for `forgiven_after` has regained its full burst and is dropped. When there are too many keys, those let through
/// longest ago are dropped; an attacker with so many addresses gains nothing by that, since no limit by address holds them.
struct RecentlyUsed<K> {
    clock: RuntimeClock,
    forgiven_after: Duration,
    keys: Mutex<RecentKeys<K>>,
}

/// Two generations; the older one is forgotten as a whole.
struct RecentKeys<K> {
    recent: HashMap<K, Nanos>,
    before: HashMap<K, Nanos>,
    /// When `recent` began.
    since: Duration,
}

impl<K: Clone + Eq + Hash> StateStore for RecentlyUsed<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let now = self.clock.now();
        // Each step leaves the two maps whole, so a panic elsewhere leaves nothing half-done in them.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(keys.since) >= self.forgiven_after || keys.recent.len() >= Rates::<K>::MOST_KEYS / 2 {
            keys.before = mem::take(&mut keys.recent);
            keys.since = now;
        }
        let known = keys.recent.get(key).or_else(|| keys.before.get(key)).copied();
        let (outcome, state) = measure(known)?;
        keys.recent.insert(key.clone(), state);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use governor::state::keyed::ShrinkableKeyedStateStore;
    use tokio::time::advance;

    use std::num::NonZeroU32;

    use super::*;
    use crate::http::settings::Rate;

    /// Only to be looked into: what is to be forgotten, the store forgets by itself.
    impl<K: Clone + Eq + Hash> ShrinkableKeyedStateStore<K> for RecentlyUsed<K> {
        fn retain_recent(&self, _: Nanos) {}

        fn len(&self) -> usize {
            let keys = self.keys.lock().unwrap();
            keys.recent.len() + keys.before.len()
        }

        fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    const fn rate(count: u32, per_s: u64) -> Rate {
        Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(per_s) }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_then_evenly() {
        let rates = Rates::new(rate(3, 60));
        for _ in 0..3 {
            assert_eq!(rates.admit(&"a"), Ok(()));
        }
        assert_eq!(rates.admit(&"a"), Err(20));
        assert_eq!(rates.admit(&"b"), Ok(()), "a key has its own count");
        advance(Duration::from_millis(18_500)).await;
        assert_eq!(rates.admit(&"a"), Err(2), "rounded up, so that who waits as long is let through");
        advance(Duration::from_secs(2)).await;
        assert_eq!(rates.admit(&"a"), Ok(()));
        assert_eq!(rates.admit(&"a"), Err(20));
        advance(Duration::from_secs(3600)).await;
        for _ in 0..3 {
            assert_eq!(rates.admit(&"a"), Ok(()), "no more than so many are saved up");
        }
        assert_eq!(rates.admit(&"a"), Err(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_nothing() {
        let rates = Rates::new(rate(1, 10));
        assert_eq!(rates.admit(&()), Ok(()));
        for _ in 0..100 {
            assert_eq!(rates.admit(&()), Err(10));
        }
        advance(Duration::from_secs(10)).await;
        assert_eq!(rates.admit(&()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_finer_than_its_clock_is_a_rate() {
        assert_eq!(Quota::from(rate(u32::MAX, 1)).replenish_interval(), Duration::from_nanos(1));
        let rates = Rates::new(rate(1000, 1));
        assert_eq!((0..1001).filter(|_| rates.admit(&()).is_ok()).count(), 1000);
        assert_eq!(rates.admit(&()), Err(1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_away_is_forgotten_and_nobody_else() {
        let rates = Rates::new(rate(2, 60));
        for name in 0..1000 {
            assert_eq!(rates.admit(&name), Ok(()));
        }
        advance(Duration::from_secs(59)).await;
        assert_eq!(rates.admit(&0), Ok(()));
        assert_eq!(rates.admit(&0), Ok(()));
        // Across the turn of a generation.
        advance(Duration::from_secs(1)).await;
        assert_eq!(rates.admit(&0), Err(29));
        assert_eq!(rates.0.len(), 1000);
        advance(Duration::from_secs(60)).await;
        assert_eq!(rates.admit(&1), Ok(()));
        assert_eq!(rates.0.len(), 1, "0 has not been let through for the last minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_addresses_does_not_fill_the_memory() {
        let rates = Rates::new(rate(1, 3600));
        let most = Rates::<u128>::MOST_KEYS;
        let mut highest = 0;
        for network in 0..(3 * most as u128) {
            assert_eq!(rates.admit(&network), Ok(()));
            if network % 1000 == 0 {
                highest = highest.max(rates.0.len());
            }
        }
        assert!((most / 2..=most).contains(&highest), "{highest}");
        assert_eq!(rates.admit(&(3 * most as u128 - 1)), Err(3600), "the latest are remembered");
        assert_eq!(rates.admit(&0), Ok(()), "the earliest are forgotten");
    }
}
