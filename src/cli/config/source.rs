//! The configuration file's text.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::mistake::{Mistake, Origin};

/// The largest file that is read, in bytes.
const MAX_LEN: u64 = 1 << 20;

/// Reads the whole file.
pub(super) fn load(path: &Path) -> Result<String, Mistake> {
    let whole = |message: String| Mistake::new(Origin::File { line: 0 }, "", message);
    let unreadable = |error: std::io::Error| {
        whole(match error.kind() {
            ErrorKind::NotFound => {
                "there is no such file; name one with --config or in the variable AUTH_TICKET_CONFIG".to_owned()
            }
            ErrorKind::IsADirectory => "this is a directory; name the file in it".to_owned(),
            ErrorKind::PermissionDenied => "permission denied; let the server's user read it".to_owned(),
            kind => format!("cannot be read: {kind}"),
        })
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(whole("this file has more than 1 MiB; name the configuration file".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = good.filter(|byte| **byte == b'\n').count() + 1;
        let message = "the file is not UTF-8 from this line on; save it as UTF-8 text";
        Mistake::new(Origin::File { line }, "", message)
    })
}
