//! What lies ahead of a ring, and what about it needs somebody's attention: for people, probes and metrics.

use std::fmt;

use super::{KeyName, KeyRing, KeyUse, RingKey};
use crate::clock::UnixSeconds;

/// A dead key stays this long before it may be deleted, in seconds: no clock is off by that much.
pub const PRUNE_AFTER_S: u64 = 3600;

/// Something about a ring that an operator should act on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Concern {
    /// No key of this use can seal, but some still open: logins are refused, checks go on.
    CannotSeal(KeyUse),
    /// No key of this use can seal or open: nothing that was ever sealed is accepted.
    AllDead(KeyUse),
    /// The last key of its use is in the last fifth of its life and nothing will follow it.
    LastFifth {
        /// The last key.
        key: KeyName,
        /// When it stops sealing.
        until: UnixSeconds,
    },
    /// A time will come in which no key of this use can seal, although the last key's life is not over then.
    Gap {
        /// The use.
        key_use: KeyUse,
        /// Its first second.
        from: UnixSeconds,
        /// Who seals next, and from when on; nobody, where all that would follow is revoked.
        next: Option<(KeyName, UnixSeconds)>,
    },
}

/// As a phrase that a warning can begin with.
impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotSeal(key_use) => write!(f, "no {key_use} key can seal"),
            Self::AllDead(key_use) => {
                write!(f, "every {key_use} key is dead or revoked: nothing can be sealed or opened")
            }
            Self::LastFifth { key, until } => {
                write!(f, "{key} is in the last fifth of its life, which ends {until}, and nothing follows it")
            }
            Self::Gap { key_use, from, next: Some((key, until)) } => {
                write!(f, "from {from} on no {key_use} key can seal until {key} starts at {until}")
            }
            Self::Gap { key_use, from, next: None } => {
                write!(f, "from {from} on no {key_use} key can seal: those that would follow are revoked")
            }
        }
    }
}

/// A change of state that will come by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data for the command line")]
pub struct Event {
    /// The first second of the new state.
    pub at: UnixSeconds,
    /// The key that changes.
    pub key: KeyName,
    /// What happens to it.
    pub step: Step,
}

/// What happens to a key.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Step {
    /// It stops sealing, and no other key of its use goes on.
    LastStopsSealing,
    /// It begins to seal; the one that sealed so far only opens from then on.
    StartsSealing,
    /// Nothing that it sealed can be alive any more.
    Dies,
    /// `keys prune` may delete its file.
    MayBePruned,
}

impl KeyRing {
    /// What an operator should act on at `now`, for every use that has a key.
    #[must_use]
    pub fn concerns(&self, now: UnixSeconds) -> Vec<Concern> {
        KeyUse::ALL.into_iter().flat_map(|key_use| self.concerns_of(key_use, now)).collect()
    }

    fn concerns_of(&self, key_use: KeyUse, now: UnixSeconds) -> Vec<Concern> {
        let mut concerns = Vec::new();
        let Some(last) = self.keys_of(key_use).next_back() else { return concerns };
        if self.sealing_key(key_use, now).is_none() {
            concerns.push(self.cannot_seal(key_use, now));
        }
        let (from, until) = (last.key().spec().seal_from, last.key().spec().seal_until);
        let last_fifth = until.minus(until.since(from) / 5);
        if !last.is_revoked() && last_fifth <= now && now < until {
            concerns.push(Concern::LastFifth { key: last.key().name(), until });
        }
        concerns.extend(self.gap_of(key_use, now));
        concerns
    }

    /// What to say of a use none of whose keys can seal.
    #[doc(hidden)]
    #[must_use]
    pub fn cannot_seal(&self, key_use: KeyUse, now: UnixSeconds) -> Concern {
        let is_there = self.keys_of(key_use).next().is_some();
        let opens = self.keys_of(key_use).any(|ring_key| ring_key.state(now).opens());
        if is_there && !opens { Concern::AllDead(key_use) } else { Concern::CannotSeal(key_use) }
    }

