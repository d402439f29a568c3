//! The user that runs this, and what they run to get at a file or directory.

use std::path::Path;

/// Their number.
#[cfg(unix)]
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What to run to be allowed to read the file at `path`.
#[cfg(unix)]
pub(super) fn to_be_read(path: &Path) -> String {
    let path = path.display();
    format!("chown {} {path} && chmod 600 {path}", own_uid())
}

/// What to run to be allowed to list the directory at `path`.
#[cfg(unix)]
pub(super) fn to_be_listed(path: &Path) -> String {
    let path = path.display();
    format!("ls -ld {path}; chmod u+rwx {path}")
}

/// Users have no numbers: no message that would show it is ever written.
#[cfg(windows)]
pub(super) fn own_uid() -> u32 {
    0
}

#[cfg(windows)]
pub(super) fn to_be_read(path: &Path) -> String {
    format!("icacls \"{}\" /grant:r \"%USERNAME%:F\"", path.display())
}

#[cfg(windows)]
pub(super) fn to_be_listed(path: &Path) -> String {
    format!("icacls \"{}\"", path.display())
}
