//! The tables of features name each feature of the library, and count what it takes to build.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{ROOT, read, text_of};

/// Crates that are built for the library with these features alone, itself included. They differ from one system to another.
fn crates(features: &str) -> usize {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--no-default-features"]);
    let output = cargo.args(["--format", "{p}", "--features", features]).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output.stderr));
    let name_and_version = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    text_of(&output.stdout).lines().map(name_and_version).collect::<BTreeSet<_>>().len()
}

/// The rows `| feature | what it adds | crates |` of the table with this head, without backticks.
fn rows(file: &str, head: &str) -> BTreeMap<String, usize> {
    let text = read(file);
    let (_, table) = text.split_once(head).unwrap_or_else(|| panic!("{file} has no {head}"));
    let lines = table.lines().skip(1).take_while(|line| !line.trim_start_matches(['/', '!', ' ']).is_empty());
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, feature, _, crates, ..] = cells.as_slice() else { return None };
        Some((feature.split(' ').next()?.trim_matches('`').to_owned(), crates.parse().ok()?))
    };
    let rows: BTreeMap<String, usize> = lines.filter_map(row).collect();
    assert!(rows.len() > 3, "{file}: {rows:?}");
    rows
}

#[test]
fn the_tables_of_features_count_the_crates_that_each_takes() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let mut features: Vec<&str> = manifest["features"].as_table().unwrap().keys().map(String::as_str).collect();
    // The program's are no choice of a library user.
    features.retain(|feature| !["default", "server"].contains(feature));
    features.push("none");
    let counted: BTreeMap<&str, usize> =
        features.into_iter().map(|name| (name, crates(if name == "none" { "" } else { name }))).collect();
    for (file, head, is_complete) in
        [("src/lib.rs", "| feature | adds | crates |", true), ("docs/SERVICES.md", "| feature | for | crates |", false)]
    {
        let rows = rows(file, head);
        for (name, said) in &rows {
            let counted = counted.get(name.as_str());
            // The tables are about Linux on x86-64.
            if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
                assert_eq!(counted, Some(said), "{file}: {name}");
            }
        }
        assert!(!is_complete || rows.len() == counted.len(), "{file} has {:?}, not {:?}", rows.keys(), counted.keys());
    }
}

/// What the crate promises is compiled nowhere but where that version is installed; what it needs at least says this.
#[test]
fn no_dependency_needs_a_newer_rust_than_the_crate_promises() {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return;
    }
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform"];
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).arg("x86_64-unknown-linux-gnu").current_dir(ROOT).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |text: &Value| -> Option<(u32, u32)> {
        let mut parts = text.as_str()?.split('.').map(|part| part.parse().unwrap());
        Some((parts.next()?, parts.next()?))
    };
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let root = metadata["resolve"]["root"].as_str().unwrap();
    let own = number(&packages[root]["rust_version"]).unwrap();
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![root]);
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let needed = number(&packages[id]["rust_version"]);
        assert!(needed.is_none_or(|needed| needed <= own), "{id} needs Rust {needed:?}");
        let is_built =
            |dependency: &&Value| dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev");
        let dependencies = nodes[id]["deps"].as_array().unwrap().iter().filter(is_built);
        waiting.extend(dependencies.map(|dependency| dependency["pkg"].as_str().unwrap()));
    }
    assert!(seen.len() > 100, "{}", seen.len());
}
