//! Adding and removing whole files, crash-safe, one command at a time.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::first_keys;
use super::handle::{self, Handle};
use super::names::{CUTOFFS, key_file_name, revoked_file_name};
use super::user::own_uid;
use crate::clock::UnixSeconds;
use crate::keyring::cutoffs::Recovered;
use crate::keyring::{Key, KeyError, KeyName, KeySpec, text};

pub(super) const LOCK: &str = ".lock";
const TEMPORARY_PREFIX: &str = ".tmp-";
/// What a list of cut-offs that was broken is kept as.
const BROKEN_PREFIX: &str = ".cutoffs-broken-";
/// How often a new key's 4-byte kid may already be taken before something else must be wrong.
const MAX_DRAWS: usize = 16;
/// How often a temporary file's name may be taken.
const MAX_TEMPORARY: usize = 1000;
/// How often a lock that somebody else has is asked for again.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why nothing was written, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Another command is writing.
    #[error("another auth-ticket command is writing in {}{}", path.display(), Waited(*waited_s))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
    /// The file that is locked belongs to somebody else.
    #[error("cannot lock {}, which belongs to user {uid}", path.display())]
    ForeignLock {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
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
            Self::Locked { waited_s: 0, .. } => Some("try again in a moment".to_owned()),
            Self::Locked { path, .. } => {
                Some(format!("find out which, and end it if it hangs: fuser -v {}", path.join(LOCK).display()))
            }
            // The directory's owner runs this. Which of the two the server's user is, is not known here.
            Self::ForeignLock { path, uid } => {
                let (own, directory) = (own_uid(), path.parent().unwrap_or(path).display());
                let path = path.display();
                Some(format!(
                    "if user {own} runs the server: chown {own} {path}; if user {uid} does: chown {uid} {directory}"
                ))
            }
            Self::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                Some(first_keys(path.parent().unwrap_or(path)))
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Some("this is a read-only copy: write where the keys come from".to_owned())
            }
            Self::Io { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                let directory = path.parent().unwrap_or(path).display();
                Some(format!("let its owner write there: chmod u+rwx {directory}"))
            }
            Self::Io { path, source }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Some(format!("make room on the file system of {}", path.parent().unwrap_or(path).display()))
            }
            _ => None,
        }
    }
}

struct Waited(u64);

impl std::fmt::Display for Waited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            seconds => write!(f, ", for {seconds} s already"),
        }
    }
}

