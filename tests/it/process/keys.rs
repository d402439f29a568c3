//! `auth-ticket keys`: what the commands do to a directory, and what they say about it.

use std::collections::BTreeSet;
use std::fs;
use std::io::pipe;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::KeyUse;
use serde_json::{Value, json};

use crate::support::{Keys, Outcome, auth_ticket, until};

const DAY_S: u64 = 86400;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[track_caller]
fn time(value: &Value) -> UnixSeconds {
    UnixSeconds::parse_rfc3339(value.as_str().unwrap()).unwrap_or_else(|_| panic!("{value} is no time"))
}

#[track_caller]
fn fields(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value} is no object")).keys().map(String::as_str).collect()
}

#[test]
fn init_makes_one_key_for_each_use_and_only_once() {
    let keys = Keys::missing();
    let told = keys.run(&["init"]).done();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("made ticket-") && lines[0].contains(", which seals from now until 20"), "{told}");
    assert!(lines[1].starts_with("made jwt-"), "{told}");
    assert_eq!(lines[2], format!("look at them: auth-ticket keys list --keys {}", keys.path().display()));
    let names = keys.names();
    assert_eq!((names.len(), lines.len()), (2, 3), "{names:?}");

    let refusal = keys.run(&["init"]).refused();
    let path = keys.path();
    assert_eq!(
        refusal,
        format!(
            "error: {} already holds keys\nhint: to add a key that takes over: auth-ticket keys rotate\n",
            path.display()
        )
    );
    assert_eq!(keys.names(), names);
}

#[test]
fn init_makes_keys_as_it_is_told_to() {
    let keys = Keys::missing();
    keys.run(&["init", "--max-ttl", "2h", "--life", "10d", "--jwt-alg", "EdDSA"]).done();
    for key in keys.list()["keys"].as_array().unwrap() {
        let from = time(&key["seal_from"]);
        assert_eq!(time(&key["created"]).minus(60), from);
        assert_eq!(time(&key["seal_until"]), from.plus(10 * DAY_S));
        assert_eq!(key["max_ttl_s"], 7200);
        assert_eq!(key["alg"], if key["use"] == "jwt" { "EdDSA" } else { "XAES-256-GCM" });
    }
}

#[test]
fn init_in_a_directory_that_holds_a_revocation_or_a_broken_key_is_refused() {
    for name in ["ticket-00000001.revoked", "ticket-00000001.key", "cutoffs.json"] {
        let keys = Keys::missing();
        fs::create_dir(keys.path()).unwrap();
        fs::write(keys.file(name), "x").unwrap();
        assert!(keys.run(&["init"]).refused().contains("already holds keys"));
        assert_eq!(keys.names(), [name]);
    }
}

#[test]
fn a_list_for_programs_has_every_field() {
    let keys = Keys::init();
    keys.run(&["rotate"]).done();
    fs::write(keys.file("ticket-A.key"), "").unwrap();
    let list = keys.list();
    let all = ["now", "fingerprint", "keys", "revoked", "cutoffs", "next_change", "warnings", "passed_over"];
    assert_eq!(fields(&list), BTreeSet::from(all));
    let now = time(&list["now"]);
    assert!(SystemClock.now().since(now) < 20);
    let fingerprint = list["fingerprint"].as_str().unwrap();
    assert!(fingerprint.len() == 16 && hex::decode(fingerprint).is_ok(), "{fingerprint}");
    assert_eq!(list["warnings"], json!([]));
    let why = "it is not named like a key file, for example ticket-a1b2c3d4.key";
    assert_eq!(list["passed_over"], json!([{ "file": "ticket-A.key", "why": why }]));
    let entries = list["keys"].as_array().unwrap();
    let order: Vec<_> =
        entries.iter().map(|key| (key["use"].as_str().unwrap(), key["state"].as_str().unwrap())).collect();
    assert_eq!(order, [("ticket", "active"), ("ticket", "pending"), ("jwt", "active"), ("jwt", "pending")]);
    for key in entries {
        let all = [
            "use",
            "kid",
            "alg",
            "state",
            "created",
            "seal_from",
            "seal_until",
            "seals_until",
            "opens_until",
            "max_ttl_s",
        ];
        assert_eq!(fields(key), BTreeSet::from(all));
        assert_eq!(time(&key["opens_until"]), time(&key["seals_until"]).plus(DAY_S + 60));
        let name = format!("{}-{}.key", key["use"].as_str().unwrap(), key["kid"].as_str().unwrap());
        assert!(keys.names().contains(&name), "{name}");
    }
    assert_eq!(entries[0]["seals_until"], entries[1]["seal_from"], "the first seals until the second takes over");
    assert_eq!(list["next_change"], entries[1]["seal_from"]);
}

