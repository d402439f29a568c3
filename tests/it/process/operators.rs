//! What operators do while servers run: rotate, revoke, cut off, look, listen.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::KeyUse;
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    APPID, Keys, Outcome, Replica, Reply, Server, Site, Upstream, auth_ticket, call, simulator, until,
};

#[test]
fn a_running_server_takes_a_new_key_by_itself() {
    let replica = Replica::start("100ms");
    let (before, ticket) = (replica.fingerprint(), replica.server.ticket("demo-alice-1"));
    replica.keys().run(&["rotate", "--use", "ticket"]);
    until("the new ring is taken", || replica.fingerprint() != before);
    assert_eq!(replica.fingerprint(), replica.keys().list()["fingerprint"]);
    assert_eq!(replica.server.verify(&ticket).status, 200);
    let kid = replica.keys().kid("ticket", "active");
    assert!(replica.metric(&format!("auth_ticket_tickets_opened_total{{kid=\"{kid}\",outcome=\"ok\"}}")) >= 1.0);
    assert!((replica.metric("auth_ticket_ring_reloads_total{result=\"taken\"}") - 1.0).abs() < f64::EPSILON);
}

#[test]
fn sighup_makes_a_server_look_at_once() {
    let replica = Replica::start("10m");
    let ticket = replica.server.ticket("demo-alice-1");
    let kid = replica.keys().kid("ticket", "active");
    replica.keys().run(&["revoke", &kid]).done();
    assert_eq!(replica.server.verify(&ticket).status, 200, "it has not looked yet");
    replica.server.signal(Signal::HUP);
    replica.refuses(&ticket, "invalid_ticket");
    assert_eq!(replica.server.verify(&replica.server.ticket("demo-alice-2")).status, 200, "the successor seals");
}

#[test]
fn a_ticket_under_an_unknown_key_makes_a_server_look() {
    for path in ["/v1/verify", &format!("/v1/verify/{APPID}"), "/v1/ext-authz", "/v1/session"] {
        let replica = Replica::start("10m");
        assert_eq!(replica.keys().run(&["rotate", "--now"]).code, Some(0));
        let (other, _) = replica.site.start_for_operators("10m");
        let ticket = other.ticket("demo-alice-1");
        // The server looked when it started; the next look is allowed a second later.
        let mut asked = 0;
        until(path, || {
            asked += 1;
            replica.server.get(path, &[("weixinauth", &ticket)]).status == 200
        });
        let unknown = replica.metric("auth_ticket_unknown_kids_total");
        assert!(
            (unknown - f64::from(asked)).abs() < f64::EPSILON,
            "{path}: the request that had it look waits for that"
        );
    }
}

#[test]
fn a_broken_file_is_told_and_does_no_harm() {
    let replica = Replica::start("100ms");
    let ticket = replica.server.ticket("demo-alice-1");
    assert_eq!(replica.get("/readyz").json(), json!({ "status": "ok", "reasons": [] }));
    let broken = replica.keys().file("ticket-00000001.key");
    fs::write(&broken, "half a fi").unwrap();
    until("it is told", || replica.get("/readyz").json()["status"] == "degraded");
    assert!((replica.metric("auth_ticket_ring_reload_failed") - 1.0).abs() < f64::EPSILON);
    assert!(replica.server.stderr().contains("ticket-00000001.key"), "the log names the file");
    assert_eq!(replica.server.verify(&ticket).status, 200);
    // What takes power away is taken all the same.
    let login_id = replica.server.get("/v1/session", &[("weixinauth", &ticket)]).json()["login_id"].clone();
    replica.cutoff(&["add", "--login-id", login_id.as_str().unwrap()]).done();
    replica.refuses(&ticket, "ticket_revoked");
    fs::remove_file(&broken).unwrap();
    until("it recovers", || replica.get("/readyz").json()["status"] == "ok");
    assert!(replica.metric("auth_ticket_ring_reload_failed").abs() < f64::EPSILON);
    assert_eq!(replica.server.verify(&ticket).json()["error"], "ticket_revoked");
}

