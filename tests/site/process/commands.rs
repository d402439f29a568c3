//! What commands print for other programs.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Outcome, auth_ticket};

#[test]
fn bash_parses_the_completions() {
    let script = Outcome::of(&mut auth_ticket(&["completions", "bash"])).done();
    let mut check = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(check.wait().unwrap().success(), "bash does not parse it");
}
