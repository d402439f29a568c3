//! Puts the git commit into `--version`, where there is one to be found.

use std::process::Command;

fn main() {
    // The log of HEAD grows with every commit and every change of branch. Without a repository, neither is there.
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    let from_git = || {
        let output = Command::new("git").args(["rev-parse", "--short=9", "HEAD"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // A build from an archive has no repository; packagers may say what they build.
    let commit = option_env!("AUTH_TICKET_COMMIT").map(ToOwned::to_owned).or_else(from_git);
    let version = env!("CARGO_PKG_VERSION");
    let shown = commit.map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=BUILD_VERSION={shown}");
}
