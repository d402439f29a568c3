//! Key files are private whatever the umask is, which takes a shell to set.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{BINARY, Keys};

#[test]
fn all_that_is_written_is_for_its_owner_alone_whatever_the_umask() {
    for umask in ["000", "077"] {
        let keys = Keys::missing();
        let under = |args: &[&str]| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), BINARY, "keys"]);
            command.args(args).arg("--keys").arg(keys.path()).env_clear();
            keys.watch(args, &mut command).done()
        };
        under(&["init"]);
        under(&["rotate"]);
        under(&["revoke", &keys.kid("ticket", "active")]);
        assert_eq!(fs::metadata(keys.path()).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(fs::metadata(keys.file(".lock")).unwrap().permissions().mode() & 0o7777, 0o600);
        let files = keys.files();
        assert_eq!(files.len(), 6, "{:?}", files.keys());
        for (name, seen) in files {
            assert_eq!(seen.mode, 0o600, "{name} under umask {umask}");
        }
    }
}
