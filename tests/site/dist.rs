//! What `make dist` and `make image` have made works where nothing else is: in empty root file systems, under qemu, on a
//! Debian of its own, beside the next version.
//!
//! These tests take the files of a build that takes minutes, and root, so they are ignored but for `make dist-test`, which
//! builds what is missing and says where it is. Only `packing` needs no build.

#![expect(clippy::disallowed_methods, reason = "what is tested are files")]

mod archives;
mod debian;
mod image;
mod nginx_module;
mod npm;
mod packing;
mod sums;
mod upgrade;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::system::{read, succeed};
use crate::support::{Outcome, Server, until};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const X86_64: &str = "x86_64-unknown-linux-musl";
const AARCH64: &str = "aarch64-unknown-linux-musl";
/// From the archive to a login that was checked.
const AT_MOST: Duration = Duration::from_secs(30);

/// What `make dist-test` says in an environment variable.
fn said(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| panic!("{variable} is not set: run make dist-test"), PathBuf::from)
}

/// A figure for whoever runs these tests with `--nocapture`.
#[expect(clippy::print_stdout, reason = "figures are for people")]
fn figure(line: &str) {
    println!("{line}");
}

/// A file in `target/dist`.
fn made(name: &str) -> PathBuf {
    let path = said("DIST").join(name);
    assert!(path.is_file(), "{} is not there: run make dist", path.display());
    path
}

fn archive_name(target: &str) -> String {
    format!("auth-ticket-{VERSION}-{target}")
}

/// The version as Debian's packages have it: that of a pre-release sorts before that of its release.
fn debian_version(version: &str) -> String {
    version.replacen('-', "~", 1).replace('-', ".")
}

/// The links between files in the documents below `root` that lead nowhere, and how many there are in all.
fn dead_links(root: &Path) -> (Vec<String>, usize) {
    let listed = succeed(Command::new("find").arg(root).args(["-name", "*.md"]));
    let (mut dead, mut followed) = (Vec::new(), 0);
    for document in listed.lines().map(Path::new) {
        let text = read(document);
        let prose = text.split("```").step_by(2).collect::<String>();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains(':') && !target.starts_with('#')) {
            followed += 1;
            if !document.with_file_name(target.split('#').next().unwrap()).exists() {
                dead.push(format!("{} -> {target}", document.strip_prefix(root).unwrap().display()));
            }
        }
    }
    (dead, followed)
}

/// Unpacks the archive for `target` into `root`; returns the path of the binary within it.
fn unpack(target: &str, root: &Path) -> PathBuf {
    let archive = made(&format!("{}.tar.gz", archive_name(target)));
    succeed(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(root));
    Path::new("/").join(archive_name(target)).join("auth-ticket")
}

/// Logs in, checks, is refused with another ticket, rotates the demo's key with `rotate`, and checks again.
#[track_caller]
fn logs_in_checks_and_rotates(demo: &Server, rotate: impl FnOnce(&str) -> Command) {
    let ticket = demo.ticket("demo-alice-1");
    let answer = demo.verify(&ticket);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("x-auth-openid").is_some_and(|openid| !openid.is_empty()), "{answer:?}");
    let middle = ticket.len() / 2;
    let other = if &ticket[middle..=middle] == "A" { "B" } else { "A" };
    assert_eq!(demo.verify(&format!("{}{other}{}", &ticket[..middle], &ticket[middle + 1..])).status, 401);

    until("the demo says how to rotate", || demo.stdout().contains(" keys rotate --now --keys "));
    let told = demo.stdout();
    let (_, keys) = told.split_once(" keys rotate --now --keys ").unwrap();
    let added = Outcome::of(&mut rotate(keys.lines().next().unwrap()));
    assert!(added.code == Some(0) && added.stdout.contains("added ticket-"), "{added:#?}");
    let kid = |ticket: &str| ticket[..8].to_owned();
    until("the new key seals", || kid(&demo.ticket(&format!("demo-bob-{}", fresh()))) != kid(&ticket));
    assert_eq!(demo.verify(&ticket).status, 200, "a ticket of the older key");
}

/// Another number each time, for codes that work once.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
