//! How a release is put together, as far as no release build is needed to show it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::system::{needed, shipped, told, write, write_script};

#[test]
fn nothing_is_signed_without_a_key_a_tool_or_files() {
    let place = tempfile::tempdir().unwrap();
    let (tools, key) = (place.path().join("tools"), place.path().join("minisign.key"));
    fs::create_dir(&tools).unwrap();
    for tool in ["sh", "sed", "git", "sha256sum", "cat", "tr", "node"] {
        if let Some(path) =
            ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(tool)).into_iter().find(|path| path.exists())
        {
            std::os::unix::fs::symlink(path, tools.join(tool)).unwrap();
        }
    }
    let dist = place.path().join("dist");
    let sign = |key: &str| {
        let mut make = Command::new(needed("make"));
        make.args(["--no-print-directory", "dist-sign"])
            .arg(format!("KEY={key}"))
            .arg(format!("DIST={}", dist.display()));
        let output = make.env("PATH", &tools).current_dir(shipped(".")).output().unwrap();
        assert!(!output.status.success(), "{key}: {}", told(&output));
        assert!(!dist.join("SHA256SUMS.minisig").exists());
        told(&output)
    };
    let key_name = key.display().to_string();
    let said = sign(&key_name);
    assert!(said.contains("error: minisign is not installed"), "{said}");
    // One that would sign whatever there is.
    write_script(&tools.join("minisign"), "#!/bin/sh\n: >\"$5.minisig\"\n");
    for (key, expected) in [("", "error: no key: make dist-sign KEY="), (&*key_name, "error: there is no key ")] {
        let said = sign(key);
        assert!(said.contains(expected), "{key}: {said}");
    }
    write(&key, "key\n");
    let said = sign(&key_name);
    assert!(said.contains("error: there is nothing to sign"), "{said}");
    fs::create_dir(&dist).unwrap();
    write(&dist.join("archive"), "changed\n");
    write(&dist.join("SHA256SUMS"), &format!("{}  archive\n", "0".repeat(64)));
    let said = sign(&key_name);
    assert!(said.contains("archive: FAILED"), "{said}");
}
