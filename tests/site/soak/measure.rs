//! How long a good check takes: one client asks at a constant rate and does not wait for others or for itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::core::{Others, Watch, prefer_this_thread};
use super::ledger::Worth;
use super::stage::Stage;
use crate::drill::clients::Dice;
use crate::drill::http::kid_of;
use crate::support::Call;
use crate::support::{APPID, DEADLINE};

/// Latencies of good checks, in order.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    took: Vec<Duration>,
    /// Where it is known.
    pub(super) others: Option<Others>,
}

impl Latencies {
    pub(super) fn len(&self) -> usize {
        self.took.len()
    }

    /// That which so many in a thousand do not exceed.
    pub(super) fn at(&self, permille: usize) -> Duration {
        self.took.get(self.took.len() * permille / 1000).or(self.took.last()).copied().unwrap_or_default()
    }
}

/// A client at work, in a thread of its own: the runtime's timers count in milliseconds.
pub(super) struct Client {
    stage: Arc<Stage>,
    watch: Option<Watch>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Client {
    /// There must be a good ticket.
    pub(super) fn start(stage: &Arc<Stage>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (stage, is_over) = (Arc::clone(stage), Arc::clone(&over));
            move || measure(&stage, &is_over)
        });
        Self { watch: Watch::begin(stage), stage: Arc::clone(stage), over, thread }
    }

    pub(super) fn is_at_work(&self) -> bool {
        !self.thread.is_finished()
    }

    pub(super) fn stop(self) -> Latencies {
        self.over.store(true, Ordering::Relaxed);
        let mut took = self.thread.join().expect("good checks were refused");
        took.sort_unstable();
        Latencies { took, others: self.watch.and_then(|watch| watch.others(&self.stage)) }
    }
}

/// Each latency is measured from when the request should have been sent: if the one before was late, this one is, too.
fn measure(stage: &Stage, over: &AtomicBool) -> Vec<Duration> {
    if stage.form.is_full {
        prefer_this_thread();
    }
    let (mut dice, mut took) = (Dice(stage.seed | 1), Vec::new());
    let mut stream = TcpStream::connect(stage.server.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let every = Duration::from_secs(1) / stage.form.measured_per_s;
    let mut ticket = stage.ledger.ticket(&mut dice).expect("somebody has logged in");
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        due += every;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let shown = tokio::time::Instant::now();
        let request = Call::get(&format!("/v1/verify/{APPID}")).ticket(&ticket).to_bytes();
        stream.write_all(&request).unwrap();
        let head = read_head(&mut stream);
        let latency = due.elapsed();
        let worth = stage.ledger.worth(&kid_of(&ticket), shown);
        if head.starts_with("HTTP/1.1 200 ") && worth != Worth::Refused {
            took.push(latency);
            stage.tally.check(stage.ledger.weather().sky);
        } else {
            assert!(head.starts_with("HTTP/1.1 401 ") && worth != Worth::Good, "a good check was refused: {head}");
            ticket = other_ticket(stage, &mut dice);
            let body = content_length(&head);
            std::io::copy(&mut (&mut stream).take(body), &mut std::io::sink()).unwrap();
            due = Instant::now();
        }
    }
    took
}

fn other_ticket(stage: &Stage, dice: &mut Dice) -> String {
    loop {
        if let Some(ticket) = stage.ledger.ticket(dice) {
            return ticket;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "a good check was not answered");
        head.extend_from_slice(&buffer[..len]);
    }
    String::from_utf8(head).unwrap()
}

/// Of what is still to be read.
fn content_length(answer: &str) -> u64 {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length.unwrap_or(0_u64).saturating_sub(body.len() as u64)
}
