//! A verifier file against the ring that it was made from.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::claims::PlatformId;
use crate::keyring::cutoffs::{Cutoff, Who};
use crate::keyring::{Alg, Key, KeyName, KeyRing, KeySpec, KeyUse, LoginId, RingContent};
use crate::ticket::Session;

const NOW: UnixSeconds = UnixSeconds::new(1_795_000_000);
const DAY: u64 = 86400;
const POLICY: Policy = Policy { ttl_s: 7200, max_session_s: 30 * DAY };
const APP: &str = "wx4f4bc4dec97d474b";
const OTHER_APP: &str = "wx0123456789abcdef";

fn app(text: &str) -> AppId {
    AppId::parse(text).unwrap()
}

/// A key that seals from `days` after [`NOW`] on, for 90 days.
fn key(byte: u8, days: i64) -> Key {
    let mut secret = [0x11; 32];
    secret[31] = byte;
    let seal_from = UnixSeconds::new(NOW.as_u64().checked_add_signed(days * 86400).unwrap());
    let spec = KeySpec {
        key_use: KeyUse::Ticket,
        alg: Alg::Xaes256Gcm,
        created: seal_from.min(NOW.minus(60)),
        seal_from,
        seal_until: seal_from.plus(90 * DAY),
        max_ttl_s: DAY,
    };
    Key::new(spec, KeyBytes::from_bytes(secret)).unwrap()
}

fn kid(byte: u8) -> KeyId {
    key(byte, 0).kid()
}

/// Three keys: retiring, active, pending.
fn content(revoked: &[KeyId], cutoffs: impl IntoIterator<Item = Who>) -> RingContent {
    let name = |kid: &KeyId| KeyName { key_use: KeyUse::Ticket, kid: *kid };
    RingContent {
        revoked: revoked.iter().map(name).collect(),
        cutoffs: Some(Arc::new(cutoffs.into_iter().map(|who| Cutoff { who, created: NOW }).collect())),
        ..RingContent::of_keys([key(1, -10), key(2, -1), key(3, 1)])
    }
}

fn ring(content: RingContent) -> KeyRing {
    KeyRing::new(content, [app(APP)]).unwrap()
}

fn file(ring: &KeyRing, made: UnixSeconds) -> String {
    encode(ring, &app(APP), "weapp", POLICY.max_session_s, made).unwrap().to_string()
}

fn verifier(ring: &KeyRing) -> AppVerifier {
    AppVerifier::parse(file(ring, NOW).as_bytes(), NOW).unwrap()
}

/// A ticket of `appid`, sealed at `at` by whichever of the keys seals then.
fn ticket(appid: &str, at: UnixSeconds, login_id: u8) -> String {
    let ring = KeyRing::new(content(&[], []), [app(APP), app(OTHER_APP)]).unwrap();
    let session = Session::new(PlatformId::parse("o-alice").unwrap(), LoginId([login_id; 8]), at);
    session.seal(&ring, &app(appid), Purpose::Ticket, at, &POLICY).unwrap().text().to_owned()
}

/// What the two say of `text`: as text, since a ticket is not compared.
fn said(result: Result<Ticket, OpenError>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |ticket| format!("{:?}", (ticket.kid(), ticket.expires_at())))
}

fn by_ring(ring: &KeyRing, text: &str, now: UnixSeconds) -> String {
    said(UnverifiedTicket::parse(text).and_then(|claimed| claimed.open(ring, Purpose::Ticket, now, &POLICY)))
}

#[test]
fn it_says_of_every_ticket_what_the_ring_says() {
    let logins = [Who::Login(LoginId([9; 8])), Who::Openid(app(APP), "o-bob".into(), NOW.plus(60))];
    let rings = [
        ring(content(&[], [])),
        ring(content(&[kid(2)], [])),
        ring(content(&[kid(1), kid(3)], logins)),
        ring(content(&[], [Who::Everybody(NOW.minus(50))])),
        ring(content(&[], [Who::App(app(APP), NOW.minus(7000)), Who::App(app(OTHER_APP), NOW.plus(60))])),
        ring(content(&[], [Who::Openid(app(APP), "o-alice".into(), NOW)])),
        ring(content(&[kid(1), kid(2), kid(3)], [])),
    ];
    let sealed_at = [NOW, NOW.minus(100), NOW.minus(7259), NOW.minus(7260), NOW.minus(2 * DAY), NOW.plus(2 * DAY)];
    let mut opened = 0;
    for ring in &rings {
        let verifier = verifier(ring);
        for (at, login_id) in sealed_at.into_iter().flat_map(|at| [(at, 7), (at, 9)]) {
            for text in [ticket(APP, at, login_id), ticket(OTHER_APP, at, login_id)] {
                for now in [NOW, NOW.plus(61), NOW.plus(2 * DAY), NOW.plus(400 * DAY)] {
                    let (one, other) = (said(verifier.open(&text, now)), by_ring(ring, &text, now));
                    assert_eq!(one, other, "sealed at {at}, now {now}");
                    opened += usize::from(one.starts_with('('));
                }
            }
        }
    }
    assert!(opened > 20, "{opened}");
}

