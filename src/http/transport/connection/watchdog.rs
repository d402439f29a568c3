//! What a connection does, and when its time for that is up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::http::labels::Limit;

/// How long a server that stops waits for the first request of a connection that it has accepted.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// How many connections there may be, and how long each may take for what.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "numbers that callers fill in")]
pub struct ConnectionLimits {
    /// Most open connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// From a request's first byte, or from the connection's start, to the end of its head.
    pub header_timeout: Duration,
    /// From an answer to the next request's first byte.
    pub idle_timeout: Duration,
    /// From the stop signal to the end of the last answer.
    pub shutdown_grace: Duration,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Doing {
    /// A request's head arrives.
    Receiving,
    /// Handlers have deadlines of their own.
    Answering,
    /// The answer is being written; then comes the next request, or nothing.
    Waiting,
}

impl Doing {
    /// What the watchdog's `state` says.
    pub(crate) const fn of(state: u64) -> Self {
        match state & 3 {
            0 => Self::Receiving,
            1 => Self::Answering,
            _ => Self::Waiting,
        }
    }
}

/// When a connection's time is up.
///
/// A request changes what is being done three times. It leaves the time of that to the watchdog, which looks now and then, so
/// that no request has to ask a clock.
#[derive(Debug)]
pub(crate) struct Watchdog {
    limits: ConnectionLimits,
    /// Counts the changes, four for each, plus what is being done since the last one. Only the connection's own task writes.
    pub(crate) state: AtomicU64,
    /// The last answer ends the connection, and some of the request's body may still come.
    pub(crate) leaves_unread: AtomicBool,
}

impl Watchdog {
    pub(crate) const fn new(limits: ConnectionLimits) -> Self {
        Self { limits, state: AtomicU64::new(Doing::Receiving as u64), leaves_unread: AtomicBool::new(false) }
    }

    pub(crate) fn now_doing(&self, doing: Doing) {
        let changes = self.state.load(Ordering::Relaxed) & !3;
        self.state.store(changes.wrapping_add(4) | doing as u64, Ordering::Relaxed);
    }

    /// Whether a request begins with them.
    pub(crate) fn bytes_arrived(&self) -> bool {
        let begins = Doing::of(self.state.load(Ordering::Relaxed)) == Doing::Waiting;
        if begins {
            self.now_doing(Doing::Receiving);
        }
        begins
    }

    /// Ends when a first request is there, or after [`FIRST_REQUEST`]. It looks now and then, so that no request has to say it.
    pub(crate) async fn first_request(&self) {
        let until = Instant::now() + FIRST_REQUEST;
        while self.state.load(Ordering::Relaxed) == Doing::Receiving as u64 && Instant::now() < until {
            sleep(FIRST_REQUEST / 50).await;
        }
    }

    pub(crate) const fn limit(&self, doing: Doing) -> Option<(Limit, Duration)> {
        match doing {
            Doing::Receiving => Some((Limit::HeaderTimeout, self.limits.header_timeout)),
            Doing::Answering => None,
            Doing::Waiting => Some((Limit::IdleTimeout, self.limits.idle_timeout)),
        }
    }

    /// Ends when the time is up, and says for what. It looks at least every `header_timeout`, and takes what it finds to have
    /// begun right then: a connection may live that much longer than its deadline.
    pub(crate) async fn overdue(&self) -> Limit {
        let (mut seen, mut since) = (self.state.load(Ordering::Relaxed), Instant::now());
        loop {
            let limit = self.limit(Doing::of(seen)).map(|(limit, time)| (limit, since + time));
            let next_look = Instant::now() + self.limits.header_timeout;
            sleep_until(limit.map_or(next_look, |(_, deadline)| deadline.min(next_look))).await;
            let state = self.state.load(Ordering::Relaxed);
            if state != seen {
                (seen, since) = (state, Instant::now());
            } else if let Some((limit, deadline)) = limit
                && deadline <= Instant::now()
            {
                return limit;
            }
        }
    }
}
