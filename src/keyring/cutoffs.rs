//! Cut-offs: whose tickets are refused although they are authentic and not expired. Revocation without a database.

#[doc(hidden)]
pub mod list;
mod recover;

use foldhash::{HashMap, HashSet};
use sha2::{Digest, Sha256};

use super::{AppId, LoginId};
use crate::clock::{LEEWAY_S, UnixSeconds};
pub use list::{Cutoff, CutoffsError, Who};
pub(crate) use recover::each_entry;
// What reads lists that are not right, and writes them.
#[doc(hidden)]
pub use recover::{Entry, Other, Recovered};

/// Who is cut off, in a form in which every check takes constant time.
///
/// The tables use a fast hash. Their keys are not attacker-controlled (operators choose them, we draw login ids, platforms give
/// openids), and only authentic tickets are looked up, so resistance to hash flooding is unnecessary.
#[derive(Debug, Default)]
pub struct Cutoffs {
    logins: HashSet<LoginId>,
    everybody: Option<UnixSeconds>,
    apps: HashMap<AppId, UnixSeconds>,
    openids: HashMap<AppId, HashMap<Box<str>, UnixSeconds>>,
    newest: Option<UnixSeconds>,
}

/// Cut-offs that were made in what the clock takes for the future, with when each was first seen.
///
/// They count all the same, but for logins up to then and the leeway only. Otherwise a clock that is years ahead would
/// have everybody refused for years.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    first_seen: HashMap<Who, UnixSeconds>,
}

impl Ahead {
    /// Whom each cut-off of a list is about at `now`, and what is to be remembered for the next reading.
    fn limit(&self, still_ahead: &mut Self, cutoff: Cutoff, now: UnixSeconds) -> Who {
        if cutoff.created <= now.plus(LEEWAY_S) {
            return cutoff.who;
        }
        let first_seen = self.first_seen.get(&cutoff.who).copied().unwrap_or(now);
        still_ahead.first_seen.insert(cutoff.who.clone(), first_seen);
        cutoff.who.at_most(first_seen.plus(LEEWAY_S))
    }
}

impl Cutoffs {
    /// Parses the text of `cutoffs.json`.
    ///
    /// # Errors
    /// [`CutoffsError`]; a list is taken as a whole or not at all.
    pub fn parse(text: &str) -> Result<Self, CutoffsError> {
        list::entries(text)?.collect()
    }

    /// Takes what can be understood of a text that may not be right, with what is wrong with it. `ahead` is what an
    /// earlier reading left there.
    #[doc(hidden)]
    #[must_use]
    pub fn recover(text: &[u8], now: UnixSeconds, ahead: &mut Ahead) -> (Self, Option<CutoffsError>) {
        let mut cutoffs = Self::default();
        let mut still_ahead = Ahead::default();
        let fault = recover::each(text, |cutoff| {
            cutoffs.newest = cutoffs.newest.max(Some(cutoff.created));
            cutoffs.add(ahead.limit(&mut still_ahead, cutoff, now));
        });
        *ahead = still_ahead;
        (cutoffs, fault)
    }

    /// When the newest of a list was made.
    #[must_use]
    pub const fn newest(&self) -> Option<UnixSeconds> {
        self.newest
    }

    fn add(&mut self, who: Who) {
        match who {
            Who::Login(login_id) => {
                self.logins.insert(login_id);
            }
            Who::Everybody(before) => self.everybody = self.everybody.max(Some(before)),
            Who::App(app, before) => latest(self.apps.entry(app).or_default(), before),
            Who::Openid(app, openid, before) => {
                latest(self.openids.entry(app).or_default().entry(openid).or_default(), before);
            }
        }
    }

    /// Everybody who is cut off by one or the other.
    #[doc(hidden)]
    #[must_use]
    pub fn both(one: &Self, other: &Self) -> Self {
        let mut both = Self::default();
        for part in [one, other] {
            both.logins.extend(&part.logins);
            both.everybody = both.everybody.max(part.everybody);
            both.newest = both.newest.max(part.newest);
            for (app, before) in &part.apps {
                latest(both.apps.entry(app.clone()).or_default(), *before);
            }
            for (app, openids) in &part.openids {
                let of_app = both.openids.entry(app.clone()).or_default();
                for (openid, before) in openids {
                    latest(of_app.entry(openid.clone()).or_default(), *before);
                }
            }
        }
        both
    }

