//! Programs that tests start: our own, and other people's, which must be there.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A process that is killed when the test is over, however it ends.
#[derive(Debug)]
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Our own program, without whatever settings the tests' environment holds.
pub(super) fn auth_ticket() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-ticket"));
    command.env_clear();
    command
}

/// Starts `command` and returns it with the first `count` lines that it prints.
pub(super) fn start(command: &mut Command, count: usize) -> (Running, Vec<String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let running = Running(child);
    let lines: Vec<String> = BufReader::new(stdout).lines().take(count).map(Result::unwrap).collect();
    assert_eq!(lines.len(), count, "it ended too early: {lines:?}");
    (running, lines)
}

/// The first `http://...` of a line.
pub(super) fn url(line: &str) -> String {
    let from = line.find("http://").unwrap_or_else(|| panic!("no address in {line:?}"));
    line[from..].split([' ', ',']).next().unwrap().to_owned()
}

/// A program of the system that a test cannot do without.
pub(super) fn needed(name: &str) -> PathBuf {
    let downloaded = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("deploy-tools").join("usr/bin");
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .map(PathBuf::from)
        .into_iter()
        .chain([downloaded])
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed, and without it this is not tested: make deploy-tools"))
}

pub(super) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(super) fn write(path: &Path, text: &str) {
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
}

/// Puts an executable script in place.
pub(super) fn write_script(path: &Path, text: &str) {
    write(path, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The repository's file of that name.
pub(super) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(super) fn read(path: &Path) -> String {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::io::read_to_string(file).unwrap()
}
