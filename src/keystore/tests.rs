//! Directories as operators leave them: what loads, what is refused and what the refusal says.

#![expect(clippy::disallowed_methods, reason = "tests put files where operators would")]

#[cfg(feature = "tower")]
mod followed;
mod power;
mod verifier_file;
mod watched;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::keyring::{Alg, Fingerprint, Key, KeyError, KeySpec, KeyState, KeyUse, LoginId};

const NOW: UnixSeconds = UnixSeconds::new(1_795_000_000);
const SECRET: &str = "023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441";

fn spec(key_use: KeyUse) -> KeySpec {
    KeySpec {
        key_use,
        alg: key_use.default_alg(),
        created: NOW,
        seal_from: NOW.minus(60),
        seal_until: NOW.plus(7_776_000),
        max_ttl_s: 86400,
    }
}

struct Keys {
    root: TempDir,
    directory: Directory,
}

impl Keys {
    /// A directory with nothing in it.
    fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { directory: Directory::new(root.path()), root }
    }

    /// A directory with one ticket key in it.
    fn with_key() -> (Self, KeyName) {
        let keys = Self::empty();
        let name = keys.directory.lock().unwrap().add_key(spec(KeyUse::Ticket)).unwrap().name();
        (keys, name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn put(&self, name: &str, content: &str, mode: u32) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn refused_because(&self, what: &str) {
        let error = self.directory.load(NOW).unwrap_err();
        let message = format!("{error}; {}", error.remedy().unwrap_or_default());
        assert!(message.contains(what), "{message}\nshould say: {what}");
        assert!(!message.contains("5198881dab46"), "{message}\nquotes a secret");
    }

    fn fingerprint(&self) -> Fingerprint {
        self.directory.load(NOW).unwrap().0.fingerprint
    }
}

#[test]
fn a_written_key_loads_with_mode_0600() {
    let (keys, name) = Keys::with_key();
    let file = format!("{name}.key");
    assert_eq!(keys.names(), [".lock".to_owned(), file.clone()]);
    assert_eq!(fs::metadata(keys.path(&file)).unwrap().permissions().mode() & 0o7777, 0o600);
    let (ring, passed_over) = keys.directory.load_ring([], NOW).unwrap();
    assert_eq!(ring.sealing_key(KeyUse::Ticket, NOW).unwrap().key().name(), name);
    assert_eq!(passed_over, []);
}

#[test]
fn a_missing_an_empty_and_a_false_directory_say_what_to_do() {
    let keys = Keys::empty();
    keys.refused_because("no ticket key in");
    keys.refused_because("auth-ticket keys init --keys");
    let missing = Directory::new(keys.path("missing")).load(NOW).unwrap_err();
    assert!(missing.to_string().starts_with("cannot list"));
    assert!(missing.remedy().unwrap().contains("keys init"));
    keys.put("file", "", 0o600);
    assert!(matches!(Directory::new(keys.path("file")).load(NOW), Err(LoadError::NotADirectory(_))));
}

#[test]
fn a_jwt_key_alone_is_no_ring() {
    let keys = Keys::empty();
    keys.directory.lock().unwrap().add_key(spec(KeyUse::Jwt)).unwrap();
    keys.refused_because("no ticket key in");
}

#[test]
fn files_open_to_others_are_refused_with_the_chmod_that_helps() {
    let (keys, name) = Keys::with_key();
    let file = keys.path(&format!("{name}.key"));
    for (mode, what) in [
        (0o644, "is open to others (mode 0644); chmod 600"),
        (0o604, "mode 0604"),
        (0o660, "is open to others (mode 0660)"),
        (0o601, "mode 0601"),
        (0o640, "is readable by its group (mode 0640); chmod 600"),
        (0o440, "--allow-group-read"),
    ] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        keys.refused_because(what);
        keys.refused_because(file.to_str().unwrap());
    }
    let lenient = Directory::new(keys.root.path()).allow_group_read(true);
    assert!(lenient.load(NOW).is_ok(), "0440 with --allow-group-read");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o460)).unwrap();
    assert!(lenient.load(NOW).is_err(), "writable by the group is never right");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(keys.directory.load(NOW).is_ok());
}