/// What writes in a directory that is open.
#[derive(Debug)]
pub(super) struct Writer {
    /// For messages.
    path: PathBuf,
    directory: Arc<Handle>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, directory: Arc<Handle>) -> Self {
        Self { path, directory }
    }

    fn error(&self, name: &str) -> impl FnOnce(io::Error) -> WriteError {
        let path = self.path.join(name);
        move |source| WriteError::Io { path, source }
    }

    fn no_lock(&self, error: io::Error) -> WriteError {
        let owner = self.directory.owner_of(LOCK).ok();
        match owner.filter(|uid| *uid != own_uid()) {
            Some(uid) if error.kind() == io::ErrorKind::PermissionDenied => {
                WriteError::ForeignLock { path: self.path.join(LOCK), uid }
            }
            _ => self.error(LOCK)(error),
        }
    }

    pub(super) fn revoke(&self, name: KeyName) -> Result<bool, WriteError> {
        let file = revoked_file_name(name);
        let made = match self.directory.make(&file) {
            // Where a new file has no room, a second name for one that is there may have some.
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                self.directory.link_to_free(LOCK, &file).map_err(|_| error)
            }
            made => made.map(drop),
        };
        match made {
            Ok(()) => {
                // It is in force already. Should the disk fail now, the next look of a server has seen it.
                self.directory.sync().map_err(self.error(&file))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.error(&file)(error)),
        }
    }

    /// Whole content first, then the name: at no point does a part of a file stand under its name.
    fn add_file(&self, name: &str, content: &[u8]) -> Result<(), WriteError> {
        let write = || {
            let temporary = self.temporary_file(content)?;
            self.directory.rename_to_free(&temporary, name).inspect_err(|_| self.discard(&temporary))?;
            self.directory.sync()
        };
        write().map_err(self.error(name))
    }

    fn replace_file(&self, name: &str, content: &[u8]) -> Result<(), WriteError> {
        let write = || {
            let temporary = self.temporary_file(content)?;
            self.directory.rename_over(&temporary, name).inspect_err(|_| self.discard(&temporary))?;
            self.directory.sync()
        };
        write().map_err(self.error(name))
    }

    /// Writes `content` into a new file, and tells its name.
    fn temporary_file(&self, content: &[u8]) -> io::Result<String> {
        let (name, mut file) = self.make_temporary()?;
        file.write_all(content).and_then(|()| file.sync_all()).inspect_err(|_| self.discard(&name))?;
        Ok(name)
    }

    fn make_temporary(&self) -> io::Result<(String, File)> {
        let process = std::process::id();
        for number in 0..MAX_TEMPORARY {
            let name = format!("{TEMPORARY_PREFIX}{process}-{number}");
            match self.directory.make(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|file| (name, file)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn discard(&self, temporary: &str) {
        // If it cannot be removed, it does no harm: names that begin with a dot are passed over.
        let _ = self.directory.remove(temporary);
    }

    /// Temporary files of a command that was killed hold a secret that nobody needs.
    fn remove_leftovers(&self) {
        let Ok(names) = self.directory.names() else { return };
        for name in names.iter().filter_map(|name| name.to_str()) {
            if name.starts_with(TEMPORARY_PREFIX) {
                self.discard(name);
            }
        }
    }
}

/// The right to write in a keys directory, until it is dropped.
#[derive(Debug)]
pub struct WriteLock {
    writer: Writer,
    /// Holds the lock; the operating system lets go of it when the process ends, however it ends.
    _file: File,
}

impl WriteLock {
    pub(super) fn acquire(writer: Writer, wait: Duration) -> Result<Self, WriteError> {
        let file = writer.directory.open_or_make(LOCK).map_err(|error| writer.no_lock(error))?;
        let mut left = wait;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if left.is_zero() => {
                    return Err(WriteError::Locked { path: writer.path, waited_s: wait.as_secs() });
                }
                Err(TryLockError::WouldBlock) => {
                    let pause = LOCK_PAUSE.min(left);
                    wait_for_the_holder(pause);
                    left = left.saturating_sub(pause);
                }
                Err(TryLockError::Error(source)) => return Err(writer.error(LOCK)(source)),
            }
        }
        writer.remove_leftovers();
        Ok(Self { writer, _file: file })
    }

    /// Makes a key as `spec` says and adds its file.
    ///
    /// # Errors
    /// [`WriteError`]; then the directory is as it was.
    pub fn add_key(&self, spec: KeySpec) -> Result<Key, WriteError> {
        for _ in 0..MAX_DRAWS {
            let key = Key::generate(spec)?;
            // A kid that was revoked stays dead, so a new key must not draw it.
            let revocation = revoked_file_name(key.name());
            if self.writer.directory.has(&revocation).map_err(self.writer.error(&revocation))? {
                continue;
            }
            match self.writer.add_file(&key_file_name(key.name()), text::encode(&key).as_bytes()) {
                Ok(()) => return Ok(key),
                Err(WriteError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(WriteError::NoFreeKid(self.writer.path.clone()))
    }

    /// Puts `list` in the place of the present one, as a whole.
    ///
    /// # Errors
    /// The file system said no; then the present list is as it was.
    pub fn replace_cutoffs(&self, list: &Recovered) -> Result<(), WriteError> {
        self.writer.replace_file(CUTOFFS, list.encode().as_bytes())
    }

    /// [`WriteLock::replace_cutoffs`] that keeps the present file under another name, which it tells.
    ///
    /// # Errors
    /// As there.
    pub fn replace_broken_cutoffs(&self, list: &Recovered, now: UnixSeconds) -> Result<String, WriteError> {
        let Writer { directory, .. } = &self.writer;
        let replace = || {
            let temporary = self.writer.temporary_file(list.encode().as_bytes())?;
            let result = keep_aside(directory, now).and_then(|aside| {
                directory.rename_over(&temporary, CUTOFFS).inspect_err(|_| {
                    let is_there = directory.has(CUTOFFS).unwrap_or_default();
                    let _ = if is_there { directory.remove(&aside) } else { directory.rename_over(&aside, CUTOFFS) };
                })?;
                directory.sync()?;
                Ok(aside)
            });
            result.inspect_err(|_| self.writer.discard(&temporary))
        };
        replace().map_err(self.writer.error(CUTOFFS))
    }

    /// Removes the file of the key `name`, never the one that revokes it.
    ///
    /// # Errors
    /// The file system said no.
    pub fn remove_key(&self, name: KeyName) -> Result<(), WriteError> {
        let file = key_file_name(name);
        let Writer { directory, .. } = &self.writer;
        directory.remove(&file).and_then(|()| directory.sync()).map_err(self.writer.error(&file))
    }

    /// What the file system takes the time to be, seen at a file that is made for this and removed again.
    ///
    /// # Errors
    /// The file system said no.
    pub fn file_system_time(&self) -> Result<UnixSeconds, WriteError> {
        let (name, file) = self.writer.make_temporary().map_err(self.writer.error(TEMPORARY_PREFIX))?;
        self.writer.discard(&name);
        handle::changed_at(&file).map_err(self.writer.error(&name))
    }
}

/// Gives the list of cut-offs a second name, or another one where that cannot be (a directory, somebody else's file).
fn keep_aside(directory: &Handle, now: UnixSeconds) -> io::Result<String> {
    for number in 0..MAX_TEMPORARY {
        let again = if number == 0 { String::new() } else { format!("-{number}") };
        let name = format!("{BROKEN_PREFIX}{now}{again}");
        match directory.link_to_free(CUTOFFS, &name).or_else(|_| directory.rename_to_free(CUTOFFS, &name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| name),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[expect(clippy::disallowed_methods, reason = "another process has the lock, and no clock of ours says for how long")]
fn wait_for_the_holder(pause: Duration) {
    std::thread::sleep(pause);
}
