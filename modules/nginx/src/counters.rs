//! Numbers of all workers, in memory that they share, and their text for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use auth_ticket::bearer::Refusal;
use auth_ticket::keystore::VerifierFile;

use crate::check::Rejection;

/// What a check came to.
const RESULTS: [&str; 6] = ["ok", "no_ticket", "invalid_ticket", "ticket_expired", "ticket_revoked", "unavailable"];

/// How many workers count without sharing a cache line; further ones share.
const SLOTS: usize = 64;

/// All zero at first, as shared memory is.
#[derive(Debug)]
#[repr(C)]
pub struct Counters([Slot; SLOTS]);

/// A worker's own, in cache lines of its own.
#[derive(Debug)]
#[repr(C, align(128))]
struct Slot([AtomicU64; RESULTS.len()]);

impl Counters {
    /// Counts a check of worker number `worker`.
    pub fn count(&self, worker: usize, rejection: Option<Rejection>) {
        let result = match rejection {
            None => 0,
            Some(Rejection::Refused(Refusal::NoTicket)) => 1,
            Some(Rejection::Refused(Refusal::TicketExpired)) => 3,
            Some(Rejection::Refused(Refusal::TicketRevoked)) => 4,
            Some(Rejection::Refused(_)) => 2,
            Some(Rejection::Unavailable) => 5,
        };
        if let Some(counter) = self.0.get(worker % SLOTS).and_then(|slot| slot.0.get(result)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn total(&self, result: usize) -> u64 {
        let counts = self.0.iter().filter_map(|slot| slot.0.get(result));
        counts.map(|count| count.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// A verifier file, as operators see it.
#[derive(Clone, Debug)]
pub struct FileStatus {
    /// Whose tickets it opens.
    pub appid: String,
    /// When it was made, in Unix seconds.
    pub made: u64,
    /// Whether the last look took what it found.
    pub is_good: bool,
}

impl FileStatus {
    /// As the last look left it.
    #[must_use]
    pub fn of(file: &VerifierFile) -> Self {
        let verifier = file.verifier();
        Self { appid: verifier.appid().as_str().to_owned(), made: verifier.made().as_u64(), is_good: file.is_right() }
    }
}

/// The text of a scrape (Prometheus text format 0.0.4).
#[must_use]
pub fn to_text(counters: Option<&Counters>, files: &[FileStatus]) -> String {
    let mut text = String::from(
        "# HELP auth_ticket_nginx_checks_total Checks of requests, by what they came to.\n\
         # TYPE auth_ticket_nginx_checks_total counter\n",
    );
    // Writing to a String cannot fail.
    for (at, result) in RESULTS.iter().enumerate() {
        let count = counters.map_or(0, |counters| counters.total(at));
        let _ = writeln!(text, "auth_ticket_nginx_checks_total{{result=\"{result}\"}} {count}");
    }
    text.push_str(
        "# HELP auth_ticket_nginx_verifier_made_timestamp_seconds When the verifier file in use was made.\n\
         # TYPE auth_ticket_nginx_verifier_made_timestamp_seconds gauge\n",
    );
    for file in files {
        let (appid, made) = (label(&file.appid), file.made);
        let _ = writeln!(text, "auth_ticket_nginx_verifier_made_timestamp_seconds{{appid=\"{appid}\"}} {made}");
    }
    text.push_str(
        "# HELP auth_ticket_nginx_verifier_good Whether the last look at the verifier file took what it found.\n\
         # TYPE auth_ticket_nginx_verifier_good gauge\n",
    );
    for file in files {
        let (appid, is_good) = (label(&file.appid), u8::from(file.is_good));
        let _ = writeln!(text, "auth_ticket_nginx_verifier_good{{appid=\"{appid}\"}} {is_good}");
    }
    text
}

/// `text` inside a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_counted_once_whoever_counts_it() {
        let counters = Counters(std::array::from_fn(|_| Slot(Default::default())));
        counters.count(0, None);
        counters.count(SLOTS, None);
        counters.count(1, None);
        counters.count(63, Some(Rejection::Refused(Refusal::WrongApp)));
        counters.count(usize::MAX, Some(Rejection::Unavailable));
        let text = to_text(Some(&counters), &[FileStatus { appid: "a\"b".to_owned(), made: 7, is_good: true }]);
        for line in [
            "auth_ticket_nginx_checks_total{result=\"ok\"} 3\n",
            "auth_ticket_nginx_checks_total{result=\"no_ticket\"} 0\n",
            "auth_ticket_nginx_checks_total{result=\"invalid_ticket\"} 1\n",
            "auth_ticket_nginx_checks_total{result=\"unavailable\"} 1\n",
            "auth_ticket_nginx_verifier_made_timestamp_seconds{appid=\"a\\\"b\"} 7\n",
            "auth_ticket_nginx_verifier_good{appid=\"a\\\"b\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
