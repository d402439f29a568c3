//! Standard output and standard error of a process that must not wait for their readers.
//!
//! A pipe whose reader has stopped is full after 64 KiB, and the next write to it does not return. So a server writes
//! through queues: [`start`] begins, [`finish`] ends. Commands that end by themselves write directly, as people expect of
//! `auth-ticket keys list | less`.

mod queue;
mod stream;

use std::io::{self, Write};
use std::sync::OnceLock;

use anyhow::Context;
pub(super) use queue::Queue;
use stream::Stream;

use super::signals;

static QUEUES: OnceLock<Queues> = OnceLock::new();

#[derive(Debug)]
struct Queues {
    stdout: Queue,
    stderr: Queue,
}

/// From now on nothing that is written waits for a reader. `each` runs on the thread that writes standard error, at least
/// once a second while that can be written, with the number of lines that were dropped since it last ran.
pub(super) fn start(each: impl FnMut(u64) + Send + 'static) -> anyhow::Result<Queue> {
    let (stdout, stderr) = signals::held(|| {
        let stdout = Queue::start(Stream::Stdout, |_| {}).context("cannot start the thread that writes")?;
        let stderr = Queue::start(Stream::Stderr, each).context("cannot start the thread that writes the log")?;
        Ok((stdout, stderr))
    })?;
    Ok(QUEUES.get_or_init(|| Queues { stdout, stderr }).stderr.clone())
}

/// Tells where a server is, on standard output. It serves all the same when nobody reads that, or reads on.
pub(super) fn say(line: &str) {
    match QUEUES.get() {
        Some(queues) => queues.stdout.push(format!("{line}\n").as_bytes()),
        None => drop(writeln!(io::stdout(), "{line}")),
    }
}

/// Writes to standard error what went wrong. If that is closed, the exit code is all that is left.
pub(super) fn complain(text: &str) {
    match QUEUES.get() {
        Some(queues) => queues.stderr.push(text.as_bytes()),
        None => drop(io::stderr().lock().write_all(text.as_bytes())),
    }
}

/// Waits until everything is written, but not for a reader that has stopped.
pub(super) fn finish() {
    if let Some(queues) = QUEUES.get() {
        queues.stdout.flush();
        queues.stderr.flush();
    }
}