#[test]
fn a_session_ends_as_the_file_says() {
    let file = file(&ring(content(&[], [])), NOW).replace("2592000", "3600");
    let verifier = AppVerifier::parse(file.as_bytes(), NOW).unwrap();
    let text = ticket(APP, NOW, 7);
    assert_eq!(verifier.open(&text, NOW.plus(3599)).unwrap().expires_at(), NOW.plus(3600));
    assert_eq!(verifier.open(&text, NOW.plus(3600)).unwrap_err(), OpenError::Expired { late_s: 0 });
}

#[test]
fn a_file_holds_what_one_app_needs_and_no_more() {
    let others = [Who::App(app(OTHER_APP), NOW), Who::Openid(app(OTHER_APP), "o-canary".into(), NOW)];
    let with_dead = RingContent { keys: vec![Arc::new(key(1, -200)), Arc::new(key(2, -100))], ..content(&[], others) };
    let text = file(&KeyRing::new(with_dead, [app(APP), app(OTHER_APP)]).unwrap(), NOW.minus(9 * DAY));
    assert!(text.contains(&kid(2).to_string()) && !text.contains(&kid(1).to_string()), "{text}");
    assert!(!text.contains(OTHER_APP) && !text.contains("canary"), "{text}");
    let secret = format!("{}02", "11".repeat(31));
    assert!(!text.contains(&secret), "the secret itself");
    let revoked = file(&ring(content(&[kid(2)], [])), NOW);
    assert_eq!((revoked.matches("subkey").count(), revoked.matches("seal_from").count()), (2, 3), "{revoked}");
    assert_eq!(file(&ring(content(&[], [])), NOW), file(&ring(content(&[], [])), NOW));
    assert!(encode(&ring(content(&[], [])), &app(OTHER_APP), "weapp", 1, NOW).is_none());
    assert!(serde_json::from_str::<serde_json::Value>(&revoked).is_ok());
}

#[test]
fn what_is_not_right_is_not_taken_and_says_why() {
    let good = file(&ring(content(&[kid(1)], [Who::Everybody(NOW.minus(50))])), NOW);
    let subkey = &good[good.find("subkey\":\"").unwrap() + 9..][..64];
    for (text, error) in [
        (String::new(), "no JSON object"),
        (good.replace("\"v\":1", "\"v\":2"), "version 2"),
        (good.replace("\"v\":1,", ""), "`v` is missing"),
        (good.replace("\"v\":1", "\"v\":1,\"v\":1"), "each field once"),
        (good.replace("\"verify\"", "\"ticket\""), "no verifier file"),
        (good.replace(APP, ""), "`appid` is not"),
        (good.replace("\"weapp\"", "\"\""), "`platform` is not"),
        (good.replace("2592000", "0"), "`max_session_s` is not above 0"),
        (good.replace("\"made\":\"2026", "\"made\":\"26"), "`made` is not a time"),
        (good.replace(&kid(1).to_string(), "canary"), "`revoked` is not a list of kids"),
        (good.replacen(&kid(2).to_string(), &kid(3).to_string(), 1), "stands in it twice"),
        (good.replace(subkey, &"5a".repeat(32)), "one byte repeated"),
        (good.replace(subkey, "canary"), "instead of 64"),
        (good.replace(&format!(",\"subkey\":\"{subkey}\""), ""), "`subkey` is missing"),
        (good.replace("\"max_ttl_s\":86400", "\"max_ttl_s\":59"), "outside 60 to"),
        (good.replace("\"scope\":\"all\"", "\"scope\":\"canary\""), "cut-off number 1"),
    ] {
        let message = AppVerifier::parse(text.as_bytes(), NOW).unwrap_err().to_string();
        assert!(message.contains(error) && !message.contains("canary"), "{message} should tell of {error}");
    }
    let unknown = good.replace("\"v\":1", "\"v\":1,\"note\":{\"a\":[1]}");
    assert!(AppVerifier::parse(unknown.as_bytes(), NOW).is_ok());
    assert!(!format!("{:?}", AppVerifier::parse(good.as_bytes(), NOW).unwrap()).contains(&subkey[..8]));
}

