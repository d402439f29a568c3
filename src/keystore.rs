//! Keys directory <-> [`KeyRing`]: names, modes, reading and crash-safe writing. The only module that opens key files.
//!
//! Reading is strict: at start every file has to be right, or [`Directory::load`] tells of each one that is not, with
//! what to do about it. Writing only ever adds a whole file or removes one; a crash at any point leaves a ring that loads.
//!
//! Nothing here needs a runtime. A program that runs for longer looks again with a [`Reloader`], because a revocation is a
//! new file:
//!
//! ```
//! use auth_ticket::clock::{Clock, SystemClock};
//! use auth_ticket::keyring::{AppId, KeyRing};
//! use auth_ticket::keystore::{Directory, LoadError, Reload, Reloader};
//!
//! fn start(keys: &str, app: AppId) -> Result<(Reloader, KeyRing), LoadError> {
//!     let (reloader, ring, _) = Reloader::start(Directory::new(keys), [app], SystemClock.now())?;
//!     Ok((reloader, ring))
//! }
//!
//! /// Every few seconds.
//! fn look(reloader: &mut Reloader, ring: &mut KeyRing) {
//!     match reloader.look(SystemClock.now()) {
//!         Reload::Unchanged => {}
//!         Reload::Taken { ring: new, .. } => *ring = new,
//!         // The directory is not right. The ring has the old keys, and what it adds in revocations.
//!         Reload::Kept { ring: new, why, .. } => {
//!             eprintln!("{}", why.explained());
//!             *ring = new;
//!         }
//!     }
//! }
//! # let Err(error) = start("/nonexistent", AppId::parse("wx0123456789abcdef").unwrap()) else { panic!() };
//! # assert!(error.remedy().unwrap().contains("keys init"));
//! # let _ = look;
//! ```

//!
//! A program that has a verifier file instead of the directory looks at it with a [`VerifierFile`].

mod access;
mod error;
#[cfg(feature = "tower")]
mod follow;
mod handle;
mod names;
mod owner;
mod problem;
mod publish;
mod read;
mod reload;
mod user;
mod verifier_file;
mod write;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use error::LoadError;
#[cfg(feature = "tower")]
#[doc(hidden)]
pub use follow::follow;
pub use problem::{FileProblem, Problem};
pub use read::PassedOver;
pub use reload::{Reload, ReloadError, Reloader};
pub use verifier_file::{VerifierFile, VerifierFileError, VerifierReload};

// What writes, and looks at what is not right.
#[doc(hidden)]
pub use owner::{MakeError, Owner};
#[doc(hidden)]
pub use publish::publish;
#[doc(hidden)]
pub use read::Scan;
#[doc(hidden)]
pub use write::{WriteError, WriteLock};

use handle::Handle;
use names::{CUTOFFS, key_file_name, revoked_file_name};

use crate::clock::{LEEWAY_S, UnixSeconds};
use crate::keyring::cutoffs::{Ahead, Cutoff, Recovered};
use crate::keyring::{AppId, KeyName, KeyRing, RingContent};

/// A keys directory, and whose reading of its files is acceptable.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    allow_group_read: bool,
    /// Where it was opened once for all; otherwise its path is followed for each look.
    held: Option<Arc<Handle>>,
}

