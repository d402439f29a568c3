//! Access tokens of both kinds, with the life that `WeChat` gives them.
//!
//! Facts: `auth.getAccessToken` and `auth.getStableAccessToken` in `WeChat`'s documentation of mini-programs.

use crate::clock::UnixSeconds;
use crate::simulator::codes::random_text;
use crate::simulator::memory::Recent;

/// What an answer with a token says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Issued {
    pub(super) token: String,
    pub(super) expires_in: u64,
}

/// All access tokens that were issued, dead ones included for as long as there is room.
#[derive(Debug)]
pub(super) struct AccessTokens {
    tokens: Recent<String, Token>,
    apps: Recent<String, Latest>,
}

#[derive(Debug)]
struct Token {
    appid: String,
    expires_at: UnixSeconds,
    /// What is said of it from then on: 42001 when its time is over, 40001 when another one took its place.
    errcode_then: i64,
}

/// What the next token of an app depends on.
#[derive(Debug, Default)]
struct Latest {
    plain: Option<String>,
    /// The last ones that may still live: the newest, and the one that it overlaps with.
    stable: Option<String>,
    stable_before: Option<String>,
    refreshed_at: Option<UnixSeconds>,
    refreshed_today: u64,
}

impl Default for AccessTokens {
    fn default() -> Self {
        Self { tokens: Recent::with_max_len(Self::MAX_TOKENS), apps: Recent::with_max_len(Self::MAX_APPS) }
    }
}

impl AccessTokens {
    const MAX_TOKENS: usize = 100_000;
    const MAX_APPS: usize = 10_000;
    /// As long as the real ones, of which 512 characters are to be expected.
    const TOKEN_LEN: usize = 136;
    const PREFIX: &str = "98_";
    const LIFETIME_S: u64 = 7200;
    const OVERLAP_S: u64 = 300;
    const REFRESH_PAUSE_S: u64 = 30;
    const MAX_REFRESHES_A_DAY: u64 = 20;

    /// `cgi-bin/token`: a new one at each call; the one before lives on for five minutes.
    pub(super) fn issue_plain(&mut self, appid: &str, now: UnixSeconds) -> Result<Issued, i64> {
        let (token, issued) = self.issue(appid, now)?;
        if let Some(before) = self.latest(appid).plain.replace(token) {
            self.replace(&before, now.plus(Self::OVERLAP_S));
        }
        Ok(issued)
    }

    /// `cgi-bin/stable_token`: the same one until its last five minutes. Then a new one, and both live.
    pub(super) fn issue_stable(&mut self, appid: &str, now: UnixSeconds) -> Result<Issued, i64> {
        if let Some(token) = self.latest(appid).stable.clone()
            && let Some(found) = self.tokens.get(&token)
            && found.expires_at.as_u64() > now.plus(Self::OVERLAP_S).as_u64()
        {
            return Ok(Issued { expires_in: found.expires_at.as_u64() - now.as_u64(), token });
        }
        let (token, issued) = self.issue(appid, now)?;
        let latest = self.latest(appid);
        latest.stable_before = latest.stable.replace(token);
        Ok(issued)
    }

    /// The same with `force_refresh`: the ones before are dead at once. Within 30 seconds of the last time nothing is
    /// refreshed; after twenty times in a day it is refused.
    pub(super) fn refresh_stable(&mut self, appid: &str, now: UnixSeconds) -> Result<Issued, i64> {
        let latest = self.latest(appid);
        if latest.refreshed_at.is_some_and(|at| now.as_u64() < at.plus(Self::REFRESH_PAUSE_S).as_u64()) {
            return self.issue_stable(appid, now);
        }
        if latest.refreshed_at.is_none_or(|at| day(at) != day(now)) {
            latest.refreshed_today = 0;
        }
        if latest.refreshed_today >= Self::MAX_REFRESHES_A_DAY {
            return Err(45009);
        }
        latest.refreshed_at = Some(now);
        latest.refreshed_today += 1;
        let before = [latest.stable.take(), latest.stable_before.take()];
        for token in before.iter().flatten() {
            self.replace(token, now);
        }
        self.issue_stable(appid, now)
    }

