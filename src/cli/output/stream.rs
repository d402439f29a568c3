//! Standard output and standard error, written without their locks, which a blocked write would hold.

use std::io;

/// Where lines go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

#[cfg(unix)]
impl Stream {
    /// Writes a part of `bytes`, at least; waits where the stream does.
    pub(super) fn write(self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        let fd = match self {
            Self::Stdout => rustix::stdio::stdout(),
            Self::Stderr => rustix::stdio::stderr(),
        };
        match rustix::io::write(fd, bytes) {
            // Whoever shares the pipe may have made it so that writes do not wait.
            Err(rustix::io::Errno::AGAIN) => Ok(poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None).map(|_| 0)?),
            result => Ok(result?),
        }
    }
}

/// Through the locks: only the standard library knows how a console takes text. Nothing else writes once a queue does.
#[cfg(windows)]
impl Stream {
    /// Writes all of `bytes`; waits where the stream does.
    pub(super) fn write(self, bytes: &[u8]) -> io::Result<usize> {
        use io::Write as _;
        let mut stream: Box<dyn io::Write> = match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
        };
        stream.write_all(bytes).and_then(|()| stream.flush()).map(|()| bytes.len())
    }
}