#[test]
fn a_directory_open_to_others_is_refused() {
    let (keys, _) = Keys::with_key();
    for (mode, right) in [(0o777, false), (0o1777, false), (0o720, false), (0o755, true), (0o700, true), (0o500, true)]
    {
        fs::set_permissions(keys.root.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(keys.directory.load(NOW).is_ok(), right, "{mode:o}");
        if !right {
            keys.refused_because("chmod go-w");
        }
    }
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let (keys, name) = Keys::with_key();
    let file = keys.path(&format!("{name}.key"));
    // Only root can give a file away; everybody else tries with a file that root has.
    if std::os::unix::fs::chown(&file, Some(12345), None).is_ok() {
        keys.refused_because("is owned by user 12345");
    } else {
        fs::remove_file(&file).unwrap();
        symlink("/etc/hostname", &file).unwrap();
        keys.refused_because("is open to others");
    }
}

#[test]
fn what_is_no_small_regular_file_is_refused() {
    let (keys, _) = Keys::with_key();
    let file = keys.path("ticket-00000001.key");
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    keys.refused_because("ticket-00000001.key is not a regular file");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    keys.refused_because("is not a regular file");
    fs::remove_dir(&file).unwrap();
    keys.put("ticket-00000001.key", "", 0o600);
    fs::File::options().write(true).open(&file).unwrap().set_len(1 << 30).unwrap();
    keys.refused_because("is larger than 4096 bytes");
    fs::remove_file(&file).unwrap();
    symlink(&file, &file).unwrap();
    keys.refused_because("cannot be read");
}

#[test]
fn every_file_that_is_not_right_is_told_at_once() {
    let (keys, name) = Keys::with_key();
    let good = fs::read_to_string(keys.path(&format!("{name}.key"))).unwrap();
    keys.put("ticket-00000001.key", &good, 0o600);
    keys.put("ticket-00000002.key", "", 0o600);
    keys.put("ticket-00000003.key", &good[..good.len() / 2], 0o600);
    keys.put("ticket-00000004.key", &good.replace(name.kid.to_string().as_str(), "00000004"), 0o600);
    keys.put("cutoffs.json", "{}", 0o600);
    fs::write(keys.path("ticket-00000005.key"), [0xff; 10]).unwrap();
    fs::set_permissions(keys.path("ticket-00000005.key"), fs::Permissions::from_mode(0o600)).unwrap();
    for what in [
        "6 files are not as they must be",
        "ticket-00000001.key: the file is named ticket-00000001, but says",
        "ticket-00000002.key: not a key file",
        "ticket-00000003.key: not a key file",
        "ticket-00000004.key: the secret belongs to kid",
        "ticket-00000005.key is not UTF-8 text",
        "cutoffs.json: not a list of cut-offs",
    ] {
        keys.refused_because(what);
    }
    let scan = keys.directory.scan().unwrap();
    assert_eq!((scan.content.keys.len(), scan.problems.len()), (1, 6), "what is right is still there");
}

#[test]
fn a_key_file_of_63_digits_is_refused_by_name() {
    let (keys, _) = Keys::with_key();
    let text = format!(
        r#"{{"v":1,"use":"ticket","alg":"XAES-256-GCM","kid":"ac1dba1c","created":"2026-11-17T21:00:00Z",
        "seal_from":"2026-11-17T21:00:00Z","seal_until":"2027-11-17T21:00:00Z","max_ttl_s":60,"secret":"{}"}}"#,
        &SECRET[1..]
    );
    keys.put("ticket-ac1dba1c.key", &text, 0o600);
    keys.refused_because("ticket-ac1dba1c.key: the secret has 63 characters instead of 64");
    keys.refused_because("restore it from a copy");
}

#[test]
fn files_for_others_are_passed_over() {
    let (keys, name) = Keys::with_key();
    let before = keys.fingerprint();
    keys.put("README.md", "read me", 0o644);
    keys.put(".gitignore", "*", 0o644);
    keys.put(".tmp-ticket-00000001.key", "half", 0o644);
    fs::create_dir(keys.path("..2026_11_22")).unwrap();
    keys.put("ticket-A1B2C3D4.key", "", 0o644);
    keys.put("ticket.key", "", 0o644);
    let (content, passed_over) = keys.directory.load(NOW).unwrap();
    assert_eq!(content.fingerprint, before);
    let told: Vec<String> = passed_over.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("ticket-A1B2C3D4.key is passed over: it is not named like"), "{told:?}");

    let newer = fs::read_to_string(keys.path(&format!("{name}.key"))).unwrap().replace("\"v\":1", "\"v\":2");
    keys.put("ticket-00000002.key", &newer, 0o600);
    keys.put("macaroon-00000003.key", "?", 0o600);
    let (content, passed_over) = keys.directory.load(NOW).unwrap();
    assert_eq!((content.keys.len(), passed_over.len()), (1, 4));
    assert_ne!(content.fingerprint, before, "replicas of another version count these files too");
}

