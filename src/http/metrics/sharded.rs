//! A counter that many threads add to without contention.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;

use prometheus_client::metrics::counter::{Atomic, Counter};

/// A counter for what happens at every check.
pub(crate) type ShardedCounter = Counter<u64, Sharded>;

/// One counter in as many shards as there are processors. A thread always adds to the same shard; reading adds them up.
#[derive(Debug)]
pub(crate) struct Sharded(Box<[Part]>);

/// Two cache lines, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

impl Default for Sharded {
    fn default() -> Self {
        static PARTS: OnceLock<usize> = OnceLock::new();
        let parts = *PARTS.get_or_init(|| available_parallelism().map_or(1, usize::from));
        Self((0..parts).map(|_| Part::default()).collect())
    }
}

impl Sharded {
    /// This thread's part.
    fn part(&self) -> &AtomicU64 {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed));
        let number = THREAD.with(|number| *number) % self.0.len();
        &self.0.get(number).expect("less than the length").0
    }
}

impl Atomic<u64> for Sharded {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    fn inc_by(&self, more: u64) -> u64 {
        self.part().fetch_add(more, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|part| part.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_all_threads_count_is_in_the_sum() {
        let counter = ShardedCounter::default();
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.inc();
                    }
                });
            }
        });
        assert_eq!(counter.get(), 10_000);
    }
}
