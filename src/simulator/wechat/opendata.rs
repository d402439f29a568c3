//! What a mini-program gets of a user under the `session_key`: encrypted objects and signatures, as `WeChat` makes them.
//!
//! Facts: "signature" and "checkSessionKey" in `WeChat`'s documentation of mini-programs, whose vectors are tests below.

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::clock::UnixSeconds;
use crate::simulator::memory::Recent;
use crate::simulator::platform::DataContent;
use crate::simulator::users::{Name, Phone};

/// An encrypted object as the client hands it on; both in base64.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Encrypted {
    pub(crate) data: String,
    pub(crate) iv: String,
}

/// AES-128-CBC with PKCS#7 under the 16 bytes of the `session_key`; the iv is random. Nothing if that fails, which it
/// does not for a `session_key` of the simulator.
pub(crate) fn encrypt(session_key: &str, plaintext: &str) -> Option<Encrypted> {
    let mut buffer = plaintext.as_bytes().to_vec();
    let DecryptionContext::Iv128(iv) = encrypting_key(session_key)?.encrypt(&mut buffer).ok()? else { return None };
    Some(Encrypted { data: STANDARD.encode(buffer), iv: STANDARD.encode(iv.as_ref()) })
}

fn encrypting_key(session_key: &str) -> Option<PaddedBlockEncryptingKey> {
    let key = UnboundCipherKey::new(&AES_128, &STANDARD.decode(session_key).ok()?).ok()?;
    PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()
}

/// SHA-1 over the text and the `session_key`, in hex.
pub(crate) fn sign_raw_data(raw_data: &str, session_key: &str) -> String {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(raw_data.as_bytes());
    sha1.update(session_key.as_bytes());
    hex::encode(sha1.finish())
}

/// Whether `signature` is the HMAC-SHA256 of `message` in lower-case hex. The key is the text of the `session_key`.
pub(crate) fn is_signature(signature: &str, session_key: &str, message: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session_key.as_bytes());
    let is_lower = !signature.bytes().any(|byte| byte.is_ascii_uppercase());
    is_lower && hex::decode(signature).is_ok_and(|tag| hmac::verify(&key, message.as_bytes(), &tag).is_ok())
}

/// For which app an object was made, and when.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Watermark<'a> {
    pub(crate) timestamp: u64,
    pub(crate) appid: &'a str,
}

/// What a mini-program may see of the profile, in the platform's order.
#[derive(Serialize)]
struct Profile<'a> {
    #[serde(rename = "nickName")]
    nick_name: &'a str,
    gender: u8,
    language: &'a str,
    city: &'a str,
    province: &'a str,
    country: &'a str,
    #[serde(rename = "avatarUrl")]
    avatar_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserInfo<'a> {
    open_id: &'a str,
    #[serde(flatten)]
    profile: Profile<'a>,
    union_id: &'a str,
    watermark: Watermark<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhoneJson<'a> {
    phone_number: &'a str,
    pure_phone_number: &'a str,
    /// A number in the documentation's example; a text in its table, and in what the real one sends.
    country_code: String,
    watermark: Watermark<'a>,
}

fn profile(name: &Name) -> Profile<'_> {
    Profile {
        nick_name: name.as_str(),
        gender: 0,
        language: "zh_CN",
        city: "",
        province: "",
        country: "",
        avatar_url: "https://thirdwx.qlogo.cn/mmopen/vi_32/simulated/132",
    }
}

/// The `rawData` that goes with the signature.
pub(crate) fn raw_data(name: &Name) -> String {
    json(&profile(name))
}

/// The object of `wx.getUserInfo`.
pub(crate) fn user_info(name: &Name, watermark: Watermark<'_>) -> String {
    let (open_id, union_id) = (name.openid(watermark.appid), name.unionid());
    json(&UserInfo { open_id: &open_id, profile: profile(name), union_id: &union_id, watermark })
}

/// The object of the phone button and of `getuserphonenumber`.
pub(crate) fn phone(phone: &Phone, watermark: Watermark<'_>) -> String {
    let (phone_number, country_code) = (&*phone.full(), phone.country_code.to_string());
    json(&PhoneJson { phone_number, pure_phone_number: &phone.pure, country_code, watermark })
}

