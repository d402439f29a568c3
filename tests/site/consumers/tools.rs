//! Other people's programs and packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The root of the repository.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `make consumers-tools` puts packages: beside what cargo builds.
pub(super) fn packages() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("consumers")
}

/// # Panics
/// It is missing: a language that is left out in silence shows nothing.
#[track_caller]
fn needed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "there is no {}: run make consumers-tools", path.display());
    path
}

/// A script of the repository, in a place from which Node finds the packages.
#[derive(Debug)]
pub(super) struct NodeScript {
    _directory: TempDir,
    path: PathBuf,
}

impl NodeScript {
    /// A copy, because Node looks for packages above the file.
    pub(super) fn new(script: &str) -> Self {
        let node = needed(packages().join("node/node_modules"));
        let directory = tempfile::tempdir_in(node.parent().unwrap()).unwrap();
        let path = directory.path().join("script.mjs");
        std::fs::copy(root().join(script), &path).unwrap();
        Self { _directory: directory, path }
    }

    pub(super) fn command(&self) -> Command {
        let mut command = clean("node");
        command.arg(&self.path);
        command
    }
}

pub(super) fn python(script: &str) -> Command {
    let mut command = clean(needed(packages().join("python/bin/python")));
    command.arg(root().join(script));
    command
}

/// `schemathesis ARGS` with the configuration of the repository.
pub(super) fn schemathesis(args: &[&str]) -> Command {
    let mut command = clean(needed(packages().join("schemathesis/bin/schemathesis")));
    command.arg("--config-file").arg(root().join("tests/consumers/schemathesis.toml")).arg("--no-color").args(args);
    command.env("SCHEMATHESIS_HOOKS", root().join("tests/consumers/refusals.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// `program` with no environment but the path to programs.
pub(super) fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(std::process::Stdio::null());
    command
}
