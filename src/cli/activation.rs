//! Sockets that systemd has made and passes on.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::Passed;
#[cfg(windows)]
pub(super) use windows::Passed;
