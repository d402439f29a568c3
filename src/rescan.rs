//! Re-reads the keys directory for a ticket under an unknown kid, whose key may have just arrived; at most once a second for
//! the whole process, so that forged kids cannot cause disk load.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// Between the beginnings of two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a request waits for a look, should the disk be slow.
const PATIENCE: Duration = Duration::from_secs(2);

/// After so many polls without a look that ended, operators learn of it.
const MISSED: u32 = 3;
/// A shorter poll counts as this: a busy machine is late by more than that.
const SHORTEST_POLL: Duration = Duration::from_secs(2);

/// Connects requests, which ask for a look, and the task that looks.
#[derive(Debug)]
pub struct Rescans {
    asked: Notify,
    /// Whether anybody listens; a server whose ring never changes does not make its clients wait.
    attended: AtomicBool,
    looks: watch::Sender<Looks>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    last_began: Option<Instant>,
    running: bool,
    done: u64,
    last_failed: bool,
    /// How often there is to be a look, and since when; `None` where nobody looks.
    every: Option<(Duration, Instant)>,
    /// When the last look ended that did not fail.
    last_finished: Option<Instant>,
}

/// Why it is not certain that a revocation reaches this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LookTrouble {
    /// The last look failed.
    Failed,
    /// Several looks should have ended since the last one that did, be it that they hang, fail, or are not begun.
    Late {
        /// How long ago that was.
        age: Duration,
    },
    /// Several looks should have ended, and none has yet.
    NotYet,
}

impl fmt::Display for LookTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("the last look at the keys failed; the last good ones are in use"),
            Self::Late { age } => write!(
                f,
                "the keys were last looked at {} s ago; revocations and cut-offs since then are not in force",
                age.as_secs()
            ),
            Self::NotYet => f.write_str("the keys have not been looked at since they were loaded"),
        }
    }
}

/// A look that runs. Dropped before [`Look::finish`], it has failed.
#[derive(Debug)]
#[must_use = "dropping it says that the look has failed"]
pub struct Look<'a> {
    rescans: &'a Rescans,
    finished: bool,
}

impl Look<'_> {
    /// The look is over, and its ring in place.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.rescans.looks.send_modify(|looks| {
            looks.running = false;
            looks.done += 1;
            looks.last_failed = !self.finished;
            if self.finished {
                looks.last_finished = Some(Instant::now());
            }
        });
    }
}

/// The looks that end, one after the other.
#[derive(Debug)]
pub(crate) struct LookEnds {
    looks: watch::Receiver<Looks>,
    seen: u64,
}

impl LookEnds {
    /// Waits until another look has ended, well or not; for ever where there will be none.
    pub(crate) async fn next(&mut self) {
        let Ok(looks) = self.looks.wait_for(|looks| looks.done > self.seen).await else {
            return std::future::pending().await;
        };
        self.seen = looks.done;
    }
}

impl Looks {
    fn is_due(self) -> bool {
        self.last_began.is_none_or(|began| began.elapsed() >= PAUSE)
    }
}

impl Default for Rescans {
    fn default() -> Self {
        Self { asked: Notify::new(), attended: AtomicBool::new(false), looks: watch::Sender::default() }
    }
}

impl Rescans {
    /// Waits until a request asks for a look.
    pub async fn asked(&self) {
        self.attended.store(true, Ordering::Relaxed);
        loop {
            self.asked.notified().await;
            // Of those who asked together, all but the first left a permit that the look for the first has answered.
            if self.looks.borrow().is_due() {
                return;
            }
        }
    }

    /// From now on there is to be a look `every` so often; the caller sees to it. Said again, it counts from the first time.
    pub fn attend(&self, every: Duration) {
        self.looks.send_modify(|looks| {
            let since = looks.every.map_or_else(Instant::now, |(_, since)| since);
            looks.every = Some((every, since));
        });
    }

