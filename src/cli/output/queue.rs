//! A bounded queue of lines, and the thread that writes them. What does not fit is dropped and counted.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::stream::Stream;

/// Several thousand lines. While one such batch is being written, another may wait.
const CAPACITY: usize = 1 << 20;
/// A buffer that has grown beyond this in a flood is not kept.
const KEPT: usize = 64 << 10;
/// How often the thread looks up although there is nothing to write.
const TICK: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the reader.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes lines without ever waiting. Clones share one queue.
#[derive(Clone, Debug)]
pub(crate) struct Queue(Arc<QueueInner>);

#[derive(Debug)]
struct QueueInner {
    state: Mutex<Backlog>,
    /// A line has come.
    filled: Condvar,
    /// Nothing is left to write.
    idle: Condvar,
    /// Since the start.
    dropped: AtomicU64,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Backlog {
    waiting: Vec<u8>,
    /// The thread has a batch in hand, or talks about what was dropped.
    busy: bool,
    /// Dropped lines that no line tells of yet.
    untold: u64,
    /// The last batch could not be written.
    fails: bool,
}

impl Backlog {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || (self.untold > 0 && !self.fails)
    }
}

impl Queue {
    /// Starts the thread that writes to `stream` and, in between, runs `each`; see [`super::start`].
    pub(super) fn start(stream: Stream, each: impl FnMut(u64) + Send + 'static) -> io::Result<Self> {
        let queue = Self::new(CAPACITY);
        let shared = Arc::clone(&queue.0);
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || shared.run(|bytes| stream.write(bytes), each))?;
        Ok(queue)
    }

    fn new(capacity: usize) -> Self {
        Self(Arc::new(QueueInner {
            state: Mutex::default(),
            filled: Condvar::new(),
            idle: Condvar::new(),
            dropped: AtomicU64::new(0),
            capacity,
        }))
    }

    /// Takes one line, or several, with the line feeds at their ends.
    pub(crate) fn push(&self, lines: &[u8]) {
        let Self(shared) = self;
        let mut state = shared.lock();
        if state.waiting.len() + lines.len() > shared.capacity {
            shared.drop_lines(&mut state, lines);
        } else {
            state.waiting.extend_from_slice(lines);
            shared.filled.notify_one();
        }
    }

    /// How many lines were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written, for two seconds at most.
    pub(super) fn flush(&self) {
        let Self(shared) = self;
        let unfinished = |state: &mut Backlog| state.busy || state.has_work();
        drop(shared.idle.wait_timeout_while(shared.lock(), FLUSH_TIMEOUT, unfinished));
    }
}

