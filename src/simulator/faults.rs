//! Trouble on demand: by the code that is sent, or planned for an interface that takes no code.

use std::collections::HashMap;
use std::time::Duration;

/// How a request fails.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// `err-N`: an answer with that errcode.
    Errcode(i64),
    /// `err-WORD`: the same where errcodes are words.
    Word(Box<str>),
    Broken(Broken),
}

/// How an answer is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Broken {
    /// `http-500`.
    ServerError,
    /// `garbage`: a 200 that is no JSON.
    Garbage,
    /// `hang`: no answer.
    Hang,
    /// `cut`: half an answer.
    Cut,
}

impl Fault {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "http-500" => Some(Self::Broken(Broken::ServerError)),
            "garbage" => Some(Self::Broken(Broken::Garbage)),
            "hang" => Some(Self::Broken(Broken::Hang)),
            "cut" => Some(Self::Broken(Broken::Cut)),
            _ => Self::parse_errcode(text.strip_prefix("err-")?),
        }
    }
}

impl Fault {
    fn parse_errcode(text: &str) -> Option<Self> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_number = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) => Some(Self::Errcode(number)),
            Err(_) if is_number || !matches!(text.len(), 1..=64) || !text.bytes().all(is_word) => None,
            Err(_) => Some(Self::Word(text.into())),
        }
    }
}

impl From<i64> for Fault {
    fn from(errcode: i64) -> Self {
        Self::Errcode(errcode)
    }
}

/// Milliseconds in digits; more than a minute counts as a minute.
pub(super) fn parse_delay(text: &str) -> Option<Duration> {
    const MAX_DELAY_MS: u64 = 60_000;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Only a number beyond 64 bits fails here.
    Some(Duration::from_millis(text.parse().unwrap_or(u64::MAX).min(MAX_DELAY_MS)))
}

/// What is planned for the next requests to an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FaultPlan {
    /// `slow-MILLISECONDS`: the right answer, after a while.
    Slow(Duration),
    /// Nothing is done but this.
    Fail(Fault),
}

impl FaultPlan {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("slow-") {
            Some(delay) => parse_delay(delay).map(Self::Slow),
            None => Fault::parse(text).map(Self::Fail),
        }
    }
}

/// At most one plan for each interface.
#[derive(Debug, Default)]
pub(super) struct Plans(HashMap<&'static str, (FaultPlan, Option<u64>)>);

impl Plans {
    /// Replaces the plan of an interface; it holds for so many requests, or until it is cleared.
    pub(super) fn set(&mut self, interface: &'static str, plan: FaultPlan, times: Option<u64>) {
        self.0.insert(interface, (plan, times));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is planned for this request, which uses it up once.
    pub(super) fn take(&mut self, interface: &'static str) -> Option<FaultPlan> {
        let (plan, times) = self.0.get_mut(interface)?;
        let plan = plan.clone();
        if let Some(left) = times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.0.remove(interface);
            }
        }
        Some(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_plan_says_what_it_asks_for() {
        let slow = |delay_ms| Some(FaultPlan::Slow(Duration::from_millis(delay_ms)));
        for (text, plan) in [
            ("err-40001", Some(FaultPlan::Fail(Fault::Errcode(40001)))),
            ("err--1", Some(FaultPlan::Fail(Fault::Errcode(-1)))),
            ("err-isv.code-invalid", Some(FaultPlan::Fail(Fault::Word("isv.code-invalid".into())))),
            ("err-a b", None),
            ("http-500", Some(FaultPlan::Fail(Fault::Broken(Broken::ServerError)))),
            ("garbage", Some(FaultPlan::Fail(Fault::Broken(Broken::Garbage)))),
            ("hang", Some(FaultPlan::Fail(Fault::Broken(Broken::Hang)))),
            ("cut", Some(FaultPlan::Fail(Fault::Broken(Broken::Cut)))),
            ("slow-0", slow(0)),
            ("slow-60001", slow(60_000)),
            ("slow-99999999999999999999", slow(60_000)),
            ("slow-", None),
            ("slow-+5", None),
            ("slow-5-alice", None),
            ("err-", None),
            ("err-9223372036854775808", None),
            ("", None),
            ("Hang", None),
        ] {
            assert_eq!(FaultPlan::parse(text), plan, "{text}");
        }
    }

    #[test]
    fn a_plan_holds_for_so_many_requests_or_until_it_is_cleared() {
        let mut plans = Plans::default();
        let [hang, cut] = [Broken::Hang, Broken::Cut].map(|broken| FaultPlan::Fail(Fault::Broken(broken)));
        plans.set("stable_token", hang.clone(), Some(2));
        assert_eq!(plans.take("token"), None);
        assert_eq!([(); 3].map(|()| plans.take("stable_token")), [Some(hang.clone()), Some(hang.clone()), None]);
        plans.set("stable_token", hang.clone(), None);
        plans.set("stable_token", cut.clone(), None);
        assert_eq!([(); 3].map(|()| plans.take("stable_token")), [(); 3].map(|()| Some(cut.clone())));
        plans.clear();
        assert_eq!(plans.take("stable_token"), None);
    }
}
