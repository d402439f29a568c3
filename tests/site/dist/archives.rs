//! The archives: what is in them, and that it needs nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::sums::typed;
use super::{
    AARCH64, AT_MOST, VERSION, X86_64, archive_name, dead_links, figure, logs_in_checks_and_rotates, made, unpack,
};
use crate::support::Server;
use crate::support::system::{needed, shipped, succeed};

const LARGEST: u64 = 15 * 1024 * 1024;

/// `chroot ROOT BINARY`, with nothing of this machine's environment.
fn in_root(root: &Path, binary: &Path) -> Command {
    let mut command = Command::new(needed("chroot"));
    command.env_clear().arg(root).arg(binary);
    command
}

#[test]
#[ignore = "make dist-test"]
fn an_empty_root_is_enough_for_a_login_within_seconds() {
    let root = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    fs::create_dir(root.path().join("tmp")).unwrap();
    let binary = unpack(X86_64, root.path());
    let demo = Server::start(in_root(root.path(), &binary).args(["demo", "--listen", "127.0.0.1:0"]));
    let ticket = demo.ticket("demo-carol-1");
    assert_eq!(demo.verify(&ticket).status, 200);
    let took = begin.elapsed();
    figure(&format!("from the archive to a login that was checked: {took:?}"));
    assert!(took < AT_MOST, "{took:?}");

    logs_in_checks_and_rotates(&demo, |keys| {
        let mut rotate = in_root(root.path(), &binary);
        rotate.args(["keys", "rotate", "--now", "--keys", keys]);
        rotate
    });
}

#[test]
#[ignore = "make dist-test"]
fn the_archive_is_installed_as_the_manual_says() {
    let place = tempfile::tempdir().unwrap();
    let name = format!("{}.tar.gz", archive_name(X86_64));
    succeed(Command::new("cp").arg(made(&name)).arg(place.path()));
    let mut lines = typed("\n### From an archive\n");
    // Here, a port of its own; and the shell becomes the program.
    assert_eq!(lines.pop().as_deref(), Some("./auth-ticket demo"));
    lines.push("exec ./auth-ticket demo --listen 127.0.0.1:0".to_owned());
    let mut shell = Command::new("sh");
    let demo = Server::start(shell.args(["-euc", &lines.join("\n")]).current_dir(place.path()));
    assert_eq!(demo.verify(&demo.ticket("demo-alice-1")).status, 200);
}

#[test]
#[ignore = "make dist-test"]
fn the_binary_for_aarch64_does_the_same_under_qemu() {
    let root = tempfile::tempdir().unwrap();
    let binary = unpack(AARCH64, root.path());
    let binary = root.path().join(binary.strip_prefix("/").unwrap());
    let emulated = || {
        let mut command = Command::new(needed("qemu-aarch64"));
        command.env_clear().env("TMPDIR", root.path()).arg(&binary);
        command
    };
    let begin = Instant::now();
    let demo = Server::start(emulated().args(["demo", "--listen", "127.0.0.1:0"]));
    logs_in_checks_and_rotates(&demo, |keys| {
        let mut rotate = emulated();
        rotate.args(["keys", "rotate", "--now", "--keys", keys]);
        rotate
    });
    figure(&format!("aarch64, emulated, with a rotation: {:?}", begin.elapsed()));
}

#[test]
#[ignore = "make dist-test"]
fn binaries_are_static_and_without_symbols_and_name_their_dependencies() {
    for target in [X86_64, AARCH64] {
        let root = tempfile::tempdir().unwrap();
        let binary = root.path().join(unpack(target, root.path()).strip_prefix("/").unwrap());
        let elf = succeed(Command::new(needed("readelf")).args(["-W", "-h", "-l", "-S", "-d"]).arg(&binary));
        assert!(!elf.contains("INTERP") && !elf.contains("(NEEDED)"), "{target} is not static:\n{elf}");
        // The kernel loads it at another address each time.
        assert!(elf.contains("DYN (Position-Independent Executable file)"), "{target} has a fixed address:\n{elf}");
        assert!(!elf.contains(".symtab") && !elf.contains(".debug_info"), "{target} is not stripped:\n{elf}");
        assert!(elf.contains(".dep-v0"), "{target} does not name its dependencies:\n{elf}");
        // Paths of the machine that built it. /home and /root stand in texts for users, too.
        let bytes = fs::read(&binary).unwrap();
        for path in [env!("CARGO_MANIFEST_DIR"), "/.cargo/registry", "/.rustup/"] {
            let at = bytes.windows(path.len()).position(|window| window == path.as_bytes());
            let shown = at.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(60)..at + 120]).into_owned());
            assert!(shown.is_none(), "{target} contains {path}: {shown:?}");
        }
    }
}

