//! Each promise of SECURITY.md names the tests that would fail without it, and these tests exist.

use std::path::Path;

use crate::support::tests_of_the_crate;

const SECURITY: &str = include_str!("../../SECURITY.md");

/// A row of a table of threats.
struct Row<'a> {
    threat: &'a str,
    /// What holds, or that it does not.
    promise: &'a str,
    shown_by: &'a str,
}

/// The rows of all tables headed `| threat | what holds | shown by |`.
fn rows() -> Vec<Row<'static>> {
    let mut in_table = false;
    let mut rows = Vec::new();
    for line in SECURITY.lines() {
        if !line.starts_with('|') {
            in_table = false;
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        match cells.as_slice() {
            ["threat", "what holds", "shown by"] => in_table = true,
            _ if !in_table || line.starts_with("| ---") => {}
            [threat, promise, shown_by] => rows.push(Row { threat, promise, shown_by }),
            [threat, promise] => rows.push(Row { threat, promise: promise.trim_end_matches(" |"), shown_by: "" }),
            other => panic!("a row of {} cells: {line}", other.len()),
        }
    }
    rows
}

/// `file::test` for each name in backticks.
fn tests_named_in(cell: &str) -> Vec<(&str, &str)> {
    cell.split('`').skip(1).step_by(2).filter_map(|name| name.split_once("::")).collect()
}

fn is_in(file: &str, part: &str) -> bool {
    Path::new(file).with_extension("").components().any(|component| component.as_os_str() == part)
}

#[test]
fn every_promise_names_tests_that_exist() {
    let tests = tests_of_the_crate();
    let mut faults = Vec::new();
    for Row { threat, promise, shown_by } in rows() {
        let named = tests_named_in(shown_by);
        let is_a_promise = !promise.trim_start_matches('*').starts_with("does not hold");
        if is_a_promise && named.is_empty() {
            faults.push(format!("no test shows: {threat}"));
        }
        for (part, test) in named {
            let found = tests.iter().filter(|(file, name)| name == test && is_in(file, part)).count();
            if found != 1 {
                faults.push(format!("{threat}: {found} tests are called {part}::{test}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_boundary_has_its_promises() {
    let boundaries = SECURITY.lines().filter(|line| line.starts_with("### ")).count();
    let tables = SECURITY.lines().filter(|line| *line == "| threat | what holds | shown by |").count();
    assert_eq!(boundaries, tables, "each boundary has one table");
    assert!(rows().len() >= 60, "only {} rows were understood", rows().len());
}

#[test]
fn the_crate_forbids_unsafe_code() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}
