//! Tickets against frozen vectors of another hand.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    now: u64,
    max_session_s: u64,
    keys: Vec<String>,
    apps: Vec<String>,
    good: Vec<Good>,
    accepted: Vec<Accepted>,
    opens_without_session_key: Vec<Accepted>,
    bad: Vec<Bad>,
}

#[derive(Deserialize)]
struct Good {
    name: String,
    key: String,
    kid: String,
    appid: String,
    nonce: String,
    claims: GoodClaims,
    plaintext: String,
    ticket: String,
    length: usize,
}

#[derive(Deserialize)]
struct GoodClaims {
    openid: String,
    unionid: Option<String>,
    session_key: Option<String>,
    issued_at: u64,
    lifetime_s: u64,
    auth_age_s: u64,
    login_id: String,
    phone: Option<String>,
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    ticket: String,
}

#[derive(Deserialize)]
struct Bad {
    name: String,
    why: String,
    error: String,
    ticket: String,
}

/// Source: an independent implementation of `docs/TICKET.md`.
fn vectors() -> (Vectors, KeyRing, Policy) {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../tests/vectors/ticket_v1.json")).unwrap();
    assert_eq!((vectors.good.len(), vectors.accepted.len(), vectors.bad.len()), (9, 5, 65));
    assert_eq!(vectors.opens_without_session_key.len(), 6);
    assert_eq!(UnixSeconds::new(vectors.now), NOW);
    let keys: Vec<&str> = vectors.keys.iter().map(String::as_str).collect();
    let apps: Vec<&str> = vectors.apps.iter().map(String::as_str).collect();
    let ring = ring_of(&keys, &apps, Cutoffs::default());
    let policy = Policy { ttl_s: 7200, max_session_s: vectors.max_session_s };
    (vectors, ring, policy)
}

#[test]
fn sealing_gives_the_tickets_of_another_implementation() {
    let (vectors, _, policy) = vectors();
    for good in vectors.good {
        let ring = ring_of(&[&good.key], &[&good.appid], Cutoffs::default());
        let claims = good.claims;
        let issued_at = UnixSeconds::new(claims.issued_at);
        let session = Session {
            openid: PlatformId::parse(&claims.openid).unwrap(),
            unionid: claims.unionid.map(|text| PlatformId::parse(&text).unwrap()),
            session_key: claims.session_key.map(|text| SessionKey::parse(&text).unwrap()),
            phone: claims.phone.map(|text| PhoneNumber::parse(&text).unwrap()),
            owner_claims: None,
            login_id: LoginId::parse(&claims.login_id).unwrap(),
            auth_time: issued_at.minus(claims.auth_age_s),
        };
        let policy = Policy { ttl_s: claims.lifetime_s, ..policy };
        let nonce = hex::decode(good.nonce).unwrap().try_into().unwrap();
        let ticket =
            session.seal_with_nonce(&ring, &app(&good.appid), Purpose::Ticket, issued_at, &policy, &nonce).unwrap();
        assert_eq!(ticket.text(), good.ticket, "{}", good.name);
        assert_eq!(ticket.text().len(), good.length, "{}", good.name);

        let mut plaintext = [0; MAX_BYTES];
        let inner = sealed_session_key(&ring, &good.appid, &session, &nonce);
        let len = wire::encode(&session, inner.as_ref(), None, issued_at, claims.lifetime_s, &mut plaintext);
        assert_eq!(hex::encode(&plaintext[..len]), good.plaintext, "{}", good.name);
        assert_eq!(UnverifiedTicket::parse(good.ticket.as_bytes()).unwrap().unverified_kid().to_string(), good.kid);
    }
}

#[test]
fn good_tickets_of_another_implementation_open() {
    let (vectors, ring, policy) = vectors();
    for good in vectors.good {
        let claimed = UnverifiedTicket::parse(good.ticket.as_bytes()).unwrap();
        let ticket = claimed.open(&ring, Purpose::Ticket, NOW, &policy).expect(&good.name);
        let (session, claims) = (ticket.session(), good.claims);
        assert_eq!(ticket.app().as_str(), good.appid, "{}", good.name);
        assert_eq!(session.openid.as_str(), claims.openid, "{}", good.name);
        assert_eq!(session.unionid.as_ref().map(PlatformId::as_str), claims.unionid.as_deref(), "{}", good.name);
        assert_eq!(session.phone.as_ref().map(PhoneNumber::as_str), claims.phone.as_deref(), "{}", good.name);
        assert_eq!(session.login_id.to_string(), claims.login_id, "{}", good.name);
        assert_eq!(ticket.issued_at().as_u64(), claims.issued_at, "{}", good.name);
        assert_eq!(session.auth_time.as_u64(), claims.issued_at - claims.auth_age_s, "{}", good.name);
        assert!(session.session_key.is_none(), "{}: opening leaves it sealed", good.name);
        let found = ticket.session_key(&ring, NOW).expect(&good.name);
        assert_eq!(found.map(|key| key_text(&key)), claims.session_key, "{}", good.name);
    }
    for accepted in vectors.accepted {
        let claimed = UnverifiedTicket::parse(accepted.ticket.as_bytes()).unwrap();
        assert!(claimed.open(&ring, Purpose::Ticket, NOW, &policy).is_ok(), "{}", accepted.name);
    }
}

fn key_text(key: &SessionKey) -> String {
    key.to_text().expose().to_owned()
}

/// They pass every check; what is sealed once more in them is no `session_key`.
#[test]
fn tickets_with_something_else_for_a_session_key_open_and_give_none() {
    let (vectors, ring, policy) = vectors();
    for vector in vectors.opens_without_session_key {
        let claimed = UnverifiedTicket::parse(vector.ticket.as_bytes()).unwrap();
        let ticket = claimed.open(&ring, Purpose::Ticket, NOW, &policy).expect(&vector.name);
        assert!(ticket.has_session_key(), "{}", vector.name);
        let error = ticket.session_key(&ring, NOW).unwrap_err();
        assert!(matches!(error, OpenError::Unauthentic | OpenError::Malformed(_)), "{}: {error}", vector.name);
        assert_eq!(ticket.to_session(&ring, NOW).unwrap_err(), error, "{}", vector.name);
    }
}

#[test]
fn bad_tickets_of_another_implementation_are_refused() {
    let (vectors, ring, policy) = vectors();
    for bad in vectors.bad {
        let result = UnverifiedTicket::parse(bad.ticket.as_bytes())
            .and_then(|claimed| claimed.open(&ring, Purpose::Ticket, NOW, &policy));
        let error = match result.map(|ticket| ticket.issued_at()) {
            Err(OpenError::Expired { .. }) => "ticket_expired",
            Err(OpenError::Revoked) => "ticket_revoked",
            Err(_) => "invalid_ticket",
            Ok(_) => "accepted",
        };
        assert_eq!(error, bad.error, "{}: {}", bad.name, bad.why);
    }
}
