//! The text of `cutoffs.json` <-> entries. Knows no files.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::clock::UnixSeconds;
use crate::keyring::{AppId, LoginId};

/// One cut-off.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of version 1")]
pub struct Cutoff {
    /// Whose tickets are refused.
    pub who: Who,
    /// When it was made.
    pub created: UnixSeconds,
}

/// Whom a cut-off is about, and which of their logins.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the scopes of version 1")]
pub enum Who {
    /// Every login before a time.
    Everybody(UnixSeconds),
    /// Every login at an app before a time.
    App(AppId, UnixSeconds),
    /// Every login of one user at an app before a time.
    Openid(AppId, Box<str>, UnixSeconds),
    /// One login, whenever it was.
    Login(LoginId),
}

impl Who {
    /// The same, about logins before `latest` at most.
    pub(super) fn at_most(self, latest: UnixSeconds) -> Self {
        match self {
            Self::Everybody(before) => Self::Everybody(before.min(latest)),
            Self::App(app, before) => Self::App(app, before.min(latest)),
            Self::Openid(app, openid, before) => Self::Openid(app, openid, before.min(latest)),
            Self::Login(login_id) => Self::Login(login_id),
        }
    }
}

/// Why a text is no list of cut-offs.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CutoffsError {
    /// Not JSON, or not of the shape `{"v":1,"cutoffs":[...]}`.
    #[error("not a list of cut-offs (line {line}, column {column})")]
    Shape {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
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

/// Entries are understood one by one, so a million of them never stand in memory field by field.
#[derive(Deserialize)]
struct FileToRead<'a> {
    v: u64,
    #[serde(borrow)]
    cutoffs: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct FileToWrite<'a> {
    v: u64,
    cutoffs: &'a [Cutoff],
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawCutoff {
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    appid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    openid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    created: String,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    All,
    App,
    Openid,
    Login,
}

/// Parses the text of `cutoffs.json`.
///
/// # Errors
/// [`CutoffsError`]; a list is taken as a whole or not at all.
pub fn parse(text: &str) -> Result<Vec<Cutoff>, CutoffsError> {
    entries(text)?.collect()
}

/// The entries of `cutoffs.json`, each understood when its turn comes.
pub(super) fn entries(text: &str) -> Result<impl Iterator<Item = Result<Cutoff, CutoffsError>>, CutoffsError> {
    let file: FileToRead<'_> = serde_json::from_str(text)
        .map_err(|error| CutoffsError::Shape { line: error.line(), column: error.column() })?;
    if file.v != 1 {
        return Err(CutoffsError::Version(file.v));
    }
    Ok((1..)
        .zip(file.cutoffs)
        .map(|(number, entry)| self::entry(entry.get()).map_err(|what| CutoffsError::Entry { number, what })))
}

/// Parses the JSON of one entry.
pub(super) fn entry(text: &str) -> Result<Cutoff, &'static str> {
    let raw: Result<RawCutoff, _> = serde_json::from_str(text);
    raw.map_err(|_| "not the fields of a cut-off").and_then(RawCutoff::parse)
}

/// The text of `cutoffs.json`, ended by a line feed.
///
/// # Panics
/// Never: the shape has no map whose keys could be something else than text.
#[must_use]
pub fn encode(cutoffs: &[Cutoff]) -> String {
    let mut text = serde_json::to_string(&FileToWrite { v: 1, cutoffs }).expect("texts and numbers are always JSON");
    text.push('\n');
    text
}

/// As an entry of `cutoffs.json`.
impl Serialize for Cutoff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawCutoff::of(self).serialize(serializer)
    }
}