#[test]
fn a_list_for_people_says_what_comes_next_and_what_is_wrong() {
    let keys = Keys::init();
    let list = keys.run(&["list"]).done();
    let lines: Vec<&str> = list.lines().collect();
    // A minute ago, and a second more if the next one has begun.
    assert_eq!(lines[0], "USE     KID       STATE   SEALS FROM  SEALS UNTIL  OPENS UNTIL  MAX TTL");
    assert!(lines[1].starts_with("ticket  ") && lines[1].contains("  active  1m "), "{list}");
    assert!(lines[2].starts_with("jwt     "), "{list}");
    assert!(lines[4].starts_with("next: in 89d 23h, "), "{list}");
    assert!(lines[5].starts_with("fingerprint: ") && lines.len() == 6, "{list}");

    let keys = Keys::missing();
    let last = keys.add_old(KeyUse::Ticket, 9 * DAY_S, 10 * DAY_S);
    let list = keys.run(&["list"]).done();
    assert!(list.contains(&format!("warning: {last} stops sealing in ")), "{list}");
    let rotate = "where your keys are made; then copy the directory to all replicas\n";
    let end = format!("and nothing follows it; run auth-ticket keys rotate --use ticket, {rotate}");
    assert!(list.ends_with(&end), "{list}");

    let keys = Keys::missing();
    keys.add_old(KeyUse::Ticket, 10 * DAY_S + 1800, 10 * DAY_S);
    let list = keys.run(&["list"]).done();
    let warning =
        "warning: no ticket key can seal: logins are refused, checks go on; run auth-ticket keys rotate --now, ";
    assert!(list.ends_with(&format!("{warning}{rotate}")), "{list}");
}

#[test]
fn that_checks_go_on_is_said_only_where_they_do() {
    let dead = Keys::missing();
    dead.add_old(KeyUse::Ticket, 11 * DAY_S, 10 * DAY_S);
    dead.add_old(KeyUse::Ticket, 12 * DAY_S, 10 * DAY_S);
    let revoked = Keys::init();
    let kid = revoked.kid("ticket", "active");
    fs::write(revoked.file(&format!("ticket-{kid}.revoked")), "").unwrap();
    for keys in [dead, revoked] {
        for told in [keys.run(&["list"]).stdout, keys.run(&["plan"]).stdout] {
            let warning = "warning: every ticket key is dead or revoked: nothing can be sealed or opened: logins and all \
                           tickets are refused; run auth-ticket keys rotate --now";
            assert!(told.contains(warning) && !told.contains("checks go on"), "{told}");
        }
        let check = keys.run(&["check"]);
        assert_eq!(check.code, Some(1));
        assert!(check.stdout.contains("FAIL  ticket  every ticket key is dead or revoked: "), "{check:?}");
    }
}

