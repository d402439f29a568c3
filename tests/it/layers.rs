//! Dependencies point one way, file by file, and each effect has one file.

mod graph;

use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name of the crate. The binary may name everything.
const MAY_NAME: [(&str, &[&str]); 19] = [
    ("secret", &[]),
    ("claims", &["secret"]),
    ("clock", &[]),
    ("seal", &["secret"]),
    ("keyring", &["secret", "clock", "seal"]),
    ("ticket", &["secret", "claims", "clock", "seal", "keyring"]),
    ("verifier", &["secret", "clock", "seal", "keyring", "ticket"]),
    ("rescan", &[]),
    ("keystore", &["secret", "clock", "keyring", "verifier", "rescan"]),
    ("request_id", &[]),
    ("bearer", &["ticket"]),
    ("opener", &["claims", "clock", "keyring", "rescan", "ticket"]),
    (
        "tower",
        &["opener", "bearer", "claims", "clock", "keyring", "keystore", "request_id", "rescan", "ticket", "verifier"],
    ),
    ("outbound", &["secret"]),
    ("platform", &["claims", "clock", "secret", "outbound"]),
    ("hook", &["claims", "outbound"]),
    ("simulator", &["clock", "outbound"]),
    ("jwt", &["secret", "clock", "keyring"]),
    // Of `secret` the type alone: what is inside stays there.
    (
        "http",
        &[
            "secret",
            "claims",
            "clock",
            "keyring",
            "platform",
            "ticket",
            "jwt",
            "bearer",
            "opener",
            "request_id",
            "rescan",
            "hook",
            "outbound",
        ],
    ),
];

/// Words, and the only files (or, with a slash at the end, directories) whose code may hold them.
const ONLY_IN: [(&[&str], &[&str]); 13] = [
    (&["zeroize::", ".zeroize()"], &["secret.rs"]),
    (&["SystemTime", "std::time::Instant", "UNIX_EPOCH", "now_utc"], &["clock.rs"]),
    // Of tokio: deadlines, which no answer and no ticket depends on.
    (
        &["Instant::now"],
        &[
            "hook.rs",
            "http/transport/connection.rs",
            "http/transport/connection/watchdog.rs",
            "rescan.rs",
            "tower/notice.rs",
            "http/transport/delays.rs",
            "http/transport/rates.rs",
            "http/upstream.rs",
            "platform/app_client.rs",
            "platform/app_token.rs",
            "platform/client.rs",
        ],
    ),
    (&["std::env", "env::var", "env::vars", "env::vars_os"], &["cli/config.rs", "cli/config/"]),
    (
        &["fs::", "File::", "OpenOptions"],
        &["keystore.rs", "keystore/", "cli/config.rs", "cli/config/", "cli/docs.rs", "cli/socket_file/"],
    ),
    (&["println!", "print!", "stdout()", "stderr()"], &["main.rs", "cli.rs", "cli/"]),
    (&["anyhow"], &["main.rs", "cli.rs", "cli/"]),
    (
        &["reqwest"],
        &[
            "outbound.rs",
            "hook.rs",
            "platform/client.rs",
            "cli/doctor.rs",
            "cli/healthcheck.rs",
            "cli/keys/check.rs",
            "cli/local_http.rs",
        ],
    ),
    (&["xaes_256_gcm", "aes_gcm", "XaesGcm"], &["seal.rs", "seal/"]),
    (&["hkdf::"], &["keyring/key.rs"]),
    (&["getrandom"], &["secret.rs", "request_id.rs", "platform/app_token.rs", "simulator/codes.rs"]),
    (
        &["aws_lc_rs"],
        &[
            "platform/aes_cbc.rs",
            "platform/raw_data.rs",
            "platform/rsa.rs",
            "platform/weapp/session.rs",
            "platform/weapp/user_data.rs",
            "simulator/alipay.rs",
            "simulator/rsa.rs",
            "simulator/swan/cipher.rs",
            "simulator/wechat/opendata.rs",
        ],
    ),
    (&["swap_ring"], &["http/state.rs", "cli/"]),
];

