//! A ring that is kept as its directory is: by poll, and when a ticket names an unknown kid.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Reload, Reloader};
use crate::rescan::Rescans;

/// Looks `every` so often, when `rescans` says that a request asked, and whenever `nudge` is ready. `put` gets what each
/// look came to; what changed is logged before.
///
/// Runs until it is dropped. It ends only if a look has panicked, which the log says.
pub async fn follow(
    mut reloader: Reloader,
    rescans: &Rescans,
    every: Duration,
    mut nudge: impl FnMut(&mut Context<'_>) -> Poll<()>,
    mut put: impl FnMut(Reload),
) {
    let mut poll = interval(every);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = poll.tick() => {}
            () = poll_fn(&mut nudge) => {}
            () = rescans.asked() => {}
        }
        rescans.begin();
        // Reading and deriving would hold up the requests of this thread.
        let looked = tokio::task::spawn_blocking(move || (reloader.look(), reloader)).await;
        let Ok((reload, same)) = looked else {
            tracing::error!("looking at the keys failed for good; restart to load them again");
            return;
        };
        reloader = same;
        log(&reload);
        put(reload);
        rescans.end();
    }
}

fn log(reload: &Reload) {
    match reload {
        Reload::Unchanged => {}
        Reload::Taken { ring, passed_over } => {
            for file in passed_over {
                tracing::warn!("{file}");
            }
            tracing::info!(fingerprint = %ring.fingerprint(), keys = ring.keys().count(), "took a new key ring");
        }
        Reload::Kept { why, .. } => tracing::error!("the keys directory is not right, the old keys stay: {why}"),
    }
}
