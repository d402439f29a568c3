//! Keys that belong to another user than the one who runs the command: root becomes the owner, others are sent away.
//!
//! Only root can give directories away, so without root there is nothing to see here.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{APPID, BINARY, Keys, Outcome, Site, auth_ticket, simulator, until};

/// The server's user; no name belongs to it.
const OWNER: u32 = 65533;
const STRANGER: u32 = 65532;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives the directory and all that is in it to `uid`, and lets everybody reach it.
fn give_to(keys: &Keys, uid: u32) {
    fs::set_permissions(keys.root(), fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(keys.path()).unwrap() {
        chown(entry.unwrap().path(), Some(uid), Some(uid)).unwrap();
    }
    chown(keys.path(), Some(uid), Some(uid)).unwrap();
}

/// As `keys init` makes it, and the owner's.
fn owned() -> Keys {
    let keys = Keys::init();
    give_to(&keys, OWNER);
    keys
}

#[track_caller]
fn all_belong_to(keys: &Keys, uid: u32) {
    for entry in fs::read_dir(keys.path()).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let name = entry.file_name();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (uid, uid, 0o600), "{name:?}");
    }
    assert_eq!(fs::metadata(keys.path()).unwrap().uid(), uid);
}

/// `auth-ticket ARGS --keys DIRECTORY`
fn with_keys(keys: &Keys, args: &[&str]) -> Command {
    let mut command = auth_ticket(args);
    command.arg("--keys").arg(keys.path());
    command
}

#[test]
fn what_root_does_in_the_servers_directory_is_the_servers() {
    if !is_root() {
        return;
    }
    let upstream = simulator();
    let site = Site::with_keys(owned(), upstream.address, "");
    let mut command = site.command();
    command.env("AUTH_TICKET_KEYS_POLL", "100ms");
    let server = crate::support::Server::start(command.uid(OWNER).gid(OWNER));
    let ticket = server.ticket("demo-alice-1");
    let keys = &site.keys;

    let sealing = keys.kid("ticket", "active");
    keys.run(&["revoke", &sealing]).done();
    until("the ticket of the revoked key is refused", || server.verify(&ticket).status == 401);
    let mut fresh = 0..;
    until("the successor seals", || server.login(&format!("demo-alice-r{}", fresh.next().unwrap())).status == 200);
    let ticket = server.ticket("demo-bob-2");
    Outcome::of(&mut with_keys(keys, &["cutoff", "add", "--all"])).done();
    until("everybody is cut off", || server.verify(&ticket).status == 401);
    all_belong_to(keys, OWNER);

    for args in [&["list"][..], &["plan"], &["check"], &["prune"], &["rotate"]] {
        keys.run(args).done();
    }
    for args in [&["cutoff", "list"][..], &["cutoff", "prune"]] {
        Outcome::of(&mut with_keys(keys, args)).done();
        Outcome::of(with_keys(keys, args).uid(OWNER).gid(OWNER)).done();
    }
    let shown = Outcome::of(with_keys(keys, &["ticket", "inspect", &ticket]).args(["--appid", APPID])).done();
    assert!(shown.contains("openid "), "{shown}");
    all_belong_to(keys, OWNER);
}

