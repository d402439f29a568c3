//! A verifier file that is looked at again and again: what changed, and what of it is taken.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::access::{self, Content, Demand};
use super::handle;
use super::problem::Problem;
use crate::clock::UnixSeconds;
use crate::verifier::{AppVerifier, VerifierError};

/// Whoever exported it may own it; a gateway reads it by its group.
const DEMAND: Demand = Demand { max_len: AppVerifier::MAX_LEN, allow_group_read: true, allow_any_owner: true };

/// A verifier file, and what is used of it. For what has no runtime: ask it to look every few seconds.
///
/// ```no_run
/// use auth_ticket::clock::{Clock, SystemClock};
/// use auth_ticket::keystore::{VerifierFile, VerifierReload};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut file = VerifierFile::load("/etc/gateway/wx0123456789abcdef.verify", SystemClock.now())?;
/// // Every few seconds:
/// if let VerifierReload::Kept { why, .. } = file.look(SystemClock.now()) {
///     eprintln!("{why}; {}", why.remedy());
/// }
/// // For each request; a file that is too old must let nobody in:
/// let now = SystemClock.now();
/// file.verifier().check_age(now, Some(600))?;
/// let ticket = file.verifier().open("AQID...", now)?;
/// # Ok(())
/// # }
/// ```
pub struct VerifierFile {
    path: PathBuf,
    verifier: AppVerifier,
    /// `None`: whatever the next look finds is new.
    seen: Option<SeenFile>,
}

/// What the last look found, to tell whether the next one finds something else.
#[derive(Eq, PartialEq)]
struct SeenFile {
    /// `None` where nothing could be read.
    digest: Option<[u8; 32]>,
    trouble: Option<String>,
}

/// What a look at a verifier file came to.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a file is taken, kept, or there is nothing new")]
pub enum VerifierReload {
    /// Everything is as it was at the last look.
    Unchanged,
    /// The file has another content, or is right again.
    Taken {
        /// What opens tickets from now on.
        verifier: AppVerifier,
        /// Whether the last look had not taken it.
        is_right_again: bool,
    },
    /// The file is not right; the old keys stay.
    Kept {
        /// The old one with the revocations and cut-offs that could be read.
        verifier: AppVerifier,
        /// Why it was not taken.
        why: VerifierFileError,
    },
}

/// Why a verifier file is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierFileError {
    /// It cannot be read, or others can read or write it.
    #[error("{} {problem}", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// It is read, and is not right.
    #[error("{}: {error}", path.display())]
    Content {
        /// Where it is.
        path: PathBuf,
        /// What is wrong in it.
        error: VerifierError,
    },
}

impl VerifierFileError {
    /// What to do about it, as a line to follow the error.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::File { path, problem: Problem::OpenToOthers { .. } } => format!("chmod 640 {}", path.display()),
            Self::File { problem: Problem::Io(error), .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "let a group of the user that runs this read it: auth-ticket keys export --group GROUP".to_owned()
            }
            Self::File { path, problem: Problem::Io(error) } if error.kind() != io::ErrorKind::NotFound => {
                format!("see that it can be read: ls -l {}", path.display())
            }
            _ => "auth-ticket keys export writes it anew".to_owned(),
        }
    }
}

impl VerifierFile {
    /// Reads the file for the first time, strictly. How old it is, [`AppVerifier::check_age`] says.
    ///
    /// # Errors
    /// [`VerifierFileError`]
    pub fn load(path: impl Into<PathBuf>, now: UnixSeconds) -> Result<Self, VerifierFileError> {
        let path = path.into();
        handle::keep_spare();
        match read(&path) {
            Ok((content, None)) => match AppVerifier::parse(&content, now) {
                Ok(verifier) => Ok(Self { path, verifier, seen: Some(SeenFile::of(Some(&content), None)) }),
                Err(error) => Err(VerifierFileError::Content { path, error }),
            },
            Ok((_, Some(problem))) | Err(problem) => Err(VerifierFileError::File { path, problem }),
        }
    }

    /// Reads the file again. Whatever is wrong with it, its revocations and cut-offs count from now on; everything else
    /// only if all of it is right.
    ///
    /// Some descriptors are kept back for this, so that it works when connections have taken all others.
    pub fn look(&mut self, now: UnixSeconds) -> VerifierReload {
        handle::keep_spare();
        let found = read(&self.path);
        handle::keep_spare();
        let (content, problem) = match found {
            Ok((content, problem)) => (Some(content), problem),
            Err(problem) => (None, Some(problem)),
        };
        let was_right = self.seen.as_ref().is_none_or(|seen| seen.trouble.is_none());
        if problem.is_none() && was_right && self.seen == Some(SeenFile::of(content.as_ref(), None)) {
            return VerifierReload::Unchanged;
        }
        // A file that was not taken is tried again as it is: time can put it right.
        let why = match (&content, problem) {
            (Some(content), None) => self.verifier.update(content, now).err().map(|error| self.error_in_content(error)),
            (content, problem) => {
                if let Some(content) = content {
                    self.verifier.take_power(content, now);
                }
                problem.map(|problem| VerifierFileError::File { path: self.path.clone(), problem })
            }
        };
        let seen = Some(SeenFile::of(content.as_ref(), why.as_ref().map(ToString::to_string)));
        let is_new = self.seen != seen;
        self.seen = seen;
        let verifier = || self.verifier.clone();
        match why {
            None => VerifierReload::Taken { verifier: verifier(), is_right_again: !was_right },
            Some(why) if is_new => VerifierReload::Kept { verifier: verifier(), why },
            Some(_) => VerifierReload::Unchanged,
        }
    }

    /// Has the next look tell of everything anew: what the last one found did not get where it should.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What opens tickets.
    #[must_use]
    pub const fn verifier(&self) -> &AppVerifier {
        &self.verifier
    }

    /// Whether the last look took what it found.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.trouble.is_none())
    }

    fn error_in_content(&self, error: VerifierError) -> VerifierFileError {
        VerifierFileError::Content { path: self.path.clone(), error }
    }
}

impl SeenFile {
    fn of(content: Option<&Content>, trouble: Option<String>) -> Self {
        Self { digest: content.map(|content| Sha256::digest(content.as_slice()).into()), trouble }
    }
}

/// Without its keys.
impl fmt::Debug for VerifierFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What can be read of it, with what is wrong with the file.
fn read(path: &Path) -> Result<(Content, Option<Problem>), Problem> {
    let (directory, name) = handle::open_parent(path)?;
    access::read_in_spite_of(&directory, name, DEMAND)
}
