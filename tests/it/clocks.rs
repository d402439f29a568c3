//! Replicas whose clocks differ: whatever they do to a session within a minute of each other, it stays one session.
//!
//! Time runs in milliseconds, replicas see whole seconds: what is cut off at 0.8 s may have logged in at 0.6 s.

use std::sync::Arc;

use auth_ticket::claims::PlatformId;
use auth_ticket::clock::{LEEWAY_S, UnixSeconds};
use auth_ticket::keyring::cutoffs::{Cutoff, Who};
use auth_ticket::keyring::{AppId, Cutoffs, Key, KeyRing, KeySpec, KeyUse, LoginId, Purpose, RingContent};
use auth_ticket::ticket::{OpenError, Policy, SealError, Session, Ticket, UnverifiedTicket};
use proptest::prelude::*;

const START_MS: i64 = 1_795_000_000_000;
const LEEWAY_MS: i64 = 60_000;
const REPLICAS: usize = 3;
/// Beside the replicas' there is the clock of whoever types commands.
const OPERATOR: usize = REPLICAS;
const USERS: [&str; 3] = ["user-0", "user-1", "ocMvos6NjeKLIBqg5Mr9QjxrP1FA"];

#[derive(Clone, Debug)]
enum Act {
    Login { replica: usize, user: usize },
    Renew { replica: usize, ticket: usize },
    Check { replica: usize, ticket: usize },
    CutOff { whom: Whom, back_s: u64, known_to: [bool; REPLICAS] },
    Rotate { lead_s: u64 },
}

#[derive(Clone, Debug)]
enum Whom {
    Everybody,
    App,
    User(usize),
    Login(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let (replica, ticket, user) = (0..REPLICAS, 0..64_usize, 0..USERS.len());
    let whom = prop_oneof![
        1 => Just(Whom::Everybody),
        1 => Just(Whom::App),
        3 => user.clone().prop_map(Whom::User),
        3 => ticket.clone().prop_map(Whom::Login),
    ];
    // 0 is the default of `cutoff add`, the rest an explicit time.
    let back_s = prop_oneof![3 => Just(0), 1 => 0..200_u64];
    prop_oneof![
        4 => (replica.clone(), user).prop_map(|(replica, user)| Act::Login { replica, user }),
        4 => (replica.clone(), ticket.clone()).prop_map(|(replica, ticket)| Act::Renew { replica, ticket }),
        4 => (replica, ticket).prop_map(|(replica, ticket)| Act::Check { replica, ticket }),
        2 => (whom, back_s, any::<[bool; REPLICAS]>())
            .prop_map(|(whom, back_s, known_to)| Act::CutOff { whom, back_s, known_to }),
        1 => prop_oneof![Just(0), 0..120_u64].prop_map(|lead_s| Act::Rotate { lead_s }),
    ]
}

/// How far each clock is ahead, in milliseconds: any, or any that differ by no more than the leeway.
fn clocks() -> impl Strategy<Value = [i64; REPLICAS + 1]> {
    let any_clocks = || any::<[prop::sample::Index; REPLICAS + 1]>();
    let spread = |from: i64, width: usize| {
        any_clocks().prop_map(move |indices| indices.map(|index| from + i64::try_from(index.index(width + 1)).unwrap()))
    };
    let edges = prop::array::uniform4(prop_oneof![Just(-30_000), Just(30_000), -30_000..=30_000_i64]);
    prop_oneof![spread(-60_000, 120_000), spread(-60_000, 60_000), spread(0, 60_000), edges]
}

/// A ticket, and what must be true of it.
struct Issued {
    text: String,
    user: usize,
    login_id: LoginId,
    auth_time: UnixSeconds,
    expires_at: UnixSeconds,
    /// The clock that its login went by.
    login_clock: usize,
    login_at_ms: i64,
}

struct Cut {
    who: Who,
    known_to: [bool; REPLICAS],
    made_at_ms: i64,
    /// Made without an explicit time.
    by_default: bool,
}

struct World {
    now_ms: i64,
    clocks: [i64; REPLICAS + 1],
    policy: Policy,
    max_ttl_s: u64,
    app: AppId,
    keys: Vec<Arc<Key>>,
    cuts: Vec<Cut>,
    rings: Vec<KeyRing>,
    issued: Vec<Issued>,
}

impl World {
    fn new(clocks: [i64; REPLICAS + 1], policy: Policy, max_ttl_s: u64) -> Self {
        let app = AppId::parse("wx0123456789abcdef").unwrap();
        let mut world = Self {
            now_ms: START_MS,
            clocks,
            policy,
            max_ttl_s,
            app,
            keys: Vec::new(),
            cuts: Vec::new(),
            rings: Vec::new(),
            issued: Vec::new(),
        };
        let created = world.now(OPERATOR);
        // As `keys init` does.
        world.add_key(created, created.minus(LEEWAY_S));
        world
    }

