//! One outcome of the command line for each file in `tests/cmd`, and here the ones that no file can hold.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::text;
use auth_ticket::keystore::Directory;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{BINARY, Outcome, auth_ticket};

/// The first of `tests/vectors/ticket_v1.json`, whose first ticket the data files show as well.
const KID: &str = "ac1dba1c";
const SECRET: &str = "023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441";
const APPID: &str = "wx4f4bc4dec97d474b";

/// What the data files find where they run: keys directories in good and bad order, configurations.
fn fixture() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let key = key_file(KID, SECRET);
    let name = format!("ticket-{KID}.key");
    let put = |path: &str, content: &str, mode: u32| put(root.path(), path, content, mode);
    put(&format!("good/{name}"), &key, 0o600);
    // Commands that take the lock have a directory of their own each: the files run side by side.
    put(&format!("to-init/{name}"), &key, 0o600);
    put(&format!("to-prune/{name}"), &key, 0o600);
    put(&format!("to-revoke/{name}"), &key, 0o600);
    put(&format!("open/{name}"), &key, 0o644);
    put(&format!("group-readable/{name}"), &key, 0o640);
    put("renamed/ticket-00000001.key", &key, 0o600);
    put("other-kid/ticket-00000001.key", &key.replace(KID, "00000001"), 0o600);
    put(&format!("digits/{name}"), &key.replace(SECRET, &SECRET[1..]), 0o600);
    put(&format!("zeros/{name}"), &key.replace(SECRET, &"0".repeat(64)), 0o600);
    put(&format!("times/{name}"), &key.replace("2021", "2019"), 0o600);
    put(&format!("max-ttl/{name}"), &key.replace("86400", "59"), 0o600);
    put(&format!("json/{name}"), &key[..key.len() / 2], 0o600);
    put(&format!("two/{name}"), "", 0o600);
    put("two/ticket-00000001.key", &key, 0o644);
    put(&format!("large/{name}"), &" ".repeat(4097), 0o600);
    put(&format!("newer/{name}"), &key.replace("\"v\":1", "\"v\":2"), 0o600);
    put(&format!("same/{name}"), &key, 0o600);
    let as_jwt = key.replace("\"ticket\"", "\"jwt\"").replace("XAES-256-GCM", "EdDSA");
    put(&format!("same/jwt-{KID}.key"), &as_jwt, 0o600);
    put(&format!("revoked/{name}"), &key, 0o600);
    put(&format!("revoked/ticket-{KID}.revoked"), "", 0o600);
    fs::create_dir(root.path().join("empty")).unwrap();
    fs::create_dir_all(root.path().join("fifo")).unwrap();
    let fifo = root.path().join("fifo").join(&name);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    put("file", "", 0o600);

    put("not-toml.toml", "[[app]]\nappid = wx1\nplatform = \"weapp\n", 0o600);
    put(
        "mistakes.toml",
        "listen = \"8080\"\nlisten_admin = \"127.0.0.1:9090\"\npublic_url = \"http://login.example.com\"\n\n\
         [ticket]\nttl = 7200\nmax_session = \"1h\"\n\n[[app]]\nplatform = \"wechat\"\n\
         secret = \"canary\"\n\n[[app]]\nappid = \"wx2\"\nplatform = \"weapp\"\nsecret_env = \"WX2_SECRET\"\n",
        0o600,
    );
    put("no-app.toml", "listen = \"127.0.0.1:0\"\n", 0o600);
    put("secret", "0123456789abcdef0123456789abcdef\n", 0o600);
    let app = "[[app]]\nappid = \"wx1\"\nplatform = \"weapp\"\nsecret_file = \"secret\"\n";
    let config = format!("listen = \"127.0.0.1:0\"\nadmin_listen = \"\"\nkeys_dir = \"missing\"\n\n{app}");
    put("no-keys.toml", &config, 0o600);
    root
}

/// A key that has sealed since 2021 and will for long, so that no refusal depends on the day.
fn key_file(kid: &str, secret: &str) -> String {
    format!(
        "{{\"v\":1, \"use\":\"ticket\", \"alg\":\"XAES-256-GCM\", \"kid\":\"{kid}\",\n \
         \"created\":\"2020-01-01T00:00:00Z\", \"seal_from\":\"2021-01-01T00:00:00Z\", \
         \"seal_until\":\"9999-01-01T00:00:00Z\",\n \"max_ttl_s\":86400, \"secret\":\"{secret}\"}}\n"
    )
}

