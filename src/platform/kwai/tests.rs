use crate::platform::tests::scripted::{
    SECRET, Scripted, code, exchanged, kind_of, logs_in_at_the_simulator, session_key, word,
};
use crate::platform::{AppSettings, Encrypted, PlatformOptions, UserDataError};
use crate::secret::SecretText;

use super::*;

const APPID: &str = "ks701717192100000000";
const GOOD: &str = r#"{"result":1,"session_key":"ABEiM0RVZneImaq7zN3u/w==","open_id":"f18d8f1d4a1a4b7e"}"#;

fn app() -> Kwai {
    Kwai::new(PlatformOptions::new(APPID)).unwrap()
}

#[tokio::test]
async fn the_request_is_the_documented_form() {
    let kwai = Scripted::saying(GOOD).await;
    let identity = kwai.app("kwai", PlatformOptions::new(APPID)).exchange(&code("a&b=c")).await.unwrap();
    let [asked] = &kwai.asked("POST /oauth2/mp/code2session")[..] else { panic!() };
    let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let expected = format!("js_code=a%26b%3Dc&app_id={APPID}&app_secret={secret}");
    assert_eq!((&*asked.query, &*asked.body), ("", &*expected));
    assert_eq!(asked.content_type, "application/x-www-form-urlencoded");
    assert_eq!((identity.openid.as_str(), identity.unionid), ("f18d8f1d4a1a4b7e", None));
    assert_eq!(identity.session_key.unwrap().to_text().expose(), "ABEiM0RVZneImaq7zN3u/w==");
}

