//! Simulated codes, of logins and of phone buttons: what a code asks for, and which codes are spent.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::faults::{Fault, parse_delay};
use super::memory::Recent;
use super::users::Name;
use crate::clock::UnixSeconds;

/// What the spelling of a code asks for.
#[derive(Debug, Eq, PartialEq)]
enum CodeMeaning {
    /// `demo-NAME-ANYTHING`: the user NAME, once. `ANYTHING` may be empty, its dash may not be missing.
    Once(Name),
    /// `slow-MILLISECONDS-NAME`, more after another dash: the user after a while, any number of times.
    Slow(Duration, Name),
    /// `err-N` and the like.
    Fault(Fault),
    /// Nothing special; a minted code, if anything.
    Other,
}

impl CodeMeaning {
    /// `once` is what a code that works once begins with: `demo` or `phone`.
    fn parse(code: &str, once: &str) -> Self {
        Fault::parse(code).map(Self::Fault).or_else(|| Self::parse_user(code, once)).unwrap_or(Self::Other)
    }

    fn parse_user(code: &str, once: &str) -> Option<Self> {
        let (kind, rest) = code.split_once('-')?;
        if kind == once {
            return Some(Self::Once(Name::parse(rest.split_once('-')?.0)?));
        }
        let (delay, name) = rest.split_once('-').filter(|_| kind == "slow")?;
        Some(Self::Slow(parse_delay(delay)?, Name::parse(name.split('-').next()?)?))
    }
}

/// Why a code logs nobody in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refused {
    Invalid,
    Used,
}

/// Why a code is not redeemed.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Unredeemed {
    /// Unknown, expired, or another app's.
    Invalid,
    /// Spent before.
    Used,
    /// Of somebody who was not meant. It stays good.
    OtherUser,
    /// The spelling asks for it.
    Fault(Fault),
}

impl From<Refused> for Unredeemed {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid => Self::Invalid,
            Refused::Used => Self::Used,
        }
    }
}

/// A code as a request brings it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PresentedCode<'a> {
    pub(super) text: &'a str,
    /// What a code of this kind begins with that works once: `demo` or `phone`.
    pub(super) once: &'a str,
    pub(super) appid: &'a str,
    /// Whom a code stands for that nobody here has made.
    pub(super) stranger: Option<&'a Name>,
}

/// The codes of one kind that were minted or spent. Remembers so many of each and forgets the oldest beyond that, so a
/// spent `demo-` code could be spent again after a million others.
#[derive(Debug)]
pub(super) struct Codes {
    minted: Recent<String, Minted>,
    spent: Recent<[u8; 16], ()>,
    lifetime_s: u64,
}

#[derive(Debug)]
struct Minted {
    appid: String,
    name: Name,
    expires_at: UnixSeconds,
}

impl Default for Codes {
    fn default() -> Self {
        Self::with_max_len(1_000_000)
    }
}

impl Codes {
    /// Of most platforms' codes: five minutes.
    const LIFETIME_S: u64 = 300;

    fn with_max_len(max_len: usize) -> Self {
        let (minted, spent) = (Recent::with_max_len(max_len), Recent::with_max_len(max_len));
        Self { minted, spent, lifetime_s: Self::LIFETIME_S }
    }

    /// For a platform whose codes live so long.
    pub(super) fn living_for_s(lifetime_s: u64) -> Self {
        Self { lifetime_s, ..Self::default() }
    }

    /// Lets `code` stand for `name` in `appid`, once, until its lifetime has passed.
    pub(super) fn mint(&mut self, code: String, appid: String, name: Name, now: UnixSeconds) {
        self.minted.forget_while(|minted| now >= minted.expires_at);
        self.minted.insert(code, Minted { appid, name, expires_at: now.plus(self.lifetime_s) });
    }

    /// Whether the code was minted here, and not too long ago to be remembered.
    fn has_minted(&self, code: &str) -> bool {
        self.minted.get(code).is_some()
    }

