//! The documents tell the truth: links lead somewhere, commands parse, and every table lists what the program has.

#![expect(clippy::disallowed_methods, reason = "documents are files, and only tests read them")]

mod features;
mod links;
mod tables;
mod translations;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Not ours, or made by a build.
const PASSED_OVER: [&str; 4] = ["target", "node_modules", ".git", "vendor"];

/// Runs the binary in an environment with nothing but `variables`.
fn auth_ticket<'a>(arguments: &[&str], variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_auth-ticket")).args(arguments).env_clear().envs(variables).output()
}

/// The text of a file, by its path from the root.
fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All files of the repository.
fn files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(ROOT)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if !entry.file_type().unwrap().is_dir() {
                files.push(path);
            } else if !PASSED_OVER.iter().any(|name| path.ends_with(name)) {
                folders.push(path);
            }
        }
    }
    files.sort();
    files
}

/// All documents, wherever they are.
fn documents() -> Vec<PathBuf> {
    let mut documents = files();
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(documents.len() > 15, "{documents:?}");
    documents
}

/// README.md and the pages of docs/, together.
fn manual() -> String {
    let is_page = |path: &PathBuf| {
        let path = path.strip_prefix(ROOT).unwrap();
        path == Path::new("README.md") || path.starts_with("docs")
    };
    let pages = documents().into_iter().filter(is_page).map(|path| fs::read_to_string(path).unwrap());
    pages.collect::<Vec<_>>().join("\n")
}

/// The fenced blocks of `text` in one of `languages`, without their indentation.
fn blocks(text: &str, languages: &[&str]) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((languages.contains(&language), String::new())),
            (Some(_), Some((wanted, block))) => {
                if *wanted {
                    blocks.push(std::mem::take(block));
                }
                open = None;
            }
            (None, Some((_, block))) => {
                block.push_str(line.trim_start());
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The words after each `auth-ticket` that a reader would type, be it after a variable or in a pipe.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let blocks = blocks(text, &["console"]);
    let typed = blocks.iter().flat_map(|block| block.lines()).filter_map(|line| line.strip_prefix("$ "));
    let in_text = text.split('`').filter(|code| code.starts_with("auth-ticket "));
    for part in typed.flat_map(|line| line.split(" | ")).chain(in_text) {
        let is_variable = |word: &&str| word.contains('=') && !word.starts_with('-');
        let mut words = part.split_whitespace().skip_while(is_variable);
        if words.next() == Some("auth-ticket") {
            commands.push(words.map(|word| word.trim_matches('"').to_owned()).collect());
        }
    }
    commands
}

#[test]
fn the_readme_is_short() {
    let len = read("README.md").len();
    assert!(len <= 8192, "README.md has {len} bytes; what is not needed for a first login belongs in docs/");
}

#[test]
fn every_command_in_the_manual_parses() {
    let commands = commands(&manual());
    assert!(commands.len() > 25, "only {} commands were found", commands.len());
    for command in commands {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let output = auth_ticket(&arguments, []).unwrap();
        assert!(output.status.success(), "auth-ticket {}: {}", command.join(" "), text_of(&output.stderr));
    }
}

#[test]
fn every_configuration_in_the_manual_is_accepted() {
    const APP: &str = "[[app]]\nappid = \"wx0123456789abcdef\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n";
    let directory = tempfile::tempdir().unwrap();
    let (file, keys) = (directory.path().join("login.toml"), directory.path().join("no-keys"));
    let [file_name, keys_name] = [&file, &keys].map(|path| path.to_string_lossy().into_owned());
    let examples = blocks(&manual(), &["toml"]);
    assert!(examples.len() > 5, "only {} configurations were found", examples.len());
    for mut example in examples {
        if !example.contains("[[app]]") {
            example.push_str(APP);
        }
        fs::write(&file, &example).unwrap();
        let secrets = example.lines().filter_map(|line| line.strip_prefix("secret_env = ")?.split('"').nth(1));
        let variables = secrets.map(|name| (name, "0123456789abcdef0123456789abcdef"));
        let output = auth_ticket(&["serve", "--config", &file_name, "--keys-dir", &keys_name], variables).unwrap();
        // It got as far as the keys, which come after the whole configuration.
        let message = text_of(&output.stderr);
        assert!(message.starts_with(&format!("error: cannot list {keys_name}")), "{example}\n{message}");
    }
}

#[test]
fn every_document_names_the_same_schedule_of_rotation() {
    let others = ["deploy/systemd/auth-ticket-rotate.service", "deploy/kubernetes/rotate-cronjob.yaml"].map(read);
    let mut ages = BTreeSet::new();
    for text in others.into_iter().chain([manual()]) {
        let after = text.split("--if-older-than").skip(1).map(|rest| rest.trim_start_matches([' ', ',']));
        ages.extend(after.filter_map(|rest| Some(rest.split(|c: char| !c.is_alphanumeric()).next()?.to_owned())));
    }
    assert_eq!(ages, BTreeSet::from(["20d".to_owned()]));
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