#[test]
fn whoever_is_cut_off_is_refused_and_nobody_else() {
    let replica = Replica::start("100ms");
    let [alice, bob] = ["demo-alice-1", "demo-bob-1"].map(|code| replica.server.ticket(code));
    let session = replica.server.get("/v1/session", &[("weixinauth", &alice)]).json();
    let openid = session["openid"].as_str().unwrap();
    let told = replica.cutoff(&["add", "--appid", APPID, "--openid", openid]).done();
    assert!(told.starts_with(&format!("cut off: {openid} at {APPID}, logged in before 20")), "{told}");
    replica.refuses(&alice, "ticket_revoked");
    assert_eq!(replica.server.verify(&bob).status, 200);
    let renewed = replica.server.post("/v1/renew", &[("weixinauth", &alice)], "");
    assert_eq!(renewed.json()["error"], "ticket_revoked");
    let fresh = replica.server.login("demo-alice-2");
    assert_eq!(fresh.json()["error"], "ticket_revoked", "a login in the minute of the leeway gets no ticket");

    replica.cutoff(&["add", "--all"]).done();
    replica.refuses(&bob, "ticket_revoked");
    let list = replica.cutoff(&["list", "--json"]).json();
    assert_eq!(list["cutoffs"].as_array().unwrap().len(), 2);
    assert_eq!(list["cutoffs"][0]["openid"], openid);
    assert_eq!(replica.cutoff(&["prune"]).done(), "nothing to remove\n");
}

#[test]
fn cutoff_says_what_it_refuses_and_why() {
    let keys = Keys::init();
    let cutoff = |args: &[&str]| Outcome::of(auth_ticket(&["cutoff"]).args(args).arg("--keys").arg(keys.path()));
    assert_eq!(cutoff(&["list"]).done(), "nobody is cut off\n");
    for args in [
        &["add"][..],
        &["add", "--openid", "alice"],
        &["add", "--all", "--appid", "wx1"],
        &["add", "--all", "--before", "yesterday"],
        &["add", "--login-id", "AA"],
        &["add", "--login-id", "0011223344556677", "--before", "2026-11-22T21:00:00Z"],
        &["add", "--appid", "wx 1"],
        &["add", "--appid", "wx1", "--openid", ""],
    ] {
        assert_eq!(cutoff(args).code, Some(2), "{args:?}");
    }
    let late = cutoff(&["add", "--all", "--before", "2100-01-01T00:00:00Z"]).refused();
    assert!(late.contains("hint: a cut-off is about logins that have happened"), "{late}");
    cutoff(&["add", "--login-id", "0011223344556677"]).done();
    let again = cutoff(&["add", "--login-id", "0011223344556677"]).done();
    assert_eq!(again, "already cut off: login 0011223344556677\n");

    fs::write(keys.file("ticket-00000001.key"), "broken").unwrap();
    cutoff(&["add", "--appid", "wx1"]).done();
    fs::write(keys.file("cutoffs.json"), "broken").unwrap();
    let broken = cutoff(&["remove", "--appid", "wx2"]).refused();
    assert!(broken.contains("cutoffs.json: not a list of cut-offs"), "{broken}");
    assert_eq!(fs::read_to_string(keys.file("cutoffs.json")).unwrap(), "broken", "what is not understood is not lost");
}