fn put(root: &Path, path: &str, content: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::options().create_new(true).write(true).mode(mode).open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

#[test]
fn every_outcome_is_as_its_file_says() {
    let fixture = fixture();
    trycmd::TestCases::new()
        .register_bin("auth-ticket", Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/run.sh")))
        .env("BINARY", BINARY)
        .env("FIXTURE", fixture.path().to_str().unwrap())
        .case("tests/cmd/*.toml")
        .run();
}

#[test]
fn a_fixture_key_is_a_key() {
    let name = format!("ticket-{KID}");
    let fixture = fixture();
    let (content, _) = Directory::new(fixture.path().join("good")).load(SystemClock.now()).unwrap();
    assert_eq!(content.keys[0].name().to_string(), name);
    assert_eq!(*text::encode(&content.keys[0]), key_file(KID, SECRET), "the fixture is as the program would write it");
}

#[test]
fn a_clock_that_is_behind_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let key = key_file(KID, SECRET).replace("2020", "9000").replace("2021", "9001");
    put(root.path(), &format!("keys/ticket-{KID}.key"), &key, 0o600);
    let refusal = Outcome::of(auth_ticket(&["keys", "list"]).current_dir(root.path())).refused();
    let end = format!(
        ", but keys/ticket-{KID}.key was made at 9000-01-01T00:00:00Z: the clock is behind, or was ahead then\n\
         hint: set the clock (NTP); if it is right, auth-ticket keys revoke ticket-{KID} --keys keys\n"
    );
    assert!(refusal.starts_with("error: the clock says 20") && refusal.ends_with(&end), "{refusal}");
}

/// Why a key does not open is the answer that whoever looks into a ticket needs most.
#[test]
fn inspect_says_whether_a_key_was_revoked_is_dead_or_was_never_here() {
    let case = include_str!("../../cmd/inspect-keys-revoked.toml");
    let ticket = case.split('"').find(|text| text.len() > 150).unwrap();
    let told = |directory: &Path| {
        let mut command = auth_ticket(&["ticket", "inspect", ticket, "--appid", APPID, "--keys"]);
        Outcome::of(command.arg(directory)).refused()
    };
    let root = tempfile::tempdir().unwrap();
    let other = root.path().join("other");
    Outcome::of(auth_ticket(&["keys", "init", "--keys"]).arg(&other)).done();
    assert_eq!(told(&other), format!("error: the ticket does not open: no key {KID} to open the ticket with\n"));
    // Revoked on this machine, where the key never was.
    put(&other, &format!("ticket-{KID}.revoked"), "", 0o600);
    assert_eq!(told(&other), format!("error: the ticket does not open: its key {KID} was revoked\n"));
    // A revoked key that is dead, too, is revoked.
    let dead = key_file(KID, SECRET).replace("9999", "2022");
    put(&other, &format!("ticket-{KID}.key"), &dead, 0o600);
    assert_eq!(told(&other), format!("error: the ticket does not open: its key {KID} was revoked\n"));
    let past = root.path().join("past");
    put(&past, &format!("ticket-{KID}.key"), &dead, 0o600);
    let since = "2022-01-02T00:01:00Z; nothing that it sealed is alive\n";
    assert_eq!(told(&past), format!("error: the ticket does not open: its key {KID} is dead since {since}"));
}

#[test]
fn the_version_is_that_of_the_package() {
    for flag in ["--version", "-V"] {
        let shown = Outcome::of(&mut auth_ticket(&[flag])).done();
        assert!(shown.starts_with(concat!("auth-ticket ", env!("CARGO_PKG_VERSION"))), "{shown}");
        assert_eq!(shown.lines().count(), 1);
    }
}

#[test]
fn the_example_configuration_names_every_table_and_needs_but_a_secret_and_keys() {
    let example = Outcome::of(&mut auth_ticket(&["serve", "--print-example-config"])).done();
    for table in [
        "[ticket]",
        "[[app]]",
        "#[[service]]",
        "[jwt]",
        "[claims]",
        "[upstream]",
        "[verify]",
        "[compat]",
        "[cors]",
        "[limits]",
    ] {
        assert!(example.lines().any(|line| line == table), "{table}");
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("login.toml"), example).unwrap();
    let start = |secret: Option<&str>| {
        let mut command = auth_ticket(&["serve", "--config", "login.toml"]);
        Outcome::of(command.envs(secret.map(|secret| ("WX_SECRET", secret))).current_dir(root.path())).refused()
    };
    let refusal = start(None);
    assert!(refusal.starts_with("error: login.toml has 1 mistake\n"), "{refusal}");
    assert!(refusal.contains("app[0].secret_env: WX_SECRET is not set in the environment"), "{refusal}");
    let refusal = start(Some("s"));
    assert!(refusal.contains("error: cannot list keys") && refusal.contains("auth-ticket keys init"), "{refusal}");
}

#[test]
fn every_shell_gets_a_completion_script() {
    for (shell, words) in [
        ("bash", "complete -F"),
        ("elvish", "edit:completion"),
        ("fish", "complete -c auth-ticket"),
        ("powershell", "Register-ArgumentCompleter"),
        ("zsh", "#compdef auth-ticket"),
    ] {
        let script = Outcome::of(&mut auth_ticket(&["completions", shell])).done();
        assert!(script.contains(words), "{shell}");
        for word in ["rotate", "--if-older-than", "inspect", "--print-example-config"] {
            assert!(script.contains(word.trim_start_matches("--")), "{shell} does not complete {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let page = Outcome::of(&mut auth_ticket(&["man"])).done();
    assert!(page.contains(".TH AUTH-TICKET 1"), "{page}");
    let root = tempfile::tempdir().unwrap();
    let told = Outcome::of(auth_ticket(&["man", "--out"]).arg(root.path())).done();
    assert_eq!(told, "");
    let pages: BTreeMap<String, String> = fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    for command in [
        "",
        "-serve",
        "-demo",
        "-simulator",
        "-keys",
        "-keys-init",
        "-keys-rotate",
        "-keys-list",
        "-keys-plan",
        "-keys-prune",
        "-keys-revoke",
        "-keys-export",
        "-ticket",
        "-ticket-inspect",
        "-completions",
        "-man",
    ] {
        let page = pages.get(&format!("auth-ticket{command}.1"));
        assert!(page.is_some_and(|page| page.contains(".SH SYNOPSIS")), "{command}: {:?}", pages.keys());
    }
    let serve = &pages["auth-ticket-serve.1"];
    assert!(serve.contains(".SH SETTINGS") && serve.contains("\\fBticket.ttl\\fR"), "{serve}");
    Outcome::of(auth_ticket(&["man", "--out"]).arg(root.path().join("missing"))).refused();
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/ticket_v1.json")).unwrap()
}

/// `ticket inspect` with the keys of the fixture.
fn inspect(fixture: &TempDir, ticket: &str, appid: &str, more: &[&str]) -> Outcome {
    let mut command = auth_ticket(&["ticket", "inspect", ticket, "--keys", "good", "--appid", appid]);
    Outcome::of(command.args(more).current_dir(fixture.path()))
}

#[test]
fn a_ticket_is_shown_to_who_has_its_key_expired_or_not() {
    let (fixture, vectors) = (fixture(), vectors());
    for vector in vectors["good"].as_array().unwrap().iter().filter(|vector| vector["kid"] == KID) {
        let (ticket, appid) = (vector["ticket"].as_str().unwrap(), vector["appid"].as_str().unwrap());
        let outcome = inspect(&fixture, ticket, appid, &["--json"]);
        let session_key = vector["claims"]["session_key"].as_str();
        assert!(session_key.is_none_or(|session_key| !outcome.stdout.contains(session_key)), "{outcome:?}");
        let (shown, claims) = (outcome.json(), &vector["claims"]);
        let verdict = shown["verdict"].as_str().unwrap();
        assert!(verdict.starts_with("would be refused now: expired ") && verdict.ends_with(" s ago"), "{verdict}");
        for (field, claim) in
            [("openid", "openid"), ("unionid", "unionid"), ("phone", "phone"), ("login_id", "login_id")]
        {
            assert_eq!(shown.get(field).unwrap_or(&Value::Null), &claims[claim], "{}: {field}", vector["name"]);
        }
        assert_eq!((&shown["appid"], &shown["kid"]), (&vector["appid"], &vector["kid"]));
        assert_eq!((&shown["version"], &shown["purpose"]), (&json!(1), &json!("ticket")));
        assert_eq!(shown["session_key"], session_key.is_some());
        assert_eq!(shown["characters"], ticket.len());
        assert_eq!(shown["issued_at"], "2026-11-18T11:05:00Z");
        assert_eq!(shown["expires_at"], "2026-11-18T13:05:00Z");
    }
}

#[test]
fn a_ticket_is_shown_to_people_line_by_line() {
    let (fixture, vectors) = (fixture(), vectors());
    let ticket = vectors["good"][3]["ticket"].as_str().unwrap();
    let shown = inspect(&fixture, ticket, APPID, &[]).done();
    let names: Vec<&str> = shown.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    let expected = [
        "version",
        "kid",
        "app_tag",
        "characters",
        "bytes",
        "verdict",
        "purpose",
        "appid",
        "openid",
        "unionid",
        "phone",
        "login_id",
        "auth_time",
        "issued_at",
        "expires_at",
        "session_key",
    ];
    assert_eq!(names, expected);
    assert!(shown.ends_with("session_key         inside, never shown\n"), "{shown}");
    assert!(shown.contains("\nexpires_at          2026-11-18T13:05:00Z ("), "{shown}");
}

#[test]
fn a_bad_ticket_is_refused_with_the_reason_and_none_of_its_content() {
    let (fixture, vectors) = (fixture(), vectors());
    for vector in vectors["bad"].as_array().unwrap() {
        let ticket = vector["ticket"].as_str().unwrap();
        let outcome = inspect(&fixture, ticket, APPID, &[]);
        let name = vector["name"].as_str().unwrap();
        let shown = match name {
            "another purpose" => "\npurpose             login-handle\n",
            "issued at 2^64-1" => "\nverdict             would be refused now: issued ",
            // What was the future when the vectors were made is the past now.
            "from the future" | "expired" | "expired at the boundary" => {
                "\nverdict             would be refused now: expired "
            }
            _ => {
                let refusal = outcome.refused();
                assert!(refusal.starts_with("error: ") && !refusal.contains("oGZUI0eg"), "{name}: {refusal}");
                continue;
            }
        };
        assert!(outcome.stdout.contains(shown), "{name}: {outcome:?}");
    }
}

/// `ticket inspect -` with this on standard input.
fn inspect_stdin(input: &[u8]) -> Outcome {
    let mut command = auth_ticket(&["ticket", "inspect", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have read enough before all is written.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_ticket_from_standard_input_may_end_with_a_line_feed_and_be_anything() {
    let vectors = vectors();
    let ticket = vectors["good"][0]["ticket"].as_str().unwrap();
    let plain = inspect_stdin(ticket.as_bytes()).done();
    assert_eq!(inspect_stdin(format!("{ticket}\n").as_bytes()).done(), plain);
    assert_eq!(inspect_stdin(format!("{ticket}\r\n").as_bytes()).done(), plain);
    for input in
        [&vec![b'A'; 1 << 20][..], b"", b"\n", b"\xff\xfe", &b"\xff".repeat(1 << 20), &"é".repeat(4000).into_bytes()]
    {
        let refusal = inspect_stdin(input).refused();
        assert!(refusal.starts_with("error: cannot read the ticket"), "{refusal}");
    }
    for input in [format!("{ticket}\n\n"), format!(" {ticket}"), format!("{ticket} {ticket}")] {
        inspect_stdin(input.as_bytes()).refused();
    }
}

#[test]
fn an_argument_that_is_not_text_is_wrong_usage() {
    let mut command = auth_ticket(&["ticket", "inspect"]);
    let outcome = Outcome::of(command.arg(std::ffi::OsStr::from_bytes(b"\xff\xfe")));
    assert_eq!((outcome.code, &*outcome.stdout), (Some(2), ""), "{outcome:?}");
    assert!(outcome.stderr.starts_with("error: invalid UTF-8 was detected"), "{outcome:?}");
    // Paths may be any bytes.
    let mut command = auth_ticket(&["keys", "list", "--keys"]);
    Outcome::of(command.arg(std::ffi::OsStr::from_bytes(b"/nowhere/\xff"))).refused();
}