/// What is to be encrypted, written out.
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) is_phone: bool,
    /// What goes with it, if it is about the user.
    pub(crate) raw_data: Option<String>,
}

/// Writes `content` about `name` out, in `WeChat`'s shape, which several platforms have.
pub(crate) fn written(content: DataContent, name: &Name, watermark: Watermark<'_>) -> Written {
    let (text, is_phone, raw_data) = match content {
        DataContent::Phone => (phone(&name.phone(), watermark), true, None),
        DataContent::UserInfo => (user_info(name, watermark), false, Some(raw_data(name))),
        DataContent::Text { text, is_phone } | DataContent::Object { text, is_phone, is_marked: true } => {
            (text, is_phone, None)
        }
        DataContent::Object { text, is_phone, is_marked: false } => (with_watermark(&text, watermark), is_phone, None),
    };
    Written { text, is_phone, raw_data }
}

/// `object`, the text of a JSON object, with a watermark at its end.
pub(crate) fn with_watermark(object: &str, watermark: impl Serialize) -> String {
    let inside = object.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default().trim();
    let comma = if inside.is_empty() { "" } else { "," };
    format!("{{{inside}{comma}\"watermark\":{}}}", json(&watermark))
}

fn json(value: &impl Serialize) -> String {
    // Structures of numbers and texts always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

/// The encrypted phone numbers of the last three days, by app and SHA-256 of their base64.
#[derive(Debug)]
pub(crate) struct Messages(Recent<(String, [u8; 32]), UnixSeconds>);

impl Default for Messages {
    fn default() -> Self {
        Self(Recent::with_max_len(100_000))
    }
}

impl Messages {
    const LIFETIME_S: u64 = 3 * 86400;

    pub(crate) fn remember(&mut self, appid: &str, data: &str, now: UnixSeconds) {
        self.0.forget_while(|made_at| now.since(*made_at) >= Self::LIFETIME_S);
        self.0.insert((appid.to_owned(), Sha256::digest(data).into()), now);
    }

    /// When the data with this hash was made for this app, if it was, and not too long ago.
    pub(crate) fn made_at(&self, appid: &str, hash: [u8; 32], now: UnixSeconds) -> Option<UnixSeconds> {
        let made_at = self.0.get(&(appid.to_owned(), hash)).copied()?;
        (now.since(made_at) < Self::LIFETIME_S).then_some(made_at)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockDecryptingKey};
    use aws_lc_rs::iv::FixedLength;
    use serde_json::{Value, json};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
    const MARK: Watermark<'_> = Watermark { timestamp: 1_477_314_187, appid: "wx4f4bc4dec97d474b" };

    fn decrypt(session_key: &str, encrypted: &Encrypted) -> String {
        let [key, iv, mut data] =
            [session_key, &encrypted.iv, &encrypted.data].map(|text| STANDARD.decode(text).unwrap());
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, &key).unwrap()).unwrap();
        let iv = DecryptionContext::Iv128(FixedLength::try_from(iv.as_slice()).unwrap());
        String::from_utf8(key.decrypt(&mut data, iv).unwrap().to_vec()).unwrap()
    }

    /// The example of `WeChat`'s page on signatures and encryption, the sample code's data.
    #[test]
    fn the_published_ciphertext_is_what_encryption_gives() {
        const SESSION_KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
        const IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";
        const DATA: &str = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+\
             3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc\
             2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3\
             g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYT\
             opNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOy\
             uxINew==";
        let encrypted = Encrypted { data: DATA.to_owned(), iv: IV.to_owned() };
        let plaintext = decrypt(SESSION_KEY, &encrypted);
        let object: Value = serde_json::from_str(&plaintext).unwrap();
        assert_eq!(object["openId"], "oGZUI0egBJY1zhBYw2KhdUfwVJJE");
        assert_eq!(object["watermark"], serde_json::to_value(MARK).unwrap());

        let mut buffer = plaintext.into_bytes();
        let iv: [u8; 16] = STANDARD.decode(IV).unwrap().try_into().unwrap();
        let iv = EncryptionContext::Iv128(FixedLength::from(iv));
        let _ = encrypting_key(SESSION_KEY).unwrap().less_safe_encrypt(&mut buffer, iv).unwrap();
        assert_eq!(STANDARD.encode(buffer), DATA);
    }

    #[test]
    fn each_encryption_has_an_iv_of_its_own_and_can_be_undone() {
        let [one, other] = [(); 2].map(|()| encrypt("tiihtNczf5v6AKRyjwEUhQ==", "{}").unwrap());
        assert_ne!(one, other);
        assert_eq!(decrypt("tiihtNczf5v6AKRyjwEUhQ==", &one), "{}");
        assert_eq!(encrypt("not base64", "{}"), None);
    }

    /// The same page's example of `rawData` and `signature`.
    #[test]
    fn the_published_raw_data_has_the_published_signature() {
        let raw_data = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
        let signature = sign_raw_data(raw_data, "HyVFkGl5F5OQWJZZaNzBBg==");
        assert_eq!(signature, "75e81ceda165f4ffa64f4068af58c64b8f54b88c");
    }

    /// The example of `WeChat`'s page on signing requests.
    #[test]
    fn the_published_hmac_is_accepted_in_lower_case_only() {
        let signature = "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b";
        let accepts = |signature: &str| is_signature(signature, "o0q0otL8aEzpcZL/FT9WsQ==", r#"{"foo":"bar"}"#);
        assert!(accepts(signature));
        assert!(!accepts(&signature.to_uppercase()) && !accepts(&signature[2..]) && !accepts("") && !accepts("é"));
    }

    /// The example of `WeChat`'s page on `checkEncryptedData`: the hash is over the base64, not over what it stands for.
    #[test]
    fn the_published_hash_names_the_published_data() {
        const DATA: &str = "hsSuSUsePBqSQw2rYMtf9Nvha603xX8f2BMQBcYRoJiMNwOqt/UEhrqekebG5ar0LFNAm5MD4Uz6zorRwiXJwbySJ/FEJHav\
             4NsobBIU1PwdjbJWVQLFy7+YFkHB32OnQXWMh6ugW7Dyk2KS5BXp1f5lniKPp1KNLyNLlFlNZ2mgJCJmWvHj5AI7BLpWwoRvqRyZvVXo+9Fs\
             WqvBdxmAPA==";
        let hash = hex::decode("657edd868c9715a9bebe42b833269a557a48498785397a796f1568c29a200b2c").unwrap();
        let hash: [u8; 32] = hash.try_into().unwrap();
        let mut messages = Messages::default();
        assert_eq!(messages.made_at("wx1", hash, NOW), None);
        messages.remember("wx1", DATA, NOW);
        assert_eq!(messages.made_at("wx1", hash, NOW), Some(NOW));
        assert_eq!(messages.made_at("wx2", hash, NOW), None);
        assert_eq!(messages.made_at("wx1", hash, NOW.plus(3 * 86400 - 1)), Some(NOW));
        assert_eq!(messages.made_at("wx1", hash, NOW.plus(3 * 86400)), None);
    }

    #[test]
    fn objects_have_the_form_of_the_real_ones() {
        let alice = Name::parse("alice").unwrap();
        let info = user_info(&alice, MARK);
        assert!(info.starts_with(r#"{"openId":"o"#) && info.contains(r#","nickName":"alice","gender":0,"#), "{info}");
        let number = alice.phone().pure;
        let expected = json!({
            "phoneNumber": number, "purePhoneNumber": number, "countryCode": "86",
            "watermark": { "timestamp": 1_477_314_187, "appid": "wx4f4bc4dec97d474b" },
        });
        assert_eq!(serde_json::from_str::<Value>(&phone(&alice.phone(), MARK)).unwrap(), expected);
    }

    #[test]
    fn a_watermark_is_added_at_the_end() {
        let mark = r#""watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}}"#;
        for (object, before) in
            [("{}", "{"), (" { } ", "{"), (r#"{"a":{}}"#, r#"{"a":{},"#), ("{\"b\" : 1\n}", "{\"b\" : 1,")]
        {
            assert_eq!(with_watermark(object, MARK), format!("{before}{mark}"), "{object}");
        }
    }
}
