//! Taking power away reaches a running server, whatever is wrong with its keys directory or scarce in its process.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{Held, Replica, until};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_revocation_in_a_directory_that_the_group_can_write_to_is_in_force() {
    let replica = Replica::start("100ms");
    let ticket = replica.server.ticket("demo-alice-1");
    let kid = replica.keys().kid("ticket", "active");
    set_mode(&replica.keys().path(), 0o775);
    replica.keys().run(&["revoke", &kid]);
    replica.refuses(&ticket, "invalid_ticket");
    let reasons = replica.get("/readyz").json()["reasons"].to_string();
    let path = replica.keys().path();
    for what in
        ["the keys directory is not right", "is writable by its group", &format!("chmod go-w {}", path.display())]
    {
        assert!(reasons.contains(what), "{reasons} should say {what}");
        assert!(replica.server.stderr().contains(what), "the log should say {what}");
    }
}

#[test]
fn a_directory_that_is_gone_or_is_none_is_in_the_log_with_the_cause_and_what_to_do() {
    let replica = Replica::start("100ms");
    let path = replica.keys().path();
    let away = path.with_extension("away");
    fs::rename(&path, &away).unwrap();
    let told = |what: &[&str]| {
        let text = replica.server.stderr();
        text.lines().any(|line| {
            (line.contains("WARN") || line.contains("ERROR")) && what.iter().all(|part| line.contains(part))
        })
    };
    let shown = path.display().to_string();
    until("its absence is told", || told(&["cannot list", &shown, "No such file", "on a replica, copy them there"]));
    fs::write(&path, "no directory").unwrap();
    until("it is told what is there", || told(&[&shown, "is not a directory", "give the directory that holds"]));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    until("other trouble is told, too", || told(&["cannot list", &shown, "symbolic links", "ls -la"]));
    fs::remove_file(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    until("all is well again", || replica.get("/readyz").json()["status"] == "ok");
}

#[test]
fn a_cut_off_in_a_list_with_another_mode_and_a_strange_entry_is_in_force() {
    let replica = Replica::start("100ms");
    let ticket = replica.server.ticket("demo-alice-1");
    replica.cutoff(&["add", "--all"]).done();
    let list = replica.keys().file("cutoffs.json");
    let text = fs::read_to_string(&list).unwrap().replace("\"cutoffs\":[", "\"cutoffs\":[{\"scope\":\"nobody\"},");
    // The server may have seen the right list already; this one has to be enough for one that starts to look now.
    let other = Replica::start("100ms");
    let others_ticket = other.server.ticket("demo-alice-1");
    let others_list = other.keys().file("cutoffs.json");
    fs::write(&others_list, text).unwrap();
    set_mode(&others_list, 0o644);
    other.refuses(&others_ticket, "ticket_revoked");
    replica.refuses(&ticket, "ticket_revoked");
    assert!(other.server.stderr().contains("is open to others (mode 0644)"));
}

#[test]
fn a_cut_off_is_in_force_when_connections_have_taken_every_descriptor() {
    let replica = Replica::start("100ms");
    let ticket = replica.server.ticket("demo-alice-1");
    let mut held = Held::open(replica.server.address);
    assert_eq!(held.verify(&ticket), 200);
    // As many descriptors as it has open, and none more.
    let pid = replica.server.pid();
    let open = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    let limit = Rlimit { current: Some(open() + 4), maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(Pid::from_raw(i32::try_from(pid).unwrap()), Resource::Nofile, limit).unwrap();
    let mut silent = Vec::new();
    until("it has no descriptor left", || {
        silent.extend(TcpStream::connect(replica.server.address));
        replica.server.stderr().contains("cannot accept a connection")
    });
    replica.cutoff(&["add", "--all"]).done();
    until("the cut-off is in force", || held.verify(&ticket) == 401);
    drop(silent);
    until("it accepts again", || replica.server.verify(&ticket).status == 401);
}
