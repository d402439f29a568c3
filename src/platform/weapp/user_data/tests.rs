use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const BLOCK_LEN: usize = 16;

/// <https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature>, "demo".
mod published {
    pub(super) const APPID: &str = "wx4f4bc4dec97d474b";
    pub(super) const SESSION_KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
    pub(super) const IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";
    pub(super) const DATA: &str = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC\
        +oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COx\
        Fvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3\
        g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNH\
        R1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==";
    pub(super) const OPENID: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";

    pub(super) const SIGNING_KEY: &str = "HyVFkGl5F5OQWJZZaNzBBg==";
    pub(super) const RAW_DATA: &str = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
    pub(super) const SIGNATURE: &str = "75e81ceda165f4ffa64f4068af58c64b8f54b88c";
}

/// Made with Python's `cryptography`, with the published key and iv; nobody's number.
const PHONE_DATA: &str = "xT8p8W6jIVdEWQ+ccHuD2bJrBf6mkzQKHYq3B0XAenqMRwEI7zqtryP2JPERvU7x5WNjL5ZoYtrk1RAosEf9kJL/u/v30o0V\
    5elbCkRBVbfY8FgF7+dr9lQr5faGlQ30fdwd6B6h0A9d0EmqDFHDftT8v/LFBCHJyPmeVZjJ/zSAyqQzhRG22qZT5/E7mYgprS6aNWTaza1pI/UPFvg\
    8iw==";

fn key(text: &str) -> SessionKey {
    SessionKey::parse(text).unwrap()
}

fn decrypt(session_key: &SessionKey, data: &str, iv: &str, appid: &str) -> Result<UserData, UserDataError> {
    super::decrypt(session_key, &Encrypted::parse(data.to_owned(), iv).unwrap(), appid)
}

fn published(data: &str, iv: &str) -> Result<UserData, UserDataError> {
    decrypt(&key(published::SESSION_KEY), data, iv, published::APPID)
}

/// What the platform does: the text under the published key and iv.
fn encrypt(text: &[u8]) -> String {
    let block = |base64: &str| -> [u8; BLOCK_LEN] { STANDARD.decode(base64).unwrap().try_into().unwrap() };
    let key = UnboundCipherKey::new(&AES_128, &block(published::SESSION_KEY)).unwrap();
    let iv = EncryptionContext::Iv128(FixedLength::from(block(published::IV)));
    let mut data = text.to_vec();
    PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap().less_safe_encrypt(&mut data, iv).unwrap();
    STANDARD.encode(data)
}

fn xor(one: &[u8], two: &[u8]) -> Vec<u8> {
    one.iter().zip(two).map(|(one, two)| one ^ two).collect()
}

#[test]
fn the_published_data_decrypts() {
    let data = published(published::DATA, published::IV).unwrap();
    assert_eq!(data.openid(), Ok(Some(published::OPENID)));
    let fields = data.members();
    assert_eq!(fields["nickName"], "Band");
    assert_eq!(fields["unionId"], "ocMvos6NjeKLIBqg5Mr9QjxrP1FA");
    assert_eq!(fields["watermark"]["timestamp"], 1_477_314_187);
    assert_eq!(fields.len(), 10);
    let phone = published(PHONE_DATA, published::IV).unwrap().phone().unwrap();
    assert_eq!(phone.number().as_str(), "+8613800000000");
}

#[test]
fn the_published_signature_is_good_for_exactly_its_text() {
    use published::{RAW_DATA, SIGNATURE, SIGNING_KEY};
    assert!(has_signed(&key(SIGNING_KEY), RAW_DATA, SIGNATURE));
    for (session_key, raw_data, signature) in [
        (SIGNING_KEY, &*format!("{RAW_DATA} "), SIGNATURE),
        (SIGNING_KEY, &*RAW_DATA.replace("\"gender\":1", "\"gender\": 1"), SIGNATURE),
        (SIGNING_KEY, RAW_DATA, &*SIGNATURE.to_uppercase()),
        (SIGNING_KEY, RAW_DATA, &*SIGNATURE.replace("75e8", "75e9")),
        (SIGNING_KEY, RAW_DATA, &SIGNATURE[..39]),
        (SIGNING_KEY, RAW_DATA, ""),
        (published::SESSION_KEY, RAW_DATA, SIGNATURE),
    ] {
        assert!(!has_signed(&key(session_key), raw_data, signature), "{session_key} {raw_data} {signature}");
    }
}

#[test]
fn another_key_is_told_by_the_padding() {
    let outcome = decrypt(&key(published::SIGNING_KEY), published::DATA, published::IV, published::APPID);
    assert_eq!(outcome.unwrap_err(), UserDataError::Padding);
}

#[test]
fn data_of_another_app_is_refused() {
    let outcome = decrypt(&key(published::SESSION_KEY), published::DATA, published::IV, "wx0123456789abcdef");
    assert_eq!(outcome.unwrap_err(), UserDataError::Watermark);
}

