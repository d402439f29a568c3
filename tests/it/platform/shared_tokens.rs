//! Platforms that give whoever asks the same access token: any number of replicas may ask.

use std::time::Duration;

use auth_ticket::clock::SystemClock;
use auth_ticket::platform::{AppSetting, AppSettings, Code, Platform, PlatformOptions, kind};
use auth_ticket::simulator::Simulator;
use axum::body::Body;
use axum::extract::Request;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{self, Running};

const REPLICAS: usize = 5;

/// Replicas of one app of the platform `name`, which share its simulation and nothing else.
struct Sharing {
    name: &'static str,
    replicas: Vec<Box<dyn Platform>>,
    simulator: Simulator,
    _running: Running,
}

impl Sharing {
    async fn at(name: &'static str) -> Self {
        let simulator = Simulator::new(std::sync::Arc::new(SystemClock));
        let (address, running) = support::serve(simulator.router(), support::LIMITS).await;
        let kind = kind::named(name).unwrap();
        let replica = |_| {
            let corp_id = kind.takes(AppSetting::CorpId).then(|| "corp1".to_owned());
            let options = PlatformOptions {
                base_url: Some(format!("http://{address}").parse().unwrap()),
                timeout: Duration::from_secs(60),
                settings: AppSettings { corp_id, ..AppSettings::default() },
                ..PlatformOptions::new("app1")
            };
            (kind.build)(options).unwrap()
        };
        Self { name, replicas: (0..REPLICAS).map(replica).collect(), simulator, _running: running }
    }

    /// Logs 20 users in at each replica, all at once.
    async fn log_in(&self, round: usize) {
        let logins = (0..REPLICAS * 20).map(async |n| {
            let code = Code::parse(format!("demo-u{n}-{round}")).unwrap();
            let outcome = self.replicas[n % REPLICAS].exchange(&code).await;
            outcome.unwrap_or_else(|error| panic!("{}, round {round}, user {n}: {error}", self.name));
        });
        join_all(logins).await;
    }

    /// How often `interface` was called.
    async fn calls(&self, interface: &str) -> u64 {
        let stats = self.ask(Request::get("/_sim/stats").body(Body::empty()).unwrap()).await;
        let of_interface = stats[interface].as_object().unwrap();
        of_interface.values().map(|count| count["calls"].as_u64().unwrap()).sum()
    }

    /// Ends all tokens; from then on, calls with them are refused with `errcode`.
    async fn expire(&self, errcode: i64) {
        let body = json!({ "platform": self.name, "errcode": errcode }).to_string();
        let told = self.ask(Request::post("/_sim/access-tokens/expire").body(Body::from(body)).unwrap()).await;
        assert_eq!(told["expired"], 1, "{}: all replicas have one token", self.name);
    }

    async fn ask(&self, request: Request) -> Value {
        let body = self.simulator.router().oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        serde_json::from_slice(&body.to_bytes()).unwrap()
    }
}

#[tokio::test]
async fn replicas_share_a_token_wherever_a_platform_gives_it_again() {
    let replicas = u64::try_from(REPLICAS).unwrap();
    for (name, interface, errcodes) in [
        ("dd", "dd_access_token", [40014, 42001]),
        ("lark", "lark_app_access_token", [10202, 99_991_664]),
        ("wxwork", "wxwork_gettoken", [40014, 42001]),
    ] {
        let sharing = Sharing::at(name).await;
        sharing.log_in(0).await;
        assert_eq!(sharing.calls(interface).await, replicas, "{name}: each replica asks once");
        for (round, errcode) in errcodes.into_iter().enumerate() {
            let before = sharing.calls(interface).await;
            sharing.expire(errcode).await;
            sharing.log_in(round + 1).await;
            let asked = sharing.calls(interface).await - before;
            assert!((1..=replicas).contains(&asked), "{name}, {errcode}: {asked} token calls");
        }
    }
}
