//! A ticket under an unknown kid asks for one look at the keys directory: perhaps the key has just arrived.
//!
//! At most one look a second for the whole process, whoever asks: made-up kids cost others nothing. Who asks within a
//! second of the last look is refused at once; the directory was looked at too short a time ago to look again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// Between the beginnings of two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a request waits for a look, should the disk be slow.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where requests ask for a look, and where whoever looks tells of it.
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

    /// A look begins.
    pub fn begin(&self) {
        self.looks.send_modify(|looks| {
            looks.last_began = Some(Instant::now());
            looks.running = true;
        });
    }

    /// The look is over, and its ring in place.
    pub fn end(&self) {
        self.looks.send_modify(|looks| {
            looks.running = false;
            looks.done += 1;
        });
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
                rescans.begin();
                counted.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
                rescans.end();
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
}