    fn now(&self, clock: usize) -> UnixSeconds {
        UnixSeconds::new(u64::try_from((self.now_ms + self.clocks[clock]).div_euclid(1000)).unwrap())
    }

    /// Whether two clocks differ by no more than they may.
    fn agree(&self, one: usize, other: usize) -> bool {
        (self.clocks[one] - self.clocks[other]).abs() <= LEEWAY_MS
    }

    fn add_key(&mut self, created: UnixSeconds, seal_from: UnixSeconds) {
        let key_use = KeyUse::Ticket;
        let seal_until = seal_from.plus(90 * 86400);
        let alg = key_use.default_alg();
        let spec = KeySpec { key_use, alg, created, seal_from, seal_until, max_ttl_s: self.max_ttl_s };
        self.keys.push(Arc::new(Key::generate(spec).unwrap()));
        self.make_rings();
    }

    fn make_rings(&mut self) {
        self.rings = (0..REPLICAS)
            .map(|replica| {
                let known = self.cuts.iter().filter(|cut| cut.known_to[replica]);
                let cutoffs: Cutoffs =
                    known.map(|cut| Cutoff { who: cut.who.clone(), created: self.now(OPERATOR) }).collect();
                let cutoffs = Some(Arc::new(cutoffs));
                let mut content = RingContent::default();
                (content.keys, content.cutoffs) = (self.keys.clone(), cutoffs);
                KeyRing::new(content, [self.app.clone()]).unwrap()
            })
            .collect();
    }

    fn open(&self, issued: &Issued, replica: usize) -> Result<Ticket, OpenError> {
        let now = self.now(replica);
        UnverifiedTicket::parse(issued.text.as_bytes())?.open(&self.rings[replica], Purpose::Ticket, now, &self.policy)
    }

    fn session_end(&self, auth_time: UnixSeconds) -> UnixSeconds {
        auth_time.plus(self.policy.max_session_s)
    }

    /// Whether a cut-off that `replica` has is about this login, by what was promised and not by what is compared.
    fn must_refuse(&self, issued: &Issued, replica: usize) -> bool {
        self.cuts.iter().filter(|cut| cut.known_to[replica]).any(|cut| {
            let (named, before) = match &cut.who {
                Who::Everybody(before) | Who::App(_, before) => (true, *before),
                Who::Openid(_, openid, before) => (**openid == *USERS[issued.user], *before),
                Who::Login(login_id) => return *login_id == issued.login_id,
            };
            let had_happened =
                cut.by_default && issued.login_at_ms <= cut.made_at_ms && self.agree(issued.login_clock, OPERATOR);
            named && (had_happened || issued.auth_time < before)
        })
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Login { replica, user } => self.login(*replica, *user),
            Act::Renew { replica, ticket } => self.renew(*replica, *ticket),
            Act::Check { replica, ticket } => {
                if let Some(issued) = pick(&self.issued, *ticket) {
                    let _ = self.check(issued, *replica);
                }
            }
            Act::CutOff { whom, back_s, known_to } => self.cut_off(whom, *back_s, *known_to),
            Act::Rotate { lead_s } => self.add_key(self.now(OPERATOR), self.now(OPERATOR).plus(*lead_s)),
        }
    }

    fn login(&mut self, replica: usize, user: usize) {
        let (now, login_id) = (self.now(replica), LoginId::generate().unwrap());
        let openid = PlatformId::parse(USERS[user]).unwrap();
        let session = Session::new(openid, login_id, now);
        if session.is_cut_off(&self.rings[replica], &self.app) {
            return;
        }
        let sealed = session.seal(&self.rings[replica], &self.app, Purpose::Ticket, now, &self.policy);
        match sealed {
            Ok(sealed) => {
                let issued = Issued {
                    text: sealed.text().to_owned(),
                    user,
                    login_id,
                    auth_time: now,
                    expires_at: sealed.expires_at(),
                    login_clock: replica,
                    login_at_ms: self.now_ms,
                };
                self.put(issued, replica);
            }
            Err(SealError::NoSealingKey) => assert!(!self.agree(replica, OPERATOR), "the first key seals everywhere"),
            Err(error) => panic!("{error}"),
        }
    }

