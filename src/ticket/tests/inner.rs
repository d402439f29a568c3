//! The inner seal of the `session_key`, against a second implementation and against who holds the subkey of tickets.

use aes::Aes256;
use aes::cipher::BlockCipherEncrypt;
use aes_gcm::Aes256Gcm;
use sha2::{Digest, Sha256};
use xaes_256_gcm::aead::{AeadInOut, KeyInit};

use super::*;
use crate::claims::SessionKeyWire;

/// HMAC-SHA256 (RFC 2104) of a key of at most 64 bytes.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        block
    };
    let inner = Sha256::digest([&pad(0x36)[..], &parts.concat()].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).into()
}

/// What stands in claim 10 or 15, written down a second time from `docs/TICKET.md`.
fn by_the_book(secret: &str, appid: &str, nonce: &[u8; NONCE_LEN], session_key: &SessionKey) -> (u8, Vec<u8>) {
    // HKDF (RFC 5869): extract without salt, then one block of expand.
    let prk = hmac(&[0; 32], &[&hex::decode(secret).unwrap()]);
    let subkey = hmac(&prk, &[b"auth-ticket/v1/session-key\0", appid.as_bytes(), &[1]]);
    let key_of = |claim: u8| hmac(&subkey, &[nonce, &[claim], &[1]]);
    let text = session_key.to_text();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.expose()).unwrap_or_default();
    if let Ok(bytes) = <[u8; 16]>::try_from(bytes) {
        let mut block = bytes.into();
        Aes256::new(&key_of(10).into()).encrypt_block(&mut block);
        return (10, block.to_vec());
    }
    let mut sealed = text.expose().as_bytes().to_vec();
    let gcm = Aes256Gcm::new(&key_of(15).into());
    let tag = gcm.encrypt_inout_detached(&[0; 12].into(), b"", sealed.as_mut_slice().into()).unwrap();
    sealed.extend_from_slice(&tag);
    (15, sealed)
}

fn key(text: &str) -> SessionKey {
    SessionKey::parse(text).unwrap()
}

/// The plaintext of a ticket, and the ticket with another plaintext: what a holder of the app's subkey for tickets can do.
fn bent(text: &str, ring: &KeyRing, bend: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    let tag: [u8; TAG_LEN] = bytes.split_off(bytes.len() - TAG_LEN).try_into().unwrap();
    let mut body = bytes.split_off(HEADER_LEN + NONCE_LEN);
    let header: [u8; HEADER_LEN] = bytes[..HEADER_LEN].try_into().unwrap();
    let nonce: [u8; NONCE_LEN] = bytes[HEADER_LEN..].try_into().unwrap();
    let subkey = ring.to_seal(&app(APP), Purpose::Ticket, NOW).unwrap().seal_key;
    subkey.open(&nonce, &aad(&header), &mut body, &tag).unwrap();
    bend(&mut body);
    let tag = subkey.seal(&nonce, &aad(&header), &mut body);
    URL_SAFE_NO_PAD.encode([&bytes[..], &body, &tag].concat())
}

/// Where the 16 bytes of claim 10 begin.
fn block_of(plaintext: &[u8]) -> usize {
    plaintext.windows(2).position(|head| head == [0x0a, 0x50]).unwrap() + 2
}

#[test]
fn opening_leaves_the_session_key_sealed_and_renewals_keep_it() {
    let ring = ring();
    for text in ["tiihtNczf5v6AKRyjwEUhQ==", "not-base64-at-all", "~"] {
        let mut ticket = sealed(&ring, &Session { session_key: Some(key(text)), ..session("alice") });
        for _ in 0..3 {
            let opened = open(&ticket, &ring).unwrap();
            assert!(opened.session().session_key.is_none() && opened.has_session_key());
            assert_eq!(opened.session_key(&ring, NOW).unwrap().unwrap().to_text().expose(), text);
            assert!(!format!("{opened:?}").contains(text));
            ticket = sealed(&ring, &opened.to_session(&ring, NOW).unwrap());
        }
    }
    let without = open(&sealed(&ring, &Session { session_key: None, ..session("alice") }), &ring).unwrap();
    assert!(!without.has_session_key() && without.session_key(&ring, NOW).unwrap().is_none());
}