    /// Whom a minted code stands for. It is not spent thereby.
    fn owner(&self, code: &str, appid: &str, now: UnixSeconds) -> Result<Name, Refused> {
        if self.spent.get(&digest(code)).is_some() {
            return Err(Refused::Used);
        }
        let minted = self.minted.get(code).ok_or(Refused::Invalid)?;
        if minted.appid != appid || now >= minted.expires_at {
            return Err(Refused::Invalid);
        }
        Ok(minted.name.clone())
    }

    /// Whom a code stands for, and how long it takes to say so. It is spent thereby, if whoever it is is `expected`.
    pub(super) fn redeem(
        &mut self,
        code: PresentedCode<'_>,
        now: UnixSeconds,
        expected: impl FnOnce(&Name) -> bool,
    ) -> Result<(Duration, Name), Unredeemed> {
        let PresentedCode { text, once, appid, stranger } = code;
        let meaning = match (CodeMeaning::parse(text, once), stranger) {
            (CodeMeaning::Other, Some(stranger)) if !self.has_minted(text) => CodeMeaning::Once(stranger.clone()),
            (meaning, _) => meaning,
        };
        let (delay, name, works_once) = match meaning {
            CodeMeaning::Once(name) => (Duration::ZERO, name, true),
            CodeMeaning::Other => (Duration::ZERO, self.owner(text, appid, now)?, true),
            CodeMeaning::Slow(delay, name) => (delay, name, false),
            CodeMeaning::Fault(fault) => return Err(Unredeemed::Fault(fault)),
        };
        if !expected(&name) {
            return Err(Unredeemed::OtherUser);
        }
        if works_once {
            self.spend(text)?;
        }
        Ok((delay, name))
    }

    /// Spends any code, whatever the app.
    fn spend(&mut self, code: &str) -> Result<(), Refused> {
        let digest = digest(code);
        if self.spent.get(&digest).is_some() {
            return Err(Refused::Used);
        }
        self.spent.insert(digest, ());
        Ok(())
    }
}

/// A spent code may be long; its digest is not.
fn digest(code: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(code).into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Letters and digits.
pub(super) fn random_text(len: usize) -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(len);
    let mut bytes = [0; 64];
    while text.len() < len {
        getrandom::fill(&mut bytes)?;
        let alphanumerics = bytes.map(char::from).into_iter().filter(char::is_ascii_alphanumeric);
        text.extend(alphanumerics.take(len - text.len()));
    }
    Ok(text)
}

/// As `wx.login` gets one: 32 letters and digits.
pub(super) fn random_login_code() -> Result<String, getrandom::Error> {
    random_text(32)
}

