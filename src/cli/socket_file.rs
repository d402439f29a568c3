//! A Unix socket at a path: made, put in the place of a stale one, taken away at the end.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;

#[cfg(unix)]
pub(super) use unix::{SocketFile, check, listen};
#[cfg(windows)]
pub(super) use windows::{SocketFile, check, listen};

/// What is at a path already.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(windows, expect(dead_code, reason = "nothing can be there"))]
pub(crate) enum Occupied {
    #[error("another process answers there")]
    InUse,
    #[error("what is there is no socket")]
    NoSocket,
    #[error("the socket there belongs to user {0}")]
    Foreign(u32),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Occupied {
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::InUse => "stop that process, or choose another path",
            Self::NoSocket => "remove it if nobody needs it, or choose another path",
            Self::Foreign(_) => "remove it as that user or as root, or choose another path",
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "make its directory for the server's user (RuntimeDirectory= in a unit), or choose another path"
            }
            Self::Io(_) => "see that the server's user may write in its directory, or choose another path",
        }
    }
}
