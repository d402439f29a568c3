//! Hand-overs: for one page, with nothing in them that does not belong there.

use super::*;

const PAGE: &str = "https://h5.example.com";

fn origin(text: &str) -> WebOrigin {
    WebOrigin::parse(text).unwrap()
}

/// A login with everything that a ticket can hold.
fn full_session() -> Session {
    Session {
        phone: Some(PhoneNumber::parse("+8613800000000").unwrap()),
        owner_claims: Some(OwnerClaims::new(b"uid=1001").unwrap()),
        ..session("oGZUI0egBJY1zhBYw2KhdUfwVJJE")
    }
}

fn handed_over(session: &Session, page: &str) -> String {
    session.seal_handover(&ring(), &app(APP), &origin(page), NOW, &POLICY).unwrap().text().to_owned()
}

fn taken(text: &str, page: &str, now: UnixSeconds) -> Result<Ticket, OpenError> {
    UnverifiedTicket::parse(text.as_bytes())?.open_handover(&ring(), &origin(page), now, &POLICY)
}

#[test]
fn a_page_gets_the_login_without_session_key_and_phone() {
    let text = handed_over(&full_session(), PAGE);
    let opened = taken(&text, PAGE, NOW).unwrap();
    let (found, expected) = (opened.session(), full_session());
    assert_eq!(
        (found.openid, found.unionid, found.owner_claims),
        (expected.openid, expected.unionid, expected.owner_claims)
    );
    assert_eq!((found.login_id, found.auth_time), (expected.login_id, expected.auth_time));
    assert!(found.session_key.is_none() && found.phone.is_none());
    assert_eq!(opened.origin(), Some(&origin(PAGE)));
    assert_eq!(opened.expires_at(), NOW.plus(60));
}

#[test]
fn a_hand_over_lives_for_a_minute_and_the_leeway() {
    let text = handed_over(&full_session(), PAGE);
    assert!(taken(&text, PAGE, NOW.plus(119)).is_ok());
    assert_eq!(taken(&text, PAGE, NOW.plus(120)).unwrap_err(), OpenError::Expired { late_s: 60 });
    assert_eq!(taken(&text, PAGE, NOW.minus(61)).unwrap_err(), OpenError::FromTheFuture { ahead_s: 61 });
    assert_eq!(taken(&text, "https://evil.example", NOW.plus(120)).unwrap_err(), OpenError::OtherOrigin);
}

#[test]
fn a_hand_over_is_for_one_page_byte_by_byte() {
    let text = handed_over(&full_session(), PAGE);
    for other in ["http://h5.example.com", "https://h5.example.com:443", "https://H5.example.com", "null"] {
        assert_eq!(taken(&text, other, NOW).unwrap_err(), OpenError::OtherOrigin, "{other}");
    }
    assert!(WebOrigin::parse("").is_err() && WebOrigin::parse("https://a b").is_err());
    assert!(WebOrigin::parse(&"o".repeat(129)).is_err());
    let longest = "o".repeat(128);
    assert!(taken(&handed_over(&full_session(), &longest), &longest, NOW).is_ok());
}

#[test]
fn a_hand_over_is_no_ticket_and_nothing_else_is_a_hand_over() {
    let ring = ring();
    let text = handed_over(&full_session(), PAGE);
    for purpose in [Purpose::Ticket, Purpose::LoginHandle, Purpose::PhoneProof] {
        let opened = UnverifiedTicket::parse(text.as_bytes()).unwrap().open(&ring, purpose, NOW, &POLICY);
        assert_eq!(opened.unwrap_err(), OpenError::Unauthentic, "{purpose:?}");
        let other = full_session().seal(&ring, &app(APP), purpose, NOW, &POLICY).unwrap();
        assert_eq!(taken(other.text(), PAGE, NOW).unwrap_err(), OpenError::Unauthentic, "{purpose:?}");
    }
    let refused = full_session().seal(&ring, &app(APP), Purpose::Handover, NOW, &POLICY);
    assert_eq!(refused.unwrap_err(), SealError::NoOrigin);
    let elsewhere = ring_of(&SECRETS, &[OTHER_APP], Cutoffs::default());
    let opened = UnverifiedTicket::parse(text.as_bytes()).unwrap();
    let opened = opened.open_handover(&elsewhere, &origin(PAGE), NOW, &POLICY);
    assert!(matches!(opened, Err(OpenError::UnknownApp(_))), "{opened:?}");
}