    /// The first time after `now` in which a key seals no more before the next one does.
    fn gap_of(&self, key_use: KeyUse, now: UnixSeconds) -> Option<Concern> {
        let starts = |ring_key: &RingKey| ring_key.key().spec().seal_from;
        let mut sealing =
            self.keys_of(key_use).filter(|key| !key.is_revoked() && key.end() > now && starts(key) < key.end());
        let mut from = sealing.next()?.end();
        for next in sealing {
            if from < starts(next) {
                return Some(Concern::Gap { key_use, from, next: Some((next.key().name(), starts(next))) });
            }
            from = next.end();
        }
        // After the last key comes the end of its life, of which its last fifth warns.
        let is_cut_short = self.keys_of(key_use).next_back().is_some_and(RingKey::is_revoked);
        is_cut_short.then_some(Concern::Gap { key_use, from, next: None })
    }

    /// When the next time begins in which no key of this use can seal before another one does, if one is to come.
    #[doc(hidden)]
    #[must_use]
    pub fn sealing_gap(&self, key_use: KeyUse, now: UnixSeconds) -> Option<UnixSeconds> {
        match self.gap_of(key_use, now)? {
            Concern::Gap { from, .. } => Some(from),
            _ => None,
        }
    }

    /// Everything that will happen after `now` if nobody touches the directory, soonest first.
    #[doc(hidden)]
    #[must_use]
    pub fn events(&self, now: UnixSeconds) -> Vec<Event> {
        let mut events: Vec<Event> = self.keys().flat_map(|ring_key| self.events_of(ring_key)).collect();
        let prunings = KeyUse::ALL.into_iter().flat_map(|key_use| self.prunings(key_use));
        events.extend(prunings.map(|(key, at)| Event { at, key, step: Step::MayBePruned }));
        events.retain(|event| event.at > now);
        events.sort_by_key(|event| (event.at, event.step, event.key));
        events
    }

    fn events_of(&self, ring_key: &RingKey) -> Vec<Event> {
        if ring_key.is_revoked() {
            return Vec::new();
        }
        let key = ring_key.key().name();
        let (from, end) = (ring_key.key().spec().seal_from, ring_key.end());
        let mut events = vec![Event { at: ring_key.dead_at(), key, step: Step::Dies }];
        if from < end {
            events.push(Event { at: from, key, step: Step::StartsSealing });
            if self.sealing_key(key.key_use, end).is_none() {
                events.push(Event { at: end, key, step: Step::LastStopsSealing });
            }
        }
        events
    }

    /// From when on each key's file may be deleted: dead for an hour, with nothing older left, and never the last.
    ///
    /// The order matters because a key ends where its successor starts: with the successor's file gone, an older key
    /// would seal again.
    fn prunings(&self, key_use: KeyUse) -> Vec<(KeyName, UnixSeconds)> {
        let mut keys: Vec<&RingKey> = self.keys_of(key_use).collect();
        keys.pop();
        let mut oldest_are_gone = UnixSeconds::default();
        let pruning = |ring_key: &RingKey| {
            oldest_are_gone = oldest_are_gone.max(ring_key.dead_at().plus(PRUNE_AFTER_S));
            (ring_key.key().name(), oldest_are_gone)
        };
        keys.into_iter().map(pruning).collect()
    }

    /// The next second in which some key changes its state.
    #[doc(hidden)]
    #[must_use]
    pub fn next_change(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        self.events(now).into_iter().find(|event| event.step != Step::MayBePruned).map(|event| event.at)
    }

    /// Keys whose files may be deleted at `now`, oldest first.
    #[doc(hidden)]
    #[must_use]
    pub fn prunable(&self, now: UnixSeconds) -> Vec<KeyName> {
        let prunings = KeyUse::ALL.into_iter().flat_map(|key_use| self.prunings(key_use));
        prunings.filter(|(_, at)| *at <= now).map(|(name, _)| name).collect()
    }
}
