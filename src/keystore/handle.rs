//! A keys directory that is open, and who may read and write what in it. One variant for each kind of operating system; both
//! have the same functions.

use std::io;
use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Handle, changed_at, check_mode, check_owner, keep_spare, make, make_for};
#[cfg(windows)]
pub(super) use windows::{Handle, changed_at, check_mode, check_owner, keep_spare, make, make_for};

/// The directory that the file at `path` is in, and its name there.
pub(super) fn open_parent(path: &Path) -> io::Result<(Handle, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path does not end with a name"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((Handle::open(parent)?, name))
}
