//! `cutoff` on lists as they should be, and on lists that are not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Keys, Outcome, auth_ticket};

const LOGIN: &str = r#"{"scope":"login","login_id":"0a51b3991569cedc","created":"2026-11-22T21:00:00Z"}"#;
const ALICE: &str = r#"{"scope":"openid","appid":"wx1","openid":"alice","before":"2026-11-22T21:00:00Z","created":"2026-11-22T21:00:00Z"}"#;
/// Of no scope that this version knows.
const STRANGE: &str = r#"{"scope":"country","country":"xx","created":"2026-11-22T21:00:00Z"}"#;

struct List(Keys);

impl List {
    fn missing() -> Self {
        Self(Keys::init())
    }

    fn of(content: &[u8]) -> Self {
        let list = Self::missing();
        fs::write(list.0.file("cutoffs.json"), content).unwrap();
        list.mode(0o600);
        list
    }

    fn mode(&self, mode: u32) {
        fs::set_permissions(self.0.file("cutoffs.json"), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(auth_ticket(&["cutoff"]).args(args).arg("--keys").arg(self.0.path()))
    }

    fn text(&self) -> String {
        fs::read_to_string(self.0.file("cutoffs.json")).unwrap()
    }

    fn entries(&self) -> Vec<Value> {
        serde_json::from_str::<Value>(&self.text()).unwrap()["cutoffs"].as_array().unwrap().clone()
    }

    /// What the broken list is kept as.
    #[track_caller]
    fn aside(&self) -> Vec<u8> {
        let names = self.0.names();
        let kept: Vec<_> = names.iter().filter(|name| name.starts_with(".cutoffs-broken-2")).collect();
        let [only] = kept[..] else { panic!("{names:?}") };
        fs::read(self.0.file(only)).unwrap()
    }
}

#[test]
fn what_is_added_can_be_removed_and_nothing_else_is() {
    let list = List::missing();
    for args in [
        &["add", "--all"][..],
        &["add", "--all", "--before", "2026-01-01T00:00:00Z"],
        &["add", "--appid", "wx1"],
        &["add", "--appid", "wx1", "--openid", "alice"],
        &["add", "--appid", "wx1", "--openid", "bob"],
        &["add", "--appid", "wx2"],
        &["add", "--login-id", "0a51b3991569cedc"],
    ] {
        list.run(args).done();
    }
    for (args, gone, left) in [
        (&["remove", "--appid", "wx1"][..], 1, 6),
        (&["remove", "--appid", "wx1", "--openid", "alice"], 1, 5),
        (&["remove", "--all", "--before", "2026-01-01T00:00:00Z"], 1, 4),
        (&["remove", "--login-id", "0a51b3991569cedc"], 1, 3),
        (&["remove", "--all"], 1, 2),
    ] {
        let told = list.run(args).done();
        assert_eq!((told.matches("removed: ").count(), list.entries().len()), (gone, left), "{args:?}: {told}");
        let refusal = list.run(args).refused();
        assert!(refusal.starts_with("error: NOTHING REMOVED: there is no such cut-off\nhint: "), "{refusal}");
    }
    list.run(&["add", "--all"]).done();
    list.run(&["add", "--all", "--before", "2026-01-01T00:00:00Z"]).done();
    assert!(list.run(&["remove", "--all"]).done().ends_with("removed 2 cut-offs\n"));
}

#[test]
fn a_cut_off_from_the_future_can_be_removed() {
    let future = LOGIN.replace("2026", "2999");
    let all = r#"{"scope":"all","before":"2999-01-01T00:00:00Z","created":"2999-01-01T00:00:00Z"}"#;
    let list = List::of(format!(r#"{{"v":1,"cutoffs":[{future},{all}]}}"#).as_bytes());
    list.run(&["prune"]).done();
    assert_eq!(list.entries().len(), 2);
    list.run(&["remove", "--all"]).done();
    list.run(&["remove", "--login-id", "0a51b3991569cedc"]).done();
    assert_eq!(list.text(), "{\"v\":1,\"cutoffs\":[]}\n");
    list.0.run(&["list"]).done();
}

#[test]
fn entries_that_are_not_understood_stay_as_they_stand() {
    let list = List::of(format!(r#"{{"v":1,"cutoffs":[{LOGIN},{STRANGE}, {ALICE}]}}"#).as_bytes());
    for args in [&["add", "--all"][..], &["remove", "--login-id", "0a51b3991569cedc"], &["prune"]] {
        let outcome = list.run(args);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stderr.starts_with("warning: cut-off number "), "{outcome:?}");
        assert!(list.text().contains(STRANGE), "{args:?}: {}", list.text());
    }
    assert!(!list.text().contains("0a51b3991569cedc"));
    // Another version, too, with whatever else it has.
    let list = List::of(format!(r#"{{"v":2,"reason":"?","cutoffs":[{STRANGE}]}}"#).as_bytes());
    list.run(&["add", "--appid", "wx1"]);
    let text = list.text();
    assert!(text.contains(r#""v":2"#) && text.contains(r#""reason":"?""#) && text.contains(STRANGE), "{text}");
    assert!(text.contains(r#""appid":"wx1""#), "{text}");
}

#[test]
fn a_list_that_is_open_to_others_counts_and_is_written_as_it_should_be() {
    for mode in [0o644, 0o666, 0o640] {
        let list = List::of(format!(r#"{{"v":1,"cutoffs":[{LOGIN}]}}"#).as_bytes());
        list.mode(mode);
        let outcome = list.run(&["add", "--all"]);
        assert_eq!((outcome.code, outcome.stderr.starts_with("warning: ")), (Some(0), true), "{outcome:?}");
        assert_eq!(list.entries().len(), 2);
        assert_eq!(list.run(&["list"]).done().lines().count(), 3);
    }
}

#[test]
fn a_list_that_is_broken_is_kept_aside_and_the_new_cut_off_holds() {
    let whole = format!(r#"{{"v":1,"cutoffs":[{LOGIN},{ALICE}]}}"#);
    let cut = |len: usize| whole.as_bytes()[..len].to_vec();
    for (content, understood) in [
        (Vec::new(), 0),
        (b"broken".to_vec(), 0),
        (b"[]".to_vec(), 0),
        (vec![0xff; 9], 0),
        (cut(whole.len() - 1), 2),
        (cut(whole.len() - 10), 1),
        (cut(40), 0),
    ] {
        let list = List::of(&content);
        let outcome = list.run(&["add", "--all"]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stdout.starts_with("cut off: everybody"), "{outcome:?}");
        assert!(outcome.stderr.contains("error: the cut-off holds, but ") && outcome.stderr.contains(" LOST\n"));
        assert!(outcome.stderr.contains("\nhint: the old file is kept as "), "{outcome:?}");
        assert_eq!((list.entries().len(), list.aside()), (understood + 1, content));
        list.run(&["list"]).done();
        list.0.run(&["list"]).done();
    }
}

#[test]
fn a_list_that_is_no_file_is_kept_aside_and_the_new_cut_off_holds() {
    let list = List::missing();
    fs::create_dir(list.0.file("cutoffs.json")).unwrap();
    let outcome = list.run(&["add", "--login-id", "0a51b3991569cedc"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("is not a regular file") && outcome.stderr.contains("all that it had is LOST"));
    assert_eq!(list.entries().len(), 1);
}

#[test]
fn what_takes_away_no_power_leaves_a_broken_list_alone() {
    let content = format!(r#"{{"v":1,"cutoffs":[{LOGIN},{{"#);
    let list = List::of(content.as_bytes());
    for args in [&["remove", "--login-id", "0a51b3991569cedc"][..], &["prune"]] {
        let refusal = list.run(args).refused();
        assert!(refusal.contains("cutoffs.json: not a list of cut-offs"), "{refusal}");
        assert_eq!(list.text(), content);
    }
    let outcome = list.run(&["list"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("login 0a51b3991569cedc"), "what is in force is shown: {outcome:?}");
}