    /// The app that a token is for, whether it lives or not.
    pub(super) fn appid(&self, token: &str) -> Option<&str> {
        self.tokens.get(token).map(|token| &*token.appid)
    }

    /// Whether calls with this token are served.
    pub(super) fn check(&self, token: &str, now: UnixSeconds) -> Result<(), i64> {
        if token.is_empty() {
            return Err(41001);
        }
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if token.len() != Self::TOKEN_LEN || !token.starts_with(Self::PREFIX) || !token.bytes().all(is_base64url) {
            return Err(40014);
        }
        match self.tokens.get(token) {
            Some(found) if now < found.expires_at => Ok(()),
            Some(found) => Err(found.errcode_then),
            None => Err(40001),
        }
    }

    /// Ends all tokens, or all of one app; from then on calls with them are refused with `errcode`. Answers how many
    /// were alive.
    pub(super) fn expire(&mut self, appid: Option<&str>, errcode: i64, now: UnixSeconds) -> u64 {
        let mut ended = 0;
        for token in self.tokens.values_mut().filter(|token| appid.is_none_or(|appid| token.appid == appid)) {
            if now < token.expires_at {
                token.expires_at = now;
                token.errcode_then = errcode;
                ended += 1;
            }
        }
        ended
    }

    fn issue(&mut self, appid: &str, now: UnixSeconds) -> Result<(String, Issued), i64> {
        let random = random_text(Self::TOKEN_LEN - Self::PREFIX.len()).map_err(|_| -1)?;
        let token = [Self::PREFIX, &random].concat();
        let expires_at = now.plus(Self::LIFETIME_S);
        self.tokens.insert(token.clone(), Token { appid: appid.to_owned(), expires_at, errcode_then: 42001 });
        Ok((token.clone(), Issued { token, expires_in: Self::LIFETIME_S }))
    }

    fn replace(&mut self, token: &str, at: UnixSeconds) {
        if let Some(token) = self.tokens.get_mut(token)
            && at < token.expires_at
        {
            token.expires_at = at;
            token.errcode_then = 40001;
        }
    }

    fn latest(&mut self, appid: &str) -> &mut Latest {
        self.apps.get_or_insert_default(appid)
    }
}

