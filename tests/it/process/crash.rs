//! `kill -9` at any moment of a command that writes: the directory loads, and the next command clears up.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use auth_ticket::keyring::KeyUse;

use crate::support::{Keys, Seen};

/// How many moments of each command are tried.
const MOMENTS: u32 = 60;
/// The last of them, from the command's start: most commands are done by then.
const LAST_MOMENT: Duration = Duration::from_millis(9);

/// Starts `command` and kills it after a while. Answers whether it was still running.
fn kill_at(moment: u32, command: &mut Command) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(LAST_MOMENT * moment / MOMENTS);
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

#[track_caller]
fn has_no_leftovers(keys: &Keys) {
    let names = keys.names();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

#[test]
fn a_killed_init_leaves_a_directory_that_loads_or_that_init_completes() {
    let mut killed = 0;
    for moment in 0..MOMENTS {
        let keys = Keys::missing();
        killed += u32::from(kill_at(moment, &mut keys.command(&["init"])));
        if keys.run(&["list"]).code == Some(0) {
            // Perhaps only the first of two keys is there.
            keys.run(&["rotate", "--use", "jwt"]).done();
            assert!(keys.names().iter().any(|name| name.starts_with("jwt-")));
        } else {
            keys.run(&["init"]).done();
        }
        keys.list();
        has_no_leftovers(&keys);
    }
    assert!(killed > 0, "no moment was early enough");
}

#[test]
fn a_killed_rotate_leaves_a_directory_that_loads() {
    let keys = Keys::init();
    let mut killed = 0;
    for moment in 0..MOMENTS {
        let before = keys.files();
        killed += u32::from(kill_at(moment, &mut keys.command(&["rotate", "--force"])));
        let after = keys.files();
        let is_kept = |(name, seen): (&String, &Seen)| after.get(name) == Some(seen) || name.starts_with(".tmp-");
        assert!(before.iter().all(is_kept), "a file was changed or removed");
        keys.list();
        if moment % 5 == 4 {
            keys.run(&["rotate", "--force"]).done();
            has_no_leftovers(&keys);
        }
    }
    assert!(killed > 0, "no moment was early enough");
}

#[test]
fn a_killed_revoke_leaves_a_directory_that_loads_and_can_be_repeated() {
    let mut killed = 0;
    for moment in 0..MOMENTS {
        let keys = Keys::init();
        let kid = keys.kid("ticket", "active");
        killed += u32::from(kill_at(moment, &mut keys.command(&["revoke", &kid])));
        keys.list();
        keys.run(&["revoke", &kid]).done();
        assert_eq!(keys.kid("ticket", "revoked"), kid);
        assert!(keys.run(&["list"]).code == Some(0));
        assert!(keys.names().iter().filter_map(|name| name.strip_suffix(".key")).count() >= 3, "no successor");
        has_no_leftovers(&keys);
    }
    assert!(killed > 0, "no moment was early enough");
}

#[test]
fn a_killed_prune_leaves_a_directory_that_loads() {
    let keys = Keys::init();
    let sealing = keys.kid("ticket", "active");
    let mut killed = 0;
    for moment in 0..MOMENTS {
        for age_days in [400, 300, 200] {
            keys.add_old(KeyUse::Ticket, age_days * 86400, 86400);
        }
        killed += u32::from(kill_at(moment, &mut keys.command(&["prune"])));
        assert_eq!(keys.kid("ticket", "active"), sealing);
    }
    keys.run(&["prune"]).done();
    assert_eq!(keys.names().len(), 2);
    assert!(killed > 0, "no moment was early enough");
}

#[test]
fn what_a_killed_command_left_goes_with_the_next_that_writes() {
    let keys = Keys::init();
    fs::write(keys.file(".tmp-AbCdEf"), "half a key").unwrap();
    keys.list();
    assert!(keys.names().contains(&".tmp-AbCdEf".to_owned()), "reading changes nothing");
    keys.run(&["rotate"]).done();
    has_no_leftovers(&keys);
}
