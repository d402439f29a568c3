//! Tickets under keys that nobody has: they cost others nothing, and do not hide a key that really arrives.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::fs::inotify;
use tokio::time::{Instant, sleep};

use crate::drill::http::Http;
use crate::drill::process::{Setup, Site, cli, kid_in};
use crate::drill::{say, seconds, within};

/// So long at least; it blows on until the new key has come.
const STORM: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 16;
/// Longer than the storm: whatever is looked at, requests asked for it.
const POLL: &str = "10m";

/// `ticket` with another kid in its header.
fn with_kid(ticket: &str, number: u64) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(ticket).unwrap();
    bytes[1..5].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Counts how often a file is opened.
struct Opens(OwnedFd);

impl Opens {
    fn of(file: &Path) -> Self {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, file, inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_NOWRITE).unwrap();
        Self(watch)
    }

    /// Since this was last asked. Two opens that nothing lies between are told as one, so closes are watched, too.
    fn take(&self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        let mut opens = 0;
        while let Ok(event) = events.next() {
            opens += usize::from(event.events().contains(inotify::ReadFlags::OPEN));
        }
        opens
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_kids_cost_one_look_a_second_and_hide_no_real_key() {
    let site = Site::new();
    let keys = site.keys("keys");
    let replica = site.replica(Setup::new("replica", &keys, POLL));
    let http = Http::new();
    let ticket = http.login(&replica.url, "demo-alice-1").await.ticket();

    // Another replica, which gets a new key before this one does.
    let ahead = site.path("ahead");
    std::fs::create_dir(&ahead).unwrap();
    std::fs::set_permissions(&ahead, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(&keys).unwrap() {
        let name = entry.unwrap().file_name();
        std::fs::copy(keys.join(&name), ahead.join(&name)).unwrap();
    }
    let kid = kid_in(&cli(&["keys", "rotate", "--now", "--use", "ticket"], &ahead));
    let other = site.replica(Setup::new("other", &ahead, POLL));
    let genuine = http.login(&other.url, "demo-bob-1").await.ticket();

    let quiet = latencies(&http, &replica.url, &ticket, Duration::from_secs(1), &AtomicBool::new(false)).await;
    let opens = Opens::of(&keys.join(format!("ticket-{}.key", crate::drill::http::kid_of(&ticket))));
    let (began, sent) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let (seen, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let storm: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            // A client of its own is a connection of its own.
            let (http, url, ticket) = (Http::new(), replica.url.clone(), ticket.clone());
            let (sent, seen) = (Arc::clone(&sent), Arc::clone(&seen));
            tokio::spawn(async move {
                loop {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    let answer = http.check(&url, &with_kid(&ticket, number)).await;
                    assert_eq!(answer.error(), "invalid_ticket", "{answer:?}");
                    if began.elapsed() >= STORM && seen.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    let stormy = tokio::spawn({
        let (http, url, ticket, over) = (http.clone(), replica.url.clone(), ticket.clone(), Arc::clone(&over));
        async move { latencies(&http, &url, &ticket, Duration::from_secs(600), &over).await }
    });

    // A real key arrives in the middle.
    sleep(STORM / 3).await;
    assert_eq!(http.check(&replica.url, &genuine).await.error(), "invalid_ticket", "not there yet");
    let name = format!("ticket-{kid}.key");
    std::fs::copy(ahead.join(&name), keys.join(".copy")).unwrap();
    std::fs::rename(keys.join(".copy"), keys.join(&name)).unwrap();
    let works = async || http.check(&replica.url, &genuine).await.is_good();
    let arrived = within(Duration::from_secs(4), "the new key works", works).await;
    seen.store(true, Ordering::Relaxed);

    for task in storm {
        task.await.unwrap();
    }
    let (took, sent) = (began.elapsed(), sent.load(Ordering::Relaxed));
    over.store(true, Ordering::Relaxed);
    let stormy = stormy.await.unwrap();
    let looks = opens.take();
    let whole_seconds = usize::try_from(took.as_secs()).unwrap();
    assert!(sent >= 1000, "{sent} are no storm");
    assert!(looks >= 1, "nobody looked");
    assert!(looks <= whole_seconds + 2, "{looks} looks in {took:?}");
    say(&format!(
        "{sent} made-up kids over {CONNECTIONS} connections in {}: {looks} looks; a real key worked {} after it \
         arrived\ngood checks, median and 99th percentile: {} quiet, {} in the storm",
        seconds(took),
        seconds(arrived),
        describe(quiet),
        describe(stormy)
    ));
}

/// How long good checks take, one after the other, until the time is up or `over`.
async fn latencies(http: &Http, url: &str, ticket: &str, time: Duration, over: &AtomicBool) -> Vec<Duration> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < time && !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = http.check(url, ticket).await;
        assert!(answer.is_good(), "{answer:?}");
        took.push(asked.elapsed());
        sleep(Duration::from_millis(2)).await;
    }
    took
}

fn describe(mut took: Vec<Duration>) -> String {
    took.sort();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    format!("{:.1?} and {:.1?} ({} checks)", at(50), at(99), took.len())
}