#[test]
#[ignore = "make dist-test"]
fn every_link_in_an_archive_leads_to_a_file_in_it() {
    for target in [X86_64, AARCH64] {
        let root = tempfile::tempdir().unwrap();
        unpack(target, root.path());
        let (dead, followed) = dead_links(root.path());
        assert!(dead.is_empty() && followed > 100, "{target}: {followed} links, of which these are dead: {dead:#?}");
    }
}

/// The dependencies that the binary names are those of the bill of materials.
#[test]
#[ignore = "make dist-test"]
fn the_bill_of_materials_is_valid_and_agrees_with_the_binary() {
    let root = tempfile::tempdir().unwrap();
    let binary = root.path().join(unpack(X86_64, root.path()).strip_prefix("/").unwrap());
    let section = root.path().join("dependencies");
    let dump = format!(".dep-v0={}", section.display());
    succeed(Command::new(needed("objcopy")).arg("--dump-section").arg(dump).arg(&binary).arg("/dev/null"));
    let bill = made(&format!("auth-ticket-{VERSION}.cdx.json"));
    let script = r#"
import json, sys, zlib
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
bill = open(sys.argv[1], encoding="utf-8").read()
errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)
assert errors is None, errors
bill = json.loads(bill)
inside = json.loads(zlib.decompress(open(sys.argv[2], "rb").read()))["packages"]
inside = {(p["name"], p["version"]) for p in inside if p.get("kind", "runtime") == "runtime"}
listed = {(c["name"], c["version"]) for c in [bill["metadata"]["component"], *bill["components"]]}
assert len(listed) > 100, len(listed)
# What macros and tests take is in the binary's list, too.
assert listed <= inside, listed - inside
files = [c["name"] for c in bill["metadata"]["component"]["components"]]
print(" ".join(files))
"#;
    let python = super::said("DIST_TOOLS").join("venv-schema/bin/python3");
    let output = succeed(Command::new(python).args(["-c", script]).arg(bill).arg(section));
    assert!(output.contains(&archive_name(AARCH64)), "{output}");
}

#[test]
#[ignore = "make dist-test"]
fn archives_hold_program_manual_completions_licences_and_what_operators_copy() {
    for target in [X86_64, AARCH64] {
        let archive = made(&format!("{}.tar.gz", archive_name(target)));
        let size = fs::metadata(&archive).unwrap().len();
        assert!(size <= LARGEST, "{target}: {size} bytes");
        let listed = succeed(Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(&archive));
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
        let prefix = format!("{}/", archive_name(target));
        assert!(names.iter().all(|name| name.starts_with(&prefix)), "{listed}");
        assert!(listed.lines().all(|line| line.contains(" 0/0 ")), "files have another owner:\n{listed}");
        for name in [
            "auth-ticket",
            "man/man1/auth-ticket.1",
            "man/man1/auth-ticket-keys-rotate.1",
            "README.md",
            "CHANGELOG.md",
            "completions/auth-ticket.bash",
            "completions/_auth-ticket",
            "completions/auth-ticket.fish",
            "LICENSE-MIT",
            "LICENSE-APACHE",
            "LICENSES-THIRD-PARTY.txt",
            "docs/OPERATING.md",
            "deploy/systemd/auth-ticket.service",
            "deploy/prometheus/alerts.yml",
        ] {
            assert!(names.contains(&&*format!("{prefix}{name}")), "{name} is not in the archive for {target}");
        }
        // Everything to copy is there; what is missing takes a clone.
        let shipped_files = succeed(Command::new("find").args([".", "-type", "f"]).current_dir(shipped("deploy")));
        let only_in_a_clone = ["./dist/", "./checks.mk", "./Containerfile"];
        for file in shipped_files.lines().filter(|file| !only_in_a_clone.iter().any(|path| file.starts_with(path))) {
            let name = format!("{prefix}deploy/{}", &file[2..]);
            assert!(names.iter().any(|found| *found == name), "{name} is not in the archive for {target}");
        }
        let notices =
            succeed(Command::new("tar").arg("-xOzf").arg(&archive).arg(format!("{prefix}LICENSES-THIRD-PARTY.txt")));
        for package in ["aws-lc-sys ", "tokio ", "mimalloc ", "musl"] {
            assert!(notices.contains(package), "the licence of {package} is missing");
        }
        figure(&format!("{target}: {size} bytes"));
    }
}