/// As the phone button gets one: 64 hex digits.
pub(super) fn random_phone_code() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::faults::Broken;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn mint(codes: &mut Codes, now: UnixSeconds) -> String {
        let code = random_login_code().unwrap();
        codes.mint(code.clone(), "wx1".to_owned(), name("alice"), now);
        code
    }

    #[test]
    fn the_spelling_of_a_code_says_what_it_asks_for() {
        let slow = |delay_ms| CodeMeaning::Slow(Duration::from_millis(delay_ms), name("alice"));
        for (code, request) in [
            ("demo-alice-1", CodeMeaning::Once(name("alice"))),
            ("demo-alice-", CodeMeaning::Once(name("alice"))),
            ("demo-alice-1-2", CodeMeaning::Once(name("alice"))),
            ("demo-alice", CodeMeaning::Other),
            ("demo--1", CodeMeaning::Other),
            ("demo-", CodeMeaning::Other),
            ("phone-alice-1", CodeMeaning::Other),
            ("err-40029", CodeMeaning::Fault(Fault::Errcode(40029))),
            ("err--1", CodeMeaning::Fault(Fault::Errcode(-1))),
            ("err-0", CodeMeaning::Fault(Fault::Errcode(0))),
            ("err-x", CodeMeaning::Fault(Fault::Word("x".into()))),
            ("err-", CodeMeaning::Other),
            ("slow-5-alice", slow(5)),
            ("slow-0-alice-again", slow(0)),
            ("slow-60001-alice", slow(60_000)),
            ("slow-+5-alice", CodeMeaning::Other),
            ("slow--5-alice", CodeMeaning::Other),
            ("slow-5-", CodeMeaning::Other),
            ("slow-5", CodeMeaning::Other),
            ("hang", CodeMeaning::Fault(Fault::Broken(Broken::Hang))),
            ("", CodeMeaning::Other),
            ("-", CodeMeaning::Other),
            ("Demo-alice-1", CodeMeaning::Other),
        ] {
            assert_eq!(CodeMeaning::parse(code, "demo"), request, "{code}");
        }
        assert_eq!(CodeMeaning::parse("phone-alice-1", "phone"), CodeMeaning::Once(name("alice")));
        assert_eq!(CodeMeaning::parse("demo-alice-1", "phone"), CodeMeaning::Other);
    }

    #[test]
    fn random_codes_look_like_the_real_ones() {
        let [login, other] = [(); 2].map(|()| random_login_code().unwrap());
        assert!(login.len() == 32 && login.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{login}");
        assert_ne!(login, other);
        let phone = random_phone_code().unwrap();
        assert!(phone.len() == 64 && phone.bytes().all(|byte| byte.is_ascii_hexdigit()), "{phone}");
        assert_eq!(random_text(133).unwrap().len(), 133);
    }

    #[test]
    fn a_minted_code_works_once() {
        let mut codes = Codes::default();
        let code = mint(&mut codes, NOW);
        assert_eq!(codes.owner(&code, "wx1", NOW), Ok(name("alice")));
        codes.spend(&code).unwrap();
        assert_eq!(codes.owner(&code, "wx1", NOW), Err(Refused::Used));
        assert_eq!(codes.owner(&code, "wx1", NOW.plus(301)), Err(Refused::Used));
    }

    #[test]
    fn a_minted_code_is_for_one_app_and_five_minutes() {
        let mut codes = Codes::default();
        let code = mint(&mut codes, NOW);
        assert_eq!(codes.owner(&code, "wx2", NOW), Err(Refused::Invalid));
        assert_eq!(codes.owner(&code, "wx1", NOW.plus(300)), Err(Refused::Invalid));
        assert_eq!(codes.owner(&code, "wx1", NOW.plus(299)), Ok(name("alice")));
    }

    #[test]
    fn a_code_lives_as_long_as_its_platform_says() {
        let mut codes = Codes::living_for_s(180);
        let code = mint(&mut codes, NOW);
        assert_eq!(codes.owner(&code, "wx1", NOW.plus(179)), Ok(name("alice")));
        assert_eq!(codes.owner(&code, "wx1", NOW.plus(180)), Err(Refused::Invalid));
    }

    #[test]
    fn the_oldest_codes_are_forgotten_first() {
        let mut codes = Codes::with_max_len(2);
        let minted = [(); 3].map(|()| mint(&mut codes, NOW));
        assert_eq!(codes.minted.len(), 2);
        assert_eq!(codes.owner(&minted[0], "wx1", NOW), Err(Refused::Invalid));
        for code in ["a", "b", "c"] {
            assert_eq!(codes.spend(code), Ok(()));
        }
        assert_eq!(codes.spent.len(), 2);
        assert_eq!(codes.spend("c"), Err(Refused::Used));
        assert_eq!(codes.spend("a"), Ok(()));
    }

    #[test]
    fn expired_codes_leave_the_memory_with_the_next_one() {
        let mut codes = Codes::default();
        for _ in 0..3 {
            mint(&mut codes, NOW);
        }
        mint(&mut codes, NOW.plus(300));
        assert_eq!(codes.minted.len(), 1);
    }
}
