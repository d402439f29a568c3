//! The simulator's page tells the truth: its console blocks run as written against a process of their own.

use std::process::Command;

use crate::process::support;

const PAGE: &str = include_str!("../../docs/SIMULATOR.md");
/// Where the page says that the simulator listens.
const ADDRESS: &str = "127.0.0.1:9999";

/// What a reader types, and what the page says that comes of it.
#[derive(Debug)]
struct Step {
    typed: String,
    shown: String,
}

/// The steps of all console blocks, in order.
fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_console = false;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if is_console {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(typed), _) => steps.push(Step { typed: typed.to_owned(), shown: String::new() }),
                (None, Some(step)) => step.shown.push_str(line),
                (None, None) => panic!("output before anything was typed: {line}"),
            }
        }
    }
    steps
}

/// Whether `text` is `pattern`, in which `…` stands for some text.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('…') else { return text == pattern };
    let Some(text) = text.strip_prefix(head) else { return false };
    let ends = text.char_indices().map(|(at, _)| at).skip(1).chain([text.len()]);
    ends.filter(|end| *end > 0).any(|end| is_like(&text[end..], rest))
}

#[test]
fn an_ellipsis_stands_for_some_text() {
    for (text, pattern, expected) in [
        ("abc", "abc", true),
        ("abc", "a…c", true),
        ("abc", "…", true),
        ("abxbc", "a…b…c", false),
        ("abxbyc", "a…b…c", true),
        ("ac", "a…c", false),
        ("abcd", "a…c", false),
    ] {
        assert_eq!(is_like(text, pattern), expected, "{text} {pattern}");
    }
}

#[test]
fn every_console_block_of_the_page_works_as_written() {
    const MARK: &str = "--- end of step ---";
    let simulator = support::simulator();
    let address = simulator.address.to_string();
    let (start, steps): (Vec<_>, Vec<_>) =
        steps().into_iter().partition(|step| step.typed.starts_with("auth-ticket simulator "));
    let [start] = &start[..] else { panic!("the page starts the simulator once: {start:?}") };
    assert_eq!(start.shown, simulator.stdout().trim().replace(&address, ADDRESS));
    assert!(steps.len() > 20, "only {} steps were found", steps.len());

    // One shell for all of them, since variables go from block to block.
    let script: Vec<String> =
        steps.iter().map(|step| format!("{}\necho; echo '{MARK}'\n", step.typed.replace(ADDRESS, &address))).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script.concat()]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = shell.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = printed.split(MARK).map(str::trim).collect();
    assert_eq!(parts.len(), steps.len() + 1, "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    for (step, part) in steps.iter().zip(parts) {
        assert!(is_like(part, &step.shown), "$ {}\nshown:   {}\nprinted: {part}", step.typed, step.shown);
    }
}
