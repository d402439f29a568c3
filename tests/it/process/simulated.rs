//! A simulator where a platform should be: who it lets in, nobody has checked.

use std::process::Command;

use serde_json::json;

use crate::support::{APPID, Outcome, Server, Site, auth_ticket, call, simulator, until};

const EVERYWHERE: &str = "0.0.0.0:0";

/// Of a server that others than this machine reach.
fn reachable(site: &Site) -> Command {
    let mut command = site.command();
    command.env("AUTH_TICKET_LISTEN", EVERYWHERE).env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0");
    command.env("RUST_LOG", "info");
    command
}

fn doctor(site: &Site, env: &[(&str, &str)]) -> String {
    let mut command = auth_ticket(&["doctor", "--config"]);
    command.arg(&site.config).env("WX_SECRET", Site::SECRET).envs(env.iter().copied());
    Outcome::of(&mut command).stdout
}

#[test]
fn a_server_that_others_reach_takes_nothing_from_the_simulator() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let server = Server::start(&mut reachable(&site));
    for number in 0..3 {
        assert_eq!(server.login(&format!("demo-alice-{number}")).json()["error"], "server_misconfigured");
    }
    let reasons = call(server.admin(), "GET", "/readyz", &[], "").json()["reasons"].to_string();
    assert!(reasons.contains("not the platform's but the simulator's"), "{reasons}");
    let told = |what| server.stderr().lines().filter(|line| line.contains(what)).count();
    until("the log says so", || told("ERROR") > 0);
    assert_eq!(told("the answer is not the platform's but the simulator's: remove base_url"), 1, "{}", server.stderr());
    let found = doctor(&site, &[("AUTH_TICKET_LISTEN", EVERYWHERE)]);
    let (_, told) = found.split_once("FAIL").unwrap_or_else(|| panic!("{found}"));
    assert!(told.contains("the answer is not the platform's but the simulator's"), "{found}");
}

#[test]
fn a_test_system_says_that_it_is_one() {
    const WARNED: &str = "upstream.allow_simulator";
    let platform = simulator();
    let site = Site::new(platform.address, "[upstream]\nallow_simulator = true\n");
    let server = Server::start(&mut reachable(&site));
    server.ticket("demo-alice-1");
    let answer = call(server.admin(), "GET", "/readyz", &[], "").json();
    assert!(answer["reasons"].to_string().contains(WARNED), "{answer}");
    assert_eq!(answer["status"], "ok", "it only informs");
    assert!(server.stderr().contains(WARNED), "{}", server.stderr());
    assert!(doctor(&site, &[("AUTH_TICKET_LISTEN", EVERYWHERE)]).contains(WARNED));
    // Nobody else reaches this one.
    let server = site.start();
    server.ticket("demo-alice-2");
    assert!(!server.stderr().contains(WARNED), "{}", server.stderr());
}

#[test]
fn another_host_than_the_platforms_is_warned_of_at_start_and_by_doctor() {
    const WARNED: &str = "base_url: the app's platform is 127.0.0.1, which decides who users are";
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let server = site.start();
    until("it is warned of", || server.stderr().contains(WARNED));
    assert!(doctor(&site, &[]).contains(WARNED));
}

#[test]
fn every_answer_of_the_simulator_names_it() {
    let platform = simulator();
    let login = format!("/sns/jscode2session?appid={APPID}&secret=x&grant_type=authorization_code&js_code=");
    for path in [
        &format!("{login}demo-alice-1"),
        &format!("{login}err-40029"),
        &format!("{login}http-500"),
        "/wxa/no_such_interface",
        "/_sim/stats",
        "/_sim/nothing",
        "/",
    ] {
        let answer = platform.get(path, &[]);
        assert_eq!(answer.header("x-auth-ticket-simulator"), Some("1"), "{path}: {answer:?}");
    }
}

#[test]
fn pages_do_not_control_the_simulator() {
    let platform = simulator();
    let body = json!({ "endpoint": "jscode2session", "fault": "hang" }).to_string();
    let send = |headers: &[(&str, &str)]| platform.post("/_sim/faults", headers, &body).status;
    assert_eq!(send(&[("Origin", "https://evil.example")]), 403);
    assert_eq!(send(&[("Origin", "null"), ("Content-Type", "text/plain")]), 403);
    let login =
        format!("/sns/jscode2session?appid={APPID}&secret=x&grant_type=authorization_code&js_code=demo-alice-1");
    let answer = platform.get(&login, &[("Origin", "https://evil.example")]);
    assert_eq!((answer.status, answer.json()["errcode"].as_i64()), (200, None), "what a platform has is for everybody");
    assert_eq!(send(&[]), 200);
}

#[test]
fn a_simulator_that_others_reach_is_warned_of() {
    for (listen, warned) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let simulator = Server::start(auth_ticket(&["simulator", "--listen", listen]).env("RUST_LOG", "info"));
        let is_warned = || simulator.stderr().contains("whoever reaches it can log in as anybody");
        if warned {
            until("it is warned of", is_warned);
        } else {
            assert!(!is_warned(), "{}", simulator.stderr());
        }
    }
}
