//! Somebody who does one kind of thing again and again, at a bounded rate, and sees to it that each answer is one that
//! the contract names for it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::form::MARGIN;
use super::ledger::{ANY_WEATHER, Sky};
use super::stage::Stage;
use super::tally::CLOSED;
use crate::drill::clients::Dice;
use crate::support::APPID;
use crate::support::{Answer, Call, Connection};

/// One of those who are at work.
pub(super) struct Worker {
    pub(super) stage: Arc<Stage>,
    pub(super) dice: Dice,
    pub(super) kind: &'static str,
    every: Duration,
    due: Instant,
    /// A connection, and when it was last used.
    kept: Option<(Connection, Instant)>,
}

impl Worker {
    /// Number `number` of `of` workers who together do `per_s` things of this kind in a second, or as much as they can
    /// where that is 0.
    pub(super) fn new(stage: &Arc<Stage>, kind: &'static str, number: usize, of: usize, per_s: u32) -> Self {
        let mut dice = Dice((stage.seed ^ sum(kind) ^ ((number as u64) << 48)) | 1);
        let of = u32::try_from(of).unwrap();
        let every = Duration::from_secs(1).checked_div(per_s).unwrap_or_default() * of;
        let due = Instant::now() + every * u32::try_from(dice.roll(1000)).unwrap() / 1000;
        Self { stage: Arc::clone(stage), dice, kind, every, due, kept: None }
    }

    /// Waits for the next turn. Who is late does not hurry afterwards.
    pub(super) async fn turn(&mut self) {
        sleep_until(self.due).await;
        self.due = Instant::now() + self.every;
    }

    /// Asks over a kept connection, or a new one if that has not been used for long.
    pub(super) async fn ask(&mut self, call: &Call) -> Option<Answer> {
        let patience = self.stage.form.upstream_timeout + MARGIN;
        let mut connection = match self.kept.take() {
            Some((kept, used)) if used.elapsed() < self.stage.form.idle_timeout / 2 => kept,
            _ => self.stage.connect().await,
        };
        connection.try_send(call.to_bytes()).await;
        let answer = connection.try_answer(call, patience).await;
        if answer.as_ref().is_some_and(|answer| !answer.is_bare() && answer.header("connection") != Some("close")) {
            self.kept = Some((connection, Instant::now()));
        }
        answer
    }

    /// The kept connection goes.
    pub(super) fn hang_up(&mut self) {
        self.kept = None;
    }

    /// Counts an answer, or that there was none; it must be one of `expected`.
    #[track_caller]
    pub(super) fn told(&self, answer: Option<&Answer>, expected: &[&str], about: &dyn Debug) {
        let outcome = outcome(answer);
        assert!(
            expected.contains(&&*outcome),
            "{}: {outcome}, not {expected:?}\nseed {}, {about:?}: {answer:?}",
            self.kind,
            self.stage.seed
        );
        self.stage.tally.count(self.kind, &outcome);
    }

    /// Logs `name` in with a new code; `None` when the weather was bad.
    pub(super) async fn log_in(&mut self, name: &str, appid: &str) -> Option<String> {
        let code = self.stage.code_for(name);
        let answer = self.exchange(&code, login(&code, appid)).await?;
        Some(answer.ticket())
    }

    /// Sends `call`, which exchanges the new code; `None` when the weather was bad. In fine weather it has to succeed, and
    /// in any it has to be answered within the deadline of the platform.
    pub(super) async fn exchange(&mut self, code: &str, call: Call) -> Option<Answer> {
        let (before, asked) = (self.stage.ledger.weather(), Instant::now());
        let answer = self.ask(&call).await;
        let (after, took) = (self.stage.ledger.weather(), asked.elapsed());
        let expected = if before == after { before.logins() } else { ANY_WEATHER };
        let statuses: Vec<&str> = expected.iter().filter_map(|outcome| outcome.split(' ').next()).collect();
        let expected = if call.is_compat() { &*statuses } else { expected };
        self.told(answer.as_ref(), expected, &(before.sky, after.sky, call));
        let limit = self.stage.form.upstream_timeout + MARGIN / 2;
        assert!(took < limit, "a login took {took:?} while the platform was {:?}", before.sky);
        let sky = if before == after { before.sky } else { Sky::Changing };
        self.stage.tally.login(sky, &outcome(answer.as_ref()), took);
        let answer = answer.filter(|answer| outcome(Some(answer)) == "200")?;
        self.stage.ledger.spent(code);
        Some(answer)
    }

    /// A ticket that some user of the first app has.
    pub(super) async fn anybodys_ticket(&mut self) -> String {
        loop {
            if let Some(ticket) = self.stage.ledger.ticket(&mut self.dice) {
                return ticket;
            }
            if let Some(ticket) = self.log_in("nobody", APPID).await {
                self.stage.ledger.issued(&ticket, &mut self.dice);
            }
        }
    }
}

pub(super) fn login(code: &str, appid: &str) -> Call {
    login_from(&address_for(code), code, appid)
}

pub(super) fn login_from(address: &str, code: &str, appid: &str) -> Call {
    Call::post("/v1/login").json(&json!({ "code": code, "appid": appid })).header("X-Forwarded-For", address)
}

/// Each code comes from an address of its own, of which the trusted proxy tells.
pub(super) fn address_for(code: &str) -> String {
    let number = sum(code);
    format!("2001:db8:{:x}:{:x}::1", number >> 16 & 0xffff, number & 0xffff)
}

fn sum(text: &str) -> u64 {
    text.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

/// As it is counted: status and error; of the routes of `[compat]` the status that their answers of 200 tell.
pub(super) fn outcome(answer: Option<&Answer>) -> String {
    match answer {
        None => CLOSED.to_owned(),
        Some(answer) if answer.is_bare() => format!("{} without a body", answer.status),
        Some(answer) if answer.status == 200 => {
            let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
            let told = body.as_ref().and_then(|body| body.get("code")?.as_u64());
            told.unwrap_or(200).to_string()
        }
        Some(answer) => format!("{} {}", answer.status, answer.text("error")),
    }
}
