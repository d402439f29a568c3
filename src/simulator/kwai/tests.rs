use serde_json::Value;

use super::*;
use crate::clock::{FixedClock, UnixSeconds};

fn kwai() -> (Kuaishou, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    (Kuaishou::new(Arc::new(World::new(Arc::<FixedClock>::clone(&clock), None))), clock)
}

fn alice() -> Name {
    Name::parse("alice").unwrap()
}

/// The text that was signed, and its signature.
fn signed(data: Result<DataForClient, ControlError>) -> (String, String) {
    match data {
        Ok(DataForClient::Encrypted { raw_data: Some(raw_data), signature: Some(signature), .. }) => {
            (raw_data, signature)
        }
        _ => panic!("nothing is signed"),
    }
}

#[track_caller]
fn json(reply: Reply) -> Value {
    let Reply::Json(_, text) = reply else { panic!("{reply:?}") };
    serde_json::from_str(&text).unwrap()
}

fn log_in(kwai: &Kuaishou, app_id: &str, js_code: &str) -> Value {
    json(kwai.code2session(&[app_id, "s", js_code].map(str::to_owned)))
}

#[test]
fn a_user_has_one_open_id_in_all_apps_and_a_code_works_once() {
    let (kwai, _) = kwai();
    let [one, other] = ["ks1", "ks2"].map(|app| log_in(&kwai, app, &format!("demo-alice-{app}")));
    assert_eq!((&one["result"], &one["open_id"]), (&json!(1), &other["open_id"]));
    assert_eq!(one["open_id"], *kwai.user("ks3", &alice()).openid);
    assert_eq!(log_in(&kwai, "ks1", "demo-alice-ks1")["result"], BAD_CODE);
    let refused = log_in(&kwai, "ks1", "nonsense");
    assert_eq!((&refused["result"], &refused["error"]), (&json!(BAD_CODE), &json!("invalid_grant")));
}

#[test]
fn a_code_lives_for_ten_minutes_in_its_app() {
    let (kwai, clock) = kwai();
    let [first, second] = [(); 2].map(|()| kwai.login_code("ks1".to_owned(), alice()).unwrap());
    assert_eq!(log_in(&kwai, "ks2", &first)["result"], BAD_CODE);
    clock.advance(599);
    assert_eq!(log_in(&kwai, "ks1", &first)["result"], 1);
    clock.advance(1);
    assert_eq!(log_in(&kwai, "ks1", &second)["result"], BAD_CODE);
}

#[test]
fn a_login_replaces_the_session_key() {
    let (kwai, _) = kwai();
    let [one, two] = [1, 2].map(|n| log_in(&kwai, "ks1", &format!("demo-alice-{n}"))["session_key"].clone());
    assert_ne!(one, two);
    let (raw_data, signature) = signed(kwai.encrypt("ks1", &alice(), DataContent::UserInfo));
    let key = two.as_str().unwrap();
    assert_eq!(signature, opendata::sign_raw_data(&raw_data, key));
}

#[test]
fn what_is_missing_is_refused() {
    let (kwai, _) = kwai();
    for ([app_id, secret, code], expected) in [
        (["", "s", "demo-a-1"], BAD_PARAMETERS),
        (["ks1", "", "demo-a-1"], BAD_PARAMETERS),
        (["ks1", "s", ""], BAD_PARAMETERS),
        (["k s", "s", "demo-a-1"], BAD_CREDENTIALS),
        (["ks1", "s", "err-7"], 7),
    ] {
        let refused = json(kwai.code2session(&[app_id, secret, code].map(str::to_owned)));
        assert_eq!(refused["result"], expected, "{app_id} {secret} {code}");
        assert!(refused["request_id"].is_string() && refused.get("open_id").is_none(), "{refused}");
    }
}