#[test]
fn a_hand_over_holds_an_origin_and_neither_session_key_nor_phone() {
    const USUAL: &str = "0255a066542347a0049635ce1058c362a17547f0549244061a6afd865c074860c7e322d16910700818780900";
    let with = |entries: u8, more: &str| {
        let plaintext = hex::decode(format!("{:02x}{USUAL}{more}", 0xa0 | entries)).unwrap();
        let text = sealed_bytes_for(Purpose::Handover, &plaintext);
        UnverifiedTicket::parse(text.as_bytes()).unwrap().open(&ring(), Purpose::Handover, NOW, &POLICY).map(drop)
    };
    let page = format!("0e76{}", hex::encode(PAGE));
    assert_eq!(with(6, &page), Ok(()));
    assert_eq!(with(7, &format!("{page}184000")), Ok(()), "64: 0");
    for (entries, more, what) in [
        (5, String::new(), "no origin"),
        (7, format!("0a50b628a1b4d7337f9bfa00a4728f011485{page}"), "a session_key"),
        (7, format!("0c6e2b38363133383030303030303030{page}"), "a phone number"),
        (6, format!("0e56{}", hex::encode(PAGE)), "an origin as bytes"),
        (6, "0e60".to_owned(), "an empty origin"),
        (6, "0e612f20".to_owned(), "a space after it"),
        (6, "0e6120".to_owned(), "a space for an origin"),
        (6, format!("0e7881{}", "6f".repeat(129)), "an origin of 129 characters"),
        (7, format!("{page}0f51{}", "00".repeat(17)), "another session_key"),
        (7, format!("{page}1000"), "16 is critical"),
        (7, format!("{page}{page}"), "two origins"),
    ] {
        assert!(matches!(with(entries, &more), Err(OpenError::Malformed(_))), "{what}");
    }
}

/// Made by the Python program of `docs/TICKET.md` section 7, turned around, for the purpose `handover`.
#[test]
fn a_hand_over_of_another_implementation_opens() {
    const TEXT: &str = "AawduhxZ1-yKAAECAwQFBgcICQoLDA0ODxAREhMUFRYXkBwBLNwxWQkZ8ARB3NOeFvg4wYY2Te4txLeKJTBdvLHu8_8hBJ0-avb9IjUYpYzKVwCQqHYjqfQQ8Vms9IsCQZOioGm0mqDGyzX9ItRvPmR3qNejwQXwiEL4NeB2Fo1Y7PSN7xapbZqQKCw-";
    let session = Session { session_key: None, ..session("oGZUI0egBJY1zhBYw2KhdUfwVJJE") };
    let opened = taken(TEXT, PAGE, NOW).unwrap();
    assert_eq!((opened.session().openid, opened.session().unionid), (session.openid, session.unionid));
    let nonce = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let page = origin(PAGE);
    let content = sealed::SealedContent { session: &session, origin: Some(&page) };
    let again = content.seal_with_nonce(&ring(), &app(APP), Purpose::Handover, NOW, &POLICY, &nonce).unwrap();
    assert_eq!(again.text(), TEXT);
}

#[test]
fn an_inspection_tells_a_hand_over_and_its_page() {
    let text = handed_over(&full_session(), PAGE);
    let inside = inspect::inside(&text, &ring(), NOW, &POLICY).unwrap();
    assert_eq!((inside.purpose, inside.ticket.origin()), (Purpose::Handover, Some(&origin(PAGE))));
    assert_eq!(inside.verdict, Ok(()));
}
