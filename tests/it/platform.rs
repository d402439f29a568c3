//! Many replicas, one platform: what they must not take from each other.

mod crowd;
mod shared_tokens;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_ticket::claims::PlatformId;
use auth_ticket::clock::{FixedClock, SystemClock};
use auth_ticket::platform::tt::Tt;
use auth_ticket::platform::weapp::Weapp;
use auth_ticket::platform::{
    AppFacts, AppSettings, Code, Identity, Platform, PlatformError, PlatformOptions, RefusedUser, RsaPrivateKey,
};
use auth_ticket::simulator::Simulator;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use futures_util::future::BoxFuture;
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{self, Call, Running, TestServer};

const APPID: &str = "wx0123456789abcdef";
const REPLICAS: usize = 5;

/// Replicas of one app, and the platform that they share.
struct Replicas {
    weapps: Vec<Arc<Weapp>>,
    simulator: Simulator,
    /// Requests by path. The first segment is the replica's number.
    seen: Arc<Mutex<BTreeMap<String, usize>>>,
    _running: Running,
}

impl Replicas {
    async fn start() -> Self {
        let simulator = Simulator::new(Arc::new(SystemClock));
        let seen = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let counted = Arc::clone(&seen);
        let router = (0..REPLICAS)
            .fold(Router::new(), |router, replica| router.nest(&format!("/{replica}"), simulator.router()))
            .layer(middleware::from_fn(move |request: Request, next: Next| {
                *counted.lock().unwrap().entry(request.uri().path().to_owned()).or_default() += 1;
                next.run(request)
            }));
        let (address, running) = support::serve(router, support::LIMITS).await;
        let weapp = |replica| {
            let options = PlatformOptions {
                base_url: Some(format!("http://{address}/{replica}").parse().unwrap()),
                timeout: Duration::from_secs(60),
                max_concurrent: 16,
                ..PlatformOptions::new(APPID)
            };
            Arc::new(Weapp::new(options).unwrap())
        };
        Self { weapps: (0..REPLICAS).map(weapp).collect(), simulator, seen, _running: running }
    }

    fn seen(&self, interface: &str) -> Vec<usize> {
        let seen = self.seen.lock().unwrap();
        let count = |replica| seen.get(&format!("/{replica}/{interface}")).copied().unwrap_or_default();
        (0..REPLICAS).map(count).collect()
    }

    fn fetches(&self) -> Vec<usize> {
        self.seen("cgi-bin/stable_token")
    }

