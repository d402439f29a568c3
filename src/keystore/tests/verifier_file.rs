//! Verifier files that change, break and vanish.

use super::*;
use crate::keystore::user::own_uid;
use crate::verifier::{self, AppVerifier};

const NAME: &str = "app.verify";

struct Exported {
    keys: Keys,
    name: KeyName,
}

impl Exported {
    fn new() -> Self {
        let (keys, name) = Keys::with_key();
        let exported = Self { keys, name };
        exported.put(&exported.text(NOW), 0o640);
        exported
    }

    fn text(&self, made: UnixSeconds) -> String {
        let app = AppId::parse("wx1").unwrap();
        let (ring, _) = self.keys.directory.load_ring([app.clone()], NOW).unwrap();
        verifier::encode(&ring, &app, "weapp", 3600, made).unwrap().to_string()
    }

    /// In one step, as the exporter does.
    fn put(&self, content: &str, mode: u32) {
        self.keys.put("new", content, mode);
        fs::rename(self.keys.path("new"), self.keys.path(NAME)).unwrap();
    }

    fn load(&self) -> Result<VerifierFile, VerifierFileError> {
        VerifierFile::load(self.keys.path(NAME), NOW)
    }

    #[track_caller]
    fn refused_because(&self, what: &str) {
        let error = self.load().unwrap_err();
        let message = format!("{error}; {}", error.remedy());
        assert!(message.contains(what) && message.contains(NAME), "{message}\nshould say: {what}");
        assert!(!message.contains("subkey\":\""), "{message}\nquotes the file");
    }
}

#[track_caller]
fn taken(file: &mut VerifierFile) -> (AppVerifier, bool) {
    match file.look(NOW) {
        VerifierReload::Taken { verifier, is_right_again } => (verifier, is_right_again),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn kept_because(file: &mut VerifierFile, what: &str) -> AppVerifier {
    match file.look(NOW) {
        VerifierReload::Kept { verifier, why } => {
            assert!(why.to_string().contains(what), "{why}\nshould say: {what}");
            // It is told once.
            assert!(matches!(file.look(NOW), VerifierReload::Unchanged) && !file.is_right());
            verifier
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_not_right_is_not_loaded_and_says_what_to_do() {
    let exported = Exported::new();
    assert_eq!(exported.load().unwrap().verifier().made(), NOW);
    let text = exported.text(NOW);
    for (content, mode, what) in [
        (&*text, 0o644, "is open to others (mode 0644); chmod 640"),
        (&text, 0o660, "is open to others (mode 0660); chmod 640"),
        (&text[..99], 0o600, "not a verifier file"),
        ("{}", 0o600, "`v` is missing; auth-ticket keys export"),
    ] {
        exported.put(content, mode);
        exported.refused_because(what);
    }
    fs::remove_file(exported.keys.path(NAME)).unwrap();
    exported.refused_because("No such file");
    fs::create_dir(exported.keys.path(NAME)).unwrap();
    exported.refused_because("is not a regular file");
}

#[test]
fn a_file_is_followed_and_what_is_not_right_about_it_is_told_once() {
    let exported = Exported::new();
    let mut file = exported.load().unwrap();
    assert!(matches!(file.look(NOW), VerifierReload::Unchanged));
    exported.put(&exported.text(NOW), 0o600);
    assert!(matches!(file.look(NOW), VerifierReload::Unchanged), "the same content");
    exported.put(&exported.text(NOW.plus(5)), 0o640);
    let (verifier, is_right_again) = taken(&mut file);
    assert_eq!((verifier.made(), is_right_again), (NOW.plus(5), false));
    file.forget();
    assert_eq!(taken(&mut file).0.made(), NOW.plus(5), "it was lost on its way");

    // Of a file that is open to others, no key is taken, but the revocation is.
    exported.keys.directory.revoke(exported.name).unwrap();
    exported.put(&exported.text(NOW.plus(9)), 0o666);
    let verifier = kept_because(&mut file, "is open to others (mode 0666)");
    assert_eq!((verifier.made(), verifier.revoked().count()), (NOW.plus(5), 1));
    assert!(file.verifier().revoked().eq([exported.name.kid]));
    exported.put(&exported.text(NOW.plus(9)), 0o600);
    assert_eq!((taken(&mut file).1, file.is_right()), (true, true));

    exported.put(&exported.text(NOW.plus(9))[..99], 0o600);
    kept_because(&mut file, "not a verifier file");
    fs::remove_file(exported.keys.path(NAME)).unwrap();
    kept_because(&mut file, "No such file");
    fs::create_dir(exported.keys.path(NAME)).unwrap();
    kept_because(&mut file, "is not a regular file");
    assert_eq!(file.verifier().made(), NOW.plus(9));
}

#[test]
fn a_file_from_the_future_gives_way_when_time_has_put_it_right() {
    let exported = Exported::new();
    let mut file = exported.load().unwrap();
    exported.put(&exported.text(NOW.plus(50)), 0o600);
    assert_eq!(taken(&mut file).0.made(), NOW.plus(50));
    exported.put(&exported.text(NOW.plus(40)), 0o600);
    kept_because(&mut file, "before the one in use");
    // The clock is set back: now it is the file in use that is wrong, and nothing else has changed.
    let VerifierReload::Taken { verifier, .. } = file.look(NOW.minus(60)) else { panic!("it stays out for ever") };
    assert_eq!(verifier.made(), NOW.plus(40));
}

#[test]
fn a_file_may_be_somebody_elses_and_lie_behind_links() {
    let exported = Exported::new();
    symlink(exported.keys.root.path(), exported.keys.path("data")).unwrap();
    symlink("data/app.verify", exported.keys.path("link.verify")).unwrap();
    if own_uid() == 0 {
        std::os::unix::fs::chown(exported.keys.path(NAME), Some(65534), None).unwrap();
    }
    assert_eq!(VerifierFile::load(exported.keys.path("link.verify"), NOW).unwrap().verifier().made(), NOW);
}
