//! What happens to the keys while everybody is at work, by the same commands that operators use.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::form::MARGIN;
use super::ledger::Worth;
use super::stage::Stage;
use super::worker::{Worker, outcome};
use crate::drill::http::kid_of;
use crate::drill::process::kid_in;
use crate::drill::within;
use crate::support::APPID;
use crate::support::{Answer, Call};

/// Longer than the server's poll takes to find a key.
const LEAD: &str = "2s";
const FAILED: &str = "auth_ticket_ring_reload_failed";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    RotateWithLead,
    Hangup,
    BreakDirectory,
    CutOffLogin,
    RevokeOldKey,
    RotateNow,
    CutOffUser,
    RevokeSealingKey,
}

const STEPS: [Step; 8] = [
    Step::RotateWithLead,
    Step::Hangup,
    Step::BreakDirectory,
    Step::CutOffLogin,
    Step::RotateNow,
    Step::RevokeOldKey,
    Step::CutOffUser,
    Step::RevokeSealingKey,
];

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::RotateWithLead => "rotated with a lead of 2 s: the new key seals",
            Self::Hangup => "SIGHUP: still well",
            Self::BreakDirectory => "directory broken, a login cut off there, mended",
            Self::CutOffLogin => "a login cut off",
            Self::RevokeOldKey => "an older key revoked",
            Self::RotateNow => "rotated without a lead: the new key seals",
            Self::CutOffUser => "a user cut off",
            Self::RevokeSealingKey => "the sealing key revoked",
        }
    }
}

struct Operator {
    stage: Arc<Stage>,
    worker: Worker,
}

/// One thing after the other, until it is over; and until everything has happened, if `all` of it is needed.
pub(super) async fn work(stage: &Arc<Stage>, all: bool) {
    let worker = Worker::new(stage, "operator", 0, 1, 50);
    let mut operator = Operator { stage: Arc::clone(stage), worker };
    let begin = operator.stage.tally.keys_done().len();
    for step in STEPS.iter().cycle().skip(begin % STEPS.len()) {
        if stage.is_over() && (!all || stage.tally.keys_done().len() == STEPS.len()) {
            return;
        }
        sleep(stage.form.keys_pause).await;
        let took = match step {
            Step::RotateWithLead => operator.rotate(&["--lead", LEAD]).await,
            Step::RotateNow => operator.rotate(&["--now"]).await,
            Step::Hangup => operator.hang_up().await,
            Step::BreakDirectory => operator.break_directory().await,
            Step::CutOffLogin => operator.cut_off_login().await,
            Step::CutOffUser => operator.cut_off_user().await,
            Step::RevokeOldKey => operator.revoke_old_key().await,
            Step::RevokeSealingKey => operator.revoke_sealing_key().await,
        };
        operator.stage.tally.keys(step.as_str(), took);
    }
}

/// Each gives back how long it took from the command until it was in force.
impl Operator {
    async fn rotate(&mut self, how: &[&str]) -> Duration {
        let began = Instant::now();
        let kid = kid_in(&self.stage.command(&[&["rotate"], how].concat()));
        within_margin(&mut self.worker, "the new key seals", async |worker| {
            let ticket = worker.anybodys_ticket().await;
            let (call, shown) = (Call::post("/v1/renew").ticket(&ticket), Instant::now());
            let answer = worker.ask(&call).await;
            let is_good = worker.stage.ledger.worth(&kid_of(&ticket), shown) == Worth::Good;
            assert!(!is_good || outcome(answer.as_ref()) == "200", "a renewal: {answer:?}");
            answer.is_some_and(|answer| answer.status == 200 && kid_of(&answer.ticket()) == kid)
        })
        .await;
        began.elapsed()
    }

    async fn hang_up(&mut self) -> Duration {
        let began = Instant::now();
        self.stage.server.signal(Signal::HUP);
        self.is_told("", "200").await;
        began.elapsed()
    }

    /// A file that is no key: the server says so and goes on. What takes power away is taken all the same.
    async fn break_directory(&mut self) -> Duration {
        let file = self.stage.keys().file("ticket-00000000.key");
        std::fs::write(&file, "half a ke").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        self.shows(1.0).await;
        let took = self.cut_off_login().await;
        std::fs::remove_file(&file).unwrap();
        self.shows(0.0).await;
        took
    }