    /// 100 phone codes, spread over the replicas; in the middle of it all access tokens die.
    async fn rush(&self, round: usize, errcode: i64) {
        let start: usize = self.seen("wxa/business/getuserphonenumber").iter().sum();
        let calls: Vec<_> = (0..100)
            .map(|n| {
                let weapp = Arc::clone(&self.weapps[n % REPLICAS]);
                let code = Code::parse(format!("phone-alice-{round}-{n}")).unwrap();
                let openid = PlatformId::parse(&self.simulator.user(APPID, "alice").unwrap().openid).unwrap();
                tokio::spawn(async move { weapp.phone(&code, &openid).await })
            })
            .collect();
        let half_way = async {
            while self.seen("wxa/business/getuserphonenumber").iter().sum::<usize>() < start + 50 {
                tokio::task::yield_now().await;
            }
        };
        support::within_5_s("50 phone requests", half_way).await;
        self.expire(errcode).await;
        let alice = self.simulator.user(APPID, "alice").unwrap();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().pure(), alice.phone);
        }
    }

    async fn expire(&self, errcode: i64) {
        let body = Body::from(format!(r#"{{"appid":"{APPID}","errcode":{errcode}}}"#));
        let request = Request::post("/_sim/access-tokens/expire").body(body).unwrap();
        assert_eq!(self.simulator.router().oneshot(request).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn replicas_share_an_access_token_without_sharing_anything() {
    let replicas = Replicas::start().await;
    for (round, errcode) in [42001, 40001, 40014].into_iter().enumerate() {
        let before = replicas.fetches();
        replicas.rush(round, errcode).await;
        // The first round begins without a token; in each round they die once.
        let allowed = if round == 0 { 2 } else { 1 };
        for (replica, (before, after)) in before.iter().zip(replicas.fetches()).enumerate() {
            assert!(after - before <= allowed, "round {round}, replica {replica}: {} fetches", after - before);
        }
        assert!(replicas.fetches().iter().sum::<usize>() > before.iter().sum(), "round {round}: nothing was refused");
    }
}

/// Douyin's rule: a new access token leaves the one before five minutes.
#[tokio::test]
async fn replicas_that_take_tokens_from_each_other_lose_no_phone_number() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/rsa.json")).unwrap();
    let text = |name: &str| vectors[name].as_str().unwrap().to_owned();
    let clock = Arc::new(FixedClock::new(support::START));
    let simulator = Simulator::new(Arc::<FixedClock>::clone(&clock));
    let (address, _running) = support::serve(simulator.router(), support::LIMITS).await;
    let ask = async |path: &str, body: serde_json::Value| {
        let body = Body::from(body.to_string());
        let answer = simulator.router().oneshot(Request::post(path).body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    ask("/_sim/tt/app", json!({"appid": "tt1", "phone_public_key": text("public")})).await;
    let replica = |_| {
        let settings = AppSettings {
            phone_private_key: Some(RsaPrivateKey::from_pem(text("pkcs8")).unwrap()),
            phone_unbound: true,
            ..AppSettings::default()
        };
        let base_url = Some(format!("http://{address}").parse().unwrap());
        let options =
            PlatformOptions { settings, base_url, timeout: Duration::from_secs(60), ..PlatformOptions::new("tt1") };
        Arc::new(Tt::new(options).unwrap())
    };
    let replicas: Vec<Arc<Tt>> = (0..REPLICAS).map(replica).collect();
    let openid = PlatformId::parse("alice").unwrap();
    for round in 1..=4 {
        let calls: Vec<_> = (0..40)
            .map(|n| {
                let (tt, openid) = (Arc::clone(&replicas[n % REPLICAS]), openid);
                let code = Code::parse(format!("phone-alice-{round}-{n}")).unwrap();
                tokio::spawn(async move { tt.phone(&code, &openid).await.map(|phone| phone.pure().to_owned()) })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), simulator.user("tt1", "alice").unwrap().phone);
        }
        let stats = simulator.router().oneshot(Request::get("/_sim/stats").body(Body::empty()).unwrap()).await.unwrap();
        let stats = axum::body::to_bytes(stats.into_body(), 65_536).await.unwrap();
        let stats: serde_json::Value = serde_json::from_slice(&stats).unwrap();
        let fetches = stats["tt_client_token"]["tt1"]["calls"].as_u64().unwrap();
        assert!(fetches <= round * REPLICAS as u64, "round {round}: {fetches} fetches");
        // All but the token fetched last have ended.
        clock.advance(301);
    }
}

/// A platform with logins and nothing else.
#[derive(Debug)]
struct Bare(AppFacts);

impl Platform for Bare {
    fn facts(&self) -> &AppFacts {
        &self.0
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        assert_eq!(format!("{code:?}"), "Code(..)");
        Box::pin(async { Ok(Identity::parse("o-alice", None, Some("tiihtNczf5v6AKRyjwEUhQ==")).unwrap()) })
    }
}

/// A platform that names somebody whom no server should let in.
#[derive(Debug)]
struct Refusing(AppFacts);

impl Platform for Refusing {
    fn facts(&self) -> &AppFacts {
        &self.0
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        assert_eq!(format!("{code:?}"), "Code(..)");
        Box::pin(async { Err(PlatformError::UserRefused(RefusedUser::Snapshot)) })
    }
}

#[tokio::test]
async fn a_user_whom_the_platform_names_and_nobody_lets_in_gets_no_ticket() {
    let server = TestServer::builder().own_platform(|| Box::new(Refusing(AppFacts::named("refusing")))).start().await;
    let answer = server.call(Call::post("/v1/login").json(&json!({"code": "demo-alice-1"}))).await;
    assert_eq!(answer.status, 403);
    answer.is_error("user_blocked");
}

#[tokio::test]
async fn what_a_platform_does_not_have_is_not_supported() {
    let builder = TestServer::builder()
        .own_platform(|| Box::new(Bare(AppFacts::named("bare"))))
        .service("shop", "shop-secret-0123456789");
    let server = builder.may_sign().start().await;
    let ticket = server.ticket_for("alice").await;
    let session = server.session(&ticket).await;
    session.is_ok();
    assert_eq!((session.field("platform"), session.field("openid")), (json!("bare"), json!("o-alice")));
    let (data, iv) = ("A".repeat(64), "A".repeat(22) + "==");
    for (path, body) in [
        ("/v1/phone", json!({"code": "phone-alice-1"})),
        ("/v1/phone", json!({"encryptedData": data, "iv": iv})),
        ("/v1/userdata", json!({"encryptedData": data, "iv": iv})),
        ("/v1/userdata", json!({"rawData": "{}", "signature": "0"})),
        ("/v1/session/check", json!({})),
        ("/v1/session/reset", json!({})),
    ] {
        let answer = server.call(Call::new("POST", path).ticket(&ticket).json(&body)).await;
        assert_eq!((answer.status, &*answer.text("error")), (400, "not_supported"), "{path} {body}: {answer:?}");
    }
    let body = json!({"ticket": ticket, "data": "{\"a\":1}"});
    let basic = "Basic c2hvcDpzaG9wLXNlY3JldC0wMTIzNDU2Nzg5";
    let answer = server.call(Call::post("/v1/signature").header("authorization", basic).json(&body)).await;
    assert_eq!((answer.status, &*answer.text("error")), (400, "not_supported"), "{answer:?}");
    // What is wrong whatever the platform has is told first.
    let broken = json!({"encryptedData": "%", "iv": iv});
    server.call(Call::new("POST", "/v1/phone").ticket(&ticket).json(&broken)).await.is_error("invalid_request");
}
