//! How many calls may run at once, and how many of them may be of one sort.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A limit on the calls that run at once. Logins and everything else have shares of it, so that a crowd of one sort leaves
/// room for the other.
#[derive(Clone, Debug)]
pub(crate) struct ConcurrencyLimit {
    all: Arc<Semaphore>,
    /// Taken before one of `all`, so that no more than these ever queue there.
    logins: Arc<Semaphore>,
    others: Arc<Semaphore>,
    patience: Duration,
}

/// What a call is made for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Share {
    Logins,
    Others,
}

/// How much of a limit each share may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shares {
    pub(crate) logins: usize,
    pub(crate) others: usize,
}

/// The right to call. Ends when it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never read")]
pub(crate) struct Permit([OwnedSemaphorePermit; 2]);

/// There was no permit in time, so nothing was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Busy;

impl ConcurrencyLimit {
    /// `count` is at least 1, and so is each share. A permit is waited for no longer than `patience`.
    pub(crate) fn new(count: usize, shares: Shares, patience: Duration) -> Self {
        let semaphore = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { all: semaphore(count), logins: semaphore(shares.logins), others: semaphore(shares.others), patience }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) async fn acquire(&self, share: Share) -> Result<Permit, Busy> {
        let share = match share {
            Share::Logins => &self.logins,
            Share::Others => &self.others,
        };
        let permits = async {
            let of_share = Arc::clone(share).acquire_owned().await.ok()?;
            Some(Permit([of_share, Arc::clone(&self.all).acquire_owned().await.ok()?]))
        };
        timeout(self.patience, permits).await.ok().flatten().ok_or(Busy)
    }
}
