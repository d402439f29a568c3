//! The documents tell the truth: links lead somewhere, commands parse, settings exist, examples are accepted.

#![expect(clippy::disallowed_methods, reason = "documents are files, and only tests read them")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

const README: &str = include_str!("../../README.md");

/// Runs the binary in an environment with nothing but `variables`.
fn auth_ticket<'a>(arguments: &[&str], variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_auth-ticket")).args(arguments).env_clear().envs(variables).output()
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

fn documents() -> io::Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = Vec::new();
    for directory in [root.to_owned(), root.join("docs"), root.join("keys"), root.join("examples")] {
        for entry in fs::read_dir(directory)? {
            documents.push(entry?.path());
        }
    }
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(documents)
}

/// As GitHub makes them: lower case, spaces to dashes, no punctuation.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() -> io::Result<()> {
    let mut seen = 0;
    for document in documents()? {
        let text = fs::read_to_string(&document)?;
        let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = document.with_file_name(if file.is_empty() { document.as_os_str() } else { file.as_ref() });
            assert!(path.exists(), "{} links to {target}", document.display());
            let found = anchor.is_empty() || anchors(&fs::read_to_string(&path)?).contains(anchor);
            assert!(found, "{} links to {target}, which has no such heading", document.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} links were found");
    Ok(())
}

#[test]
fn every_command_in_the_readme_parses() -> io::Result<()> {
    let commands = commands(README);
    assert!(commands.len() > 10, "only {} commands were found", commands.len());
    for command in commands {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let output = auth_ticket(&arguments, [])?;
        assert!(output.status.success(), "auth-ticket {}: {}", command.join(" "), text_of(&output.stderr));
    }
    Ok(())
}

#[test]
fn the_table_of_settings_names_every_setting_and_no_other() -> io::Result<()> {
    let output = auth_ticket(&["serve", "--print-example-config"], [])?;
    let (mut in_example, mut table) = (BTreeSet::new(), String::new());
    for line in text_of(&output.stdout).lines() {
        // `#key = value` is a setting that is off, `# words` is a comment.
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with('[') {
            table = format!("{}.", line.trim_matches(['[', ']']));
        } else if let Some((key, _)) = line.split_once(" = ")
            && !key.contains(' ')
        {
            in_example.insert(format!("{table}{key}"));
        }
    }
    let section = README.split("\n## ").find(|section| section.starts_with("Configuration")).unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let in_readme: BTreeSet<String> = rows.clone().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(in_readme, in_example);
    for (name, rest) in rows {
        let (table, key) = name.split_once('.').map_or(("", name), |(table, key)| (table, key));
        let table = match table {
            "" => String::new(),
            "app" | "service" => format!("{table}__0__"),
            _ => format!("{table}__"),
        };
        let variable = format!("`AUTH_TICKET_{}`", format!("{table}{key}").to_uppercase());
        assert!(rest.contains(&variable), "the row of {name} names the variable {variable}");
    }
    Ok(())
}

#[test]
fn every_configuration_in_the_readme_is_accepted() -> io::Result<()> {
    const APP: &str = "[[app]]\nappid = \"wx0123456789abcdef\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n";
    let directory = tempfile::tempdir()?;
    let (file, keys) = (directory.path().join("login.toml"), directory.path().join("no-keys"));
    let [file_name, keys_name] = [&file, &keys].map(|path| path.to_string_lossy().into_owned());
    let examples = blocks(README, &["toml"]);
    assert!(!examples.is_empty());
    for mut example in examples {
        if !example.contains("[[app]]") {
            example.push_str(APP);
        }
        fs::write(&file, &example)?;
        let secrets = example.lines().filter_map(|line| line.strip_prefix("secret_env = ")?.split('"').nth(1));
        let variables = secrets.map(|name| (name, "0123456789abcdef0123456789abcdef"));
        let output = auth_ticket(&["serve", "--config", &file_name, "--keys-dir", &keys_name], variables)?;
        // It got as far as the keys, which come after the whole configuration.
        let message = text_of(&output.stderr);
        assert!(message.starts_with(&format!("error: cannot list {keys_name}")), "{example}\n{message}");
    }
    Ok(())
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What stands in two places is the same in both.
#[test]
fn the_documents_do_not_contradict_themselves() -> io::Result<()> {
    let (_, errors) = README.split_once("\n## Errors\n").unwrap_or_default();
    let errors = errors.split("\n## ").next().unwrap_or_default();
    let rows = errors.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5"));
    let named: Vec<&str> =
        rows.clone().flat_map(|row| row.split('|').nth(2).unwrap_or_default().split('`').skip(1).step_by(2)).collect();
    let distinct: BTreeSet<&str> = named.iter().copied().collect();
    assert!(distinct.len() > 15 && named.len() == distinct.len(), "each error stands in one row: {named:?}");
    let busy = rows.clone().find(|row| row.contains("upstream_busy")).unwrap_or_default();
    assert!(busy.contains("still good"), "a code that was not spent stays good: {busy}");
    assert!(!README.contains("No limit by address"), "there are limits by address");

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let others =
        ["docs/OPERATING.md", "deploy/systemd/auth-ticket-rotate.service", "deploy/kubernetes/rotate-cronjob.yaml"];
    let mut ages = BTreeSet::new();
    for text in others.iter().map(|file| fs::read_to_string(root.join(file))).chain([Ok(README.to_owned())]) {
        let text = text?;
        let after = text.split("--if-older-than").skip(1).map(|rest| rest.trim_start_matches([' ', ',']));
        ages.extend(after.filter_map(|rest| Some(rest.split(|c: char| !c.is_alphanumeric()).next()?.to_owned())));
    }
    assert_eq!(ages, BTreeSet::from(["20d".to_owned()]), "one schedule everywhere");
    Ok(())
}
