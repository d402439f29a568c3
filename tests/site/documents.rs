//! What a reader can type works as written: every block of commands in every document is run, or says why it is not.
//!
//! A comment right before a block says how:
//!
//! - `<!-- run: SETUP -->`: here. Blocks of one document with the same setup share a shell, in their order. `SETUP` is one of
//!   [`session::SETUPS`]; `NAME=VALUE` after it stand for what a reader would put in the place of `NAME`.
//! - `<!-- run by path::of::test -->`: by that test.
//! - `<!-- not run: REASON -->`.
//! - `<!-- file: NAME -->` before a block of another language: the file is there when the document's blocks run.

#![expect(clippy::disallowed_methods, reason = "documents are files, and only tests read them")]

mod block;
mod likeness;
mod session;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, thread};

use block::{Block, How};
use session::Session;

use crate::support::tests_of_the_crate;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Not ours, or made by a build.
const PASSED_OVER: [&str; 4] = ["target", "node_modules", ".git", "vendor"];

/// All documents, wherever they stand.
fn documents() -> Vec<PathBuf> {
    let (mut documents, mut folders) = (Vec::new(), vec![PathBuf::from(ROOT)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let is_passed_over = PASSED_OVER.iter().any(|name| path.ends_with(name));
            if entry.file_type().unwrap().is_dir() && !is_passed_over {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    documents.sort();
    documents
}

fn blocks(document: &Path) -> Vec<Block> {
    let name = document.strip_prefix(ROOT).unwrap().display().to_string();
    block::read(&name, &fs::read_to_string(document).unwrap())
}

/// `path::of::test` for every test of both binaries.
fn tests() -> BTreeSet<String> {
    let path = |(file, test): (String, String)| {
        let module = ["tests/it/", "tests/site/"].into_iter().find_map(|root| file.strip_prefix(root))?;
        Some(format!("{}::{test}", module.trim_end_matches(".rs").replace('/', "::")))
    };
    tests_of_the_crate().into_iter().filter_map(path).collect()
}

#[test]
fn every_block_of_commands_is_run_or_says_why_it_is_not() {
    let (tests, mut faults, mut seen) = (tests(), Vec::new(), 0);
    for block in documents().iter().flat_map(|document| blocks(document)).filter(Block::is_typed) {
        seen += 1;
        match &block.how {
            How::Run { setup, .. } if session::SETUPS.contains(&&**setup) => {}
            How::Run { setup, .. } => faults.push(format!("{}: there is no setup {setup:?}", block.place)),
            How::RunBy(test) if tests.contains(test) => {}
            How::RunBy(test) => faults.push(format!("{}: there is no test {test:?}", block.place)),
            How::NotRun(reason) if reason.len() > 10 => {}
            _ => faults.push(format!("{}: no comment before it says how it is run, or why it is not", block.place)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 50, "only {seen} blocks were found");
}

#[test]
fn every_make_target_that_a_document_names_is_there() {
    let read = |file: &str| fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    let makefile = read("Makefile");
    let included = makefile.lines().filter_map(|line| line.strip_prefix("include ")).flat_map(|files| files.split(' '));
    let rules: String = included.map(read).chain([makefile.clone()]).collect();
    for block in documents().iter().flat_map(|document| blocks(document)).filter(Block::is_typed) {
        for step in block.steps() {
            let Some(target) = step.typed.strip_prefix("make ").and_then(|words| words.split(' ').next()) else {
                continue;
            };
            let is_there = target.contains('=') || rules.lines().any(|line| line.starts_with(&format!("{target}:")));
            assert!(is_there, "{}: make {target}", block.place);
        }
    }
}

#[test]
fn every_block_that_is_run_does_what_its_document_shows() {
    let faults: Vec<String> = thread::scope(|scope| {
        let sessions: Vec<_> = documents()
            .into_iter()
            .flat_map(|document| Session::all_of(blocks(&document)))
            .map(|session| scope.spawn(move || session.play()))
            .collect();
        assert!(sessions.len() > 2, "only {} sessions were found", sessions.len());
        sessions.into_iter().flat_map(|session| session.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
