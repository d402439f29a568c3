//! Reading a file that is as it must be: its kind, its size, and who else may read and write it.

use std::fs::{File, Metadata};
use std::io::{self, Read};

use super::handle::{self, Handle};
use super::problem::Problem;
use crate::secret::Zeroizing;

/// A file's bytes, wiped when they are no longer needed.
pub(super) type Content = Zeroizing<Vec<u8>>;

/// What a file must be before its content is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) max_len: usize,
    pub(super) allow_group_read: bool,
    /// Whether it may belong to somebody who is neither root nor the user that runs this.
    pub(super) allow_any_owner: bool,
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
    if !demand.allow_any_owner {
        handle::check_owner(metadata)?;
    }
    handle::check_mode(metadata, demand.allow_group_read)
}
