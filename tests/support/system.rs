//! Other programs, which must be there, and files of this repository.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A process that is killed when the test is over, however it ends.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `command` and returns it with the first `count` lines that it prints.
pub(crate) fn start(command: &mut Command, count: usize) -> (Running, Vec<String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let running = Running(child);
    let lines: Vec<String> = BufReader::new(stdout).lines().take(count).map(Result::unwrap).collect();
    assert_eq!(lines.len(), count, "it ended too early: {lines:?}");
    (running, lines)
}

/// The first `http://...` of a line.
pub(crate) fn url(line: &str) -> String {
    let from = line.find("http://").unwrap_or_else(|| panic!("no address in {line:?}"));
    line[from..].split([' ', ',']).next().unwrap().to_owned()
}

/// Where `make deploy-tools` puts what it unpacks.
pub(crate) fn deploy_tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("deploy-tools")
}

/// A program of the system that a test cannot do without.
pub(crate) fn needed(name: &str) -> PathBuf {
    let unpacked = ["usr/sbin", "usr/bin", "venv/bin"].map(|directory| deploy_tools().join(directory));
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .map(PathBuf::from)
        .into_iter()
        .chain(unpacked)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed, and without it this is not tested: make deploy-tools"))
}

pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn write(path: &Path, text: &str) {
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
}

/// Puts an executable script in place.
pub(crate) fn write_script(path: &Path, text: &str) {
    write(path, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The repository's file of that name.
pub(crate) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn read(path: &Path) -> String {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::io::read_to_string(file).unwrap()
}
