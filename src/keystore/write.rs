//! Adding and removing whole files, crash-safe, one command at a time.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use super::read::CUTOFFS;
use super::{key_file_name, revoked_file_name};
use crate::keyring::cutoffs::list::{self, Cutoff};
use crate::keyring::{Key, KeyError, KeyName, KeySpec, text};

const LOCK: &str = ".lock";
const TEMPORARY_PREFIX: &str = ".tmp-";
/// How often a new key's 4-byte kid may already be taken before something else must be wrong.
const MAX_DRAWS: usize = 16;

/// Why nothing was written, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Another command is writing.
    #[error("another auth-ticket command is writing in {}", .0.display())]
    Locked(PathBuf),
    /// The file system said no.
    #[error("cannot write {}", path.display())]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// No key could be made.
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    /// Every kid that was drawn is taken.
    #[error("every kid that was drawn is already taken in {}", .0.display())]
    NoFreeKid(PathBuf),
}

impl WriteError {
    /// What to do about it, as a line to follow the error.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Locked(_) => Some("try again in a moment".to_owned()),
            Self::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                let directory = path.parent().unwrap_or(path).display();
                Some(format!("make the directory and its first keys: auth-ticket keys init --keys {directory}"))
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Some("this is a read-only copy: write where the keys come from".to_owned())
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run as the user that owns the keys".to_owned())
            }
            _ => None,
        }
    }
}

/// The right to write in a keys directory, until it is dropped.
#[derive(Debug)]
pub struct WriteLock {
    directory: PathBuf,
    /// Holds the lock; the operating system lets go of it when the process ends, however it ends.
    _file: File,
}

impl WriteLock {
    pub(super) fn acquire(directory: &Path) -> Result<Self, WriteError> {
        let path = directory.join(LOCK);
        let io_error = |source| WriteError::Io { path: path.clone(), source };
        let nofollow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(nofollow)
            .open(&path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WriteError::Locked(directory.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let lock = Self { directory: directory.to_owned(), _file: file };
        lock.remove_leftovers();
        Ok(lock)
    }

    /// Makes a key as `spec` says and adds its file.
    ///
    /// # Errors
    /// [`WriteError`]; then the directory is as it was.
    pub fn add_key(&self, spec: KeySpec) -> Result<Key, WriteError> {
        for _ in 0..MAX_DRAWS {
            let key = Key::generate(spec)?;
            // A kid that was revoked stays dead, so a new key must not draw it.
            if self.directory.join(revoked_file_name(key.name())).symlink_metadata().is_ok() {
                continue;
            }
            match self.add_file(&key_file_name(key.name()), text::encode(&key).as_bytes()) {
                Ok(()) => return Ok(key),
                Err(WriteError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(WriteError::NoFreeKid(self.directory.clone()))
    }

    /// Adds the file that revokes `name`; `false` if it was there already.
    ///
    /// # Errors
    /// The file system said no.
    pub fn revoke(&self, name: KeyName) -> Result<bool, WriteError> {
        match self.add_file(&revoked_file_name(name), b"") {
            Ok(()) => Ok(true),
            Err(WriteError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts `cutoffs` in the place of the present list, as a whole.
    ///
    /// # Errors
    /// The file system said no; then the present list is as it was.
    pub fn replace_cutoffs(&self, cutoffs: &[Cutoff]) -> Result<(), WriteError> {
        let path = self.directory.join(CUTOFFS);
        let write = || {
            let file = self.temporary_file(list::encode(cutoffs).as_bytes())?;
            file.persist(&path)?;
            self.sync_directory()
        };
        write().map_err(|source| WriteError::Io { path: path.clone(), source })
    }

    /// Removes the file of the key `name`, never the one that revokes it.
    ///
    /// # Errors
    /// The file system said no.
    pub fn remove_key(&self, name: KeyName) -> Result<(), WriteError> {
        let path = self.directory.join(key_file_name(name));
        let io_error = |source| WriteError::Io { path: path.clone(), source };
        std::fs::remove_file(&path).map_err(io_error)?;
        self.sync_directory().map_err(io_error)
    }

    /// Whole content first, then the name: at no point does a part of a file stand under its name.
    fn add_file(&self, name: &str, content: &[u8]) -> Result<(), WriteError> {
        let path = self.directory.join(name);
        self.write_whole(&path, content).map_err(|source| WriteError::Io { path, source })
    }

    fn write_whole(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.temporary_file(content)?.persist_noclobber(path)?;
        self.sync_directory()
    }

    fn temporary_file(&self, content: &[u8]) -> io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .permissions(std::fs::Permissions::from_mode(0o600))
            .tempfile_in(&self.directory)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Temporary files of a command that was killed hold a secret that nobody needs.
    fn remove_leftovers(&self) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX)) {
                // If it cannot be removed, it does no harm: names that begin with a dot are passed over.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