    async fn shows(&self, failed: f64) {
        #[expect(clippy::float_cmp, reason = "one or nothing")]
        let is_so = async || self.stage.metric(FAILED).unwrap_or_default() == failed;
        within(MARGIN, "the server says whether its keys are right", is_so).await;
    }

    async fn cut_off_login(&mut self) -> Duration {
        let victim = self.victim("victim").await;
        let login_id = self.session(&victim).await.text("login_id");
        self.cut_off(&victim, &["--login-id", &login_id]).await
    }

    /// A user of his own, who is refused for as long as clocks may differ.
    async fn cut_off_user(&mut self) -> Duration {
        let name = self.stage.code_for("x").replace('-', ".");
        let victim = self.victim(&name).await;
        let openid = self.session(&victim).await.text("openid");
        self.cut_off(&victim, &["--appid", APPID, "--openid", &openid]).await
    }

    async fn cut_off(&mut self, victim: &str, what: &[&str]) -> Duration {
        let began = Instant::now();
        self.stage.command(&[&["cutoff", "add"], what].concat());
        self.is_told(victim, "401 ticket_revoked").await;
        began.elapsed()
    }

    async fn session(&mut self, ticket: &str) -> Answer {
        let answer = self.worker.ask(&Call::get("/v1/session").ticket(ticket)).await.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// Somebody who has just logged in.
    async fn victim(&mut self, name: &str) -> String {
        let _no_trouble = self.stage.logins.lock().await;
        self.worker.log_in(name, APPID).await.expect("a login in fine weather")
    }

    /// Of the keys that good tickets are under, one that does not seal any more.
    async fn revoke_old_key(&mut self) -> Duration {
        let sealing = self.stage.sealing_kid();
        let is_old = |ticket: &String| kid_of(ticket) != sealing;
        if !self.stage.ledger.tickets().iter().any(is_old) {
            self.rotate(&["--now"]).await;
        }
        let old = self.stage.ledger.tickets().into_iter().find(|ticket| kid_of(ticket) != self.stage.sealing_kid());
        self.revoke(&old.expect("a ticket under an older key")).await
    }

    async fn revoke_sealing_key(&mut self) -> Duration {
        let ticket = self.victim("victim").await;
        assert_eq!(kid_of(&ticket), self.stage.sealing_kid());
        self.revoke(&ticket).await
    }

    /// Revokes the key of `ticket`. Whoever has a ticket under it knows that beforehand, and logs in anew; that the
    /// platform is in trouble just then is left out, since the checks that are to go on then need tickets.
    async fn revoke(&mut self, ticket: &str) -> Duration {
        let stage = Arc::clone(&self.stage);
        let _no_trouble = stage.logins.lock().await;
        let (kid, began) = (kid_of(ticket), Instant::now());
        stage.ledger.revoking(&kid);
        stage.command(&["revoke", &kid]);
        self.is_told(ticket, "401 invalid_ticket").await;
        stage.ledger.revoked(&kid);
        let took = began.elapsed();
        within(MARGIN, "all have logged in again", async || stage.ledger.all_are_logged_in()).await;
        took
    }

    /// Waits until a check of `ticket`, or of any good one where it is empty, comes to `expected`.
    async fn is_told(&mut self, ticket: &str, expected: &str) {
        within_margin(&mut self.worker, expected, async |worker| {
            let ticket = if ticket.is_empty() { worker.anybodys_ticket().await } else { ticket.to_owned() };
            let answer = worker.ask(&Call::get("/v1/verify").ticket(&ticket)).await;
            let outcome = outcome(answer.as_ref());
            assert!(["200", expected].contains(&&*outcome), "{outcome}");
            outcome == expected
        })
        .await;
    }
}

async fn within_margin(worker: &mut Worker, what: &str, mut holds: impl AsyncFnMut(&mut Worker) -> bool) {
    let began = Instant::now();
    while !holds(worker).await {
        assert!(began.elapsed() < MARGIN + Duration::from_secs(2), "not in time: {what}");
        worker.turn().await;
    }
}
