//! The example shows every key, and shows it right.

use super::super::EXAMPLE;
use super::super::schema::{ROOT, Shape};
use super::good;

#[test]
fn the_example_is_what_holds_without_it() {
    let least = "[[app]]\nappid = \"wx0123456789abcdef\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n";
    assert_eq!(format!("{:#?}", good(EXAMPLE)), format!("{:#?}", good(least)));
}

#[test]
fn the_example_with_everything_turned_on_is_good() {
    let text: Vec<&str> = EXAMPLE.lines().map(uncommented).filter(|line| !line.starts_with("secret_file")).collect();
    let config = good(&text.join("\n"));
    assert_eq!(config.public_url.as_deref(), Some("https://login.example.com"));
    assert_eq!(config.apps[0].base_url.as_deref(), Some("http://127.0.0.1:9999"));
    assert_eq!((config.services[0].id.as_str(), config.services[0].apps.len()), ("orders", 1));
}

#[test]
fn the_example_shows_every_key_in_its_table() {
    for key in ROOT {
        match key.shape {
            Shape::Value(_) => assert!(shows("", key.name), "{}", key.name),
            Shape::Table(inner) => inner.iter().for_each(|k| assert!(shows(&format!("[{}]", key.name), k.name))),
            Shape::Tables(inner) => inner.iter().for_each(|k| assert!(shows(&format!("[[{}]]", key.name), k.name))),
        }
    }
    assert!(!shows("[ticket]", "listen"));
}

fn shows(table: &str, key: &str) -> bool {
    let mut current = "";
    EXAMPLE.lines().map(uncommented).any(|line| {
        if line.starts_with('[') {
            current = line;
        }
        current == table && line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "))
    })
}

/// `#key = value` is a key that may be turned on, `# words` is a comment.
fn uncommented(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty()).unwrap_or(line)
}
