//! What a ticket costs, beside the bare primitives: what is above them is ours.
//!
//! `cargo bench --bench ticket`; `cargo bench --bench ticket -- open` for one part. The bare ones work on the same bytes
//! under the same subkey; that they come to the same result is checked before anything is timed.

#[path = "shared/bare.rs"]
mod bare;
#[path = "shared/forged.rs"]
mod forged;
#[path = "shared/usual.rs"]
mod usual;

use std::hint::black_box;

use auth_ticket::keyring::{Key, KeyRing, Purpose};
use auth_ticket::seal::draw_nonce;
use auth_ticket::ticket::{OpenError, Ticket, UnverifiedTicket};
use criterion::Criterion;

use bare::Parts;
use usual::{NOW, POLICY, app, keys, ring, session};

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

fn bench_raw(criterion: &mut Criterion, key: &Key, ticket: &str) {
    let parts = Parts::of(ticket, key);
    let cipher = parts.cipher();
    assert!(parts.open(&cipher), "the same bytes under the same subkey");
    let secret = bare::secret(key);
    // XAES derives a key from each nonce; what depends on its own key alone, a ring has computed beforehand.
    criterion.bench_function("raw/xaes open", |bencher| bencher.iter(|| parts.open(&cipher)));
    criterion.bench_function("raw/xaes key setup and open", |bencher| bencher.iter(|| parts.open(&parts.cipher())));
    criterion.bench_function("raw/xaes seal", |bencher| bencher.iter(|| parts.seal(&cipher)));
    criterion.bench_function("raw/nonce", |bencher| bencher.iter(draw_nonce));
    criterion.bench_function("raw/hkdf subkey", |bencher| bencher.iter(|| bare::subkey(&secret)));
    criterion.bench_function("raw/base64url decode", |bencher| bencher.iter(|| bare::decode(ticket)));
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
