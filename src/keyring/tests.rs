//! The states of keys as a table: every boundary second, every order of succession.

use proptest::prelude::*;

use super::*;
use crate::secret::KeyBytes;

const T: u64 = 1_795_000_000;
const TTL: u64 = 1000;

fn at(offset: i64) -> UnixSeconds {
    UnixSeconds::new(T.checked_add_signed(offset).unwrap())
}

fn key_of(key_use: KeyUse, secret: u8, seal_from: i64, seal_until: i64, max_ttl_s: u64) -> Key {
    let mut bytes = [0x11; 32];
    bytes[31] = secret;
    let spec = KeySpec {
        key_use,
        alg: key_use.default_alg(),
        created: at(seal_from),
        seal_from: at(seal_from),
        seal_until: at(seal_until),
        max_ttl_s,
    };
    Key::new(spec, KeyBytes::from_bytes(bytes)).unwrap()
}

fn key(secret: u8, seal_from: i64, seal_until: i64) -> Key {
    key_of(KeyUse::Ticket, secret, seal_from, seal_until, TTL)
}

/// A ring of `keys`, of which those at the places `revoked` are revoked; and their kids in the given order.
fn ring_of(keys: Vec<Key>, revoked: &[usize]) -> (KeyRing, Vec<KeyId>) {
    let kids: Vec<KeyId> = keys.iter().map(Key::kid).collect();
    let revoked = revoked.iter().map(|index| keys[*index].name()).collect();
    let keys = keys.into_iter().map(Arc::new).collect();
    let content = RingContent { keys, revoked, ..RingContent::default() };
    (KeyRing::new(content, [AppId::parse("wx1").unwrap()]).unwrap(), kids)
}

fn states(ring: &KeyRing, kids: &[KeyId], now: UnixSeconds) -> Vec<KeyState> {
    let state = |kid: &KeyId| ring.keys().find(|found| found.key().kid() == *kid).unwrap().state(now);
    kids.iter().map(state).collect()
}

/// What each key is at each second, and which of them seals.
#[track_caller]
fn check(keys: Vec<Key>, revoked: &[usize], table: &[(i64, &str, Option<usize>)]) {
    let (ring, kids) = ring_of(keys, revoked);
    for (offset, expected, sealer) in table {
        let now = at(*offset);
        let found: Vec<&str> = states(&ring, &kids, now).into_iter().map(KeyState::as_str).collect();
        assert_eq!(found.join(" "), *expected, "states at {offset}");
        let sealing = ring.sealing_key(KeyUse::Ticket, now).map(|key| key.key().kid());
        assert_eq!(sealing, sealer.map(|index| kids[index]), "sealing key at {offset}");
    }
}

#[test]
fn one_key_lives_from_pending_to_dead() {
    check(
        vec![key(1, 0, 500)],
        &[],
        &[
            (-100_000, "pending", None),
            (-1, "pending", None),
            (0, "active", Some(0)),
            (499, "active", Some(0)),
            (500, "retiring", None),
            (1559, "retiring", None),
            (1560, "dead", None),
        ],
    );
}

#[test]
fn a_successor_takes_over_in_its_first_second() {
    check(
        vec![key(1, 0, 500), key(2, 300, 900)],
        &[],
        &[
            (-1, "pending pending", None),
            (0, "active pending", Some(0)),
            (299, "active pending", Some(0)),
            (300, "retiring active", Some(1)),
            (1359, "retiring retiring", None),
            (1360, "dead retiring", None),
            (899, "retiring active", Some(1)),
            (900, "retiring retiring", None),
            (1959, "dead retiring", None),
            (1960, "dead dead", None),
        ],
    );
}

#[test]
fn two_pending_keys_take_over_one_after_the_other() {
    check(
        vec![key(3, 200, 1000), key(1, 0, 1000), key(2, 100, 1000)],
        &[],
        &[
            (99, "pending active pending", Some(1)),
            (100, "pending retiring active", Some(2)),
            (199, "pending retiring active", Some(2)),
            (200, "active retiring retiring", Some(0)),
            (1160, "retiring dead retiring", None),
        ],
    );
}

#[test]
fn of_two_keys_that_start_together_the_larger_kid_seals() {
    let (one, two) = (key(1, 0, 500), key(2, 0, 500));
    let (smaller, larger) = if one.kid() < two.kid() { (one, two) } else { (two, one) };
    check(
        vec![larger, smaller],
        &[],
        &[(-1, "pending pending", None), (0, "active retiring", Some(0)), (1060, "retiring dead", None)],
    );
}

