//! Access tokens of the platforms beside `WeChat`, which has two kinds of its own.

use super::codes::random_text;
use super::memory::Recent;
use crate::clock::UnixSeconds;

/// What a question for a token does where there is one already.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenRule {
    /// Life of a new token, in seconds.
    pub(super) life_s: u64,
    /// With more than so many seconds left, the newest token is the answer.
    pub(super) reuse_above_s: Option<u64>,
    /// Then its life begins anew.
    pub(super) extends: bool,
    /// A new token leaves so many seconds to those before it; without a number, all they have.
    pub(super) overlap_s: Option<u64>,
    /// So many live at once; a further one ends the oldest.
    pub(super) max_alive: usize,
}

/// What can be said of a token.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum TokenLife {
    /// It is good, for this app.
    Alive(String),
    /// It was good, for this app.
    Dead(String),
    /// It was not made here.
    Unknown,
}

/// The tokens of one platform, dead ones included for as long as there is room.
#[derive(Debug)]
pub(super) struct PlatformTokens {
    rule: TokenRule,
    tokens: Recent<String, PlatformToken>,
    /// The living ones of each app, the newest last.
    of_app: Recent<String, Vec<String>>,
}

#[derive(Debug)]
struct PlatformToken {
    appid: String,
    expires_at: UnixSeconds,
}

impl PlatformTokens {
    const MAX_TOKENS: usize = 100_000;
    const MAX_APPS: usize = 10_000;
    const TOKEN_LEN: usize = 64;

    pub(super) fn new(rule: TokenRule) -> Self {
        Self { rule, tokens: Recent::with_max_len(Self::MAX_TOKENS), of_app: Recent::with_max_len(Self::MAX_APPS) }
    }

    /// A token for `appid`, and the seconds that it has left. Nothing without randomness.
    pub(super) fn issue(&mut self, appid: &str, now: UnixSeconds) -> Option<(String, u64)> {
        let TokenRule { life_s, reuse_above_s, extends, overlap_s, max_alive } = self.rule;
        let Self { tokens, of_app, .. } = self;
        let living = of_app.get_or_insert_default(appid);
        living.retain(|token| tokens.get(token.as_str()).is_some_and(|token| now < token.expires_at));
        if let (Some(newest), Some(least_s)) = (living.last(), reuse_above_s)
            && let Some(found) = tokens.get_mut(newest.as_str())
            && found.expires_at.since(now) > least_s
        {
            if extends {
                found.expires_at = now.plus(life_s);
            }
            return Some((newest.clone(), found.expires_at.since(now)));
        }
        let token = random_text(Self::TOKEN_LEN).ok()?;
        for before in &*living {
            if let (Some(overlap_s), Some(before)) = (overlap_s, tokens.get_mut(before.as_str())) {
                before.expires_at = before.expires_at.min(now.plus(overlap_s));
            }
        }
        while living.len() >= max_alive {
            if let Some(oldest) = tokens.get_mut(living.remove(0).as_str()) {
                oldest.expires_at = now;
            }
        }
        living.push(token.clone());
        tokens.insert(token.clone(), PlatformToken { appid: appid.to_owned(), expires_at: now.plus(life_s) });
        Some((token, life_s))
    }

    pub(super) fn state(&self, token: &str, now: UnixSeconds) -> TokenLife {
        match self.tokens.get(token) {
            Some(found) if now < found.expires_at => TokenLife::Alive(found.appid.clone()),
            Some(found) => TokenLife::Dead(found.appid.clone()),
            None => TokenLife::Unknown,
        }
    }

    /// Ends all tokens, or all of one app. Answers how many were alive.
    pub(super) fn expire(&mut self, appid: Option<&str>, now: UnixSeconds) -> u64 {
        let mut ended = 0;
        for token in self.tokens.values_mut().filter(|token| appid.is_none_or(|appid| token.appid == appid)) {
            if now < token.expires_at {
                token.expires_at = now;
                ended += 1;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
    const NEW_EACH_TIME: TokenRule =
        TokenRule { life_s: 7200, reuse_above_s: None, extends: false, overlap_s: Some(300), max_alive: 100 };

    fn issue(tokens: &mut PlatformTokens, after_s: u64) -> (String, u64) {
        tokens.issue("app", NOW.plus(after_s)).unwrap()
    }

    fn is_alive(tokens: &PlatformTokens, token: &str, after_s: u64) -> bool {
        match tokens.state(token, NOW.plus(after_s)) {
            TokenLife::Alive(appid) => appid == "app",
            TokenLife::Dead(appid) => {
                assert_eq!(appid, "app");
                false
            }
            TokenLife::Unknown => panic!("it was made here"),
        }
    }

    #[test]
    fn a_new_token_leaves_the_one_before_five_minutes() {
        let mut tokens = PlatformTokens::new(NEW_EACH_TIME);
        let ((first, _), (second, left_s)) = (issue(&mut tokens, 0), issue(&mut tokens, 10));
        assert!(first != second && left_s == 7200);
        assert!(is_alive(&tokens, &first, 309) && !is_alive(&tokens, &first, 310) && is_alive(&tokens, &second, 7209));
        assert_eq!(tokens.state("other", NOW), TokenLife::Unknown);
    }

    #[test]
    fn a_third_token_may_end_the_first_at_once() {
        let mut tokens = PlatformTokens::new(TokenRule { max_alive: 2, ..NEW_EACH_TIME });
        let [first, second, third] = [0, 1, 2].map(|after_s| issue(&mut tokens, after_s).0);
        assert!(!is_alive(&tokens, &first, 2) && is_alive(&tokens, &second, 2) && is_alive(&tokens, &third, 2));
    }

    #[test]
    fn a_token_may_be_given_again() {
        let rule = TokenRule { reuse_above_s: Some(1800), overlap_s: None, ..NEW_EACH_TIME };
        let mut tokens = PlatformTokens::new(rule);
        let (first, _) = issue(&mut tokens, 0);
        assert_eq!(issue(&mut tokens, 5399), (first.clone(), 1801));
        let (second, _) = issue(&mut tokens, 5400);
        assert!(second != first && is_alive(&tokens, &first, 7199) && is_alive(&tokens, &second, 7199));
        let mut extending = PlatformTokens::new(TokenRule { reuse_above_s: Some(0), extends: true, ..rule });
        let (first, _) = issue(&mut extending, 0);
        assert_eq!(issue(&mut extending, 7199), (first, 7200));
    }

    #[test]
    fn tokens_end_on_demand() {
        let mut tokens = PlatformTokens::new(NEW_EACH_TIME);
        let (token, _) = issue(&mut tokens, 0);
        assert_eq!((tokens.expire(Some("another"), NOW), tokens.expire(Some("app"), NOW)), (0, 1));
        assert!(!is_alive(&tokens, &token, 0));
        assert_eq!(tokens.expire(None, NOW), 0);
    }
}
