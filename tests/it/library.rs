//! Rust services that hold the keys: they decide as the server does, and follow the directory while they run.

#[path = "../../examples/axum/main.rs"]
#[expect(dead_code, reason = "the tests start the example's router by themselves")]
mod example;
mod file;
mod watch;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use auth_ticket::claims::{OwnerClaims, PhoneNumber, PlatformId};
use auth_ticket::clock::{Clock, FixedClock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{AppId, KeyRing, Purpose};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::{Policy, Session};
use auth_ticket::tower::{AuthTicket, TicketLayer, Verifier, Watch};
use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use axum::http::Request;
use axum::routing::get;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::support::{APPID, Call, MAX_SESSION_S, OTHER_APPID, TTL_S, TestServer, session, within_5_s};

const MAX_SESSION: Duration = Duration::from_secs(MAX_SESSION_S);

/// A keys directory as `keys init` makes it.
struct Keys(TempDir);

impl Keys {
    fn init() -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        keys.run(&["keys", "init"]);
        keys
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn directory(&self) -> Directory {
        Directory::new(self.path())
    }

    fn run(&self, args: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_auth-ticket")).args(args).arg("--keys").arg(self.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    fn ring(&self) -> KeyRing {
        self.directory().load_ring([APPID, OTHER_APPID].map(app), SystemClock.now()).unwrap().0
    }

    /// What a server with these keys would seal for `session` now.
    fn sealed(&self, appid: &str, session: &Session) -> String {
        let policy = Policy { ttl_s: TTL_S, max_session_s: MAX_SESSION_S };
        let sealed = session.seal(&self.ring(), &app(appid), Purpose::Ticket, SystemClock.now(), &policy);
        sealed.unwrap().text().to_owned()
    }

    fn ticket_for(&self, openid: &str) -> String {
        self.sealed(APPID, &session(openid, SystemClock.now()))
    }

    fn verifier(&self, clock: &Arc<FixedClock>) -> (Verifier, Watch) {
        let apps = [APPID, OTHER_APPID].map(app).to_vec();
        Verifier::load_with_clock(self.directory(), apps, MAX_SESSION, Arc::<FixedClock>::clone(clock)).unwrap()
    }
}

fn app(appid: &str) -> AppId {
    AppId::parse(appid).unwrap()
}

fn layer_of(verifier: &Verifier) -> TicketLayer {
    verifier.layer(&app(APPID)).unwrap()
}

/// The example, on a free port, with keys that it looks at `every` so often.
async fn start_example(keys: &Keys, every: Duration) -> String {
    let (verifier, watch) = Verifier::load(keys.directory(), vec![app(APPID)], MAX_SESSION).unwrap();
    tokio::spawn(watch.run(every));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = example::router(&verifier, &app(APPID)).unwrap();
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

/// Status and body of what the example at `base` answers.
async fn ask(base: &str, path: &str, tickets: &[&str]) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let mut request = client.get(format!("{base}{path}"));
    for ticket in tickets {
        request = request.header("weixinauth", *ticket);
    }
    let answer = within_5_s("an answer", request.send()).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Asks until `what` is in the example's answer to `ticket`.
async fn becomes(base: &str, ticket: &str, what: &str) {
    let answered = async {
        while !ask(base, "/orders", &[ticket]).await.1.contains(what) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.unwrap_or_else(|_| panic!("never {what}"));
}

/// A service that shows what it was told, behind `layer`.
fn shows(layer: TicketLayer) -> Router {
    let show = |ticket: Option<Extension<AuthTicket>>| async move {
        let Some(Extension(ticket)) = ticket else { return "nobody".to_owned() };
        let told = json!({
            "x-auth-appid": ticket.app().as_str(),
            "x-auth-openid": ticket.openid(),
            "x-auth-unionid": ticket.unionid().unwrap_or_default(),
            "x-auth-phone": ticket.phone().unwrap_or_default(),
            "x-auth-claims": ticket.claims().unwrap_or_default(),
            "x-auth-login-id": ticket.login_id().to_string(),
            "x-auth-expires-at": ticket.expires_at().as_u64().to_string(),
        });
        told.to_string()
    };
    Router::new().route("/", get(show)).layer(layer)
}

/// Status, the headers that belong to a refusal, and the body.
async fn answered(router: &Router, headers: &[(&str, Vec<u8>)]) -> (u16, Vec<Option<String>>, Value) {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, value.as_slice());
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let header = |name: &&str| answer.headers().get(*name).map(|value| value.to_str().unwrap().to_owned());
    let fields = REFUSAL_HEADERS.iter().map(header).collect();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, fields, serde_json::from_slice(&body).unwrap_or_default())
}

const REFUSAL_HEADERS: [&str; 3] = ["www-authenticate", "content-type", "cache-control"];

#[tokio::test]
async fn a_service_decides_and_answers_as_the_server_does() {
    let keys = Keys::init();
    let server = TestServer::builder().two_apps().start().await;
    let now = SystemClock.now();
    server.clock.set(now);
    let mut full = session("o-alice", now);
    full.unionid = PlatformId::parse("u-alice").ok();
    full.phone = PhoneNumber::parse("+8613800000000").ok();
    full.owner_claims = OwnerClaims::parse("vip").ok();
    let [good, bare] = [&full, &session("o-bob", now)].map(|session| keys.sealed(APPID, session));
    let foreign = keys.sealed(OTHER_APPID, &full);
    let cut_off = keys.ticket_for("o-carol");
    keys.run(&["cutoff", "add", "--appid", APPID, "--openid", "o-carol"]);
    server.use_ring(keys.ring());
    let (verifier, _watch) = keys.verifier(&server.clock);
    let service = shows(layer_of(&verifier));

    let one = |name: &'static str, value: &str| vec![(name, value.as_bytes().to_vec())];
    let mut requests = vec![
        vec![],
        one("weixinauth", &good),
        one("weixinauth", &bare),
        one("weixinauth", &foreign),
        one("weixinauth", &cut_off),
        one("weixinauth", ""),
        one("weixinauth", "x"),
        one("weixinauth", &good[1..]),
        one("weixinauth", &"A".repeat(182)),
        one("weixinauth", &"A".repeat(8192)),
        one("authorization", &format!("bEaReR  {good}")),
        one("authorization", &format!("Basic {good}")),
        one("authorization", &good),
        one("cookie", &format!("weixinauth={good}")),
        [one("weixinauth", &good), one("weixinauth", &good)].concat(),
        [one("weixinauth", &good), one("authorization", &format!("Bearer {good}"))].concat(),
        [one("weixinauth", &good), one("authorization", &format!("Bearer {bare}"))].concat(),
        [one("weixinauth", ""), one("authorization", &format!("Bearer {bare}"))].concat(),
    ];
    requests.push(vec![("weixinauth", vec![0xff, 0xfe])]);
    let mut statuses = Vec::new();
    for round in ["alive", "expired"] {
        for headers in &requests {
            let mut call = Call::get(&format!("/v1/verify/{APPID}"));
            for (name, value) in headers {
                call = call.header(name, value);
            }
            let expected = server.raw(call).await;
            let (status, fields, mut body) = answered(&service, headers).await;
            assert_eq!(status, expected.status, "{round} {headers:?}: {body}");
            statuses.push(status);
            if status == 200 {
                for (name, value) in body.as_object().unwrap() {
                    assert_eq!(value.as_str(), expected.header(name), "{name}");
                }
            } else {
                let expected_fields: Vec<_> =
                    REFUSAL_HEADERS.iter().map(|name| expected.header(name).map(str::to_owned)).collect();
                assert_eq!(fields, expected_fields, "{round} {headers:?}");
                let mut expected = expected.json();
                for body in [&mut body, &mut expected] {
                    assert_eq!(body["request_id"].as_str().unwrap().len(), 16);
                    body["request_id"] = Value::Null;
                }
                assert_eq!(body, expected, "{round} {headers:?}");
            }
        }
        server.clock.advance(TTL_S + 60);
    }
    for (status, count) in [(200, 5), (403, 1)] {
        assert_eq!(statuses.iter().filter(|seen| **seen == status).count(), count, "{statuses:?}");
    }
}

#[tokio::test]
async fn the_example_lets_good_tickets_in_and_no_others() {
    let keys = Keys::init();
    let base = start_example(&keys, Duration::from_secs(600)).await;
    let ticket = keys.ticket_for("o-alice");
    let (status, body) = ask(&base, "/orders", &[&ticket]).await;
    assert!(status == 200 && body.starts_with("the orders of o-alice, logged in at 20"), "{status} {body}");
    assert_eq!(ask(&base, "/", &[&ticket]).await, (200, "welcome back, o-alice\n".to_owned()));
    assert_eq!(ask(&base, "/", &[]).await, (200, "welcome\n".to_owned()));
    let other_app = keys.sealed(OTHER_APPID, &session("o-alice", SystemClock.now()));
    for path in ["/orders", "/"] {
        let cases: [&[&str]; 4] = [&["garbage"], &[&ticket, &ticket], &[&ticket[1..]], &[&other_app]];
        for tickets in cases {
            let (status, body) = ask(&base, path, tickets).await;
            assert!(status == 401 && body.contains("\"error\":\"invalid_ticket\""), "{path} {tickets:?}: {body}");
        }
    }
    assert_eq!(ask(&base, "/orders", &[]).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_the_example_ends_when_its_login_is_cut_off() {
    let keys = Keys::init();
    let base = start_example(&keys, Duration::from_millis(20)).await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let stream = |ticket: &str| client.get(format!("{base}/events")).header("weixinauth", ticket).send();
    let mut alices = stream(&keys.ticket_for("o-alice")).await.unwrap();
    let mut bobs = stream(&keys.ticket_for("o-bob")).await.unwrap();
    for events in [&mut alices, &mut bobs] {
        assert!(events.chunk().await.unwrap().is_some());
    }
    keys.run(&["cutoff", "add", "--appid", APPID, "--openid", "o-alice"]);
    tokio::time::timeout(Duration::from_secs(20), alices.bytes()).await.expect("it ends").unwrap();
    assert!(bobs.chunk().await.unwrap().is_some(), "others are not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_cut_offs_and_new_keys_reach_a_service_that_runs() {
    let keys = Keys::init();
    let base = start_example(&keys, Duration::from_millis(20)).await;
    let [alice, bob] = ["o-alice", "o-bob"].map(|openid| keys.ticket_for(openid));
    for ticket in [&alice, &bob] {
        assert_eq!(ask(&base, "/orders", &[ticket]).await.0, 200);
    }
    keys.run(&["cutoff", "add", "--appid", APPID, "--openid", "o-alice"]);
    becomes(&base, &alice, "ticket_revoked").await;
    assert_eq!(ask(&base, "/orders", &[&bob]).await.0, 200, "others are not touched");

    let kid = keys.ring().sealing_key(auth_ticket::keyring::KeyUse::Ticket, SystemClock.now()).unwrap().key().name();
    keys.run(&["keys", "revoke", &kid.to_string()]);
    becomes(&base, &bob, "invalid_ticket").await;
    assert_eq!(ask(&base, "/orders", &[&keys.ticket_for("o-bob")]).await.0, 200, "the successor's are good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_a_key_that_has_just_arrived_does_not_wait_for_the_poll() {
    let keys = Keys::init();
    let base = start_example(&keys, Duration::from_secs(600)).await;
    let old = keys.ticket_for("o-alice");
    assert_eq!(ask(&base, "/orders", &[&old]).await.0, 200);
    keys.run(&["keys", "rotate", "--use", "ticket", "--now"]);
    let new = keys.ticket_for("o-alice");
    assert_ne!(new[..12], old[..12], "another kid");
    // Refused at first, perhaps: there is one look a second, and the first one was at the start.
    becomes(&base, &new, "the orders of o-alice").await;
    assert_eq!(ask(&base, "/orders", &[&old]).await.0, 200);
}

#[tokio::test]
async fn an_extractor_without_a_layer_lets_nobody_in() {
    let handler = |_: AuthTicket| async { "in" };
    let optional = |_: Option<AuthTicket>| async { "in" };
    let ticket = vec![("weixinauth", b"x".to_vec())];
    for route in [get(handler), get(optional)] {
        let (status, _, body) = answered(&Router::new().route("/", route), &ticket).await;
        assert_eq!((status, &body["error"]), (500, &json!("server_misconfigured")));
    }
}

#[tokio::test]
async fn an_inner_layer_decides_whatever_an_outer_one_has_found() {
    let keys = Keys::init();
    let clock = Arc::new(FixedClock::new(SystemClock.now()));
    let (verifier, _watch) = keys.verifier(&clock);
    let other = keys.sealed(OTHER_APPID, &session("o-alice", SystemClock.now()));
    let ticket = vec![("weixinauth", other.into_bytes())];
    let any = shows(verifier.layer_for_any_app());
    assert_eq!(answered(&any, &ticket).await.2["x-auth-appid"], OTHER_APPID);
    let nested = shows(layer_of(&verifier)).layer(verifier.layer_for_any_app());
    assert_eq!(answered(&nested, &ticket).await.2["error"], "wrong_app");
}

#[tokio::test]
async fn a_session_ends_by_the_services_own_setting() {
    let keys = Keys::init();
    let clock = Arc::new(FixedClock::new(SystemClock.now()));
    let short = Duration::from_secs(600);
    let apps = vec![app(APPID)];
    let shared: Arc<dyn Clock> = Arc::<FixedClock>::clone(&clock);
    let (verifier, _watch) = Verifier::load_with_clock(keys.directory(), apps, short, shared).unwrap();
    let service = shows(layer_of(&verifier));
    let ticket = vec![("weixinauth", keys.ticket_for("o-alice").into_bytes())];
    let (_, _, told) = answered(&service, &ticket).await;
    let end: u64 = told["x-auth-expires-at"].as_str().unwrap().parse().unwrap();
    clock.set(UnixSeconds::new(end - 1));
    assert_eq!(answered(&service, &ticket).await.0, 200);
    clock.advance(1);
    assert_eq!(answered(&service, &ticket).await.2["error"], "ticket_expired");
}

#[tokio::test]
async fn nothing_that_names_a_person_is_in_debug_output() {
    let keys = Keys::init();
    let clock = Arc::new(FixedClock::new(SystemClock.now()));
    let (verifier, watch) = keys.verifier(&clock);
    let mut headers = http::HeaderMap::new();
    headers.insert("weixinauth", keys.ticket_for("o-alice").parse().unwrap());
    let ticket = verifier.verify(&headers).await.unwrap();
    let shown = format!("{ticket:?} {verifier:?} {watch:?} {:?}", layer_of(&verifier));
    assert!(!shown.contains("alice") && shown.contains("AuthTicket(app wx0123456789abcdef, login "), "{shown}");
}