#[test]
fn a_revoked_last_key_leaves_nobody_to_seal() {
    check(
        vec![key(1, 0, 5000), key(2, 300, 5000)],
        &[1],
        &[
            (299, "active revoked", Some(0)),
            (300, "retiring revoked", None),
            (1359, "retiring revoked", None),
            (1360, "dead revoked", None),
        ],
    );
}

#[test]
fn a_revoked_older_key_changes_nothing_for_the_last() {
    check(
        vec![key(1, 0, 5000), key(2, 300, 5000)],
        &[0],
        &[(299, "revoked pending", None), (300, "revoked active", Some(1)), (5000, "revoked retiring", None)],
    );
}

#[test]
fn a_successor_of_shorter_life_does_not_give_the_word_back() {
    check(
        vec![key(1, 0, 5000), key(2, 300, 400)],
        &[],
        &[
            (399, "retiring active", Some(1)),
            (400, "retiring retiring", None),
            (1360, "dead retiring", None),
            (1460, "dead dead", None),
            (4999, "dead dead", None),
        ],
    );
}

#[test]
fn a_late_successor_leaves_a_gap_in_which_nobody_seals() {
    check(
        vec![key(1, 0, 100), key(2, 300, 900)],
        &[],
        &[
            (99, "active pending", Some(0)),
            (100, "retiring pending", None),
            (299, "retiring pending", None),
            (300, "retiring active", Some(1)),
            (1160, "dead retiring", None),
        ],
    );
}

#[test]
fn each_key_retires_for_its_own_max_ttl() {
    check(
        vec![key_of(KeyUse::Ticket, 1, 0, 5000, 60), key_of(KeyUse::Ticket, 2, 100, 5000, 3600)],
        &[],
        &[
            (219, "retiring active", Some(1)),
            (220, "dead active", Some(1)),
            (8659, "dead retiring", None),
            (8660, "dead dead", None),
        ],
    );
}

#[test]
fn keys_of_another_use_do_not_matter() {
    check(
        vec![key(1, 0, 500), key_of(KeyUse::Jwt, 9, 100, 500, TTL)],
        &[],
        &[(100, "active active", Some(0)), (499, "active active", Some(0))],
    );
}

#[test]
fn the_end_of_time_is_not_passed() {
    let far = key(1, 0, 1).spec().seal_until;
    let spec = KeySpec { seal_until: UnixSeconds::new(u64::MAX), ..*key(1, 0, 1).spec() };
    assert_eq!(far, at(1));
    let key = Key::new(spec, KeyBytes::from_bytes(*b"0123456789abcdef0123456789abcdef")).unwrap();
    let (ring, _) = ring_of(vec![key], &[]);
    let only = ring.keys().next().unwrap();
    assert_eq!(only.state(UnixSeconds::new(u64::MAX - 1)), KeyState::Active);
    assert_eq!(only.dead_at(), UnixSeconds::new(u64::MAX));
}

#[test]
fn a_secret_may_stand_in_one_file_only() {
    let twin = key_of(KeyUse::Jwt, 1, 5, 500, TTL);
    let content = RingContent { keys: vec![Arc::new(key(1, 0, 500)), Arc::new(twin)], ..RingContent::default() };
    let error = KeyRing::new(content, []).unwrap_err();
    assert!(matches!(error, RingError::SameSecret(one, two) if one.key_use != two.key_use && one.kid == two.kid));
}

#[test]
fn apps_that_share_a_tag_are_refused() {
    // Found by trying: the first 4 bytes of SHA-256 agree.
    let (one, two) = colliding_appids();
    let apps = [AppId::parse(&one).unwrap(), AppId::parse(&two).unwrap()];
    assert_eq!(apps[0].tag(), apps[1].tag());
    let error = KeyRing::new(RingContent::default(), apps).unwrap_err();
    assert!(matches!(error, RingError::SameAppTag(..)), "{error}");
    let same_twice = [AppId::parse("wx1").unwrap(), AppId::parse("wx1").unwrap()];
    assert_eq!(KeyRing::new(RingContent::default(), same_twice).unwrap().apps().len(), 1);
}

fn colliding_appids() -> (String, String) {
    let mut seen = HashMap::new();
    (0..)
        .map(|number| format!("wx{number:016x}"))
        .find_map(|appid| {
            let tag = AppId::parse(&appid).unwrap().tag();
            seen.insert(tag, appid.clone()).map(|earlier| (earlier, appid))
        })
        .unwrap()
}