/// Words that meet in one file of `http` only. Elsewhere the layers keep them apart.
const MEET_ONLY_IN: [(&str, &str, &str); 3] = [
    ("Identity", "Session", "http/clients/login.rs"),
    ("OpenError", "ErrorCode", "http/error.rs"),
    ("SealError", "ErrorCode", "http/error.rs"),
];

/// A source file: its path below `src`, and its lines of code, numbered, without comments.
struct Source {
    path: String,
    lines: Vec<(usize, String)>,
}

impl Source {
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    fn first(&self, word: &str) -> Option<usize> {
        self.lines.iter().find(|(_, line)| names(line, word)).map(|(number, _)| *number)
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut directories = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(read(&root, &path));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(sources.len() > 20, "these are not the sources");
    sources
}

/// Up to the tests at the bottom, if there are some: they may do what they like.
fn read(root: &Path, path: &PathBuf) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let tests_at = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..tests_at].lines().enumerate();
    Source {
        path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
        lines: lines
            .map(|(index, line)| (index + 1, line.to_owned()))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .collect(),
    }
}

/// Whether `word` is in `line` as more than a part of another word.
fn names(line: &str, word: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let starts = !is_word(before) || !is_word(word.chars().next());
        starts && (!is_word(after) || !is_word(word.chars().next_back()))
    })
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn dependencies_point_one_way() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some((_, may_name)) = MAY_NAME.iter().find(|(module, _)| *module == source.module()) else {
            assert!(matches!(source.module(), "cli" | "main" | "lib"), "{}: give it a place here", source.path);
            continue;
        };
        for (number, line) in &source.lines {
            for (at, start) in line.match_indices("crate::") {
                let rest = &line[at + start.len()..];
                let named: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if named != source.module() && !may_name.contains(&&*named) {
                    faults.push(format!("src/{}:{number}: {} names `{rest}`", source.path, source.module()));
                }
            }
            if line.contains("auth_ticket::") {
                faults.push(format!("src/{}:{number}: the library names itself from outside", source.path));
            }
        }
    }
    report(&faults);
}

fn files() -> Vec<graph::File> {
    let code = |source: &Source| source.lines.iter().map(|(_, line)| &**line).collect::<Vec<_>>().join("\n");
    let no_tests = sources().into_iter().filter(|source| !source.is_test());
    no_tests.map(|source| graph::File { code: code(&source), path: source.path }).collect()
}

#[test]
fn no_file_depends_on_itself_by_whatever_way() {
    let files = files();
    let edges = graph::Graph::of(&files).edges();
    assert!(edges["http/verify.rs"].contains("bearer.rs"), "{edges:?}");
    assert!(edges["tower.rs"].contains("opener.rs"), "{edges:?}");
    if let Some(circle) = graph::circle(&edges) {
        panic!("a circle: {} -> {}", circle.join(" -> "), circle[0]);
    }
}

/// What the test above is worth.
#[test]
fn a_circle_is_found_however_it_is_written() {
    let file = |path: &str, code: &str| graph::File { path: path.to_owned(), code: code.to_owned() };
    for (one, other) in [
        ("use crate::b::B;\npub struct A;", "use crate::a::{self, A};\npub struct B;"),
        ("use super::{b::{B, C}};\npub struct A;", "pub struct B;\npub fn c() { crate::a::A; }"),
        // By way of a re-export.
        ("use crate::B;\npub struct A;", "use super::A;\npub struct B;"),
    ] {
        let root = "mod a;\nmod b;\npub use a::A;\npub use b::B;";
        let files = [file("lib.rs", root), file("a.rs", one), file("b.rs", other)];
        let edges = graph::Graph::of(&files).edges();
        assert_eq!(graph::circle(&edges), Some(vec!["a.rs", "b.rs"]), "{one} {other} {edges:?}");
        let harmless = [file("lib.rs", root), file("a.rs", one), file("b.rs", "pub struct B;")];
        assert_eq!(graph::circle(&graph::Graph::of(&harmless).edges()), None, "{one}");
    }
}

/// Types that have one name on purpose: what a platform and its simulation, or several commands, have alike.
const ALIKE: [&str; 6] = ["Command", "Encrypted", "List", "Phone", "Prune", "Watermark"];

