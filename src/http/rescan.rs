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

impl Default for Rescans {
    fn default() -> Self {
        Self { asked: Notify::new(), attended: AtomicBool::new(false), looks: watch::Sender::default() }
    }
}

impl Rescans {
    /// Waits until a request asks for a look.
    pub async fn asked(&self) {
        self.attended.store(true, Ordering::Relaxed);
        self.asked.notified().await;
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
    pub(super) async fn ask(&self) -> bool {
        if !self.attended.load(Ordering::Relaxed) {
            return false;
        }
        let mut looks = self.looks.subscribe();
        let seen = *looks.borrow_and_update();
        if !seen.running {
            if seen.last_began.is_some_and(|began| began.elapsed() < PAUSE) {
                return false;
            }
            // Requests that come here together leave one permit behind, so one look answers them all.
            self.asked.notify_one();
        }
        let over = looks.wait_for(|looks| looks.done > seen.done);
        timeout(PATIENCE, over).await.is_ok_and(|result| result.is_ok())
    }
}
