//! Circuit breaker: opens after a number of consecutive failures, and lets one probe through when its pause is over.
//!
//! Takes `now` as an argument and does nothing by itself: a [`BreakerPermit`] is taken before a call and told how it went. A
//! call that nobody reports on, since its caller went away, counts for nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When to open, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakerOptions {
    /// Consecutive failures that open it.
    pub(crate) failures: u32,
    /// The first pause. Each probe that fails doubles the next.
    pub(crate) shortest_pause: Duration,
    /// No pause is longer.
    pub(crate) longest_pause: Duration,
}

/// Counts failures, and says whether the next call may go out. Clones share one count.
#[derive(Clone, Debug)]
pub(crate) struct CircuitBreaker {
    options: BreakerOptions,
    phase: Arc<Mutex<Phase>>,
}

/// Permission for one call.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing about the call"]
pub(crate) struct BreakerPermit {
    breaker: CircuitBreaker,
    /// For a probe the pause that it ends, and when that ended.
    probe_after: Option<(Instant, Duration)>,
    is_reported: bool,
}

/// The circuit is open: no call goes out now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CircuitOpen {
    /// After how long to ask again.
    pub(crate) retry_after: Duration,
}

impl CircuitOpen {
    /// The same in whole seconds, rounded up, as `Retry-After` has it.
    pub(crate) fn retry_after_s(self) -> u64 {
        self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Calls go out; so many have failed in a row.
    Closed { failures: u32 },
    /// None goes out until then. The first one after that is the probe.
    Open { until: Instant, pause: Duration },
    /// The probe is out; its end decides.
    HalfOpen,
}

impl CircuitBreaker {
    /// A closed one.
    pub(crate) fn new(options: BreakerOptions) -> Self {
        Self { options, phase: Arc::new(Mutex::new(Phase::Closed { failures: 0 })) }
    }