#[test]
fn concerns_say_what_an_operator_should_act_on() {
    let (ring, kids) = ring_of(vec![key(1, 0, 1000)], &[]);
    let last_fifth = Concern::LastFifth { key: KeyName { key_use: KeyUse::Ticket, kid: kids[0] }, until: at(1000) };
    assert_eq!(ring.concerns(at(-1)), [Concern::CannotSeal(KeyUse::Ticket)]);
    assert_eq!(ring.concerns(at(0)), []);
    assert_eq!(ring.concerns(at(799)), []);
    assert_eq!(ring.concerns(at(800)), [last_fifth]);
    assert_eq!(ring.concerns(at(999)), [last_fifth]);
    assert_eq!(ring.concerns(at(1000)), [Concern::CannotSeal(KeyUse::Ticket)]);
    let (ring, _) = ring_of(vec![key(1, 0, 1000), key(2, 900, 3000)], &[]);
    assert_eq!(ring.concerns(at(850)), [], "a successor is there");
    let (ring, _) = ring_of(vec![key(1, 0, 1000)], &[0]);
    assert_eq!(ring.concerns(at(900)), [Concern::AllDead(KeyUse::Ticket)]);
}

#[test]
fn a_gap_is_a_concern_wherever_it_lies() {
    let ticket = KeyUse::Ticket;
    let gap = |ring: &KeyRing, now| match ring.concerns(at(now))[..] {
        [] => None,
        [Concern::Gap { key_use: KeyUse::Ticket, from, next }] => {
            assert_eq!(ring.sealing_gap(ticket, at(now)), Some(from));
            Some((from, next))
        }
        ref others => panic!("{others:?} at {now}"),
    };
    let next = |kids: &[KeyId], index: usize, from| Some((KeyName { key_use: ticket, kid: kids[index] }, at(from)));

    // Years before the second key starts the first has ended.
    let (ring, kids) = ring_of(vec![key(1, 0, 100), key(2, 1_000_000, 2_000_000)], &[]);
    for now in [0, 50, 99] {
        assert_eq!(gap(&ring, now), Some((at(100), next(&kids, 1, 1_000_000))), "{now}");
    }
    assert_eq!(ring.concerns(at(100)), [Concern::CannotSeal(ticket)], "now it is here");
    assert_eq!(ring.concerns(at(1_000_000)), []);
    assert_eq!(
        ring.concerns(at(0))[0].to_string(),
        format!("from {} on no ticket key can seal until ticket-{} starts at {}", at(100), kids[1], at(1_000_000))
    );

    // The first key's last second is 99.
    for (starts, found) in [(99, false), (100, false), (101, true)] {
        let (ring, _) = ring_of(vec![key(1, 0, 100), key(2, starts, 2000)], &[]);
        assert_eq!(gap(&ring, 0).is_some(), found, "{starts}");
    }

    // Behind a successor without a gap.
    let (ring, kids) = ring_of(vec![key(1, 0, 100), key(2, 50, 200), key(3, 300, 2000)], &[]);
    assert_eq!(gap(&ring, 0), Some((at(200), next(&kids, 2, 300))));

    // A revoked key keeps its place: the one before it ends there, and nothing seals until the one after it.
    let (ring, kids) = ring_of(vec![key(1, 0, 1000), key(2, 400, 2000), key(3, 600, 3000)], &[1]);
    assert_eq!(gap(&ring, 0), Some((at(400), next(&kids, 2, 600))));
    let (ring, _) = ring_of(vec![key(1, 0, 1000), key(2, 400, 2000)], &[1]);
    assert_eq!(gap(&ring, 0), Some((at(400), None)));
    assert!(ring.concerns(at(0))[0].to_string().contains("those that would follow are revoked"));
    assert_eq!(ring.concerns(at(400)), [Concern::CannotSeal(ticket)]);

    // Each use has its own.
    let jwt = key_of(KeyUse::Jwt, 3, 0, 1_000_000, TTL);
    let (ring, _) = ring_of(vec![key(1, 0, 100), key(2, 500, 2000), jwt], &[]);
    assert!(gap(&ring, 0).is_some() && ring.sealing_gap(KeyUse::Jwt, at(0)).is_none());
}

