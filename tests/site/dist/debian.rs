//! The Debian package, in a root file system that debootstrap has made: installed, started, upgraded, removed, purged.
//!
//! systemd is installed there, but does not run, so the server is started as the unit says: its command line, as its user,
//! with its credential.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{VERSION, dead_links, debian_version, made, said, sums};
use crate::support::system::{Running, needed, read, shipped, start, succeed, told, write};
use crate::support::{Server, simulator};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEYS: &str = "/var/lib/auth-ticket/keys";

/// A writable layer over the file system of debootstrap, in a mount namespace that a process keeps.
pub(super) struct Debian {
    keeper: Running,
    place: TempDir,
}

impl Debian {
    pub(super) fn new() -> Self {
        needed("debootstrap");
        let lower = said("DIST_TOOLS").join("debian");
        let place = tempfile::tempdir().unwrap();
        let script = r#"
            mount -t tmpfs none "$1"
            mkdir "$1/upper" "$1/work" "$1/root"
            mount -t overlay none -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
            mount --rbind /dev "$1/root/dev" && mount --rbind /proc "$1/root/proc" && mount -t tmpfs none "$1/root/run"
            mkdir "$1/root/packages"
            echo ready
            exec sleep infinity"#;
        let mut command = Command::new(needed("unshare"));
        command.args(["-m", "sh", "-euc", script, "sh"]).arg(place.path()).arg(lower);
        let (keeper, lines) = start(&mut command, 1);
        assert_eq!(lines, ["ready"]);
        Self { keeper, place }
    }

    /// A path of it, as this process sees it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let root = format!("/proc/{}/root{}/root", self.keeper.0.id(), self.place.path().display());
        Path::new(&root).join(path.trim_start_matches('/'))
    }

    /// `sh -eu -c SCRIPT` as root in it, with nothing of this machine's environment.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new(needed("nsenter"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
        command.arg("-m").arg("-t").arg(self.keeper.0.id().to_string());
        command.arg("chroot").arg(self.place.path().join("root")).args(["sh", "-euc", script]);
        command
    }

    #[track_caller]
    pub(super) fn run(&self, script: &str) -> String {
        let output = self.shell(script).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", told(&output));
        told(&output)
    }

    /// Copies a package into it, and returns its path there.
    pub(super) fn put(&self, package: &Path) -> String {
        let name = package.file_name().unwrap().to_str().unwrap();
        succeed(Command::new("cp").arg(package).arg(self.path("packages")));
        format!("/packages/{name}")
    }

    /// Starts the server as the installed unit says, with the platform at `upstream`.
    fn serve(&self, upstream: &str) -> Server {
        let unit = read(&self.path("/usr/lib/systemd/system/auth-ticket.service"));
        let said =
            |name: &str| unit.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap().to_owned();
        let (credential, file) =
            said("LoadCredential").split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let (user, directory) = (said("User"), "/run/credentials/auth-ticket.service");
        let script = format!(
            "install -d -m 700 -o {user} {directory}; install -m 400 -o {user} {file} {directory}/{credential}\n\
             exec setpriv --reuid {user} --regid {user} --init-groups -- {}",
            said("ExecStart")
        );
        let mut command = self.shell(&script);
        command.env("AUTH_TICKET_LISTEN", "127.0.0.1:0").env("AUTH_TICKET_ADMIN_LISTEN", "");
        Server::start(command.env("AUTH_TICKET_APP__0__BASE_URL", upstream))
    }

    pub(super) fn install(&self, package: &str) -> String {
        self.run(&format!("dpkg --force-confdef --force-confold -i {package}"))
    }
}

fn package_name(architecture: &str) -> String {
    format!("auth-ticket_{}_{architecture}.deb", debian_version(VERSION))
}

fn package() -> PathBuf {
    made(&package_name("amd64"))
}

