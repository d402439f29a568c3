//! What the commands about cut-offs share: whom one is for, and how that is told.

use anyhow::anyhow;
use auth_ticket::claims::PlatformId;
use auth_ticket::clock::{LEEWAY_S, UnixSeconds};
use auth_ticket::keyring::cutoffs::Who;
use auth_ticket::keyring::{AppId, LoginId};
use auth_ticket::keystore::{Directory, FileProblem};
use clap::Args;

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(super) struct WhoOptions {
    /// All users of all apps
    #[arg(long, conflicts_with_all = ["appid", "openid", "login_id"])]
    all: bool,
    /// All users of this app
    #[arg(long, conflicts_with = "login_id")]
    appid: Option<AppIdArgument>,
    /// This user of the app
    #[arg(long, requires = "appid", value_parser = parse_openid)]
    openid: Option<String>,
    /// This login and all its renewals
    #[arg(long, value_parser = parse_login_id)]
    login_id: Option<LoginId>,
}

impl WhoOptions {
    /// Whom they name, as far as they logged in before that time.
    pub(super) fn who(self, before: UnixSeconds) -> Who {
        match self {
            Self { login_id: Some(login_id), .. } => Who::Login(login_id),
            Self { appid: Some(app), openid: Some(openid), .. } => Who::Openid(app.0, openid.into(), before),
            Self { appid: Some(app), .. } => Who::App(app.0, before),
            Self { .. } => Who::Everybody(before),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct AppIdArgument(AppId);

impl std::str::FromStr for AppIdArgument {
    type Err = auth_ticket::keyring::AppIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        AppId::parse(text).map(Self)
    }
}

fn parse_openid(text: &str) -> Result<String, String> {
    PlatformId::parse(text).map(|id| id.as_str().to_owned()).map_err(|error| error.to_string())
}

fn parse_login_id(text: &str) -> Result<LoginId, String> {
    LoginId::parse(text).map_err(|_| "not 16 lower-case hex digits, as /v1/session and the log show them".to_owned())
}

/// RFC 3339 with any offset; fractions of a second are rounded up, so that no login before the time is let through.
pub(super) fn parse_before(text: &str) -> Result<UnixSeconds, String> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .map_err(|_| "not a time; write for example 2026-11-22T21:00:00Z".to_owned())?;
    let seconds = u64::try_from(time.unix_timestamp()).map_err(|_| "before 1970".to_owned())?;
    Ok(UnixSeconds::new(seconds).plus(u64::from(time.nanosecond() > 0)))
}

/// The latest time that a cut-off may name, and the default: now and the leeway, rounded up to whole seconds as any time
/// is, so that it is after a login of this very second whose clock was ahead by all of the leeway.
pub(super) const fn latest_before(now: UnixSeconds) -> UnixSeconds {
    now.plus(1).plus(LEEWAY_S)
}

/// What to do about a list that is not right.
pub(super) const MEND: &str = "restore it from a copy; until then what is understood of it is in force";

pub(super) fn unreadable(problem: &FileProblem) -> anyhow::Error {
    anyhow!("{problem}").context("cannot read the cut-offs")
}

pub(super) fn place(directory: &Directory) -> String {
    directory.path().join("cutoffs.json").display().to_string()
}

pub(super) fn describe(who: &Who) -> String {
    match who {
        Who::Everybody(before) => format!("everybody who logged in before {before}"),
        Who::App(app, before) => format!("everybody at {app} who logged in before {before}"),
        Who::Openid(app, openid, before) => format!("{openid} at {app}, logged in before {before}"),
        Who::Login(login_id) => format!("login {login_id}"),
    }
}

#[cfg(test)]
mod tests {
    use auth_ticket::keyring::Cutoffs;
    use auth_ticket::keyring::cutoffs::Cutoff;

    use super::*;

    #[test]
    fn the_default_refuses_a_login_of_this_second_whose_clock_was_ahead_by_the_leeway() {
        let now = UnixSeconds::new(1_795_000_000);
        let cutoffs: Cutoffs = [Cutoff { who: Who::Everybody(latest_before(now)), created: now }].into_iter().collect();
        let (app, login_id) = (AppId::parse("wx1").unwrap(), LoginId::parse("60c7e322d1691070").unwrap());
        let refuses = |ahead_s| cutoffs.cuts_off(&app, "alice", login_id, now.plus(ahead_s));
        assert!(refuses(0) && refuses(LEEWAY_S));
        assert!(!refuses(LEEWAY_S + 1), "who logs in again after the minute is let in");
    }

    #[test]
    fn a_time_is_rounded_up_to_whole_seconds() {
        for (text, seconds) in [
            ("1970-01-01T00:01:40Z", 100),
            ("1970-01-01T00:01:40.000Z", 100),
            ("1970-01-01T00:01:40.000000001Z", 101),
            ("1970-01-01T08:01:40+08:00", 100),
        ] {
            assert_eq!(parse_before(text), Ok(UnixSeconds::new(seconds)), "{text}");
        }
        for text in ["", "now", "1969-12-31T23:59:59Z", "2026-11-22", "2026-11-22T21:00:00"] {
            assert!(parse_before(text).is_err(), "{text}");
        }
    }
}
