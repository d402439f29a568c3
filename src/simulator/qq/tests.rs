use super::*;
use crate::clock::{FixedClock, UnixSeconds};

fn qq() -> QqSimulator {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    QqSimulator::new(Arc::new(World::new(clock, None)))
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

fn log_in(qq: &QqSimulator, js_code: &str) -> Value {
    json(qq.jscode2session(&["1109000000", "s", js_code, "authorization_code"].map(str::to_owned)))
}

#[test]
fn a_login_has_qqs_ids_and_a_code_works_once() {
    let qq = qq();
    let session = log_in(&qq, "demo-alice-1");
    let alice = qq.user("1109000000", &Name::parse("alice").unwrap());
    assert_eq!((&session["openid"], &session["unionid"]), (&json!(alice.openid), &json!(alice.unionid)));
    assert!(alice.openid.len() == 32 && alice.openid.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
    assert_eq!(session["errcode"], 0);
    assert_eq!(log_in(&qq, "demo-alice-1")["errcode"], BAD_CODE);
}

#[test]
fn a_refusal_has_all_members_and_they_are_empty() {
    let refused = log_in(&qq(), "err--1009");
    let expected = json!({ "errcode": -1009, "errmsg": "", "openid": "", "session_key": "", "uin": "", "unionid": "" });
    assert_eq!(refused, expected);
    let no_app = json(qq().jscode2session(&["1109000000", "", "demo-a-1", "authorization_code"].map(str::to_owned)));
    assert_eq!(no_app["errcode"], BAD_APP);
}

#[test]
fn an_appid_of_digits_is_one_of_qqs() {
    let qq = qq();
    assert!(qq.claims(PATH, "1109000000"));
    for (path, appid) in [(PATH, ""), (PATH, "wx0123456789abcdef"), ("/cgi-bin/token", "1109000000")] {
        assert!(!qq.claims(path, appid), "{path} {appid}");
    }
}

#[test]
fn data_is_encrypted_and_signed_under_the_present_key() {
    let qq = qq();
    let name = Name::parse("alice").unwrap();
    let session = log_in(&qq, "demo-alice-1");
    let (raw_data, signature) = signed(qq.encrypt("1109000000", &name, DataContent::UserInfo));
    let expected = opendata::sign_raw_data(&raw_data, session["session_key"].as_str().unwrap());
    assert_eq!(signature, expected);
    qq.reset_session_key(&name).unwrap();
    assert_ne!(log_in(&qq, "demo-alice-2")["session_key"], session["session_key"]);
}
