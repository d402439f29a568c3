//! Who may read and write what: owners, permission bits, mounts.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use super::handle::Handle;
use super::problem::Problem;
use crate::secret::Zeroizing;

const WRITE_FOR_OTHERS: u32 = 0o022;
const READ_FOR_GROUP: u32 = 0o040;
const STICKY: u32 = 0o1000;

/// A file's bytes, wiped when they are no longer needed.
pub(super) type Content = Zeroizing<Vec<u8>>;

/// What a file must be before its content is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) max_len: usize,
    pub(super) allow_group_read: bool,
}

/// Reads a whole file that meets `demand`. Symbolic links are followed: a Kubernetes volume consists of them.
///
/// Opened without blocking, then looked at through the open descriptor: neither a fifo nor a swap of the file between
/// the look and the reading can do harm.
pub(super) fn read_file(directory: &Handle, name: &str, demand: Demand) -> Result<Content, Problem> {
    let (file, metadata) = open(directory, name)?;
    check(&metadata, demand)?;
    let content = read(file, &metadata, demand)?;
    if content.len() > demand.max_len {
        return Err(Problem::TooLarge { max_len: demand.max_len });
    }
    Ok(content)
}

/// Reads what can be read of a regular file, and says how it fails to meet `demand`: for what takes power away.
pub(super) fn read_in_spite_of(
    directory: &Handle,
    name: &str,
    demand: Demand,
) -> Result<(Content, Option<Problem>), Problem> {
    let (file, metadata) = open(directory, name)?;
    let problem = match check(&metadata, demand) {
        Err(Problem::NotAFile) => return Err(Problem::NotAFile),
        result => result.err(),
    };
    let mut content = read(file, &metadata, demand)?;
    // It may have grown since it was looked at.
    let problem = problem.or((content.len() > demand.max_len).then_some(Problem::TooLarge { max_len: demand.max_len }));
    content.truncate(demand.max_len);
    Ok((content, problem))
}

fn open(directory: &Handle, name: &str) -> io::Result<(File, Metadata)> {
    let file = directory.open_file(name)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// At most one byte more than `demand` allows.
fn read(file: File, metadata: &Metadata, demand: Demand) -> io::Result<Content> {
    let expected = usize::try_from(metadata.len()).unwrap_or_default().min(demand.max_len);
    let mut content = Content::new(Vec::with_capacity(expected));
    file.take(demand.max_len as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn check(metadata: &Metadata, demand: Demand) -> Result<(), Problem> {
    if !metadata.is_file() {
        return Err(Problem::NotAFile);
    }
    if metadata.len() > demand.max_len as u64 {
        return Err(Problem::TooLarge { max_len: demand.max_len });
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != own {
        return Err(Problem::ForeignOwner { uid: metadata.uid() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & (WRITE_FOR_OTHERS | 0o007) != 0 {
        return Err(Problem::OpenToOthers { mode });
    }
    if mode & READ_FOR_GROUP != 0 && !demand.allow_group_read {
        return Err(Problem::OpenToGroup { mode });
    }
    Ok(())
}

/// What about a directory lets somebody else put files into it.
#[derive(Debug)]
pub(super) enum OpenDirectory {
    /// Its permission bits.
    ToOthers { mode: u32 },
    /// An owner who is neither root nor this user.
    ToItsOwner { uid: u32 },
}

/// Who could write in a directory that should not be able to, if anybody could.
///
/// Kubernetes shows volumes as 1777: that is fine where the directory is root's and the mount is read-only.
pub(super) fn check_directory(directory: &Handle) -> io::Result<Option<OpenDirectory>> {
    let stat = directory.stat()?;
    if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(Some(OpenDirectory::ToItsOwner { uid: stat.st_uid }));
    }
    let mode = stat.st_mode & 0o7777;
    if mode & WRITE_FOR_OTHERS == 0 {
        return Ok(None);
    }
    let harmless = mode & STICKY != 0 && stat.st_uid == 0 && directory.is_on_read_only_mount()?;
    Ok((!harmless).then_some(OpenDirectory::ToOthers { mode }))
}