/// One event of the log each.
impl io::Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl QueueInner {
    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_lines(&self, state: &mut Backlog, lines: &[u8]) {
        let count = lines.split(|byte| *byte == b'\n').skip(1).count() as u64;
        state.untold += count;
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn run(&self, mut write: impl FnMut(&[u8]) -> io::Result<usize>, mut each: impl FnMut(u64)) {
        let mut batch = Vec::new();
        loop {
            batch = self.next_batch(batch);
            if let Some(untold) = self.take_untold() {
                // Behind what has waited, where the lines are missing.
                each(untold);
            }
            if !batch.is_empty() {
                let written = write_all(&mut write, &batch);
                let mut state = self.lock();
                state.fails = written.is_err();
                self.drop_lines(&mut state, written.err().unwrap_or_default());
            }
        }
    }

    /// Nothing while nothing can be written: a line about that would only be the next one to be lost.
    fn take_untold(&self) -> Option<u64> {
        let mut state = self.lock();
        (!state.fails).then(|| mem::take(&mut state.untold))
    }

    /// Waits for lines and takes all of them; takes none when there are none for a while. `last` is what was taken before.
    fn next_batch(&self, mut last: Vec<u8>) -> Vec<u8> {
        last.clear();
        last.shrink_to(KEPT);
        let mut state = self.lock();
        if !state.has_work() {
            state.busy = false;
            self.idle.notify_all();
            let nothing = |state: &mut Backlog| !state.has_work();
            (state, _) = self.filled.wait_timeout_while(state, TICK, nothing).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy = true;
        mem::replace(&mut state.waiting, last)
    }
}

/// Writes `bytes`; what is left of them is the error.
fn write_all<'a>(write: &mut impl FnMut(&[u8]) -> io::Result<usize>, mut bytes: &'a [u8]) -> Result<(), &'a [u8]> {
    while !bytes.is_empty() {
        match write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(bytes),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A queue for 100 bytes, and a stream that takes each batch when the test lets it.
    struct Stage {
        queue: Queue,
        /// What the stream does with the next batch.
        answers: Sender<io::Result<()>>,
        /// Batches that the stream has begun to take.
        begun: Receiver<String>,
    }

    impl Stage {
        fn new() -> Self {
            let queue = Queue::new(100);
            let (answers, next_answer) = channel();
            let (begin, begun) = channel();
            let (shared, teller) = (Arc::clone(&queue.0), queue.clone());
            let write = move |bytes: &[u8]| {
                begin.send(String::from_utf8(bytes.to_owned()).unwrap()).unwrap();
                next_answer.recv().unwrap_or(Ok(())).map(|()| bytes.len())
            };
            let each = move |dropped| {
                if dropped > 0 {
                    teller.push(format!("{dropped} dropped\n").as_bytes());
                }
            };
            thread::spawn(move || shared.run(write, each));
            Self { queue, answers, begun }
        }

        fn begun(&self) -> String {
            self.begun.recv_timeout(Duration::from_secs(20)).unwrap()
        }
    }

    #[test]
    fn a_stream_that_takes_nothing_holds_nobody_up_and_what_was_lost_is_told() {
        let Stage { queue, answers, begun } = &Stage::new();
        queue.push(b"first\n");
        assert_eq!(begun.recv().unwrap(), "first\n");
        for _ in 0..30 {
            queue.push(b"123456789\n");
        }
        assert_eq!(queue.dropped(), 20, "there was room for ten");
        answers.send(Ok(())).unwrap();
        assert_eq!(begun.recv().unwrap(), "123456789\n".repeat(10));
        queue.push(b"later\n");
        answers.send(Ok(())).unwrap();
        assert_eq!(begun.recv().unwrap(), "20 dropped\nlater\n");
        answers.send(Ok(())).unwrap();
        queue.flush();
        assert_eq!((queue.dropped(), queue.0.lock().busy), (20, false));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_told_of_once_they_can_be() {
        let stage = Stage::new();
        stage.queue.push(b"one\n");
        assert_eq!(stage.begun(), "one\n");
        stage.answers.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        stage.queue.flush();
        assert_eq!((stage.queue.dropped(), stage.queue.0.lock().untold), (1, 1));
        stage.queue.push(b"two\nthree\n");
        assert_eq!(stage.begun(), "two\nthree\n");
        stage.answers.send(Ok(())).unwrap();
        assert_eq!(stage.begun(), "1 dropped\n", "without another line");
    }

    #[test]
    fn a_write_that_is_cut_short_or_interrupted_is_continued() {
        let mut taken = Vec::new();
        let mut calls = 0;
        let mut write = |bytes: &[u8]| {
            calls += 1;
            if calls % 2 == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let piece = bytes.get(..3).unwrap_or(bytes);
            taken.extend_from_slice(piece);
            Ok(piece.len())
        };
        assert_eq!(write_all(&mut write, b"a line\nanother\n"), Ok(()));
        assert_eq!(taken, b"a line\nanother\n");
        let mut write = |bytes: &[u8]| if bytes.len() > 5 { Ok(4) } else { Err(io::ErrorKind::BrokenPipe.into()) };
        assert_eq!(write_all(&mut write, b"123456789"), Err(&b"56789"[..]));
    }

    #[test]
    fn a_buffer_that_grew_in_a_flood_is_not_kept() {
        let queue = Queue::new(CAPACITY);
        queue.push(&vec![b'\n'; CAPACITY]);
        assert_eq!(queue.dropped(), 0);
        let batch = queue.0.next_batch(Vec::new());
        assert_eq!(batch.len(), CAPACITY);
        queue.push(b"x\n");
        let batch = queue.0.next_batch(batch);
        assert_eq!(batch, b"x\n");
        assert!(queue.0.lock().waiting.capacity() <= KEPT);
    }
}
