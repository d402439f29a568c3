//! Every link and every named page is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{ROOT, documents, files};

/// `text` without its fenced blocks and comments.
fn prose(text: &str) -> String {
    let mut in_block = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !is_fence && !in_block && !line.trim_start().starts_with("<!--")
    };
    text.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// As GitHub makes them: lower case, spaces to dashes, no punctuation, and a number behind a heading that was there before.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|heading| {
            let anchor = heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
            let count = seen.entry(anchor.clone()).and_modify(|count| *count += 1).or_insert(0);
            if *count == 0 { anchor } else { format!("{anchor}-{count}") }
        })
        .collect()
}

/// The targets of all links and pictures in `text`.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in targets(&text).iter().filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = document.with_file_name(if file.is_empty() { document.as_os_str() } else { file.as_ref() });
            let is_there = match path.metadata() {
                Err(_) => false,
                Ok(_) if anchor.is_empty() => true,
                Ok(_) => anchors(&fs::read_to_string(&path).unwrap()).contains(anchor),
            };
            if !is_there {
                faults.push(format!("{} links to {target}", document.strip_prefix(ROOT).unwrap().display()));
            }
            seen += 1;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 60, "only {seen} links were found");
}

/// Sources, configurations and messages name pages as `docs/PAGE.md`, some with a section in quotes behind a comma.
#[test]
fn every_page_that_any_file_names_is_there() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for file in files() {
        let is_read = ["rs", "md", "toml", "yml", "yaml", "mk", "service", "conf", "py", "js", "mjs", "sh", "json"];
        if !file.extension().is_some_and(|extension| is_read.iter().any(|read| extension == *read)) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("docs/").filter(|(at, _)| !text[..*at].ends_with(['/', '.'])) {
            let name: String = text[at..].chars().take_while(|c| c.is_alphanumeric() || "/._-".contains(*c)).collect();
            let Some((page, _)) = name.split_once(".md") else { continue };
            let page = format!("{page}.md");
            // What a test makes up.
            if page.contains("NAME") || page.contains("PAGE") || page.contains("NOWHERE") {
                continue;
            }
            seen += 1;
            let place = file.strip_prefix(ROOT).unwrap().display().to_string();
            let Ok(there) = fs::read_to_string(Path::new(ROOT).join(&page)) else {
                faults.push(format!("{place}: there is no {page}"));
                continue;
            };
            let section = text[at + page.len()..].trim_start_matches('`').strip_prefix(", \"");
            if let Some(section) = section.and_then(|rest| rest.split_once('"')).map(|(section, _)| section)
                && !there.lines().any(|line| line.starts_with('#') && line.ends_with(section))
            {
                faults.push(format!("{place}: {page} has no section {section:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 50, "only {seen} names were found");
}

/// What the tests above are worth.
#[test]
fn links_and_headings_are_read_as_github_reads_them() {
    let text = "# A `b`, c_d!\n[x](y.md#z) ![p](p.svg)\n```sh\n# no heading\n[no](link)\n```\n## Twice\n## Twice\n";
    assert_eq!(targets(text), ["y.md#z", "p.svg"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-b-c_d", "twice", "twice-1"].map(str::to_owned)));
}
