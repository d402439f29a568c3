//! Directories that change under a running server: what is taken, what is kept, and what is taken away at once.

use super::*;

/// A server's view of a directory that changes under it.
pub(super) struct Watched {
    pub(super) keys: Keys,
    pub(super) name: KeyName,
    pub(super) reloader: Reloader,
    ring: KeyRing,
    pub(super) now: UnixSeconds,
}

impl Watched {
    pub(super) fn start() -> Self {
        let (keys, name) = Keys::with_key();
        let (reloader, ring, _) = Reloader::start(keys.directory.clone(), Vec::new(), NOW).unwrap();
        Self { keys, name, reloader, ring, now: NOW }
    }

    /// Looks once more; `Err` tells why the directory was not taken.
    #[track_caller]
    pub(super) fn look(&mut self) -> Result<(), String> {
        match self.reloader.look(self.now) {
            Reload::Unchanged => panic!("something has changed"),
            Reload::Taken { ring, .. } => {
                self.ring = ring;
                Ok(())
            }
            Reload::Kept { why, ring } => {
                self.ring = ring;
                Err(why.explained())
            }
        }
    }

    #[track_caller]
    pub(super) fn kept_because(&mut self, what: &str) {
        let why = self.look().unwrap_err();
        assert!(why.contains(what), "{why}\nshould say: {what}");
    }

    #[track_caller]
    pub(super) fn unchanged(&mut self) {
        assert!(matches!(self.reloader.look(self.now), Reload::Unchanged));
    }

    pub(super) fn ring(&self) -> &KeyRing {
        &self.ring
    }

    pub(super) fn state(&self) -> KeyState {
        self.ring.keys().find(|key| key.key().name() == self.name).unwrap().state(NOW)
    }

    pub(super) fn cuts_off(&self, openid: &str) -> bool {
        self.cuts_off_at(openid, NOW)
    }

    pub(super) fn cuts_off_at(&self, openid: &str, auth_time: UnixSeconds) -> bool {
        let (app, login_id) = (AppId::parse("wx1").unwrap(), LoginId::parse("0000000000000000").unwrap());
        self.ring.cutoffs().cuts_off(&app, openid, login_id, auth_time)
    }

