//! Keys that are kept as their directory, or verifier file, is: by poll, and when a ticket names an unknown kid.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Reload, Reloader, VerifierFile, VerifierReload};
use crate::clock::{Clock, UnixSeconds};
use crate::rescan::Rescans;

/// How long a look may take. One that takes longer has failed, as far as anybody can tell: the disk hangs, perhaps.
const DEADLINE: Duration = Duration::from_secs(10);

/// Looks `every` so often, when `rescans` says that a request asked, and whenever `wake` is ready. `put` gets the result of
/// each look; changes are logged before.
///
/// Runs until it is dropped. A look or a `put` that panics is logged and made up for by the next one, and one that has not
/// ended after 10 s is waited for again at the next poll; until one has ended well, [`Rescans::trouble`] says so.
pub async fn follow<S: Source>(
    source: S,
    clock: Arc<dyn Clock>,
    rescans: &Rescans,
    every: Duration,
    mut wake: impl FnMut(&mut Context<'_>) -> Poll<()>,
    mut put: impl FnMut(S::Found),
) {
    rescans.attend(every);
    let mut looker = Looker::start(source, clock);
    let mut poll = interval(every);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed_before = false;
    loop {
        let mut asked = pin!(rescans.asked());
        poll_fn(|context| {
            let is_due = poll.poll_tick(context).is_ready();
            let is_woken = wake(context).is_ready();
            if is_due || is_woken { Poll::Ready(()) } else { asked.as_mut().poll(context) }
        })
        .await;
        let look = rescans.begin();
        let trouble = match looker.look().await {
            Looked::Ended(found) => {
                S::log(&found);
                let is_put = catch_unwind(AssertUnwindSafe(|| put(found))).is_ok();
                if !is_put {
                    looker.forget();
                }
                (!is_put).then_some("failed")
            }
            Looked::Panicked => {
                looker.forget();
                Some("failed")
            }
            Looked::Hangs => Some("has not ended in time"),
        };
        match trouble {
            None => look.finish(),
            Some(trouble) => {
                drop(look);
                if !failed_before {
                    tracing::error!(
                        "a look at the keys {trouble}, the old keys stay; it is tried again at the next poll"
                    );
                }
            }
        }
        failed_before = trouble.is_some();
    }
}

/// Where keys come from, looked at again and again.
pub trait Source: Send + 'static {
    /// What comes of a look.
    type Found: Send + 'static;

    /// Looks again.
    fn look(&mut self, now: UnixSeconds) -> Self::Found;

    /// Has the next look tell of everything anew.
    fn forget(&mut self);

    /// Writes to the log what is new.
    fn log(found: &Self::Found);
}

impl Source for Reloader {
    type Found = Reload;

    fn look(&mut self, now: UnixSeconds) -> Reload {
        self.look(now)
    }

    fn forget(&mut self) {
        self.forget();
    }

    fn log(found: &Reload) {
        match found {
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
}

impl Source for VerifierFile {
    type Found = VerifierReload;

    fn look(&mut self, now: UnixSeconds) -> VerifierReload {
        self.look(now)
    }

    fn forget(&mut self) {
        self.forget();
    }

    fn log(found: &VerifierReload) {
        match found {
            VerifierReload::Unchanged => {}
            VerifierReload::Taken { is_right_again: false, .. } => tracing::debug!("took a new verifier file"),
            VerifierReload::Taken { verifier, .. } => {
                tracing::info!(fingerprint = %verifier.fingerprint(), "the verifier file is right again, and is used");
            }
            VerifierReload::Kept { why, .. } => {
                tracing::error!("the verifier file is not right, the old keys stay: {why}; {}", why.remedy());
            }
        }
    }
}

/// Looks on a thread of its own: reading and deriving would hold up the requests of a shared one, and a thread that had to
/// be started for each look could be refused when it matters.
struct Looker<S: Source> {
    shared: Arc<Shared<S>>,
    /// `None` where no thread could be started.
    orders: Option<mpsc::Sender<oneshot::Sender<Option<S::Found>>>>,
    /// A look that did not end in time. What it finds will not be found again, so it is not lost.
    unended: Option<oneshot::Receiver<Option<S::Found>>>,
}

/// What came of a look.
enum Looked<T> {
    Ended(T),
    Panicked,
    /// It goes on, beyond its deadline.
    Hangs,
}

struct Shared<S> {
    source: Mutex<S>,
    clock: Arc<dyn Clock>,
}

impl<S: Source> Looker<S> {
    fn start(source: S, clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared { source: Mutex::new(source), clock });
        let (orders, taken) = mpsc::channel::<oneshot::Sender<Option<S::Found>>>();
        let theirs = Arc::clone(&shared);
        // Ends when the last sender is dropped, and this with it.
        let work = move || taken.into_iter().for_each(|answer| drop(answer.send(theirs.look())));
        let started = thread::Builder::new().name("keys".to_owned()).spawn(work);
        let orders = started.map(|_| orders);
        if let Err(error) = &orders {
            tracing::warn!("no thread for looking at the keys ({error}): each look holds up some requests");
        }
        Self { shared, orders: orders.ok(), unended: None }
    }

    async fn look(&mut self) -> Looked<S::Found> {
        let looked = |found: Option<S::Found>| found.map_or(Looked::Panicked, Looked::Ended);
        if let Some(mut told) = self.unended.take().or_else(|| self.order()) {
            match timeout(DEADLINE, &mut told).await {
                Ok(Ok(found)) => return looked(found),
                Ok(Err(_)) => {}
                Err(_) => {
                    self.unended = Some(told);
                    return Looked::Hangs;
                }
            }
        }
        looked(self.shared.look())
    }

    /// Has the thread look, if there is one.
    fn order(&self) -> Option<oneshot::Receiver<Option<S::Found>>> {
        let (answer, told) = oneshot::channel();
        self.orders.as_ref()?.send(answer).is_ok().then_some(told)
    }

    /// Has the next look tell everything anew. Not while one goes on.
    fn forget(&self) {
        self.shared.source.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }
}

impl<S: Source> Shared<S> {
    fn look(&self) -> Option<S::Found> {
        let look = || self.source.lock().unwrap_or_else(PoisonError::into_inner).look(self.clock.now());
        catch_unwind(AssertUnwindSafe(look)).ok()
    }
}
