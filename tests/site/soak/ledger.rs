//! What everybody may rely on at the moment: which keys are revoked, how the platform is, which tickets are out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use crate::drill::clients::Dice;
use crate::drill::http::kid_of;

/// How many tickets and codes are remembered; a newer one takes the place of any older one.
const TICKETS: usize = 4000;
const CODES: usize = 200;

/// Known to all.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Revoked kids; the time is there when the server has been seen to refuse tickets under it.
    revoked: BTreeMap<String, Option<Instant>>,
    weather: Weather,
    tickets: Vec<String>,
    codes: VecDeque<String>,
    /// Good users at work, and the key that the ticket of each is under.
    users: BTreeMap<String, Option<String>>,
}

/// How the platform is. Two equal ones mean that nothing has changed between them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Weather {
    number: u64,
    pub(super) sky: Sky,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Sky {
    /// Every login with a new code succeeds.
    #[default]
    Fine,
    /// Trouble begins or ends: a login may succeed or not.
    Changing,
    Bad(Trouble),
}

/// What can be the matter with the platform, or with the way there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Trouble {
    Hangs,
    RefusesConnections,
    Drips,
    AnswersGarbage,
    Answers500,
    CutsOff,
    IsSlow,
}

impl Trouble {
    pub(super) const ALL: [Self; 7] = [
        Self::AnswersGarbage,
        Self::Hangs,
        Self::RefusesConnections,
        Self::Drips,
        Self::Answers500,
        Self::CutsOff,
        Self::IsSlow,
    ];

    /// Whether calls of the platform may still be waiting when it is over.
    pub(super) const fn keeps_waiting(self) -> bool {
        matches!(self, Self::Hangs | Self::Drips)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Hangs => "hangs",
            Self::RefusesConnections => "refuses connections",
            Self::Drips => "answers byte by byte",
            Self::AnswersGarbage => "answers garbage",
            Self::Answers500 => "answers 500",
            Self::CutsOff => "cuts answers off",
            Self::IsSlow => "is slow",
        }
    }
}

/// What a ticket under some key is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Worth {
    Good,
    /// Its key is just being revoked.
    Either,
    Refused,
}

impl Weather {
    /// What a login with a new code may be answered, if it was so from its beginning to its end.
    pub(super) const fn logins(self) -> &'static [&'static str] {
        // Whoever is told `upstream_busy` met the stop after repeated failures.
        match self.sky {
            Sky::Fine | Sky::Bad(Trouble::IsSlow) => &["200"],
            Sky::Changing => ANY_WEATHER,
            Sky::Bad(Trouble::Hangs | Trouble::Drips) => &["504 upstream_timeout", "503 upstream_busy"],
            Sky::Bad(_) => &["502 upstream_failed", "503 upstream_busy"],
        }
    }
}

/// What a login with a new code may be answered when the platform changed meanwhile.
pub(super) const ANY_WEATHER: &[&str] = &["200", "504 upstream_timeout", "503 upstream_busy", "502 upstream_failed"];

impl Ledger {
    pub(super) fn weather(&self) -> Weather {
        self.known().weather
    }

    pub(super) fn set_sky(&self, sky: Sky) {
        let mut known = self.known();
        known.weather = Weather { number: known.weather.number + 1, sky };
    }

    /// From now on, tickets under `kid` may be refused.
    pub(super) fn revoking(&self, kid: &str) {
        let mut known = self.known();
        known.revoked.insert(kid.to_owned(), None);
        known.tickets.retain(|ticket| kid_of(ticket) != kid);
    }

    /// From now on, they must be.
    pub(super) fn revoked(&self, kid: &str) {
        self.known().revoked.insert(kid.to_owned(), Some(Instant::now()));
    }

    /// The worth of a ticket under `kid` that was shown at `shown`, now that there is an answer.
    pub(super) fn worth(&self, kid: &str, shown: Instant) -> Worth {
        match self.known().revoked.get(kid) {
            None => Worth::Good,
            Some(Some(since)) if shown > *since => Worth::Refused,
            Some(_) => Worth::Either,
        }
    }

    /// A good user got this ticket.
    pub(super) fn issued(&self, ticket: &str, dice: &mut Dice) {
        let mut known = self.known();
        if known.revoked.contains_key(&kid_of(ticket)) {
            return;
        }
        if known.tickets.len() < TICKETS {
            known.tickets.push(ticket.to_owned());
        } else {
            ticket.clone_into(&mut known.tickets[dice.roll(TICKETS)]);
        }
    }

    /// All tickets that must be good, superseded ones among them.
    pub(super) fn tickets(&self) -> Vec<String> {
        self.known().tickets.clone()
    }

    /// One of them. There is one after the first login.
    pub(super) fn ticket(&self, dice: &mut Dice) -> Option<String> {
        let known = self.known();
        known.tickets.get(dice.roll(known.tickets.len())).cloned()
    }

    /// A good user has this ticket now, or none.
    pub(super) fn has(&self, user: &str, ticket: Option<&str>) {
        self.known().users.insert(user.to_owned(), ticket.map(kid_of));
    }

    /// A good user has gone.
    pub(super) fn left(&self, user: &str) {
        self.known().users.remove(user);
    }

    /// Whether each good user has a good ticket.
    pub(super) fn all_are_logged_in(&self) -> bool {
        let known = self.known();
        known.users.values().all(|kid| kid.as_ref().is_some_and(|kid| !known.revoked.contains_key(kid)))
    }

    /// A code is spent.
    pub(super) fn spent(&self, code: &str) {
        let mut known = self.known();
        known.codes.push_back(code.to_owned());
        if known.codes.len() > CODES {
            known.codes.pop_front();
        }
    }

    pub(super) fn spent_code(&self, dice: &mut Dice) -> Option<String> {
        let known = self.known();
        known.codes.get(dice.roll(known.codes.len())).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap()
    }
}