#[test]
fn login_handles_and_phone_proofs_are_sealed_the_same_way() {
    let ring = ring();
    for purpose in [Purpose::LoginHandle, Purpose::PhoneProof] {
        let sealed = session("alice").seal(&ring, &app(APP), purpose, NOW, &POLICY).unwrap();
        let opened = UnverifiedTicket::parse(sealed.text()).unwrap().open(&ring, purpose, NOW, &POLICY).unwrap();
        assert!(opened.session().session_key.is_none());
        let found = opened.session_key(&ring, NOW).unwrap().unwrap();
        assert_eq!(found.to_text().expose(), "tiihtNczf5v6AKRyjwEUhQ==");
    }
}

#[test]
fn without_the_key_the_seal_stays_on() {
    let opened = open(&sealed(&ring(), &session("alice")), &ring()).unwrap();
    let other = ring_of(&SECRETS[1..], &[APP], Cutoffs::default());
    assert_eq!(opened.session_key(&other, NOW).unwrap_err(), OpenError::UnknownKey(opened.kid()));
    let elsewhere = ring_of(&SECRETS, &[OTHER_APP], Cutoffs::default());
    assert_eq!(opened.session_key(&elsewhere, NOW).unwrap_err(), OpenError::UnknownApp(app(APP).tag()));
    let dead = opened.session_key(&ring(), NOW.plus(10_000_000));
    assert_eq!(dead.unwrap_err(), OpenError::DeadKey(opened.kid()));
}

/// With an XOR instead of a block cipher, each flipped bit would flip the same bit of the key that the server then uses.
#[test]
fn a_changed_block_opens_to_bytes_that_have_nothing_to_do_with_the_key() {
    let ring = ring();
    let text = sealed(&ring, &session("alice"));
    let bytes_of = |session_key: &SessionKey| match session_key.wire() {
        SessionKeyWire::Packed(bytes) => *bytes,
        SessionKeyWire::Text(_) => panic!("not the usual one"),
    };
    let was = bytes_of(&key("tiihtNczf5v6AKRyjwEUhQ=="));
    let mut least = 128;
    for bit in 0..128 {
        let bent = bent(&text, &ring, |plaintext| {
            let at = block_of(plaintext);
            plaintext[at + bit / 8] ^= 1 << (bit % 8);
        });
        let found = open(&bent, &ring).unwrap().session_key(&ring, NOW).unwrap().unwrap();
        let differ: u32 = was.iter().zip(bytes_of(&found)).map(|(was, found)| (was ^ found).count_ones()).sum();
        least = least.min(differ);
    }
    // Of 128 random numbers of 128 bits, none has fewer than 20 ones but once in 10^12 times.
    assert!(least >= 20, "{least} bits");
}

#[test]
fn nothing_that_was_captured_opens_under_another_nonce_or_as_the_other_claim() {
    let ring = ring();
    let other = Session { session_key: Some(key("not-base64-at-all")), ..session("alice") };
    let [usual, other] = [session("alice"), other].map(|session| sealed(&ring, &session));
    let mut block = Vec::new();
    let same = bent(&usual, &ring, |plaintext| block = plaintext[block_of(plaintext)..][..16].to_vec());
    assert_eq!(same, usual);
    let moved = bent(&sealed(&ring, &session("alice")), &ring, |plaintext| {
        let at = block_of(plaintext);
        plaintext[at..at + 16].copy_from_slice(&block);
    });
    let found = open(&moved, &ring).unwrap().session_key(&ring, NOW).unwrap().unwrap();
    assert_ne!(found.to_text().expose(), "tiihtNczf5v6AKRyjwEUhQ==");
    let flips = (0..33).map(|back| {
        bent(&other, &ring, |plaintext| {
            let last = plaintext.len() - 1;
            plaintext[last - back] ^= 1;
        })
    });
    for (back, bent) in flips.enumerate() {
        let opened = open(&bent, &ring).unwrap();
        assert_eq!(opened.session_key(&ring, NOW).unwrap_err(), OpenError::Unauthentic, "{back} from the end");
    }
}

proptest! {
    #[test]
    fn another_implementation_seals_the_same(
        text in "[!-~]{1,256}|[A-Za-z0-9+/]{21}[AQgw]==",
        nonce in any::<[u8; NONCE_LEN]>(),
        appid in "[!-~]{1,64}",
    ) {
        let ring = ring_of(&SECRETS[..1], &[&appid], Cutoffs::default());
        let session = Session { session_key: Some(key(&text)), ..session("alice") };
        let found = match sealed_session_key(&ring, &appid, &session, &nonce).unwrap() {
            SealedSessionKey::Usual(block) => (10, block.to_vec()),
            SealedSessionKey::Other(sealed) => (15, sealed.into_vec()),
        };
        prop_assert_eq!(found, by_the_book(SECRETS[0], &appid, &nonce, &key(&text)));
    }
}
