//! Completion scripts and manual pages, in the hands of the programs that they are made for.

use std::path::Path;
use std::process::Command;

use crate::support::bare;
use crate::support::system::{needed, read, succeed, told};

/// What somebody types before Tab, and what the line is then: commands at every depth, options, values, paths.
const LINES: &[(&str, &str)] = &[
    ("auth-ticket ke", "auth-ticket keys "),
    ("auth-ticket keys ro", "auth-ticket keys rotate "),
    ("auth-ticket keys rotate --if", "auth-ticket keys rotate --if-older-than "),
    ("auth-ticket keys rotate --lead 1h --use tick", "auth-ticket keys rotate --lead 1h --use ticket "),
    ("auth-ticket cutoff add --lo", "auth-ticket cutoff add --login-id "),
    ("auth-ticket ticket ins", "auth-ticket ticket inspect "),
    ("auth-ticket completions elv", "auth-ticket completions elvish "),
    ("auth-ticket help keys pl", "auth-ticket help keys plan "),
    ("auth-ticket keys list --keys secr", "auth-ticket keys list --keys secrets.d/"),
    ("auth-ticket serve --config logi", "auth-ticket serve --config login.toml "),
];

/// The search path with our program first.
fn path_with_us() -> String {
    let ours = Path::new(env!("CARGO_BIN_EXE_auth-ticket")).parent().unwrap();
    format!("{}:/usr/local/bin:/usr/bin:/bin", ours.display())
}

fn working_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("secrets.d")).unwrap();
    std::fs::write(directory.path().join("login.toml"), "").unwrap();
    directory
}

/// Presses Tab after each line in `shell`, which is made ready by `setup`.
fn completes(shell: &str, setup: &str) {
    needed(shell);
    let directory = working_directory();
    let mut typing = Command::new(needed("python3"));
    typing.arg(crate::support::system::shipped("tests/site/deploy/tab.py")).args([shell, setup]);
    typing.args(LINES.iter().map(|(line, _)| line)).current_dir(directory.path()).env_clear();
    typing.env("PATH", path_with_us()).env("HOME", directory.path()).env("TERM", "xterm").env("PS1", "> ");
    let shown = succeed(&mut typing);
    assert_eq!(shown.lines().count(), LINES.len(), "{shown}");
    for ((line, expected), shown) in LINES.iter().zip(shown.lines()) {
        // Whether a space or a slash follows a file is the shell's affair.
        let shown = shown.trim_start_matches("<<").trim_end_matches(">>");
        assert_eq!(shown.trim_end_matches([' ', '/']), expected.trim_end_matches([' ', '/']), "{shell}: {line}");
    }
}

#[test]
fn tab_completes_in_bash() {
    completes("bash", "bind 'set enable-bracketed-paste off'; source <(auth-ticket completions bash)");
}

#[test]
fn tab_completes_in_zsh() {
    let compinit = "bindkey -e; autoload -U compinit; compinit -u -D";
    completes("zsh", &format!("{compinit}; source <(auth-ticket completions zsh)"));
}

#[test]
fn tab_completes_in_fish() {
    let directory = working_directory();
    for (line, expected) in LINES {
        let mut fish = Command::new(needed("fish"));
        let script = format!("auth-ticket completions fish | source; complete -C '{line}'");
        fish.args(["--no-config", "-c", &script]).current_dir(directory.path()).env_clear();
        fish.env("PATH", path_with_us()).env("HOME", directory.path());
        let shown = succeed(&mut fish);
        // The last word, and after a tab what it is.
        let word = expected.trim_end().rsplit(' ').next().unwrap();
        assert!(shown.lines().any(|shown| shown.split('\t').next() == Some(word)), "{line}: {shown}");
    }
}

/// All pages, by name.
fn pages(directory: &Path) -> Vec<(String, String)> {
    succeed(bare(&[]).args(["man", "--out"]).arg(directory));
    let page = |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), read(&entry.path()));
    let mut pages: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| page(entry.unwrap())).collect();
    pages.sort();
    pages
}

#[test]
fn there_is_a_whole_manual_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let pages = pages(directory.path());
    assert!(pages.len() > 15, "{}", pages.len());
    for (file, page) in &pages {
        let name = file.strip_suffix(".1").unwrap();
        let title = format!(".TH {} 1  \"auth-ticket {}", name.to_uppercase(), env!("CARGO_PKG_VERSION"));
        assert!(page.contains(&title), "{file}: {title}\n{page}");
        assert!(page.contains(&format!(".SH NAME\n{} \\- ", name.replace('-', "\\-"))), "{page}");
        for section in ["SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"] {
            assert!(
                page.contains(&format!(".SH {section}\n")) || page.contains(&format!(".SH \"{section}\"\n")),
                "{file}: no {section}\n{page}"
            );
        }
        // Each page that another one names is there.
        let (_, see) = page.rsplit_once("SEE ALSO").unwrap();
        for named in see.split(['\n', ',', ' ']).filter_map(|word| word.trim_matches('"').strip_suffix("(1)")) {
            let named = format!("{}.1", named.replace('\\', ""));
            assert!(pages.iter().any(|(file, _)| *file == named), "{file} names {named}");
            assert_ne!(*file, named, "a page does not name itself");
        }
    }
    let rotate = &pages.iter().find(|(file, _)| file == "auth-ticket-keys-rotate.1").unwrap().1;
    for text in ["ENVIRONMENT", "AUTH_TICKET_KEYS_DIR", "FILES", "cutoffs.json", "auth\\-ticket\\-keys(1)"] {
        assert!(rotate.contains(text), "{text}\n{rotate}");
    }
    let serve = &pages.iter().find(|(file, _)| file == "auth-ticket-serve.1").unwrap().1;
    for text in ["RUST_LOG", "AUTH_TICKET_CONFIG", "/etc/auth\\-ticket/auth\\-ticket.toml"] {
        assert!(serve.contains(text), "{text}\n{serve}");
    }
}

#[test]
fn man_shows_every_page_without_a_complaint() {
    let man = needed("man");
    let directory = tempfile::tempdir().unwrap();
    for (file, _) in pages(directory.path()) {
        let mut command = Command::new(&man);
        command.args(["--warnings=w", "-l"]).arg(directory.path().join(&file)).env_clear();
        command.env("PATH", path_with_us()).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{file}: {}", told(&output));
        let shown = String::from_utf8(output.stdout).unwrap();
        let heading = format!("{}(1)", file.strip_suffix(".1").unwrap().to_uppercase());
        assert!(shown.starts_with(&heading), "{shown}");
    }
}
