//! Keeps a running server's ring as the keys directory is: by poll, by SIGHUP, and when a ticket names an unknown kid.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use auth_ticket::clock::SystemClock;
use auth_ticket::http::AppState;
use auth_ticket::keystore::{self, Reload, Reloader};

use super::signals::Hangup;

/// What looks at the directory while the server runs.
pub(crate) struct ReloadTask {
    state: Arc<AppState>,
    reloader: Reloader,
    every: Duration,
    hangup: Hangup,
}

impl ReloadTask {
    /// Begins to listen for SIGHUP, which would otherwise end the process.
    pub(crate) fn new(state: Arc<AppState>, reloader: Reloader, every: Duration) -> anyhow::Result<Self> {
        Ok(Self { state, reloader, every, hangup: Hangup::new()? })
    }

    /// Looks, for as long as the server runs.
    pub(crate) async fn run(self) {
        let Self { state, reloader, every, mut hangup } = self;
        let wake = |context: &mut Context<'_>| {
            let signalled = hangup.poll(context);
            if signalled.is_ready() {
                tracing::info!("SIGHUP: looking at the keys");
            }
            signalled
        };
        let put = |reload| match reload {
            Reload::Unchanged => {}
            Reload::Taken { ring, passed_over } => state.ring_reloaded(ring, passed_over.len()),
            Reload::Kept { ring, why } => state.ring_kept(ring, why.explained()),
        };
        keystore::follow(reloader, Arc::new(SystemClock), state.rescans(), every, wake, put).await;
    }
}
