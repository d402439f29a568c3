//! Reasons in `/readyz` that only inform: the status stays what it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixSeconds;
use crate::keyring::KeyId;

/// A kid that tickets named so often within [`FORGOTTEN_S`] is worth a line; a few may come from old clients.
const OFTEN: u32 = 20;
/// Most unknown kids that are watched at once. Strangers can forge kids; further ones replace each other.
const WATCHED: usize = 256;
/// A kid that nobody has named for so long is forgotten.
const FORGOTTEN_S: u64 = 300;
/// Between two warnings of unknown kids, whichever they are, in seconds.
const BETWEEN_WARNINGS_S: u64 = 60;
/// So many unknown kids are named in `/readyz`.
const NAMED: usize = 5;

/// An interface of an app's platform: its appid and a name for operators.
type InterfaceOfApp = (String, &'static str);

/// All of them. What is noted is bounded: by apps and interfaces, and by [`WATCHED`].
#[derive(Debug, Default)]
pub(crate) struct Notices {
    refusals: Mutex<BTreeMap<InterfaceOfApp, String>>,
    pauses: Mutex<BTreeMap<InterfaceOfApp, String>>,
    kids: Mutex<UnknownKids>,
}

impl Notices {
    /// The platform refuses this server, or does so no longer. True if that is news.
    pub(crate) fn refusal(&self, appid: &str, call: &'static str, why: Option<String>) -> bool {
        let mut refusals = locked(&self.refusals);
        match why {
            Some(why) => refusals.insert((appid.to_owned(), call), why.clone()) != Some(why),
            // So it is nearly always.
            None if refusals.is_empty() => false,
            None => refusals.remove(&(appid.to_owned(), call)).is_some(),
        }
    }

    /// An interface is left alone for a while because of its last failure, or used again.
    pub(crate) fn pause(&self, appid: &str, call: &'static str, cause: Option<String>) {
        let (mut pauses, call) = (locked(&self.pauses), (appid.to_owned(), call));
        match cause {
            Some(cause) => pauses.insert(call, cause),
            None => pauses.remove(&call),
        };
    }

    /// A ticket named a kid that the ring does not hold. True when that is worth a warning: once for a kid that comes often.
    pub(crate) fn unknown_kid(&self, kid: KeyId, now: UnixSeconds) -> bool {
        // Under contention the kid is not counted: no request waits for something that only informs.
        self.kids.try_lock().is_ok_and(|mut kids| kids.saw(kid, now))
    }

    /// One phrase each. `is_known` is asked about kids, which may have come since.
    pub(crate) fn reasons(&self, now: UnixSeconds, is_known: impl Fn(KeyId) -> bool) -> Vec<String> {
        let refusals: Vec<String> =
            locked(&self.refusals).iter().map(|((appid, call), why)| format!("app {appid}, {call}: {why}")).collect();
        let pause = |((appid, call), cause): (&InterfaceOfApp, &String)| {
            format!("app {appid}, {call}: the platform does not answer, its circuit breaker is open: {cause}")
        };
        let pauses = locked(&self.pauses).iter().map(pause).collect();
        let kids: Vec<KeyId> = locked(&self.kids).often(now).filter(|kid| !is_known(*kid)).collect();
        let missing = |kid: &KeyId| format!("many tickets name key {kid}, which this replica does not have");
        let mut unknown: Vec<String> = kids.iter().take(NAMED).map(missing).collect();
        if let Some(more @ 1..) = kids.len().checked_sub(NAMED) {
            unknown.push(format!("and {more} more keys that this replica does not have"));
        }
        [refusals, pauses, unknown].concat()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Notes are added and removed whole: a panic elsewhere leaves nothing half-done in them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kids that tickets named and no key has.
#[derive(Debug, Default)]
struct UnknownKids {
    seen: Vec<SeenKid>,
    warned: Option<UnixSeconds>,
}

#[derive(Debug)]
struct SeenKid {
    kid: KeyId,
    times: u32,
    last: UnixSeconds,
    warned: bool,
}

impl SeenKid {
    const fn first(kid: KeyId, now: UnixSeconds) -> Self {
        Self { kid, times: 1, last: now, warned: false }
    }

    const fn is_forgotten(&self, now: UnixSeconds) -> bool {
        now.since(self.last) > FORGOTTEN_S
    }
}

impl UnknownKids {
    fn saw(&mut self, kid: KeyId, now: UnixSeconds) -> bool {
        let may_warn = self.warned.is_none_or(|at| now.since(at) >= BETWEEN_WARNINGS_S);
        let found = self.seen.iter_mut().find(|seen| seen.kid == kid && !seen.is_forgotten(now));
        let Some(seen) = found else {
            self.watch(SeenKid::first(kid, now), now);
            return false;
        };
        seen.times = seen.times.saturating_add(1);
        seen.last = now;
        if seen.times < OFTEN || seen.warned || !may_warn {
            return false;
        }
        seen.warned = true;
        self.warned = Some(now);
        true
    }

    /// In a new place, or in that of the kid that came least often: one that many users have holds its place.
    fn watch(&mut self, new: SeenKid, now: UnixSeconds) {
        self.seen.retain(|seen| !seen.is_forgotten(now));
        if self.seen.len() < WATCHED {
            self.seen.push(new);
        } else if let Some(rarest) = self.seen.iter_mut().min_by_key(|seen| (seen.times, seen.last)) {
            *rarest = new;
        }
    }

    fn often(&self, now: UnixSeconds) -> impl Iterator<Item = KeyId> {
        self.seen.iter().filter(move |seen| seen.times >= OFTEN && !seen.is_forgotten(now)).map(|seen| seen.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_000_000);

    fn kid(number: u32) -> KeyId {
        KeyId::parse(&format!("{number:08x}")).unwrap()
    }

    /// Names `kid` so many times; how often that was worth a warning.
    fn name(notices: &Notices, kid: KeyId, times: u32, now: UnixSeconds) -> usize {
        (0..times).filter(|_| notices.unknown_kid(kid, now)).count()
    }

    #[test]
    fn a_kid_that_comes_often_is_worth_one_warning() {
        let notices = Notices::default();
        assert_eq!(name(&notices, kid(1), OFTEN - 1, NOW), 0);
        assert_eq!(notices.reasons(NOW, |_| false), Vec::<String>::new());
        assert_eq!(name(&notices, kid(1), 1000, NOW), 1);
        let reason = "many tickets name key 00000001, which this replica does not have";
        assert_eq!(notices.reasons(NOW, |_| false), [reason]);
        assert_eq!(notices.reasons(NOW, |known| known == kid(1)), Vec::<String>::new(), "it has come since");
        assert_eq!(notices.reasons(NOW.plus(FORGOTTEN_S), |_| false), [reason]);
        assert_eq!(notices.reasons(NOW.plus(FORGOTTEN_S + 1), |_| false), Vec::<String>::new());
    }

    #[test]
    fn made_up_kids_take_little_room_and_flood_nothing() {
        let notices = Notices::default();
        let warnings: usize = (0..5000).map(|number| name(&notices, kid(number), OFTEN, NOW)).sum();
        assert_eq!(warnings, 1, "a minute brings one warning, whichever kids come");
        assert_eq!(notices.kids.lock().unwrap().seen.len(), WATCHED);
        assert_eq!(notices.reasons(NOW, |_| false).len(), NAMED + 1);
        assert_eq!(
            name(&notices, kid(9999), OFTEN + 1, NOW.plus(BETWEEN_WARNINGS_S)),
            1,
            "and the next minute another"
        );
    }

    #[test]
    fn a_key_that_many_have_is_found_among_made_up_ones() {
        let notices = Notices::default();
        name(&notices, kid(1), 2, NOW);
        let warnings: usize = (100..3000)
            .map(|number| {
                name(&notices, kid(number), 1, NOW) + if number % 50 == 0 { name(&notices, kid(1), 1, NOW) } else { 0 }
            })
            .sum();
        assert_eq!(warnings, 1);
        assert_eq!(notices.reasons(NOW, |_| false).len(), 1);
    }

    #[test]
    fn what_is_over_is_no_reason_any_more() {
        let notices = Notices::default();
        notices.refusal("wx1", "exchange", Some("the platform refuses this server".to_owned()));
        notices.pause("wx1", "phone", Some("no answer in time".to_owned()));
        notices.refusal("wx2", "exchange", None);
        assert_eq!(
            notices.reasons(NOW, |_| false),
            [
                "app wx1, exchange: the platform refuses this server",
                "app wx1, phone: the platform does not answer, its circuit breaker is open: no answer in time"
            ]
        );
        notices.refusal("wx1", "exchange", None);
        notices.pause("wx1", "phone", None);
        assert_eq!(notices.reasons(NOW, |_| false), Vec::<String>::new());
    }
}
