//! Good users. They log in, renew and take JWTs now and then, and check on every route that checks. Each answer must be the right one.

use auth_ticket::ticket::UnverifiedTicket;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
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
            Some(ticket) if wish > 3 => self.check(&ticket).await,
            Some(ticket) if wish > 2 => self.exchange(&ticket).await,
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
        if let Some(answer) = self.show(ticket, Call::post("/v1/renew")).await {
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
        let Some(answer) = self.show(ticket, Call::get(&path)).await else { return };
        let openid = if path == "/v1/session" {
            answer.text("openid")
        } else {
            answer.header("x-auth-openid").unwrap_or_default().to_owned()
        };
        self.is_called(&openid, &path);
        self.worker.stage.tally.check(self.worker.stage.ledger.weather().sky);
    }

    /// Has a JWT for a service, in exchange.
    async fn exchange(&mut self, ticket: &str) {
        self.worker.kind = "token exchange";
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&client_id={APPID}\
             &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
        );
        let call = Call::post("/v1/token").form(&form);
        let Some(answer) = self.ask(ticket, call, "400 invalid_request").await else { return };
        let jwt = answer.text("access_token");
        let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        self.is_called(claims["sub"].as_str().unwrap(), "the exchange");
    }

    /// As answers call him, always the same.
    fn is_called(&mut self, openid: &str, by: &str) {
        let known = self.openid.get_or_insert_with(|| openid.to_owned());
        assert_eq!((known.len(), &**known), (28, openid), "{} at {by}", self.name);
    }

    /// Shows `ticket` in a header.
    async fn show(&mut self, ticket: &str, call: Call) -> Option<Answer> {
        let call = match self.worker.dice.roll(2) {
            0 => call.ticket(ticket),
            _ => call.header("Authorization", format!("Bearer {ticket}")),
        };
        self.ask(ticket, call, "401 invalid_ticket").await
    }

    /// Sends `call` with `ticket`, which has to be good unless its key is revoked; then it is `refused`, and he has none any
    /// more.
    async fn ask(&mut self, ticket: &str, call: Call, refused: &str) -> Option<Answer> {
        let kid = UnverifiedTicket::parse(ticket.as_bytes()).unwrap().unverified_kid().to_string();
        let shown = Instant::now();
        let answer = self.worker.ask(&call).await;
        let worth = self.worker.stage.ledger.worth(&kid, shown);
        let expected: &[&str] = match worth {
            Worth::Good => &["200"],
            Worth::Either => &["200", refused],
            Worth::Refused => &[refused],
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
