//! epoll(7), as far as it is needed here.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

/// Tells which of some sockets have something to read.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// Tells at most so many at once.
    pub(crate) fn new(events: usize) -> anyhow::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(events) })
    }

    /// From now on until it is closed, `socket` is called `number`.
    pub(crate) fn add(&self, socket: impl AsFd, number: usize) -> anyhow::Result<()> {
        let data = epoll::EventData::new_u64(u64::try_from(number)?);
        Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?)
    }

    /// Waits for at most `timeout`; how many there are.
    pub(crate) fn wait(&mut self, timeout: Duration) -> anyhow::Result<usize> {
        self.events.clear();
        let timeout = Timespec::try_from(timeout)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error.into()),
        }
    }

    /// The number of one of those that the last `wait` has told.
    pub(crate) fn ready(&self, at: usize) -> usize {
        usize::try_from(self.events[at].data.u64()).unwrap_or(usize::MAX)
    }
}
