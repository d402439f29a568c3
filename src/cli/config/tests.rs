//! What the manual says about configuration.

mod apps;
mod audience_claims;
mod audiences;
mod claims;
mod file;
mod keys;
mod layers;
mod limits;
mod manual;
mod secrets;
mod sockets;

use std::ffi::OsString;

use super::{Config, ConfigError};

/// The least that a configuration needs: four lines.
const APP: &str = "[[app]]\nappid = \"wx1\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n";

/// The app's secret, which must not show.
const CANARY: &str = "ca0a7ca0a7ca0a7ca0a7ca0a7ca0a7ca";

/// The same for a second app and a service: nine lines.
const TWO_APPS: &str = "[[app]]\nappid = \"wx1\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n\
                        [[app]]\nappid = \"wx2\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n\n";

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::parse("login.toml", text, with_secrets(env), &[])
}

fn with_secrets(env: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let secrets = [("WX_SECRET", CANARY), ("ORDERS_SECRET", "canary-of-the-service"), ("HOME", "/")];
    secrets.iter().chain(env).map(|(name, value)| (name.into(), value.into())).collect()
}

/// As a person writes them.
fn shown(endpoints: &[super::Endpoint]) -> Vec<String> {
    endpoints.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn good(text: &str) -> Config {
    parse(text, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The report's lines without the heading.
#[track_caller]
fn mistakes(text: &str) -> Vec<String> {
    mistakes_with(text, &[])
}

#[track_caller]
fn mistakes_with(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    lines(&parse(text, env).expect_err(text))
}

fn lines(error: &ConfigError) -> Vec<String> {
    let report = error.to_string();
    assert!(!report.contains("canary") && !report.contains(CANARY), "{report}");
    report.lines().skip(1).map(|line| line.trim_start().to_owned()).collect()
}
