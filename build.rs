//! Puts the git commit into `--version`, where there is one to be found.

#![expect(clippy::disallowed_methods, reason = "the rules of the library are not those of its build")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is"));
    // The log of HEAD grows with every commit and every change of branch. Without a repository, neither is there.
    for file in [".git/HEAD", ".git/logs/HEAD", ".cargo_vcs_info.json"] {
        if root.join(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=AUTH_TICKET_COMMIT");
    // A build from an archive has no repository; packagers may say what they build.
    let said = env::var("AUTH_TICKET_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = said.or_else(|| from_git(&root)).or_else(|| from_package(&root));
    let version = env!("CARGO_PKG_VERSION");
    let shown = commit.map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=BUILD_VERSION={shown}");
}

/// Asks the repository of which `root` is the root, and none that the package merely lies in, as a vendored one does.
fn from_git(root: &Path) -> Option<String> {
    let own = root.join(".git");
    if !own.exists() {
        return None;
    }
    let mut git = Command::new("git");
    // In a hook of another repository, these would name that one.
    git.env("GIT_DIR", own).env_remove("GIT_WORK_TREE").env_remove("GIT_COMMON_DIR").current_dir(root);
    let output = git.args(["rev-parse", "--short=9", "HEAD"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Reads what `cargo package` wrote: the commit that the package was made from, unless files had been changed since.
fn from_package(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let (_, after) = text.split_once("\"sha1\": \"")?;
    let commit = after.get(..9).filter(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    (!text.contains("\"dirty\": true")).then(|| commit.to_owned())
}
