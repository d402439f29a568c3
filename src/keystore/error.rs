//! Why a directory gives no ring, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::problem::FileProblem;
use super::user::{own_uid, to_be_listed};
use crate::clock::UnixSeconds;
use crate::keyring::{KeyName, RingError};

/// Why a directory gives no ring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The directory is missing or cannot be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The path leads to something else than a directory.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// People other than the owner could put files into it.
    #[error("{} is writable by its group or by others (mode {mode:04o})", path.display())]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its owner could put files into it, and is nobody whom that is trusted to.
    #[error("{} is owned by user {uid}, who is neither root nor the user that runs this", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A volume whose files were replaced during every scan of it.
    #[error("{} was replaced each time that it was read", .0.display())]
    Restless(PathBuf),
    /// Files that are not as they must be, at least one.
    #[error("{}", Problems(.0))]
    Files(Vec<FileProblem>),
    /// The files are right one by one, but not together.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// There is no key for tickets.
    #[error("no ticket key in {}{}", path.display(), Others(*.passed_over))]
    NoTicketKey {
        /// The directory.
        path: PathBuf,
        /// How many files in it are for others, a newer version perhaps.
        passed_over: usize,
    },
    /// The newest key or cut-off was made in what this clock takes for the future.
    #[error("the clock says {now}, but {} was made at {created}: the clock is behind, or was ahead then", MadeIn(path, *key))]
    ClockBehind {
        /// The file.
        path: PathBuf,
        /// The key in it; `None` for a cut-off.
        key: Option<KeyName>,
        /// When it says it was made.
        created: UnixSeconds,
        /// What the clock says.
        now: UnixSeconds,
    },
}

impl LoadError {
    /// What to do about it, as a line to follow the error.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::List { path, source } if source.kind() == io::ErrorKind::NotFound => Some(first_keys(path)),
            Self::NoTicketKey { path, passed_over: 0 } => Some(first_keys(path)),
            Self::NoTicketKey { .. } => Some("use the version that wrote the other files, or a newer one".to_owned()),
            Self::List { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!("the user who runs the server has to own and read it: {}", to_be_listed(path)))
            }
            Self::Restless(_) => Some("try again when whatever replaces it has come to rest".to_owned()),
            Self::NotADirectory(_) => Some("give the directory that holds the key files".to_owned()),
            Self::WritableByOthers { path, .. } => Some(format!("chmod go-w {}", path.display())),
            Self::Ring(RingError::SameSecret(..)) => {
                Some("one of the two is a copy: remove the one that was made by hand".to_owned())
            }
            Self::List { path, .. } => {
                let path = path.display();
                Some(format!("see that its disk or volume is mounted and can be read: ls -la {path}"))
            }
            Self::Files(_) | Self::Ring(RingError::SameAppTag(..)) => None,
            Self::ForeignOwner { path, uid } => {
                let (path, own) = (path.display(), own_uid());
                Some(format!("run as user {uid}, or give the directory to the user that runs this: chown {own} {path}"))
            }
            Self::ClockBehind { path, key, .. } => {
                let directory = path.parent().unwrap_or(path).display();
                let way_back = match key {
                    Some(key) => format!("auth-ticket keys revoke {key} --keys {directory}"),
                    None => format!("auth-ticket cutoff list --keys {directory} shows it, cutoff remove takes it back"),
                };
                Some(format!("set the clock (NTP); if it is right, {way_back}"))
            }
        }
    }
}

/// What to do about a directory without keys. A replica that made keys of its own would refuse the tickets of all others.
pub(super) fn first_keys(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "on a replica, copy them there; the first keys of a new installation: auth-ticket keys init --keys {directory}"
    )
}

/// A cut-off is one of several in its file, a key the only one.
struct MadeIn<'a>(&'a Path, Option<KeyName>);

impl fmt::Display for MadeIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.1.is_some() { "" } else { "a cut-off in " })?;
        write!(f, "{}", self.0.display())
    }
}

struct Others(usize);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" that this program knows; 1 file is passed over"),
            several => write!(f, " that this program knows; {several} files are passed over"),
        }
    }
}

struct Problems<'a>(&'a [FileProblem]);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [only] => write!(f, "{only}"),
            several => {
                write!(f, "{} files are not as they must be", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
