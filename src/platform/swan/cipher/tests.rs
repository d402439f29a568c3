use super::*;

const APP_KEY: &str = "y2dTfnWfkx2OXttMEMWlGHoB1KzMogm7";
const SESSION_KEY: &str = "1df09d0a1677dd72b8325aec59576e0c";
const IV: &str = "Dw4NDAsKCQgHBgUEAwIBAA==";

fn decrypt_as(app_key: &str, session_key: &str, data: &str, iv: &str) -> Result<UserData, UserDataError> {
    let encrypted = Encrypted::parse(data.to_owned(), iv).unwrap();
    decrypt(&SessionKey::parse(session_key).unwrap(), &encrypted, app_key)
}

/// The example of the vendor's page; its padding has 28 bytes.
#[test]
fn the_published_ciphertext_is_decrypted() {
    const DATA: &str = "OpCoJgs7RrVgaMNDixIvaCIyV2SFDBNLivgkVqtzq2GC10egsn+PKmQ/+5q+chT8xzldLUog2haTItyIkKyvzvmXonBQLIMeq54axAu9c3KG8IhpFD6+ymHocmx07ZKi7eED3t0KyIxJgRNSDkFk5RV1ZP2mSWa7ZgCXXcAbP0RsiUcvhcJfrSwlpsm0E1YJzKpYy429xrEEGvK+gfL+Cw==";
    const DATA_IV: &str = "1df09d0a1677dd72b8325Q==";
    let data = decrypt_as(APP_KEY, SESSION_KEY, DATA, DATA_IV).unwrap();
    assert_eq!(data.openid(), Ok(Some("open_id")));
    let text = r#"{"openid":"open_id","nickname":"baidu_user","headimgurl":"url of image","sex":1}"#;
    assert_eq!(data.into_json().get(), text);
    let other = decrypt_as("Y2dTfnWfkx2OXttMEMWlGHoB1KzMogm7", SESSION_KEY, DATA, DATA_IV);
    assert_eq!(other.unwrap_err(), UserDataError::Watermark);
    let stale = decrypt_as(APP_KEY, "0df09d0a1677dd72b8325aec59576e0c", DATA, DATA_IV);
    assert_eq!(stale.unwrap_err(), UserDataError::Padding);
    for bad in ["1df09d0a1677dd72b8325aec59576e0", "1df09d0a1677dd72b832", "ABEiM0RVZneImaq7zN3u/w=="] {
        assert_eq!(decrypt_as(APP_KEY, bad, DATA, DATA_IV).unwrap_err(), UserDataError::Key, "{bad}");
    }
}

/// Made in the form of the example with `openssl enc -aes-192-cbc -nopad -K d5d7f4f5...` (OpenSSL 3.0), padded to blocks of 32 by
/// hand.
#[test]
fn what_openssl_encrypts_is_decrypted() {
    const PHONE: &str = "TXm/m2HMWuwglYRXGwuRS7aZoSCfMocn+Afyz2gtt4tI7cqXjZvZ7gjaH0aK1oTJg1Udb4lcBAoWSfjAMG1xvUi9iK8LEImncz9SsYSRXjpg0APEly1yhoQdavLClpcD";
    const WHOLE_BLOCK_OF_PADDING: &str = "TXm/m2HMWuwglYRXGwuRSw7XVC7rk4m8zyPC446dVDljSmMjl+Fo4pLFlXdNsMok2PmHx3tsXOzT6rM9LY+OVSOgITtS4Oa87czTZYoVvDTOpakQpvI2flqY4o1dIuFH7D3AE2FQd7FvaYEzeE5wHrNhTY+ETImSLir1mbf8QqE=";
    const OTHER_APP: &str = "TXm/m2HMWuwglYRXGwuRS7aZoSCfMocn+Afyz2gtt4sHsCAD5bqEFt8cFj2rP99ikrtVyVgWrytC0ZrYgOJ6lT/exqhvvORYH7F8lwlX7oZAgvFK8zkw5gVyJ6w7oNOI";
    const PADDED_TO_16: &str =
        "TXm/m2HMWuwglYRXGwuRS7aZoSCfMocn+Afyz2gtt4tI7cqXjZvZ7gjaH0aK1oTJg1Udb4lcBAoWSfjAMG1xvTFmzK1LTAZSuB9RIaYT++E=";

    let phone = decrypt_as(APP_KEY, SESSION_KEY, PHONE, IV).unwrap().phone().unwrap();
    assert_eq!(phone.number().as_str(), "+8613800000000");

    let data = decrypt_as(APP_KEY, SESSION_KEY, WHOLE_BLOCK_OF_PADDING, IV).unwrap();
    assert_eq!(data.openid(), Ok(Some("open_id")));

    assert_eq!(decrypt_as(APP_KEY, SESSION_KEY, OTHER_APP, IV).unwrap_err(), UserDataError::Watermark);

    assert_eq!(decrypt_as(APP_KEY, SESSION_KEY, PADDED_TO_16, IV).unwrap_err(), UserDataError::Padding);
}

#[test]
fn the_padding_has_1_to_32_equal_bytes_and_fills_whole_blocks() {
    for len in 0..=64_usize {
        let pad = 32 - len % 32;
        let mut content = vec![7; len];
        content.resize(len + pad, u8::try_from(pad).unwrap());
        assert_eq!(unpadded(&content), Some(&content[..len]), "{len}");
        let last = content.len() - 1;
        for wrong in [0, 33, 255] {
            content[last] = wrong;
            assert_eq!(unpadded(&content), None, "{len} {wrong}");
        }
    }
    let mut content = [2; 32];
    content[30] = 3;
    assert_eq!(unpadded(&content), None, "the bytes differ");
    assert_eq!(unpadded(&[1; 16]), None, "half a block");
    assert_eq!(unpadded(&[]), None);
}

#[test]
fn a_length_that_does_not_fit_is_no_text() {
    let content = |len: u32, rest: &[u8]| {
        let mut content = [&[0; 16][..], &len.to_be_bytes(), rest].concat();
        let pad = 32 - content.len() % 32;
        content.resize(content.len() + pad, u8::try_from(pad).unwrap());
        text_in(&content, "key").map(<[u8]>::to_vec)
    };
    assert_eq!(content(2, b"{}key"), Ok(b"{}".to_vec()));
    assert_eq!(content(0, b"key"), Ok(Vec::new()));
    for (len, rest) in [(3, &b"{}key"[..]), (1, b"{}key"), (2, b"{}"), (2, b"{}keys"), (2, b"{}kez")] {
        assert_eq!(content(len, rest), Err(UserDataError::Watermark), "{len}");
    }
    for (len, rest) in [(6, &b"{}key"[..]), (u32::MAX, b"{}key")] {
        assert_eq!(content(len, rest), Err(UserDataError::Json), "{len}");
    }
    assert_eq!(text_in(&[16; 32], "").unwrap_err(), UserDataError::Json, "no room for a length");
}
