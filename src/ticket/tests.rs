//! What must hold for all tickets.

mod handover;
mod inner;
mod vectors;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::buffer::MAX_BYTES;
use super::format::header;
use super::inner::SealedSessionKey;
use super::*;
use crate::claims::{OwnerClaims, PhoneNumber, PlatformId, SessionKey};
use crate::keyring::LoginId;
use crate::keyring::{Cutoffs, Key, KeySpec, KeyUse, RingContent};
use crate::secret::KeyBytes;

const NOW: UnixSeconds = UnixSeconds::new(1_795_000_000);
const POLICY: Policy = Policy { ttl_s: 7200, max_session_s: 30 * 86400 };
const APP: &str = "wx4f4bc4dec97d474b";
const OTHER_APP: &str = "wx0123456789abcdef";
const SECRETS: [&str; 2] = [
    "023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441",
    "4e6aa92f47ceb3a835439e29a3e756d0cae3b88ecaf32c942ed0f344b24398f1",
];

fn app(text: &str) -> AppId {
    AppId::parse(text).unwrap()
}

/// A ring in which the first of `secrets` seals at [`NOW`] and the others are pending.
fn ring_of(secrets: &[&str], apps: &[&str], cutoffs: Cutoffs) -> KeyRing {
    let key = |(index, secret): (u64, &&str)| {
        let spec = KeySpec {
            key_use: KeyUse::Ticket,
            alg: KeyUse::Ticket.default_alg(),
            created: NOW.minus(100_000),
            seal_from: NOW.minus(100_000).plus(index * 200_000),
            seal_until: NOW.plus(1_000_000),
            max_ttl_s: 86400,
        };
        Arc::new(Key::new(spec, KeyBytes::parse_hex(secret).unwrap()).unwrap())
    };
    let keys = (0..).zip(secrets).map(key).collect();
    let content = RingContent { keys, cutoffs: Some(Arc::new(cutoffs)), ..RingContent::default() };
    KeyRing::new(content, apps.iter().map(|text| app(text))).unwrap()
}

fn ring() -> KeyRing {
    ring_of(&SECRETS, &[APP, OTHER_APP], Cutoffs::default())
}

fn session(openid: &str) -> Session {
    Session {
        openid: PlatformId::parse(openid).unwrap(),
        unionid: Some(PlatformId::parse("ocMvos6NjeKLIBqg5Mr9QjxrP1FA").unwrap()),
        session_key: Some(SessionKey::parse("tiihtNczf5v6AKRyjwEUhQ==").unwrap()),
        phone: None,
        owner_claims: None,
        login_id: LoginId([7; 8]),
        auth_time: NOW,
    }
}

fn sealed(ring: &KeyRing, session: &Session) -> String {
    session.seal(ring, &app(APP), Purpose::Ticket, NOW, &POLICY).unwrap().text().to_owned()
}

fn open(text: &str, ring: &KeyRing) -> Result<Ticket, OpenError> {
    UnverifiedTicket::parse(text.as_bytes())?.open(ring, Purpose::Ticket, NOW, &POLICY)
}

/// A ticket with `plaintext` inside, sealed as the format says.
fn sealed_bytes(plaintext: &[u8]) -> String {
    sealed_bytes_for(Purpose::Ticket, plaintext)
}

fn sealed_bytes_for(purpose: Purpose, plaintext: &[u8]) -> String {
    let (ring, nonce) = (ring(), [9; NONCE_LEN]);
    let key = ring.to_seal(&app(APP), purpose, NOW).unwrap();
    let header = header(key.kid, app(APP).tag());
    let mut body = plaintext.to_vec();
    let tag = key.seal_key.seal(&nonce, &aad(&header), &mut body);
    URL_SAFE_NO_PAD.encode([&header[..], &nonce, &body, &tag].concat())
}

