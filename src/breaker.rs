//! A stop after repeated failures: who fails again and again is left alone for a while, and then asked once.
//!
//! Takes `now` as an argument and does nothing itself: a [`Pass`] is asked for before a call and told afterwards how it
//! went. A call that nobody reports on, since its caller went away, counts for nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When to stop, and for how long.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "three numbers that callers fill in")]
pub struct BreakerOptions {
    /// So many failures without a success between them are enough.
    pub failures: u32,
    /// The first pause. Each failure that ends one doubles the next.
    pub shortest_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
}

/// Counts failures, and says whether the next call may go out. Clones share one count.
#[derive(Clone, Debug)]
pub struct Breaker {
    options: BreakerOptions,
    phase: Arc<Mutex<Phase>>,
}

/// Permission for one call.
#[derive(Debug)]
#[must_use = "a pass that is dropped says nothing about the call"]
pub struct Pass {
    breaker: Breaker,
    /// The pause that this call ends, and when it ended, if it is the one that tries; `None` while all is well.
    after: Option<(Instant, Duration)>,
    is_told: bool,
}

/// No call goes out now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stopped {
    /// After how long to ask again.
    pub retry_after: Duration,
}

impl Stopped {
    /// The same in whole seconds, rounded up, as `Retry-After` has it.
    #[must_use]
    pub fn retry_after_s(self) -> u64 {
        self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Calls go out; so many have failed in a row.
    Passing { failures: u32 },
    /// None goes out until then. Whoever comes first after that tries.
    Paused { until: Instant, pause: Duration },
    /// One is out after a pause; its end decides.
    Trying,
}

impl Breaker {
    /// One that lets calls pass.
    #[must_use]
    pub fn new(options: BreakerOptions) -> Self {
        Self { options, phase: Arc::new(Mutex::new(Phase::Passing { failures: 0 })) }
    }

