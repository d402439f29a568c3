use super::*;
use crate::clock::{FixedClock, UnixSeconds};

fn xhs() -> (Xiaohongshu, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    (Xiaohongshu::new(Arc::new(World::new(Arc::<FixedClock>::clone(&clock), None))), clock)
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

fn token(xhs: &Xiaohongshu) -> String {
    let answer = json(xhs.rmp_token(&json!({ "appid": "app", "secret": "s" })));
    assert_eq!((&answer["success"], &answer["data"]["expire_in"]), (&json!(true), &json!(7200)));
    answer["data"]["access_token"].as_str().unwrap().to_owned()
}

fn log_in(xhs: &Xiaohongshu, token: &str, code: &str) -> Value {
    json(xhs.rmp_session(&["app", token, code].map(str::to_owned)))
}

#[test]
fn a_login_takes_a_token_and_a_code_works_once() {
    let (xhs, _) = xhs();
    let token = token(&xhs);
    let session = log_in(&xhs, &token, "demo-alice-1");
    let alice = xhs.user("app", &Name::parse("alice").unwrap());
    assert_eq!((&session["code"], &session["data"]["openid"]), (&json!(0), &json!(alice.openid)));
    assert_eq!(alice.openid.len(), 64);
    for (token, code, expected) in [
        (&*token, "demo-alice-1", BAD_CODE),
        (&token, "nonsense", BAD_CODE),
        ("other", "demo-alice-2", BAD_TOKEN),
        ("", "demo-alice-2", BAD_TOKEN),
    ] {
        let refused = log_in(&xhs, token, code);
        assert_eq!(refused, json!({ "data": null, "success": false, "msg": wording(expected), "code": expected }));
    }
    assert_eq!(log_in(&xhs, &token, "demo-alice-2")["code"], 0, "a refused token spends no code");
}

#[test]
fn a_third_token_ends_the_first_and_a_second_one_leaves_it_five_minutes() {
    let (xhs, clock) = xhs();
    let [first, second] = [(); 2].map(|()| token(&xhs));
    clock.advance(299);
    assert_eq!(log_in(&xhs, &first, "demo-alice-1")["code"], 0);
    clock.advance(1);
    assert_eq!(log_in(&xhs, &first, "demo-alice-2")["code"], BAD_TOKEN);
    let [third, fourth] = [(); 2].map(|()| token(&xhs));
    assert_eq!(log_in(&xhs, &second, "demo-alice-2")["code"], BAD_TOKEN);
    assert_eq!([third, fourth].map(|token| log_in(&xhs, &token, "nonsense")["code"].clone()), [BAD_CODE; 2]);
}

#[test]
fn who_asks_for_a_token_is_known() {
    let (xhs, _) = xhs();
    for (body, expected) in [
        (json!({ "secret": "s" }), BAD_APP),
        (json!({ "appid": "a b", "secret": "s" }), BAD_APP),
        (json!({ "appid": "app" }), BAD_SECRET),
        (json!({ "appid": "app", "secret": 7 }), BAD_SECRET),
    ] {
        assert_eq!(json(xhs.rmp_token(&body))["code"], expected, "{body}");
    }
    assert_eq!(json(xhs.rmp_token(&Value::Null))["code"], BAD_APP);
}

#[test]
fn a_login_replaces_the_session_key() {
    let (xhs, _) = xhs();
    let token = token(&xhs);
    let [one, two] = [1, 2].map(|n| log_in(&xhs, &token, &format!("demo-alice-{n}"))["data"]["session_key"].clone());
    assert_ne!(one, two);
    let (raw_data, signature) = signed(xhs.encrypt("app", &Name::parse("alice").unwrap(), DataContent::UserInfo));
    let expected = opendata::sign_raw_data(&raw_data, two.as_str().unwrap());
    assert_eq!(signature, expected);
}
