//! Sums and signature: what the manual has people type finds every change.

use std::fs;
use std::process::Command;

use super::{VERSION, X86_64, debian_version, made, said};
use crate::support::system::{needed, read, shipped, succeed, told};

/// The lines of the console block below `heading` of the manual.
pub(super) fn typed(heading: &str) -> Vec<String> {
    let text = read(&shipped("docs/OPERATING.md"));
    let (_, section) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let block = section.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = block.replace("\\\n", "");
    let lines = lines
        .replace("auth-ticket_VERSION", &format!("auth-ticket_{}", debian_version(VERSION)))
        .replace("VERSION", VERSION);
    lines.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "make dist-test"]
fn sums_cover_all_files_and_a_signature_covers_the_sums() {
    needed("minisign");
    let sums = read(&made("SHA256SUMS"));
    let listed: Vec<&str> = sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).collect();
    let files = succeed(Command::new("find").args([".", "-type", "f"]).current_dir(said("DIST")));
    for file in files.lines().map(|file| &file[2..]).filter(|file| !file.starts_with("SHA256SUMS")) {
        assert!(listed.contains(&file), "SHA256SUMS does not name {file}");
    }
    assert!(listed.len() >= 5, "{sums}");

    // A key of the test's own signs a copy.
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("dist");
    succeed(Command::new("cp").arg("-r").arg(said("DIST")).arg(&copy));
    let key = place.path().join("minisign.key");
    let public = place.path().join("minisign.pub");
    let mut keys = Command::new("minisign");
    succeed(keys.args(["-G", "-W", "-s"]).arg(&key).arg("-p").arg(&public));
    let mut sign = Command::new("make");
    sign.args(["--no-print-directory", "dist-sign"]).arg(format!("KEY={}", key.display()));
    succeed(sign.arg(format!("DIST={}", copy.display())).current_dir(env!("CARGO_MANIFEST_DIR")));

    let public = read(&public).lines().last().unwrap().to_owned();
    let lines = typed("\n### Verifying a download\n").join("\n").replace("PUBLIC-KEY", &public);
    let verify = || Command::new("sh").args(["-euc", &lines]).current_dir(&copy).output().unwrap();
    let output = verify();
    assert!(
        output.status.success() && told(&output).contains("Signature and comment signature verified"),
        "{}",
        told(&output)
    );
    assert!(told(&output).contains(&format!("auth-ticket-{VERSION}-{X86_64}.tar.gz: OK")), "{}", told(&output));

    let archive = copy.join(format!("auth-ticket-{VERSION}-{X86_64}.tar.gz"));
    let good = fs::read(&archive).unwrap();
    let mut bad = good.clone();
    bad[1000] ^= 1;
    fs::write(&archive, bad).unwrap();
    assert!(!verify().status.success(), "a changed archive passed");
    fs::write(&archive, good).unwrap();
    assert!(verify().status.success());
    fs::write(copy.join("SHA256SUMS"), sums.replacen("auth-ticket", "auth-tickets", 1)).unwrap();
    assert!(!verify().status.success(), "changed sums passed");
}
