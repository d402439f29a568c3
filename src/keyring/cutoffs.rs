//! Cut-offs: whose tickets are refused although they are authentic and not expired. Revocation without a database.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserialize;

use super::AppId;
use crate::clock::UnixSeconds;

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
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Who is cut off, ready to be asked at every check in constant time.
#[derive(Debug, Default)]
pub struct Cutoffs {
    logins: HashSet<LoginId>,
    everybody: Option<UnixSeconds>,
    apps: HashMap<AppId, UnixSeconds>,
    openids: HashMap<AppId, HashMap<Box<str>, UnixSeconds>>,
}

/// Why a text is no list of cut-offs.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CutoffsError {
    /// Not JSON, or not of the shape `{"v":1,"cutoffs":[...]}`.
    #[error("not a list of cut-offs at line {line}, column {column}: {what}")]
    Shape {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser missed.
        what: String,
    },
    /// A version that this program does not know.
    #[error("version {0} is unknown to this program")]
    Version(u64),
    /// An entry whose fields do not fit its scope.
    #[error("cut-off number {number}: {what}")]
    Entry {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

#[derive(Deserialize)]
struct RawFile {
    v: u64,
    cutoffs: Vec<RawCutoff>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCutoff {
    scope: Scope,
    appid: Option<String>,
    openid: Option<String>,
    login_id: Option<String>,
    before: Option<String>,
    created: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    All,
    App,
    Openid,
    Login,
}

impl Cutoffs {
    /// Parses the text of `cutoffs.json`.
    ///
    /// # Errors
    /// [`CutoffsError`]; a list is taken as a whole or not at all.
    pub fn parse(text: &str) -> Result<Self, CutoffsError> {
        let raw: RawFile = serde_json::from_str(text).map_err(|error| CutoffsError::Shape {
            line: error.line(),
            column: error.column(),
            what: error.to_string(),
        })?;
        if raw.v != 1 {
            return Err(CutoffsError::Version(raw.v));
        }
        let mut cutoffs = Self::default();
        for (index, entry) in raw.cutoffs.into_iter().enumerate() {
            cutoffs.add(entry).map_err(|what| CutoffsError::Entry { number: index + 1, what })?;
        }
        Ok(cutoffs)
    }

    fn add(&mut self, entry: RawCutoff) -> Result<(), &'static str> {
        let RawCutoff { scope, appid, openid, login_id, before, created } = entry;
        UnixSeconds::parse_rfc3339(&created).ok_or("`created` is not a time like 2026-11-22T21:00:00Z")?;
        let app = appid.map(|text| AppId::parse(&text)).transpose().map_err(|_| "`appid` is not an appid")?;
        let before = before
            .map(|text| UnixSeconds::parse_rfc3339(&text).ok_or("`before` is not a time like 2026-11-22T21:00:00Z"))
            .transpose()?;
        match (scope, app, openid, login_id, before) {
            (Scope::Login, None, None, Some(login_id), _) => {
                self.logins.insert(LoginId::parse(&login_id).ok_or("`login_id` is not 16 lower-case hex digits")?);
            }
            (Scope::All, None, None, None, Some(before)) => {
                self.everybody = self.everybody.max(Some(before));
            }
            (Scope::App, Some(app), None, None, Some(before)) => {
                latest(self.apps.entry(app).or_default(), before);
            }
            (Scope::Openid, Some(app), Some(openid), None, Some(before)) => {
                latest(self.openids.entry(app).or_default().entry(openid.into()).or_default(), before);
            }
            (Scope::Login, ..) => return Err("scope `login` takes `login_id` and neither `appid` nor `openid`"),
            (Scope::All, ..) => return Err("scope `all` takes `before` alone"),
            (Scope::App, ..) => return Err("scope `app` takes `appid` and `before`"),
            (Scope::Openid, ..) => return Err("scope `openid` takes `appid`, `openid` and `before`"),
        }
        Ok(())
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
    fn a_list_that_is_not_right_is_not_taken() {
        for (text, error) in [
            ("", "at line 1, column 0"),
            (r#"{"v":2,"cutoffs":[]}"#, "version 2"),
            (r#"{"v":1}"#, "missing field"),
            (&LIST.replace("\"all\"", "\"nobody\""), "unknown variant"),
            (&LIST.replace("60c7e322d1691070", "60C7E322D1691070"), "number 1: `login_id`"),
            (&LIST.replace("00:01:40Z", "00:01:40"), "number 2: `before`"),
            (&LIST.replace("\"appid\":\"wx1\",\"before\"", "\"before\""), "number 3: scope `app` takes"),
            (&LIST.replace("\"openid\":\"alice\",", ""), "number 4: scope `openid` takes"),
            (&LIST[..LIST.len() - 3], "not a list of cut-offs"),
        ] {
            let message = Cutoffs::parse(text).unwrap_err().to_string();
            assert!(message.contains(error), "{message} should tell of {error}");
        }
    }

    #[test]
    fn an_empty_list_cuts_nobody_off() {
        assert!(Cutoffs::parse(r#"{"v":1,"cutoffs":[]}"#).unwrap().is_empty());
        assert!(!Cutoffs::parse(LIST).unwrap().is_empty());
    }
}
