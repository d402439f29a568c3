//! The bare primitives under a ticket, on the same bytes and under the same subkey.

use std::hint::black_box;

use auth_ticket::keyring::{Key, text};
use auth_ticket::seal::{NONCE_LEN, TAG_LEN};
use base64::DecodeSliceError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::Sha256;
use xaes_256_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Nonce, Tag, Xaes256Gcm};

use crate::usual::app;

/// `docs/TICKET.md` section 1.
const HEADER_LEN: usize = 9;
const MAX_LEN: usize = 768;

/// A ticket taken apart, with the subkey that it is under.
pub(crate) struct Parts {
    subkey: [u8; 32],
    aad: Vec<u8>,
    nonce: Nonce,
    sealed: Vec<u8>,
    tag: Tag,
}

impl Parts {
    pub(crate) fn of(ticket: &str, key: &Key) -> Self {
        let bytes = URL_SAFE_NO_PAD.decode(ticket).expect("a ticket");
        let (header, rest) = bytes.split_at(HEADER_LEN);
        let (nonce, rest) = rest.split_at(NONCE_LEN);
        let (sealed, tag) = rest.split_at(rest.len() - TAG_LEN);
        Self {
            subkey: subkey(&secret(key)),
            aad: [b"auth-ticket/v1", header].concat(),
            nonce: Nonce::try_from(nonce).expect("24 bytes"),
            sealed: sealed.to_vec(),
            tag: Tag::try_from(tag).expect("16 bytes"),
        }
    }

    pub(crate) fn cipher(&self) -> Xaes256Gcm {
        Xaes256Gcm::new(&black_box(self.subkey).into())
    }

    /// In a buffer of the stack, as it is done with tickets.
    pub(crate) fn open(&self, cipher: &Xaes256Gcm) -> bool {
        let mut buffer = [0; MAX_LEN];
        let buffer = buffer.get_mut(..self.sealed.len()).expect("there is room");
        buffer.copy_from_slice(black_box(&self.sealed));
        let opened = cipher.decrypt_inout_detached(&self.nonce, &self.aad, (&mut *buffer).into(), &self.tag);
        black_box(buffer);
        opened.is_ok()
    }

    pub(crate) fn seal(&self, cipher: &Xaes256Gcm) -> Tag {
        let mut buffer = [0; MAX_LEN];
        let buffer = buffer.get_mut(..self.sealed.len()).expect("there is room");
        buffer.copy_from_slice(black_box(&self.sealed));
        let tag = cipher.encrypt_inout_detached(&self.nonce, &self.aad, (&mut *buffer).into());
        black_box(buffer);
        tag.expect("it is short")
    }
}

/// What is in the key's file.
pub(crate) fn secret(key: &Key) -> [u8; 32] {
    let file: serde_json::Value = serde_json::from_str(&text::encode(key)).expect("JSON");
    let mut secret = [0; 32];
    hex::decode_to_slice(file.get("secret").and_then(serde_json::Value::as_str).expect("text"), &mut secret)
        .expect("64 hex digits");
    secret
}

/// `docs/TICKET.md` section 3.
pub(crate) fn subkey(secret: &[u8; 32]) -> [u8; 32] {
    let mut subkey = [0; 32];
    let info = [b"auth-ticket/v1/ticket\0", app().as_str().as_bytes()].concat();
    Hkdf::<Sha256>::new(None, black_box(secret)).expand(&info, &mut subkey).expect("32 bytes are few");
    subkey
}

/// Without SIMD, into a buffer of the stack.
pub(crate) fn decode(ticket: &str) -> Result<usize, DecodeSliceError> {
    let mut buffer = [0; MAX_LEN];
    let decoded = URL_SAFE_NO_PAD.decode_slice(black_box(ticket), &mut buffer);
    black_box(&buffer);
    decoded
}