/// Days are counted in China.
fn day(at: UnixSeconds) -> u64 {
    at.plus(8 * 3600).as_u64() / 86400
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight in the morning in China.
    const NOW: UnixSeconds = UnixSeconds::new(1_800_057_600);

    fn stable(tokens: &mut AccessTokens, now: UnixSeconds) -> Issued {
        tokens.issue_stable("wx1", now).unwrap()
    }

    #[test]
    fn a_stable_token_is_the_same_until_its_last_five_minutes() {
        let mut tokens = AccessTokens::default();
        let first = stable(&mut tokens, NOW);
        assert_eq!((first.token.len(), first.expires_in), (136, 7200));
        let again = stable(&mut tokens, NOW.plus(6899));
        assert_eq!((&again.token, again.expires_in), (&first.token, 301));
        let second = stable(&mut tokens, NOW.plus(6900));
        assert!(second.token != first.token && second.expires_in == 7200);
        assert_eq!(stable(&mut tokens, NOW.plus(7199)).token, second.token);
        assert_eq!(tokens.check(&first.token, NOW.plus(7199)), Ok(()), "both live");
        assert_eq!(tokens.check(&first.token, NOW.plus(7200)), Err(42001));
        assert_eq!(tokens.check(&second.token, NOW.plus(7200)), Ok(()));
    }

    #[test]
    fn a_forced_refresh_kills_the_tokens_before_at_once() {
        let mut tokens = AccessTokens::default();
        let first = stable(&mut tokens, NOW);
        let second = stable(&mut tokens, NOW.plus(6900));
        let third = tokens.refresh_stable("wx1", NOW.plus(6900)).unwrap();
        assert_eq!([&first, &second].map(|old| tokens.check(&old.token, NOW.plus(6900))), [Err(40001); 2]);
        assert_eq!(tokens.check(&third.token, NOW.plus(6900)), Ok(()));
        assert_eq!(stable(&mut tokens, NOW.plus(6901)).token, third.token);
    }

    #[test]
    fn forced_refreshes_are_thirty_seconds_apart_and_twenty_a_day() {
        let mut tokens = AccessTokens::default();
        let first = tokens.refresh_stable("wx1", NOW).unwrap();
        assert_eq!(tokens.refresh_stable("wx1", NOW.plus(29)).unwrap().token, first.token);
        for n in 1..20 {
            tokens.refresh_stable("wx1", NOW.plus(30 * n)).unwrap();
        }
        assert_eq!(tokens.refresh_stable("wx1", NOW.plus(600)), Err(45009));
        assert!(tokens.refresh_stable("wx2", NOW.plus(600)).is_ok(), "another app");
        assert_eq!(tokens.refresh_stable("wx1", NOW.plus(16 * 3600 - 1)), Err(45009));
        assert!(tokens.refresh_stable("wx1", NOW.plus(16 * 3600)).is_ok(), "midnight in China");
    }

    #[test]
    fn each_plain_token_gives_the_one_before_five_more_minutes() {
        let mut tokens = AccessTokens::default();
        let [first, second] = [0, 100].map(|s| tokens.issue_plain("wx1", NOW.plus(s)).unwrap().token);
        assert_ne!(first, second);
        assert_eq!(tokens.check(&first, NOW.plus(399)), Ok(()));
        assert_eq!(tokens.check(&first, NOW.plus(400)), Err(40001));
        assert_eq!(tokens.check(&second, NOW.plus(7299)), Ok(()));
        assert_eq!(tokens.check(&second, NOW.plus(7300)), Err(42001));
        let third = tokens.issue_plain("wx1", NOW.plus(7299)).unwrap();
        assert_eq!(tokens.check(&second, NOW.plus(7300)), Err(42001), "overlapping gives no life beyond its own");
        assert_eq!(third.expires_in, 7200);
    }

    #[test]
    fn the_two_kinds_and_the_apps_do_not_disturb_each_other() {
        let mut tokens = AccessTokens::default();
        let kept = stable(&mut tokens, NOW).token;
        tokens.issue_plain("wx1", NOW).unwrap();
        tokens.issue_plain("wx1", NOW).unwrap();
        tokens.refresh_stable("wx2", NOW).unwrap();
        assert_eq!(tokens.check(&kept, NOW.plus(7199)), Ok(()));
        assert_eq!(tokens.appid(&kept), Some("wx1"));
    }

    #[test]
    fn what_is_wrong_with_a_token_is_told_by_number() {
        let mut tokens = AccessTokens::default();
        let token = stable(&mut tokens, NOW).token;
        let other = format!("98_{}", "x".repeat(133));
        for (token, errcode) in [
            ("", 41001),
            ("x", 40014),
            (&token[1..], 40014),
            (&format!("{token}x"), 40014),
            (&token.replace("98_", "98é"), 40014),
            (&other, 40001),
        ] {
            assert_eq!(tokens.check(token, NOW), Err(errcode), "{token}");
        }
    }

    #[test]
    fn tokens_can_be_ended_all_at_once() {
        let mut tokens = AccessTokens::default();
        let [one, other] = ["wx1", "wx2"].map(|appid| tokens.issue_stable(appid, NOW).unwrap().token);
        assert_eq!(tokens.expire(Some("wx1"), 40001, NOW), 1);
        assert_eq!([&one, &other].map(|token| tokens.check(token, NOW)), [Err(40001), Ok(())]);
        assert_eq!(tokens.expire(None, 42001, NOW), 1);
        assert_eq!([&one, &other].map(|token| tokens.check(token, NOW)), [Err(40001), Err(42001)]);
        assert_ne!(stable(&mut tokens, NOW).token, one);
    }

    #[test]
    fn a_forgotten_token_is_not_handed_out_again() {
        let mut tokens = AccessTokens { tokens: Recent::with_max_len(1), apps: Recent::with_max_len(1) };
        let first = stable(&mut tokens, NOW).token;
        tokens.issue_stable("wx2", NOW).unwrap();
        assert_eq!(tokens.check(&first, NOW), Err(40001));
        let again = stable(&mut tokens, NOW).token;
        assert!(again != first && tokens.check(&again, NOW).is_ok());
        assert_eq!((tokens.tokens.len(), tokens.apps.len()), (1, 1));
    }
}
