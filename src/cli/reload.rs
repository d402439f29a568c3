//! Keeps a running server's ring as the keys directory is: by poll, by SIGHUP, and when a ticket names an unknown kid.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use auth_ticket::http::AppState;
use auth_ticket::keystore::{Reload, Reloader};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// What looks at the directory while the server runs.
pub(crate) struct Watch {
    state: Arc<AppState>,
    reloader: Reloader,
    every: Duration,
    hangup: Signal,
}

impl Watch {
    /// Begins to listen for SIGHUP, which would otherwise end the process.
    pub(crate) fn new(state: Arc<AppState>, reloader: Reloader, every: Duration) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        Ok(Self { state, reloader, every, hangup })
    }

    /// Looks, for as long as the server runs.
    pub(crate) async fn run(mut self) {
        let mut poll = interval(self.every);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = poll.tick() => {}
                _ = self.hangup.recv() => tracing::info!("SIGHUP: looking at the keys"),
                () = self.state.rescans().asked() => {}
            }
            self.state.rescans().begin();
            let mut reloader = self.reloader;
            // Reading and deriving would hold up the requests of this thread.
            let looked = tokio::task::spawn_blocking(move || (reloader.look(), reloader)).await;
            let Ok((reload, reloader)) = looked else {
                tracing::error!("looking at the keys failed for good; restart the server to load them again");
                return;
            };
            self.reloader = reloader;
            self.put(reload);
            self.state.rescans().end();
        }
    }

    fn put(&self, reload: Reload) {
        match reload {
            Reload::Unchanged => {}
            Reload::Taken { ring, passed_over } => {
                for file in &passed_over {
                    tracing::warn!("{file}");
                }
                tracing::info!(fingerprint = %ring.fingerprint(), keys = ring.keys().count(), "took a new key ring");
                self.state.ring_reloaded(ring, passed_over.len());
            }
            Reload::Kept { why, ring } => {
                tracing::error!("the keys directory is not right, the old keys stay: {why}");
                self.state.ring_kept(ring);
            }
        }
    }
}
