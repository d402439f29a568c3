//! The example and the manual show every setting, and show it right.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use url::Url;

use super::super::schema::{self, variable_name};
use super::super::{Config, example};
use super::{good, with_secrets};

#[test]
fn the_example_is_what_holds_without_it() {
    let least = "[[app]]\nappid = \"wx0123456789abcdef\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n";
    let config = good(&example());
    assert_eq!(format!("{config:#?}"), format!("{:#?}", good(least)));
    assert!(config.apps[0].platform.base_url.is_none(), "which is not shown above");
}

#[test]
fn the_example_with_everything_turned_on_is_good() {
    let config = everything();
    assert_eq!(config.settings.issuer.as_deref(), Some("https://login.example.com"));
    assert_eq!(config.apps[0].platform.base_url.as_ref().map(Url::as_str), Some("http://127.0.0.1:9999/"));
    assert_eq!((config.services[0].id.as_str(), config.services[0].apps.len()), ("orders", 1));
}

fn everything() -> Config {
    let example = example();
    let text: Vec<&str> = example.lines().map(uncommented).filter(|line| !line.starts_with("secret_file ")).collect();
    good(&text.join("\n"))
}

/// `#key = value` is a key that may be turned on, `# words` is a comment.
fn uncommented(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty()).unwrap_or(line)
}

#[test]
fn every_setting_of_the_table_is_read() {
    for (path, _) in schema::all("0") {
        let name = variable_name(&path);
        let mut env = with_secrets(&[]);
        env.push((name.clone().into(), OsString::from_vec(b"no setting takes \xff".to_vec())));
        let report = Config::parse("login.toml", &example(), env, &[]).expect_err(&path).to_string();
        assert!(report.contains(&format!("{name}: {path}: is text that is not UTF-8")), "{path}: {report}");
    }
}

/// The page lists settings as `| \`ticket.ttl\` | \`"2h"\` | \`AUTH_TICKET_TICKET__TTL\` | meaning |`.
#[test]
fn the_manual_lists_every_setting_with_its_default_and_its_variable() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
    let Ok(page) = fs::read_to_string(page) else { return };
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("`AUTH_TICKET_"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let all: Vec<_> = schema::all("0").collect();
    assert_eq!(rows.len(), all.len(), "one row for each setting");
    for (row, (path, setting)) in rows.iter().zip(&all) {
        let [name, default, variable, meaning] = row.as_slice() else { panic!("four columns: {row:?}") };
        assert_eq!(*name, format!("`{}`", path.replace("[0]", "")), "in the order of the table");
        match setting.default {
            Some(value) => assert_eq!(*default, format!("`{}`", setting.literal(value)), "{path}"),
            None => assert!(!default.is_empty() && !default.contains('`'), "{path}: {default}"),
        }
        assert!(variable.starts_with(&format!("`{}`", variable_name(path))), "{path}: {variable}");
        assert!(!meaning.is_empty(), "{path}");
    }
}
