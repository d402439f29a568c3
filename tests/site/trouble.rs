//! Keys directories that go wrong under running replicas: they go on answering, say so, and recover by themselves.

mod storm;
mod volume;

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::drill::http::{Http, kid_of};
use crate::drill::process::{Replica, Setup, Site, cli, cli_fails};
use crate::drill::within;
use crate::support::APPID;

const POLL: &str = "100ms";
const SOON: Duration = Duration::from_secs(5);
const FAILED: &str = "auth_ticket_ring_reload_failed";

/// A replica whose keys directory is about to go wrong.
struct Patient {
    site: Site,
    http: Http,
    keys: PathBuf,
    replica: Replica,
    ticket: String,
}

impl Patient {
    async fn new() -> Self {
        let site = Site::new();
        let keys = site.keys("keys");
        Self::with_keys(site, keys).await
    }

    async fn with_keys(site: Site, keys: PathBuf) -> Self {
        let replica = site.replica(Setup::new("replica", &keys, POLL));
        let http = Http::new();
        let ticket = http.login(&replica.url, "demo-alice-first").await.ticket();
        Self { site, http, keys, replica, ticket }
    }

    /// The only ticket key's file.
    fn key_file(&self) -> PathBuf {
        self.keys.join(format!("ticket-{}.key", kid_of(&self.ticket)))
    }

    async fn status(&self) -> (String, String) {
        let ready = self.http.get(&self.replica.admin, "/readyz").await;
        assert_eq!(ready.status, 200, "it can open tickets all the time");
        let ready = ready.json();
        (ready["status"].as_str().unwrap().to_owned(), ready["reasons"].to_string())
    }

    /// It goes on answering and says what is wrong.
    async fn suffers(&self, what: &str) {
        within(SOON, what, async || self.http.metric(&self.replica.admin, FAILED).await == Some(1.0)).await;
        let (status, reasons) = self.status().await;
        assert_eq!(status, "degraded", "{what}");
        assert!(reasons.contains("the keys directory is not right"), "{what}: {reasons}");
        self.works(what).await;
    }

    async fn works(&self, what: &str) {
        let Self { http, replica, ticket, .. } = self;
        assert!(http.check(&replica.url, ticket).await.is_good(), "{what}: a check");
        assert!(http.renew(&replica.url, ticket).await.is_good(), "{what}: a renewal");
        let login = http.login(&replica.url, &format!("demo-alice-{}", what.replace(' ', "_"))).await;
        assert!(login.is_good(), "{what}: a login, {login:?}");
        assert_eq!(http.get(&replica.url, "/readyz").await.status, 200, "{what}");
    }

