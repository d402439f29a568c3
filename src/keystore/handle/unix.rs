//! By descriptors. Everything in a directory is reached through its own and never by the path again, so that nobody who can
//! move directories or links about has another one read or written.

mod spare;

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Gid, Mode, OFlags, StatVfsMountFlags, Uid};
use rustix::io::Errno;
pub(in crate::keystore) use spare::keep as keep_spare;

use crate::clock::UnixSeconds;
use crate::keystore::owner::{MakeError, OpenDirectory, Owner};
use crate::keystore::problem::Problem;
use crate::keystore::user::own_uid;

/// Permissions of every file that is made.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Permissions of every directory that is made.
const DIRECTORY_MODE: Mode = Mode::RWXU;
const WRITE_FOR_OTHERS: u32 = 0o022;
const READ_FOR_GROUP: u32 = 0o040;
const STICKY: u32 = 0o1000;
/// How a directory is opened that may be searched and not read. Elsewhere than on Linux it is not.
#[cfg(target_os = "linux")]
const UNLISTED: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const UNLISTED: OFlags = OFlags::RDONLY;

/// The descriptor of a directory.
#[derive(Debug)]
pub(in crate::keystore) struct Handle {
    fd: File,
    /// Without the right to read it, names cannot be listed; files whose names are known can still be opened and made.
    may_list: bool,
}

