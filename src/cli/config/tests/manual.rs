//! The example shows every setting, and shows it right; `tests/it/manual` compares the page with it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use auth_ticket::platform::AppSetting;
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
    // No platform takes all of these.
    let of_some = |line: &&str| {
        let mut names =
            AppSetting::ALL.iter().flat_map(|setting| setting.names()).filter(|name| **name != "secret_env");
        !names.any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" = ")))
    };
    // This one excludes another.
    let is_left = |line: &&str| of_some(line) && *line != "assertion_audience = \"shop-gateway\"";
    let text: Vec<&str> = example.lines().map(uncommented).filter(is_left).collect();
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
        if path.contains("NAME") {
            continue; // no variable sets it
        }
        let mut env = with_secrets(&[]);
        env.push((name.clone().into(), OsString::from_vec(b"no setting takes \xff".to_vec())));
        let report = Config::parse("login.toml", &example(), env, &[]).expect_err(&path).to_string();
        assert!(report.contains(&format!("{name}: {path}: is text that is not UTF-8")), "{path}: {report}");
    }
}
