//! Simulated codes: what a code asks for, and which codes are spent.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::users::Name;
use crate::clock::UnixSeconds;

/// What the spelling of a code asks for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Request {
    /// `demo-NAME-ANYTHING`: a login, once. `ANYTHING` may be empty, its dash may not be missing.
    Demo(Name),
    /// `err-N`: a refusal with that number.
    Refusal(i64),
    /// `slow-MILLISECONDS-NAME`, more after another dash: a login after a while, any number of times.
    Slow(Duration, Name),
    /// `http-500`.
    ServerError,
    /// `garbage`: a 200 that is no JSON.
    Garbage,
    /// `hang`: no answer.
    Hang,
    /// `cut`: half an answer.
    Cut,
    /// Nothing special; a minted code, if anything.
    Other,
}

impl Request {
    /// What a longer wait is shortened to.
    pub(super) const MAX_DELAY_MS: u64 = 60_000;

    pub(super) fn parse(code: &str) -> Self {
        match code {
            "http-500" => Self::ServerError,
            "garbage" => Self::Garbage,
            "hang" => Self::Hang,
            "cut" => Self::Cut,
            _ => Self::parse_composed(code).unwrap_or(Self::Other),
        }
    }

    fn parse_composed(code: &str) -> Option<Self> {
        let (kind, rest) = code.split_once('-')?;
        match kind {
            "demo" => Some(Self::Demo(Name::parse(rest.split_once('-')?.0)?)),
            "err" => Some(Self::Refusal(rest.parse().ok()?)),
            "slow" => {
                let (delay_ms, name) = rest.split_once('-')?;
                let name = Name::parse(name.split('-').next()?)?;
                if delay_ms.is_empty() || !delay_ms.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                // Only a number beyond 64 bits fails here.
                let delay_ms = delay_ms.parse().unwrap_or(u64::MAX).min(Self::MAX_DELAY_MS);
                Some(Self::Slow(Duration::from_millis(delay_ms), name))
            }
            _ => None,
        }
    }
}

/// Why a code logs nobody in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    /// 40029.
    Invalid,
    /// 40163.
    Used,
}

/// The codes that were minted or spent. Remembers so many of each and forgets the oldest beyond that, so a spent
/// `demo-` code could be spent again after a million others.
pub(super) struct Codes {
    minted: HashMap<String, Minted>,
    minted_order: VecDeque<String>,
    spent: HashSet<[u8; 16]>,
    spent_order: VecDeque<[u8; 16]>,
    max_len: usize,
}

struct Minted {
    appid: String,
    name: Name,
    expires_at: UnixSeconds,
}

impl Default for Codes {
    fn default() -> Self {
        Self::with_max_len(Self::MAX_LEN)
    }
}

impl Codes {
    const MAX_LEN: usize = 1_000_000;
    const MINTED_LEN: usize = 32;
    const LIFETIME_S: u64 = 300;

    fn with_max_len(max_len: usize) -> Self {
        Self {
            minted: HashMap::new(),
            minted_order: VecDeque::new(),
            spent: HashSet::new(),
            spent_order: VecDeque::new(),
            max_len,
        }
    }

    /// Makes a code that logs `name` in to `appid` once, until five minutes after `now`.
    pub(super) fn mint(&mut self, appid: String, name: Name, now: UnixSeconds) -> Result<String, getrandom::Error> {
        let code = random_code()?;
        while let Some(oldest) = self.minted_order.front() {
            let is_live = self.minted.get(oldest).is_some_and(|minted| now < minted.expires_at);
            if is_live && self.minted_order.len() < self.max_len {
                break;
            }
            if let Some(oldest) = self.minted_order.pop_front() {
                self.minted.remove(&oldest);
            }
        }
        self.minted_order.push_back(code.clone());
        self.minted.insert(code.clone(), Minted { appid, name, expires_at: now.plus(Self::LIFETIME_S) });
        Ok(code)
    }

    /// Spends a minted code. One that is tried with another app, or too late, is not thereby spent.
    pub(super) fn spend_minted(&mut self, code: &str, appid: &str, now: UnixSeconds) -> Result<Name, Refused> {
        if self.spent.contains(&digest(code)) {
            return Err(Refused::Used);
        }
        let minted = self.minted.get(code).ok_or(Refused::Invalid)?;
        if minted.appid != appid || now >= minted.expires_at {
            return Err(Refused::Invalid);
        }
        let name = minted.name.clone();
        self.minted.remove(code);
        self.spend(code)?;
        Ok(name)
    }

