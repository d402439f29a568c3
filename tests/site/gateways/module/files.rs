//! Verifier files that come, change, break and grow old.

use std::fs;
use std::time::Duration;

use auth_ticket::clock::{Clock, SystemClock};
use rustix::process::Signal;
use serde_json::json;

use super::{Nginx, Owner, changed, comes_to, get, put, put_with_mode, verifier_file_of, workers};
use crate::gateways::service::Service;
use crate::support::{APPID, Keys, OTHER_APPID};

/// A worker looks every two seconds; the machine may be busy.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn refusals_count_within_two_seconds_also_from_files_that_are_broken() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let right = owner.verifier_file();
    let cut_off = |login_id: &str| {
        changed(&right, |file| {
            file["cutoffs"] = json!([{ "scope": "login", "login_id": login_id, "created": "2026-11-22T21:00:00Z" }]);
        })
    };
    let tickets: Vec<String> = (0..5).map(|number| owner.server.ticket(&format!("demo-user{number}-1"))).collect();
    let login_ids: Vec<String> = tickets
        .iter()
        .map(|ticket| owner.server.verify(ticket).header("x-auth-login-id").unwrap().to_owned())
        .collect();
    let gateway = Nginx::new(service.address, &right).start().await;
    let file = gateway.directory().join("app.verify");
    for ticket in &tickets {
        assert_eq!(get(&gateway, "/", ticket).await.status, 200);
    }
    let broken = |login_id: &str| cut_off(login_id).replace("\"verify\"", "\"else\"");
    let truncated = |login_id: &str| {
        let content = cut_off(login_id);
        // Keys in JSON's order here, so the cut-offs come before most of it.
        content[..content.find("\"made\"").unwrap()].to_owned()
    };
    let foreign = |login_id: &str| cut_off(login_id).replace(APPID, OTHER_APPID);
    for (number, (content, mode)) in [
        (cut_off(&login_ids[0]), 0o640),
        (broken(&login_ids[1]), 0o640),
        (truncated(&login_ids[2]), 0o640),
        (foreign(&login_ids[3]), 0o640),
        (cut_off(&login_ids[4]), 0o644),
    ]
    .into_iter()
    .enumerate()
    {
        put_with_mode(&file, &content, mode);
        let took = comes_to(&gateway, &tickets[number], (401, "ticket_revoked")).await;
        assert!(took < SOON, "{number}: {took:?}");
        // What was refused once stays so; everybody else goes on.
        for (other, ticket) in tickets.iter().enumerate() {
            assert_eq!(get(&gateway, "/", ticket).await.status, if other <= number { 401 } else { 200 });
        }
    }
    // Gone, or no file at all: the former one stays.
    let last = owner.server.ticket("demo-eve-1");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(get(&gateway, "/", &last).await.status, 200);
    fs::remove_dir(&file).unwrap();
    // A key that is revoked, in a file that is right.
    let kid = owner.site.keys.kid("ticket", "active");
    owner.site.keys.run(&["revoke", &kid]).done();
    put(&file, &owner.verifier_file());
    let took = comes_to(&gateway, &last, (401, "invalid_ticket")).await;
    assert!(took < SOON, "{took:?}");
    let log = gateway.log();
    for line in [
        "`use` is not `verify`",
        "it is of the app",
        "is open to others (mode 0644)",
        "right again",
        "not a regular file",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_old_lets_nobody_in_until_it_is_made_again() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let ticket = owner.server.ticket("demo-alice-1");
    let now = SystemClock.now();
    let old = verifier_file_of(&owner.site.keys, APPID, now.minus(700));
    let nginx = Nginx::new(service.address, &old);
    let (is_right, said) = nginx.test();
    assert!(is_right && said.contains("[warn]") && said.contains("no ticket passes until it is made again"), "{said}");
    let gateway = nginx.start().await;
    let refused = get(&gateway, "/", &ticket).await;
    assert_eq!((refused.status, &*refused.error()), (503, "overloaded"), "{refused:?}");
    assert_eq!((refused.header("retry-after"), refused.header("www-authenticate")), (Some("5"), None));
    assert_eq!(get(&gateway, "/", "garbage").await.status, 401);
    assert!(service.take().is_empty());
    let file = gateway.directory().join("app.verify");
    put(&file, &owner.verifier_file());
    comes_to(&gateway, &ticket, (200, "")).await;
    // From a clock that is ahead of this one's.
    put(&file, &verifier_file_of(&owner.site.keys, APPID, now.plus(300)));
    comes_to(&gateway, &ticket, (503, "overloaded")).await;

    let mut unlimited = Nginx::new(service.address, &old);
    unlimited.http += "auth_ticket_max_stale off;";
    assert_eq!(get(&unlimited.start().await, "/", &ticket).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_workers_die_and_nginx_reloads_without_a_false_refusal() {
    let (owner, service) = (Owner::start(), Service::start().await);
    let mut nginx = Nginx::new(service.address, &owner.verifier_file());
    nginx.workers = 2;
    let gateway = nginx.start().await;
    let file = gateway.directory().join("app.verify");
    let before = owner.server.ticket("demo-alice-1");
    assert_eq!(owner.site.keys.run(&["rotate", "--use", "ticket", "--lead", "5s"]).code, Some(0));
    put(&file, &owner.verifier_file());
    let reading = std::time::Instant::now();
    let mut passed = 0;
    while reading.elapsed() < Duration::from_secs(6) {
        match passed {
            100 | 300 => gateway.signal(Signal::HUP),
            200 => {
                // The master starts another one. Its connections break, so no call may be under way.
                let worker = i32::try_from(workers(&gateway)[0]).unwrap();
                rustix::process::kill_process(rustix::process::Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
            }
            _ => {}
        }
        assert_eq!(get(&gateway, "/", &before).await.status, 200, "{}", gateway.log());
        passed += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(passed > 300, "{passed}");
    let after = owner.server.ticket("demo-alice-2");
    assert_ne!(before[..7], after[..7], "sealed by another key");
    for ticket in [&before, &after] {
        assert_eq!(get(&gateway, "/", ticket).await.status, 200, "{}", gateway.log());
    }
}

#[test]
fn nginx_tells_what_is_wrong_with_file_and_line() {
    let keys = Keys::init();
    let right = super::verifier_file(&keys);
    let nobody = "127.0.0.1:9".parse().unwrap();
    let says = |change: &dyn Fn(&mut Nginx), expected: &str| {
        let mut nginx = Nginx::new(nobody, &right);
        change(&mut nginx);
        let (is_right, said) = nginx.test();
        assert!(!is_right && said.contains(expected) && said.contains("nginx.conf:"), "{expected} in {said}");
    };
    assert!(Nginx::new(nobody, &right).test().0);
    says(&|nginx| fs::remove_file(nginx.file("app.verify")).unwrap(), "No such file");
    says(&|nginx| put(&nginx.file("app.verify"), "{}"), "`v` is missing");
    says(&|nginx| put_with_mode(&nginx.file("app.verify"), &right, 0o644), "is open to others (mode 0644)");
    says(&|nginx| put_with_mode(&nginx.file("app.verify"), &right, 0o660), "is open to others (mode 0660)");
    says(&|nginx| put(&nginx.file("app.verify"), &right[..right.len() / 2]), "not a verifier file");
    says(
        &|nginx| nginx.http = super::LAX.to_owned() + "map $http_upgrade $module_connection { default \"\"; }",
        "needs an auth_ticket_verifier",
    );
    says(&|nginx| nginx.server = "auth_ticket maybe;".to_owned(), "is on, off or optional");
    says(&|nginx| nginx.server = "auth_ticket on; auth_ticket off;".to_owned(), "here twice");
    says(&|nginx| nginx.server = "auth_ticket_max_stale 0;".to_owned(), "at least 1s, or off");
    says(&|nginx| nginx.server = "auth_ticket_max_stale soon;".to_owned(), "at least 1s, or off");
    says(&|nginx| nginx.server = "auth_ticket_max_stale 1m; auth_ticket_max_stale 2m;".to_owned(), "here twice");
    says(&|nginx| nginx.http += "auth_ticket_verifier DIR/app.verify;", "for the same app");
}
