//! The file as a whole: reading it, and what is not TOML.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::super::Config;
use super::{APP, mistakes, with_secrets};

fn load(path: &Path) -> Result<Config, String> {
    Config::load(path, with_secrets(&[]), &[]).map_err(|error| error.to_string())
}

fn report(path: &Path, line: &str) -> String {
    format!("{0} has 1 mistake\n  {0}{line}", path.display())
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.toml");
    assert_eq!(
        load(&missing).unwrap_err(),
        report(&missing, ": there is no such file; name one with --config or in the variable AUTH_TICKET_CONFIG")
    );
    assert_eq!(load(dir.path()).unwrap_err(), report(dir.path(), ": this is a directory; name the file in it"));

    let path = dir.path().join("login.toml");
    let write = |content: &[u8]| fs::File::create(&path).unwrap().write_all(content).unwrap();
    write(&vec![b'#'; (1 << 20) + 1]);
    assert_eq!(load(&path).unwrap_err(), report(&path, ": this file has more than 1 MiB; name the configuration file"));
    write(b"# one\n# caf\xe9\n");
    let expected = ":2: the file is not UTF-8 from this line on; save it as UTF-8 text";
    assert_eq!(load(&path).unwrap_err(), report(&path, expected));
    write(APP.as_bytes());
    assert_eq!(load(&path).unwrap().apps.len(), 1);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
    assert_eq!(
        mistakes(&format!("\u{feff}{APP}subject = \"x\"\n").replace('\n', "\r\n")),
        ["login.toml:5: app[0].subject: \"x\" is not a subject; write \"openid\" or \"unionid\""]
    );
}

#[test]
fn a_fault_of_syntax_is_told_with_line_and_column() {
    let found = mistakes(&format!("{APP}[ticket]\nttl = 2h\nmax_session = \"30d\n[jwt\n"));
    assert!(found.len() >= 3, "{found:#?}");
    for (line, start) in found.iter().zip(["login.toml:6: column ", "login.toml:7: column ", "login.toml:8: column "]) {
        assert!(line.starts_with(start), "{found:#?}");
        assert!(line.ends_with(
            r#"; write one setting on each line: text = "in quotes", number = 64, switch = true, list = ["a", "b"]"#
        ));
    }
}

#[test]
fn a_fault_of_syntax_shows_nothing_of_a_secret() {
    for line in ["secret = canary", "secret = \"canary", "canary = = 1", "canary", "[canary", "secret = 'canary\n'"] {
        mistakes(&format!("{APP}{line}\n"));
    }
}

#[test]
fn a_key_that_stands_twice_hides_no_other_mistake() {
    assert_eq!(
        mistakes(&format!("listen = \"1.1.1.1:1\"\nlisten = \"2.2.2.2:2\"\n{APP}[ticket]\nttl = \"x\"\n[ticket]\n")),
        [
            "login.toml:2: listen: this name stands twice; remove one of the two",
            "login.toml:8: ticket.ttl: \"x\" is not a duration; write for example \"2h\" or \"30m\"",
            "login.toml:9: ticket: this name stands twice; remove one of the two",
        ]
    );
}

#[test]
fn no_text_makes_the_parser_panic() {
    for text in
        ["[[app]]\n[app]\n", "app.x = 1\n[[app]]\n", "[a.b.c]\na.b = 1\n", "ticket.ttl.x = 1\n", "=", "[[[", "\0"]
    {
        mistakes(text);
    }
    mistakes(&format!("listen = {}1{}", "[".repeat(500), "]".repeat(500)));
    mistakes(&"[a.".repeat(1000));
}
