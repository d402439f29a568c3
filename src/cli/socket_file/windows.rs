//! No sockets: neither the standard library nor the runtime has them here. A setting that asks for one is refused when it is
//! read.

use std::io;
use std::path::Path;

use auth_ticket::http::Listener;

use super::Occupied;

/// There is none.
#[derive(Debug)]
pub(crate) enum SocketFile {}

pub(crate) fn check(_path: &Path) -> Result<(), Occupied> {
    Err(unsupported())
}

pub(in crate::cli) fn listen(_path: &Path, _mode: u32) -> Result<(Listener, SocketFile), Occupied> {
    Err(unsupported())
}

fn unsupported() -> Occupied {
    Occupied::Io(io::ErrorKind::Unsupported.into())
}
