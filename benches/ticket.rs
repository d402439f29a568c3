//! What a ticket costs, beside the bare primitives: what is above them is ours.
//!
//! `cargo bench --bench ticket`; `cargo bench --bench ticket -- open` for one part. The bare ones work on the same bytes
//! under the same subkey; that they come to the same result is checked before anything is timed.

#[path = "shared/forged.rs"]
mod forged;
#[path = "shared/usual.rs"]
mod usual;

use std::hint::black_box;

use auth_ticket::keyring::{Key, KeyRing, Purpose, text};
use auth_ticket::seal::{NONCE_LEN, TAG_LEN, draw_nonce};
use auth_ticket::ticket::{OpenError, Ticket, UnverifiedTicket};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::Criterion;
use hkdf::Hkdf;
use sha2::Sha256;
use xaes_256_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Nonce, Tag, Xaes256Gcm};

use usual::{NOW, POLICY, app, keys, ring, session};

/// `docs/TICKET.md` section 2.
const HEADER_LEN: usize = 9;
const MAX_LEN: usize = 768;

/// Opens as a check does: text in, ticket out.
fn open(ring: &KeyRing, text: &str) -> Result<Ticket, OpenError> {
    UnverifiedTicket::parse(black_box(text.as_bytes()))?.open(ring, Purpose::Ticket, NOW, &POLICY)
}

fn bench_open(criterion: &mut Criterion, ring: &KeyRing, ticket: &str) {
    let flipped = forged::last_bit_flipped(ticket);
    let unknown = forged::under_unknown_kid(ticket);
    assert!(open(ring, ticket).is_ok(), "it opens");
    assert_eq!(open(ring, &flipped).err(), Some(OpenError::Unauthentic));
    assert!(matches!(open(ring, &unknown), Err(OpenError::UnknownKey(_))), "nobody has its key");
    for (name, text) in
        [("open/usual", ticket), ("open/forged, last bit flipped", &flipped), ("open/unknown kid", &unknown)]
    {
        criterion.bench_function(name, |bencher| bencher.iter(|| open(ring, text)));
    }
    criterion.bench_function("open/parse only", |bencher| {
        bencher.iter(|| UnverifiedTicket::parse(black_box(ticket.as_bytes())));
    });
}

fn bench_seal(criterion: &mut Criterion, ring: &KeyRing) {
    let (session, app) = (session(), app());
    criterion.bench_function("seal/usual", |bencher| {
        bencher.iter(|| black_box(&session).seal(ring, &app, Purpose::Ticket, NOW, &POLICY));
    });
}

/// A ticket taken apart, with the subkey that it is under.
struct Parts {
    subkey: [u8; 32],
    aad: Vec<u8>,
    nonce: Nonce,
    sealed: Vec<u8>,
    tag: Tag,
}

impl Parts {
    fn of(ticket: &str, key: &Key) -> Self {
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

    fn cipher(&self) -> Xaes256Gcm {
        Xaes256Gcm::new(&black_box(self.subkey).into())
    }

    /// In a buffer of the stack, as it is done with tickets.
    fn open(&self, cipher: &Xaes256Gcm) -> bool {
        let mut buffer = [0; MAX_LEN];
        let buffer = buffer.get_mut(..self.sealed.len()).expect("there is room");
        buffer.copy_from_slice(black_box(&self.sealed));
        let opened = cipher.decrypt_inout_detached(&self.nonce, &self.aad, (&mut *buffer).into(), &self.tag);
        black_box(buffer);
        opened.is_ok()
    }

    fn seal(&self, cipher: &Xaes256Gcm) -> Tag {
        let mut buffer = [0; MAX_LEN];
        let buffer = buffer.get_mut(..self.sealed.len()).expect("there is room");
        buffer.copy_from_slice(black_box(&self.sealed));
        let tag = cipher.encrypt_inout_detached(&self.nonce, &self.aad, (&mut *buffer).into());
        black_box(buffer);
        tag.expect("it is short")
    }
}

/// What is in the key's file.
fn secret(key: &Key) -> [u8; 32] {
    let file: serde_json::Value = serde_json::from_str(&text::encode(key)).expect("JSON");
    let mut secret = [0; 32];
    hex::decode_to_slice(file.get("secret").and_then(serde_json::Value::as_str).expect("text"), &mut secret)
        .expect("64 hex digits");
    secret
}

/// `docs/TICKET.md` section 3.
fn subkey(secret: &[u8; 32]) -> [u8; 32] {
    let mut subkey = [0; 32];
    let info = [b"auth-ticket/v1/ticket\0", app().as_str().as_bytes()].concat();
    Hkdf::<Sha256>::new(None, black_box(secret)).expand(&info, &mut subkey).expect("32 bytes are few");
    subkey
}

fn bench_raw(criterion: &mut Criterion, key: &Key, ticket: &str) {
    let parts = Parts::of(ticket, key);
    let cipher = parts.cipher();
    assert!(parts.open(&cipher), "the same bytes under the same subkey");
    let secret = secret(key);
    // XAES derives a key from each nonce; what depends on its own key alone, a ring has computed beforehand.
    criterion.bench_function("raw/xaes open", |bencher| bencher.iter(|| parts.open(&cipher)));
    criterion.bench_function("raw/xaes key setup and open", |bencher| bencher.iter(|| parts.open(&parts.cipher())));
    criterion.bench_function("raw/xaes seal", |bencher| bencher.iter(|| parts.seal(&cipher)));
    criterion.bench_function("raw/nonce", |bencher| bencher.iter(draw_nonce));
    criterion.bench_function("raw/hkdf subkey", |bencher| bencher.iter(|| subkey(&secret)));
    criterion.bench_function("raw/base64url decode", |bencher| {
        bencher.iter(|| {
            let mut buffer = [0; MAX_LEN];
            let decoded = URL_SAFE_NO_PAD.decode_slice(black_box(ticket), &mut buffer);
            black_box(&buffer);
            decoded
        });
    });
}

fn main() {
    let keys = keys(1);
    let ring = ring(keys.clone(), None);
    let ticket = usual::ticket(&ring);
    let mut criterion = Criterion::default().configure_from_args();
    bench_open(&mut criterion, &ring, &ticket);
    bench_seal(&mut criterion, &ring);
    bench_raw(&mut criterion, keys.first().expect("a key"), &ticket);
    criterion.final_summary();
}
