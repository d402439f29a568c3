//! Who may read and write a file, by its permissions.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use rustix::fs::{OFlags, StatVfsMountFlags, fstatvfs};

/// Opens a file to read it.
pub(super) fn open_at_once(path: &str) -> io::Result<File> {
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Refuses what every user may write.
pub(super) fn check_public(metadata: &Metadata, path: &str) -> Result<(), String> {
    if metadata.mode() & 0o002 != 0 {
        return Err(format!("every user may write this file, and so replace the key; run: chmod o-w {path:?}"));
    }
    Ok(())
}

/// Refuses what every user may read, unless `are_shared`, or root has put it on a read-only mount.
pub(super) fn check_private(file: &File, metadata: &Metadata, path: &str, are_shared: bool) -> Result<(), String> {
    let is_read_only = || fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
    let is_roots = || metadata.uid() == 0 && is_read_only();
    let mode = metadata.mode() & 0o7777;
    if !may_be_read_from(mode, || are_shared || is_roots()) {
        return Err(format!(
            "the file is open to every user (mode {mode:04o}); run: chmod o-rwx {path:?}; or, where that cannot be done and only \
             this server sees the file, write secret_files = \"shared\""
        ));
    }
    Ok(())
}

/// Whether a file of this mode may hold a secret: nothing for other users, or reading alone where `may_be_shared`, as Docker
/// and Swarm mount secrets.
pub(in crate::cli::config) fn may_be_read_from(mode: u32, may_be_shared: impl FnOnce() -> bool) -> bool {
    match mode & 0o007 {
        0 => true,
        0o004 => mode & 0o020 == 0 && may_be_shared(),
        _ => false,
    }
}
