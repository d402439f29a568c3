//! Writing one file outside of a keys directory, as whole as keys are written.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::handle::Handle;

/// Puts `content` at `path`, in the place of what is there: whole at any moment, on disk when this returns, for its owner
/// alone (0600) or, with the number of a group, for this group to read as well (0640). A link at `path` is replaced.
///
/// The new file is made as `.NAME.tmp` in the same directory; one that was left behind there is removed.
///
/// # Errors
/// The file system said no; then what was at `path` is as it was.
pub fn publish(path: &Path, content: &[u8], group: Option<u32>) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path does not end with a name"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = Handle::open(parent)?;
    let temporary = format!(".{name}.tmp");
    match directory.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = directory.make(&temporary).and_then(|file| fill(file, content, group));
    written.and_then(|()| directory.rename_over(&temporary, name)).inspect_err(|_| {
        // If it cannot be removed, the next one removes it.
        let _ = directory.remove(&temporary);
    })?;
    directory.sync()
}

fn fill(mut file: File, content: &[u8], group: Option<u32>) -> io::Result<()> {
    if let Some(gid) = group {
        let_group_read(&file, gid)?;
    }
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(unix)]
fn let_group_read(file: &File, gid: u32) -> io::Result<()> {
    use rustix::fs::{Gid, Mode, fchmod, fchown};

    fchown(file, None, Some(Gid::from_raw(gid)))?;
    Ok(fchmod(file, Mode::from_raw_mode(0o640))?)
}

#[cfg(windows)]
fn let_group_read(_file: &File, _gid: u32) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "files have no group on Windows"))
}
