//! What commands that change something tell programs: one object with every list, whatever was changed.

use std::collections::BTreeSet;

use auth_ticket::keyring::KeyUse;
use serde_json::{Value, json};

use crate::support::{Keys, Outcome, auth_ticket};

const LISTS: [&str; 6] = ["made", "revoked", "deleted", "would_delete", "cut_off", "removed"];
const DAY_S: u64 = 86400;

/// What `auth-ticket COMMAND ... --json` changed, by the lists that are not empty.
fn changed(text: &str) -> Value {
    let mut told: Value = serde_json::from_str(text).expect(text);
    let lists = told.as_object_mut().unwrap();
    assert_eq!(lists.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(LISTS));
    lists.retain(|_, list| !list.as_array().unwrap().is_empty());
    told
}

fn keys_changed(keys: &Keys, args: &[&str]) -> Value {
    changed(&keys.run(&[args, &["--json"]].concat()).done())
}

fn cutoff(keys: &Keys, args: &[&str]) -> Outcome {
    let mut command = auth_ticket(&["cutoff"]);
    Outcome::of(command.args(args).arg("--json").arg("--keys").arg(keys.path()))
}

/// The keys that `keys list --json` shows, with what is told of new ones.
fn listed(keys: &Keys) -> Vec<Value> {
    let mut listed = keys.list()["keys"].as_array().unwrap().clone();
    for key in &mut listed {
        key.as_object_mut().unwrap().retain(|name, _| !["state", "seals_until", "opens_until"].contains(&&**name));
    }
    listed
}

#[test]
fn keys_that_are_made_are_told_as_keys_list_tells_them() {
    let keys = Keys::missing();
    let init = keys_changed(&keys, &["init"]);
    assert_eq!(init, json!({ "made": listed(&keys) }));
    assert_eq!(init["made"][0]["use"], "ticket");

    let rotate = keys_changed(&keys, &["rotate"]);
    let made = rotate["made"].as_array().unwrap();
    assert_eq!((made.len(), listed(&keys).len()), (2, 4));
    assert!(made.iter().all(|key| listed(&keys).contains(key)), "{rotate:#}");
    assert_eq!(keys_changed(&keys, &["rotate", "--if-older-than", "1h"]), json!({}), "nothing was due");
}

#[test]
fn a_revocation_is_told_with_the_successor_that_it_took() {
    let keys = Keys::init();
    let kid = keys.kid("ticket", "active");
    let told = keys_changed(&keys, &["revoke", &kid]);
    let successor = keys.kid("ticket", "active");
    assert_eq!(told["revoked"], json!([{ "use": "ticket", "kid": kid }]));
    assert_eq!(told["made"][0]["kid"], successor);
    assert_eq!(keys_changed(&keys, &["revoke", &kid]), json!({}), "it was revoked before");
    // Not there: only its name is known, and it needs no successor.
    let absent = keys_changed(&keys, &["revoke", "jwt-00000001"]);
    assert_eq!(absent, json!({ "revoked": [{ "use": "jwt", "kid": "00000001" }] }));
}

#[test]
fn what_would_be_deleted_is_not_told_as_deleted() {
    let keys = Keys::missing();
    for age in [40, 20] {
        keys.add_old(KeyUse::Ticket, age * DAY_S, 90 * DAY_S);
    }
    let oldest = keys.kid("ticket", "dead");
    let names = json!([{ "use": "ticket", "kid": oldest }]);
    assert_eq!(keys_changed(&keys, &["prune", "--dry-run"]), json!({ "would_delete": names }));
    assert_eq!(keys_changed(&keys, &["prune"]), json!({ "deleted": names }));
    assert_eq!(keys_changed(&keys, &["prune"]), json!({}));
}

#[test]
fn cut_offs_are_told_as_cutoff_list_tells_them() {
    let keys = Keys::init();
    let added = changed(&cutoff(&keys, &["add", "--appid", "wx1", "--openid", "alice"]).done());
    let list = cutoff(&keys, &["list"]).json();
    assert_eq!(added, json!({ "cut_off": list["cutoffs"] }));
    assert_eq!(added["cut_off"][0]["openid"], "alice");
    let login = ["--login-id", "60c7e322d1691070"];
    changed(&cutoff(&keys, &[&["add"], &login[..]].concat()).done());
    assert_eq!(changed(&cutoff(&keys, &[&["add"], &login[..]].concat()).done()), json!({}), "cut off already");

    let removed = changed(&cutoff(&keys, &["remove", "--appid", "wx1", "--openid", "alice"]).done());
    assert_eq!(removed, json!({ "removed": list["cutoffs"] }));
    assert_eq!(changed(&cutoff(&keys, &["prune"]).done()), json!({}));
}

/// As with commands that list: an error is a line on standard error. What was changed before it is told all the same.
#[test]
fn a_command_that_fails_tells_what_it_changed_and_nothing_else() {
    let keys = Keys::init();
    for args in [&["init"][..], &["rotate", "--use", "jwt", "--lead", "1h"], &["revoke", "00000001"]] {
        let outcome = keys.run(&[args, &["--json"]].concat());
        if args[0] == "rotate" {
            changed(&outcome.done());
            keys.run(&[args, &["--json"]].concat()).refused();
        } else {
            outcome.refused();
        }
    }
    cutoff(&keys, &["remove", "--all"]).refused();

    let kid = keys.kid("ticket", "active");
    std::fs::write(keys.file("cutoffs.json"), "broken").unwrap();
    let outcome = keys.run(&["revoke", &kid, "--json"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("NOTHING SEALS"), "{outcome:?}");
    let told = changed(&outcome.stdout);
    assert_eq!((&told["revoked"][0]["kid"], &told["made"][0]["use"]), (&json!(kid), &json!("ticket")), "{told:#}");

    let outcome = cutoff(&keys, &["add", "--all"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("LOST"), "{outcome:?}");
    assert_eq!(changed(&outcome.stdout)["cut_off"][0]["scope"], "all");
}