/// The package with the number of the next version and another configuration, as a next version may have.
fn next_package(place: &Path) -> PathBuf {
    let unpacked = place.join("next");
    succeed(Command::new("dpkg-deb").arg("-R").arg(package()).arg(&unpacked));
    for (file, from, to) in [
        ("DEBIAN/control", format!("Version: {}\n", debian_version(VERSION)), "Version: 99.0.0\n".to_owned()),
        ("etc/auth-ticket/auth-ticket.toml", "# nginx".to_owned(), "# (next) nginx".to_owned()),
    ] {
        let text = read(&unpacked.join(file));
        assert!(text.contains(&from), "{file} has no {from:?}");
        write(&unpacked.join(file), &text.replacen(&from, &to, 1));
    }
    let next = place.join("auth-ticket_99.0.0_amd64.deb");
    succeed(Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).arg(&unpacked).arg(&next));
    next
}

#[test]
#[ignore = "make dist-test"]
fn the_package_serves_keeps_keys_through_an_upgrade_and_leaves_them_when_purged() {
    let (debian, simulator) = (Debian::new(), simulator());
    let upstream = format!("http://{}", simulator.address);
    let version = debian.put(&package());
    // The steps of the manual, from the directory with the package.
    let mut steps = sums::typed("\n### Debian and Ubuntu\n");
    steps.retain(|line| !line.starts_with("systemctl "));
    let install = steps.remove(0);
    assert_eq!(install, format!("apt-get install ./{}", package_name("amd64")));
    debian.install(&version);
    let listed = debian.run("dpkg -V auth-ticket; stat -c '%U %a' /var/lib/auth-ticket/keys; ls /usr/share/man/man1");
    assert!(listed.starts_with("auth-ticket 700\n"), "{listed}");

    let shared = format!("export AUTH_TICKET_UPSTREAM__ALLOW_SIMULATOR=true AUTH_TICKET_APP__0__BASE_URL={upstream}\n");
    let mut script = shared;
    for line in steps {
        let typed = if line.contains("/dev/stdin") { format!("echo {SECRET} | ") } else { String::new() };
        let line = line.replace("${EDITOR:-nano}", "sed -i s/wx0123456789abcdef/wxfedcba9876543210/");
        script.extend([typed, outside_of_systemd(&line), "\n".to_owned()]);
    }
    let shown = debian.run(&script);
    assert!(shown.contains("the platform accepts appid and secret") && !shown.contains("FAIL"), "{shown}");

    let mut server = debian.serve(&upstream);
    let ticket = server.ticket("demo-alice-1");
    assert_eq!(server.verify(&ticket).status, 200);

    // What an administrator changed and made, before and after.
    let kept = || {
        debian.run(&format!("cd /etc/auth-ticket; sha256sum auth-ticket.toml wx-secret {KEYS}/*.key; stat -c '%U %a %n' {KEYS} {KEYS}/*.key"))
    };
    let before = kept();
    let place = tempfile::tempdir().unwrap();
    let next = debian.put(&next_package(place.path()));
    debian.install(&next);
    assert_eq!(debian.run("dpkg-query -f '${Version}' -W auth-ticket"), "99.0.0");
    assert_eq!(kept(), before);
    debian.run("test -e /etc/auth-ticket/auth-ticket.toml.dpkg-dist");
    server.stop();
    let mut server = debian.serve(&upstream);
    assert_eq!(server.verify(&ticket).status, 200, "a ticket from before the upgrade");
    server.stop();

    debian.run("dpkg -r auth-ticket");
    assert_eq!(kept(), before, "removed, not purged");
    let shown = debian.run("dpkg -P auth-ticket");
    assert!(shown.contains("what is in /var/lib/auth-ticket stays, and so does its user"), "{shown}");
    let left = debian.run(
        "find / -xdev -name '*auth-ticket*' ! -path '/packages/*' ! -path '/run/*' | sort; getent passwd auth-ticket",
    );
    // The secret was put there by the administrator.
    let left: Vec<&str> = left.lines().collect();
    assert_eq!(left[..left.len() - 1], ["/etc/auth-ticket", "/var/lib/auth-ticket"]);
    assert!(left[left.len() - 1].starts_with("auth-ticket:"), "{left:?}");
    assert_eq!(debian.run("ls /etc/auth-ticket"), "wx-secret\n");
    let keys = |text: &str| text.lines().filter(|line| line.contains(".key")).map(str::to_owned).collect::<Vec<_>>();
    let after = debian.run(&format!("sha256sum {KEYS}/*.key; stat -c '%U %a %n' {KEYS} {KEYS}/*.key"));
    assert_eq!(keys(&after), keys(&before));
}

