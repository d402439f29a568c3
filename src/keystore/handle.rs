//! A keys directory that is open. Everything in it is reached through this descriptor and never by the path again, so that
//! nobody who can move directories or links about has another one read or written.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;

use super::spare;
use crate::clock::UnixSeconds;

/// Permission bits of every file that is made.
const OWNER_ONLY: u32 = 0o600;

/// The descriptor of a directory.
#[derive(Debug)]
pub(super) struct Handle {
    fd: OwnedFd,
    /// Without the right to read it, names cannot be listed; files whose names are known can still be opened and made.
    may_list: bool,
}

impl Handle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match spare::open(|| rustix::fs::openat(CWD, path, flags, Mode::empty())) {
            Ok(fd) => Ok(Self { fd, may_list: true }),
            Err(Errno::ACCESS) => Self::open_unlisted(path),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn open_unlisted(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = spare::open(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
        Ok(Self { fd, may_list: false })
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.fd)?)
    }

    pub(super) fn is_on_read_only_mount(&self) -> io::Result<bool> {
        Ok(rustix::fs::fstatvfs(&self.fd)?.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Whether this process is the directory's owner, as the kernel sees it: a number can stand for somebody else where
    /// user namespaces map it. Asks for something that only owners may ask for, and that changes nothing.
    pub(super) fn is_own(&self) -> io::Result<bool> {
        if !self.may_list {
            return Ok(true);
        }
        match rustix::fs::fcntl_setfl(&self.fd, OFlags::NOATIME) {
            Ok(()) => Ok(true),
            Err(Errno::PERM) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of everything in it.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        if !self.may_list {
            return Err(Errno::ACCESS.into());
        }
        let mut names = Vec::new();
        for entry in spare::open(|| Dir::read_from(&self.fd))? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Whether something has this name, whatever it is.
    pub(super) fn has(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whom the file of this name belongs to.
    pub(super) fn owner_of(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?.st_uid)
    }

    /// Where a link of this name leads.
    pub(super) fn link(&self, name: &str) -> Option<PathBuf> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).ok()?;
        Some(OsString::from_vec(target.into_bytes()).into())
    }

    /// Opens a file to read it. Links are followed: a Kubernetes volume consists of them.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(spare::open(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))?.into())
    }

    /// Opens a file to write it, and makes it if it is missing; never through a link.
    pub(super) fn open_or_make(&self, name: &str) -> io::Result<File> {
        self.open_to_write(name, OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Makes a file; [`io::ErrorKind::AlreadyExists`] where something has its name.
    pub(super) fn make(&self, name: &str) -> io::Result<File> {
        self.open_to_write(name, OFlags::EXCL)
    }

    fn open_to_write(&self, name: &str, how: OFlags) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
        Ok(rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(OWNER_ONLY))?.into())
    }

    /// Gives a file another name, which nothing may have yet.
    pub(super) fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, rustix::fs::RenameFlags::NOREPLACE) {
            // Some network file systems do not have it.
            Err(Errno::INVAL | Errno::NOSYS) => {
                self.link_to_free(from, to)?;
                self.remove(from)
            }
            result => Ok(result?),
        }
    }

    /// Gives a file a second name, which nothing may have yet.
    pub(super) fn link_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.fd, from, &self.fd, to, AtFlags::empty())?)
    }

    /// Gives a file another name, in the place of whatever has it.
    pub(super) fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Waits until its names are on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        // A descriptor without the right to read cannot be synced; the names are there all the same.
        if self.may_list { Ok(rustix::fs::fsync(&self.fd)?) } else { Ok(()) }
    }
}

/// Whom a directory belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers")]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// When the file system says that a file was changed last.
///
/// Not by the C library, in which a preloaded clock would be found as well.
pub(super) fn changed_at(file: &File) -> io::Result<UnixSeconds> {
    let stat = rustix::fs::fstat(file)?;
    Ok(UnixSeconds::new(u64::try_from(stat.st_ctime).unwrap_or_default()))
}

/// Makes the last component of `path`, for `owner` alone.
pub(super) fn make_for(path: &Path, owner: Owner) -> Result<(), MakeError> {
    use rustix::fs::{Gid, Uid};
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Err(MakeError::NoName);
    };
    let parent_path = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = Handle::open(parent_path)?;
    let stat = parent.stat()?;
    let own = rustix::process::geteuid().as_raw();
    if (stat.st_uid != 0 && stat.st_uid != own) || stat.st_mode & 0o022 != 0 {
        return Err(MakeError::ParentOfOthers(parent_path.to_owned()));
    }
    rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(0o700)).map_err(io::Error::from)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(&parent.fd, name, flags, Mode::empty()).and_then(|made| {
        rustix::fs::fchmod(&made, Mode::from_raw_mode(0o700))?;
        rustix::fs::fchown(&made, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
    });
    made.map_err(|error| {
        let _ = rustix::fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR);
        MakeError::Io(error.into())
    })
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