    fn renew(&mut self, replica: usize, ticket: usize) {
        let Some(old) = pick(&self.issued, ticket) else { return };
        let Ok(opened) = self.open(old, replica) else { return };
        let now = self.now(replica);
        match opened.session().seal(&self.rings[replica], opened.app(), Purpose::Ticket, now, &self.policy) {
            Ok(sealed) => {
                let (user, login_id, auth_time) = (old.user, old.login_id, old.auth_time);
                let (login_clock, login_at_ms) = (old.login_clock, old.login_at_ms);
                let (text, expires_at) = (sealed.text().to_owned(), sealed.expires_at());
                self.put(Issued { text, user, login_id, auth_time, expires_at, login_clock, login_at_ms }, replica);
            }
            Err(SealError::NoSealingKey) => assert!(!self.agree(replica, OPERATOR)),
            Err(SealError::SessionOver) => {
                let end = now.plus(self.policy.ttl_s.min(self.max_ttl_s)).min(self.session_end(old.auth_time));
                assert!(end <= now.max(old.auth_time), "nothing was left that a ticket could live");
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A new ticket is within its bounds, and good at once wherever the clock allows it.
    fn put(&mut self, issued: Issued, sealer: usize) {
        let now = self.now(sealer);
        assert!(issued.expires_at <= self.session_end(issued.auth_time), "no ticket outlives its session");
        assert!(issued.expires_at <= now.plus(self.policy.ttl_s), "no ticket lives longer than the ttl");
        assert!(issued.expires_at <= now.plus(self.max_ttl_s), "no ticket lives longer than its key allows");
        for replica in 0..REPLICAS {
            let result = self.check(&issued, replica);
            let session_over = self.now(replica) >= self.session_end(issued.auth_time);
            // A renewal is not issued before its login was, by whichever clock.
            let in_step = self.agree(sealer, replica) && self.agree(issued.login_clock, replica);
            if in_step && !session_over && !self.must_refuse(&issued, replica) {
                assert!(result.is_ok(), "a new ticket is refused by {replica}: {result:?}");
            }
        }
        self.issued.push(issued);
    }

    /// What `replica` says of it now is what was promised.
    fn check(&self, issued: &Issued, replica: usize) -> Result<(), OpenError> {
        let (now, result) = (self.now(replica), self.open(issued, replica));
        let result = match result {
            Ok(ticket) => {
                let session = ticket.session();
                assert_eq!(session.login_id, issued.login_id);
                assert_eq!(session.auth_time, issued.auth_time);
                assert_eq!(session.openid.as_str(), USERS[issued.user]);
                assert_eq!(ticket.expires_at(), issued.expires_at);
                assert!(now < self.session_end(issued.auth_time), "accepted after the session's end");
                assert!(now < issued.expires_at.plus(LEEWAY_S), "accepted after its end");
                assert!(!self.must_refuse(issued, replica), "accepted although cut off");
                return Ok(());
            }
            Err(error) => Err(error),
        };
        let cut_off = self.must_refuse(issued, replica);
        let clocks_agree = (0..=REPLICAS).all(|one| (0..=REPLICAS).all(|other| self.agree(one, other)));
        let alive = now < issued.expires_at && now < self.session_end(issued.auth_time);
        assert!(!(clocks_agree && alive && !cut_off), "refused without a reason: {result:?}");
        match &result {
            Err(OpenError::FromTheFuture { ahead_s }) => assert!(!clocks_agree && *ahead_s > LEEWAY_S),
            Err(OpenError::Revoked) => assert!(cut_off),
            Err(OpenError::Expired { .. } | OpenError::DeadKey(_)) => {}
            other => panic!("{other:?}"),
        }
        result
    }

    fn cut_off(&mut self, whom: &Whom, back_s: u64, known_to: [bool; REPLICAS]) {
        // As `cutoff add` does: the present second has begun, and the leeway is counted from its end.
        let before = self.now(OPERATOR).plus(1).plus(LEEWAY_S).minus(back_s);
        let who = match whom {
            Whom::Everybody => Who::Everybody(before),
            Whom::App => Who::App(self.app.clone(), before),
            Whom::User(user) => Who::Openid(self.app.clone(), USERS[*user].into(), before),
            Whom::Login(ticket) => match pick(&self.issued, *ticket) {
                Some(issued) => Who::Login(issued.login_id),
                None => return,
            },
        };
        self.cuts.push(Cut { who, known_to, made_at_ms: self.now_ms, by_default: back_s == 0 });
        self.make_rings();
    }
}

fn pick(issued: &[Issued], number: usize) -> Option<&Issued> {
    issued.get(number.checked_rem(issued.len())?)
}

proptest! {
    #[test]
    fn a_session_stays_one_session_on_replicas_whose_clocks_differ(
        clocks in clocks(),
        ttl_s in prop_oneof![Just(60), 60..600_u64],
        max_session_s in prop_oneof![Just(600), 600..3600_u64],
        max_ttl_s in prop_oneof![Just(60), 60..600_u64],
        acts in prop::collection::vec((prop_oneof![Just(0), 0..1000_i64, 0..60_000_i64], act()), 1..40),
    ) {
        let mut world = World::new(clocks, Policy { ttl_s, max_session_s }, max_ttl_s);
        for (wait_ms, act) in &acts {
            world.now_ms += wait_ms;
            world.act(act);
        }
        for issued in &world.issued {
            for replica in 0..REPLICAS {
                // Promises are inside.
                let _ = world.check(issued, replica);
            }
        }
    }
}