#[test]
fn a_usual_ticket_is_182_characters_long() {
    let ring = ring();
    assert_eq!(sealed(&ring, &session("oGZUI0egBJY1zhBYw2KhdUfwVJJE")).len(), 182);
    let longest_phone = PhoneNumber::parse("+123456789012345").unwrap();
    let with_phone = Session { phone: Some(longest_phone), ..session("oGZUI0egBJY1zhBYw2KhdUfwVJJE") };
    assert!(sealed(&ring, &with_phone).len() <= 211);
}

#[test]
fn the_largest_claims_make_a_ticket_that_opens() {
    let ring = ring();
    let largest = Session {
        openid: PlatformId::parse(&"o".repeat(128)).unwrap(),
        unionid: Some(PlatformId::parse(&"u".repeat(128)).unwrap()),
        session_key: Some(SessionKey::parse(&"k".repeat(256)).unwrap()),
        phone: Some(PhoneNumber::parse("+123456789012345").unwrap()),
        owner_claims: Some(OwnerClaims::new(&[0xff; 64]).unwrap()),
        ..session("x")
    };
    let text = sealed(&ring, &largest);
    assert!(text.len() <= MAX_TICKET_LEN, "{}", text.len());
    assert_eq!(open(&text, &ring).unwrap().session().owner_claims, largest.owner_claims);
}

#[test]
fn a_ticket_of_any_length_is_taken_as_it_is() {
    for len in MIN_BYTES..=MAX_BYTES {
        let mut bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        bytes[0] = VERSION;
        let claimed = UnverifiedTicket::parse(URL_SAFE_NO_PAD.encode(&bytes).as_bytes()).unwrap();
        assert_eq!(claimed.bytes.as_slice(), bytes, "{len} bytes");
    }
    let too_long = URL_SAFE_NO_PAD.encode([VERSION; MAX_BYTES + 1]);
    assert!(UnverifiedTicket::parse(too_long.as_bytes()).is_err());
}

#[test]
fn any_flipped_bit_is_refused() {
    let ring = ring();
    let bytes = URL_SAFE_NO_PAD.decode(sealed(&ring, &session("oGZUI0egBJY1zhBYw2KhdUfwVJJE"))).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&URL_SAFE_NO_PAD.encode(bent), &ring).is_err(), "bit {bit}");
    }
}

#[test]
fn any_truncation_and_any_addition_is_refused() {
    let ring = ring();
    let text = sealed(&ring, &session("oGZUI0egBJY1zhBYw2KhdUfwVJJE"));
    for len in 0..text.len() {
        assert!(open(&text[..len], &ring).is_err(), "first {len}");
        assert!(open(&text[len + 1..], &ring).is_err(), "last {len}");
    }
    for addition in ["A", "AA", "AAA", "AAAA", "=", "==", " ", "\n", "."] {
        assert!(open(&format!("{text}{addition}"), &ring).is_err(), "{addition:?} after");
        assert!(open(&format!("{addition}{text}"), &ring).is_err(), "{addition:?} before");
    }
    assert!(open(&text, &ring).is_ok());
}

