//! Who may call the platform now.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::refusal::BUSY_RETRY_AFTER_S;
use crate::platform::{PlatformError, Refusal};

/// A cap on the calls that run at once, of which all others than logins get half: a crowd that asks for phone numbers, or
/// whose data does not decrypt, leaves room to log in.
pub(super) struct Turns {
    all: Semaphore,
    /// Taken before one of `all`, so that no more than these ever queue there.
    others: Semaphore,
    patience: Duration,
}

/// The right to call. Ends when it is dropped.
#[expect(dead_code, reason = "held, never read")]
pub(super) struct Turn<'a>(SemaphorePermit<'a>, Option<SemaphorePermit<'a>>);

impl Turns {
    /// `max_concurrent` is at least 1. With 1 there is nothing to divide: whoever comes first is first.
    pub(super) fn new(max_concurrent: usize, patience: Duration) -> Self {
        let max_concurrent = max_concurrent.min(Semaphore::MAX_PERMITS);
        Self { all: Semaphore::new(max_concurrent), others: Semaphore::new(max_concurrent.div_ceil(2)), patience }
    }

    /// A turn to exchange a login code.
    ///
    /// Whoever does not get one has sent nothing, so the code is still good: an error without errcode says that.
    pub(super) async fn for_a_login(&self) -> Result<Turn<'_>, PlatformError> {
        self.patiently(async { Some(Turn(self.all.acquire().await.ok()?, None)) }).await
    }

    /// A turn for any other call, the fetch of an access token for it included.
    pub(super) async fn for_another_call(&self) -> Result<Turn<'_>, PlatformError> {
        self.patiently(async {
            let other = self.others.acquire().await.ok()?;
            Some(Turn(self.all.acquire().await.ok()?, Some(other)))
        })
        .await
    }

    async fn patiently<'a>(&self, turn: impl Future<Output = Option<Turn<'a>>>) -> Result<Turn<'a>, PlatformError> {
        let busy = PlatformError::Busy { refusal: Refusal::default(), retry_after_s: BUSY_RETRY_AFTER_S };
        timeout(self.patience, turn).await.ok().flatten().ok_or(busy)
    }
}
