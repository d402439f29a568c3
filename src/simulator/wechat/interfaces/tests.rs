use serde_json::{Value, json};

use super::*;
use crate::clock::FixedClock;
use crate::simulator::faults::{Broken, FaultPlan};
use crate::simulator::platform::SimulatedPlatform as _;
use crate::simulator::users::SimulatedUser;

fn wechat() -> (Wechat, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::new(UnixSeconds::new(1_800_000_000)));
    (Wechat::new(Arc::new(World::new(Arc::<FixedClock>::clone(&clock), None))), clock)
}

fn user(appid: &str, name: &str) -> SimulatedUser {
    wechat().0.user(appid, &Name::parse(name).unwrap())
}

fn request(appid: &str, js_code: &str) -> Jscode2session {
    let [appid, js_code] = [appid, js_code].map(str::to_owned);
    Jscode2session { appid, secret: "s".to_owned(), js_code, grant_type: "authorization_code".to_owned() }
}

#[track_caller]
fn json(reply: Reply) -> Value {
    let Reply::Json(_, text) = reply else { panic!("{reply:?}") };
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn errcode(reply: Reply) -> i64 {
    json(reply)["errcode"].as_i64().unwrap_or_default()
}

#[test]
fn the_first_thing_that_is_missing_is_named() {
    let (wechat, _) = wechat();
    let mut request = Jscode2session::default();
    assert_eq!(errcode(wechat.jscode2session(&request)), 41002);
    request.appid = "w x".to_owned();
    assert_eq!(errcode(wechat.jscode2session(&request)), 41004);
    request.secret = "s".to_owned();
    assert_eq!(errcode(wechat.jscode2session(&request)), 41008);
    request.js_code = "demo-alice-1".to_owned();
    assert_eq!(errcode(wechat.jscode2session(&request)), 40002);
    request.grant_type = "authorization_code".to_owned();
    assert_eq!(errcode(wechat.jscode2session(&request)), 40013);
    request.appid = "x".repeat(65);
    assert_eq!(errcode(wechat.jscode2session(&request)), 40013);
    request.appid = "x".repeat(64);
    assert_eq!(errcode(wechat.jscode2session(&request)), 0, "none of these spent the code");
}

#[test]
fn a_platform_that_acts_for_the_app_logs_its_users_in() {
    let (wechat, _) = wechat();
    let mut request = ComponentJscode2session::default();
    let mut told = |change: fn(&mut ComponentJscode2session)| {
        change(&mut request);
        json(wechat.component_jscode2session(&request))
    };
    assert_eq!(told(|_| {})["errcode"], 41021);
    assert_eq!(told(|request| request.component_access_token.push('t'))["errcode"], 41018);
    assert_eq!(told(|request| request.component_appid.push_str("wxc"))["errcode"], 41002);
    assert_eq!(told(|request| request.appid.push_str("wx1"))["errcode"], 41008);
    assert_eq!(told(|request| request.js_code.push_str("demo-alice-1"))["errcode"], 40002);
    let session = told(|request| request.grant_type.push_str("authorization_code"));
    assert_eq!(session["openid"], *user("wx1", "alice").openid);
    // The app's own server would get the same user for such a code.
    assert_eq!(errcode(wechat.jscode2session(&self::request("wx1", "demo-alice-1"))), 40163);
}

#[test]
fn a_demo_code_works_once_and_never_again() {
    let (wechat, clock) = wechat();
    let session = json(wechat.jscode2session(&request("wx1", "demo-alice-1")));
    assert_eq!(session["openid"], *user("wx1", "alice").openid);
    assert_eq!(session["unionid"], *user("wx2", "alice").unionid);
    assert_eq!(errcode(wechat.jscode2session(&request("wx1", "demo-alice-1"))), 40163);
    clock.advance(1_000_000);
    assert_eq!(errcode(wechat.jscode2session(&request("wx2", "demo-alice-1"))), 40163);
    assert_eq!(json(wechat.jscode2session(&request("wx1", "demo-alice-2"))), session);
}

#[test]
fn a_minted_code_expires_and_belongs_to_its_app() {
    let (wechat, clock) = wechat();
    let mint = |code: &str| {
        let name = Name::parse("alice").unwrap();
        wechat.state().login_codes.mint(code.to_owned(), "wx1".to_owned(), name, wechat.world.now());
    };
    mint("one");
    assert_eq!(errcode(wechat.jscode2session(&request("wx2", "one"))), 40029);
    assert_eq!(errcode(wechat.jscode2session(&request("wx1", "one"))), 0);
    assert_eq!(errcode(wechat.jscode2session(&request("wx1", "one"))), 40163);
    mint("two");
    clock.advance(300);
    assert_eq!(errcode(wechat.jscode2session(&request("wx1", "two"))), 40029);
}

#[test]
fn faults_are_asked_for_by_code() {
    let (wechat, _) = wechat();
    for errcode_asked in [-1, 40029, 40164, i64::MIN, i64::MAX] {
        let reply = wechat.jscode2session(&request("wx1", &format!("err-{errcode_asked}")));
        assert_eq!(errcode(reply), errcode_asked);
    }
    for (code, reply) in [
        ("http-500", Reply::Broken(Broken::ServerError)),
        ("garbage", Reply::Broken(Broken::Garbage)),
        ("hang", Reply::Broken(Broken::Hang)),
        ("cut", Reply::Broken(Broken::Cut)),
    ] {
        assert_eq!(wechat.jscode2session(&request("wx1", code)), reply, "{code}");
    }
    for _ in 0..2 {
        let Reply::Json(delay, text) = wechat.jscode2session(&request("wx1", "slow-5-alice")) else { panic!() };
        assert_eq!(delay, Duration::from_millis(5));
        assert!(text.contains(&user("wx1", "alice").openid), "{text}");
    }
}

/// A stable token of `appid`.
fn token_for(wechat: &Wechat, appid: &str) -> String {
    let [grant_type, appid, secret] = ["client_credential", appid, "s"].map(str::to_owned);
    let answer = json(wechat.stable_token(&TokenRequest { grant_type, appid, secret }, false));
    answer["access_token"].as_str().unwrap().to_owned()
}

/// A signature by alice in `wx1`, who has just logged in.
fn signed_by_alice(wechat: &Wechat) -> SessionRequest {
    let code = format!("demo-alice-{}", wechat.world.count_answer());
    let session = json(wechat.jscode2session(&request("wx1", &code)));
    let key =
        aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, session["session_key"].as_str().unwrap().as_bytes());
    SessionRequest {
        access_token: token_for(wechat, "wx1"),
        openid: session["openid"].as_str().unwrap().to_owned(),
        signature: hex::encode(aws_lc_rs::hmac::sign(&key, b"")),
        sig_method: "hmac_sha256".to_owned(),
    }
}

