//! Unix sockets.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use auth_ticket::http::Listener;

use super::Occupied;
use crate::cli::endpoint::MAX_SOCKET_PATH_LEN;

/// A socket's file, which goes away with this value, unless another server has put its own there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    id: (u64, u64),
}

/// Whether a socket can be put at `path`: nothing is there, or one of this user that nobody listens on any more.
pub(crate) fn check(path: &Path) -> Result<(), Occupied> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    if !metadata.file_type().is_socket() {
        return Err(Occupied::NoSocket);
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        // Gone since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Also one that is too busy to answer, or may not be asked.
        _ => return Err(Occupied::InUse),
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() == own { Ok(()) } else { Err(Occupied::Foreign(metadata.uid())) }
}

/// Listens at `path`, for those whom `mode` admits; within a runtime.
pub(in crate::cli) fn listen(path: &Path, mode: u32) -> Result<(Listener, SocketFile), Occupied> {
    let (listener, file) = bind(path, mode)?;
    Ok((Listener::Unix(listener.try_into()?), file))
}

/// The socket is made beside it and renamed into place, so nobody sees it with other permissions, or a path where nobody
/// listens.
fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), Occupied> {
    check(path)?;
    // A longer one could be renamed into place, but nobody could connect to it.
    if path.as_os_str().len() > MAX_SOCKET_PATH_LEN {
        return Err(Occupied::Io(rustix::io::Errno::NAMETOOLONG.into()));
    }
    let making = beside(path);
    // A process of this number may have been killed here.
    if check(&making).is_ok() {
        let _ = fs::remove_file(&making);
    }
    let listener = UnixListener::bind(&making)?;
    let placed = || {
        fs::set_permissions(&making, fs::Permissions::from_mode(mode))?;
        let metadata = fs::symlink_metadata(&making)?;
        fs::rename(&making, path)?;
        listener.set_nonblocking(true)?;
        Ok(SocketFile { path: path.to_owned(), id: (metadata.dev(), metadata.ino()) })
    };
    match placed() {
        Ok(file) => Ok((listener, file)),
        Err(error) => {
            let _ = fs::remove_file(&making);
            Err(Occupied::Io(error))
        }
    }
}

/// A name in the directory of `path` that no other process takes; shortened, where the system would take no longer one.
fn beside(path: &Path) -> PathBuf {
    let name = format!(".{:x}", std::process::id());
    let directory_len = path.as_os_str().len() - path.file_name().map_or(0, OsStr::len);
    let room = MAX_SOCKET_PATH_LEN.saturating_sub(directory_len);
    path.with_file_name(&name[name.len().saturating_sub(room)..])
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.id);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_its_mode_and_goes_away_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        let (listener, file) = bind(&path, 0o660).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
        UnixStream::connect(&path).unwrap();
        assert!(matches!(bind(&path, 0o660), Err(Occupied::InUse)));
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_somebody_elses_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_old, old_file) = bind(&path, 0o600).unwrap();
        // Another server takes the place by itself.
        fs::remove_file(&path).unwrap();
        let (_new, new_file) = bind(&path, 0o600).unwrap();
        drop(old_file);
        assert!(path.exists(), "the new server's socket stays");
        drop(new_file);
        assert!(!path.exists());
    }

    /// However short the name in a long directory, the name under which it is made is no longer.
    #[test]
    fn a_socket_is_made_at_the_longest_path_there_may_be() {
        let directory = tempfile::tempdir().unwrap();
        for name_len in [1, 2, 4, 8, 20] {
            let directory_len = MAX_SOCKET_PATH_LEN - name_len - 1;
            let parent = directory.path().join("d".repeat(directory_len - directory.path().as_os_str().len() - 1));
            fs::create_dir(&parent).unwrap();
            let path = parent.join("s".repeat(name_len));
            assert_eq!(path.as_os_str().len(), MAX_SOCKET_PATH_LEN);
            let (_listener, file) = bind(&path, 0o660).unwrap_or_else(|error| panic!("{name_len}: {error}"));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
            assert_eq!(fs::read_dir(&parent).unwrap().count(), 1, "nothing else is left behind");
            UnixStream::connect(&path).unwrap();
            drop(file);
            assert!(matches!(bind(&parent.join("s".repeat(name_len + 1)), 0o660), Err(Occupied::Io(_))));
            assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_has_the_name_under_which_it_is_made_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        fs::File::create(beside(&path)).unwrap();
        assert!(matches!(bind(&path, 0o660), Err(Occupied::Io(_))));
        assert!(fs::metadata(beside(&path)).unwrap().is_file());
        fs::remove_file(beside(&path)).unwrap();
        drop(UnixListener::bind(beside(&path)).unwrap());
        let (_listener, _file) = bind(&path, 0o660).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "of a process that was killed");
    }

    #[test]
    fn what_is_no_socket_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        fs::File::create(&path).unwrap();
        assert!(matches!(bind(&path, 0o660), Err(Occupied::NoSocket)));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(bind(&path, 0o660), Err(Occupied::NoSocket)));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(bind(&link, 0o660), Err(Occupied::NoSocket)));
        assert!(matches!(bind(&directory.path().join("none/http.sock"), 0o660), Err(Occupied::Io(_))));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
