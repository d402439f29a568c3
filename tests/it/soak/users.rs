//! Good users. They log in, renew now and then, and check on every route that checks. Each answer must be the right one.

use auth_ticket::ticket::UnverifiedTicket;
use tokio::time::Instant;

use super::ledger::Worth;
use super::worker::{Worker, outcome};
use crate::process::support::APPID;
use crate::support::{Answer, Call};

/// A user, and what he has.
struct User {
    worker: Worker,
    name: String,
    /// Known from the first check.
    openid: Option<String>,
    ticket: Option<String>,
}

/// Lives until it is over.
pub(super) async fn live(worker: Worker, number: usize) {
    let mut user = User { worker, name: format!("user{number}"), openid: None, ticket: None };
    while !user.worker.stage.is_over() {
        user.worker.stage.ledger.has(&user.name, user.ticket.as_deref());
        user.worker.turn().await;
        user.act().await;
    }
    user.worker.stage.ledger.left(&user.name);
}

impl User {
    async fn act(&mut self) {
        let wish = self.worker.dice.roll(20);
        match self.ticket.clone() {
            Some(ticket) if wish > 2 => self.check(&ticket).await,
            Some(ticket) if wish > 0 => self.renew(&ticket).await,
            _ => self.log_in().await,
        }
    }

    async fn log_in(&mut self) {
        self.worker.kind = "login";
        if let Some(ticket) = self.worker.log_in(&self.name, APPID).await {
            self.has(ticket);
        }
    }

    async fn renew(&mut self, ticket: &str) {
        self.worker.kind = "renewal";
        if let Some(answer) = self.ask(ticket, Call::post("/v1/renew"), "invalid_ticket").await {
            self.has(answer.ticket());
        }
    }

    async fn check(&mut self, ticket: &str) {
        self.worker.kind = "check";
        let path = match self.worker.dice.roll(6) {
            0 => "/v1/verify".to_owned(),
            1 => "/v1/ext-authz/orders/7?page=2".to_owned(),
            2 => format!("/v1/ext-authz-app/{APPID}/orders"),
            3 => "/v1/session".to_owned(),
            _ => format!("/v1/verify/{APPID}"),
        };
        let Some(answer) = self.ask(ticket, Call::get(&path), "invalid_ticket").await else { return };
        let openid = if path == "/v1/session" {
            answer.text("openid")
        } else {
            answer.header("x-auth-openid").unwrap_or_default().to_owned()
        };
        let known = self.openid.get_or_insert_with(|| openid.clone());
        assert_eq!((known.len(), &*known), (28, &openid), "{} at {path}", self.name);
        self.worker.stage.tally.check(self.worker.stage.ledger.weather().sky);
    }

    /// Shows `ticket`, which has to be good unless its key is revoked; then he has none any more.
    async fn ask(&mut self, ticket: &str, call: Call, refusal: &str) -> Option<Answer> {
        let call = match self.worker.dice.roll(2) {
            0 => call.ticket(ticket),
            _ => call.header("Authorization", format!("Bearer {ticket}")),
        };
        let kid = UnverifiedTicket::parse(ticket.as_bytes()).unwrap().unverified_kid().to_string();
        let shown = Instant::now();
        let answer = self.worker.ask(&call).await;
        let (refused, worth) = (format!("401 {refusal}"), self.worker.stage.ledger.worth(&kid, shown));
        let expected: &[&str] = match worth {
            Worth::Good => &["200"],
            Worth::Either => &["200", &refused],
            Worth::Refused => &[&refused],
        };
        if outcome(answer.as_ref()) == refused {
            self.ticket = None;
        }
        self.worker.told(answer.as_ref(), expected, &(&self.name, worth));
        answer.filter(|answer| answer.status == 200)
    }

    fn has(&mut self, ticket: String) {
        self.worker.stage.ledger.issued(&ticket, &mut self.worker.dice);
        self.ticket = Some(ticket);
    }
}
