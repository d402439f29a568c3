//! What keeps a verifier's keys as the directory, or the verifier file, is.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::VerifierInner;
use super::keys::{KeySource, Keys};
use crate::keystore::{self, Reload, VerifierReload};

/// What keeps a [`Verifier`](super::Verifier)'s keys as the directory or verifier file is, while [`Watch::run`] runs.
///
/// The verifier refuses everything once this is dropped, be it with an aborted task or a runtime that has ended; and while no
/// look has ended well for three polls, be it that nobody runs this or that the disk hangs: it would not learn of a
/// revocation. [`Verifier::is_live`](super::Verifier::is_live) says so to a readiness probe.
#[must_use = "without it the verifier refuses everything; spawn `watch.run(..)`"]
pub struct Watch {
    pub(super) shared: Arc<VerifierInner>,
    pub(super) source: Option<KeySource>,
}

impl Watch {
    /// Looks at the directory or file at once, then `every` so often (the servers do it every 5 s), and when a ticket names an unknown
    /// kid.
    ///
    /// What is not right as a whole is not taken: the old keys stay, with what it adds in revocations and cut-offs, and the log
    /// says so. A look that has not ended after 10 s counts as failed. Runs in a Tokio runtime, for as
    /// long as the service.
    pub async fn run(mut self, every: Duration) {
        let Some(source) = self.source.take() else { return };
        let opener = &self.shared.opener;
        let (clock, rescans) = (Arc::clone(opener.clock()), opener.rescans());
        let never = |_: &mut Context<'_>| Poll::Pending;
        match source {
            KeySource::Directory(reloader) => {
                let put = |found| match found {
                    Reload::Unchanged => {}
                    Reload::Taken { ring, .. } | Reload::Kept { ring, .. } => opener.swap(Keys::Ring(ring)),
                };
                keystore::follow(reloader, clock, rescans, every, never, put).await;
            }
            KeySource::File(file) => {
                let put = |found| match found {
                    VerifierReload::Unchanged => {}
                    VerifierReload::Taken { verifier, .. } | VerifierReload::Kept { verifier, .. } => {
                        opener.swap(Keys::File(verifier));
                    }
                };
                keystore::follow(file, clock, rescans, every, never, put).await;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.has_ended();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
