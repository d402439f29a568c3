//! What clients, gateways and operators ask.

use std::time::Duration;

use auth_ticket::ticket::UnverifiedTicket;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::process::APPID;

/// An HTTP client for loopback.
#[derive(Clone)]
pub(crate) struct Http(Client);

/// An answer, or the lack of one.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// 0 when there was none.
    pub(crate) status: u16,
    /// `127.0.0.1:PORT` of the replica that was asked, where nginx stood between.
    pub(crate) replica: String,
    /// The user, where the answer names one in its header.
    pub(crate) openid: String,
    /// The login, where the answer names one in its header.
    pub(crate) login_id: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn is_good(&self) -> bool {
        self.status == 200
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The name of the error, or of nothing.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// The ticket of a login or a renewal.
    pub(crate) fn ticket(&self) -> String {
        self.json()["ticket"].as_str().unwrap_or_else(|| panic!("no ticket in {self:?}")).to_owned()
    }
}

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
        let metrics = self.get(admin, "/metrics").await.body;
        metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    pub(crate) async fn fingerprint(&self, admin: &str) -> String {
        let keys = self.get(admin, "/keys").await;
        keys.json()["fingerprint"].as_str().unwrap_or_else(|| panic!("no fingerprint in {keys:?}")).to_owned()
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let failed = |error: reqwest::Error| Answer {
        status: 0,
        replica: String::new(),
        openid: String::new(),
        login_id: String::new(),
        body: format!("{error:?}"),
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return failed(error),
    };
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (status, replica) = (response.status().as_u16(), header("X-Replica"));
    let (openid, login_id) = (header("X-Auth-Openid"), header("X-Auth-Login-Id"));
    match response.text().await {
        Ok(body) => Answer { status, replica, openid, login_id, body },
        Err(error) => Answer { replica, ..failed(error) },
    }
}

/// The kid that a ticket names.
pub(crate) fn kid_of(ticket: &str) -> String {
    UnverifiedTicket::parse(ticket.as_bytes()).unwrap().unverified_kid().to_string()
}