#[test]
fn a_plan_tells_what_will_happen() {
    let keys = Keys::init();
    keys.run(&["rotate", "--use", "ticket"]).done();
    let (active, pending, jwt) =
        (keys.kid("ticket", "active"), keys.kid("ticket", "pending"), keys.kid("jwt", "active"));
    let plan = keys.run(&["plan", "--json"]).json();
    assert_eq!(fields(&plan), BTreeSet::from(["now", "fingerprint", "events"]));
    assert_eq!(plan["fingerprint"], keys.list()["fingerprint"]);
    let events = plan["events"].as_array().unwrap();
    let mut before = time(&plan["now"]);
    let mut told = Vec::new();
    for event in events {
        assert_eq!(fields(event), BTreeSet::from(["at", "use", "kid", "event", "description"]));
        assert!(time(&event["at"]) >= before, "soonest first: {plan:#}");
        before = time(&event["at"]);
        told.push((event["event"].as_str().unwrap(), event["kid"].as_str().unwrap()));
    }
    let expected = [
        ("starts_sealing", &*pending),
        ("dies", &*active),
        ("may_be_pruned", &*active),
        ("last_stops_sealing", &*jwt),
        ("last_stops_sealing", &*pending),
        ("dies", &*jwt),
        ("dies", &*pending),
    ];
    assert_eq!(told, expected);
    let takes_over = format!("ticket-{pending} takes over from {active}, which opens on");
    assert_eq!(events[0]["description"], takes_over);

    let text = keys.run(&["plan"]).done();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("WHEN ") && lines[0].ends_with("WHAT HAPPENS"), "{text}");
    assert!(lines[1].starts_with("now ") && lines[1].ends_with(&format!("ticket-{active} seals")), "{text}");
    assert!(lines[2].starts_with("now ") && lines[2].ends_with(&format!("jwt-{jwt} seals")), "{text}");
    assert!(lines[3].ends_with(&takes_over), "{text}");
    assert_eq!(lines.len(), 3 + events.len(), "{text}");
}

#[test]
fn rotate_adds_keys_that_wait_and_the_old_ones_go_on() {
    let keys = Keys::init();
    let sealing = [keys.kid("ticket", "active"), keys.kid("jwt", "active")];
    let told = keys.run(&["rotate"]).done();
    assert_eq!([keys.kid("ticket", "active"), keys.kid("jwt", "active")], sealing);
    for (line, key_use, lead_s, words) in [(0, "ticket", 900, "in 15m"), (1, "jwt", 3600, "in 1h")] {
        let list = keys.list();
        let pending =
            list["keys"].as_array().unwrap().iter().find(|key| key["use"] == key_use && key["state"] == "pending");
        let pending = pending.unwrap();
        let (kid, seal_from) = (pending["kid"].as_str().unwrap(), pending["seal_from"].as_str().unwrap());
        assert_eq!(
            told.lines().nth(line),
            Some(&*format!("added {key_use}-{kid}, which takes over {words} ({seal_from})"))
        );
        assert_eq!(time(&pending["seal_from"]), time(&pending["created"]).plus(lead_s));
        assert_eq!(time(&pending["seal_until"]), time(&pending["seal_from"]).plus(90 * DAY_S));
    }
}

#[test]
fn rotate_says_what_haste_breaks() {
    let keys = Keys::init();
    let ticket = "until a replica has loaded the new key, it refuses the tickets that others seal with it\n";
    let jwt = "until a service has fetched the JWKS with the new key, it refuses the JWTs that it signs\n";
    for (how, before) in [
        (&["--now"][..], Some("warning: --now: ")),
        (&["--lead", "0s"], Some("warning: a lead of 0s is shorter than 5m: ")),
        (&["--lead", "299s"], Some("warning: a lead of 4m 59s is shorter than 5m: ")),
        (&["--lead", "5m"], None),
        (&[], None),
    ] {
        let warning = |harm: &str| before.map(|before| format!("{before}{harm}")).unwrap_or_default();
        let outcome = keys.run(&[&["rotate", "--force"], how].concat());
        assert_eq!((outcome.code, outcome.stderr), (Some(0), warning(ticket) + &warning(jwt)), "{how:?}");
        let outcome = keys.run(&[&["rotate", "--force", "--use", "jwt"], how].concat());
        assert_eq!((outcome.code, outcome.stderr), (Some(0), warning(jwt)), "{how:?}");
    }
}

