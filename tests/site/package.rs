//! The crate as it is published: what its archive holds is enough, and says nothing of where it was unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The package, unpacked into a folder of somebody else's repository.
fn unpacked() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
    let _ = fs::remove_dir_all(&temporary);
    let foreign = temporary.join("foreign");
    fs::create_dir_all(&foreign).unwrap();
    let packing = ["package", "--locked", "--offline", "--allow-dirty", "--no-verify", "--target-dir"];
    run(Command::new(env!("CARGO")).args(packing).arg(&temporary).current_dir(env!("CARGO_MANIFEST_DIR")));
    let name = concat!(env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"));
    let archive = temporary.join("package").join(format!("{name}.crate"));
    // With the times of now: those in the archive are always the same, and would have an older build pass for this one.
    run(Command::new("tar").arg("-xmzf").arg(archive).current_dir(&foreign));

    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"];
        run(Command::new("git").args(who).args(arguments).current_dir(&foreign));
    };
    git(&["init", "-q"]);
    git(&["add", "-f", "."]);
    git(&["commit", "-q", "-m", "vendor it"]);
    foreign.join(name)
}

fn run(command: &mut Command) -> Output {
    let output = command.env_remove("AUTH_TICKET_COMMIT").env_remove("GIT_DIR").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    output
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[test]
fn the_package_builds_and_is_tested_alone_and_shows_no_commit_but_its_own() {
    let package = unpacked();
    // The dependencies are built already, where this test was. Nothing is put where the program of this one is.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let testing = ["test", "--locked", "--offline", "--lib", "--bins", "--message-format", "json-render-diagnostics"];
    let tested = run(Command::new(env!("CARGO")).args(testing).current_dir(&package).env("CARGO_TARGET_DIR", target));
    let tested = String::from_utf8(tested.stdout).unwrap();
    assert_eq!(tested.matches("test result: ok").count(), 2, "{tested}");
    assert!(!tested.contains("ok. 0 passed"), "{tested}");

    let messages = tested.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let root = package.to_str().unwrap();
    let is_own = |message: &Value| message["package_id"].as_str().is_some_and(|id| id.contains(root));
    let version = messages.filter(is_own).find_map(|message| {
        let variables = message["env"].as_array()?.iter().find(|pair| pair[0] == "BUILD_VERSION")?;
        variables[1].as_str().map(ToOwned::to_owned)
    });
    let info = fs::read_to_string(package.join(".cargo_vcs_info.json")).unwrap();
    let info: Value = serde_json::from_str(&info).unwrap();
    let is_clean = info["git"]["dirty"].is_null();
    let own = info["git"]["sha1"].as_str().filter(|_| is_clean).map(|commit| format!(" ({})", &commit[..9]));
    assert_eq!(version.unwrap(), [env!("CARGO_PKG_VERSION"), &own.unwrap_or_default()].concat());
}