#[test]
fn cut_offs_go_when_nothing_that_they_refuse_can_be_alive() {
    let keys = Keys::init();
    let entry = |created: &str| {
        format!(r#"{{"scope":"app","appid":"wx1","before":"2020-01-01T00:00:00Z","created":"{created}"}}"#)
    };
    let list = format!(r#"{{"v":1,"cutoffs":[{},{}]}}"#, entry("2020-01-01T00:00:00Z"), entry("2099-01-01T00:00:00Z"));
    fs::write(keys.file("cutoffs.json"), list).unwrap();
    fs::set_permissions(keys.file("cutoffs.json"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let cutoff = |args: &[&str]| Outcome::of(auth_ticket(&["cutoff"]).args(args).arg("--keys").arg(keys.path()));
    assert_eq!(cutoff(&["prune"]).done(), "removed: everybody at wx1 who logged in before 2020-01-01T00:00:00Z\n");
    let left = cutoff(&["list", "--json"]).json();
    assert_eq!(left["cutoffs"].as_array().unwrap().len(), 1);
    assert_eq!(left["cutoffs"][0]["created"], "2099-01-01T00:00:00Z");
}

#[test]
fn keys_check_compares_replicas_with_the_directory() {
    let replica = Replica::start("10m");
    let url = format!("http://{}", replica.admin);
    let check = |args: &[&str]| replica.keys().run(&[&["check"], args].concat());
    let told = check(&["--replica", &url]).done();
    assert!(told.lines().all(|line| line.starts_with("ok ")), "{told}");
    assert!(told.contains("the same ring, version 0."), "{told}");

    replica.keys().run(&["rotate"]).done();
    let differs = check(&["--replica", &url, "--wait", "0s"]);
    assert_eq!(differs.code, Some(1));
    assert!(differs.stdout.contains("FAIL  ") && differs.stdout.contains("another ring: fingerprint"), "{differs:?}");
    let (ticket, jwt) = (replica.keys().kid("ticket", "pending"), replica.keys().kid("jwt", "pending"));
    assert!(differs.stdout.contains(&format!("; lacks the key ticket-{ticket} jwt-{jwt}\n")), "{differs:?}");
    replica.server.signal(Signal::HUP);
    until("the replica has taken the key", || check(&["--replica", &url]).code == Some(0));

    let away = check(&["--replica", "http://127.0.0.1:1", "--json"]);
    assert_eq!(away.code, Some(1));
    let findings: Value = serde_json::from_str(&away.stdout).unwrap();
    let last = findings["findings"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["level"], &last["what"]), (&json!("fail"), &json!("cannot be reached")));
    let clients = format!("http://{}", replica.server.address);
    let wrong = check(&["--replica", &clients]);
    assert!(wrong.stdout.contains("status 404: not an address for operators"), "{wrong:?}");
    assert_eq!(check(&["--replica", "no url"]).code, Some(2));
}

#[test]
fn keys_check_fails_when_somebody_has_to_act() {
    const DAY: u64 = 86400;
    let check = |keys: &Keys| keys.run(&["check"]);
    let healthy = Keys::init();
    assert_eq!(check(&healthy).code, Some(0));
    let last_fifth = Keys::missing();
    last_fifth.add_old(KeyUse::Ticket, 85 * DAY, 90 * DAY);
    let told = check(&last_fifth);
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.contains("is in the last fifth of its life"), "{told:?}");
    assert!(told.stdout.contains("-> auth-ticket keys rotate --use ticket"), "{told:?}");
    let over = Keys::missing();
    over.add_old(KeyUse::Ticket, 91 * DAY, 90 * DAY);
    let told = check(&over);
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.contains("FAIL  ticket  every ticket key is dead"), "{told:?}");
    let missing = check(&Keys::missing());
    assert_eq!(missing.code, Some(1));
    assert!(missing.stdout.contains("-> on a replica, copy them there; the first keys of a"), "{missing:?}");
}

#[test]
fn a_server_tells_its_keys_and_numbers_to_operators_and_to_nobody_else() {
    let replica = Replica::start("10m");
    let ticket = replica.server.ticket("demo-alice-1");
    assert_eq!(replica.server.verify(&ticket).status, 200);
    assert_eq!(replica.server.login("err-40029").status, 401);
    let told = replica.get("/keys");
    let (listed, served) = (replica.keys().list(), told.json());
    assert_eq!(served["keys"], listed["keys"]);
    assert_eq!(served["ticket_version"], 1);
    let metrics = replica.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(metrics.whole().ends_with("# EOF\n"), "{}", metrics.whole());
    let kid = replica.keys().kid("ticket", "active");
    for (sample, value) in [
        (format!("auth_ticket_tickets_sealed_total{{kid=\"{kid}\",purpose=\"ticket\"}}"), 1.0),
        (format!("auth_ticket_tickets_opened_total{{kid=\"{kid}\",outcome=\"ok\"}}"), 1.0),
        (format!("auth_ticket_logins_total{{appid=\"{APPID}\",result=\"ok\"}}"), 1.0),
        (format!("auth_ticket_logins_total{{appid=\"{APPID}\",result=\"invalid_code\"}}"), 1.0),
        (format!("auth_ticket_upstream_errcodes_total{{appid=\"{APPID}\",errcode=\"40029\"}}"), 1.0),
        (format!("auth_ticket_upstream_latency_seconds_count{{appid=\"{APPID}\",call=\"exchange\"}}"), 2.0),
        ("auth_ticket_can_seal{key_use=\"ticket\"}".to_owned(), 1.0),
        ("auth_ticket_keys{key_use=\"ticket\",state=\"active\"}".to_owned(), 1.0),
    ] {
        assert!((replica.metric(&sample) - value).abs() < f64::EPSILON, "{sample}: {}", metrics.whole());
    }
    for secret in replica.keys().secrets() {
        assert!(!told.whole().contains(&secret) && !metrics.whole().contains(&secret));
    }
    for path in ["/keys", "/metrics", "/log"] {
        assert_eq!(replica.server.get(path, &[]).status, 404, "{path} is not for clients");
    }
}

#[test]
fn log_lines_are_json_where_that_is_asked_for_and_hide_who_logged_in() {
    let platform = simulator();
    let site = Site::new(platform.address, "[log]\nformat = \"json\"\n");
    let mut command = site.command();
    command.env("RUST_LOG", "info").env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0");
    let server = Server::start(&mut command);
    let body = json!({ "code": "demo-alice-1" }).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Request-Id", "proxy-1.a_B")];
    let answer = server.post("/v1/login", &headers, &body);
    assert_eq!(answer.header("x-request-id"), None, "some clients reserve it");
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    let session = server.get("/v1/session", &[("weixinauth", &ticket)]).json();
    let openid = session["openid"].as_str().unwrap();

    until("the login is logged", || server.stderr().contains("logged in"));
    let log = server.stderr();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let line = lines.iter().find(|line| line["message"] == "logged in").unwrap();
    let sum = Sha256::new().chain_update(APPID).chain_update([0]).chain_update(openid).finalize();
    assert_eq!(line["openid_hash"], hex::encode(&sum[..8]));
    assert_eq!((&line["request_id"], &line["appid"]), (&json!("proxy-1.a_B"), &json!(APPID)));
    assert_eq!(line["login_id"], session["login_id"]);
    assert!(!log.contains(openid) && !log.contains(&ticket), "{log}");
    assert!(!log.contains("\"DEBUG\""), "{log}");

    let admin = server.admin();
    assert_eq!(call(admin, "PUT", "/log", &[("Content-Length", "5")], "debug").status, 200);
    let refused = server.get("/v1/verify", &[("X-Request-Id", "now seen")]);
    let request_id = refused.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(request_id.len(), 16, "a name with a space in it is not taken");
    until("the refusal is logged", || server.stderr().contains(&request_id));
    for directives in ["", "=,=", "auth_ticket=loud"] {
        let len = directives.len().to_string();
        assert_eq!(call(admin, "PUT", "/log", &[("Content-Length", &len)], directives).status, 400, "{directives}");
    }
}

#[test]
fn doctor_finds_nothing_where_all_is_well() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let told = doctor(&site).done();
    // Where a test's platform is, no real one is.
    let others = told.lines().filter(|line| !line.contains("base_url: the app's platform is 127.0.0.1"));
    assert!(
        others.clone().count() + 1 == told.lines().count() && others.clone().all(|line| line.starts_with("ok ")),
        "{told}"
    );
    for what in ["is right, and its secrets are there", "seals, until", "accepts appid and secret", "is free"] {
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let refusing = |errcode: &'static str| {
        Upstream::start(move |_| {
            Reply::Http(
                "200 OK",
                format!(r#"{{"errcode":{errcode},"errmsg":"invalid ip 10.1.2.3, not in whitelist"}}"#),
            )
        })
    };
    for (errcode, what) in [
        ("40125", "it comes from the variable WX_SECRET, which a server reads when it starts: restart it"),
        ("40013", "the platform does not know this appid"),
        ("40164", "add this server's IP 10.1.2.3 to the app's API IP allow-list"),
    ] {
        let told = doctor(&Site::new(refusing(errcode).address, ""));
        assert_eq!(told.code, Some(1), "{told:?}");
        assert!(told.stdout.contains("FAIL") && told.stdout.contains(what), "{told:?}");
        assert!(!told.stdout.contains(Site::SECRET) && !told.stderr.contains(Site::SECRET), "{told:?}");
    }
    let nowhere = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let told = doctor(&nowhere);
    assert!(told.stdout.contains("the platform cannot be reached: the connection is refused"), "{told:?}");
    for (setting, value, what) in [
        ("AUTH_TICKET_APP__0__BASE_URL", "http://nowhere.invalid", "its host name is not known here"),
        ("HTTPS_PROXY", "http://127.0.0.1:1", "the proxy cannot be reached, or refuses"),
    ] {
        let beyond = ("AUTH_TICKET_APP__0__BASE_URL", "https://platform.invalid");
        let told = Outcome::of(nowhere_command(&nowhere).envs([beyond, (setting, value)]));
        assert!(told.stdout.contains(what), "{told:?}");
    }
    fs::remove_dir_all(nowhere.keys.path()).unwrap();
    let told = doctor(&nowhere);
    assert!(told.stdout.contains("-> on a replica, copy them there; the first keys"), "{told:?}");
    let without_secret = Outcome::of(nowhere_command(&nowhere).env_remove("WX_SECRET")).refused();
    assert!(without_secret.contains("WX_SECRET is not set in the environment"), "{without_secret}");
}

#[test]
fn keys_check_says_what_a_replica_lacks_and_waits_for_one_that_is_about_to_look() {
    let replica = Replica::start("2s");
    let url = format!("http://{}", replica.admin);
    let check = |args: &[&str]| replica.keys().run(&[&["check", "--replica", &url], args].concat());
    // Within its poll, a replica that has not looked yet is no replica that differs.
    replica.keys().run(&["rotate", "--use", "ticket"]).done();
    let told = check(&[]).done();
    assert!(told.contains("the same ring"), "{told}");

    let stale = Replica::start("10m");
    let url = format!("http://{}", stale.admin);
    let check = || stale.keys().run(&["check", "--replica", &url, "--wait", "0s"]).stdout;
    // Its first look, right after the start, may still see the first of them.
    let mut login_id = 0_u64;
    until("a cut-off that it has not seen", || {
        login_id += 1;
        stale.cutoff(&["add", "--login-id", &format!("{login_id:016x}")]).done();
        check().contains(&format!("; has other cut-offs, {}, and here are {login_id}\n", login_id - 1))
    });
    stale.server.signal(Signal::HUP);
    until("it has taken the cut-off", || check().contains("the same ring"));
    // A revocation without a key, copied here and not there; and a key that is only there.
    fs::write(stale.keys().file("ticket-00000001.revoked"), "").unwrap();
    assert!(check().contains("; has not revoked ticket-00000001\n"), "{}", check());
    fs::remove_file(stale.keys().file("ticket-00000001.revoked")).unwrap();
    let kid = stale.keys().kid("jwt", "active");
    fs::remove_file(stale.keys().file(&format!("jwt-{kid}.key"))).unwrap();
    assert!(check().contains(&format!("; has a key that is not here, jwt-{kid}\n")), "{}", check());
}

/// Replicas seal and open by the clock, so one that is off is one that differs.
#[test]
fn keys_check_compares_clocks() {
    let keys = Keys::init();
    let fingerprint = keys.list()["fingerprint"].as_str().unwrap().to_owned();
    let at = |now: UnixSeconds| {
        let fingerprint = fingerprint.clone();
        Upstream::start(move |_| {
            let keys =
                json!({ "version": "0.1.0", "ticket_version": 1, "fingerprint": fingerprint, "now": now.to_string() });
            Reply::Http("200 OK", keys.to_string())
        })
    };
    let now = SystemClock.now();
    for (clock, what) in [(now.plus(600), " s ahead of this machine's"), (now.minus(600), " s behind this machine's")] {
        let checked = keys.run(&["check", "--replica", &format!("http://{}", at(clock).address)]);
        assert_eq!(checked.code, Some(1));
        assert!(checked.stdout.contains("the same ring") && checked.stdout.contains(what), "{checked:?}");
    }
    keys.run(&["check", "--replica", &format!("http://{}", at(now).address)]).done();
}

#[test]
fn a_replica_without_a_key_says_which_once() {
    let replica = Replica::start("10m");
    // Another installation's keys: here nobody ever has them.
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let (other, _) = site.start_for_operators("10m");
    let ticket = other.ticket("demo-alice-1");
    for _ in 0..100 {
        assert_eq!(replica.server.verify(&ticket).status, 401);
    }
    let ready = replica.get("/readyz").json();
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("many tickets name key ") && reason.ends_with("which this replica does not have"),
        "{ready}"
    );
    assert_eq!(
        (ready["status"].as_str(), ready["reasons"].as_array().unwrap().len()),
        (Some("ok"), 1),
        "it only informs"
    );
    assert_eq!(replica.server.stderr().matches("many tickets name a key that this replica does not have").count(), 1);
}