#[test]
fn both_calls_for_a_token_name_what_is_wrong() {
    let (wechat, _) = wechat();
    for (grant_type, appid, secret, expected) in [
        ("", "", "", 41002),
        ("", "wx1", "", 41004),
        ("", "wx1", "s", 40002),
        ("authorization_code", "wx1", "s", 40002),
        ("client_credential", "w x", "s", 40013),
        ("client_credential", "wx1", "s", 0),
    ] {
        let [grant_type, appid, secret] = [grant_type, appid, secret].map(str::to_owned);
        let request = TokenRequest { grant_type, appid, secret };
        assert_eq!(errcode(wechat.token(&request)), expected, "{request:?}");
        assert_eq!(errcode(wechat.stable_token(&request, false)), expected, "{request:?}");
    }
}

#[test]
fn a_phone_code_works_once_and_in_its_app() {
    let (wechat, clock) = wechat();
    let [one, other] = ["wx1", "wx2"].map(|appid| token_for(&wechat, appid));
    let request = |code: &str| Ok(PhoneNumberCall { code: code.to_owned(), openid: None });
    let call = |token: &str, code: &str| json(wechat.getuserphonenumber(token, request(code)));
    let alice = user("wx1", "alice");
    let expected = json!({
        "errcode": 0,
        "errmsg": "ok",
        "phone_info": {
            "phoneNumber": alice.phone, "purePhoneNumber": alice.phone, "countryCode": "86",
            "watermark": { "timestamp": 1_800_000_000, "appid": "wx1" },
        },
    });
    assert_eq!(call(&one, "phone-alice-1"), expected);
    assert_eq!(call(&one, "phone-alice-1")["errcode"], 40029);
    assert_eq!(call(&one, "demo-alice-1")["errcode"], 40029, "a login code");
    let name = Name::parse("hk.bob").unwrap();
    wechat.state().phone_codes.mint("minted".to_owned(), "wx1".to_owned(), name.clone(), wechat.world.now());
    assert_eq!(call(&other, "minted")["errcode"], 40029);
    assert_eq!(call(&one, "minted")["phone_info"]["countryCode"], "852");
    wechat.state().phone_codes.mint("late".to_owned(), "wx1".to_owned(), name, wechat.world.now());
    clock.advance(300);
    assert_eq!(call(&one, "late")["errcode"], 40029);
    assert_eq!(call(&one, "err-45011")["errcode"], 45011);
    assert_eq!(wechat.getuserphonenumber(&one, request("hang")), Reply::Broken(Broken::Hang));
    assert_eq!(errcode(wechat.getuserphonenumber(&one, Err(44002))), 44002);
    assert_eq!(errcode(wechat.getuserphonenumber("", Err(44002))), 41001, "the token is looked at first");
}