#[tokio::test]
async fn every_number_has_its_meaning() {
    for (answer, expected) in [
        (r#"{"result":100200105,"error":"invalid_grant","error_msg":"canary"}"#, "InvalidCode"),
        (r#"{"result":100200105}"#, "InvalidCode"),
        (r#"{"result":1234,"error":"invalid_grant"}"#, "InvalidCode"),
        (r#"{"result":100200100,"error":"invalid_grant"}"#, "InvalidCode"),
        (r#"{"error":"invalid_grant"}"#, "InvalidCode"),
        (r#"{"result":100200100,"error":"invalid_request"}"#, "Misconfigured"),
        (r#"{"result":100200101,"error":"unauthorized_client"}"#, "Misconfigured"),
        (r#"{"result":100200104}"#, "Misconfigured"),
        (r#"{"result":100200500,"error":"server_error"}"#, "Busy"),
        (r#"{"result":"100200500"}"#, "Busy"),
        (r#"{"result":0}"#, "UnknownErrcode"),
        (r#"{"result":100200199,"open_id":"o","session_key":"k"}"#, "UnknownErrcode"),
        (r#"{"error":"server_error"}"#, "UnknownErrcode"),
        (r#"{"open_id":"o"}"#, "Malformed"),
        (r#"{"result":[1]}"#, "Malformed"),
        (r#"{"result":1}"#, "NoOpenid"),
        (r#"{"result":1,"open_id":""}"#, "NoOpenid"),
        (r#"{"result":1,"open_id":"ö"}"#, "Identity"),
        (GOOD, "ok"),
        (&GOOD.replace(r#""result":1"#, r#""result":"1""#), "ok"),
    ] {
        assert_eq!(word(&exchanged("kwai", APPID, answer).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn the_request_id_is_told_and_the_operator_what_to_do() {
    for (result, remedy) in [
        (100_200_100, "misses a parameter"),
        (100_200_101, "compare them with those on mp.kuaishou.com; it comes from the variable APP_SECRET"),
        (100_200_104, "look for notices"),
    ] {
        let answer = format!(r#"{{"result":{result},"error":"x","request_id":"84829399-1"}}"#);
        let kwai = Scripted::saying(answer).await;
        let app = kwai.app("kwai", PlatformOptions::new(APPID));
        let error = app.exchange(&code("c")).await.unwrap_err();
        assert_eq!(error.errcode(), Some(&Errcode::Number(result)));
        assert_eq!(error.rid().unwrap().to_string(), "84829399-1");
        let told = app.facts().remedy(&error).unwrap();
        assert!(told.contains(remedy), "{told}");
    }
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    logs_in_at_the_simulator("kwai", || PlatformOptions::new(APPID), 100_200_105).await;
}

fn decrypt(data: &str, iv: &str, key: &str) -> Result<UserData, UserDataError> {
    app().decrypt(&session_key(key), &Encrypted::parse(data.to_owned(), iv).unwrap())
}

/// All made with `openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0f0e...00` (OpenSSL 3.0).
const KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2EV1b//qZmC9MwhV0Ze36MZiSm5xp89c/cmFYAn2Vr/c5s8AIdPppOAa9keMCqjJgQ==";
const USER: &str = "k5fJMOKE+icUwW2cNNIROuckb0UecZ1XkNEfbQljUgm7Un1P7RVJCj07mmELRC95WHgBuy8J3rvBR9r9UvlDiA==";
/// With the watermark of the app 1109000000.
const MARKED: &str = "1V8KOhSP88/xtQLb10/d2BL6Uby/T3ckW7boId8lz7F14NvvmkG6HbdTn+BXi3ecYhWfdXDkJ5ea2Rb2hVRFhdhwHXpTEUGNbmVa+xBtlRyvWB6wBHdV25rGgNbKtGtvxTp8C53947fdeoQ1cB/ZZi+HopWZOEo7ZQSa5Q40e1altZ73EJ7w+Z17LGSDVu/N";

#[test]
fn what_openssl_encrypts_is_decrypted() {
    assert_eq!(decrypt(PHONE, IV, KEY).unwrap().phone().unwrap().number().as_str(), "+8613800000000");
    let user = decrypt(USER, IV, KEY).unwrap();
    assert_eq!((user.openid(), &user.members()["nickName"]), (Ok(Some("f8c1a2b3")), &"Alice".into()));
    assert_eq!(user.phone().unwrap_err(), UserDataError::NotAPhone);
    assert_eq!(decrypt(USER, IV, "AAAAAAAAAAAAAAAAAAAAAA==").unwrap_err(), UserDataError::Padding);
    assert_eq!(decrypt(USER, IV, "AAAA").unwrap_err(), UserDataError::Key);
}

#[test]
fn a_watermark_is_not_needed_but_has_to_be_ours() {
    assert_eq!(decrypt(MARKED, IV, KEY).unwrap_err(), UserDataError::Watermark);
    let other = Kwai::new(PlatformOptions::new("1109000000")).unwrap();
    let encrypted = Encrypted::parse(MARKED.to_owned(), IV).unwrap();
    let phone = other.decrypt(&session_key(KEY), &encrypted).unwrap().phone().unwrap();
    assert_eq!(phone.number().as_str(), "+8613800000000");
}

#[test]
fn a_phone_number_has_nothing_beside_it_that_disagrees() {
    let phone = |json: &str| UserData::parse(json.as_bytes(), &DATA).unwrap().phone();
    for (json, e164) in [
        (r#"{"phoneNumber":"13800000000"}"#, "+8613800000000"),
        (r#"{"phoneNumber":"+8613800000000","purePhoneNumber":"13800000000"}"#, "+8613800000000"),
        (r#"{"phoneNumber":"61234567","countryCode":"+852"}"#, "+85261234567"),
    ] {
        assert_eq!(phone(json).unwrap().number().as_str(), e164, "{json}");
    }
    for bad in [
        r#"{"phoneNumber":"13800000000","openId":"o"}"#,
        r#"{"phoneNumber":"13800000000","purePhoneNumber":"13800000001"}"#,
        r#"{"phoneNumber":"13800000000","purePhoneNumber":7}"#,
        r#"{"purePhoneNumber":"13800000000"}"#,
        r#"{"phoneNumber":13800000000}"#,
    ] {
        phone(bad).unwrap_err();
    }
}

/// Made with `printf %s "$RAW_DATA$SESSION_KEY" | openssl dgst -sha1` (OpenSSL 3.0).
#[test]
fn a_signature_is_sha1_of_text_and_key() {
    let raw_data = r#"{"nickName":"Alice","gender":1,"city":"Guangzhou"}"#;
    let signature = "ebd8b7afa4831af40e53da5aaf3aed58f68ee5a5";
    assert!(app().has_signed(&session_key(KEY), raw_data, signature));
    assert!(!app().has_signed(&session_key(KEY), &raw_data.replace(':', ": "), signature));
    assert!(!app().has_signed(&session_key("AAAA"), raw_data, signature));
}

#[test]
fn what_proves_little_is_for_who_wants_it() {
    let offered = |settings: &AppSettings| kind_of("kwai").offered(settings);
    assert_eq!(offered(&AppSettings::default()), [Capability::SignedUserData]);
    let settings = AppSettings { phone_unverified: true, ..AppSettings::default() };
    assert_eq!(offered(&settings), [Capability::PhoneByData, Capability::SignedUserData]);
    let settings = AppSettings { userdata_unbound: true, ..AppSettings::default() };
    assert_eq!(offered(&settings), [Capability::EncryptedUserData, Capability::SignedUserData]);
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..PlatformOptions::new(APPID) };
    assert_eq!(format!("{:?}", Kwai::new(options).unwrap()), format!("Kwai {{ appid: {APPID:?}, .. }}"));
}
