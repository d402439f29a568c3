//! What a new platform takes: a folder for it, one for its simulation, and a row in each of the two lists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of what the library is built from, with the toy platform in it.
fn house_with_a_toy() -> PathBuf {
    let (root, copy) = (Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(env!("CARGO_TARGET_TMPDIR")).join("toy"));
    let _ = fs::remove_dir_all(&copy);
    for folder in ["src", "tests/vectors"] {
        copy_all(&root.join(folder), &copy.join(folder));
    }
    for file in ["build.rs", "README.md"] {
        fs::copy(root.join(file), copy.join(file)).unwrap();
    }
    // Of a version of its own: cargo would take what it builds for the library's, which is in the same target directory.
    let (version, own) = (concat!("version = \"", env!("CARGO_PKG_VERSION"), "\""), "version = \"0.0.0-toy\"");
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    replace(
        &copy.join("Cargo.lock"),
        &format!("name = \"auth-ticket\"\n{version}"),
        &format!("name = \"auth-ticket\"\n{own}"),
    );
    // Without the targets that are not copied.
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let tables = manifest
        .split("\n[")
        .filter(|table| !["[test]]", "[bench]]", "[example]]"].iter().any(|target| table.starts_with(target)));
    fs::write(copy.join("Cargo.toml"), tables.collect::<Vec<_>>().join("\n[")).unwrap();
    replace(&copy.join("Cargo.toml"), &format!("\n{version}\n"), &format!("\n{own}\n"));
    let toy = root.join("tests/toy");
    fs::create_dir_all(copy.join("src/platform/toy")).unwrap();
    for (from, to) in [
        ("platform.rs", "src/platform/toy.rs"),
        ("tests.rs", "src/platform/toy/tests.rs"),
        ("simulator.rs", "src/simulator/toy.rs"),
    ] {
        fs::copy(toy.join(from), copy.join(to)).unwrap();
    }
    add(&copy.join("src/platform.rs"), "pub mod weapp;", "pub mod toy;");
    add(&copy.join("src/platform/kind.rs"), "use super::weapp;", "use super::toy;");
    add(&copy.join("src/platform/kind.rs"), "    &weapp::KIND,", "    &toy::KIND,");
    add(&copy.join("src/simulator.rs"), "mod wechat;", "mod toy;");
    let row = "        Arc::new(Wechat::new(Arc::clone(world))),\n";
    let toy = "        Arc::new(toy::Toy::new(Arc::clone(world))),\n";
    replace(&copy.join("src/simulator.rs"), row, &format!("{row}{toy}"));
    copy
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

fn add(file: &Path, before: &str, line: &str) {
    replace(file, &format!("{before}\n"), &format!("{line}\n{before}\n"));
}

#[track_caller]
fn replace(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(old).count(), 1, "{} has {old:?} once", file.display());
    fs::write(file, text.replace(old, new)).unwrap();
}

#[test]
fn a_platform_is_added_by_a_folder_a_simulated_one_and_a_row_in_each_list() {
    let house = house_with_a_toy();
    // The dependencies are built already, where this test was.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--offline", "--lib", "toy::"])
        .current_dir(&house)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
