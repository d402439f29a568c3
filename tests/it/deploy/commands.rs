//! Every command line in `deploy/` and in the operators' manual is one that the program takes.

use std::path::Path;

use crate::support::bare;
use crate::support::system::{read, shipped, succeed, told, write};

const FILES: &[&str] = &[
    "deploy/README.md",
    "deploy/Containerfile",
    "deploy/kubernetes/deployment.yaml",
    "deploy/kubernetes/rotate-cronjob.yaml",
    "deploy/kubernetes/gateway.yaml",
    "deploy/kubernetes/keys.sh",
    "deploy/systemd/auth-ticket.service",
    "deploy/systemd/auth-ticket-rotate.service",
    "deploy/systemd/auth-ticket-export.service",
    "deploy/systemd/auth-ticket.toml",
    "deploy/kubernetes/auth-ticket.toml",
    "docs/OPERATING.md",
];

/// The words of every command line of ours in `text`, without the program's name.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines() {
        // Kubernetes: args: [keys, rotate, --keys, /scratch/keys]
        if let Some((_, args)) = line.split_once("args: [") {
            found.push(args.trim_end_matches(']').split(", ").map(|word| word.trim_matches('"').to_owned()).collect());
        }
        let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || "`$()\"".contains(c)).collect();
        for (at, word) in words.iter().enumerate() {
            let is_program = *word == "auth-ticket" || word.ends_with("bin/auth-ticket");
            let command = words.get(at + 1).copied().unwrap_or_default();
            if is_program && ["demo", "serve", "keys", "cutoff", "ticket", "simulator", "doctor"].contains(&command) {
                let ends = |word: &&&str| {
                    !["|", "&&", ";", "#", "\\", "||"].contains(*word) && !word.ends_with([',', ';', '.'])
                };
                let line = words[at + 1..].iter().take_while(ends).filter(|word| !word.is_empty());
                found.push(line.map(|word| (*word).to_owned()).collect());
            }
        }
    }
    found
}

/// The help of the subcommand that `words` begins with, and its name.
fn help_of(words: &[String]) -> (String, String) {
    let depth = if ["keys", "cutoff", "ticket"].contains(&words[0].as_str()) { 2 } else { 1 };
    let command = words.get(..depth).unwrap_or(words);
    let output = bare(&[]).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "there is no {command:?}: {}", told(&output));
    (command.join(" "), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn commands_and_flags_exist() {
    let mut checked = 0;
    for file in FILES {
        for words in command_lines(&read(&shipped(file))) {
            let (command, help) = help_of(&words);
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap();
                let there = help.split(|c: char| c.is_whitespace() || ",[]<>.".contains(c)).any(|word| word == flag);
                assert!(there, "{file}: {command} has no {flag}");
                checked += 1;
            }
        }
    }
    assert!(checked > 15, "only {checked} flags were found");
}

/// Replaces what depends on the machine, and starts the server with a shipped configuration until it says so.
fn starts_with(config: &str, replace: &[(&str, &str)], at: &Path) {
    let keys = at.join("keys");
    succeed(bare(&[]).args(["keys", "init", "--keys"]).arg(&keys));
    let mut text = read(&shipped(config));
    for (from, to) in replace {
        assert!(text.contains(from), "{config} has no {from}");
        text = text.replace(from, to);
    }
    let file = at.join("auth-ticket.toml");
    write(&file, &text);
    let mut command = bare(&[]);
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"]).arg(&file);
    let (_server, lines) = crate::support::system::start(command.arg("--keys-dir").arg(&keys).env("WX_SECRET", "x"), 2);
    assert!(lines[1].starts_with("operators on "), "{lines:?}");
}

#[test]
fn the_server_starts_with_each_shipped_configuration() {
    let directory = tempfile::tempdir().unwrap();
    starts_with("deploy/kubernetes/auth-ticket.toml", &[], directory.path());

    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("wx-secret");
    crate::support::system::write_script(&secret, "x");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o440)).unwrap();
    let credential = ("/run/credentials/auth-ticket.service/wx-secret", secret.to_str().unwrap());
    starts_with("deploy/systemd/auth-ticket.toml", &[credential], directory.path());
}

/// What Kubernetes would put into the environment of every pod beside a Service named auth-ticket.
#[test]
fn service_links_would_stop_the_server_and_are_turned_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = bare(&[]);
    command.args(["serve", "--config"]).arg(shipped("deploy/kubernetes/auth-ticket.toml")).env("WX_SECRET", "x");
    command.arg("--keys-dir").arg(directory.path()).env("AUTH_TICKET_PORT", "tcp://10.0.0.1:80");
    assert!(told(&command.output().unwrap()).contains("AUTH_TICKET_PORT"));
    for file in ["deployment.yaml", "rotate-cronjob.yaml"] {
        assert!(read(&shipped(&format!("deploy/kubernetes/{file}"))).contains("enableServiceLinks: false"), "{file}");
    }
}

#[test]
fn the_image_holds_what_the_build_needs_and_asks_for_locked_versions() {
    let text = read(&shipped("deploy/Containerfile"));
    assert!(text.contains("cargo build --locked --release --bin auth-ticket"));
    assert!(text.contains("\nUSER 65532:65532\n") && text.contains("\nSTOPSIGNAL SIGTERM\n"));
    for copied in ["Cargo.toml", "Cargo.lock", "build.rs", "src"] {
        assert!(text.contains(copied) && shipped(copied).exists(), "{copied}");
    }
}
