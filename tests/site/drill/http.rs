//! What clients, gateways and operators ask.

use std::time::Duration;

use auth_ticket::ticket::UnverifiedTicket;
use reqwest::{Client, RequestBuilder};

use crate::support::{APPID, Answer, receive};

/// An HTTP client for loopback.
#[derive(Clone)]
pub(crate) struct Http(Client);

impl Http {
    pub(crate) fn new() -> Self {
        Self(Client::builder().no_proxy().http1_only().timeout(Duration::from_secs(10)).build().unwrap())
    }

    /// Logs in with `code`.
    pub(crate) async fn login(&self, base: &str, code: &str) -> Answer {
        let body = format!(r#"{{"code":"{code}"}}"#);
        let request = self.0.post(format!("{base}/v1/login")).header("Content-Type", "application/json");
        answer(request.body(body)).await
    }

    pub(crate) async fn renew(&self, base: &str, ticket: &str) -> Answer {
        answer(self.0.post(format!("{base}/v1/renew")).header("weixinauth", ticket)).await
    }

    pub(crate) async fn check(&self, base: &str, ticket: &str) -> Answer {
        answer(self.0.get(format!("{base}/v1/verify/{APPID}")).header("weixinauth", ticket)).await
    }

    pub(crate) async fn get(&self, base: &str, path: &str) -> Answer {
        answer(self.0.get(format!("{base}{path}"))).await
    }

    /// The number of a metric, labels and all.
    pub(crate) async fn metric(&self, admin: &str, name: &str) -> Option<f64> {
        let metrics = self.get(admin, "/metrics").await.body_text();
        metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    pub(crate) async fn fingerprint(&self, admin: &str) -> String {
        let keys = self.get(admin, "/keys").await;
        keys.json()["fingerprint"].as_str().unwrap_or_else(|| panic!("no fingerprint in {keys:?}")).to_owned()
    }
}

/// With the status 0 when there was none.
async fn answer(request: RequestBuilder) -> Answer {
    receive(request).await.unwrap_or_else(|error| Answer::none(&format!("{error:?}")))
}

/// `127.0.0.1:PORT` of the replica that was asked, where nginx stood between.
pub(crate) fn replica_of(answer: &Answer) -> &str {
    answer.header("x-replica").unwrap_or_default()
}

/// The kid that a ticket names.
pub(crate) fn kid_of(ticket: &str) -> String {
    UnverifiedTicket::parse(ticket.as_bytes()).unwrap().unverified_kid().to_string()
}