    /// Those that concern `app`, always in the same order. Each says that it was made when the newest one was.
    pub(crate) fn concerning(&self, app: &AppId) -> Vec<Cutoff> {
        let mut logins: Vec<LoginId> = self.logins.iter().copied().collect();
        logins.sort_unstable_by_key(|login_id| login_id.0);
        let mut openids: Vec<_> = self.openids.get(app).into_iter().flatten().collect();
        openids.sort_unstable();
        let everybody = self.everybody.map(Who::Everybody);
        let of_app = self.apps.get(app).map(|before| Who::App(app.clone(), *before));
        let of_openids = openids.into_iter().map(|(openid, before)| Who::Openid(app.clone(), openid.clone(), *before));
        let all = everybody.into_iter().chain(of_app).chain(of_openids).chain(logins.into_iter().map(Who::Login));
        let created = self.newest.unwrap_or_default();
        all.map(|who| Cutoff { who, created }).collect()
    }

    /// How many cut-offs there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let openids: usize = self.openids.values().map(HashMap::len).sum();
        self.logins.len() + usize::from(self.everybody.is_some()) + self.apps.len() + openids
    }

    /// 8 bytes that two lists have in common if they cut off the same, in whichever order. It names nobody.
    #[doc(hidden)]
    #[must_use]
    pub fn digest(&self) -> [u8; 8] {
        let logins = self.logins.iter().map(|login_id| format!("login {login_id}"));
        let everybody = self.everybody.iter().map(|before| format!("all {before}"));
        let apps = self.apps.iter().map(|(app, before)| format!("app {app} {before}"));
        let of_app = |(app, openids): (&AppId, &HashMap<Box<str>, UnixSeconds>)| {
            openids.iter().map(|(openid, before)| format!("openid {app} {openid} {before}")).collect::<Vec<_>>()
        };
        let openids = self.openids.iter().flat_map(of_app);
        let entries = logins.chain(everybody).chain(apps).chain(openids);
        entries.fold([0; 8], |mut digest, entry| {
            digest.iter_mut().zip(Sha256::digest(entry)).for_each(|(sum, byte)| *sum ^= byte);
            digest
        })
    }

    /// Whether nobody is cut off.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logins.is_empty() && self.everybody.is_none() && self.apps.is_empty() && self.openids.is_empty()
    }

    /// Whether a login of `openid` at `app` that happened at `auth_time` is cut off.
    #[must_use]
    pub fn cuts_off(&self, app: &AppId, openid: &str, login_id: LoginId, auth_time: UnixSeconds) -> bool {
        let later = |before: Option<&UnixSeconds>| before.is_some_and(|before| auth_time < *before);
        self.logins.contains(&login_id)
            || later(self.everybody.as_ref())
            || later(self.apps.get(app))
            || later(self.openids.get(app).and_then(|of_app| of_app.get(openid)))
    }
}

impl FromIterator<Cutoff> for Cutoffs {
    fn from_iter<T: IntoIterator<Item = Cutoff>>(entries: T) -> Self {
        let mut cutoffs = Self::default();
        for entry in entries {
            cutoffs.newest = cutoffs.newest.max(Some(entry.created));
            cutoffs.add(entry.who);
        }
        cutoffs
    }
}

