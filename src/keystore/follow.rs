//! A ring that is kept as its directory is: by poll, and when a ticket names an unknown kid.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::{Reload, Reloader};
use crate::clock::Clock;
use crate::rescan::Rescans;

/// Looks `every` so often, when `rescans` says that a request asked, and whenever `wake` is ready. `put` gets the result of
/// each look; changes are logged before.
///
/// Runs until it is dropped. A look or a `put` that panics is logged and made up for by the next one; until that has ended
/// well, [`Rescans::trouble`] says so.
pub async fn follow(
    reloader: Reloader,
    clock: Arc<dyn Clock>,
    rescans: &Rescans,
    every: Duration,
    mut wake: impl FnMut(&mut Context<'_>) -> Poll<()>,
    mut put: impl FnMut(Reload),
) {
    rescans.attend(every);
    let looker = Looker::start(reloader, clock);
    let mut poll = interval(every);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed_before = false;
    loop {
        tokio::select! {
            _ = poll.tick() => {}
            () = poll_fn(&mut wake) => {}
            () = rescans.asked() => {}
        }
        let look = rescans.begin();
        let done = looker.look().await.is_some_and(|reload| {
            log(&reload);
            catch_unwind(AssertUnwindSafe(|| put(reload))).is_ok()
        });
        if done {
            look.finish();
        } else {
            looker.forget();
            drop(look);
            if !failed_before {
                tracing::error!("looking at the keys failed, the old keys stay; it is tried again at the next poll");
            }
        }
        failed_before = !done;
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
        Reload::Kept { why, .. } => {
            tracing::error!("the keys directory is not right, the old keys stay: {}", why.explained());
        }
    }
}

/// Looks on a thread of its own: reading and deriving would hold up the requests of a shared one, and a thread that had to
/// be started for each look could be refused when it matters.
struct Looker {
    shared: Arc<LockedReloader>,
    /// `None` where no thread could be started.
    orders: Option<mpsc::Sender<oneshot::Sender<Option<Reload>>>>,
}

struct LockedReloader {
    reloader: Mutex<Reloader>,
    clock: Arc<dyn Clock>,
}

impl Looker {
    fn start(reloader: Reloader, clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(LockedReloader { reloader: Mutex::new(reloader), clock });
        let (orders, taken) = mpsc::channel::<oneshot::Sender<Option<Reload>>>();
        let theirs = Arc::clone(&shared);
        // Ends when the last sender is dropped, and this with it.
        let work = move || taken.into_iter().for_each(|answer| drop(answer.send(theirs.look())));
        let started = thread::Builder::new().name("keys".to_owned()).spawn(work);
        let orders = started.map(|_| orders);
        if let Err(error) = &orders {
            tracing::warn!("no thread for looking at the keys ({error}): each look holds up some requests");
        }
        Self { shared, orders: orders.ok() }
    }

    /// `None`: it panicked.
    async fn look(&self) -> Option<Reload> {
        let (answer, told) = oneshot::channel();
        if self.orders.as_ref().is_some_and(|orders| orders.send(answer).is_ok())
            && let Ok(reload) = told.await
        {
            return reload;
        }
        self.shared.look()
    }

    /// Has the next look tell everything anew.
    fn forget(&self) {
        self.shared.reloader.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }
}

impl LockedReloader {
    fn look(&self) -> Option<Reload> {
        let look = || self.reloader.lock().unwrap_or_else(PoisonError::into_inner).look(self.clock.now());
        catch_unwind(AssertUnwindSafe(look)).ok()
    }
}
