//! The tests that there are, as their sources say.

use std::fs;
use std::path::Path;

/// Each test function of the crate, with its file's path below the crate's root.
pub(crate) fn tests_of_the_crate() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests/it"), root.join("tests/site")];
    let mut tests = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(root).unwrap().display().to_string();
                let text = fs::read_to_string(&path).unwrap();
                tests.extend(tests_of(&text).into_iter().map(|test| (file.clone(), test)));
            }
        }
    }
    tests
}

/// The functions under a test attribute.
fn tests_of(source: &str) -> Vec<String> {
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(signature) = line.trim_start_matches("async ").strip_prefix("fn ") {
            if is_test {
                let end = signature.find(['(', '<']).unwrap_or(signature.len());
                tests.push(signature[..end].to_owned());
            }
            is_test = false;
        }
    }
    tests
}
