//! A service that holds a verifier file, and no keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth_ticket::clock::{Clock, FixedClock, SystemClock, UnixSeconds};
use auth_ticket::tower::{Refusal, Verifier, Watch};
use auth_ticket::verifier;
use axum::http::HeaderMap;
use serde_json::json;
use tokio::time::sleep;

use super::{Keys, answered, app, layer_of, shows};
use crate::support::{APPID, MAX_SESSION_S, OTHER_APPID, session, within_5_s};

const MAX_STALE: Duration = Duration::from_secs(600);

/// A directory, its verifier file, and who checks tickets with it.
struct World {
    keys: Keys,
    clock: Arc<FixedClock>,
    verifier: Verifier,
}

fn path(keys: &Keys) -> PathBuf {
    keys.path().join("app.verify")
}

/// Puts a file in place as `keys export` does.
fn put(keys: &Keys, content: &str, mode: u32) {
    let new = keys.path().join("new");
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(new, path(keys)).unwrap();
}

fn exported(keys: &Keys, made: UnixSeconds) -> String {
    verifier::encode(&keys.ring(), &app(APPID), "weapp", MAX_SESSION_S, made).unwrap().to_string()
}

impl World {
    fn new() -> (Self, Watch) {
        let (keys, clock) = (Keys::init(), Arc::new(FixedClock::new(SystemClock.now())));
        put(&keys, &exported(&keys, clock.now()), 0o600);
        let shared: Arc<dyn Clock> = Arc::<FixedClock>::clone(&clock);
        let (verifier, watch) = Verifier::load_file_with_clock(path(&keys), Some(MAX_STALE), shared).unwrap();
        (Self { keys, clock, verifier }, watch)
    }

    fn running() -> Self {
        let (world, watch) = Self::new();
        tokio::spawn(watch.run(Duration::from_millis(5)));
        world
    }

    /// Made now.
    fn export(&self) {
        put(&self.keys, &exported(&self.keys, self.clock.now()), 0o640);
    }

    async fn refusal(&self, ticket: &str) -> Option<Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert("weixinauth", ticket.parse().unwrap());
        self.verifier.verify(&headers).await.err()
    }

    async fn becomes(&self, ticket: &str, refusal: Option<Refusal>) {
        let wait = async {
            while self.refusal(ticket).await != refusal {
                sleep(Duration::from_millis(2)).await;
            }
        };
        within_5_s(&format!("{refusal:?}"), wait).await;
    }
}

#[tokio::test]
async fn a_service_with_a_verifier_file_decides_as_one_with_the_keys_does() {
    let (world, _watch) = World::new();
    let service = shows(layer_of(&world.verifier));
    let ticket = world.keys.ticket_for("o-alice");
    let headers = [("weixinauth", ticket.clone().into_bytes())];
    let (status, _, body) = answered(&service, &headers).await;
    assert_eq!((status, &body["x-auth-openid"], &body["x-auth-appid"]), (200, &json!("o-alice"), &json!(APPID)));
    let (with_keys, _watch) = world.keys.verifier(&world.clock);
    for text in ["", "x", &ticket[1..], &format!("{ticket}A"), &ticket] {
        let headers = [("weixinauth", text.as_bytes().to_vec())];
        let (one, mut told) =
            (answered(&service, &headers).await, answered(&shows(layer_of(&with_keys)), &headers).await);
        if let Some(id) = told.2.get_mut("request_id") {
            *id = one.2["request_id"].clone();
        }
        assert_eq!(one, told, "{text}");
    }
    // Of another app it knows nothing: not even that it is another one.
    let foreign = world.keys.sealed(OTHER_APPID, &session("o-alice", SystemClock.now()));
    assert_eq!(world.refusal(&foreign).await, Some(Refusal::InvalidTicket));
    assert_eq!(world.verifier.layer(&app(OTHER_APPID)).unwrap_err().0, app(OTHER_APPID));
    // The life of a session is the file's.
    let short = exported(&world.keys, world.clock.now()).replace(&MAX_SESSION_S.to_string(), "60");
    put(&world.keys, &short, 0o600);
    let (verifier, _watch) = Verifier::load_file(path(&world.keys), None).unwrap();
    let old = world.keys.sealed(APPID, &session("o-bob", SystemClock.now().minus(61)));
    let mut headers = HeaderMap::new();
    headers.insert("weixinauth", old.parse().unwrap());
    assert_eq!(verifier.verify(&headers).await.unwrap_err(), Refusal::TicketExpired);
}

#[tokio::test]
async fn rotation_cut_offs_and_revocations_reach_a_service_with_a_verifier_file() {
    let world = World::running();
    let before = world.keys.ticket_for("o-alice");
    let held = world.keys.ticket_for("o-bob");
    let mut headers = HeaderMap::new();
    headers.insert("weixinauth", held.parse().unwrap());
    let connection = tokio::spawn(world.verifier.verify(&headers).await.unwrap().until_refused());
    world.keys.run(&["keys", "rotate", "--use", "ticket", "--lead", "0s"]);
    let after = world.keys.ticket_for("o-alice");
    assert_ne!(before[..7], after[..7], "sealed by another key");
    assert_eq!(world.refusal(&after).await, Some(Refusal::InvalidTicket), "its key has not arrived");
    world.export();
    world.becomes(&after, None).await;
    assert_eq!(world.refusal(&before).await, None);

    world.keys.run(&["cutoff", "add", "--appid", APPID, "--openid", "o-bob"]);
    world.export();
    world.becomes(&held, Some(Refusal::TicketRevoked)).await;
    assert_eq!(within_5_s("the connection's end", connection).await.unwrap(), Refusal::TicketRevoked);
    assert_eq!(world.refusal(&before).await, None, "nobody else is logged out");

    // From a file that is broken, or open to others, no key is taken; a revocation is.
    let ring = world.keys.ring();
    let kid = ring.sealing_key(auth_ticket::keyring::KeyUse::Ticket, SystemClock.now()).unwrap().key().name().kid;
    let broken =
        exported(&world.keys, world.clock.now()).replace("\"revoked\":[]", &format!("\"revoked\":[\"{kid}\"]"));
    put(&world.keys, &broken.replace("\"weapp\"", "17"), 0o644);
    world.becomes(&after, Some(Refusal::InvalidTicket)).await;
    assert_eq!(world.refusal(&before).await, None);
}

#[tokio::test]
async fn a_verifier_file_that_nobody_makes_anew_lets_nobody_in() {
    let world = World::running();
    let ticket = world.keys.ticket_for("o-alice");
    world.becomes(&ticket, None).await;
    world.clock.advance(600);
    assert_eq!(world.refusal(&ticket).await, None);
    world.clock.advance(1);
    assert_eq!((world.refusal(&ticket).await, world.verifier.is_live()), (Some(Refusal::NotSetUp), false));
    let service = shows(layer_of(&world.verifier).optional());
    for headers in [vec![("weixinauth", ticket.clone().into_bytes())], vec![]] {
        let (status, _, body) = answered(&service, &headers).await;
        assert_eq!((status, &body["error"]), (500, &json!("server_misconfigured")));
    }
    world.export();
    world.becomes(&ticket, None).await;
    assert!(world.verifier.is_live());
    // From a clock that is ahead, which a right one then replaces.
    put(&world.keys, &exported(&world.keys, world.clock.now().plus(61)), 0o600);
    world.becomes(&ticket, Some(Refusal::NotSetUp)).await;
    world.export();
    world.becomes(&ticket, None).await;
}