#[test]
fn any_splice_of_two_tickets_is_refused() {
    let ring = ring();
    let one = URL_SAFE_NO_PAD.decode(sealed(&ring, &session("oGZUI0egBJY1zhBYw2KhdUfwVJJE"))).unwrap();
    let two = URL_SAFE_NO_PAD.decode(sealed(&ring, &session("oHZUI0egBJY1zhBYw2KhdUfwVJJE"))).unwrap();
    assert_eq!(one.len(), two.len());
    for cut in 1..one.len() {
        let spliced = [&one[..cut], &two[cut..]].concat();
        // Both begin with the same header, and a byte of nonce or tag may be the same, too: then nothing is spliced.
        if spliced != one && spliced != two {
            assert!(open(&URL_SAFE_NO_PAD.encode(spliced), &ring).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn a_ticket_of_one_app_is_nothing_in_another() {
    let ring = ring();
    let text = sealed(&ring, &session("alice"));
    let only_other = ring_of(&SECRETS, &[OTHER_APP], Cutoffs::default());
    assert_eq!(open(&text, &only_other).unwrap_err(), OpenError::UnknownApp(app(APP).tag()));
    let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
    bytes[5..9].copy_from_slice(&app(OTHER_APP).tag().0);
    assert_eq!(open(&URL_SAFE_NO_PAD.encode(bytes), &ring).unwrap_err(), OpenError::Unauthentic);
}

#[test]
fn a_login_handle_is_no_ticket_and_a_ticket_no_handle() {
    let ring = ring();
    let handle = session("alice").seal(&ring, &app(APP), Purpose::LoginHandle, NOW, &POLICY).unwrap();
    assert_eq!(handle.expires_at(), NOW.plus(300));
    assert_eq!(open(handle.text(), &ring).unwrap_err(), OpenError::Unauthentic);
    let as_handle =
        |text: &str| UnverifiedTicket::parse(text.as_bytes()).unwrap().open(&ring, Purpose::LoginHandle, NOW, &POLICY);
    assert_eq!(as_handle(handle.text()).unwrap().session().openid.as_str(), "alice");
    assert_eq!(as_handle(&sealed(&ring, &session("alice"))).unwrap_err(), OpenError::Unauthentic);
}

#[test]
fn a_ticket_expires_at_its_end_plus_the_leeway() {
    let ring = ring();
    let text = sealed(&ring, &session("alice"));
    let at = |now: u64| {
        let claimed = UnverifiedTicket::parse(text.as_bytes()).unwrap();
        claimed.open(&ring, Purpose::Ticket, UnixSeconds::new(now), &POLICY).map(|ticket| ticket.expires_at())
    };
    let now = NOW.as_u64();
    assert_eq!(at(now), Ok(NOW.plus(7200)));
    assert_eq!(at(now + 7259), Ok(NOW.plus(7200)));
    assert_eq!(at(now + 7260), Err(OpenError::Expired { late_s: 60 }));
    assert_eq!(at(now - 60), Ok(NOW.plus(7200)));
    assert_eq!(at(now - 61), Err(OpenError::FromTheFuture { ahead_s: 61 }));
}

#[test]
fn renewal_keeps_the_login_and_never_passes_the_sessions_end() {
    let ring = ring();
    let first = open(&sealed(&ring, &session("alice")), &ring).unwrap();
    let policy = Policy { ttl_s: 7200, max_session_s: 10_000 };
    let later = NOW.plus(7000);
    let renewed =
        first.to_session(&ring, NOW).unwrap().seal(&ring, first.app(), Purpose::Ticket, later, &policy).unwrap();
    assert_eq!(renewed.expires_at(), NOW.plus(10_000));
    assert_eq!(renewed.session_expires_at(), NOW.plus(10_000));
    let opened = UnverifiedTicket::parse(renewed.text().as_bytes())
        .unwrap()
        .open(&ring, Purpose::Ticket, later, &policy)
        .unwrap();
    assert_eq!((opened.session().login_id, opened.session().auth_time), (LoginId([7; 8]), NOW));
    assert_eq!(opened.issued_at(), later);
    assert_eq!(
        first.session().seal(&ring, first.app(), Purpose::Ticket, NOW.plus(10_000), &policy).unwrap_err(),
        SealError::SessionOver
    );
    let at_the_end = UnverifiedTicket::parse(renewed.text().as_bytes()).unwrap().open(
        &ring,
        Purpose::Ticket,
        NOW.plus(10_000),
        &policy,
    );
    assert_eq!(at_the_end.unwrap_err(), OpenError::Expired { late_s: 0 });
}

#[test]
fn a_login_on_a_fast_clock_renews_on_a_slow_one() {
    let ring = ring();
    let ahead = Session { auth_time: NOW.plus(60), ..session("alice") };
    let renewed = ahead.seal(&ring, &app(APP), Purpose::Ticket, NOW, &POLICY).unwrap();
    assert_eq!(renewed.expires_at(), NOW.plus(7200), "the slow clock's now plus the ttl, not more");
    let opened = open(renewed.text(), &ring).unwrap();
    assert_eq!((opened.issued_at(), opened.session().auth_time), (NOW.plus(60), NOW.plus(60)));
}

#[test]
fn a_ticket_never_outlives_what_its_key_allows() {
    let ring = ring();
    let policy = Policy { ttl_s: 90 * 86400, max_session_s: 365 * 86400 };
    let ticket = session("alice").seal(&ring, &app(APP), Purpose::Ticket, NOW, &policy).unwrap();
    assert_eq!(ticket.expires_at(), NOW.plus(86400));
}

#[test]
fn without_a_sealing_key_nothing_is_sealed() {
    let ring = ring();
    let too_early = session("alice").seal(&ring, &app(APP), Purpose::Ticket, UnixSeconds::new(0), &POLICY);
    assert_eq!(too_early.unwrap_err(), SealError::NoSealingKey);
    let no_such_app = session("alice").seal(&ring, &app("wx-unknown"), Purpose::Ticket, NOW, &POLICY);
    assert_eq!(no_such_app.unwrap_err(), SealError::NoSealingKey);
}

#[test]
fn a_cut_off_login_is_refused_and_others_are_not() {
    let text = sealed(&ring(), &session("alice"));
    let with = |list: &str| {
        let list = format!(r#"{{"v":1,"cutoffs":[{list}]}}"#);
        open(&text, &ring_of(&SECRETS, &[APP], Cutoffs::parse(&list).unwrap())).map(|ticket| ticket.issued_at())
    };
    let created = r#""created":"2026-11-22T21:00:00Z""#;
    let login = |id: &str| with(&format!(r#"{{"scope":"login","login_id":"{id}",{created}}}"#));
    assert_eq!(login("0707070707070707"), Err(OpenError::Revoked));
    assert_eq!(login("0707070707070708"), Ok(NOW));
    let all = |before: UnixSeconds| with(&format!(r#"{{"scope":"all","before":"{before}",{created}}}"#));
    assert_eq!(all(NOW.plus(1)), Err(OpenError::Revoked));
    assert_eq!(all(NOW), Ok(NOW));
}

/// Claims that are authentic and yet not of the one form that the format allows; the frozen vectors hold more.
#[test]
fn malformed_claims_are_refused_behind_the_seal_too() {
    const USUAL: &str = "0255a066542347a0049635ce1058c362a17547f0549244061a6afd865c074860c7e322d169107008191c200900";
    let with = |entries: u8, more: &str| {
        let plaintext = hex::decode(format!("{:02x}{USUAL}{more}", 0xa0 | entries)).unwrap();
        open(&sealed_bytes(&plaintext), &ring()).map(|ticket| ticket.issued_at().as_u64())
    };
    let issued_at = Ok(0x6afd_865c);
    assert_eq!(with(5, ""), issued_at);
    assert_eq!(with(6, "184000"), issued_at, "64: 0");
    assert_eq!(with(6, "18408181818100"), issued_at, "64: [[[[0]]]]");
    assert_eq!(with(6, "1840a100a100a100a100f6"), issued_at, "64: maps, 4 deep");
    assert_eq!(with(6, "1840fb3ff0000000000000"), issued_at, "64: 1.0");
    assert_eq!(with(6, "18401818"), issued_at, "64: 24");
    assert_eq!(with(6, "1840190100"), issued_at, "64: 256");
    assert_eq!(with(6, "18401a00010000"), issued_at, "64: 65,536");
    assert_eq!(with(6, "18401b0000000100000000"), issued_at, "64: 4,294,967,296");
    assert_eq!(with(6, "1b7fffffffffffffff00"), issued_at, "2^63-1: 0");
    for (entries, more, what) in [
        (6, "1840818181818100", "nested 5 deep"),
        (6, "1840c000", "tagged"),
        (6, "18409f00ff", "array of indefinite length"),
        (6, "18407f6161ff", "text of indefinite length"),
        (6, "1840bf0000ff", "map of indefinite length"),
        (6, "18401817", "23 in a byte of its own"),
        (6, "18401900ff", "255 in two bytes"),
        (6, "18401a0000ffff", "65,535 in four bytes"),
        (6, "18401b00000000ffffffff", "4,294,967,295 in eight bytes"),
        (6, "1840581700", "a length not in its shortest form"),
        (6, "18401c", "a reserved head"),
        (6, "19004000", "a key not in its shortest form"),
        (6, "18409bffffffffffffffff", "array of 2^64-1"),
        (6, "1840", "cut off after a key"),
        (6, "183f00", "63 is critical"),
        (6, "0e00", "14 is critical"),
        (6, "0e6161", "an origin in a ticket"),
        (6, "0a50b628a1b4d7337f9bfa00a4728f0114", "a cut off session_key"),
        (6, "0a4fb628a1b4d7337f9bfa00a4728f0114", "a session_key of 15 bytes"),
        (6, "0a781874696968744e637a66357636414b52796a77455568513d3d", "a session_key as text"),
        (6, "0f50b628a1b4d7337f9bfa00a4728f011485", "a session_key that is a tag alone"),
        (6, "0f71b628a1b4d7337f9bfa00a4728f01148500", "another session_key as text"),
        (7, "0a50b628a1b4d7337f9bfa00a4728f0114850f51b628a1b4d7337f9bfa00a4728f01148500", "two session_keys"),
        (6, "0b781c6f634d766f73364e6a654b4c49427167354d723951 6a787250314641", "a unionid that has to be packed"),
        (6, "0a60", "an empty session_key"),
        (6, "0a01", "a session_key that is a number"),
        (6, "0c6d383631333830303030303030 30", "a phone without plus"),
        (6, "0d60", "owner's claims as text"),
        (4, "", "an entry too many"),
        (7, "184000", "an entry too few"),
    ] {
        let more = more.replace(' ', "");
        assert!(matches!(with(entries, &more), Err(OpenError::Malformed(_))), "{what}");
    }
}

#[test]
fn a_ticket_opens_whatever_a_newer_replica_added_and_renews_without_it() {
    const NEWER: &str =
        "a60255a066542347a0049635ce1058c362a17547f0549244061a6afd865c074860c7e322d169107008191c2009001840820102";
    let ticket = open(&sealed_bytes(&hex::decode(NEWER).unwrap()), &ring()).unwrap();
    let renewed = ticket.session().seal(&ring(), ticket.app(), Purpose::Ticket, NOW, &POLICY).unwrap();
    let opened = UnverifiedTicket::parse(renewed.text().as_bytes()).unwrap();
    assert_eq!(
        opened.len_bytes(),
        MIN_BYTES + NEWER.len() / 2 - 5 + 1,
        "the claim is gone, the auth age needs a byte more"
    );
}

#[test]
fn inspection_tells_what_is_outside_and_inside() {
    let ring = ring();
    let text = sealed(&ring, &session("alice"));
    let outside = inspect::outside(&text).unwrap();
    assert_eq!((outside.version, outside.characters, outside.app_tag), (1, text.len(), app(APP).tag()));
    let inside = inspect::inside(&text, &ring, NOW, &POLICY).unwrap();
    assert_eq!((inside.purpose, inside.ticket.app().as_str(), inside.verdict), (Purpose::Ticket, APP, Ok(())));
    let late = inspect::inside(&text, &ring, NOW.plus(10_000), &POLICY).unwrap();
    assert_eq!(late.verdict, Err(OpenError::Expired { late_s: 2800 }));
    assert_eq!(late.ticket.session().openid.as_str(), "alice");
    assert!(!format!("{inside:?}").contains("tiihtNczf5v6AKRyjwEUhQ"));
    let handle = session("alice").seal(&ring, &app(APP), Purpose::LoginHandle, NOW, &POLICY).unwrap();
    assert_eq!(inspect::inside(handle.text(), &ring, NOW, &POLICY).unwrap().purpose, Purpose::LoginHandle);
    assert_eq!(inspect::inside("AAAA", &ring, NOW, &POLICY).unwrap_err(), OpenError::NotATicket("too short"));
}

prop_compose! {
    fn sessions()(
        openid in "[!-~]{1,128}|[A-Za-z0-9_-]{28}",
        unionid in prop::option::of("[!-~]{1,128}|[A-Za-z0-9_-]{28}"),
        session_key in prop::option::of("[!-~]{1,256}|[A-Za-z0-9+/]{22}=="),
        phone in prop::option::of("\\+[0-9]{5,15}"),
        owner_claims in prop::option::of(prop::collection::vec(any::<u8>(), 0..=64)),
        login_id in any::<[u8; 8]>(),
        auth_age_s in 0..POLICY.max_session_s,
    ) -> Session {
        Session {
            openid: PlatformId::parse(&openid).unwrap(),
            unionid: unionid.map(|text| PlatformId::parse(&text).unwrap()),
            session_key: session_key.map(|text| SessionKey::parse(&text).unwrap()),
            phone: phone.map(|text| PhoneNumber::parse(&text).unwrap()),
            owner_claims: owner_claims.map(|bytes| OwnerClaims::new(&bytes).unwrap()),
            login_id: LoginId(login_id),
            auth_time: NOW.minus(auth_age_s),
        }
    }
}

fn sealed_session_key(
    ring: &KeyRing,
    appid: &str,
    session: &Session,
    nonce: &[u8; NONCE_LEN],
) -> Option<SealedSessionKey> {
    let kid = ring.sealing_key(KeyUse::Ticket, NOW).unwrap().key().kid();
    let inner = ring.inner_key(kid, app(appid).tag(), NOW).unwrap();
    session.session_key.as_ref().map(|session_key| SealedSessionKey::seal(session_key, inner, nonce))
}

fn claims_bytes(session: &Session, issued_at: UnixSeconds, lifetime_s: u64) -> Vec<u8> {
    let session_key = sealed_session_key(&ring(), APP, session, &[9; NONCE_LEN]);
    encoded(session, session_key.as_ref(), issued_at, lifetime_s)
}

fn encoded(
    session: &Session,
    session_key: Option<&SealedSessionKey>,
    issued_at: UnixSeconds,
    lifetime_s: u64,
) -> Vec<u8> {
    let mut bytes = vec![0; MAX_BYTES];
    let len = wire::encode(session, session_key, None, issued_at, lifetime_s, &mut bytes);
    bytes.truncate(len);
    bytes
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_the_same_claims(session in sessions()) {
        let ring = ring();
        let opened = open(&sealed(&ring, &session), &ring).unwrap();
        let opened = opened.to_session(&ring, NOW).unwrap();
        prop_assert_eq!(claims_bytes(&opened, NOW, 60), claims_bytes(&session, NOW, 60));
    }

    #[test]
    fn a_flipped_bit_is_refused(session in sessions(), at: prop::sample::Index) {
        let ring = ring();
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed(&ring, &session)).unwrap();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(open(&URL_SAFE_NO_PAD.encode(bytes), &ring).is_err());
    }

    #[test]
    fn no_text_makes_opening_panic(text in "\\PC{0,300}|[A-Za-z0-9_-]{60,1030}") {
        prop_assert!(open(&text, &ring()).is_err());
    }

    #[test]
    fn no_bytes_behind_the_seal_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for purpose in Purpose::ALL {
            let _ = wire::decode(&bytes, purpose, 86400, &mut Claims::none());
        }
    }

    /// One byte changed in good claims: whatever is still accepted has exactly one spelling.
    #[test]
    fn accepted_claims_encode_to_themselves(session in sessions(), at: prop::sample::Index, byte: u8) {
        let mut bytes = claims_bytes(&session, NOW, 60);
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let mut claims = Claims::none();
        if wire::decode(&bytes, Purpose::Ticket, 86400, &mut claims).is_ok() {
            let again = encoded(
                &claims.session,
                claims.session_key.as_ref(),
                claims.issued_at,
                claims.lifetime_s,
            );
            // A known optional claim may have turned into a skipped one above 63; then the rest must still agree.
            prop_assert!(again == bytes || again.len() < bytes.len());
        }
    }
}