/// The simulator refuses no secret, so this platform does, and then no longer.
#[test]
fn a_refused_secret_is_told_with_where_it_came_from_until_it_works_again() {
    let good = Arc::new(AtomicBool::new(false));
    let is_good = Arc::clone(&good);
    let platform = Upstream::start(move |_| {
        let answer = if is_good.load(Ordering::Relaxed) {
            r#"{"openid":"alice","session_key":"AAECAwQFBgcICQoLDA0ODw=="}"#
        } else {
            r#"{"errcode":40125,"errmsg":"invalid appsecret, rid: 1-2-3"}"#
        };
        Reply::Http("200 OK", answer.to_owned())
    });
    let site = Site::new(platform.address, "");
    let (server, admin) = site.start_for_operators("10m");
    let ready = || call(admin, "GET", "/readyz", &[], "").json();
    assert_eq!(ready(), json!({ "status": "ok", "reasons": [] }));
    assert_eq!(server.login("a-code").status, 500);
    let told = ready();
    let reason = told["reasons"][0].as_str().unwrap();
    let source = "it comes from the variable WX_SECRET, which a server reads when it starts: restart it after a change";
    assert!(reason.starts_with(&format!("app {APPID}, exchange: ")) && reason.ends_with(source), "{told}");
    assert!(reason.contains("errcode 40125") && told["status"] == "ok", "{told}");
    assert!(server.stderr().contains(source) && !server.stderr().contains(Site::SECRET), "{}", server.stderr());
    good.store(true, Ordering::Relaxed);
    assert_eq!(server.login("another-code").status, 200);
    assert_eq!(ready(), json!({ "status": "ok", "reasons": [] }));
}

