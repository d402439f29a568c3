//! `keys export` where its file cannot be written, or somebody else writes it as well: an error in words, never half a file.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::verifier::AppVerifier;

use super::power::SmallDisk;
use crate::support::{APPID, Keys, Outcome, until};

fn export(keys: &Keys, out: &Path) -> Command {
    let mut command = keys.command(&["export", "--app", APPID]);
    command.arg("--out").arg(out);
    command
}

fn read(out: &Path) -> AppVerifier {
    AppVerifier::parse(&fs::read(out).unwrap(), SystemClock.now()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// `keys export --watch` that has written its file once, with what it says; killed when dropped.
struct Watch {
    child: Child,
    said: PathBuf,
}

impl Watch {
    fn start(keys: &Keys, out: &Path) -> Self {
        let said = keys.root().join("said");
        let mut command = export(keys, out);
        command.args(["--watch", "--poll-s", "1"]).stdout(Stdio::null()).stderr(File::create(&said).unwrap());
        let watch = Self { child: command.spawn().unwrap(), said };
        until("the file is written", || out.exists());
        watch
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    #[track_caller]
    fn says(&mut self, what: &str) {
        until(what, || self.said().contains(what));
        assert_eq!(self.child.try_wait().unwrap(), None, "it goes on: {}", self.said());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_and_a_watch_goes_on_until_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    // The disk is for the file here; the keys are elsewhere.
    let (keys, small) = (Keys::init(), disk.path());
    let out = small.join("app.verify");
    let mut watch = Watch::start(&keys, &out);
    let before = fs::read(&out).unwrap();
    disk.fill();
    let refusal = Outcome::of(&mut export(&keys, &small.join("other.verify"))).refused();
    assert!(refusal.contains("cannot write") && refusal.contains("No space left"), "{refusal}");
    assert!(refusal.contains("with room in it"), "{refusal}");
    keys.run(&["rotate", "--use", "ticket"]).done();
    watch.says("No space left on device (os error 28); it is tried again");
    assert_eq!(fs::read(&out).unwrap(), before);
    assert_eq!(names(&small), ["app.verify", "filling"], "nothing is left beside it");
    fs::remove_file(small.join("filling")).unwrap();
    watch.says("is written again");
    assert_eq!((read(&out).kids().count(), watch.said().matches("error: ").count()), (2, 1), "{}", watch.said());
}

#[test]
fn a_watch_goes_on_when_the_directory_of_its_file_vanishes() {
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    let (directory, aside) = (root.path().join("run"), root.path().join("aside"));
    fs::create_dir(&directory).unwrap();
    let out = directory.join("app.verify");
    let mut watch = Watch::start(&keys, &out);
    fs::rename(&directory, &aside).unwrap();
    keys.run(&["rotate", "--use", "ticket"]).done();
    watch.says("No such file or directory (os error 2); it is tried again");
    fs::create_dir(&directory).unwrap();
    // At the next look, and not when the next text is due anyhow.
    watch.says("is written again");
    assert_eq!((read(&out).kids().count(), read(&aside.join("app.verify")).kids().count()), (2, 1));
}

#[test]
fn two_exports_at_once_onto_one_file_never_leave_half_of_it() {
    const EXPORTS: usize = 40;
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    let out = root.path().join("app.verify");
    // Long enough that writing takes its time.
    let entry =
        |number: u64| format!(r#"{{"scope":"login","login_id":"{number:016x}","created":"2026-11-22T21:00:00Z"}}"#);
    let entries: Vec<String> = (0..20_000).map(entry).collect();
    fs::write(keys.file("cutoffs.json"), format!(r#"{{"v":1,"cutoffs":[{}]}}"#, entries.join(","))).unwrap();
    fs::set_permissions(keys.file("cutoffs.json"), fs::Permissions::from_mode(0o600)).unwrap();
    Outcome::of(&mut export(&keys, &out)).done();
    let is_over = AtomicBool::new(false);
    let looks = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(read(&out).kids().count(), 1);
                looks += 1;
            }
            looks
        });
        let write = || (0..EXPORTS).for_each(|_| drop(Outcome::of(&mut export(&keys, &out)).done()));
        let writers = [scope.spawn(write), scope.spawn(write)];
        let ended = writers.map(thread::ScopedJoinHandle::join);
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        reader.join().unwrap()
    });
    assert!(looks > 10, "{looks}");
    assert_eq!(names(root.path()), ["app.verify"]);
}

#[test]
fn what_a_killed_export_left_is_removed_and_what_another_one_writes_is_not() {
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    let [old, fresh] = [".app.verify.tmp-0123456789abcdef", ".app.verify.tmp-fedcba9876543210"].map(|name| {
        fs::write(root.path().join(name), "half").unwrap();
        root.path().join(name)
    });
    File::options().append(true).open(&old).unwrap().set_modified(SystemTime::now() - Duration::from_secs(70)).unwrap();
    Outcome::of(&mut export(&keys, &root.path().join("app.verify"))).done();
    assert!(!old.exists() && fresh.exists(), "{:?}", names(root.path()));
}

#[test]
fn what_stands_in_the_place_of_the_file_is_replaced_or_left_as_it_is() {
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    let elsewhere = root.path().join("elsewhere");
    fs::write(&elsewhere, "of somebody else").unwrap();
    let link = root.path().join("link.verify");
    symlink(&elsewhere, &link).unwrap();
    Outcome::of(&mut export(&keys, &link)).done();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "of somebody else");
    assert!(fs::symlink_metadata(&link).unwrap().is_file() && read(&link).kids().count() == 1);

    let directory = root.path().join("directory.verify");
    fs::create_dir(&directory).unwrap();
    // Something that never worked is no trouble that passes: a watch ends, too.
    for watch in [&[][..], &["--watch"]] {
        for (out, why) in [
            (&directory, "Is a directory"),
            (&root.path().join("missing/app.verify"), "No such file or directory"),
            (&elsewhere.join("app.verify"), "Not a directory"),
        ] {
            let refusal = Outcome::of(export(&keys, out).args(watch)).refused();
            assert!(refusal.contains("cannot write") && refusal.contains(why), "{refusal}");
            assert!(refusal.contains("hint: see that"), "{refusal}");
        }
    }
    assert_eq!(names(root.path()), ["directory.verify", "elsewhere", "link.verify"]);
}

#[test]
fn where_the_user_may_not_write_the_file_nothing_is_written() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (keys, root) = (Keys::init(), tempfile::tempdir().unwrap());
    for path in [keys.root(), root.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let files = fs::read_dir(keys.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.chain([keys.path()]) {
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let out = root.path().join("app.verify");
    let refusal = Outcome::of(export(&keys, &out).uid(NOBODY).gid(NOBODY)).refused();
    assert!(refusal.contains("cannot write") && refusal.contains("Permission denied"), "{refusal}");
    assert_eq!(names(root.path()), <[&str; 0]>::default());
    chown(root.path(), Some(NOBODY), None).unwrap();
    Outcome::of(export(&keys, &out).uid(NOBODY).gid(NOBODY)).done();
    assert_eq!(fs::metadata(&out).unwrap().uid(), NOBODY);
}
