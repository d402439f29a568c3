//! Log lines that each request could cause: one for a flood of equal ones, then one a minute with how many there were.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same thing, while it goes on.
const PAUSE: Duration = Duration::from_secs(60);

/// Something that is logged, and when it was logged last.
#[derive(Debug)]
pub(super) struct Notice {
    told: Mutex<Told>,
    /// Whether it goes on, for who asks with each request.
    goes_on: AtomicBool,
}

#[derive(Debug)]
struct Told {
    at: Option<Instant>,
    /// How often it happened since.
    untold: u64,
}

impl Notice {
    pub(super) const fn new() -> Self {
        Self { told: Mutex::new(Told { at: None, untold: 0 }), goes_on: AtomicBool::new(false) }
    }

    /// Counts one more. If a line is due, says how many it is about: those since the last one, and this.
    pub(super) fn due(&self) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.goes_on.store(true, Ordering::Relaxed);
        told.untold += 1;
        let is_due = told.at.is_none_or(|at| at.elapsed() >= PAUSE);
        is_due.then(|| {
            told.at = Some(Instant::now());
            std::mem::take(&mut told.untold)
        })
    }

    /// Begins anew. If it was logged, says how often it happened since without a line.
    pub(super) fn over(&self) -> Option<u64> {
        if !self.goes_on.load(Ordering::Relaxed) {
            return None;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.goes_on.store(false, Ordering::Relaxed);
        told.at.take()?;
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_one_line_a_minute_with_a_count() {
        let notice = Notice::new();
        assert_eq!(notice.over(), None, "nothing was said");
        assert_eq!(notice.due(), Some(1));
        assert_eq!([notice.due(), notice.due()], [None, None]);
        advance(PAUSE).await;
        assert_eq!([notice.due(), notice.due()], [Some(3), None]);
        assert_eq!([notice.over(), notice.over()], [Some(1), None]);
        assert_eq!(notice.due(), Some(1), "anew");
    }
}
