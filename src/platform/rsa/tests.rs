use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/rsa.json")).unwrap()
}

fn text(vectors: &Value, path: &str) -> String {
    vectors.pointer(path).and_then(Value::as_str).unwrap().to_owned()
}

#[test]
fn both_forms_of_a_private_key_sign_as_openssl_does() {
    let vectors = vectors();
    for form in ["/pkcs8", "/pkcs1"] {
        let key = RsaPrivateKey::from_pem(text(&vectors, form)).unwrap();
        assert_eq!(key.sign(text(&vectors, "/message").as_bytes()), text(&vectors, "/signature"), "{form}");
    }
}

#[test]
fn a_signature_is_of_one_message_and_one_key() {
    let vectors = vectors();
    let (message, signature) = (text(&vectors, "/message"), text(&vectors, "/signature"));
    let key = RsaPublicKey::from_pem(&text(&vectors, "/public")).unwrap();
    assert!(key.verifies(message.as_bytes(), &signature));
    assert!(!key.verifies(b"another message", &signature));
    assert!(
        !RsaPublicKey::from_pem(&text(&vectors, "/other_public")).unwrap().verifies(message.as_bytes(), &signature)
    );
    for bad in ["", "AAAA", "%", &format!("{signature}\n"), &signature[..340]] {
        assert!(!key.verifies(message.as_bytes(), bad), "{bad}");
    }
}

#[test]
fn the_published_answer_is_verified() {
    let vectors = vectors();
    let key = RsaPublicKey::from_pem(&text(&vectors, "/published/public")).unwrap();
    let (signed, signature) = (text(&vectors, "/published/signed"), text(&vectors, "/published/signature"));
    assert!(key.verifies(signed.as_bytes(), &signature));
    assert!(!key.verifies(signed.replace("Success", "success").as_bytes(), &signature));
}

#[test]
fn what_openssl_encrypts_is_decrypted_and_nothing_else() {
    let vectors = vectors();
    let bytes = |path: &str| STANDARD.decode(text(&vectors, path)).unwrap();
    for form in ["/pkcs8", "/pkcs1"] {
        let key = RsaPrivateKey::from_pem(text(&vectors, form)).unwrap();
        assert_eq!(key.decrypt(&bytes("/ciphertext")).unwrap().as_slice(), text(&vectors, "/plaintext").as_bytes());
        let decrypted = ["/ciphertext_of_another_key", "/ciphertext_oaep"].map(|path| key.decrypt(&bytes(path)));
        assert!(decrypted.iter().flatten().all(|bytes| bytes.as_slice() != text(&vectors, "/plaintext").as_bytes()));
        assert!(key.decrypt(&[]).is_none() && key.decrypt(&[1; 255]).is_none() && key.decrypt(&[0xff; 256]).is_none());
    }
}

#[test]
fn a_file_that_is_no_key_is_told_by_what_it_is() {
    let vectors = vectors();
    let (private, public) = (text(&vectors, "/pkcs8"), text(&vectors, "/public"));
    let bare = |pem: &str| pem.lines().filter(|line| !line.starts_with("-----")).collect::<Vec<_>>().join("\n");
    for (bad, expected) in [
        (text(&vectors, "/not_keys/encrypted"), RsaKeyError::Encrypted),
        (text(&vectors, "/not_keys/encrypted_pkcs1"), RsaKeyError::Encrypted),
        (text(&vectors, "/not_keys/ec"), RsaKeyError::NotRsa),
        (text(&vectors, "/not_keys/ec_sec1"), RsaKeyError::NotRsa),
        (text(&vectors, "/not_keys/short"), RsaKeyError::NotRsa),
        (text(&vectors, "/not_keys/certificate"), RsaKeyError::NotPrivate),
        (public.clone(), RsaKeyError::NotPrivate),
        (bare(&private), RsaKeyError::Bare("PRIVATE KEY")),
        (private.replace("-----END PRIVATE KEY-----", ""), RsaKeyError::Damaged),
        (private.replacen("MII", "M*I", 1), RsaKeyError::Damaged),
        (private.replace("PRIVATE KEY", "DSA PARAMETERS"), RsaKeyError::NotRsa),
        ("5ecretcanary".to_owned(), RsaKeyError::NotPem("PRIVATE KEY")),
        (String::new(), RsaKeyError::NotPem("PRIVATE KEY")),
    ] {
        assert_eq!(RsaPrivateKey::from_pem(bad.as_str()).unwrap_err(), expected, "{bad}");
    }
    for (bad, expected) in [
        (private, RsaKeyError::NotPublic),
        (text(&vectors, "/not_keys/certificate"), RsaKeyError::Certificate),
        (bare(&public), RsaKeyError::Bare("PUBLIC KEY")),
        (public.replace('M', "*"), RsaKeyError::Damaged),
        ("key".to_owned(), RsaKeyError::NotPem("PUBLIC KEY")),
    ] {
        assert_eq!(RsaPublicKey::from_pem(&bad).unwrap_err(), expected, "{bad}");
    }
}

#[test]
fn debug_output_and_errors_show_nothing_of_a_key() {
    let key = RsaPrivateKey::from_pem(text(&vectors(), "/pkcs8")).unwrap();
    assert_eq!(format!("{key:?}"), "RsaPrivateKey(..)");
    let error = RsaPrivateKey::from_pem("5ecretcanary").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("5ecretcanary"));
}

#[test]
fn a_new_key_signs_and_its_public_half_is_pem() {
    let (private, public) = RsaPrivateKey::generate().unwrap();
    let public = RsaPublicKey::from_pem(&public).unwrap();
    let signature = private.sign(b"message");
    assert!(public.verifies(b"message", &signature) && !public.verifies(b"massage", &signature));
}
