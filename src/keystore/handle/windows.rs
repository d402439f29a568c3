//! By paths. Who may read and write a file is in its access control list, which is inherited from the directory and not looked
//! at here: that takes calls which neither the standard library nor a safe crate of small size offers.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::clock::UnixSeconds;
use crate::keystore::owner::{MakeError, OpenDirectory, Owner};
use crate::keystore::problem::Problem;

/// From 1601 to 1970, in seconds.
const EPOCH_S: u64 = 11_644_473_600;
/// Of a file's times, in one second.
const TICKS_PER_S: u64 = 10_000_000;

/// The path of a directory that was there.
#[derive(Debug)]
pub(in crate::keystore) struct Handle {
    path: PathBuf,
}

impl Handle {
    pub(in crate::keystore) fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        // Another working directory must not lead elsewhere.
        Ok(Self { path: std::path::absolute(path)? })
    }

    /// [`io::ErrorKind::Unsupported`]: an owner is no number here.
    #[expect(clippy::unused_self, reason = "as elsewhere")]
    pub(in crate::keystore) fn owner(&self) -> io::Result<Owner> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Nobody, as far as is looked.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as elsewhere")]
    pub(in crate::keystore) fn check(&self) -> io::Result<Option<OpenDirectory>> {
        Ok(None)
    }

    /// As [`Handle::owner`].
    pub(in crate::keystore) fn is_own(&self) -> io::Result<bool> {
        self.owner().map(|_| false)
    }

    /// The names of everything in it.
    pub(in crate::keystore) fn names(&self) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// Whether something has this name, whatever it is.
    pub(in crate::keystore) fn has(&self, name: &str) -> io::Result<bool> {
        match std::fs::symlink_metadata(self.path.join(name)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// As [`Handle::owner`].
    pub(in crate::keystore) fn owner_of(&self, _name: &str) -> io::Result<u32> {
        self.owner().map(|owner| owner.uid)
    }

    /// Where a link of this name leads.
    pub(in crate::keystore) fn link(&self, name: &str) -> Option<PathBuf> {
        std::fs::read_link(self.path.join(name)).ok()
    }

    /// Opens a file to read it.
    pub(in crate::keystore) fn open_file(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    /// Opens a file to write it, and makes it if it is missing.
    pub(in crate::keystore) fn open_or_make(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).open(self.path.join(name))
    }

    /// Makes a file; [`io::ErrorKind::AlreadyExists`] where something has its name.
    pub(in crate::keystore) fn make(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path.join(name))
    }

    /// Gives a file another name, which nothing may have yet.
    pub(in crate::keystore) fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        match self.link_to_free(from, to) {
            Ok(()) => self.remove(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // FAT and some network drives have no second names. Whoever writes has the lock.
            Err(_) if self.has(to)? => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => self.rename_over(from, to),
        }
    }

    /// Gives a file a second name, which nothing may have yet.
    pub(in crate::keystore) fn link_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::hard_link(self.path.join(from), self.path.join(to))
    }

    /// Gives a file another name, in the place of whatever has it.
    pub(in crate::keystore) fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(in crate::keystore) fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    /// Nothing to wait for: a directory cannot be synced, and NTFS keeps a journal of names.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as elsewhere")]
    pub(in crate::keystore) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Handles of files are not as few as descriptors: none are kept back.
pub(in crate::keystore) fn keep_spare() {}

/// All that can be told of a file's owner; see the top.
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
pub(in crate::keystore) fn check_owner(_metadata: &Metadata) -> Result<(), Problem> {
    Ok(())
}

/// All that can be told of who may read and write a file; see the top.
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
pub(in crate::keystore) fn check_mode(_metadata: &Metadata, _allow_group_read: bool) -> Result<(), Problem> {
    Ok(())
}

/// When the file system says that a file was written to last.
pub(in crate::keystore) fn changed_at(file: &File) -> io::Result<UnixSeconds> {
    let since_1601_s = file.metadata()?.last_write_time() / TICKS_PER_S;
    Ok(UnixSeconds::new(since_1601_s.saturating_sub(EPOCH_S)))
}

/// Makes the directory at `path`, and those above it that are missing. It is for those whom the directory above it admits.
pub(in crate::keystore) fn make(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Makes nothing: [`io::ErrorKind::Unsupported`].
pub(in crate::keystore) fn make_for(_path: &Path, _owner: Owner) -> Result<(), MakeError> {
    Err(MakeError::Io(io::ErrorKind::Unsupported.into()))
}