impl RawCutoff {
    fn parse(self) -> Result<Cutoff, &'static str> {
        const TIME: &str = "`before` or `created` is not a time like 2026-11-22T21:00:00Z";
        let Self { scope, appid, openid, login_id, before, created } = self;
        let created = UnixSeconds::parse_rfc3339(&created).map_err(|_| TIME)?;
        let app = appid.map(|text| AppId::parse(&text)).transpose().map_err(|_| "`appid` is not an appid")?;
        let before = before.map(|text| UnixSeconds::parse_rfc3339(&text).map_err(|_| TIME)).transpose()?;
        let who = match (scope, app, openid, login_id, before) {
            (Scope::Login, None, None, Some(login_id), None) => {
                Who::Login(LoginId::parse(&login_id).map_err(|_| "`login_id` is not 16 lower-case hex digits")?)
            }
            (Scope::All, None, None, None, Some(before)) => Who::Everybody(before),
            (Scope::App, Some(app), None, None, Some(before)) => Who::App(app, before),
            (Scope::Openid, Some(app), Some(openid), None, Some(before)) => Who::Openid(app, openid.into(), before),
            (Scope::Login, ..) => return Err("scope `login` takes `login_id` alone"),
            (Scope::All, ..) => return Err("scope `all` takes `before` alone"),
            (Scope::App, ..) => return Err("scope `app` takes `appid` and `before`"),
            (Scope::Openid, ..) => return Err("scope `openid` takes `appid`, `openid` and `before`"),
        };
        Ok(Cutoff { who, created })
    }

    fn of(cutoff: &Cutoff) -> Self {
        let empty = Self {
            scope: Scope::All,
            appid: None,
            openid: None,
            login_id: None,
            before: None,
            created: cutoff.created.to_string(),
        };
        let time = |before: &UnixSeconds| Some(before.to_string());
        match &cutoff.who {
            Who::Everybody(before) => Self { before: time(before), ..empty },
            Who::App(app, before) => {
                Self { scope: Scope::App, appid: Some(app.to_string()), before: time(before), ..empty }
            }
            Who::Openid(app, openid, before) => Self {
                scope: Scope::Openid,
                appid: Some(app.to_string()),
                openid: Some(openid.to_string()),
                before: time(before),
                ..empty
            },
            Who::Login(login_id) => Self { scope: Scope::Login, login_id: Some(login_id.to_string()), ..empty },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"v":1,"cutoffs":[{"scope":"login","login_id":"60c7e322d1691070","created":"2026-11-22T21:00:00Z"},{"scope":"all","before":"1970-01-01T00:01:40Z","created":"2026-11-22T21:00:00Z"},{"scope":"app","appid":"wx1","before":"1970-01-01T00:03:20Z","created":"2026-11-22T21:00:00Z"},{"scope":"openid","appid":"wx1","openid":"alice","before":"1970-01-01T00:05:00Z","created":"2026-11-22T21:00:00Z"}]}
"#;

    #[test]
    fn a_list_reads_and_writes_the_same_text() {
        assert_eq!(encode(&parse(LIST).unwrap()), LIST);
        assert_eq!(encode(&parse(r#"{"v":1,"cutoffs":[]}"#).unwrap()), "{\"v\":1,\"cutoffs\":[]}\n");
    }

    #[test]
    fn a_list_that_is_not_right_is_not_taken() {
        for (text, error) in [
            ("", "not a list of cut-offs (line 1, column 0)"),
            (r#"{"v":2,"cutoffs":[]}"#, "version 2"),
            (r#"{"v":1}"#, "line 1, column 7"),
            (&LIST.replace("\"all\"", "\"nobody\""), "number 2: not the fields"),
            (&LIST.replace("\"scope\":\"all\"", "\"scope\":\"all\",\"why\":\"?\""), "number 2: not the fields"),
            (&LIST.replace("60c7e322d1691070", "60C7E322D1691070"), "number 1: `login_id`"),
            (&LIST.replace("00:01:40Z", "00:01:40"), "number 2: `before`"),
            (&LIST.replace("\"appid\":\"wx1\",\"before\"", "\"before\""), "number 3: scope `app` takes"),
            (&LIST.replace("\"openid\":\"alice\",", ""), "number 4: scope `openid` takes"),
            (&LIST[..LIST.len() - 4], "not a list of cut-offs"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(error), "{message} should tell of {error}");
        }
    }
}
