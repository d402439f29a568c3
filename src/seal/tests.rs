//! The cipher against vectors of other hands and against a second implementation.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt};
use aes_gcm::Aes256Gcm;
use shake::Shake128;
use shake::digest::{ExtendableOutput, Update, XofReader};
use xaes_256_gcm::aead::{AeadInOut, KeyInit};

use super::*;

/// XAES-256-GCM written down a second time, straight from the specification, as an oracle for the crate.
struct Oracle {
    aes: Aes256,
    k1: u128,
}

impl Oracle {
    fn new(key: &[u8; 32]) -> Self {
        let aes = Aes256::new(&(*key).into());
        let mut zero = Array::from([0; 16]);
        aes.encrypt_block(&mut zero);
        let l = u128::from_be_bytes(zero.into());
        Self { aes, k1: (l << 1) ^ if l >> 127 == 1 { 0x87 } else { 0 } }
    }

    fn derived_key(&self, nonce: &[u8; 24]) -> [u8; 32] {
        let mut key = [0; 32];
        for (counter, half) in (1_u8..).zip(key.chunks_exact_mut(16)) {
            let mut message = [0; 16];
            message[..4].copy_from_slice(&[0, counter, b'X', 0]);
            message[4..].copy_from_slice(&nonce[..12]);
            let mut block = Array::from((u128::from_be_bytes(message) ^ self.k1).to_be_bytes());
            self.aes.encrypt_block(&mut block);
            half.copy_from_slice(&block);
        }
        key
    }

    fn seal(&self, nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let gcm = Aes256Gcm::new(&self.derived_key(nonce).into());
        let mut out = plaintext.to_vec();
        let short = aes_gcm::Nonce::try_from(&nonce[12..]).unwrap();
        let tag = gcm.encrypt_inout_detached(&short, aad, out.as_mut_slice().into()).unwrap();
        out.extend_from_slice(&tag);
        out
    }
}

fn seal(key: [u8; 32], nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let key = SealKey::new(&KeyBytes::from_bytes(key));
    let mut sealed = plaintext.to_vec();
    let tag = key.seal(nonce, aad, &mut sealed);
    let mut opened = sealed.clone();
    key.open(nonce, aad, &mut opened, &tag).unwrap();
    assert_eq!(opened, plaintext);
    sealed.extend_from_slice(&tag);
    sealed
}

/// Source: C2SP XAES-256-GCM.md, "Test vectors".
#[test]
fn the_published_vectors_are_reproduced() {
    let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
    for (key, k1, derived, aad, sealed) in [
        (
            [1; 32],
            "e531954aca063d5b8d9c47a47d4cc6f0",
            "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
            "",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        ),
        (
            [3; 32],
            "23810ec50edb99f374409466ed1f4b7b",
            "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
            "c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ] {
        let oracle = Oracle::new(&key);
        assert_eq!(hex::encode(oracle.k1.to_be_bytes()), k1);
        assert_eq!(hex::encode(oracle.derived_key(nonce)), derived);
        assert_eq!(hex::encode(oracle.seal(nonce, aad.as_bytes(), b"XAES-256-GCM")), sealed);
        assert_eq!(hex::encode(seal(key, nonce, aad.as_bytes(), b"XAES-256-GCM")), sealed);
    }
}

/// Source: C2SP XAES-256-GCM.md, "Accumulated randomized tests": key, nonce, plaintext and aad of each round come out of
/// one SHAKE128, every sealed message goes into another.
#[test]
fn ten_thousand_accumulated_rounds_agree() {
    let mut random = Shake128::default().finalize_xof();
    let mut sum = Shake128::default();
    for _ in 0..10_000 {
        let (mut key, mut nonce) = ([0; 32], [0; 24]);
        random.read(&mut key);
        random.read(&mut nonce);
        let mut text = || {
            let mut len = [0];
            random.read(&mut len);
            let mut bytes = vec![0; usize::from(len[0])];
            random.read(&mut bytes);
            bytes
        };
        let (plaintext, aad) = (text(), text());
        let sealed = seal(key, &nonce, &aad, &plaintext);
        assert_eq!(sealed, Oracle::new(&key).seal(&nonce, &aad, &plaintext));
        sum.update(&sealed);
    }
    let mut digest = [0; 32];
    sum.finalize_xof().read(&mut digest);
    assert_eq!(hex::encode(digest), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

/// Source: Wycheproof, `aes_gcm_test.json`; the cases with 256-bit keys, 96-bit nonces and 128-bit tags.
#[test]
fn aes_256_gcm_holds_against_wycheproof() {
    use wycheproof::{TestResult, aead};
    let (mut valid, mut invalid) = (0, 0);
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for case in group.tests {
            let gcm = Aes256Gcm::new_from_slice(&case.key).unwrap();
            let nonce = aes_gcm::Nonce::try_from(&case.nonce[..]).unwrap();
            let tag = aes_gcm::Tag::try_from(&case.tag[..]).unwrap();
            let mut opened = case.ct.to_vec();
            let result = gcm.decrypt_inout_detached(&nonce, &case.aad, opened.as_mut_slice().into(), &tag);
            match case.result {
                TestResult::Invalid => {
                    assert!(result.is_err(), "{} {}", case.tc_id, case.comment);
                    invalid += 1;
                }
                TestResult::Valid | TestResult::Acceptable => {
                    assert!(result.is_ok(), "{} {}", case.tc_id, case.comment);
                    assert_eq!(opened, case.pt.to_vec(), "{} {}", case.tc_id, case.comment);
                    valid += 1;
                }
            }
        }
    }
    assert_eq!((valid, invalid), (39, 27));
}

#[test]
fn nothing_opens_when_one_bit_differs() {
    let key = SealKey::new(&KeyBytes::from_bytes(*b"0123456789abcdef0123456789abcdef"));
    let (nonce, aad, plaintext) = ([7; 24], *b"header", *b"claims");
    let mut sealed = plaintext;
    let tag = key.seal(&nonce, &aad, &mut sealed);
    let whole = [&nonce[..], &aad, &sealed, &tag].concat();
    for bit in 0..whole.len() * 8 {
        let mut bent = whole.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let (nonce, rest) = bent.split_at(24);
        let (aad, rest) = rest.split_at(6);
        let (sealed, tag) = rest.split_at(6);
        let mut buffer = sealed.to_vec();
        let result = key.open(nonce.try_into().unwrap(), aad, &mut buffer, tag.try_into().unwrap());
        assert_eq!(result, Err(Unauthentic), "bit {bit}");
        assert_eq!(buffer, sealed, "no plaintext before the tag has proved right");
    }
}

#[test]
fn nonces_are_drawn_anew() {
    assert_ne!(draw_nonce().unwrap(), draw_nonce().unwrap());
}
