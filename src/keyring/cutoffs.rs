//! Cut-offs: whose tickets are refused although they are authentic and not expired. Revocation without a database.

pub mod list;
mod recover;

use std::fmt;

use foldhash::{HashMap, HashSet};

use super::AppId;
use crate::clock::UnixSeconds;
pub use list::{Cutoff, CutoffsError, Who};
pub use recover::{Entry, Other, Recovered};

/// 8 random bytes that name a login and survive its renewals; shown as 16 lower-case hex digits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LoginId(pub(crate) [u8; Self::LEN]);

impl LoginId {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// Draws a new one from the operating system.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Parses 16 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let parsed = Self(bytes);
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The 16 digits.
    pub(crate) fn to_hex(self) -> [u8; 2 * Self::LEN] {
        let mut digits = [0; 2 * Self::LEN];
        hex::encode_to_slice(self.0, &mut digits).expect("two digits for each byte");
        digits
    }
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_hex()).map_err(|_| fmt::Error)?)
    }
}

/// Who is cut off, ready to be asked at every check in constant time.
///
/// Its tables hash fast rather than safe from crowding: their content is the operator's choice, login ids are drawn by us,
/// openids by the platforms, and what is looked up comes from authentic tickets.
#[derive(Debug, Default)]
pub struct Cutoffs {
    logins: HashSet<LoginId>,
    everybody: Option<UnixSeconds>,
    apps: HashMap<AppId, UnixSeconds>,
    openids: HashMap<AppId, HashMap<Box<str>, UnixSeconds>>,
}

impl Cutoffs {
    /// Parses the text of `cutoffs.json`.
    ///
    /// # Errors
    /// [`CutoffsError`]; a list is taken as a whole or not at all.
    pub fn parse(text: &str) -> Result<Self, CutoffsError> {
        list::entries(text)?.collect()
    }

    /// Takes what can be understood of a text that may not be right, with what is wrong with it.
    #[must_use]
    pub fn recover(text: &[u8]) -> (Self, Option<CutoffsError>) {
        let mut cutoffs = Self::default();
        recover::each(text, |cutoff| cutoffs.add(cutoff.who));
        (cutoffs, recover::fault(text))
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
    #[must_use]
    pub fn both(one: &Self, other: &Self) -> Self {
        let mut both = Self::default();
        for part in [one, other] {
            both.logins.extend(&part.logins);
            both.everybody = both.everybody.max(part.everybody);
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
    fn an_empty_list_cuts_nobody_off() {
        assert!(Cutoffs::parse(r#"{"v":1,"cutoffs":[]}"#).unwrap().is_empty());
        assert!(!Cutoffs::parse(LIST).unwrap().is_empty());
    }
}