#[test]
fn the_fingerprint_is_the_one_of_the_contract() {
    let (keys, name) = Keys::with_key();
    keys.put("ticket-00000001.revoked", "content does not count", 0o666);
    keys.put("cutoffs.json", r#"{"v":1,"cutoffs":[]}"#, 0o600);
    let mut sum = Sha256::new();
    let key = fs::read(keys.path(&format!("{name}.key"))).unwrap();
    let mut files = vec![
        (format!("{name}.key"), key),
        ("ticket-00000001.revoked".to_owned(), Vec::new()),
        ("cutoffs.json".to_owned(), br#"{"v":1,"cutoffs":[]}"#.to_vec()),
    ];
    files.sort();
    for (name, content) in files {
        sum.update(name);
        sum.update([0]);
        sum.update(Sha256::digest(content));
    }
    assert_eq!(keys.fingerprint().to_string(), hex::encode(&sum.finalize()[..8]));
}

#[test]
fn a_revoked_file_counts_whatever_it_is() {
    for make in [
        |path: &Path| fs::write(path, "anything").unwrap(),
        |path: &Path| fs::create_dir(path).unwrap(),
        |path: &Path| symlink("/nowhere", path).unwrap(),
    ] {
        let (keys, name) = Keys::with_key();
        make(&keys.path(&format!("{name}.revoked")));
        let (ring, _) = keys.directory.load_ring([], NOW).unwrap();
        assert_eq!(ring.keys().next().unwrap().state(NOW), KeyState::Revoked);
    }
}

#[test]
fn cut_offs_are_read_from_a_list_that_is_not_right() {
    const ALL: &str = r#"{"scope":"all","before":"2026-11-22T21:00:00Z","created":"2026-11-22T21:00:00Z"}"#;
    let (keys, _) = Keys::with_key();
    let recover = || keys.directory.recover_cutoffs().unwrap();
    assert!(recover().0.fault.is_none() && recover().0.entries.is_empty(), "no file is an empty list");
    let list = format!(r#"{{"v":1,"cutoffs":[{ALL}]}}"#);
    for mode in [0o600, 0o644, 0o666, 0o640] {
        keys.put("cutoffs.json", &list, mode);
        let (recovered, problem) = recover();
        assert_eq!((recovered.cutoffs().count(), problem.is_none()), (1, mode == 0o600), "{mode:o}");
    }
    keys.put("cutoffs.json", &list[..list.len() - 1], 0o600);
    let (recovered, problem) = recover();
    assert!(recovered.cutoffs().count() == 1 && recovered.fault.is_some() && problem.is_none());
    fs::remove_file(keys.path("cutoffs.json")).unwrap();
    fs::create_dir(keys.path("cutoffs.json")).unwrap();
    assert!(keys.directory.recover_cutoffs().unwrap_err().to_string().contains("is not a regular file"));
}

#[test]
fn a_volume_of_links_loads() {
    let (source, name) = Keys::with_key();
    let keys = Keys::empty();
    let file = format!("{name}.key");
    fs::create_dir(keys.path("..2026_11_22_1")).unwrap();
    fs::copy(source.path(&file), keys.path("..2026_11_22_1").join(&file)).unwrap();
    symlink("..2026_11_22_1", keys.path("..data")).unwrap();
    symlink(format!("..data/{file}"), keys.path(&file)).unwrap();
    assert_eq!(keys.directory.load(NOW).unwrap().0.keys[0].name(), name);
    assert_eq!(keys.fingerprint(), source.fingerprint());
}

#[test]
fn a_clock_behind_the_newest_key_is_refused() {
    let (keys, _) = Keys::with_key();
    assert!(keys.directory.load(NOW.minus(60)).is_ok());
    let error = keys.directory.load(NOW.minus(61)).unwrap_err();
    assert!(error.to_string().contains("the clock is behind"), "{error}");
}

#[test]
fn one_secret_in_two_files_is_refused() {
    let (keys, name) = Keys::with_key();
    let text = fs::read_to_string(keys.path(&format!("{name}.key"))).unwrap();
    let as_jwt = text.replace("\"ticket\"", "\"jwt\"").replace("XAES-256-GCM", "EdDSA");
    keys.put(&format!("jwt-{}.key", name.kid), &as_jwt, 0o600);
    let error = keys.directory.load_ring([], NOW).unwrap_err();
    assert!(error.to_string().contains("hold the same secret"), "{error}");
}

#[test]
fn one_command_writes_at_a_time() {
    let (keys, _) = Keys::with_key();
    let first = keys.directory.lock().unwrap();
    let second = keys.directory.lock().unwrap_err();
    assert!(second.to_string().starts_with("another auth-ticket command is writing in"));
    drop(first);
    assert!(keys.directory.lock().is_ok());
}

#[test]
fn a_lock_is_waited_for_as_long_as_is_said_and_no_longer() {
    let (keys, _) = Keys::with_key();
    let first = keys.directory.lock().unwrap();
    let wait = Duration::from_millis(60);
    assert!(matches!(keys.directory.lock_within(wait), Err(WriteError::Locked { .. })));
    let waiting = {
        let directory = keys.directory.clone();
        std::thread::spawn(move || directory.lock_within(Duration::from_secs(20)).is_ok())
    };
    drop(first);
    assert!(waiting.join().unwrap());
}

#[test]
fn a_directory_that_is_held_is_the_same_one_wherever_its_path_leads() {
    let (keys, name) = Keys::with_key();
    let other = Keys::empty();
    let link = other.path("link");
    symlink(keys.root.path(), &link).unwrap();
    let directory = Directory::new(&link).hold().unwrap();
    fs::remove_file(&link).unwrap();
    symlink(other.root.path(), &link).unwrap();
    assert_eq!(directory.load(NOW).unwrap().0.keys[0].name(), name);
    directory.revoke(name).unwrap();
    directory.lock().unwrap().replace_cutoffs(&Recovered::default()).unwrap();
    assert_eq!(keys.names().len(), 4, "lock, key, revocation and cut-offs");
    assert_eq!(other.names(), ["link"]);
}

#[test]
fn a_directory_that_may_not_be_listed_takes_a_revocation() {
    let (keys, name) = Keys::with_key();
    let handle = Handle::open_unlisted(keys.root.path()).unwrap();
    let directory = Directory { held: Some(Arc::new(handle)), ..keys.directory.clone() };
    assert!(matches!(directory.load(NOW), Err(LoadError::List { .. })));
    assert!(directory.has_key_file(name) && directory.revoke(name).unwrap());
    assert!(keys.names().contains(&format!("{name}.revoked")));
}

#[test]
fn the_file_systems_time_is_this_machines() {
    let (keys, _) = Keys::with_key();
    let before = keys.names();
    let time = keys.directory.lock().unwrap().file_system_time().unwrap();
    let now = crate::clock::Clock::now(&crate::clock::SystemClock);
    assert!(now.since(time).max(time.since(now)) <= 2);
    assert_eq!(keys.names(), before);
}

#[test]
fn the_lock_is_taken_through_no_link() {
    let (keys, elsewhere) = (Keys::empty(), tempfile::tempdir().unwrap());
    let target = elsewhere.path().join("target");
    symlink(&target, keys.path(".lock")).unwrap();
    assert!(matches!(keys.directory.lock(), Err(WriteError::Io { .. })));
    assert!(!target.exists());
}

#[test]
fn what_a_killed_command_left_is_cleared_by_the_next() {
    let (keys, _) = Keys::with_key();
    keys.put(".tmp-AbCdEf", "half a key", 0o600);
    assert!(keys.directory.load(NOW).is_ok());
    drop(keys.directory.lock().unwrap());
    assert!(!keys.names().contains(&".tmp-AbCdEf".to_owned()));
}

#[test]
fn revoking_twice_is_revoking_once_and_removing_spares_the_revocation() {
    let (keys, name) = Keys::with_key();
    let lock = keys.directory.lock().unwrap();
    assert!(keys.directory.revoke(name).unwrap());
    assert!(!keys.directory.revoke(name).unwrap());
    lock.remove_key(name).unwrap();
    assert_eq!(keys.names(), [".lock".to_owned(), format!("{name}.revoked")]);
    assert!(matches!(lock.remove_key(name), Err(WriteError::Io { .. })));
}

#[test]
fn nothing_is_written_over() {
    let (keys, name) = Keys::with_key();
    let file = keys.path(&format!("{name}.revoked"));
    fs::write(&file, "by hand").unwrap();
    keys.directory.revoke(name).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "by hand");
}

#[test]
fn a_spec_that_cannot_be_writes_nothing() {
    let keys = Keys::empty();
    let lock = keys.directory.lock().unwrap();
    let wrong = KeySpec { alg: Alg::Es256, ..spec(KeyUse::Ticket) };
    assert!(matches!(lock.add_key(wrong), Err(WriteError::Key(KeyError::AlgOfAnotherUse(..)))));
    assert_eq!(keys.names(), [".lock"]);
    let key: Result<Key, _> = lock.add_key(spec(KeyUse::Jwt));
    assert!(key.is_ok());
}