#[test]
fn power_is_taken_from_a_file_cut_at_any_byte() {
    let before = verifier(&ring(content(&[], [])));
    let text = file(&ring(content(&[kid(1), kid(2)], [Who::Login(LoginId([9; 8]))])), NOW.plus(5));
    let ends = [&kid(1).to_string(), &kid(2).to_string()].map(|kid| text.find(kid).unwrap() + 9);
    let list_ends = text.find("}],").unwrap() + 1;
    for len in 0..text.len() - 2 {
        let mut verifier = before.clone();
        let error = verifier.update(&text.as_bytes()[..len], NOW).unwrap_err();
        assert!(matches!(error, VerifierError::Shape { .. }), "{error}");
        let revoked = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(verifier.revoked().count(), revoked, "{len}");
        assert_eq!(verifier.cutoffs.count(), usize::from(list_ends <= len), "{len}");
        assert_eq!(verifier.made(), NOW);
        assert_eq!(verifier.kids().count(), 3, "the old keys stay");
    }
}

#[test]
fn a_newer_file_is_taken_and_revocations_stay() {
    let mut verifier = verifier(&ring(content(&[kid(1)], [Who::Login(LoginId([9; 8]))])));
    assert_eq!(verifier.open(ticket(APP, NOW, 9), NOW).unwrap_err(), OpenError::Revoked);
    let newer = file(&ring(content(&[], [])), NOW.plus(1));
    verifier.update(newer.as_bytes(), NOW).unwrap();
    assert!(verifier.open(ticket(APP, NOW, 9), NOW).is_ok(), "a cut-off that was removed");
    assert!(verifier.revoked().eq([kid(1)]), "no revocation comes back");

    let older = file(&ring(content(&[kid(3)], [Who::Login(LoginId([9; 8]))])), NOW);
    assert!(matches!(verifier.update(older.as_bytes(), NOW), Err(VerifierError::Older { .. })));
    assert_eq!(verifier.open(ticket(APP, NOW, 9), NOW).unwrap_err(), OpenError::Revoked);
    assert_eq!((verifier.made(), verifier.revoked().count()), (NOW.plus(1), 2));

    let others = newer.replace(APP, OTHER_APP).replace("\"revoked\":[]", &format!("\"revoked\":[\"{}\"]", kid(2)));
    assert!(matches!(verifier.update(others.as_bytes(), NOW), Err(VerifierError::OtherApp { .. })));
    assert_eq!(verifier.appid(), &app(APP));
    assert_eq!(said(verifier.open(ticket(APP, NOW, 7), NOW)), format!("{:?}", OpenError::DeadKey(kid(2))));
}

#[test]
fn a_file_that_was_made_long_ago_or_in_the_future_is_stale() {
    let mut verifier = verifier(&ring(content(&[], [])));
    for (now, max, result) in [
        (NOW.plus(600), Some(600), Ok(())),
        (NOW.plus(601), Some(600), Err(Stale::TooOld { age_s: 601 })),
        (NOW.plus(400 * DAY), None, Ok(())),
        (NOW.minus(60), Some(0), Ok(())),
        (NOW.minus(61), None, Err(Stale::FromTheFuture { ahead_s: 61 })),
    ] {
        assert_eq!(verifier.check_age(now, max), result);
    }
    // A file from a clock that was ahead does not keep the right ones out.
    verifier.update(file(&ring(content(&[], [])), NOW.plus(DAY)).as_bytes(), NOW).unwrap();
    assert!(verifier.check_age(NOW, None).is_err());
    verifier.update(file(&ring(content(&[], [])), NOW.plus(3)).as_bytes(), NOW).unwrap();
    assert_eq!(verifier.check_age(NOW, Some(600)), Ok(()));
}

proptest! {
    #[test]
    fn changed_tickets_are_refused_as_the_ring_refuses_them(
        at: prop::sample::Index,
        byte in prop::sample::select(&b"ABCQaz09-_=+ "[..]),
        cut in prop::option::of(any::<prop::sample::Index>()),
        now in 0u64..200_000,
    ) {
        let ring = ring(content(&[], []));
        let verifier = verifier(&ring);
        let mut text = ticket(APP, NOW, 7).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Some(cut) = cut {
            text.truncate(cut.index(text.len()));
        }
        let (text, now) = (String::from_utf8(text).unwrap(), NOW.plus(now).minus(100_000));
        prop_assert_eq!(said(verifier.open(&text, now)), by_ring(&ring, &text, now));
    }

    #[test]
    fn no_content_makes_reading_panic(
        text in "(\\{\"v\":1,\"use\":\"verify\",|\"revoked\":\\[|\"cutoffs\":\\[|\\]|\\}|\\{|\"a\"|:|,|\"ac1dba1c\"){0,30}",
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut verifier = verifier(&ring(content(&[], [])));
        prop_assert!(verifier.update(text.as_bytes(), NOW).is_err());
        prop_assert!(verifier.update(&bytes, NOW).is_err());
        prop_assert_eq!(verifier.kids().count(), 3);
    }
}