#[test]
fn a_phone_code_with_an_openid_is_that_users_only() {
    let (wechat, _) = wechat();
    let token = token_for(&wechat, "wx1");
    let openid = |appid: &str, name: &str| user(appid, name).openid;
    let call = |code: &str, openid: &str| {
        let request = PhoneNumberCall { code: code.to_owned(), openid: Some(openid.to_owned()) };
        json(wechat.getuserphonenumber(&token, Ok(request)))
    };
    let name = Name::parse("alice").unwrap();
    wechat.state().phone_codes.mint("minted".to_owned(), "wx1".to_owned(), name, wechat.world.now());
    for code in ["phone-alice-1", "minted", "slow-1-alice"] {
        for other in [openid("wx1", "bob"), openid("wx2", "alice"), "o".to_owned(), openid("wx1", "alice") + "x"] {
            assert_eq!(call(code, &other)["errcode"], 40003, "{code} {other}");
        }
        assert_eq!(call(code, &openid("wx1", "alice"))["errcode"], 0, "{code} is still good");
    }
    assert_eq!(call("phone-alice-1", &openid("wx1", "alice"))["errcode"], 40029);
    assert_eq!(call("unheard-of", &openid("wx1", "alice"))["errcode"], 40029);
}

#[test]
fn a_session_is_checked_by_the_signature_of_the_present_key() {
    let (wechat, _) = wechat();
    let signed = signed_by_alice(&wechat);
    assert_eq!(json(wechat.checksession(&signed)), json!({ "errcode": 0, "errmsg": "ok" }));
    wechat.state().users.reset(&Name::parse("alice").unwrap());
    assert_eq!(errcode(wechat.checksession(&signed)), 87009);
    assert_eq!(errcode(wechat.checksession(&signed_by_alice(&wechat))), 0);
}

#[test]
fn what_is_wrong_with_a_signature_is_told_by_number() {
    let (wechat, _) = wechat();
    let change = |change: fn(&mut SessionRequest)| {
        let mut request = signed_by_alice(&wechat);
        change(&mut request);
        let [check, reset] = [wechat.checksession(&request), wechat.resetusersessionkey(&request)].map(errcode);
        assert_eq!(check, reset, "{request:?}");
        check
    };
    assert_eq!(change(|request| request.access_token.clear()), 41001);
    assert_eq!(change(|request| request.access_token.push('x')), 40014);
    assert_eq!(change(|request| request.openid.clear()), 40097);
    assert_eq!(change(|request| request.signature.clear()), 40097);
    assert_eq!(change(|request| request.sig_method.clear()), 40097);
    assert_eq!(change(|request| request.sig_method = "sha1".to_owned()), 87008);
    assert_eq!(change(|request| request.openid = user("wx1", "stranger").openid), 40003);
    assert_eq!(change(|request| request.signature.make_ascii_uppercase()), 87009);
    let mut elsewhere = signed_by_alice(&wechat);
    elsewhere.access_token = token_for(&wechat, "wx2");
    assert_eq!(errcode(wechat.checksession(&elsewhere)), 40003, "another app's openid");
}

#[test]
fn a_reset_answers_the_new_key_and_kills_the_old_one() {
    let (wechat, _) = wechat();
    let signed = signed_by_alice(&wechat);
    let answer = json(wechat.resetusersessionkey(&signed));
    assert_eq!((&answer["errcode"], &answer["openid"]), (&json!(0), &json!(signed.openid)));
    assert_eq!(errcode(wechat.resetusersessionkey(&signed)), 87009);
    let session = json(wechat.jscode2session(&request("wx1", "demo-alice-after")));
    assert_eq!(answer["session_key"], session["session_key"]);
}

#[test]
fn only_data_of_the_simulator_is_vouched_for() {
    let (wechat, clock) = wechat();
    let [one, other] = ["wx1", "wx2"].map(|appid| token_for(&wechat, appid));
    wechat.state().messages.remember("wx1", "data", wechat.world.now());
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest("data"));
    let call = |token: &str, hash: &str| json(wechat.checkencryptedmsg(token, Ok(hash.to_owned())));
    let expected = json!({ "errcode": 0, "errmsg": "ok", "vaild": true, "create_time": 1_800_000_000 });
    clock.advance(7);
    assert_eq!(call(&one, &hash), expected);
    assert_eq!(call(&other, &hash)["errcode"], 1);
    assert_eq!(call(&one, &"0".repeat(64))["errcode"], 1);
    for bad in [&hash.to_uppercase(), &hash[2..], "é", &format!("{hash}00")] {
        assert_eq!(call(&one, bad)["errcode"], 40097, "{bad}");
    }
}

#[test]
fn a_planned_fault_leaves_codes_alone() {
    let (wechat, _) = wechat();
    wechat.world.shared().plans.set("jscode2session", FaultPlan::Fail(Fault::Broken(Broken::Cut)), Some(1));
    assert_eq!(wechat.jscode2session(&request("wx1", "demo-alice-1")), Reply::Broken(Broken::Cut));
    wechat.world.shared().plans.set("jscode2session", FaultPlan::Slow(Duration::from_millis(9)), Some(1));
    let Reply::Json(delay, _) = wechat.jscode2session(&request("wx1", "demo-alice-1")) else { panic!() };
    assert_eq!(delay, Duration::from_millis(9));
    assert_eq!(errcode(wechat.jscode2session(&request("wx1", "demo-alice-1"))), 40163);
}
