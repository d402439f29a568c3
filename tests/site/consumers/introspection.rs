//! `/v1/introspect` says one thing of everything that is no live ticket: nothing.

use rustix::process::Signal;

use super::world::{FORM, OTHER_APPID, World};
use crate::support::{APPID, Answer, Outcome, auth_ticket, until};

const INACTIVE: &str = "{\"active\":false}";

#[track_caller]
fn is_inactive(why: &str, answer: &Answer) {
    assert_eq!((answer.status, &*answer.body_text()), (200, INACTIVE), "{why}: {answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{why}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{why}");
}

impl World {
    fn is_live(&self, token: &str) -> bool {
        self.introspect(token).body_text().starts_with("{\"active\":true,")
    }
}

#[test]
fn what_is_no_ticket_is_inactive() {
    let world = World::start(&[]);
    let (ticket, jwt) = (world.ticket(), world.token());
    assert!(world.is_live(&ticket));
    let login = world.server.post("/miniLogin/login.ajax", &[FORM], &format!("appid={APPID}&code=demo-bob-handle"));
    let handle = login.json()["data"]["openid"].as_str().unwrap().to_owned();
    let changed = |at: usize| {
        let with = if ticket.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{with}{}", &ticket[..at], &ticket[at + 1..])
    };
    let openid =
        world.server.get("/v1/session", &[("weixinauth", &ticket)]).json()["openid"].as_str().unwrap().to_owned();
    for (why, token) in [
        ("garbage", "x".to_owned()),
        ("blanks", "+++".to_owned()),
        ("a NUL", "%00".to_owned()),
        ("other letters", "%E7%A5%A8".to_owned()),
        ("8 KiB", "A".repeat(8 * 1024)),
        ("a ticket and 8 KiB", format!("{ticket}{}", "A".repeat(8 * 1024))),
        ("a ticket of another version", changed(0)),
        ("a ticket of an unknown key", changed(3)),
        ("a ticket of an unknown app", changed(8)),
        ("a ticket that was changed", changed(60)),
        ("a ticket without its end", ticket[..ticket.len() - 1].to_owned()),
        ("a ticket and a blank", format!("{ticket}+")),
        ("a ticket with padding", format!("{ticket}%3D")),
        ("a ticket in quotes", format!("%22{ticket}%22")),
        ("another app's ticket", world.ticket_at(OTHER_APPID)),
        ("a JWT that was changed", jwt.replacen('.', ".A", 1)),
        ("a login handle", handle),
        ("an openid", openid),
    ] {
        is_inactive(why, &world.introspect(&token));
    }
    assert!(world.is_live(&ticket), "after all of that");
}

#[test]
fn a_ticket_that_is_over_is_inactive_without_a_leeway() {
    let mut world = World::start(&[]);
    let ticket = world.ticket();
    world.clock.advance(7200 - 30);
    assert!(world.is_live(&ticket));
    world.clock.advance(31);
    is_inactive("over", &world.introspect(&ticket));
    let with_leeway = world.server.get(&format!("/v1/verify/{APPID}"), &[("weixinauth", &ticket)]);
    assert_eq!(with_leeway.status, 200, "gateways have one");
    world.clock.advance(86_400);
    is_inactive("long over", &world.introspect(&ticket));
}

#[test]
fn a_ticket_that_was_cut_off_is_inactive() {
    let world = World::start(&[]);
    let (one, other) = (world.ticket(), world.ticket());
    let session = world.server.get("/v1/session", &[("weixinauth", &one)]).json();
    let cut_off = |scope: &[&str]| {
        let mut command = auth_ticket(&["cutoff", "add"]);
        Outcome::of(command.args(scope).arg("--keys").arg(world.site.keys.path())).done();
        world.server.signal(Signal::HUP);
    };
    cut_off(&["--login-id", session["login_id"].as_str().unwrap()]);
    until("the login is cut off", || !world.is_live(&one));
    is_inactive("the login is cut off", &world.introspect(&one));
    assert!(world.is_live(&other));
    cut_off(&["--appid", APPID]);
    until("the app is cut off", || !world.is_live(&other));
    is_inactive("the app is cut off", &world.introspect(&other));
}

#[test]
fn a_ticket_of_a_revoked_key_is_inactive() {
    let world = World::start(&[]);
    let ticket = world.ticket();
    world.site.keys.run(&["revoke", &world.site.keys.kid("ticket", "active")]).done();
    world.server.signal(Signal::HUP);
    until("the key is dead", || !world.is_live(&ticket));
    is_inactive("the key is revoked", &world.introspect(&ticket));
}