    /// Permission for one call.
    ///
    /// # Errors
    /// [`CircuitOpen`] during a pause, and after it while the probe is out.
    pub(crate) fn admit(&self, now: Instant) -> Result<BreakerPermit, CircuitOpen> {
        let mut phase = self.phase();
        let probe_after = match *phase {
            Phase::Closed { .. } => None,
            Phase::Open { until, .. } if now < until => {
                return Err(CircuitOpen { retry_after: until.duration_since(now) });
            }
            Phase::Open { until, pause } => Some((until, pause)),
            Phase::HalfOpen => return Err(CircuitOpen { retry_after: self.options.shortest_pause }),
        };
        if probe_after.is_some() {
            *phase = Phase::HalfOpen;
        }
        Ok(BreakerPermit { breaker: self.clone(), probe_after, is_reported: false })
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        // A phase is one value, set in one step: a panic elsewhere leaves nothing half-done in it.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BreakerPermit {
    /// There was an answer. True when that closes the circuit.
    #[must_use = "operators want to know when the circuit closes"]
    pub(crate) fn succeeded(mut self) -> bool {
        self.is_reported = true;
        let mut phase = self.breaker.phase();
        // A call from before the circuit opened says nothing about what has come since.
        let counts = self.probe_after.is_some() || matches!(*phase, Phase::Closed { .. });
        if counts {
            *phase = Phase::Closed { failures: 0 };
        }
        counts && self.probe_after.is_some()
    }

    /// There was none. Gives the length of the pause when one begins.
    #[must_use = "operators want to know when the circuit opens"]
    pub(crate) fn failed(mut self, now: Instant) -> Option<Duration> {
        self.is_reported = true;
        let BreakerOptions { failures: limit, shortest_pause, longest_pause } = self.breaker.options;
        let mut phase = self.breaker.phase();
        let pause = match (*phase, self.probe_after) {
            (_, Some((_, last))) => last.saturating_mul(2).min(longest_pause),
            (Phase::Closed { failures }, None) if failures.saturating_add(1) < limit => {
                *phase = Phase::Closed { failures: failures.saturating_add(1) };
                return None;
            }
            (Phase::Closed { .. }, None) => shortest_pause,
            (Phase::Open { .. } | Phase::HalfOpen, None) => return None,
        };
        *phase = Phase::Open { until: now + pause, pause };
        Some(pause)
    }
}

impl Drop for BreakerPermit {
    /// A probe that is not reported on makes room for the next one.
    fn drop(&mut self) {
        if let (false, Some((until, pause))) = (self.is_reported, self.probe_after) {
            *self.breaker.phase() = Phase::Open { until, pause };
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
    fn fails(breaker: &CircuitBreaker, now: Instant) -> Option<Duration> {
        breaker.admit(now).unwrap().failed(now)
    }

    #[track_caller]
    fn open_for(breaker: &CircuitBreaker, now: Instant) -> Duration {
        breaker.admit(now).unwrap_err().retry_after
    }

    /// A breaker that has just opened.
    #[track_caller]
    fn opened(now: Instant) -> CircuitBreaker {
        let breaker = CircuitBreaker::new(OPTIONS);
        let told = [fails(&breaker, now), fails(&breaker, now), fails(&breaker, now)];
        assert_eq!(told, [None, None, Some(seconds(1))]);
        breaker
    }

    #[test]
    fn only_consecutive_failures_open_it() {
        let (breaker, now) = (CircuitBreaker::new(OPTIONS), Instant::now());
        for _ in 0..10 {
            assert_eq!([fails(&breaker, now), fails(&breaker, now)], [None, None]);
            assert!(!breaker.admit(now).unwrap().succeeded(), "it was not open");
        }
        assert_eq!([fails(&breaker, now), fails(&breaker, now), fails(&breaker, now)], [None, None, Some(seconds(1))]);
        assert_eq!(open_for(&breaker, now), seconds(1));
        assert_eq!(open_for(&breaker, now + Duration::from_millis(400)), Duration::from_millis(600));
    }

    #[test]
    fn after_the_pause_one_probe_goes_out_and_the_others_wait_for_it() {
        let now = Instant::now();
        let (breaker, then) = (opened(now), now + seconds(1));
        let probe = breaker.admit(then).unwrap();
        assert_eq!(open_for(&breaker, then), seconds(1));
        assert_eq!(open_for(&breaker, then + seconds(100)), seconds(1));
        assert!(probe.succeeded(), "it closes the circuit");
        let several = [breaker.admit(then).unwrap(), breaker.admit(then).unwrap()];
        drop(several);
        assert_eq!(fails(&breaker, then), None, "and the count begins anew");
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_small_again() {
        let mut now = Instant::now();
        let breaker = opened(now);
        let mut pause = seconds(1);
        for longer in [2, 4, 4, 4].map(seconds) {
            assert_eq!(open_for(&breaker, now + pause - Duration::from_nanos(1)), Duration::from_nanos(1));
            now += pause;
            assert_eq!(fails(&breaker, now), Some(longer));
            pause = longer;
        }
        now += pause;
        assert!(breaker.admit(now).unwrap().succeeded());
        assert_eq!([fails(&breaker, now), fails(&breaker, now), fails(&breaker, now)], [None, None, Some(seconds(1))]);
    }

    #[test]
    fn a_call_that_nobody_reports_on_counts_for_nothing() {
        let now = Instant::now();
        let breaker = CircuitBreaker::new(OPTIONS);
        for _ in 0..10 {
            drop(breaker.admit(now).unwrap());
        }
        let (breaker, then) = (opened(now), now + seconds(1));
        drop(breaker.admit(then).unwrap());
        assert_eq!(fails(&breaker, then), Some(seconds(2)), "the next probe goes out at once");
    }

    #[test]
    fn calls_from_before_it_opened_change_nothing() {
        let now = Instant::now();
        let breaker = CircuitBreaker::new(OPTIONS);
        let early: Vec<BreakerPermit> = (0..6).map(|_| breaker.admit(now).unwrap()).collect();
        let mut early = early.into_iter();
        let mut next = || early.next().unwrap();
        assert_eq!([next().failed(now), next().failed(now)], [None, None]);
        assert_eq!(next().failed(now), Some(seconds(1)));
        assert_eq!(next().failed(now), None, "the pause does not grow");
        assert!(!next().succeeded(), "nor does it end");
        drop(next());
        assert_eq!(open_for(&breaker, now), seconds(1));
        let probe = breaker.admit(now + seconds(1)).unwrap();
        assert_eq!(probe.failed(now + seconds(1)), Some(seconds(2)));
    }
}
