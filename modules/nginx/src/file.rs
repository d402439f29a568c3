//! A verifier file: read when nginx starts, and looked at again while it runs.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use auth_ticket::clock::UnixSeconds;
use auth_ticket::verifier::{AppVerifier, VerifierError};
use zeroize::Zeroizing;

use crate::counters::FileStatus;

const MAX_LEN: u64 = AppVerifier::MAX_LEN as u64;

/// Why a file was not taken.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read.
    Io(io::Error),
    /// A directory, a device, a pipe.
    NotAFile,
    /// Longer than a verifier file can be.
    TooLong,
    /// Others than its owner may write it, or others than its owner and group may read it.
    TooOpen(u32),
    /// It is no verifier file.
    Broken(VerifierError),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => why.fmt(f),
            Self::NotAFile => f.write_str("not a regular file"),
            Self::TooLong => f.write_str("longer than 257 MiB"),
            Self::TooOpen(mode) => {
                write!(f, "its mode is {mode:04o}: only its owner may write it, and only owner and group may read it")
            }
            Self::Broken(why) => why.fmt(f),
        }
    }
}

impl From<io::Error> for FileError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

/// The file, and what is used of it.
pub struct VerifierFile {
    path: PathBuf,
    /// What the last look found, so that the same is not parsed again; it holds subkeys.
    content: Zeroizing<Vec<u8>>,
    verifier: AppVerifier,
    /// What is wrong with the file, if the last look did not take it.
    problem: Option<String>,
}

/// What a look came to. Each is worth one line of the log.
#[derive(Debug, Eq, PartialEq)]
pub enum Look {
    /// As the last time.
    Same,
    /// Another content, which is used from now on. True if the file was in trouble before.
    Taken(bool),
    /// Not taken, and why. Revocations and cut-offs of it count nevertheless.
    Kept(String),
}

impl VerifierFile {
    /// Reads `path` for the first time.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn load(path: &Path, now: UnixSeconds) -> Result<Self, FileError> {
        let (content, mode) = read(path)?;
        is_closed(mode)?;
        let verifier = AppVerifier::parse(&content, now).map_err(FileError::Broken)?;
        Ok(Self { path: path.to_owned(), content, verifier, problem: None })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What opens tickets.
    #[must_use]
    pub fn verifier(&self) -> &AppVerifier {
        &self.verifier
    }

    /// For operators.
    #[must_use]
    pub fn status(&self) -> FileStatus {
        FileStatus {
            appid: self.verifier.appid().as_str().to_owned(),
            made: self.verifier.made().as_u64(),
            is_good: self.problem.is_none(),
        }
    }

    /// Reads the file again. Whatever is wrong with it, its revocations and cut-offs count from now on; everything else
    /// only if all of it is right.
    pub fn look(&mut self, now: UnixSeconds) -> Look {
        match self.try_look(now) {
            Ok(false) => Look::Same,
            Ok(true) => Look::Taken(self.problem.take().is_some()),
            Err(why) => {
                let why = Some(why.to_string());
                if self.problem == why {
                    return Look::Same;
                }
                self.problem = why;
                Look::Kept(self.problem.clone().unwrap_or_default())
            }
        }
    }

    /// Whether there was something else, and it was taken.
    fn try_look(&mut self, now: UnixSeconds) -> Result<bool, FileError> {
        let (content, mode) = read(&self.path)?;
        let is_same = *content == *self.content;
        if is_same && self.problem.is_none() && is_closed(mode).is_ok() {
            return Ok(false);
        }
        self.content = content;
        if let Err(why) = is_closed(mode) {
            self.verifier.take_power(&self.content, now);
            return Err(why);
        }
        self.verifier.update(&self.content, now).map_err(FileError::Broken)?;
        Ok(true)
    }
}

/// Without what it holds.
impl fmt::Debug for VerifierFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierFile").field("path", &self.path).field("problem", &self.problem).finish_non_exhaustive()
    }
}

/// Content and mode, opened so that a pipe or a device does not hold nginx up.
fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), FileError> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile);
    }
    if metadata.len() > MAX_LEN {
        return Err(FileError::TooLong);
    }
    // With room for all of it, so that no part is left in memory that a growing buffer gave back.
    let expected = usize::try_from(metadata.len()).unwrap_or_default();
    let mut content = Zeroizing::new(Vec::with_capacity(expected + 1));
    let _ = file.take(MAX_LEN).read_to_end(&mut content)?;
    Ok((content, metadata.mode() & 0o7777))
}

fn is_closed(mode: u32) -> Result<(), FileError> {
    if mode & 0o027 == 0 { Ok(()) } else { Err(FileError::TooOpen(mode)) }
}