fn latest(entry: &mut UnixSeconds, before: UnixSeconds) {
    *entry = before.max(*entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"v":1,"cutoffs":[
        {"scope":"login","login_id":"60c7e322d1691070","created":"2026-11-22T21:00:00Z"},
        {"scope":"all","before":"1970-01-01T00:01:40Z","created":"2026-11-22T21:00:00Z"},
        {"scope":"app","appid":"wx1","before":"1970-01-01T00:03:20Z","created":"2026-11-22T21:00:00Z"},
        {"scope":"openid","appid":"wx1","openid":"alice","before":"1970-01-01T00:05:00Z","created":"2026-11-22T21:00:00Z"},
        {"scope":"openid","appid":"wx1","openid":"alice","before":"1970-01-01T00:04:00Z","created":"2026-11-22T21:00:00Z"}
    ]}"#;

    #[test]
    fn a_cut_off_refuses_earlier_logins_of_those_it_names() {
        let cutoffs = Cutoffs::parse(LIST).unwrap();
        let (one, two) = (AppId::parse("wx1").unwrap(), AppId::parse("wx2").unwrap());
        let (named, other) = (LoginId::parse("60c7e322d1691070").unwrap(), LoginId([1; 8]));
        for (app, openid, login_id, auth_time, refused) in [
            (&two, "bob", other, 99, true),
            (&two, "bob", other, 100, false),
            (&one, "bob", other, 199, true),
            (&one, "bob", other, 200, false),
            (&one, "alice", other, 299, true),
            (&one, "alice", other, 300, false),
            (&two, "alice", other, 100, false),
            (&two, "bob", named, u64::MAX, true),
        ] {
            let auth_time = UnixSeconds::new(auth_time);
            assert_eq!(cutoffs.cuts_off(app, openid, login_id, auth_time), refused, "{app} {openid} {auth_time}");
        }
    }

    #[test]
    fn two_lists_together_cut_off_whom_either_does_whichever_comes_first() {
        let list = |scope: &str, before: u64| {
            let before = UnixSeconds::new(before);
            format!(r#"{{"v":1,"cutoffs":[{{{scope},"before":"{before}","created":"2026-11-22T21:00:00Z"}}]}}"#)
        };
        let app = AppId::parse("wx1").unwrap();
        for scope in
            [r#""scope":"all""#, r#""scope":"app","appid":"wx1""#, r#""scope":"openid","appid":"wx1","openid":"alice""#]
        {
            let [early, late] = [100, 300].map(|before| Cutoffs::parse(&list(scope, before)).unwrap());
            for (one, other) in
                [(&early, &late), (&late, &early), (&late, &Cutoffs::default()), (&Cutoffs::default(), &late)]
            {
                let both = Cutoffs::both(one, other);
                let cuts_off = |auth_time| both.cuts_off(&app, "alice", LoginId([1; 8]), UnixSeconds::new(auth_time));
                assert!(cuts_off(299) && !cuts_off(300) && !both.is_empty(), "{scope}");
            }
        }
    }

    #[test]
    fn a_cut_off_from_the_future_is_about_logins_up_to_now_and_no_later_ones() {
        let now = UnixSeconds::new(1_795_000_000);
        let list = |created: UnixSeconds| {
            format!(r#"{{"v":1,"cutoffs":[{{"scope":"all","before":"{}","created":"{created}"}}]}}"#, created.plus(61))
        };
        let app = AppId::parse("wx1").unwrap();
        let end_of = |cutoffs: &Cutoffs| {
            (0..200).map(|s| now.plus(s)).find(|at| !cutoffs.cuts_off(&app, "a", LoginId([1; 8]), *at))
        };
        let mut ahead = Ahead::default();
        for (created, end) in [
            (now.minus(86400), now),
            (now, now.plus(61)),
            (now.plus(60), now.plus(121)),
            (now.plus(61), now.plus(60)),
            (now.plus(86400 * 400), now.plus(60)),
        ] {
            let (cutoffs, fault) = Cutoffs::recover(list(created).as_bytes(), now, &mut ahead);
            assert_eq!((end_of(&cutoffs), fault), (Some(end), None), "{created}");
            assert_eq!(cutoffs.newest(), Some(created));
        }
        // Read again later, it is not about later logins; a list without it has it forgotten.
        let text = list(now.plus(86400 * 400));
        for (text, end) in [(&text, 60), (&list(now), 61), (&text, 160)] {
            let (cutoffs, _) = Cutoffs::recover(text.as_bytes(), now.plus(100), &mut ahead);
            assert_eq!(end_of(&cutoffs), Some(now.plus(end)));
        }
    }

    #[test]
    fn an_empty_list_cuts_nobody_off() {
        assert!(Cutoffs::parse(r#"{"v":1,"cutoffs":[]}"#).unwrap().is_empty());
        assert!(!Cutoffs::parse(LIST).unwrap().is_empty());
    }
}