impl Directory {
    /// The directory at `path`, whose key files nobody but their owner may read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), allow_group_read: false, held: None }
    }

    /// Whether key files may be readable by their group: a Kubernetes volume with `fsGroup` shows them as 0440 whatever its
    /// `defaultMode` says.
    #[must_use]
    pub fn allow_group_read(self, allow_group_read: bool) -> Self {
        Self { allow_group_read, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all files and takes them only if all are right.
    ///
    /// # Errors
    /// [`LoadError`]: any file is not right, there is no ticket key, or the clock is before the newest key's making.
    pub fn load(&self, now: UnixSeconds) -> Result<(RingContent, Vec<PassedOver>), LoadError> {
        let scan = self.strict(self.scan()?)?;
        self.check_clock(&scan.content, now)?;
        Ok((scan.content, scan.passed_over))
    }

    /// [`Directory::load`], put in order for `apps`.
    ///
    /// # Errors
    /// As [`Directory::load`], and [`RingError`](crate::keyring::RingError).
    pub fn load_ring(
        &self,
        apps: impl IntoIterator<Item = AppId>,
        now: UnixSeconds,
    ) -> Result<(KeyRing, Vec<PassedOver>), LoadError> {
        let (content, passed_over) = self.load(now)?;
        Ok((KeyRing::new(content, apps)?, passed_over))
    }

    fn handle(&self) -> Result<Arc<Handle>, LoadError> {
        let open = || Handle::open(&self.path).map(Arc::new).map_err(|error| self.list_error(error));
        self.held.clone().map_or_else(open, Ok)
    }

    fn handle_if_there(&self) -> Result<Option<Arc<Handle>>, FileProblem> {
        let problem = match self.handle() {
            Ok(handle) => return Ok(Some(handle)),
            Err(LoadError::List { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(LoadError::List { source, .. }) => source.into(),
            Err(_) => Problem::NotADirectory,
        };
        Err(FileProblem { path: self.path.clone(), problem })
    }

    fn list_error(&self, source: io::Error) -> LoadError {
        match source.kind() {
            io::ErrorKind::NotADirectory => LoadError::NotADirectory(self.path.clone()),
            _ => LoadError::List { path: self.path.clone(), source },
        }
    }

    /// Looks at it in whatever state it is; the keys `known` are looked for where it cannot be listed.
    fn look(&self, known: impl Iterator<Item = KeyName>) -> read::Sight {
        read::look(&self.path, self.handle(), self.allow_group_read, known)
    }

    fn list(&self) -> Result<read::Listing, LoadError> {
        let handle = self.handle()?;
        read::refuse_if_open(&self.path, &handle)?;
        read::list(&self.path, &handle, self.allow_group_read)
    }

    /// Refuses a clock that is more than the leeway before the making of what was made last: it would choose the wrong key.
    fn check_clock(&self, content: &RingContent, now: UnixSeconds) -> Result<(), LoadError> {
        let Some((created, key)) = content.newest().filter(|(created, _)| *created > now.plus(LEEWAY_S)) else {
            return Ok(());
        };
        let file = key.map_or_else(|| CUTOFFS.to_owned(), key_file_name);
        Err(LoadError::ClockBehind { path: self.path.join(file), key, created, now })
    }

    fn to_write(&self, what: &str) -> Result<write::Writer, WriteError> {
        match self.handle() {
            Ok(handle) => Ok(write::Writer::new(self.path.clone(), handle)),
            Err(LoadError::List { source, .. }) => Err(WriteError::Io { path: self.path.join(what), source }),
            Err(_) => Err(WriteError::Io { path: self.path.join(what), source: io::ErrorKind::NotADirectory.into() }),
        }
    }
}

/// For the commands that write keys, or look at a directory that is not right. Hidden: `auth-ticket keys` is the way.
#[doc(hidden)]
impl Directory {
    /// Opens it once for all: from now on its path is not followed again, wherever it may lead.
    ///
    /// # Errors
    /// It is missing, out of reach, or no directory.
    pub fn hold(self) -> Result<Self, LoadError> {
        let held = Some(self.handle()?);
        Ok(Self { held, ..self })
    }

    /// Whom it belongs to.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn owner(&self) -> Result<Owner, LoadError> {
        self.handle()?.owner().map_err(|error| self.list_error(error))
    }

    /// Whether this process is its owner in the eyes of the kernel, and not only by a number that a user namespace gives
    /// to everybody whom it does not know.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn is_own(&self) -> Result<bool, LoadError> {
        self.handle()?.is_own().map_err(|error| self.list_error(error))
    }

    /// Reads all files, and keeps apart what is right and what is not. Does not ask who else may write there: for
    /// commands that take power away from a key in whatever state things are.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn scan_as_it_is(&self) -> Result<Scan, LoadError> {
        Ok(at_any_time(read::list(&self.path, &*self.handle()?, self.allow_group_read)?))
    }

    /// Reads all files, and keeps apart what is right and what is not.
    ///
    /// # Errors
    /// The directory itself cannot be listed or is open to others.
    pub fn scan(&self) -> Result<Scan, LoadError> {
        Ok(at_any_time(self.list()?))
    }

    /// Reads the list of cut-offs alone, whatever else is in the directory; empty where there is none.
    ///
    /// # Errors
    /// The file is there and is not right.
    pub fn cutoffs(&self) -> Result<Vec<Cutoff>, FileProblem> {
        let Some(handle) = self.handle_if_there()? else { return Ok(Vec::new()) };
        read::cutoffs(&self.path, &handle, self.allow_group_read)
    }

    /// Reads what can be understood of the list of cut-offs, whatever is wrong with it, for commands that rewrite it and
    /// for those who are cut off: with what is wrong with the file apart from its text (owner, mode, size), if anything
    /// is. A right, empty list where there is no file.
    ///
    /// # Errors
    /// The file is there and cannot be read at all.
    pub fn recover_cutoffs(&self) -> Result<(Recovered, Option<FileProblem>), FileProblem> {
        let Some(handle) = self.handle_if_there()? else { return Ok((Recovered::default(), None)) };
        read::recover_cutoffs(&self.path, &handle, self.allow_group_read)
    }

    /// As [`Directory::load_ring`] for no app, whatever the clock says: for commands that clear up what a wrong clock left.
    ///
    /// # Errors
    /// As [`Directory::load`], the clock excepted.
    pub fn load_ring_of_any_time(&self) -> Result<KeyRing, LoadError> {
        Ok(KeyRing::new(self.strict(self.scan()?)?.content, [])?)
    }

    /// Takes the right to write, until the lock is dropped.
    ///
    /// # Errors
    /// [`WriteError::Locked`] while another command has it.
    pub fn lock(&self) -> Result<WriteLock, WriteError> {
        self.lock_within(Duration::ZERO)
    }

    /// Takes the right to write, and waits for it at most so long.
    ///
    /// # Errors
    /// [`WriteError::Locked`] if another command has had it all the time.
    pub fn lock_within(&self, wait: Duration) -> Result<WriteLock, WriteError> {
        WriteLock::acquire(self.to_write(write::LOCK)?, wait)
    }

    /// Adds the file that revokes `name`; `false` if it was there already.
    ///
    /// Needs no lock, since it only adds a file, and no room: the file is empty.
    ///
    /// # Errors
    /// The file system said no.
    pub fn revoke(&self, name: KeyName) -> Result<bool, WriteError> {
        self.to_write(&revoked_file_name(name))?.revoke(name)
    }

    /// Whether it has the file of the key `name`, right or not.
    #[must_use]
    pub fn has_key_file(&self, name: KeyName) -> bool {
        self.handle().is_ok_and(|handle| handle.has(&key_file_name(name)).unwrap_or_default())
    }

    /// Makes the directory with mode 0700 if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self) -> io::Result<()> {
        handle::make(&self.path)
    }

    /// Makes the directory, which must be missing, with mode 0700 for somebody else; what it lies in has to be there.
    ///
    /// # Errors
    /// [`MakeError`]
    pub fn create_for(&self, owner: Owner) -> Result<(), MakeError> {
        handle::make_for(&self.path, owner)
    }
}

/// What `listing` holds, whatever the time: commands take each cut-off for what it says.
fn at_any_time(listing: read::Listing) -> Scan {
    listing.parse(UnixSeconds::MAX, &mut Ahead::default())
}

#[cfg(test)]
mod tests;
