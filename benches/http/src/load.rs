//! The load: one thread with connections that are kept, over TCP or a Unix socket.
//!
//! In the closed loop, each connection sends its next request as soon as it has been answered. In the open loop, requests are
//! due by the clock, whatever became of those before; a time begins when the request was due, so that an answer that is late
//! also counts for the requests that had to wait for it (otherwise left out: "coordinated omission").

mod line;
mod poll;
mod request;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;

pub(crate) use line::Headers;
use line::Line;
use poll::Poll;
use request::Message;
pub(crate) use request::Request;

/// Without an answer for so long, a run ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// Where a URL without a path leads.
    pub(crate) fn of_url(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").and_then(|rest| rest.trim_end_matches('/').parse().ok());
        Ok(Self::Tcp(address.with_context(|| format!("{url} is no http://IP:PORT"))?))
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
    /// In microseconds.
    times: Histogram<u64>,
}

impl Load {
    fn new() -> anyhow::Result<Self> {
        // From 1 µs to a minute, to three digits.
        Ok(Self { requests: 0, took: Duration::ZERO, times: Histogram::new_with_bounds(1, 60_000_000, 3)? })
    }

    fn record(&mut self, time: Duration) {
        self.requests += 1;
        self.times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// What so many percent of the times do not exceed, in microseconds.
    pub(crate) fn percentile_us(&self, percent: f64) -> u64 {
        self.times.value_at_quantile(percent / 100.0)
    }

    pub(crate) fn longest_us(&self) -> u64 {
        self.times.max()
    }
}

/// Connections, and the request that is sent on all of them.
struct Bundle {
    lines: Vec<Line>,
    message: Message,
    poll: Poll,
    place: Place,
    last_answer: Instant,
}

impl Bundle {
    fn open(place: &Place, request: &Request, connections: usize) -> anyhow::Result<Self> {
        let poll = Poll::new(connections)?;
        let mut lines = Vec::new();
        for number in 0..connections {
            let line = Line::open(place)?;
            poll.add(line.socket(), number)?;
            lines.push(line);
        }
        let (message, place) = (request.message(), place.clone());
        Ok(Self { lines, message, poll, place, last_answer: Instant::now() })
    }

    fn send(&mut self, number: usize, due: Instant) -> anyhow::Result<()> {
        if self.lines[number].is_over() {
            self.lines[number] = Line::open(&self.place)?;
            self.poll.add(self.lines[number].socket(), number)?;
        }
        self.lines[number].send(self.message.next(), due)
    }

    /// Calls `answered` with each connection whose answer is complete, and with the time since it was due. Waits for one if
    /// it may.
    fn receive(
        &mut self,
        may_wait: bool,
        mut answered: impl FnMut(&mut Self, usize, Duration) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for at in 0..self.poll.wait(if may_wait { PATIENCE } else { Duration::ZERO })? {
            let number = self.poll.ready(at);
            if let Some(due) = self.lines[number].receive()? {
                self.last_answer = Instant::now();
                let time = self.last_answer.saturating_duration_since(due);
                answered(self, number, time)?;
            }
        }
        ensure!(self.last_answer.elapsed() < PATIENCE, "no answer for {PATIENCE:?}");
        Ok(())
    }
}

/// The closed loop, for `duration`; what is under way then is waited for.
///
/// # Errors
/// One answer with another status than 200, or one that does not come, makes the figures worthless.
pub(crate) fn closed(place: &Place, request: &Request, connections: usize, duration: Duration) -> anyhow::Result<Load> {
    let mut lines = Bundle::open(place, request, connections)?;
    let mut load = Load::new()?;
    let began = Instant::now();
    for number in 0..connections {
        lines.send(number, began)?;
    }
    let mut under_way = connections;
    while under_way > 0 {
        lines.receive(true, |lines, number, time| {
            load.record(time);
            let now = lines.last_answer;
            if now < began + duration {
                return lines.send(number, now);
            }
            under_way -= 1;
            Ok(())
        })?;
    }
    load.took = began.elapsed();
    Ok(load)
}

/// The open loop: so many requests a second, evenly, for `duration`. This never sleeps, so that no request is late because this
/// thread wakes up late.
///
/// # Errors
/// As of the closed loop.
pub(crate) fn open(
    place: &Place,
    request: &Request,
    connections: usize,
    per_s: u32,
    duration: Duration,
) -> anyhow::Result<Load> {
    let mut lines = Bundle::open(place, request, connections)?;
    let mut load = Load::new()?;
    let mut free: VecDeque<usize> = (0..connections).collect();
    let (began, interval) = (Instant::now(), Duration::from_secs(1) / per_s);
    let mut due = began;
    while due < began + duration || free.len() < connections {
        if due <= Instant::now()
            && due < began + duration
            && let Some(number) = free.pop_front()
        {
            lines.send(number, due)?;
            due += interval;
        }
        lines.receive(false, |_, number, time| {
            load.record(time);
            free.push_back(number);
            Ok(())
        })?;
    }
    load.took = began.elapsed();
    Ok(load)
}

/// One request on a connection of its own; status and headers of the answer.
pub(crate) fn ask(place: &Place, request: &Request) -> anyhow::Result<(u16, Headers)> {
    let mut line = Line::open(place)?;
    let mut poll = Poll::new(1)?;
    poll.add(line.socket(), 0)?;
    let began = Instant::now();
    line.send(request.message().next(), began)?;
    while began.elapsed() < PATIENCE {
        poll.wait(PATIENCE)?;
        if let Some(answer) = line.answer()? {
            return Ok(answer);
        }
    }
    bail!("no answer from {place:?}")
}