#[test]
fn rotate_inherits_from_the_newest_key() {
    let keys = Keys::missing();
    keys.run(&["init", "--max-ttl", "2h", "--life", "10d", "--jwt-alg", "EdDSA"]).done();
    keys.run(&["rotate"]).done();
    for key in keys.list()["keys"].as_array().unwrap() {
        assert_eq!(time(&key["seal_until"]).since(time(&key["seal_from"])), 10 * DAY_S);
        assert_eq!(key["max_ttl_s"], 7200);
        assert_eq!(key["alg"], if key["use"] == "jwt" { "EdDSA" } else { "XAES-256-GCM" });
    }
}

#[test]
fn rotate_with_a_waiting_key_writes_nothing_unless_forced() {
    let keys = Keys::init();
    keys.run(&["rotate", "--use", "jwt"]).done();
    let names = keys.names();
    let refusal = keys.run(&["rotate"]).refused();
    assert!(
        refusal.starts_with("error: jwt-") && refusal.contains(" is already waiting to take over in "),
        "{refusal}"
    );
    assert!(refusal.ends_with("hint: wait for it, or add another one with --force\n"), "{refusal}");
    assert_eq!(keys.names(), names, "the ticket key, too, has to wait: all or nothing");
    keys.run(&["rotate", "--force"]).done();
    assert_eq!(keys.names().len(), names.len() + 2);
    keys.run(&["rotate", "--use", "ticket"]).refused();
    let told = keys.run(&["rotate", "--use", "ticket", "--force"]).done();
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn rotate_of_one_use_leaves_the_other_alone() {
    let keys = Keys::init();
    keys.run(&["rotate", "--use", "jwt"]).done();
    let count = |key_use| keys.names().iter().filter(|name| name.starts_with(key_use)).count();
    assert_eq!((count("ticket-"), count("jwt-")), (1, 2));

    let keys = Keys::missing();
    keys.add_old(KeyUse::Ticket, 60, DAY_S);
    keys.run(&["rotate"]).done();
    assert!(keys.names().iter().all(|name| name.starts_with("ticket-")), "a use without a key is not taken up");
    keys.run(&["rotate", "--use", "jwt"]).done();
    assert!(keys.names().iter().any(|name| name.starts_with("jwt-")), "unless it is asked for");
}

#[test]
fn rotate_if_older_than_looks_at_the_newest_key_waiting_or_not() {
    let keys = Keys::missing();
    keys.add_old(KeyUse::Ticket, 10 * DAY_S, 90 * DAY_S);
    let told = keys.run(&["rotate", "--if-older-than", "11d"]).done();
    assert_eq!(told, "ticket: the newest key is 10d old, nothing to do\n");
    assert_eq!(keys.names().len(), 1);
    keys.run(&["rotate", "--if-older-than", "9d"]).done();
    assert_eq!(keys.names().len(), 2);
    let told = keys.run(&["rotate", "--if-older-than", "9d"]).done();
    assert!(told.ends_with(" old, nothing to do\n"), "{told}");
    assert_eq!(keys.names().len(), 2);
}

#[test]
fn a_short_lead_is_taken_with_a_warning() {
    for (lead, warns) in [("0", true), ("4m 59s", true), ("5m", false)] {
        let keys = Keys::init();
        let outcome = keys.run(&["rotate", "--use", "ticket", "--lead", lead]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.stderr.starts_with("warning: a lead of "), warns, "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), usize::from(warns), "{outcome:?}");
        assert_eq!(outcome.stdout.lines().count(), 1, "{outcome:?}");
        assert_eq!(keys.list()["keys"][1]["state"], if lead == "0" { "active" } else { "pending" });
    }
}

#[test]
fn prune_deletes_what_has_been_dead_for_an_hour_and_no_revocation() {
    let keys = Keys::missing();
    // Its end is the successor's start; then it opens for its max_ttl_s of an hour and a minute of leeway.
    let dead = keys.add_old(KeyUse::Ticket, 30 * DAY_S, 90 * DAY_S);
    let freshly_dead = keys.add_old(KeyUse::Ticket, 20 * DAY_S, 90 * DAY_S);
    let last = keys.add_old(KeyUse::Ticket, 2 * 3600 + 30, 90 * DAY_S);
    fs::write(keys.file(&format!("{dead}.revoked")), "").unwrap();
    assert_eq!(keys.run(&["prune", "--dry-run"]).done(), format!("would delete {dead}\n"));
    assert_eq!(keys.names().len(), 4);
    assert_eq!(keys.run(&["prune"]).done(), format!("deleted {dead}\n"));
    let mut left = [format!("{dead}.revoked"), format!("{freshly_dead}.key"), format!("{last}.key")];
    left.sort();
    assert_eq!(keys.names(), left);
    assert_eq!(keys.run(&["prune"]).done(), "nothing to delete\n");
    assert_eq!(keys.names(), left);
}

#[test]
fn revoke_of_the_sealing_key_adds_a_successor_first() {
    for key_use in ["ticket", "jwt"] {
        let keys = Keys::init();
        let kid = keys.kid(key_use, "active");
        let told = keys.run(&["revoke", &kid]).done();
        assert_eq!(keys.kid(key_use, "revoked"), kid);
        let successor = keys.kid(key_use, "active");
        let lines: Vec<&str> = told.lines().collect();
        let effect = match key_use {
            "ticket" => "whatever it sealed is refused as soon as a replica sees the file",
            _ => {
                "replicas sign nothing with it and publish it no more as soon as they see the file; a service that keeps \
                 its public half (for 300 s, as the answer allows) accepts its tokens until it fetches the keys again, or \
                 they expire"
            }
        };
        assert_eq!(lines[0], format!("revoked {key_use}-{kid}: {effect}"));
        assert!(lines[1].starts_with(&format!("{key_use}-{successor} takes over at ")), "{told}");
        let until_then = match key_use {
            "ticket" => "; a replica that has not loaded it yet refuses its tickets until it does",
            _ => "; a service that has fetched the keys before then refuses its tokens until it fetches them again",
        };
        assert!(lines[1].ends_with(until_then), "{told}");
        let files = keys.names();
        for name in [format!("{kid}.key"), format!("{kid}.revoked"), format!("{successor}.key")] {
            assert!(files.contains(&format!("{key_use}-{name}")), "{files:?} lacks {name}");
        }
        assert_eq!(files.len(), 4);
    }
}

#[test]
fn revoke_can_let_the_successor_wait() {
    let keys = Keys::init();
    let kid = keys.kid("ticket", "active");
    keys.run(&["revoke", &kid, "--lead", "10m"]).done();
    let list = keys.list();
    assert_eq!((&list["keys"][0]["state"], &list["keys"][1]["state"]), (&json!("revoked"), &json!("pending")));
    let warnings = list["warnings"].to_string();
    assert!(warnings.contains("no ticket key can seal"), "{warnings}");
}

#[test]
fn revoke_of_a_key_whose_turn_is_over_adds_none() {
    let keys = Keys::init();
    let before = keys.kid("ticket", "active");
    keys.run(&["rotate", "--use", "ticket", "--now"]);
    until("the new key has taken over", || keys.kid("ticket", "active") != before);
    assert_eq!(keys.run(&["revoke", &format!("ticket-{before}")]).done().lines().count(), 1);
    assert_eq!(keys.kid("ticket", "revoked"), before);
    assert_eq!(keys.names().len(), 4);
}

#[test]
fn revoke_twice_is_revoke_once() {
    let keys = Keys::init();
    let kid = keys.kid("ticket", "active");
    keys.run(&["revoke", &kid]).done();
    let names = keys.names();
    assert_eq!(keys.run(&["revoke", &kid]).done(), format!("ticket-{kid} was already revoked\n"));
    assert_eq!(keys.names(), names);
    fs::remove_file(keys.file(&format!("ticket-{kid}.key"))).unwrap();
    assert_eq!(keys.run(&["revoke", &kid]).done(), format!("ticket-{kid} was already revoked\n"));
}

#[test]
fn revoke_of_a_key_that_is_not_there_takes_its_full_name() {
    let keys = Keys::init();
    let refusal = keys.run(&["revoke", "00000001"]).refused();
    let hint = "hint: see auth-ticket keys list; to revoke a key that is not there: ticket-00000001\n";
    assert!(refusal.ends_with(hint), "{refusal}");
    assert_eq!(keys.names().len(), 2);
    keys.run(&["revoke", "ticket-00000001"]).done();
    assert!(keys.names().contains(&"ticket-00000001.revoked".to_owned()));
    keys.list();
}

#[test]
fn revoke_works_in_a_directory_that_is_otherwise_broken() {
    let keys = Keys::init();
    let kid = keys.kid("ticket", "active");
    fs::write(keys.file("ticket-00000001.key"), "broken").unwrap();
    set_mode(&keys.file("ticket-00000001.key"), 0o600);
    fs::write(keys.file("cutoffs.json"), "broken").unwrap();
    keys.run(&["list"]).refused();
    let outcome = keys.run(&["revoke", &kid]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(outcome.stderr.matches("warning: ").count(), 2, "{outcome:?}");
    assert!(outcome.stdout.starts_with(&format!("revoked ticket-{kid}: ")), "{outcome:?}");
    let error = format!("error: ticket-{kid} is revoked, but NOTHING SEALS: servers load ticket-");
    assert!(outcome.stderr.contains(&error), "{outcome:?}");
    assert!(
        outcome.stderr.contains(" only once the directory is right: 2 files are not as they must be"),
        "{outcome:?}"
    );
    assert!(keys.names().contains(&format!("ticket-{kid}.revoked")));
    for name in ["ticket-00000001.key", "cutoffs.json"] {
        fs::remove_file(keys.file(name)).unwrap();
    }
    assert_eq!(keys.kid("ticket", "revoked"), kid);
    keys.kid("ticket", "active");
}

#[test]
fn revoke_works_in_a_directory_that_others_can_write_to() {
    let keys = Keys::init();
    let kid = keys.kid("ticket", "active");
    set_mode(&keys.path(), 0o770);
    for args in [&["list"][..], &["plan"], &["rotate"], &["prune"]] {
        let refusal = keys.run(args).refused();
        assert!(refusal.contains("is writable by its group or by others (mode 0770)"), "{refusal}");
        assert!(refusal.ends_with(&format!("hint: chmod go-w {}\n", keys.path().display())), "{refusal}");
    }
    let outcome = keys.run(&["revoke", &kid]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.starts_with(&format!("revoked ticket-{kid}: ")), "{outcome:?}");
    assert!(outcome.stderr.starts_with("warning: "), "{outcome:?}");
    assert!(outcome.stderr.ends_with(&format!("hint: chmod go-w {}\n", keys.path().display())), "{outcome:?}");
    set_mode(&keys.path(), 0o700);
    assert_eq!(keys.kid("ticket", "revoked"), kid);
}

#[test]
fn rotations_at_once_are_done_or_refused_one_by_one() {
    for crowd in [2, 20] {
        let keys = Keys::init();
        let start = |_| {
            let mut command = keys.command(&["rotate", "--use", "ticket"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<_> = (0..crowd).map(start).collect();
        let mut done = 0;
        for child in children {
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            match output.status.code() {
                Some(0) => done += 1,
                Some(1) => assert!(
                    stderr.contains("another auth-ticket command is writing in")
                        || stderr.contains("is already waiting"),
                    "{stderr}"
                ),
                other => panic!("{other:?}: {stderr}"),
            }
        }
        assert_eq!(done, 1, "the second finds a key that waits");
        assert_eq!(keys.list()["keys"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn forced_rotations_at_once_add_a_key_for_each_that_was_done() {
    let keys = Keys::init();
    let start = |_| {
        let mut command = keys.command(&["rotate", "--use", "ticket", "--force"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..20).map(start).collect();
    let codes: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap().code()).collect();
    let done = codes.iter().filter(|code| **code == Some(0)).count();
    assert!(done >= 1 && codes.iter().all(|code| matches!(code, Some(0 | 1))), "{codes:?}");
    assert_eq!(keys.list()["keys"].as_array().unwrap().len(), 2 + done);
}

/// Runs `keys ARGS` with a standard output that nobody reads.
fn unread(keys: &Keys, args: &[&str]) -> Outcome {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output = keys.command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    Outcome { code: output.status.code(), stdout: String::new(), stderr: String::from_utf8(output.stderr).unwrap() }
}

#[test]
fn a_reader_that_is_gone_keeps_no_command_from_its_work() {
    let keys = Keys::missing();
    unread(&keys, &["init"]).done();
    assert_eq!(keys.names().len(), 2, "both keys are made");
    unread(&keys, &["rotate"]).done();
    assert_eq!(keys.names().len(), 4, "both keys are rotated");
    unread(&keys, &["list"]).done();
    unread(&keys, &["list", "--json"]).done();
    unread(&keys, &["plan"]).done();
    unread(&keys, &["revoke", &keys.kid("ticket", "active")]).done();
    assert_eq!(keys.names().len(), 6);

    let keys = Keys::missing();
    for age in [40, 30, 20] {
        keys.add_old(KeyUse::Ticket, age * DAY_S, 90 * DAY_S);
    }
    unread(&keys, &["prune"]).done();
    assert_eq!(keys.names().len(), 1, "both dead keys are deleted");
}

#[test]
fn a_full_disk_under_the_output_keeps_no_command_from_its_work() {
    let keys = Keys::missing();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    keys.command(&["init"]).stdout(full).stderr(Stdio::null()).status().unwrap();
    assert_eq!(keys.list()["keys"].as_array().unwrap().len(), 2, "both keys are made");
}

#[test]
fn a_directory_that_cannot_be_written_to_can_be_listed() {
    let keys = Keys::init();
    let (uid, gid) = (65534, 65534);
    let as_owner = |args: &[&str]| {
        let mut command = keys.command(args);
        if is_root() {
            // Root writes everywhere, so somebody else has to try.
            command.uid(uid).gid(gid);
        }
        keys.watch(args, &mut command)
    };
    if is_root() {
        set_mode(keys.root(), 0o755);
        for name in keys.names().iter().map(String::as_str).chain([".lock", "."]) {
            chown(keys.file(name), Some(uid), Some(gid)).unwrap();
        }
    }
    fs::remove_file(keys.file(".lock")).unwrap();
    set_mode(&keys.path(), 0o500);
    as_owner(&["list"]).done();
    as_owner(&["plan"]).done();
    for args in [&["rotate"][..], &["prune"], &["revoke", "ticket-00000001"], &["init"]] {
        let refusal = as_owner(args).refused();
        let says = if args[0] == "revoke" { "error: NOT REVOKED: cannot write " } else { "error: cannot write " };
        assert!(refusal.contains(says), "{refusal}");
        assert!(refusal.ends_with(&format!("chmod u+rwx {}\n", keys.path().display())), "{refusal}");
    }
    assert_eq!(keys.names().len(), 2);
    set_mode(&keys.path(), 0o700);
}

#[test]
fn a_key_of_somebody_else_is_refused() {
    let keys = Keys::init();
    let kid = keys.kid("ticket", "active");
    let file = keys.file(&format!("ticket-{kid}.key"));
    // Only root can give a file away.
    if chown(&file, Some(12345), None).is_err() {
        return;
    }
    let refusal = keys.run(&["list"]).refused();
    let path = file.display();
    assert_eq!(
        refusal,
        format!(
            "error: {path} is owned by user 12345, who is neither root nor the user that runs this; \
             if that is the server's user, give it the directory: chown 12345 {}\n",
            keys.path().display()
        )
    );
    let outcome = keys.run(&["revoke", &kid]);
    assert!(outcome.stdout.starts_with(&format!("revoked ticket-{kid}: ")), "the name alone is enough: {outcome:?}");
    // There is a successor, which is not loaded while this file is here.
    assert!(outcome.code == Some(1) && outcome.stderr.contains("NOTHING SEALS"), "{outcome:?}");
}

#[test]
fn group_readable_keys_are_taken_only_when_that_is_allowed() {
    let keys = Keys::init();
    for name in keys.names() {
        set_mode(&keys.file(&name), 0o440);
    }
    let refusal = keys.run(&["list"]).refused();
    assert!(refusal.contains("2 files are not as they must be") && refusal.contains("--allow-group-read"), "{refusal}");
    keys.run(&["list", "--allow-group-read"]).done();
    for (value, code) in [("true", 0), ("false", 1)] {
        let outcome = Outcome::of(keys.command(&["list"]).env("AUTH_TICKET_ALLOW_GROUP_READ", value));
        assert_eq!(outcome.code, Some(code), "{value}: {outcome:?}");
    }
}

#[test]
fn the_directory_can_come_from_the_environment() {
    let keys = Keys::missing();
    let run = |args: &[&str]| Outcome::of(auth_ticket(args).env("AUTH_TICKET_KEYS_DIR", keys.path()));
    run(&["keys", "init"]).done();
    assert_eq!(keys.names().len(), 2);
    let other = Keys::missing();
    let mut command = other.command(&["list"]);
    let refusal = Outcome::of(command.env("AUTH_TICKET_KEYS_DIR", keys.path())).refused();
    assert!(refusal.contains(&*other.path().to_string_lossy()), "the flag wins: {refusal}");
    let relative = Outcome::of(auth_ticket(&["keys", "list"]).current_dir(keys.root()));
    relative.done();
}

#[test]
fn init_makes_missing_parents_for_their_owner_alone() {
    let keys = Keys::missing();
    let deep = keys.root().join("a/b/keys");
    Outcome::of(auth_ticket(&["keys", "init", "--keys"]).arg(&deep)).done();
    for path in [keys.root().join("a"), keys.root().join("a/b"), deep] {
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700, "{}", path.display());
    }
}

#[test]
fn a_revoked_pending_key_has_its_turn_taken_by_a_successor() {
    let keys = Keys::init();
    keys.run(&["rotate", "--use", "ticket"]).done();
    let pending = keys.kid("ticket", "pending");
    keys.run(&["revoke", &pending]).done();
    let list = keys.list();
    let of_ticket = |state: &str| {
        let is = |key: &&Value| key["use"] == "ticket" && key["state"] == state;
        list["keys"].as_array().unwrap().iter().find(is).unwrap().clone()
    };
    let (revoked, successor) = (of_ticket("revoked"), of_ticket("pending"));
    assert_eq!(time(&successor["seal_from"]), time(&revoked["seal_from"]).plus(1));
    assert_eq!(time(&of_ticket("active")["seals_until"]), time(&revoked["seal_from"]), "until then the old one seals");
}

#[test]
fn cron_replaces_a_revoked_last_key_however_young_it_is() {
    let keys = Keys::missing();
    let name = keys.add_old(KeyUse::Ticket, DAY_S, 90 * DAY_S);
    fs::write(keys.file(&format!("{name}.revoked")), "").unwrap();
    keys.run(&["rotate", "--if-older-than", "20d"]).done();
    assert_eq!(keys.names().len(), 3);
}
