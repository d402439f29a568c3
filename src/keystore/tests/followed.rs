//! The task that looks at a directory: what it survives, and what it says meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::keystore::follow;
use crate::rescan::{LookTrouble, Rescans};

/// Far longer than a look takes, far shorter than a test may.
const POLL: Duration = Duration::from_millis(5);

/// A clock that panics while it is out of order.
#[derive(Debug, Default)]
struct Brittle(AtomicBool);

impl Clock for Brittle {
    fn now(&self) -> UnixSeconds {
        assert!(!self.0.load(Ordering::Relaxed), "the clock is out of order");
        NOW
    }
}

struct Followed {
    keys: Keys,
    name: KeyName,
    clock: Arc<Brittle>,
    rescans: Arc<Rescans>,
    rings: mpsc::UnboundedReceiver<KeyRing>,
}

/// Follows a directory; the first `put` of a new ring panics where `put_panics`.
fn followed(put_panics: bool) -> Followed {
    let (keys, name) = Keys::with_key();
    let (reloader, ..) = Reloader::start(keys.directory.clone(), Vec::new(), NOW).unwrap();
    let (clock, rescans) = (Arc::new(Brittle::default()), Arc::new(Rescans::default()));
    let (sender, rings) = mpsc::unbounded_channel();
    let (their_clock, their_rescans) = (Arc::clone(&clock), Arc::clone(&rescans));
    let puts = AtomicUsize::new(0);
    let put = move |reload| {
        if let Reload::Taken { ring, .. } | Reload::Kept { ring, .. } = reload {
            assert!(!put_panics || puts.fetch_add(1, Ordering::Relaxed) > 0, "the first one is lost");
            sender.send(ring).unwrap();
        }
    };
    tokio::spawn(async move { follow(reloader, their_clock, &their_rescans, POLL, |_| Poll::Pending, put).await });
    Followed { keys, name, clock, rescans, rings }
}

async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

#[tokio::test]
async fn a_look_that_panics_is_made_up_for_by_the_next() {
    let mut followed = followed(false);
    until(|| followed.rescans.trouble().is_none()).await;
    followed.clock.0.store(true, Ordering::Relaxed);
    until(|| followed.rescans.trouble() == Some(LookTrouble::Failed)).await;
    fs::write(followed.keys.path(&format!("{}.revoked", followed.name)), "").unwrap();
    followed.clock.0.store(false, Ordering::Relaxed);
    let ring = followed.rings.recv().await.unwrap();
    assert_eq!(ring.keys().next().unwrap().state(NOW), KeyState::Revoked);
    until(|| followed.rescans.trouble().is_none()).await;
}

#[tokio::test]
async fn a_ring_that_was_lost_on_its_way_comes_again() {
    let mut followed = followed(true);
    fs::write(followed.keys.path(&format!("{}.revoked", followed.name)), "").unwrap();
    let ring = followed.rings.recv().await.unwrap();
    assert_eq!(ring.keys().next().unwrap().state(NOW), KeyState::Revoked);
    until(|| followed.rescans.trouble().is_none()).await;
}
