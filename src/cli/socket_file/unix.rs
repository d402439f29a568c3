//! Unix sockets.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use auth_ticket::http::Listener;

use super::Occupied;

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
    let name = format!(".{:x}", std::process::id());
    let making = path.with_file_name(name);
    let _ = fs::remove_file(&making);
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