impl Handle {
    pub(in crate::keystore) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match spare::open(|| rustix::fs::openat(CWD, path, flags, Mode::empty())) {
            Ok(fd) => Ok(Self { fd: fd.into(), may_list: true }),
            Err(Errno::ACCESS) => Self::open_unlisted(path),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::keystore) fn open_unlisted(path: &Path) -> io::Result<Self> {
        let flags = UNLISTED | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = spare::open(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
        Ok(Self { fd: fd.into(), may_list: false })
    }

    /// Whom it belongs to.
    pub(in crate::keystore) fn owner(&self) -> io::Result<Owner> {
        let metadata = self.fd.metadata()?;
        Ok(Owner { uid: metadata.uid(), gid: metadata.gid() })
    }

    /// Who could write in it that should not be able to, if anybody could.
    ///
    /// Kubernetes shows volumes as 1777: that is fine where the directory is root's and the mount is read-only.
    pub(in crate::keystore) fn check(&self) -> io::Result<Option<OpenDirectory>> {
        let metadata = self.fd.metadata()?;
        let (uid, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        if uid != 0 && uid != own_uid() {
            return Ok(Some(OpenDirectory::ToItsOwner { uid }));
        }
        if mode & WRITE_FOR_OTHERS == 0 {
            return Ok(None);
        }
        let harmless = mode & STICKY != 0 && uid == 0 && self.is_on_read_only_mount()?;
        Ok((!harmless).then_some(OpenDirectory::ToOthers { mode }))
    }

    fn is_on_read_only_mount(&self) -> io::Result<bool> {
        Ok(rustix::fs::fstatvfs(&self.fd)?.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Whether this process is the directory's owner, as the kernel sees it: a number can stand for somebody else where
    /// user namespaces map it. Asks for something that only owners may ask for, and that changes nothing.
    #[cfg(target_os = "linux")]
    pub(in crate::keystore) fn is_own(&self) -> io::Result<bool> {
        if !self.may_list {
            return Ok(true);
        }
        match rustix::fs::fcntl_setfl(&self.fd, OFlags::NOATIME) {
            Ok(()) => Ok(true),
            Err(Errno::PERM) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this process is the directory's owner. There are no user namespaces.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::keystore) fn is_own(&self) -> io::Result<bool> {
        Ok(self.owner()?.uid == own_uid())
    }

    /// The names of everything in it.
    pub(in crate::keystore) fn names(&self) -> io::Result<Vec<OsString>> {
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
    pub(in crate::keystore) fn has(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whom the file of this name belongs to.
    pub(in crate::keystore) fn owner_of(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?.st_uid)
    }

    /// Where a link of this name leads.
    pub(in crate::keystore) fn link(&self, name: &str) -> Option<PathBuf> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).ok()?;
        Some(OsString::from_vec(target.into_bytes()).into())
    }

    /// Opens a file to read it. Links are followed: a Kubernetes volume consists of them.
    pub(in crate::keystore) fn open_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(spare::open(|| rustix::fs::openat(&self.fd, name, flags, Mode::empty()))?.into())
    }

    /// Opens a file to write it, and makes it if it is missing; never through a link.
    pub(in crate::keystore) fn open_or_make(&self, name: &str) -> io::Result<File> {
        self.open_to_write(name, OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Makes a file; [`io::ErrorKind::AlreadyExists`] where something has its name.
    pub(in crate::keystore) fn make(&self, name: &str) -> io::Result<File> {
        self.open_to_write(name, OFlags::EXCL)
    }

    fn open_to_write(&self, name: &str, how: OFlags) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
        Ok(rustix::fs::openat(&self.fd, name, flags, FILE_MODE)?.into())
    }

    /// Gives a file another name, which nothing may have yet.
    pub(in crate::keystore) fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()> {
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
    pub(in crate::keystore) fn link_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.fd, from, &self.fd, to, AtFlags::empty())?)
    }

    /// Gives a file another name, in the place of whatever has it.
    pub(in crate::keystore) fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    pub(in crate::keystore) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Waits until its names are on disk.
    pub(in crate::keystore) fn sync(&self) -> io::Result<()> {
        // A descriptor without the right to read cannot be synced; the names are there all the same.
        if self.may_list { Ok(rustix::fs::fsync(&self.fd)?) } else { Ok(()) }
    }
}

/// Whom a file with keys, or the list of cut-offs, may belong to.
pub(in crate::keystore) fn check_owner(metadata: &Metadata) -> Result<(), Problem> {
    let uid = metadata.uid();
    if uid == 0 || uid == own_uid() { Ok(()) } else { Err(Problem::ForeignOwner { uid }) }
}

/// Who may read and write it.
pub(in crate::keystore) fn check_mode(metadata: &Metadata, allow_group_read: bool) -> Result<(), Problem> {
    let mode = metadata.mode() & 0o7777;
    if mode & (WRITE_FOR_OTHERS | 0o007) != 0 {
        return Err(Problem::OpenToOthers { mode });
    }
    if mode & READ_FOR_GROUP != 0 && !allow_group_read {
        return Err(Problem::OpenToGroup { mode });
    }
    Ok(())
}

/// When the file system says that a file was written to last.
///
/// Not by the C library, in which a preloaded clock would be found as well.
pub(in crate::keystore) fn changed_at(file: &File) -> io::Result<UnixSeconds> {
    let stat = rustix::fs::fstat(file)?;
    Ok(UnixSeconds::new(u64::try_from(stat.st_mtime).unwrap_or_default()))
}

/// Makes the directory at `path`, and those above it that are missing, for this user alone.
pub(in crate::keystore) fn make(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the last component of `path`, for `owner` alone.
pub(in crate::keystore) fn make_for(path: &Path, owner: Owner) -> Result<(), MakeError> {
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Err(MakeError::NoName);
    };
    let parent_path = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = Handle::open(parent_path)?;
    let metadata = parent.fd.metadata()?;
    if (metadata.uid() != 0 && metadata.uid() != own_uid()) || metadata.mode() & WRITE_FOR_OTHERS != 0 {
        return Err(MakeError::ParentOfOthers(parent_path.to_owned()));
    }
    rustix::fs::mkdirat(&parent.fd, name, DIRECTORY_MODE).map_err(io::Error::from)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(&parent.fd, name, flags, Mode::empty()).and_then(|made| {
        rustix::fs::fchmod(&made, DIRECTORY_MODE)?;
        rustix::fs::fchown(&made, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
    });
    made.map_err(|error| {
        let _ = rustix::fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR);
        MakeError::Io(error.into())
    })
}
