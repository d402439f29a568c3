//! What takes power away is in force whatever else is wrong with a directory.

use super::watched::Watched;
use super::*;
use crate::keystore::handle::Handle;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A list of cut-offs in which alice is cut off, with something else beside her.
fn list_with(other: &str) -> String {
    let alice =
        format!(r#"{{"scope":"openid","appid":"wx1","openid":"alice","before":"{}","created":"{NOW}"}}"#, NOW.plus(60));
    format!(r#"{{"v":1,"cutoffs":[{alice}{other}]}}"#)
}

#[test]
fn a_directory_that_others_can_write_to_is_heard_when_it_takes_away() {
    for mode in [0o775, 0o777, 0o1777, 0o722] {
        let mut watched = Watched::start();
        let fingerprint = watched.keys.fingerprint();
        set_mode(watched.keys.root.path(), mode);
        watched.kept_because("is writable by its group or by others");
        watched.unchanged();
        fs::write(watched.keys.path(&format!("{}.revoked", watched.name)), "").unwrap();
        watched.kept_because("chmod go-w");
        assert_eq!(watched.state(), KeyState::Revoked, "{mode:o}");
        watched.cut_off(&["alice"]);
        watched.kept_because("is writable by its group or by others");
        assert!(watched.cuts_off("alice") && !watched.cuts_off("bob"), "{mode:o}");
        // Whoever can write there gives nothing back and adds no key.
        fs::remove_file(watched.keys.path("cutoffs.json")).unwrap();
        fs::remove_file(watched.keys.path(&format!("{}.revoked", watched.name))).unwrap();
        watched.keys.directory.lock().unwrap().add_key(spec(KeyUse::Ticket)).unwrap();
        watched.kept_because("is writable by its group or by others");
        assert!(watched.cuts_off("alice") && watched.state() == KeyState::Revoked);
        assert_eq!((watched.ring().keys().count(), watched.ring().fingerprint()), (1, fingerprint));
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_heard_when_it_takes_away() {
    let mut watched = Watched::start();
    // Only root can give a directory away.
    if std::os::unix::fs::chown(watched.keys.root.path(), Some(12345), None).is_err() {
        return;
    }
    watched.keys.refused_because("is owned by user 12345, who is neither root nor the user that runs this");
    watched.keys.refused_because("run as user 12345");
    watched.kept_because("is owned by user 12345");
    fs::write(watched.keys.path(&format!("{}.revoked", watched.name)), "").unwrap();
    watched.kept_because("is owned by user 12345");
    assert_eq!(watched.state(), KeyState::Revoked);
    std::os::unix::fs::chown(watched.keys.root.path(), Some(0), None).unwrap();
    watched.look().unwrap();
}

#[test]
fn a_list_of_cut_offs_counts_whatever_its_mode_and_owner() {
    for mode in [0o644, 0o666, 0o640, 0o604] {
        let mut watched = Watched::start();
        watched.keys.put("cutoffs.json", &list_with(""), mode);
        watched.kept_because(&format!("mode {mode:04o}"));
        assert!(watched.cuts_off("alice") && !watched.cuts_off("bob"), "{mode:o}");
        watched.unchanged();
        watched.cut_off(&["bob"]);
        set_mode(&watched.keys.path("cutoffs.json"), mode);
        watched.kept_because(&format!("mode {mode:04o}"));
        assert!(watched.cuts_off("alice") && watched.cuts_off("bob"), "{mode:o}");
    }
    let mut watched = Watched::start();
    watched.keys.put("cutoffs.json", &list_with(""), 0o600);
    if std::os::unix::fs::chown(watched.keys.path("cutoffs.json"), Some(12345), None).is_ok() {
        watched.kept_because("cutoffs.json is owned by user 12345");
        assert!(watched.cuts_off("alice"));
    }
}

#[test]
fn of_a_list_that_is_not_right_counts_what_can_be_understood() {
    let whole = list_with("");
    for (text, what) in [
        (list_with(r#",{"scope":"nobody"}"#), "cut-off number 2: not the fields of a cut-off"),
        (list_with(",null"), "cut-off number 2"),
        (whole.replace("\"v\":1", "\"v\":2"), "version 2 is unknown"),
        (whole.replace("\"v\":1", "\"v\":\"1\""), "not a list of cut-offs"),
        (whole[..whole.len() - 2].to_owned(), "not a list of cut-offs"),
        (list_with(r#",{"scope":"al"#), "not a list of cut-offs"),
        (format!("\u{feff}{whole}"), "not a list of cut-offs"),
    ] {
        let mut watched = Watched::start();
        watched.keys.put("cutoffs.json", &text, 0o600);
        watched.keys.refused_because(what);
        watched.kept_because(what);
        assert!(watched.cuts_off("alice") && !watched.cuts_off("bob"), "{text}");
        assert_eq!(watched.state(), KeyState::Active, "{text}");
    }
    let mut watched = Watched::start();
    fs::write(watched.keys.path("cutoffs.json"), [list_with(",").as_bytes(), &[0xff]].concat()).unwrap();
    set_mode(&watched.keys.path("cutoffs.json"), 0o600);
    watched.kept_because("cutoffs.json: not UTF-8 text");
    assert!(watched.cuts_off("alice"));
}

#[test]
fn a_revocation_counts_whatever_it_is() {
    for make in [
        |path: &Path| fs::create_dir(path).unwrap(),
        |path: &Path| symlink("/nowhere", path).unwrap(),
        |path: &Path| {
            fs::write(path, "anything").unwrap();
            set_mode(path, 0o000);
        },
        |path: &Path| rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap(),
    ] {
        let mut watched = Watched::start();
        make(&watched.keys.path(&format!("{}.revoked", watched.name)));
        watched.look().unwrap();
        assert_eq!(watched.state(), KeyState::Revoked);
    }
}

#[test]
fn what_is_known_by_name_is_found_where_names_cannot_be_listed() {
    let (keys, name) = Keys::with_key();
    let other = KeyName { key_use: KeyUse::Jwt, kid: name.kid };
    fs::create_dir(keys.path(&format!("{name}.revoked"))).unwrap();
    keys.put("cutoffs.json", &list_with(""), 0o644);
    let unlisted = || Ok(Arc::new(Handle::open_unlisted(keys.root.path()).unwrap()));
    let look = |handle| {
        let sight = read::look(keys.root.path(), handle, false, [name, other].into_iter());
        let scan = sight.listing.parse(NOW, &mut Ahead::default());
        let revoked: Vec<KeyName> = scan.content.revoked.into_iter().collect();
        (sight.trouble.unwrap().to_string(), revoked, scan.content.cutoffs.is_some_and(|cutoffs| !cutoffs.is_empty()))
    };
    let (trouble, revoked, cutoffs) = look(unlisted());
    assert!(trouble.starts_with("cannot list"), "{trouble}");
    assert_eq!((revoked, cutoffs), (vec![name], true));
    // Without a descriptor for the directory a name can still be looked for.
    let source = io::Error::from_raw_os_error(24);
    let (_, revoked, _) = look(Err(LoadError::List { path: keys.root.path().to_owned(), source }));
    assert_eq!(revoked, [name]);
}

#[test]
fn a_key_from_the_future_is_not_taken_until_its_time_or_revocation() {
    let mut watched = Watched::start();
    let created = NOW.plus(400 * 86400);
    let ahead = KeySpec { created, seal_from: created, seal_until: created.plus(86400), ..spec(KeyUse::Ticket) };
    let name = watched.keys.directory.lock().unwrap().add_key(ahead).unwrap().name();
    let file = watched.keys.path(&format!("{name}.key"));
    for what in [file.to_str().unwrap(), "was made at", "the clock is behind, or was ahead", "set the clock"] {
        watched.keys.refused_because(what);
    }
    watched.kept_because(&format!("auth-ticket keys revoke {name} --keys"));
    watched.unchanged();
    assert_eq!((watched.ring().keys().count(), watched.state()), (1, KeyState::Active));
    // The clock is set.
    watched.now = created.minus(60);
    watched.look().unwrap();
    assert_eq!(watched.ring().keys().count(), 2);
    // And back: what is held stays, and somebody is told.
    watched.now = created.minus(61);
    watched.kept_because("the clock is behind");
    watched.unchanged();
    fs::write(watched.keys.path(&format!("{name}.revoked")), "").unwrap();
    watched.look().unwrap();
    assert!(watched.keys.directory.load(NOW).is_ok(), "a revoked key does not count");
}

#[test]
fn a_cut_off_from_the_future_counts_up_to_now() {
    let mut watched = Watched::start();
    let created = NOW.plus(60 * 86400);
    let all = format!(r#"{{"scope":"all","before":"{}","created":"{created}"}}"#, created.plus(61));
    watched.keys.put("cutoffs.json", &format!(r#"{{"v":1,"cutoffs":[{all}]}}"#), 0o600);
    for what in ["a cut-off in", "cutoffs.json", "the clock is behind", "cutoff remove takes it back"] {
        watched.keys.refused_because(what);
    }
    watched.kept_because("cutoffs.json was made at");
    let ends = |watched: &Watched, at: UnixSeconds| {
        assert!(watched.cuts_off_at("alice", at.minus(1)) && !watched.cuts_off_at("alice", at));
    };
    ends(&watched, NOW.plus(60));
    // As time goes on, it does not reach further, whatever is added.
    watched.now = NOW.plus(3600);
    watched.unchanged();
    watched.keys.put("cutoffs.json", &list_with(&format!(",{all}")), 0o600);
    watched.kept_because("cutoffs.json was made at");
    ends(&watched, NOW.plus(60));
    // When it is taken away, those who have logged in since are left alone.
    watched.keys.put("cutoffs.json", &list_with(""), 0o600);
    watched.look().unwrap();
    assert!(!watched.cuts_off("bob") && watched.cuts_off("alice"));
}

#[test]
fn the_same_wrongness_with_other_contents_is_told_again() {
    let mut watched = Watched::start();
    set_mode(watched.keys.root.path(), 0o777);
    watched.kept_because("is writable");
    watched.unchanged();
    watched.keys.put("ticket-00000001.revoked", "", 0o600);
    watched.kept_because("is writable");
    watched.unchanged();
    watched.keys.put("cutoffs.json", "{", 0o644);
    watched.kept_because("is writable");
    watched.keys.put("cutoffs.json", "[", 0o644);
    watched.kept_because("is writable");
    watched.unchanged();
}

#[test]
fn a_server_that_lost_what_a_look_found_is_told_again() {
    let mut watched = Watched::start();
    watched.unchanged();
    watched.reloader.forget();
    watched.look().unwrap();
    watched.unchanged();
}