    pub(super) fn cut_off(&self, openids: &[&str]) {
        let entries: Vec<String> = openids
            .iter()
            .map(|openid| {
                format!(
                    r#"{{"scope":"openid","appid":"wx1","openid":"{openid}","before":"{}","created":"{NOW}"}}"#,
                    NOW.plus(60)
                )
            })
            .collect();
        self.keys.put("cutoffs.json", &format!(r#"{{"v":1,"cutoffs":[{}]}}"#, entries.join(",")), 0o600);
    }
}

#[test]
fn nothing_new_is_told_as_nothing_new() {
    let mut watched = Watched::start();
    assert!(matches!(watched.reloader.look(NOW), Reload::Unchanged));
    let path = watched.keys.path(&format!("{}.key", watched.name));
    let content = fs::read(&path).unwrap();
    fs::write(&path, content).unwrap();
    assert!(matches!(watched.reloader.look(NOW), Reload::Unchanged), "another time, the same content");
    watched.keys.put("README.md", "new", 0o644);
    assert!(matches!(watched.reloader.look(NOW), Reload::Unchanged), "not one of ours");
}

#[test]
fn an_added_key_is_taken() {
    let mut watched = Watched::start();
    watched
        .keys
        .directory
        .lock()
        .unwrap()
        .add_key(KeySpec { seal_from: NOW.plus(900), ..spec(KeyUse::Ticket) })
        .unwrap();
    watched.look().unwrap();
    assert_eq!(watched.ring.keys().count(), 2);
    assert_eq!(watched.ring.fingerprint(), watched.keys.fingerprint());
}

#[test]
fn a_broken_file_keeps_the_old_ring_until_it_is_mended() {
    let mut watched = Watched::start();
    let before = watched.ring.fingerprint();
    watched.keys.put("ticket-00000001.key", "{\"v\":1,", 0o600);
    watched.kept_because("ticket-00000001.key: not a key file");
    assert!(matches!(watched.reloader.look(NOW), Reload::Unchanged), "told once, not at every look");
    assert_eq!((watched.ring.fingerprint(), watched.state()), (before, KeyState::Active));
    fs::remove_file(watched.keys.path("ticket-00000001.key")).unwrap();
    watched.look().unwrap();
    assert_eq!(watched.ring.fingerprint(), before);
}

#[test]
fn a_directory_that_vanishes_or_empties_keeps_the_old_ring() {
    let mut watched = Watched::start();
    let away = watched.keys.root.path().with_extension("away");
    fs::rename(watched.keys.root.path(), &away).unwrap();
    watched.kept_because("cannot list");
    fs::rename(&away, watched.keys.root.path()).unwrap();
    watched.look().unwrap();
    let (key, kept) = (watched.keys.path(&format!("{}.key", watched.name)), watched.keys.path(".kept"));
    fs::rename(&key, &kept).unwrap();
    watched.kept_because("no ticket key in");
    assert_eq!(watched.state(), KeyState::Active);
    fs::rename(&kept, &key).unwrap();
    watched.look().unwrap();
    fs::set_permissions(watched.keys.root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    watched.kept_because("writable by its group or by others");
    watched.unchanged();
}

#[test]
fn a_revocation_and_a_new_cut_off_work_while_another_file_is_broken() {
    let mut watched = Watched::start();
    watched.keys.put("ticket-00000001.key", "broken", 0o600);
    watched.keys.put(&format!("{}.revoked", watched.name), "", 0o600);
    watched.cut_off(&["alice"]);
    watched.kept_because("ticket-00000001.key");
    assert_eq!(watched.state(), KeyState::Revoked);
    assert!(watched.cuts_off("alice") && !watched.cuts_off("bob"));
    watched.cut_off(&["bob"]);
    watched.kept_because("ticket-00000001.key");
    assert!(watched.cuts_off("alice") && watched.cuts_off("bob"), "power is taken away and not given back");
}

#[test]
fn a_broken_list_of_cut_offs_keeps_everybody_cut_off() {
    let mut watched = Watched::start();
    watched.cut_off(&["alice"]);
    watched.look().unwrap();
    watched.keys.put("cutoffs.json", r#"{"v":1,"cutoffs":[{"scope"#, 0o600);
    watched.kept_because("cutoffs.json: not a list of cut-offs");
    assert!(watched.cuts_off("alice"));
    watched.cut_off(&["bob"]);
    watched.look().unwrap();
    assert!(watched.cuts_off("bob") && !watched.cuts_off("alice"), "a right list without her lets her in again");
}

#[test]
fn what_was_revoked_or_cut_off_stays_so_when_the_file_is_gone() {
    let mut watched = Watched::start();
    let revoked = watched.keys.path(&format!("{}.revoked", watched.name));
    fs::write(&revoked, "").unwrap();
    watched.cut_off(&["alice"]);
    watched.look().unwrap();
    fs::remove_file(&revoked).unwrap();
    watched.kept_because("the key stays revoked");
    assert_eq!(watched.state(), KeyState::Revoked);
    fs::write(&revoked, "").unwrap();
    watched.look().unwrap();
    fs::remove_file(watched.keys.path("cutoffs.json")).unwrap();
    watched.kept_because("cutoffs.json is gone");
    assert!(watched.cuts_off("alice"));
}

#[test]
fn a_volume_that_is_swapped_is_seen_whole() {
    let (source, name) = Keys::with_key();
    let keys = Keys::empty();
    let file = format!("{name}.key");
    let put_version = |version: &str, more: &[&str]| {
        fs::create_dir(keys.path(version)).unwrap();
        fs::copy(source.path(&file), keys.path(version).join(&file)).unwrap();
        for name in more {
            fs::write(keys.path(version).join(name), "").unwrap();
        }
        symlink(version, keys.path("..data_tmp")).unwrap();
        fs::rename(keys.path("..data_tmp"), keys.path("..data")).unwrap();
    };
    put_version("..1", &[]);
    symlink(format!("..data/{file}"), keys.path(&file)).unwrap();
    let (mut reloader, _, _) = Reloader::start(keys.directory.clone(), Vec::new(), NOW).unwrap();
    put_version("..2", &[]);
    assert!(matches!(reloader.look(NOW), Reload::Unchanged), "the same files in another version of the volume");
    let revoked = format!("{name}.revoked");
    put_version("..3", &[&revoked]);
    symlink(format!("..data/{revoked}"), keys.path(&revoked)).unwrap();
    let Reload::Taken { ring, .. } = reloader.look(NOW) else { panic!("a right directory is taken") };
    assert_eq!(ring.keys().next().unwrap().state(NOW), KeyState::Revoked);
}

#[test]
fn a_volume_that_is_swapped_without_a_pause_is_seen_whole_or_not_at_all() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let (source, name) = Keys::with_key();
    let keys = Keys::empty();
    let files = [format!("{name}.key"), "cutoffs.json".to_owned()];
    let key_text = fs::read_to_string(source.path(&files[0])).unwrap();
    let mut versions = Vec::new();
    for (version, max_ttl_s, cutoffs) in
        [("..one", "86400", r#"{"v":1,"cutoffs":[]}"#), ("..other", "43200", r#"{"v":1,"cutoffs":[ ]}"#)]
    {
        fs::create_dir(keys.path(version)).unwrap();
        keys.put(&format!("{version}/{}", files[0]), &key_text.replace("86400", max_ttl_s), 0o600);
        keys.put(&format!("{version}/{}", files[1]), cutoffs, 0o600);
        fs::set_permissions(keys.path(version), fs::Permissions::from_mode(0o700)).unwrap();
        versions.push((version, Directory::new(keys.path(version)).load(NOW).unwrap().0.fingerprint));
    }
    let swap = |number: usize| {
        // No name comes twice, as with the kubelet's.
        let link = keys.path(&format!("..{number}"));
        symlink(versions[number % 2].0, &link).unwrap();
        symlink(link.file_name().unwrap(), keys.path("..data_tmp")).unwrap();
        fs::rename(keys.path("..data_tmp"), keys.path("..data")).unwrap();
        let _ = fs::remove_file(keys.path(&format!("..{}", number.saturating_sub(1))));
    };
    swap(1);
    for file in &files {
        symlink(format!("..data/{file}"), keys.path(file)).unwrap();
    }

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| (2..usize::MAX).take_while(|_| !over.load(Ordering::Relaxed)).for_each(swap));
        let seen: Vec<_> = (0..300).map(|_| keys.directory.load(NOW)).collect();
        over.store(true, Ordering::Relaxed);
        for result in seen {
            match result {
                Ok((content, _)) => {
                    let whole = versions.iter().any(|(_, fingerprint)| *fingerprint == content.fingerprint);
                    assert!(whole, "mixed: {}", content.fingerprint);
                }
                Err(error) => assert!(error.to_string().contains("was replaced"), "{error}"),
            }
        }
    });
    assert!(versions.iter().any(|(_, fingerprint)| *fingerprint == keys.fingerprint()), "all is well afterwards");
}
