//! What all benches measure with: one app, keys that last, the ticket of a usual login.

use std::sync::Arc;

use auth_ticket::claims::{PlatformId, SessionKey};
use auth_ticket::clock::UnixSeconds;
use auth_ticket::keyring::{AppId, Cutoffs, Key, KeyRing, KeySpec, KeyUse, LoginId, Purpose, RingContent};
use auth_ticket::ticket::{Policy, Session};

pub(crate) const NOW: UnixSeconds = UnixSeconds::new(1_795_000_000);
pub(crate) const POLICY: Policy = Policy { ttl_s: 7200, max_session_s: 30 * 86400 };

pub(crate) fn app() -> AppId {
    AppId::parse("wx0123456789abcdef").expect("an appid")
}

/// A ticket key that has sealed for `age_s`.
pub(crate) fn spec(age_s: u64) -> KeySpec {
    let seal_from = NOW.minus(age_s);
    KeySpec {
        key_use: KeyUse::Ticket,
        alg: KeyUse::Ticket.default_alg(),
        created: seal_from,
        seal_from,
        seal_until: seal_from.plus(90 * 86400),
        max_ttl_s: 86400,
    }
}

/// `count` keys, of which the last seals.
pub(crate) fn keys(count: u64) -> Vec<Arc<Key>> {
    (1..=count).rev().map(|age| Arc::new(Key::generate(spec(age * 60)).expect("a key"))).collect()
}

pub(crate) fn ring(keys: Vec<Arc<Key>>, cutoffs: Option<Arc<Cutoffs>>) -> KeyRing {
    let mut content = RingContent::default();
    (content.keys, content.cutoffs) = (keys, cutoffs);
    KeyRing::new(content, [app()]).expect("a ring")
}

/// What the platform tells of a user whose app is bound to others of its owner.
pub(crate) fn session() -> Session {
    let openid = PlatformId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").expect("an openid");
    let mut session = Session::new(openid, LoginId::generate().expect("randomness"), NOW);
    session.unionid = Some(PlatformId::parse("ocMvos6NjeKLIBqg5Mr9QjxrP1FA").expect("a unionid"));
    session.session_key = Some(SessionKey::parse("tiihtNczf5v6AKRyjwEUhQ==").expect("a session_key"));
    session
}

/// 182 characters.
pub(crate) fn ticket(ring: &KeyRing) -> String {
    session().seal(ring, &app(), Purpose::Ticket, NOW, &POLICY).expect("a ticket").text().to_owned()
}