    /// Asks to make one call.
    ///
    /// # Errors
    /// [`Stopped`] during a pause, and after it while one call tries.
    pub fn admit(&self, now: Instant) -> Result<Pass, Stopped> {
        let mut phase = self.phase();
        let after = match *phase {
            Phase::Passing { .. } => None,
            Phase::Paused { until, .. } if now < until => {
                return Err(Stopped { retry_after: until.duration_since(now) });
            }
            Phase::Paused { until, pause } => Some((until, pause)),
            Phase::Trying => return Err(Stopped { retry_after: self.options.shortest_pause }),
        };
        if after.is_some() {
            *phase = Phase::Trying;
        }
        Ok(Pass { breaker: self.clone(), after, is_told: false })
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        // A phase is one value, set in one step: a panic elsewhere leaves nothing half-done in it.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// There was an answer. True when that ends a stop.
    #[must_use = "operators want to know when a stop ends"]
    pub fn worked(mut self) -> bool {
        self.is_told = true;
        let mut phase = self.breaker.phase();
        // One that went out before the stop says nothing about what has come since.
        let counts = self.after.is_some() || matches!(*phase, Phase::Passing { .. });
        if counts {
            *phase = Phase::Passing { failures: 0 };
        }
        counts && self.after.is_some()
    }

    /// There was none. Gives the length of the pause when one begins.
    #[must_use = "operators want to know when a stop begins"]
    pub fn failed(mut self, now: Instant) -> Option<Duration> {
        self.is_told = true;
        let BreakerOptions { failures: limit, shortest_pause, longest_pause } = self.breaker.options;
        let mut phase = self.breaker.phase();
        let pause = match (*phase, self.after) {
            (_, Some((_, last))) => last.saturating_mul(2).min(longest_pause),
            (Phase::Passing { failures }, None) if failures.saturating_add(1) < limit => {
                *phase = Phase::Passing { failures: failures.saturating_add(1) };
                return None;
            }
            (Phase::Passing { .. }, None) => shortest_pause,
            (Phase::Paused { .. } | Phase::Trying, None) => return None,
        };
        *phase = Phase::Paused { until: now + pause, pause };
        Some(pause)
    }
}

impl Drop for Pass {
    /// Whoever tried and does not say how it went makes room for the next one to try.
    fn drop(&mut self) {
        if let (false, Some((until, pause))) = (self.is_told, self.after) {
            *self.breaker.phase() = Phase::Paused { until, pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BreakerOptions =
        BreakerOptions { failures: 3, shortest_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(4) };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[track_caller]
    fn fails(breaker: &Breaker, now: Instant) -> Option<Duration> {
        breaker.admit(now).unwrap().failed(now)
    }

    #[track_caller]
    fn stopped(breaker: &Breaker, now: Instant) -> Duration {
        breaker.admit(now).unwrap_err().retry_after
    }

    /// A breaker that has just begun its first pause.
    #[track_caller]
    fn paused(now: Instant) -> Breaker {
        let breaker = Breaker::new(OPTIONS);
        let told = [fails(&breaker, now), fails(&breaker, now), fails(&breaker, now)];
        assert_eq!(told, [None, None, Some(seconds(1))]);
        breaker
    }

    #[test]
    fn only_failures_in_a_row_stop_it() {
        let (breaker, now) = (Breaker::new(OPTIONS), Instant::now());
        for _ in 0..10 {
            assert_eq!([fails(&breaker, now), fails(&breaker, now)], [None, None]);
            assert!(!breaker.admit(now).unwrap().worked(), "there was no stop to end");
        }
        assert_eq!([fails(&breaker, now), fails(&breaker, now), fails(&breaker, now)], [None, None, Some(seconds(1))]);
        assert_eq!(stopped(&breaker, now), seconds(1));
        assert_eq!(stopped(&breaker, now + Duration::from_millis(400)), Duration::from_millis(600));
    }

    #[test]
    fn after_the_pause_one_call_tries_and_the_others_wait_for_it() {
        let now = Instant::now();
        let (breaker, then) = (paused(now), now + seconds(1));
        let trying = breaker.admit(then).unwrap();
        assert_eq!(stopped(&breaker, then), seconds(1));
        assert_eq!(stopped(&breaker, then + seconds(100)), seconds(1));
        assert!(trying.worked(), "it ends the stop");
        let several = [breaker.admit(then).unwrap(), breaker.admit(then).unwrap()];
        drop(several);
        assert_eq!(fails(&breaker, then), None, "and the count begins anew");
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_small_again() {
        let mut now = Instant::now();
        let breaker = paused(now);
        let mut pause = seconds(1);
        for longer in [2, 4, 4, 4].map(seconds) {
            assert_eq!(stopped(&breaker, now + pause - Duration::from_nanos(1)), Duration::from_nanos(1));
            now += pause;
            assert_eq!(fails(&breaker, now), Some(longer));
            pause = longer;
        }
        now += pause;
        assert!(breaker.admit(now).unwrap().worked());
        assert_eq!([fails(&breaker, now), fails(&breaker, now), fails(&breaker, now)], [None, None, Some(seconds(1))]);
    }

    #[test]
    fn a_call_that_nobody_reports_on_counts_for_nothing() {
        let now = Instant::now();
        let breaker = Breaker::new(OPTIONS);
        for _ in 0..10 {
            drop(breaker.admit(now).unwrap());
        }
        let (breaker, then) = (paused(now), now + seconds(1));
        drop(breaker.admit(then).unwrap());
        assert_eq!(fails(&breaker, then), Some(seconds(2)), "the next one may try at once");
    }

    #[test]
    fn calls_from_before_the_stop_change_nothing_about_it() {
        let now = Instant::now();
        let breaker = Breaker::new(OPTIONS);
        let early: Vec<Pass> = (0..6).map(|_| breaker.admit(now).unwrap()).collect();
        let mut early = early.into_iter();
        let mut next = || early.next().unwrap();
        assert_eq!([next().failed(now), next().failed(now)], [None, None]);
        assert_eq!(next().failed(now), Some(seconds(1)));
        assert_eq!(next().failed(now), None, "the pause does not grow");
        assert!(!next().worked(), "nor does it end");
        drop(next());
        assert_eq!(stopped(&breaker, now), seconds(1));
        let trying = breaker.admit(now + seconds(1)).unwrap();
        assert_eq!(trying.failed(now + seconds(1)), Some(seconds(2)));
    }
}