    /// Spends any code, whatever the app.
    pub(super) fn spend(&mut self, code: &str) -> Result<(), Refused> {
        let digest = digest(code);
        if !self.spent.insert(digest) {
            return Err(Refused::Used);
        }
        if self.spent_order.len() >= self.max_len
            && let Some(oldest) = self.spent_order.pop_front()
        {
            self.spent.remove(&oldest);
        }
        self.spent_order.push_back(digest);
        Ok(())
    }
}

/// A spent code may be long; its digest is not.
fn digest(code: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(code).into();
    digest.first_chunk().copied().unwrap_or_default()
}

fn random_code() -> Result<String, getrandom::Error> {
    let mut code = String::with_capacity(Codes::MINTED_LEN);
    let mut bytes = [0; 64];
    loop {
        getrandom::fill(&mut bytes)?;
        for byte in bytes.map(char::from) {
            if byte.is_ascii_alphanumeric() {
                code.push(byte);
            }
            if code.len() == Codes::MINTED_LEN {
                return Ok(code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn the_spelling_of_a_code_says_what_it_asks_for() {
        let slow = |delay_ms| Request::Slow(Duration::from_millis(delay_ms), name("alice"));
        for (code, request) in [
            ("demo-alice-1", Request::Demo(name("alice"))),
            ("demo-alice-", Request::Demo(name("alice"))),
            ("demo-alice-1-2", Request::Demo(name("alice"))),
            ("demo-alice", Request::Other),
            ("demo--1", Request::Other),
            ("demo-", Request::Other),
            ("err-40029", Request::Refusal(40029)),
            ("err--1", Request::Refusal(-1)),
            ("err-0", Request::Refusal(0)),
            ("err-9223372036854775808", Request::Other),
            ("err-", Request::Other),
            ("err-x", Request::Other),
            ("slow-5-alice", slow(5)),
            ("slow-0-alice-again", slow(0)),
            ("slow-60001-alice", slow(60_000)),
            ("slow-99999999999999999999-alice", slow(60_000)),
            ("slow-+5-alice", Request::Other),
            ("slow--5-alice", Request::Other),
            ("slow-5-", Request::Other),
            ("slow-5", Request::Other),
            ("http-500", Request::ServerError),
            ("garbage", Request::Garbage),
            ("hang", Request::Hang),
            ("cut", Request::Cut),
            ("", Request::Other),
            ("-", Request::Other),
            ("Demo-alice-1", Request::Other),
        ] {
            assert_eq!(Request::parse(code), request, "{code}");
        }
    }

    #[test]
    fn a_minted_code_is_32_alphanumerics_and_works_once() {
        let mut codes = Codes::default();
        let code = codes.mint("wx1".to_owned(), name("alice"), NOW).unwrap();
        assert!(code.len() == 32 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{code}");
        assert_ne!(code, codes.mint("wx1".to_owned(), name("alice"), NOW).unwrap());
        assert_eq!(codes.spend_minted(&code, "wx1", NOW), Ok(name("alice")));
        assert_eq!(codes.spend_minted(&code, "wx1", NOW), Err(Refused::Used));
        assert_eq!(codes.spend_minted(&code, "wx1", NOW.plus(301)), Err(Refused::Used));
    }

    #[test]
    fn a_minted_code_is_for_one_app_and_five_minutes() {
        let mut codes = Codes::default();
        let code = codes.mint("wx1".to_owned(), name("alice"), NOW).unwrap();
        assert_eq!(codes.spend_minted(&code, "wx2", NOW), Err(Refused::Invalid));
        assert_eq!(codes.spend_minted(&code, "wx1", NOW.plus(300)), Err(Refused::Invalid));
        assert_eq!(codes.spend_minted(&code, "wx1", NOW.plus(299)), Ok(name("alice")));
    }

    #[test]
    fn the_oldest_codes_are_forgotten_first() {
        let mut codes = Codes::with_max_len(2);
        let minted = [(); 3].map(|()| codes.mint("wx1".to_owned(), name("alice"), NOW).unwrap());
        assert_eq!(codes.minted.len(), 2);
        assert_eq!(codes.spend_minted(&minted[0], "wx1", NOW), Err(Refused::Invalid));
        for code in ["a", "b", "c"] {
            assert_eq!(codes.spend(code), Ok(()));
        }
        assert_eq!((codes.spent.len(), codes.spent_order.len()), (2, 2));
        assert_eq!(codes.spend("c"), Err(Refused::Used));
        assert_eq!(codes.spend("a"), Ok(()));
    }

    #[test]
    fn expired_codes_leave_the_memory_with_the_next_one() {
        let mut codes = Codes::default();
        for _ in 0..3 {
            codes.mint("wx1".to_owned(), name("alice"), NOW).unwrap();
        }
        codes.mint("wx1".to_owned(), name("alice"), NOW.plus(300)).unwrap();
        assert_eq!((codes.minted.len(), codes.minted_order.len()), (1, 1));
    }
}
