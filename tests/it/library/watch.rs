//! A verifier whose keys nobody looks at any more refuses, since a revocation would not reach it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::tower::{Refusal, Verifier, Watch};
use axum::http::HeaderMap;
use serde_json::json;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::{Keys, MAX_SESSION, answered, app, layer_of, shows};
use crate::support::APPID;

const POLL: Duration = Duration::from_secs(5);
/// Three polls, and a little.
const A_FEW_POLLS: Duration = Duration::from_millis(15_001);

/// The system's clock. While it is stuck, whoever looks at the keys does not get to know the time: as if the directory hung.
#[derive(Debug, Default)]
struct Sticking(AtomicBool);

impl Clock for Sticking {
    fn now(&self) -> UnixSeconds {
        while thread::current().name() == Some("keys") && self.0.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        SystemClock.now()
    }
}

struct World {
    keys: Keys,
    clock: Arc<Sticking>,
    verifier: Verifier,
    headers: HeaderMap,
}

impl World {
    fn new() -> (Self, Watch) {
        let keys = Keys::init();
        let clock = Arc::new(Sticking::default());
        let shared: Arc<dyn Clock> = Arc::<Sticking>::clone(&clock);
        let loaded = Verifier::load_with_clock(keys.directory(), [app(APPID)], MAX_SESSION, shared);
        let (verifier, watch) = loaded.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("weixinauth", keys.ticket_for("o-alice").parse().unwrap());
        (Self { keys, clock, verifier, headers }, watch)
    }

    /// Why its ticket is refused, if so; the readiness probe must agree.
    async fn refusal(&self) -> Option<Refusal> {
        let refusal = self.verifier.verify(&self.headers).await.err();
        assert_eq!(self.verifier.is_live(), refusal != Some(Refusal::NotSetUp));
        refusal
    }

    /// Waits until a look has ended. The runtime's time stands still meanwhile, if it is paused.
    async fn looked(&self) {
        let wait = std::time::Instant::now();
        while self.verifier.last_look().is_none() {
            assert!(wait.elapsed() < Duration::from_secs(20), "no look ends");
            tokio::task::yield_now().await;
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_run_is_noticed_within_a_few_polls() {
    let (world, _watch) = World::new();
    assert_eq!((world.refusal().await, world.verifier.last_look()), (None, None), "not yet");
    sleep(A_FEW_POLLS).await;
    assert_eq!(world.refusal().await, Some(Refusal::NotSetUp));
    // The revocation that it would not have noticed.
    world.keys.run(&["cutoff", "add", "--all"]);
    for layer in [layer_of(&world.verifier), layer_of(&world.verifier).optional()] {
        let service = shows(layer);
        let ticket = vec![("weixinauth", world.headers["weixinauth"].as_bytes().to_vec())];
        for headers in [ticket.as_slice(), &[]] {
            let (status, _, body) = answered(&service, headers).await;
            assert_eq!((status, &body["error"]), (500, &json!("server_misconfigured")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_run_late_makes_up_for_it_by_its_first_look() {
    let (world, watch) = World::new();
    sleep(A_FEW_POLLS).await;
    world.clock.0.store(true, Ordering::Relaxed);
    let running = tokio::spawn(watch.run(POLL));
    tokio::task::yield_now().await;
    assert_eq!(world.refusal().await, Some(Refusal::NotSetUp), "it runs, and has not looked yet");
    world.clock.0.store(false, Ordering::Relaxed);
    world.looked().await;
    assert_eq!(world.refusal().await, None);
    running.abort();
}

#[tokio::test]
async fn a_watch_that_is_dropped_or_aborted_is_noticed_at_once() {
    let (world, watch) = World::new();
    drop(watch);
    assert_eq!(world.refusal().await, Some(Refusal::NotSetUp));

    let (world, watch) = World::new();
    let running = tokio::spawn(watch.run(POLL));
    world.looked().await;
    assert_eq!(world.refusal().await, None);
    running.abort();
    drop(running.await);
    assert_eq!(world.refusal().await, Some(Refusal::NotSetUp));
}

#[test]
fn a_watch_on_a_runtime_that_has_ended_is_noticed() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (world, watch) = World::new();
    let theirs = runtime();
    theirs.spawn(watch.run(POLL));
    theirs.block_on(world.looked());
    let own = runtime();
    assert_eq!(own.block_on(world.refusal()), None);
    drop(theirs);
    assert_eq!(own.block_on(world.refusal()), Some(Refusal::NotSetUp));

    // One that is there, but that nobody drives.
    let (world, watch) = World::new();
    let theirs = runtime();
    theirs.spawn(watch.run(POLL));
    theirs.block_on(world.looked());
    let own = runtime();
    let later = async {
        let first = world.refusal().await;
        sleep(A_FEW_POLLS).await;
        [first, world.refusal().await]
    };
    assert_eq!(own.block_on(later), [None, Some(Refusal::NotSetUp)]);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_hangs_is_noticed_within_a_few_polls_and_so_is_its_recovery() {
    let (world, watch) = World::new();
    let _running = tokio::spawn(watch.run(POLL));
    world.looked().await;
    assert_eq!(world.refusal().await, None);
    world.clock.0.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(12)).await;
    assert_eq!(world.refusal().await, None, "not every slow look is one that hangs");
    sleep(A_FEW_POLLS).await;
    assert_eq!(world.refusal().await, Some(Refusal::NotSetUp));

    world.keys.run(&["cutoff", "add", "--all"]);
    world.clock.0.store(false, Ordering::Relaxed);
    let wait = std::time::Instant::now();
    while world.refusal().await != Some(Refusal::TicketRevoked) {
        assert!(wait.elapsed() < Duration::from_secs(20), "what the look that hung found is lost");
        // Time goes on here and there.
        thread::sleep(Duration::from_millis(1));
        sleep(Duration::from_millis(100)).await;
    }
}

/// Counts the lines of each level that this crate logs, and keeps what they count.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

/// What is counted of a line, if it is a count.
type Line = (Level, Option<u64>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("auth_ticket") && *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        struct Count(Option<u64>);
        impl Visit for Count {
            fn record_u64(&mut self, _: &Field, value: u64) {
                self.0 = Some(value);
            }

            fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
        }
        let mut count = Count(None);
        event.record(&mut count);
        self.0.lock().unwrap().push((*event.metadata().level(), count.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn however_many_tickets_are_refused_there_is_a_line_a_minute_with_a_count() {
    let (world, _watch) = World::new();
    sleep(A_FEW_POLLS).await;
    let lines = Lines::default();
    let _logging = tracing::subscriber::set_default(lines.clone());
    for _ in 0..1000 {
        assert_eq!(world.refusal().await, Some(Refusal::NotSetUp));
    }
    sleep(Duration::from_secs(60)).await;
    for _ in 0..1000 {
        assert_eq!(world.refusal().await, Some(Refusal::NotSetUp));
    }
    let seen = lines.0.lock().unwrap().clone();
    assert_eq!(seen, [(Level::ERROR, Some(1)), (Level::ERROR, Some(1000))]);
}