    /// A look begins.
    pub fn begin(&self) -> Look<'_> {
        self.looks.send_modify(|looks| {
            looks.last_began = Some(Instant::now());
            looks.running = true;
        });
        Look { rescans: self, finished: false }
    }

    /// How long ago a look ended that did not fail; `None` before the first.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.looks.borrow().last_finished.map(|finished| finished.elapsed())
    }

    /// Whether looks fail or are missing: the task that looks hangs at a disk, or is gone.
    #[must_use]
    pub fn trouble(&self) -> Option<LookTrouble> {
        let looks = *self.looks.borrow();
        let (every, since) = looks.every?;
        let age = looks.last_finished.unwrap_or(since).elapsed();
        if age > MISSED * every.max(SHORTEST_POLL) {
            return Some(looks.last_finished.map_or(LookTrouble::NotYet, |_| LookTrouble::Late { age }));
        }
        looks.last_failed.then_some(LookTrouble::Failed)
    }

    /// For who waits for the ends of looks from now on.
    pub(crate) fn ends(&self) -> LookEnds {
        let looks = self.looks.subscribe();
        let seen = looks.borrow().done;
        LookEnds { looks, seen }
    }

    /// Has a look taken, or joins the one that runs. `false`: there was none, for it is not time yet.
    pub(crate) async fn ask(&self) -> bool {
        if !self.attended.load(Ordering::Relaxed) {
            return false;
        }
        let mut looks = self.looks.subscribe();
        let seen = *looks.borrow_and_update();
        if !seen.running {
            if !seen.is_due() {
                return false;
            }
            self.asked.notify_one();
        }
        let over = looks.wait_for(|looks| looks.done > seen.done);
        timeout(PATIENCE, over).await.is_ok_and(|result| result.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tokio::time::{advance, sleep};

    use super::*;

    /// Looks whenever it is asked; a look takes 50 ms.
    fn attend(rescans: &Arc<Rescans>) -> Arc<AtomicUsize> {
        let looks = Arc::new(AtomicUsize::new(0));
        let (rescans, counted) = (Arc::clone(rescans), Arc::clone(&looks));
        tokio::spawn(async move {
            loop {
                rescans.asked().await;
                let look = rescans.begin();
                counted.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
                look.finish();
            }
        });
        looks
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_looks_does_not_let_anybody_wait() {
        let began = Instant::now();
        assert!(!Rescans::default().ask().await);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_together_shares_one_look() {
        let rescans = Arc::new(Rescans::default());
        let looks = attend(&rescans);
        tokio::task::yield_now().await;
        let all = futures_util::future::join_all((0..1000).map(|_| rescans.ask())).await;
        assert!(all.into_iter().all(|looked| looked));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_one_look_a_second_at_most() {
        let rescans = Arc::new(Rescans::default());
        let looks = attend(&rescans);
        tokio::task::yield_now().await;
        assert!(rescans.ask().await);
        advance(Duration::from_millis(900)).await;
        let began = Instant::now();
        assert!(!rescans.ask().await, "950 ms after the last one began");
        assert_eq!(began.elapsed(), Duration::ZERO, "refused at once");
        advance(Duration::from_millis(50)).await;
        assert!(rescans.ask().await);
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_runs_is_waited_for() {
        let rescans = Arc::new(Rescans::default());
        let looks = attend(&rescans);
        tokio::task::yield_now().await;
        let (first, second) = tokio::join!(rescans.ask(), async {
            sleep(Duration::from_millis(20)).await;
            rescans.ask().await
        });
        assert!(first && second);
        assert_eq!(looks.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_does_not_end_is_not_waited_for_long() {
        let rescans = Rescans::default();
        rescans.attended.store(true, Ordering::Relaxed);
        let began = Instant::now();
        assert!(!rescans.ask().await);
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_fails_or_is_missing_is_told() {
        let rescans = Rescans::default();
        advance(Duration::from_secs(3600)).await;
        assert_eq!((rescans.trouble(), rescans.age()), (None, None), "nobody is to look");
        rescans.attend(Duration::from_secs(5));
        advance(Duration::from_secs(15)).await;
        assert_eq!(rescans.trouble(), None);
        rescans.begin().finish();
        advance(Duration::from_secs(15)).await;
        // It hangs.
        let look = rescans.begin();
        advance(Duration::from_millis(1)).await;
        let age = Duration::from_millis(15_001);
        assert_eq!(rescans.trouble(), Some(LookTrouble::Late { age }));
        assert!(rescans.trouble().unwrap().to_string().contains("last looked at 15 s ago"));
        look.finish();
        assert_eq!((rescans.trouble(), rescans.age()), (None, Some(Duration::ZERO)));
        drop(rescans.begin());
        assert_eq!(rescans.trouble(), Some(LookTrouble::Failed));
        advance(Duration::from_secs(1)).await;
        rescans.begin().finish();
        assert_eq!(rescans.trouble(), None);
        // Looks that fail again and again do not make up for one that does not.
        for _ in 0..16 {
            advance(Duration::from_secs(1)).await;
            drop(rescans.begin());
        }
        assert_eq!(rescans.trouble(), Some(LookTrouble::Late { age: Duration::from_secs(16) }));
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_look_there_is_none_whoever_says_again_that_there_will_be_one() {
        let rescans = Rescans::default();
        rescans.attend(Duration::from_secs(5));
        assert_eq!((rescans.trouble(), rescans.age()), (None, None), "not yet");
        advance(Duration::from_secs(16)).await;
        assert_eq!(rescans.trouble(), Some(LookTrouble::NotYet));
        rescans.attend(Duration::from_secs(5));
        assert_eq!((rescans.trouble(), rescans.age()), (Some(LookTrouble::NotYet), None), "still not");
        rescans.begin().finish();
        assert_eq!((rescans.trouble(), rescans.age()), (None, Some(Duration::ZERO)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_look_that_fails_is_not_kept() {
        let rescans = Arc::new(Rescans::default());
        rescans.attended.store(true, Ordering::Relaxed);
        let look = rescans.begin();
        let began = Instant::now();
        let waits = rescans.ask();
        let fails = async move { drop(look) };
        assert!(tokio::join!(waits, fails).0);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
