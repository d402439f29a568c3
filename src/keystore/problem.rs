//! What can be wrong with a file of the directory, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::user::{own_uid, to_be_read};
use crate::keyring::cutoffs::list::CutoffsError;
use crate::keyring::text::TextError;

/// A file that is not as it must be.
#[derive(Debug)]
#[non_exhaustive]
pub struct FileProblem {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What should hold it is no directory.
    #[error("is not a directory")]
    NotADirectory,
    /// A directory, a fifo, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// Above the limit.
    #[error("is larger than {max_len} bytes")]
    TooLarge {
        /// The limit, in bytes.
        max_len: usize,
    },
    /// Owned by neither root nor this user.
    #[error("is owned by user {uid}, who is neither root nor the user that runs this")]
    ForeignOwner {
        /// Its owner.
        uid: u32,
    },
    /// Writable by its group, or anything at all for others.
    #[error("is open to others (mode {mode:04o})")]
    OpenToOthers {
        /// Its permission bits.
        mode: u32,
    },
    /// Readable by its group, which was not allowed.
    #[error("is readable by its group (mode {mode:04o})")]
    OpenToGroup {
        /// Its permission bits.
        mode: u32,
    },
    /// Not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// No right key file.
    #[error(transparent)]
    Key(#[from] TextError),
    /// No right list of cut-offs.
    #[error(transparent)]
    Cutoffs(#[from] CutoffsError),
}

impl FileProblem {
    fn remedy(&self) -> String {
        let path = self.path.display();
        match &self.problem {
            Problem::OpenToOthers { .. } => format!("chmod 600 {path}"),
            Problem::OpenToGroup { .. } => format!("chmod 600 {path}, or allow it with --allow-group-read"),
            // Root's own look at a directory of its own: whose the files should be, only the directory's owner says.
            Problem::ForeignOwner { uid } if own_uid() == 0 => {
                let directory = self.path.parent().unwrap_or(&self.path).display();
                format!("if that is the server's user, give it the directory: chown {uid} {directory}")
            }
            Problem::ForeignOwner { .. } => format!("chown {} {path}", own_uid()),
            Problem::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => to_be_read(&self.path),
            Problem::Io(_) => "restore it from a copy, or remove it".to_owned(),
            Problem::NotADirectory => "give the directory that holds the key files".to_owned(),
            Problem::NotAFile | Problem::TooLarge { .. } => format!("move it out of the directory: {path}"),
            Problem::NotText | Problem::Key(_) => {
                "restore it from a copy, or move it out of the directory and make a new key with keys rotate".to_owned()
            }
            Problem::Cutoffs(_) => "restore it from a copy".to_owned(),
        }
    }
}

/// `keys/ticket-a1b2c3d4.key is open to others (mode 0644); chmod 600 keys/ticket-a1b2c3d4.key`
impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if matches!(self.problem, Problem::Key(_) | Problem::Cutoffs(_)) { ":" } else { "" };
        write!(f, "{}{colon} {}; {}", self.path.display(), self.problem, self.remedy())
    }
}
