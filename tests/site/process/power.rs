//! Taking power away when something is in the way: no room, a lock that is held, a clock that is wrong.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{Key, KeyName, KeySpec, KeyUse, text};

use crate::support::{Keys, Outcome, auth_ticket};

/// A file system of 64 KiB, unmounted when dropped.
pub(super) struct SmallDisk {
    keys: Keys,
}

impl SmallDisk {
    /// `None` without the right to mount.
    pub(super) fn mount() -> Option<Self> {
        let keys = Keys::missing();
        fs::create_dir(keys.path()).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"]).arg(keys.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self { keys })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.keys.path()
    }

    pub(super) fn fill(&self) {
        // Writes until there is no room, which is what it is for.
        let _ = fs::write(self.keys.file("filling"), vec![0; 128 << 10]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.keys.path()).status();
    }
}

fn cut_off_all(keys: &Keys) -> Outcome {
    Outcome::of(auth_ticket(&["cutoff", "add", "--all", "--keys"]).arg(keys.path()))
}

#[test]
fn a_full_disk_keeps_no_key_from_being_revoked() {
    let Some(disk) = SmallDisk::mount() else { return };
    let keys = &disk.keys;
    keys.run(&["init"]).done();
    disk.fill();
    let sealing = keys.kid("ticket", "active");
    let outcome = keys.run(&["revoke", &sealing]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let says = format!("error: ticket-{sealing} is revoked, but NOTHING SEALS, for it has no successor: cannot write ");
    assert!(outcome.stderr.starts_with(&says), "{outcome:?}");
    let hint =
        format!("if nothing seals: auth-ticket keys rotate --use ticket --now --keys {}\n", keys.path().display());
    assert!(outcome.stderr.ends_with(&hint), "{outcome:?}");
    assert!(outcome.stdout.starts_with(&format!("revoked ticket-{sealing}: ")), "{outcome:?}");
    assert_eq!(keys.kid("ticket", "revoked"), sealing);
    let outcome = cut_off_all(keys);
    assert!(outcome.stderr.starts_with("error: NOT CUT OFF: cannot write "), "{outcome:?}");
    assert_eq!(outcome.code, Some(1));
    let left: Vec<_> = keys.names().into_iter().filter(|name| name.starts_with(".tmp-")).collect();
    assert_eq!(left, Vec::<String>::new());
    // The way back that the hint names.
    fs::remove_file(keys.file("filling")).unwrap();
    keys.run(&["rotate", "--use", "ticket", "--now"]);
    keys.kid("ticket", "active");
}

#[test]
fn without_room_for_a_new_file_a_second_name_revokes() {
    let keys = Keys::missing();
    fs::create_dir(keys.path()).unwrap();
    let mut mount = Command::new("mount");
    // ext4 has so many files and no more, but as many names as there is room for.
    let image = keys.root().join("image");
    let make = Command::new("mkfs.ext4").args(["-q", "-N", "16", "-O", "^has_journal"]).arg(&image).arg("1m").output();
    if !make.is_ok_and(|output| output.status.success())
        || !mount.args(["-o", "loop"]).arg(&image).arg(keys.path()).output().is_ok_and(|output| output.status.success())
    {
        return;
    }
    let disk = SmallDisk { keys };
    let keys = &disk.keys;
    let _ = fs::remove_dir(keys.file("lost+found"));
    keys.run(&["init"]).done();
    let mut files = 0..;
    while fs::write(keys.file(&format!("filling-{}", files.next().unwrap())), "").is_ok() {}
    let sealing = keys.kid("ticket", "active");
    let outcome = Outcome::of(&mut keys.command(&["revoke", &sealing]));
    assert!(outcome.stderr.contains("is revoked, but NOTHING SEALS"), "{outcome:?}");
    assert_eq!(keys.kid("ticket", "revoked"), sealing);
}

/// Another process that holds the lock.
fn hold_lock(keys: &Keys, for_s: &str) -> std::process::Child {
    let holder = Command::new("flock").arg("--no-fork").arg(keys.file(".lock")).args(["sleep", for_s]).spawn().unwrap();
    let lock = fs::File::options().write(true).open(keys.file(".lock")).unwrap();
    crate::support::until("the lock is held", || {
        let free = lock.try_lock().is_ok();
        drop(lock.unlock());
        !free
    });
    holder
}

#[test]
fn a_held_lock_is_waited_for_and_then_does_not_keep_a_key_alive() {
    let keys = Keys::init();
    let sealing = keys.kid("ticket", "active");
    let mut holder = hold_lock(&keys, "30");
    let start = Instant::now();
    let commands = [
        keys.command(&["revoke", &sealing]),
        keys.command(&["rotate"]),
        keys.command(&["prune"]),
        {
            let mut command = auth_ticket(&["cutoff", "add", "--all", "--keys"]);
            command.arg(keys.path());
            command
        },
        {
            let mut command = auth_ticket(&["cutoff", "prune", "--keys"]);
            command.arg(keys.path());
            command
        },
    ];
    let waiting: Vec<_> =
        commands.map(|mut command| std::thread::spawn(move || Outcome::of(&mut command))).into_iter().collect();
    let outcomes: Vec<Outcome> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
    let took = start.elapsed();
    let _ = holder.kill();
    let _ = holder.wait();
    assert!((Duration::from_secs(10)..Duration::from_secs(20)).contains(&took), "{took:?}");
    for outcome in &outcomes {
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let held = format!("another auth-ticket command is writing in {}, for 10 s already\n", keys.path().display());
        assert!(outcome.stderr.contains(&held), "{outcome:?}");
    }
    let [revoked, rotated, _, cut_off, _] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(revoked.stderr.starts_with(&format!("error: ticket-{sealing} is revoked, but NOTHING SEALS")));
    assert!(rotated.stderr.contains("hint: find out which, and end it if it hangs: fuser -v "), "{rotated:?}");
    assert!(cut_off.stderr.starts_with("error: NOT CUT OFF: another "), "{cut_off:?}");
    assert_eq!(keys.kid("ticket", "revoked"), sealing);
    assert_eq!(keys.names().len(), 3, "no successor, no cut-off");
}

#[test]
fn a_lock_that_is_let_go_in_time_is_taken() {
    let keys = Keys::init();
    let sealing = keys.kid("ticket", "active");
    let mut holder = hold_lock(&keys, "1");
    let mut command = keys.command(&["revoke", &sealing]);
    Outcome::of(&mut command).done();
    assert!(holder.wait().unwrap().success());
    keys.kid("ticket", "active");
}

#[test]
fn a_lock_file_of_somebody_else_is_told_and_keeps_no_key_alive() {
    let keys = Keys::init();
    let sealing = keys.kid("ticket", "active");
    fs::set_permissions(keys.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for name in keys.names().iter().map(String::as_str).chain(["."]) {
        if chown(keys.file(name), Some(65533), Some(65533)).is_err() {
            return;
        }
    }
    let lock = keys.file(".lock");
    let refusal = keys.run(&["rotate"]).refused();
    let says = format!(
        "error: cannot lock {0}, which belongs to user 0\n\
         hint: if user 65533 runs the server: chown 65533 {0}; if user 0 does: chown 0 {1}\n",
        lock.display(),
        keys.path().display()
    );
    assert_eq!(refusal, says);
    let outcome = keys.run(&["revoke", &sealing]);
    assert!(outcome.stderr.contains(" is revoked, but NOTHING SEALS"), "{outcome:?}");
    assert_eq!(keys.kid("ticket", "revoked"), sealing);
}

/// Adds a key that was made so far in the future.
fn add_from_the_future(keys: &Keys, ahead_s: u64) -> KeyName {
    let created = SystemClock.now().plus(ahead_s);
    let (key_use, seal_until) = (KeyUse::Ticket, created.plus(86400));
    let spec = KeySpec { key_use, alg: key_use.default_alg(), created, seal_from: created, seal_until, max_ttl_s: 60 };
    let key = Key::generate(spec).unwrap();
    let file = keys.file(&format!("{}.key", key.name()));
    fs::write(&file, &*text::encode(&key)).unwrap();
    let owner = fs::metadata(keys.path()).unwrap().uid();
    let _ = chown(&file, Some(owner), None);
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    key.name()
}

#[test]
fn a_key_from_the_future_is_revoked_and_pruned_and_then_it_is_as_before() {
    for ahead_s in [61 + 5, 400 * 86400] {
        let keys = Keys::init();
        let names = keys.names();
        let future = add_from_the_future(&keys, ahead_s);
        keys.run(&["list"]).refused();
        keys.run(&["prune"]).done();
        let told = keys.run(&["revoke", &future.to_string()]).done();
        assert_eq!(told.lines().count(), 1, "there is one that seals, and its turn never came: {told}");
        assert_eq!(keys.run(&["prune"]).done(), format!("deleted {future}\n"));
        let mut left = names;
        left.push(format!("{future}.revoked"));
        left.sort();
        assert_eq!(keys.names(), left);
        keys.run(&["list"]).done();
    }
}

#[test]
fn where_all_keys_are_from_the_future_revoking_one_brings_one_that_seals_now() {
    let keys = Keys::missing();
    fs::create_dir(keys.path()).unwrap();
    fs::set_permissions(keys.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let future = add_from_the_future(&keys, 400 * 86400);
    keys.run(&["revoke", &future.to_string()]).done();
    assert_eq!(keys.run(&["prune"]).done(), format!("deleted {future}\n"));
    keys.kid("ticket", "active");
}

/// Runs a command whose clock is that far off; `None` where there is no libfaketime.
fn at_another_time(mut command: Command, offset: &str) -> Option<Outcome> {
    let libraries =
        fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let library: PathBuf = libraries.into_iter().find(|path: &PathBuf| Path::exists(path))?;
    Some(Outcome::of(command.env("LD_PRELOAD", library).env("FAKETIME", offset)))
}

#[test]
fn a_clock_that_disagrees_with_the_file_systems_prunes_nothing() {
    let keys = Keys::init();
    cut_off_all(&keys).done();
    let before = keys.files();
    for offset in ["+60d", "+400d", "+61m", "-2h"] {
        let cutoff_prune = || {
            let mut command = auth_ticket(&["cutoff", "prune", "--keys"]);
            command.arg(keys.path());
            command
        };
        for command in [keys.command(&["prune"]), keys.command(&["prune", "--dry-run"]), cutoff_prune()] {
            let Some(outcome) = at_another_time(command, offset) else { return };
            let refusal = outcome.refused();
            assert!(refusal.contains("and the file system 20") && refusal.contains("nothing was deleted"), "{refusal}");
        }
        assert_eq!(keys.files(), before);
    }
    at_another_time(keys.command(&["prune"]), "+30s").unwrap().done();
}
