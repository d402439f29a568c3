//! Good users. They check on every route that checks; now and then they log in, renew, take a JWT, prove a phone number or
//! have data decrypted. Each answer must be the right one.

use auth_ticket::ticket::UnverifiedTicket;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ledger::{ANY_WEATHER, Worth};
use super::worker::{Worker, address_for, outcome};
use crate::support::APPID;
use crate::support::{Answer, Call};

/// A user, and what he has.
struct User {
    worker: Worker,
    name: String,
    /// Known from the first check.
    openid: Option<String>,
    ticket: Option<String>,
    /// The number that is in the ticket.
    phone: Option<String>,
    /// As his platform has encrypted it: the same as long as nobody replaces his `session_key`.
    data: Option<Value>,
}

/// What they do.
pub(super) const KINDS: [&str; 7] =
    ["login", "compat login", "renewal", "check", "token exchange", "phone number", "user data"];

/// Who else has to be well for an answer of 200.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Needs {
    Nobody,
    Platform,
}

/// Lives until it is over.
pub(super) async fn live(worker: Worker, number: usize) {
    let name = format!("user{number}");
    let mut user = User { worker, name, openid: None, ticket: None, phone: None, data: None };
    while !user.worker.stage.is_over() {
        user.worker.stage.ledger.has(&user.name, user.ticket.as_deref());
        user.worker.turn().await;
        user.act().await;
    }
    user.worker.stage.ledger.left(&user.name);
}

impl User {
    async fn act(&mut self) {
        let Some(ticket) = self.ticket.clone() else { return self.log_in().await };
        match self.worker.dice.roll(24) {
            0 => self.log_in().await,
            1 => self.log_in_by_handle().await,
            2 => self.prove_phone(&ticket).await,
            3 => self.decrypt(&ticket).await,
            4 => self.exchange(&ticket).await,
            5 | 6 => self.renew(&ticket).await,
            _ => self.check(&ticket).await,
        }
    }

    async fn log_in(&mut self) {
        self.worker.kind = "login";
        if let Some(ticket) = self.worker.log_in(&self.name, APPID).await {
            self.phone = None;
            self.has(ticket);
        }
    }

    /// As clients do that were written for another server: a handle for a code, and a ticket for the handle.
    async fn log_in_by_handle(&mut self) {
        self.worker.kind = "compat login";
        let code = self.worker.stage.code_for(&self.name);
        let call = Call::get(&format!("/miniLogin/login.ajax?code={code}&appid={APPID}"));
        let call = call.header("X-Forwarded-For", address_for(&code));
        let Some(answer) = self.worker.exchange(&code, call).await else { return };
        let handle = answer.field("data")["openid"].as_str().unwrap().to_owned();
        let call = Call::post("/miniLogin/loginCheck.ajax").form(&format!("openid={handle}&unionid=&phoneNo="));
        if let Some(answer) = self.ask(&handle, call, "401", Needs::Nobody).await {
            self.phone = None;
            self.has(answer.field("data")["AUTH_TICKET"].as_str().unwrap().to_owned());
        }
    }

    async fn prove_phone(&mut self, ticket: &str) {
        self.worker.kind = "phone number";
        let code = self.worker.stage.phone_code_for(&self.name);
        let call = self.shown(ticket, Call::post("/v1/phone").json(&json!({ "code": code })));
        if let Some(answer) = self.ask(ticket, call, "401 invalid_ticket", Needs::Platform).await {
            let number = answer.text("phone_number");
            assert_eq!(self.phone.get_or_insert_with(|| number.clone()), &number, "{}", self.name);
            self.has(answer.ticket());
        }
    }

    async fn decrypt(&mut self, ticket: &str) {
        self.worker.kind = "user data";
        let of = json!({ "appid": APPID, "name": self.name });
        let data = self.data.get_or_insert_with(|| self.worker.stage.simulator("POST", "encrypt", &of));
        let call = Call::post("/v1/userdata").json(data);
        let Some(answer) = self.show(ticket, call).await else { return };
        assert_eq!(answer.field("signature_valid"), true, "{answer:?}");
        self.is_called(answer.field("data")["openId"].as_str().unwrap(), "the data");
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
        let (openid, phone) = if path == "/v1/session" {
            let phone = answer.field("phone_number");
            (answer.text("openid"), phone.as_str().unwrap_or_default().to_owned())
        } else {
            let value = |name| answer.header(name).unwrap().to_owned();
            (value("x-auth-openid"), value("x-auth-phone"))
        };
        self.is_called(&openid, &path);
        assert_eq!(self.phone.as_deref().unwrap_or_default(), phone, "{} at {path}", self.name);
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
        let Some(answer) = self.ask(ticket, call, "400 invalid_request", Needs::Nobody).await else { return };
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
        let call = self.shown(ticket, call);
        self.ask(ticket, call, "401 invalid_ticket", Needs::Nobody).await
    }

    fn shown(&mut self, ticket: &str, call: Call) -> Call {
        match self.worker.dice.roll(2) {
            0 => call.ticket(ticket),
            _ => call.header("Authorization", format!("Bearer {ticket}")),
        }
    }

    /// Sends `call` with `ticket`, which has to be good unless its key is revoked; then it is `refused`, and he has none any
    /// more.
    async fn ask(&mut self, ticket: &str, call: Call, refused: &str, needs: Needs) -> Option<Answer> {
        let kid = UnverifiedTicket::parse(ticket.as_bytes()).unwrap().unverified_kid().to_string();
        let (before, shown) = (self.worker.stage.ledger.weather(), Instant::now());
        let answer = self.worker.ask(&call).await;
        let (worth, after) = (self.worker.stage.ledger.worth(&kid, shown), self.worker.stage.ledger.weather());
        let is_fine = before == after && before.logins() == ["200"];
        let good = if is_fine || needs == Needs::Nobody { &["200"] } else { ANY_WEATHER };
        let expected = match worth {
            Worth::Good => good.to_vec(),
            Worth::Either => [good, &[refused]].concat(),
            Worth::Refused => vec![refused],
        };
        if outcome(answer.as_ref()) == refused {
            self.ticket = None;
        }
        self.worker.told(answer.as_ref(), &expected, &(&self.name, worth, before.sky, after.sky));
        answer.filter(|answer| outcome(Some(answer)) == "200")
    }

    fn has(&mut self, ticket: String) {
        self.worker.stage.ledger.issued(&ticket, &mut self.worker.dice);
        self.ticket = Some(ticket);
    }
}