    /// Nobody had to do anything to the process.
    async fn recovers(&self, what: &str) {
        within(SOON, what, async || self.http.metric(&self.replica.admin, FAILED).await == Some(0.0)).await;
        assert_eq!(self.status().await.0, "ok", "{what}");
        self.works(&format!("after {what}")).await;
    }
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

/// A private file, as key files are.
fn write(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_directory_that_goes_away_takes_nothing_with_it() {
    let patient = Patient::new().await;
    let aside = patient.site.path("aside");

    rename(&patient.keys, &aside);
    patient.suffers("the directory is gone").await;
    write(&patient.keys, b"");
    patient.suffers("a file in its place").await;
    std::fs::remove_file(&patient.keys).unwrap();
    std::fs::create_dir(&patient.keys).unwrap();
    std::fs::set_permissions(&patient.keys, Permissions::from_mode(0o700)).unwrap();
    patient.suffers("an empty directory in its place").await;
    std::fs::remove_dir(&patient.keys).unwrap();
    rename(&aside, &patient.keys);
    patient.recovers("the directory is back").await;

    std::fs::set_permissions(&patient.keys, Permissions::from_mode(0o777)).unwrap();
    patient.suffers("a directory that is open to all").await;
    std::fs::set_permissions(&patient.keys, Permissions::from_mode(0o700)).unwrap();
    patient.recovers("the directory is closed again").await;
}

/// Puts each in the place of the other, with nothing in between.
fn exchange(one: &Path, other: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[tokio::test]
async fn a_file_that_goes_wrong_changes_nothing() {
    let patient = Patient::new().await;
    let (file, wrong) = (patient.key_file(), patient.site.path("wrong"));
    // There is another ticket key: without the file, the directory would be right, and the ticket lost.
    cli(&["keys", "rotate", "--lead", "10m"], &patient.keys);
    let content = std::fs::read(&file).unwrap();
    let trouble = async |what: &str| {
        exchange(&file, &wrong);
        patient.suffers(what).await;
        exchange(&file, &wrong);
        patient.recovers(what).await;
    };

    for (what, garbage) in [
        ("half of a file", &content[..content.len() / 2]),
        ("an empty file", b""),
        ("garbage", &[0xff; 300]),
        ("a file that is too large", &[b' '; 5000]),
        ("a file twice", &content.repeat(2)),
    ] {
        write(&wrong, garbage);
        trouble(what).await;
    }
    std::fs::set_permissions(&wrong, Permissions::from_mode(0o644)).unwrap();
    trouble("a file that is open to all").await;
    std::fs::remove_file(&wrong).unwrap();

    std::fs::create_dir(&wrong).unwrap();
    trouble("a directory for a file").await;
    std::fs::remove_dir(&wrong).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &wrong, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    trouble("a fifo for a file").await;
    std::fs::remove_file(&wrong).unwrap();
    std::os::unix::fs::symlink(patient.site.path("nowhere"), &wrong).unwrap();
    trouble("a link to nowhere").await;
    std::fs::remove_file(&wrong).unwrap();
    std::os::unix::fs::symlink(&file, &wrong).unwrap();
    trouble("a link to itself").await;
}

#[tokio::test]
async fn power_is_taken_away_while_another_file_is_broken() {
    let patient = Patient::new().await;
    let Patient { http, keys, replica, .. } = &patient;
    let login = async |code: &str| http.login(&replica.url, code).await.ticket();
    let (one, other) = (login("demo-bob-1").await, login("demo-carol-1").await);
    let checked = async |ticket: &str| http.check(&replica.url, ticket).await;
    let login_id = checked(&one).await.header("x-auth-login-id").unwrap().to_owned();
    let broken = keys.join("ticket-00000000.key");
    write(&broken, b"garbage");
    patient.suffers("a broken file").await;

    cli(&["cutoff", "add", "--login-id", &login_id], keys);
    let took = within(SOON, "cut off", async || checked(&one).await.error() == "ticket_revoked").await;
    let openid = checked(&other).await.header("x-auth-openid").unwrap().to_owned();
    cli(&["cutoff", "add", "--appid", APPID, "--openid", &openid], keys);
    within(SOON, "cut off", async || checked(&other).await.error() == "ticket_revoked").await;
    patient.suffers("the file is still broken").await;
    assert!(took < Duration::from_secs(2), "{took:?}");

    // The list of cut-offs itself breaks, and everybody who was on it stays cut off.
    write(&keys.join("cutoffs.json"), b"{\"v\":1,");
    patient.suffers("a broken list").await;
    assert_eq!(checked(&one).await.error(), "ticket_revoked");

    let told = cli_fails(&["keys", "revoke", &kid_of(&one)], keys);
    assert!(told.contains("is revoked, but NOTHING SEALS"), "{told}");
    within(SOON, "revoked", async || checked(&patient.ticket).await.error() == "invalid_ticket").await;
    assert_eq!(http.metric(&replica.admin, FAILED).await, Some(1.0));
}

#[tokio::test]
async fn a_full_file_system_does_not_stop_a_replica() {
    let site = Site::new();
    let small = site.path("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        crate::drill::say("left out: no small file system can be mounted here");
        return;
    }
    let _mount = Mount(small.clone());
    let keys = site.keys("small/keys");
    let patient = Patient::with_keys(site, keys.clone()).await;
    let filler = small.join("filler");
    let mut file = File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);

    let before = std::fs::read_dir(&keys).unwrap().count();
    let refused = Command::new(crate::support::BINARY).args(["keys", "rotate", "--keys"]).arg(&keys).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("No space left"), "{refused:?}");
    assert_eq!(std::fs::read_dir(&keys).unwrap().count(), before, "nothing half-written is left behind");
    patient.works("the file system is full").await;
    assert_eq!(patient.status().await.0, "ok", "what was there is whole");

    // A copier without care leaves an empty file under the name.
    File::create(keys.join("ticket-00000000.key")).unwrap().set_permissions(Permissions::from_mode(0o600)).unwrap();
    patient.suffers("a file without content").await;
    std::fs::remove_file(keys.join("ticket-00000000.key")).unwrap();
    std::fs::remove_file(&filler).unwrap();
    cli(&["keys", "rotate", "--lead", "10m"], &keys);
    patient.recovers("there is room again").await;
    let shown = patient.http.get(&patient.replica.admin, "/keys").await.json();
    assert_eq!(shown["keys"].as_array().unwrap().len(), 4, "the new keys arrived");
}

/// A mounted file system, unmounted when dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
