//! `keys export`: what a gateway is given, and that it stays as the keys are.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use auth_ticket::claims::PlatformId;
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{AppId, LoginId, Purpose};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::{OpenError, Policy, Session};
use auth_ticket::verifier::AppVerifier;
use rustix::process::{Pid, Signal, geteuid, getgid, kill_process};

use crate::support::{APPID, Keys, OTHER_APPID, Outcome, auth_ticket, until};

fn export(keys: &Keys, out: &Path, more: &[&str]) -> Command {
    let mut command = keys.command(&["export", "--app", APPID]);
    command.arg("--out").arg(out).args(more);
    command
}

fn read(out: &Path) -> AppVerifier {
    AppVerifier::parse(&fs::read(out).unwrap(), SystemClock.now()).unwrap()
}

/// A ticket of the app, sealed with the keys of the directory as a server does.
fn ticket(keys: &Keys) -> String {
    let (now, app) = (SystemClock.now(), AppId::parse(APPID).unwrap());
    let (ring, _) = Directory::new(keys.path()).load_ring([app.clone()], now).unwrap();
    let session = Session::new(PlatformId::parse("o-alice").unwrap(), LoginId::generate().unwrap(), now);
    let policy = Policy { ttl_s: 600, max_session_s: 86400 };
    session.seal(&ring, &app, Purpose::Ticket, now, &policy).unwrap().text().to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// All but the line that holds `made`.
fn without_made(out: &Path) -> String {
    let text = fs::read_to_string(out).unwrap();
    let (before, after) = text.split_once("\"made\":\"").unwrap();
    format!("{before}{}", after.split_once('"').unwrap().1)
}

#[test]
fn a_file_opens_the_tickets_of_its_app_and_holds_no_key() {
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    let out = root.path().join("app.verifier");
    let said = Outcome::of(&mut export(&keys, &out, &["--max-session", "2h", "--platform", "tt"])).done();
    assert!(said.starts_with("wrote ") && said.contains(APPID), "{said}");
    let verifier = read(&out);
    assert_eq!((verifier.appid().as_str(), verifier.platform(), verifier.max_session_s()), (APPID, "tt", 7200));
    let now = SystemClock.now();
    assert_eq!(verifier.check_age(now, Some(60)), Ok(()));
    assert_eq!(verifier.open(ticket(&keys), now).unwrap().session().openid.as_str(), "o-alice");
    let text = fs::read_to_string(&out).unwrap();
    assert!(keys.secrets().iter().all(|secret| !text.contains(secret.as_str())), "{text}");
    assert_eq!(mode(&out), 0o600);

    let first = without_made(&out);
    let group = getgid().as_raw().to_string();
    let again = ["--group", &group, "--max-session", "2h", "--platform", "tt"];
    Outcome::of(&mut export(&keys, &out, &again)).done();
    assert_eq!((without_made(&out), mode(&out)), (first, 0o640));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_cannot_be_exported_is_refused_and_leaves_the_old_file() {
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    let out = root.path().join("app.verifier");
    Outcome::of(&mut export(&keys, &out, &[])).done();
    let before = fs::read(&out).unwrap();
    let config = root.path().join("login.toml");
    let keys_dir = keys.path();
    let app = format!("[[app]]\nappid = \"{APPID}\"\nplatform = \"weapp\"\nsecret_env = \"NOT_SET\"\n");
    fs::write(&config, format!("keys_dir = \"{}\"\n{app}", keys_dir.display())).unwrap();
    let config = config.to_str().unwrap();
    for (more, error) in [
        (vec!["--platform", "nokia"], "nokia"),
        (vec!["--group", "no-such-group-here"], "there is no group"),
        (vec!["--config", "missing.toml"], "missing.toml"),
    ] {
        let refusal = Outcome::of(&mut export(&keys, &out, &more)).refused();
        assert!(refusal.contains(error), "{refusal}");
    }
    let mut other = auth_ticket(&["keys", "export", "--app", OTHER_APPID, "--config", config, "--out"]);
    assert!(Outcome::of(other.arg(&out)).refused().contains("has no app"));
    for path in [root.path().join("missing/app.verifier"), root.path().to_owned()] {
        assert!(Outcome::of(&mut export(&keys, &path, &[])).refused().contains("cannot write"));
    }
    fs::write(keys.file("ticket-00000000.key"), "{").unwrap();
    Outcome::of(&mut export(&keys, &out, &[])).refused();
    assert_eq!(fs::read(&out).unwrap(), before);
    fs::remove_file(keys.file("ticket-00000000.key")).unwrap();

    // The configuration's only app, and none of its secrets.
    let mut command = auth_ticket(&["keys", "export", "--config", config, "--out"]);
    Outcome::of(command.arg(&out)).done();
    assert_eq!(read(&out).appid().as_str(), APPID);
}

/// Ended when a test fails.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn watch(keys: &Keys, out: &Path) -> Watch {
    let child = export(keys, out, &["--watch", "--poll-s", "1"]).stdout(Stdio::null()).spawn().unwrap();
    until("the file is written", || out.exists());
    Watch(child)
}

fn ends_with_sigterm(mut watch: Watch) {
    kill_process(Pid::from_child(&watch.0), Signal::TERM).unwrap();
    let mut status = None;
    until("it ends", || {
        status = watch.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn a_watched_file_follows_its_directory_also_a_broken_one_until_sigterm() {
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    let out = root.path().join("app.verifier");
    let watch = watch(&keys, &out);
    let old = ticket(&keys);
    let now = SystemClock.now();
    assert!(read(&out).open(&old, now).is_ok());

    // A new key is there, and opens.
    keys.run(&["rotate", "--use", "ticket"]).done();
    until("the new key is exported", || read(&out).kids().count() == 2);

    // What takes power away is taken from a broken directory, too.
    let kid = keys.kid("ticket", "active");
    fs::write(keys.file("ticket-00000000.key"), "{").unwrap();
    fs::write(keys.file(&format!("ticket-{kid}.revoked")), "").unwrap();
    until("the revocation is exported", || read(&out).revoked().count() == 1);
    let text = fs::read_to_string(&out).unwrap();
    assert_eq!((text.matches("\"kid\"").count(), text.matches("\"subkey\"").count()), (2, 1), "{text}");
    assert!(matches!(read(&out).open(&old, now), Err(OpenError::DeadKey(_))));
    ends_with_sigterm(watch);
}

/// Root reads keys of somebody else through a process that has become their owner, and writes the file itself.
#[test]
fn root_exports_keys_of_another_user() {
    const NOBODY: u32 = 65534;
    if !geteuid().is_root() {
        return;
    }
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    // The owner must be able to reach them.
    fs::set_permissions(keys.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let files = fs::read_dir(keys.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.chain([keys.path()]) {
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let out = root.path().join("app.verifier");
    Outcome::of(&mut export(&keys, &out, &[])).done();
    assert_eq!(read(&out).kids().count(), 1);
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&out).unwrap());
    assert_eq!((owner, mode(&out)), (0, 0o600));
    let first = without_made(&out);
    fs::remove_file(&out).unwrap();
    let watch = watch(&keys, &out);
    assert_eq!(without_made(&out), first);
    ends_with_sigterm(watch);

    // What is not right there, the owner's process says.
    fs::write(keys.file("ticket-00000000.key"), "{").unwrap();
    let refusal = Outcome::of(&mut export(&keys, &out, &[])).refused();
    assert!(refusal.contains("ticket-00000000.key"), "{refusal}");
}