#[test]
fn doctor_looks_at_the_keys_as_their_owner_and_at_the_rest_as_root() {
    if !is_root() {
        return;
    }
    let upstream = simulator();
    let site = Site::with_keys(owned(), upstream.address, "");
    fs::set_permissions(&site.config, fs::Permissions::from_mode(0o600)).unwrap();
    let doctor = |more: &[&str]| {
        let mut command = auth_ticket(&["doctor", "--config"]);
        Outcome::of(command.arg(&site.config).args(more).env("WX_SECRET", Site::SECRET))
    };
    let told = doctor(&[]).done();
    assert!(told.contains("2 keys in ") && told.contains("ticket  "), "{told}");
    assert!(doctor(&["--json"]).done().contains("2 keys in "));
    fs::set_permissions(site.keys.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let outcome = doctor(&[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("chmod go-w"), "{outcome:?}");
}

/// The line after `hint: as root: `.
#[track_caller]
fn line_that_works(refusal: &str) -> &str {
    let (_, line) = refusal.split_once("\nhint: as root: ").unwrap_or_else(|| panic!("{refusal}"));
    line.trim_end()
}

#[test]
fn a_stranger_is_refused_with_the_line_that_works() {
    if !is_root() {
        return;
    }
    // One user without a name, one with.
    for (owner, starts) in [(OWNER, "setpriv --reuid=65533 --regid=65533 --clear-groups -- "), (1, "runuser -u ")] {
        let keys = Keys::init();
        give_to(&keys, owner);
        let kid = keys.kid("ticket", "active");
        let before = keys.files();
        let revoke = ["keys", "revoke", &kid];
        let cut_off = ["cutoff", "add", "--all"];
        for (args, says) in [
            (&["keys", "list"][..], ""),
            (&["keys", "plan"], ""),
            (&["keys", "rotate"], ""),
            (&["keys", "prune"], ""),
            (&["keys", "init"], ""),
            (&["cutoff", "list"], ""),
            (&["cutoff", "prune"], ""),
            (&cut_off, "NOT CUT OFF: "),
            (&revoke, "NOT REVOKED: "),
        ] {
            let refusal = Outcome::of(with_keys(&keys, args).uid(STRANGER).gid(STRANGER)).refused();
            assert!(refusal.starts_with(&format!("error: {says}{}", keys.path().display())), "{refusal}");
            assert!(refusal.contains(" belongs to user ") && refusal.contains("this is user 65532"), "{refusal}");
            assert!(line_that_works(&refusal).starts_with(starts), "{refusal}");
        }
        assert_eq!(keys.files(), before);
        let refusal = Outcome::of(with_keys(&keys, &revoke).uid(STRANGER).gid(STRANGER)).refused();
        Outcome::of(Command::new("sh").args(["-c", line_that_works(&refusal)])).done();
        assert_eq!(keys.kid("ticket", "revoked"), kid);
        all_belong_to(&keys, owner);
    }
}

#[test]
fn a_servers_user_may_look_at_keys_that_are_roots() {
    if !is_root() {
        return;
    }
    let keys = Keys::init();
    fs::set_permissions(keys.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in keys.names() {
        chown(keys.file(&name), Some(0), Some(STRANGER)).unwrap();
        fs::set_permissions(keys.file(&name), fs::Permissions::from_mode(0o440)).unwrap();
    }
    let as_server = |args: &[&str]| Outcome::of(keys.command(args).uid(STRANGER).gid(STRANGER));
    as_server(&["list", "--allow-group-read"]).done();
    assert!(as_server(&["rotate", "--allow-group-read"]).refused().contains("belongs to user root"));
}

#[test]
fn init_makes_the_directory_for_the_servers_user() {
    if !is_root() {
        return;
    }
    for owner in ["65533", "daemon"] {
        let keys = Keys::missing();
        fs::set_permissions(keys.root(), fs::Permissions::from_mode(0o755)).unwrap();
        keys.run(&["init", "--owner", owner]).done();
        let uid = fs::metadata(keys.path()).unwrap().uid();
        assert_ne!(uid, 0);
        all_belong_to(&keys, uid);
        assert_eq!(fs::metadata(keys.path()).unwrap().mode() & 0o7777, 0o700);
        Outcome::of(keys.command(&["list"]).uid(uid).gid(uid)).done();
        let refusal = keys.run(&["init", "--owner", owner]).refused();
        assert!(refusal.contains("already holds keys"), "{refusal}");
        let refusal = keys.run(&["init", "--owner", "65532"]).refused();
        assert!(refusal.contains("is there already, and belongs to user"), "{refusal}");
    }
    let refusal = Keys::missing().run(&["init", "--owner", "nobody-of-this-name"]);
    assert_eq!(refusal.code, Some(2), "{refusal:?}");
}

#[test]
fn init_gives_nothing_away_where_others_can_write() {
    if !is_root() {
        return;
    }
    for prepare in [
        |root: &Path| fs::set_permissions(root, fs::Permissions::from_mode(0o1777)).unwrap(),
        |root: &Path| fs::set_permissions(root, fs::Permissions::from_mode(0o775)).unwrap(),
        |root: &Path| chown(root, Some(OWNER), Some(OWNER)).unwrap(),
        |root: &Path| chown(root, Some(STRANGER), Some(STRANGER)).unwrap(),
    ] {
        let keys = Keys::missing();
        fs::set_permissions(keys.root(), fs::Permissions::from_mode(0o755)).unwrap();
        prepare(keys.root());
        let refusal = keys.run(&["init", "--owner", "65533"]).refused();
        assert!(refusal.contains("others than root can write in"), "{refusal}");
        assert!(!keys.path().exists());
    }
    let keys = Keys::missing();
    fs::set_permissions(keys.root(), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/nowhere/keys", keys.path()).unwrap();
    keys.run(&["init", "--owner", "65533"]).refused();
    let refusal =
        Outcome::of(auth_ticket(&["keys", "init", "--owner", "65533", "--keys"]).arg(keys.root().join("a/b")));
    assert!(refusal.refused().contains("cannot make "));
    assert!(!keys.root().join("a").exists(), "only the last component is made");
}

#[test]
fn what_the_owner_puts_there_is_not_turned_against_root() {
    if !is_root() {
        return;
    }
    let keys = owned();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o600)).unwrap();
    let kid = keys.kid("ticket", "active");

    fs::remove_file(keys.file(".lock")).unwrap();
    symlink(&precious, keys.file(".lock")).unwrap();
    symlink(&precious, keys.file("cutoffs.json")).unwrap();
    symlink(elsewhere.path().join("new"), keys.file("ticket-00000001.revoked")).unwrap();
    keys.run(&["rotate"]).refused();
    let refusal = Outcome::of(&mut with_keys(&keys, &["cutoff", "add", "--all"]));
    assert!(refusal.stderr.starts_with("error: NOT CUT OFF: "), "{refusal:?}");
    keys.run(&["revoke", "ticket-00000001"]);
    keys.run(&["revoke", &kid]);
    assert!(keys.names().contains(&format!("ticket-{kid}.revoked")));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(fs::metadata(&precious).unwrap().uid(), 0);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn an_owner_whom_root_cannot_become_is_refused_before_anything_is_touched() {
    if !is_root() {
        return;
    }
    let keys = owned();
    let before = keys.files();
    // Root of a user namespace in which nobody else has a number: the owner shows as 65534.
    let namespace = ["--user", "--map-root-user", "--", BINARY, "keys", "rotate", "--keys"];
    let outcome = Outcome::of(Command::new("unshare").args(namespace).arg(keys.path()).env_clear());
    if outcome.stderr.starts_with("unshare: ") {
        return;
    }
    let refusal = outcome.refused();
    assert!(refusal.contains("root cannot become that user; nothing was touched"), "{refusal}");
    assert_eq!(keys.files(), before);
    // Root without the right to become somebody.
    let setpriv = ["--bounding-set", "-setuid", "--inh-caps", "-all", "--", BINARY, "keys", "rotate", "--keys"];
    let outcome = Outcome::of(Command::new("setpriv").args(setpriv).arg(keys.path()).env_clear());
    let refusal = outcome.refused();
    assert!(refusal.contains("root cannot become that user; nothing was touched"), "{refusal}");
    assert_eq!(keys.files(), before);
}