#[test]
fn events_tell_what_will_happen_if_nobody_does_anything() {
    let (ring, kids) = ring_of(vec![key(1, 0, 5000), key(2, 300, 900)], &[]);
    let name = |index: usize| KeyName { key_use: KeyUse::Ticket, kid: kids[index] };
    let told: Vec<(UnixSeconds, KeyName, Step)> =
        ring.events(at(10)).into_iter().map(|event| (event.at, event.key, event.step)).collect();
    assert_eq!(
        told,
        [
            (at(300), name(1), Step::StartsSealing),
            (at(900), name(1), Step::LastStopsSealing),
            (at(1360), name(0), Step::Dies),
            (at(1960), name(1), Step::Dies),
            (at(4960), name(0), Step::MayBePruned),
        ]
    );
    assert_eq!(ring.next_change(at(300)), Some(at(900)));
    assert_eq!(ring.next_change(at(1960)), None);
}

#[test]
fn only_the_oldest_dead_keys_may_be_pruned_and_never_the_last() {
    let (ring, kids) = ring_of(vec![key(1, 0, 5000), key(2, 300, 400)], &[]);
    let pruned = |now| ring.prunable(now).into_iter().map(|name| name.kid).collect::<Vec<_>>();
    assert_eq!(pruned(at(1360 + 3599)), []);
    assert_eq!(pruned(at(1360 + 3600)), [kids[0]]);
    assert_eq!(pruned(at(1_000_000)), [kids[0]], "without the last, nobody would know that its time is over");
    let long_then_short = vec![key_of(KeyUse::Ticket, 1, 0, 5000, 900_000), key(2, 300, 400), key(3, 350, 1_000_000)];
    let (ring, _) = ring_of(long_then_short, &[]);
    assert_eq!(ring.prunable(at(100_000)), [], "the second is dead, but without it the first would seal again");
}

prop_compose! {
    fn rings()(
        keys in prop::collection::vec((-5000_i64..5000, 1_i64..5000, 60_u64..3000), 1..8),
        revoked in prop::collection::vec(any::<bool>(), 8),
    ) -> (KeyRing, Vec<KeyId>) {
        let made: Vec<Key> = (1..)
            .zip(&keys)
            .map(|(secret, (from, life, ttl))| key_of(KeyUse::Ticket, secret, *from, from + life, *ttl))
            .collect();
        let revoked: Vec<usize> = (0..made.len()).filter(|index| revoked[*index]).collect();
        ring_of(made, &revoked)
    }
}

proptest! {
    #[test]
    fn at_most_one_key_is_active_and_it_is_the_last_started((ring, kids) in rings(), offset in -6000_i64..20_000) {
        let now = at(offset);
        let active: Vec<KeyId> = kids
            .iter()
            .zip(states(&ring, &kids, now))
            .filter_map(|(kid, state)| (state == KeyState::Active).then_some(*kid))
            .collect();
        let sealing = ring.sealing_key(KeyUse::Ticket, now).map(|key| key.key().kid());
        prop_assert_eq!(active, sealing.into_iter().collect::<Vec<_>>());
        let last_started = ring.keys().rfind(|key| key.key().spec().seal_from <= now).map(|key| key.key().kid());
        prop_assert!(sealing.is_none() || sealing == last_started);
    }

    #[test]
    fn what_a_key_seals_opens_until_it_expires((ring, _) in rings(), offset in -6000_i64..6000, life in 1_u64..3000) {
        let now = at(offset);
        if let Some(key) = ring.sealing_key(KeyUse::Ticket, now) {
            let end = now.plus(life.min(key.key().spec().max_ttl_s)).plus(LEEWAY_S);
            prop_assert!(key.state(end.minus(1)).opens());
        }
    }

    #[test]
    fn pruning_never_changes_the_state_of_another_key((ring, kids) in rings(), offset in -6000_i64..30_000) {
        let now = at(offset);
        let gone = ring.prunable(now);
        let before = states(&ring, &kids, now);
        let (mut left, mut revoked) = (Vec::new(), BTreeSet::new());
        for ring_key in ring.keys().filter(|key| !gone.contains(&key.key().name())) {
            let secret = KeyBytes::from_bytes(*ring_key.key().secret().expose());
            left.push(Arc::new(Key::new(*ring_key.key().spec(), secret).unwrap()));
            revoked.extend(ring_key.is_revoked().then(|| ring_key.key().name()));
        }
        let after = KeyRing::new(RingContent { keys: left, revoked, ..RingContent::default() }, []).unwrap();
        for (kid, state) in kids.iter().zip(before) {
            if let Some(found) = after.keys().find(|key| key.key().kid() == *kid) {
                prop_assert_eq!(found.state(now), state);
            }
        }
        prop_assert!(after.keys().next().is_some());
    }
}