#[test]
fn data_that_is_cut_off_is_told_by_the_padding() {
    let bytes = STANDARD.decode(published::DATA).unwrap();
    assert_eq!(published(&STANDARD.encode(&bytes[..384]), published::IV).unwrap_err(), UserDataError::Padding);
    assert_eq!(published(&STANDARD.encode(vec![0; 48 * 1024]), published::IV).unwrap_err(), UserDataError::Padding);
}

#[test]
fn a_key_is_16_bytes_in_canonical_base64() {
    for bad in [
        "tiihtNczf5v6AKRyjwEUhQ",
        "tiihtNczf5v6AKRyjwEUhR==",
        "tiihtNczf5v6AKRyjwEU",
        "tiihtNczf5v6AKRyjwEUhQE=",
        "tiihtNczf5v6AKRyjwEUhQECAwQ=",
        "!tiihtNczf5v6AKRyjwEUhQ==",
        "k",
        &"A".repeat(256),
    ] {
        let outcome = decrypt(&key(bad), published::DATA, published::IV, published::APPID);
        assert_eq!(outcome.unwrap_err(), UserDataError::Key, "{bad}");
    }
}

/// As phones send them: a nickname with a control character, one that was cut in the middle of a character.
#[test]
fn odd_nicknames_decrypt() {
    for (nickname, expected) in [(&b"a\x14b"[..], "a\u{fffd}b"), (b"caf\xc3", "caf\u{fffd}"), (br"\ud83d", "\u{fffd}")]
    {
        let text = [br#"{"nickName":""#, nickname, br#"","watermark":{"appid":"wx4f4bc4dec97d474b"}}"#].concat();
        let data = published(&encrypt(&text), published::IV).unwrap();
        assert_eq!(data.members()["nickName"], expected);
    }
}

#[test]
fn padding_is_strict() {
    // The platform's padding is a block of its own here, and cut off; what is left ends in ours.
    let ends_in = |end: &[u8]| {
        let text = format!(r#"{{"watermark":{{"appid":"{}"}}}}"#, published::APPID);
        let spaces = " ".repeat((2 * BLOCK_LEN - (text.len() + end.len()) % BLOCK_LEN) % BLOCK_LEN);
        let bytes = STANDARD.decode(encrypt(&[text.as_bytes(), spaces.as_bytes(), end].concat())).unwrap();
        published(&STANDARD.encode(&bytes[..bytes.len() - BLOCK_LEN]), published::IV).map(|_| ())
    };
    for good in [&[1][..], &[2, 2], &[3, 3, 3], &[16; 16]] {
        assert_eq!(ends_in(good), Ok(()), "{good:?}");
    }
    for bad in [&[0][..], &[17], &[2], &[1, 2], &[3, 2, 3], &[255], &[17; 17], &[15, 16]] {
        assert_eq!(ends_in(bad), Err(UserDataError::Padding), "{bad:?}");
    }
}

#[test]
fn a_flipped_bit_of_the_iv_goes_unnoticed() {
    let mut iv = STANDARD.decode(published::IV).unwrap();
    iv[2] ^= 1;
    let data = published(published::DATA, &STANDARD.encode(&iv)).unwrap();
    assert_eq!(data.openid(), Ok(None));
    assert_eq!(data.members()["npenId"], published::OPENID);
    iv[0] ^= 1;
    assert_eq!(published(published::DATA, &STANDARD.encode(&iv)).unwrap_err(), UserDataError::Json);
}

/// User information with a nickname of the user's choice, in which `chosen` starts a block.
fn user_info(chosen: &str) -> (String, usize) {
    let start = format!(r#"{{"openId":"{}","nickName":""#, published::OPENID);
    let filler = ".".repeat(BLOCK_LEN + (2 * BLOCK_LEN - start.len() % BLOCK_LEN) % BLOCK_LEN);
    let at = start.len() + filler.len();
    let text = format!(
        r#"{start}{filler}{chosen}","gender":1,"language":"zh_CN","city":"","province":"","country":"","avatarUrl":"","unionId":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA","watermark":{{"timestamp":1477314187,"appid":"{}"}}}}"#,
        published::APPID
    );
    (text, at / BLOCK_LEN)
}

/// Genuine data from the block before `at` on, which reads `opening`: that takes nothing but an iv.
fn recut(text: &str, at: usize, opening: &str) -> (String, String) {
    let data = STANDARD.decode(encrypt(text.as_bytes())).unwrap();
    let [before, first] = [at - 2, at - 1].map(|block| block * BLOCK_LEN..(block + 1) * BLOCK_LEN);
    let iv = xor(&xor(&data[before], &text.as_bytes()[first.clone()]), opening.as_bytes());
    (STANDARD.encode(&data[first.start..]), STANDARD.encode(iv))
}

/// Why the openId alone proves nothing, and why data that only mentions a phone number is no phone number.
#[test]
fn a_nickname_becomes_a_phone_number_of_nobody() {
    let (text, at) = user_info("13900000000");
    let (data, iv) = recut(&text, at, r#"{"phoneNumber":""#);
    let data = published(&data, &iv).unwrap();
    assert_eq!((data.openid(), data.mentions_a_phone()), (Ok(None), true));
    assert_eq!(data.phone().unwrap_err(), UserDataError::NotAPhone);
    assert_eq!(data.members()["phoneNumber"], "13900000000");
}

#[test]
fn a_member_that_is_cut_in_twice_is_refused() {
    let (text, at) = user_info("ocMvos6_of_somebody_else");
    let (data, iv) = recut(&text, at, r#"{"unionId"    :""#);
    assert_eq!(published(&data, &iv).unwrap_err(), UserDataError::Json);
    let (data, iv) = recut(&text, at, r#"{"unionid"    :""#);
    assert_eq!(published(&data, &iv).unwrap().members()["unionid"], "ocMvos6_of_somebody_else");
}

#[derive(Deserialize)]
struct Recut {
    appid: String,
    session_key: String,
    genuine: Sent,
    answers: Vec<Answered>,
    forged: Sent,
}

#[derive(Deserialize)]
struct Sent {
    #[serde(rename = "encryptedData")]
    data: String,
    iv: String,
    text: String,
}

#[derive(Deserialize)]
struct Answered {
    block: usize,
    #[serde(rename = "encryptedData")]
    data: String,
    iv: String,
}

fn recut_vector() -> Recut {
    serde_json::from_str(include_str!("../../../../tests/vectors/recut_user_data.json")).unwrap()
}

/// What nothing here can tell from a genuine phone number: the platform has to be asked.
#[test]
fn a_forged_phone_number_decrypts() {
    let Recut { appid, session_key, forged, .. } = recut_vector();
    let data = decrypt(&key(&session_key), &forged.data, &forged.iv, &appid).unwrap();
    assert_eq!(data.phone().unwrap().number().as_str(), "+8613900000000");
}

/// Follows the vector's derivation. The key goes into `decrypt` only, as it would on a server.
#[test]
fn the_forgery_is_made_from_genuine_data_and_a_servers_answers() {
    let Recut { appid, session_key, genuine, answers, forged } = recut_vector();
    let server = |data: &str, iv: &str| decrypt(&key(&session_key), data, iv, &appid).unwrap();
    let block = |bytes: &[u8], block: usize| bytes[block * BLOCK_LEN..][..BLOCK_LEN].to_vec();
    assert_eq!(
        serde_json::Value::Object(server(&genuine.data, &genuine.iv).members().clone()),
        serde_json::from_str::<serde_json::Value>(&genuine.text).unwrap()
    );

    let genuine_data = STANDARD.decode(&genuine.data).unwrap();
    let end = genuine.text.find(r#""watermark""#).unwrap() / BLOCK_LEN;
    let mut data = genuine_data[(end - 1) * BLOCK_LEN..].to_vec();
    // What the first block of `data` decrypts to, before the exclusive or with the one before it.
    let mut decrypted = xor(&block(genuine.text.as_bytes(), end - 1), &block(&genuine_data, end - 2));
    for (wanted, answer) in (1..=answers.len()).rev().zip(&answers) {
        let unknown = xor(&decrypted, &block(forged.text.as_bytes(), wanted));
        let asked = STANDARD.decode(&answer.data).unwrap();
        assert_eq!(block(&asked, answer.block), unknown);
        let answered = server(&answer.data, &answer.iv);
        let fields = answered.members();
        let at = answer.block * BLOCK_LEN;
        let text = ["avatarUrl", "nickName"].iter().find_map(|name| {
            let start = genuine.text.find(&format!("\"{name}\":\""))? + name.len() + 4;
            fields[*name].as_str()?.as_bytes().get(at.checked_sub(start)?..)
        });
        decrypted = xor(&text.unwrap()[..BLOCK_LEN], &block(&asked, answer.block - 1));
        data = [unknown, data].concat();
    }
    assert_eq!(STANDARD.encode(data), forged.data);
    assert_eq!(STANDARD.encode(xor(&decrypted, &block(forged.text.as_bytes(), 0))), forged.iv);
}

proptest! {
    #[test]
    fn any_key_has_an_answer(session_key in "[!-~]{1,64}") {
        decrypt(&key(&session_key), published::DATA, published::IV, "wx").unwrap_err();
    }

    #[test]
    fn any_blocks_have_an_answer(
        session_key: [u8; 16], iv: [u8; 16], blocks in prop::collection::vec(any::<[u8; 16]>(), 1..20),
    ) {
        let data = STANDARD.encode(blocks.concat());
        let error = decrypt(&key(&STANDARD.encode(session_key)), &data, &STANDARD.encode(iv), "wx").unwrap_err();
        prop_assert!(error != UserDataError::Key, "{error:?}");
    }

    #[test]
    fn any_text_is_what_it_was_or_refused(text in any::<Vec<u8>>()) {
        let error = published(&encrypt(&text), published::IV).unwrap_err();
        prop_assert!(matches!(error, UserDataError::Json | UserDataError::Watermark), "{error:?}");
    }
}
