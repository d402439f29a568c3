//! Xiaohongshu gives a new access token to whoever asks, and lets two live: replicas end each other's.

use std::sync::Arc;
use std::time::Duration;

use auth_ticket::clock::SystemClock;
use auth_ticket::platform::{Code, Identity, Platform, PlatformError, PlatformOptions, kind};
use auth_ticket::simulator::Simulator;
use axum::body::Body;
use axum::extract::Request;
use futures_util::future::{join, join_all};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::{self, Running};

const APPID: &str = "66aabbccddeeff0011223344";

struct Crowd {
    replicas: Vec<Box<dyn Platform>>,
    simulator: Simulator,
    _running: Running,
}

impl Crowd {
    async fn of(replicas: usize) -> Self {
        let simulator = Simulator::new(Arc::new(SystemClock));
        let (address, running) = support::serve(simulator.router(), support::LIMITS).await;
        let replica = |_| {
            let options = PlatformOptions {
                base_url: Some(format!("http://{address}").parse().unwrap()),
                timeout: Duration::from_secs(60),
                ..PlatformOptions::new(APPID)
            };
            (kind::named("xhs").unwrap().build)(options).unwrap()
        };
        Self { replicas: (0..replicas).map(replica).collect(), simulator, _running: running }
    }

    /// Logs `users` in at once, at one replica.
    async fn log_in(&self, replica: usize, round: usize, users: usize) {
        let exchange = async |user: usize| -> Result<Identity, PlatformError> {
            let code = Code::parse(format!("demo-u{user}-{replica}-{round}")).unwrap();
            self.replicas[replica].exchange(&code).await
        };
        for outcome in join_all((0..users).map(exchange)).await {
            outcome.unwrap_or_else(|error| panic!("replica {replica}, round {round}: {error}"));
        }
    }

    /// How often a token was asked for.
    async fn token_calls(&self) -> u64 {
        let request = Request::get("/_sim/stats").body(Body::empty()).unwrap();
        let body = self.simulator.router().oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        let stats: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        stats["xhs_token"][APPID]["calls"].as_u64().unwrap_or_default()
    }
}

#[tokio::test]
async fn two_replicas_of_xiaohongshu_ask_for_one_token_each() {
    let crowd = Crowd::of(2).await;
    for round in 0..20 {
        join(crowd.log_in(0, round, 5), crowd.log_in(1, round, 5)).await;
    }
    assert_eq!(crowd.token_calls().await, 2);
}

#[tokio::test]
async fn five_replicas_of_xiaohongshu_log_everybody_in_by_turns() {
    let crowd = Crowd::of(5).await;
    for round in 0..2 {
        for replica in 0..5 {
            let before = crowd.token_calls().await;
            crowd.log_in(replica, round, 20).await;
            assert_eq!(crowd.token_calls().await - before, 1, "one token for all who wait");
        }
    }
    let before = crowd.token_calls().await;
    for round in 2..5 {
        crowd.log_in(3, round, 20).await;
        crowd.log_in(4, round, 20).await;
    }
    assert_eq!(crowd.token_calls().await, before, "the last two are still good");
}

#[tokio::test]
async fn five_replicas_of_xiaohongshu_log_everybody_in_at_once() {
    let crowd = Crowd::of(5).await;
    for round in 0..2 {
        join_all((0..5).map(|replica| crowd.log_in(replica, round, 10))).await;
    }
    // Each asks at first, and again for those whose tokens others have ended.
    let calls = crowd.token_calls().await;
    assert!((5..=20).contains(&calls), "{calls} token calls");
}
