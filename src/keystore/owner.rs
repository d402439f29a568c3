//! Whom a directory belongs to, and who else may write in it.

use std::io;
use std::path::PathBuf;

/// Whom a directory belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers")]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// What about a directory lets somebody else put files into it.
#[derive(Debug)]
#[cfg_attr(windows, expect(dead_code, reason = "nothing looks at it there"))]
pub(super) enum OpenDirectory {
    /// Its permission bits.
    ToOthers { mode: u32 },
    /// An owner who is neither root nor this user.
    ToItsOwner { uid: u32 },
}

/// Why a directory was not made for somebody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The path ends with `..` or is the root.
    #[error("the path does not end with a name")]
    NoName,
    /// Anybody who can rename things there could have another directory given away.
    #[error("others than root can write in {}", .0.display())]
    ParentOfOthers(PathBuf),
    /// The file system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}