/// A program that asked for JSON gets it, and every mistake in it, also where nothing could be checked.
#[test]
fn a_bad_configuration_is_told_as_json_to_those_who_asked_for_it() {
    let keys = Keys::init();
    let config = keys.root().join("bad.toml");
    let file = config.to_str().unwrap();
    let app = "[[app]]\nappid = \"wx1\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n";
    for (text, mistakes) in [("listen = 1\nlsiten = 2\n", 3), ("[[app]\n", 1), (app, 1)] {
        fs::write(&config, text).unwrap();
        for args in [&["doctor", "--json"][..], &["keys", "check", "--json"]] {
            let mut command = auth_ticket(args);
            let outcome = Outcome::of(command.args(["--config", file]).env("AUTH_TICKET_KEYS_DIR", keys.path()));
            assert_eq!(outcome.code, Some(1), "{outcome:?}");
            let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
            let found = told["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "fail");
            let found: Vec<&Value> = found.collect();
            assert_eq!(found.len(), mistakes, "{told:#}");
            assert!(found.iter().all(|finding| finding["subject"] == "config"), "{told:#}");
            assert!(found[0]["what"].as_str().unwrap().starts_with(file), "{told:#}");
            assert!(outcome.stderr.starts_with("error: "), "{outcome:?}");
        }
    }
    let missing = Outcome::of(&mut auth_ticket(&["doctor", "--json", "--config", "/nowhere/login.toml"]));
    let told: Value = serde_json::from_str(&missing.stdout).unwrap();
    assert!(told["findings"][0]["what"].as_str().unwrap().starts_with("/nowhere/login.toml: "), "{told:#}");
    // For people as before: the mistakes below one line, and a hint.
    let people = Outcome::of(auth_ticket(&["doctor", "--config"]).arg(&config)).refused();
    assert!(people.contains("has 1 mistake\n") && people.contains("\nhint: see every setting"), "{people}");
}

fn doctor(site: &Site) -> Outcome {
    Outcome::of(&mut nowhere_command(site))
}

fn nowhere_command(site: &Site) -> Command {
    let mut command = auth_ticket(&["doctor", "--config"]);
    command.arg(&site.config).env("WX_SECRET", Site::SECRET).env("RUST_LOG", "off");
    command
}
