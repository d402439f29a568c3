//! A keys directory that is open, and who may read and write what in it. One variant for each kind of operating system; both
//! have the same functions.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Handle, changed_at, check_file, keep_spare, make, make_for};
#[cfg(windows)]
pub(super) use windows::{Handle, changed_at, check_file, keep_spare, make, make_for};
