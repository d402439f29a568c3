//! Writing one file outside of a keys directory, as whole as keys are written.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::handle::{self, Handle};
use crate::clock::UnixSeconds;
use crate::secret::fill_randomly;

/// How long nothing may have happened to a temporary file before it is taken for one that a killed process left, in seconds.
const ABANDONED_S: u64 = 60;

/// Puts `content` at `path`, in the place of what is there: whole at any moment, on disk when this returns, for its owner
/// alone (0600) or, with the number of a group, for this group to read as well (0640). A link at `path` is replaced.
///
/// The new file is made as `.NAME.tmp-` and a random number in the same directory: nobody else has one of this name, so what
/// takes the place of `path` is what was written here, also while others do the same.
///
/// # Errors
/// The file system said no; then what was at `path` is as it was.
pub fn publish(path: &Path, content: &[u8], group: Option<u32>) -> io::Result<()> {
    let (directory, name) = handle::open_parent(path)?;
    let prefix = format!(".{name}.tmp-");
    let mut number = [0; 8];
    fill_randomly(&mut number).map_err(io::Error::other)?;
    let temporary = format!("{prefix}{}", hex::encode(number));
    let written = directory.make(&temporary).and_then(|mut file| {
        // First, since they take room.
        remove_abandoned(&directory, &prefix, handle::changed_at(&file)?);
        fill(&mut file, content, group)
    });
    written.and_then(|()| directory.rename_over(&temporary, name)).inspect_err(|_| {
        // If it cannot be removed, a later one removes it.
        let _ = directory.remove(&temporary);
    })?;
    directory.sync()
}

/// Removes what killed processes left: it holds what opens tickets, and nobody needs it.
fn remove_abandoned(directory: &Handle, prefix: &str, now: UnixSeconds) {
    let Ok(names) = directory.names() else { return };
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| name.starts_with(prefix)) {
        let changed = directory.open_file(name).and_then(|file| handle::changed_at(&file));
        if changed.is_ok_and(|changed| now.since(changed) > ABANDONED_S) {
            let _ = directory.remove(name);
        }
    }
}

fn fill(file: &mut File, content: &[u8], group: Option<u32>) -> io::Result<()> {
    if let Some(gid) = group {
        let_group_read(file, gid)?;
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
