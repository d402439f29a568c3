//! How long, how much, and against which build: the long form is for `make soak`, the short one for the tests.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::BINARY;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// For whatever has a deadline of its own: so much later, it has missed it, however busy the machine is.
pub(super) const MARGIN: Duration = s(8);

/// One of the two forms.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) is_full: bool,
    /// The server's program.
    pub(super) binary: PathBuf,
    /// All of it once, before anything is measured.
    pub(super) warm_up: Duration,
    pub(super) rounds: usize,
    /// In each round: good clients alone, then everybody.
    pub(super) quiet: Duration,
    pub(super) abuse: Duration,
    /// At the end, nobody.
    pub(super) cool_down: Duration,
    /// How long the platform is in trouble, and how long it is well after that, each time.
    pub(super) trouble: Duration,
    pub(super) fine: Duration,
    /// How often the server looks at its keys: less than the lead of a rotation.
    pub(super) keys_poll: Duration,
    /// Between two things that happen to the keys.
    pub(super) keys_pause: Duration,
    /// The server's own limits.
    pub(super) header_timeout: Duration,
    pub(super) body_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) upstream_timeout: Duration,
    /// Checks of the client that measures, in a second.
    pub(super) measured_per_s: u32,
}

impl Form {
    /// As `make soak` asks for by variables, or the short one.
    pub(super) fn of_environment() -> Self {
        let is_full = std::env::var_os("SOAK").is_some_and(|form| form == "full");
        let binary = std::env::var_os("SOAK_BINARY").map_or_else(|| PathBuf::from(BINARY), PathBuf::from);
        if is_full {
            Self {
                is_full,
                binary,
                warm_up: s(40),
                rounds: 6,
                quiet: s(20),
                abuse: s(60),
                cool_down: s(30),
                trouble: s(8),
                fine: s(4),
                keys_poll: s(1),
                keys_pause: s(1),
                header_timeout: s(5),
                body_timeout: s(5),
                idle_timeout: s(10),
                upstream_timeout: s(2),
                measured_per_s: 200,
            }
        } else {
            Self {
                is_full,
                binary,
                warm_up: s(5),
                rounds: 1,
                quiet: s(2),
                abuse: s(11),
                cool_down: s(1),
                trouble: s(3),
                fine: Duration::from_millis(500),
                keys_poll: Duration::from_millis(200),
                keys_pause: Duration::from_millis(200),
                header_timeout: s(3),
                body_timeout: s(3),
                idle_timeout: s(4),
                upstream_timeout: s(2),
                measured_per_s: 40,
            }
        }
    }

    /// Of the two, the one of this form.
    pub(super) fn pick<T>(&self, full: T, short: T) -> T {
        if self.is_full { full } else { short }
    }

    /// How long a connection may live that is neither answered nor waited for: the watchdog looks at least once in a
    /// header timeout, so it may be that much late.
    pub(super) fn longest_head(&self) -> Duration {
        self.header_timeout * 2 + MARGIN
    }
}