/// `systemd-run OPTIONS COMMAND` as its user with its credential; everything else as it is.
fn outside_of_systemd(line: &str) -> String {
    let Some((options, command)) = line.split_once(" sh -c ").filter(|_| line.starts_with("systemd-run ")) else {
        return line.to_owned();
    };
    let property = |name: &str| options.split(" -p ").find_map(|given| given.trim().strip_prefix(name)).unwrap();
    let (user, credential) = (property("User="), property("LoadCredential="));
    let (name, file) = credential.split_once(':').unwrap();
    format!(
        "install -d -m 700 -o {user} /run/check; install -m 400 -o {user} {file} /run/check/{name}\n\
         CREDENTIALS_DIRECTORY=/run/check runuser -u {user} -- sh -c {command}; rm -r /run/check"
    )
}

#[test]
#[ignore = "make dist-test"]
fn without_keys_a_purge_leaves_nothing() {
    let debian = Debian::new();
    let package = debian.put(&package());
    let everything = "find / -xdev \\( -path /proc -o -path /dev -o -path /run -o -path /packages \\) -prune -o \
        ! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path '/var/cache/*' ! -path '/etc/*-' -print | sort; cat /etc/passwd /etc/group";
    let before = debian.run(everything);
    debian.install(&package);
    debian.run("getent passwd auth-ticket >/dev/null; systemctl enable auth-ticket.service auth-ticket-rotate.timer");
    assert_ne!(debian.run(everything), before);
    debian.run("dpkg -P auth-ticket");
    assert_eq!(debian.run(everything), before);
}

#[test]
#[ignore = "make dist-test"]
fn the_package_for_arm64_holds_the_same_files() {
    let files = |arch: &str| {
        let package = made(&package_name(arch));
        let listed = succeed(Command::new("dpkg-deb").arg("-c").arg(package));
        listed.lines().map(|line| line.split_whitespace().nth(5).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let amd64 = files("amd64");
    assert_eq!(files("arm64"), amd64);
    for file in [
        "./usr/bin/auth-ticket",
        "./usr/lib/systemd/system/auth-ticket.service",
        "./usr/lib/sysusers.d/auth-ticket.conf",
        "./usr/lib/tmpfiles.d/auth-ticket.conf",
        "./usr/share/man/man1/auth-ticket.1.gz",
        "./usr/share/bash-completion/completions/auth-ticket",
        "./etc/auth-ticket/auth-ticket.toml",
        "./usr/lib/systemd/system/auth-ticket-rotate.timer",
        "./usr/lib/systemd/system/auth-ticket.socket",
        "./usr/lib/systemd/system/auth-ticket-export.service",
        "./usr/share/doc/auth-ticket/docs/OPERATING.md",
        "./usr/share/doc/auth-ticket/copyright",
    ] {
        assert!(amd64.iter().any(|found| found == file), "{file} is not in the package: {amd64:#?}");
    }
}

/// The documents are there under the names by which they link to each other, so the manual is in the package.
#[test]
#[ignore = "make dist-test"]
fn every_link_in_the_documents_of_the_package_leads_to_a_file_in_it() {
    let place = tempfile::tempdir().unwrap();
    succeed(Command::new("dpkg-deb").arg("-x").arg(package()).arg(place.path()));
    // Every Debian has the text of this licence.
    let licences = place.path().join("usr/share/common-licenses");
    std::fs::create_dir(&licences).unwrap();
    write(&licences.join("Apache-2.0"), "");
    let (dead, followed) = dead_links(&place.path().join("usr/share/doc/auth-ticket"));
    assert!(dead.is_empty() && followed > 100, "{followed} links, of which these are dead: {dead:#?}");
}

/// Of its warnings, too; what is accepted says in the package why.
#[test]
#[ignore = "make dist-test"]
fn lintian_finds_nothing_in_the_packages() {
    let accepted = read(&shipped("deploy/dist/debian/lintian-overrides"));
    assert_eq!(accepted.lines().filter(|line| !line.starts_with('#')).count(), 1, "{accepted}");
    for arch in ["amd64", "arm64"] {
        let mut lintian = Command::new(needed("lintian"));
        succeed(lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(made(&package_name(arch))));
    }
}
