use crate::platform::tests::scripted::{
    SECRET, Scripted, code, exchanged, kind_of, logs_in_at_the_simulator, session_key, word,
};
use crate::platform::{AppSettings, Encrypted, FailedReason, PlatformError, PlatformOptions, UserDataError};
use crate::secret::SecretText;

use super::*;

const APPID: &str = "1109000000";
const GOOD: &str = r#"{"errcode":0,"errmsg":"","openid":"0123456789ABCDEF0123456789ABCDEF","session_key":"ABEiM0RVZneImaq7zN3u\/w==","uin":"","unionid":"UID_1"}"#;

fn app() -> Qq {
    Qq::new(PlatformOptions::new(APPID)).unwrap()
}

#[tokio::test]
async fn the_request_is_wechats() {
    let qq = Scripted::saying(GOOD).await;
    let identity = qq.app("qq", PlatformOptions::new(APPID)).exchange(&code("a&b=c")).await.unwrap();
    let [asked] = &qq.asked("GET /sns/jscode2session")[..] else { panic!() };
    let secret: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let expected = format!("appid={APPID}&secret={secret}&js_code=a%26b%3Dc&grant_type=authorization_code");
    assert_eq!((&*asked.query, &*asked.body), (&*expected, ""));
    assert_eq!(identity.openid.as_str(), "0123456789ABCDEF0123456789ABCDEF");
    assert_eq!(identity.unionid.unwrap().as_str(), "UID_1");
    assert_eq!(identity.session_key.unwrap().to_text().expose(), "ABEiM0RVZneImaq7zN3u/w==");
}

#[tokio::test]
async fn a_user_without_a_unionid_logs_in() {
    for answer in [GOOD.replace("UID_1", ""), GOOD.replace(r#","unionid":"UID_1""#, "")] {
        assert!(exchanged("qq", APPID, &answer).await.unwrap().unionid.is_none());
    }
}

/// The first is a refusal as it was seen: all members are there, and empty.
#[tokio::test]
async fn a_number_decides_and_an_empty_openid_is_nobody() {
    for (answer, expected) in [
        (r#"{"errcode":-1009,"errmsg":"","openid":"","session_key":"","uin":"","unionid":""}"#, "UnknownErrcode"),
        (r#"{"errcode":0,"errmsg":"","openid":"","session_key":"","uin":"","unionid":""}"#, "NoOpenid"),
        (r#"{"openid":"","session_key":""}"#, "NoOpenid"),
        (&GOOD.replace(r#""errcode":0"#, r#""errcode":40029"#), "InvalidCode"),
        (r#"{"errcode":40029,"errmsg":"invalid code"}"#, "InvalidCode"),
        (r#"{"errcode":"40029"}"#, "InvalidCode"),
        (r#"{"errcode":45011}"#, "RateLimited"),
        (r#"{"errcode":-1}"#, "Busy"),
        (r#"{"errcode":40013}"#, "UnknownErrcode"),
        (r#"{"errcode":{}}"#, "Malformed"),
        ("[]", "Malformed"),
    ] {
        assert_eq!(word(&exchanged("qq", APPID, answer).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn a_user_of_the_simulated_platform_logs_in_once() {
    logs_in_at_the_simulator("qq", || PlatformOptions::new(APPID), 40029).await;
}

fn decrypt(data: &str, iv: &str, key: &str) -> Result<UserData, UserDataError> {
    app().decrypt(&session_key(key), &Encrypted::parse(data.to_owned(), iv).unwrap())
}

/// Both made with `openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0f0e...00` (OpenSSL 3.0).
const KEY: &str = "ABEiM0RVZneImaq7zN3u/w==";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";
const PHONE: &str = "1V8KOhSP88/xtQLb10/d2BL6Uby/T3ckW7boId8lz7F14NvvmkG6HbdTn+BXi3ecYhWfdXDkJ5ea2Rb2hVRFhdhwHXpTEUGNbmVa+xBtlRyvWB6wBHdV25rGgNbKtGtvxTp8C53947fdeoQ1cB/ZZi+HopWZOEo7ZQSa5Q40e1altZ73EJ7w+Z17LGSDVu/N";
const USER: &str = "xsG67+KwIccmJ2RgdeoxuCeG8NlGgedMP31hQcaz3Zc2JtjrUdspE3rQTCsGdiVrd4pczCX1JI2Zy3HlM5BUJBVMiQ5ipNy7oT7QXcyybyBT0OxnpjLm1MX9WU6gyHAihSgoKqaZBq91+12RkeEOZWfdfUt1fiEZOqmd6iAdL3TUseZTCn5lIw5Y5fu9H3YU";

#[test]
fn what_openssl_encrypts_is_decrypted() {
    assert_eq!(decrypt(PHONE, IV, KEY).unwrap().phone().unwrap().number().as_str(), "+8613800000000");
    let user = decrypt(USER, IV, KEY).unwrap();
    assert_eq!(user.openid(), Ok(Some("0123456789ABCDEF0123456789ABCDEF")));
    assert_eq!((user.unionid(), &user.members()["nickName"]), (Ok(Some("UID_1")), &"Alice".into()));
    assert_eq!(decrypt(USER, IV, "AAAAAAAAAAAAAAAAAAAAAA==").unwrap_err(), UserDataError::Padding);
    assert_eq!(decrypt(USER, IV, "AAAA").unwrap_err(), UserDataError::Key);
    let other = Qq::new(PlatformOptions::new("1109000001")).unwrap();
    let encrypted = Encrypted::parse(USER.to_owned(), IV).unwrap();
    assert_eq!(other.decrypt(&session_key(KEY), &encrypted).unwrap_err(), UserDataError::Watermark);
}

/// Made with `printf %s "$RAW_DATA$SESSION_KEY" | openssl dgst -sha1` (OpenSSL 3.0). The example of the vendor's page cannot be
/// used: the host in its text was replaced after it had been signed.
#[test]
fn a_signature_is_sha1_of_text_and_key() {
    let raw_data = r#"{"nickName":"Alice","gender":1,"city":"Guangzhou"}"#;
    let signature = "ebd8b7afa4831af40e53da5aaf3aed58f68ee5a5";
    assert!(app().has_signed(&session_key(KEY), raw_data, signature));
    assert!(!app().has_signed(&session_key(KEY), &raw_data.replace(':', ": "), signature));
    assert!(!app().has_signed(&session_key("AAAA"), raw_data, signature));
    assert!(!app().has_signed(&session_key(KEY), raw_data, ""));
}

#[test]
fn encrypted_phone_numbers_are_for_who_wants_them_unverified() {
    let with = |phone_unverified| {
        let settings = AppSettings { phone_unverified, ..AppSettings::default() };
        kind_of("qq").offered(&settings).contains(&Capability::PhoneByData)
    };
    assert!(with(true) && !with(false));
}

#[test]
fn debug_output_shows_no_secret() {
    let options = PlatformOptions { secret: Some(SecretText::new("canary")), ..PlatformOptions::new(APPID) };
    assert_eq!(format!("{:?}", Qq::new(options).unwrap()), format!("Qq {{ appid: {APPID:?}, .. }}"));
}

#[test]
fn an_unknown_number_asks_nothing_of_an_operator() {
    let error = PlatformError::Failed(FailedReason::UnknownErrcode(crate::platform::ErrorDetail::new(-1009, None)));
    assert_eq!(app().facts().remedy(&error), None);
}
