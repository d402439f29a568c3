//! Whom a keys directory belongs to, and who looks into it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(in crate::cli) use unix::{is_for_another, named, open, parse_group, parse_owner};
#[cfg(windows)]
pub(in crate::cli) use windows::{is_for_another, named, open, parse_group, parse_owner};

/// What a command is about to do in a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    /// A server's user may look at keys that are root's.
    Read,
    Write,
}

/// What to say of new keys where nothing looks at who may read them.
pub(in crate::cli) fn concern() -> Option<&'static str> {
    cfg!(windows).then_some(
        "who may read the keys is inherited from the directory above, and not checked on Windows: see icacls",
    )
}

/// Refuses to look at the group of a file where there is none.
pub(in crate::cli) fn refuse_group_read(is_asked_for: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        !(cfg!(windows) && is_asked_for),
        "--allow-group-read: files have no group on Windows; leave it out"
    );
    Ok(())
}