#[test]
fn a_type_has_a_name_of_its_own() {
    let declaration = regex::Regex::new(r"(?m)^(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|type) (\w+)").unwrap();
    let mut seen = std::collections::BTreeMap::new();
    let mut faults = Vec::new();
    // Variants for another system have the same names.
    for file in files().iter().filter(|file| !file.path.ends_with("/windows.rs")) {
        for found in declaration.captures_iter(&file.code) {
            let (name, path) = (found[1].to_owned(), file.path.clone());
            if let Some(other) = seen.insert(name.clone(), path).filter(|_| !ALIKE.contains(&&*name)) {
                faults.push(format!("{name} is in src/{other} and in src/{}", file.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn a_file_is_read_in_ten_minutes() {
    const MOST: usize = 450;
    let long = files().into_iter().filter(|file| file.code.lines().count() > MOST);
    report(&long.map(|file| format!("src/{} has more than {MOST} lines of code", file.path)).collect::<Vec<_>>());
}

#[test]
fn a_folder_is_seen_at_a_glance() {
    const MOST: usize = 16;
    let mut count = std::collections::BTreeMap::<String, usize>::new();
    for file in files() {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *count.entry(folder.to_owned()).or_default() += 1;
    }
    let full = count.into_iter().filter(|(folder, files)| folder == "http" && *files > MOST);
    report(&full.map(|(folder, files)| format!("src/{folder} has {files} files")).collect::<Vec<_>>());
}

/// Handlers get the state of the server; mechanisms get what they need.
#[test]
fn no_mechanism_names_the_state_of_the_server() {
    const HANDLERS: [&str; 6] =
        ["http.rs", "http/state.rs", "http/routes.rs", "http/verify.rs", "http/admin.rs", "http/clients/"];
    const SERVICES: [&str; 5] = [
        "http/services/client_auth.rs",
        "http/services/discovery.rs",
        "http/services/introspect.rs",
        "http/services/signature.rs",
        "http/services/token.rs",
    ];
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.module() == "http" && !source.is_test()) {
        if let (Some(number), false) =
            (source.first("AppState"), is_in(&source.path, &HANDLERS) || is_in(&source.path, &SERVICES))
        {
            faults.push(format!("src/{}:{number}: a mechanism names AppState", source.path));
        }
    }
    report(&faults);
}

#[test]
fn each_effect_has_its_files() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (words, places) in ONLY_IN.iter().filter(|(_, places)| !is_in(&source.path, places)) {
            for (number, line) in &source.lines {
                if let Some(word) = words.iter().find(|word| names(line, word)) {
                    faults.push(format!("src/{}:{number}: `{word}` belongs in {places:?}", source.path));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn what_is_kept_apart_meets_in_one_file() {
    let mut faults = Vec::new();
    for (one, other, place) in MEET_ONLY_IN {
        let mut meets = false;
        for source in sources().iter().filter(|source| source.module() == "http") {
            let (Some(_), Some(number)) = (source.first(one), source.first(other)) else { continue };
            if source.path == place {
                meets = true;
            } else {
                faults.push(format!("src/{}:{number}: `{one}` and `{other}` meet only in {place}", source.path));
            }
        }
        assert!(meets, "`{one}` and `{other}` do not meet in {place} any more");
    }
    report(&faults);
}

#[test]
fn no_module_is_a_mod_rs() {
    let faults: Vec<String> =
        sources().iter().filter(|source| source.path.ends_with("mod.rs")).map(|source| source.path.clone()).collect();
    report(&faults);
}

#[test]
fn the_rules_are_about_words_that_are_there() {
    let sources = sources();
    for (words, places) in ONLY_IN {
        for place in places.iter().filter(|place| !place.ends_with('/')) {
            assert!(sources.iter().any(|source| source.path == **place), "there is no src/{place}");
        }
        let is_used = sources
            .iter()
            .filter(|source| is_in(&source.path, places))
            .any(|source| words.iter().any(|word| source.first(word).is_some()));
        assert!(is_used, "none of {words:?} is in {places:?} any more");
    }
}
