//! `[claims]`: whom to ask.

use std::time::Duration;

use super::{APP, good, mistakes};

const PUBLIC_URL: &str = "public_url = \"https://login.example.com\"\n";

fn with(table: &str) -> String {
    format!("{PUBLIC_URL}{APP}[claims]\n{table}\n")
}

#[test]
fn nobody_is_asked_without_a_url() {
    assert!(good(APP).hook.is_none());
    assert!(good(&format!("{APP}[claims]\ntimeout = \"1s\"\naudience = \"users\"\n")).hook.is_none());
}

#[test]
fn the_audience_is_the_url_byte_for_byte_unless_it_is_set() {
    let url = "https://Users.internal:443/a/../auth?tenant=1";
    let claims = good(&with(&format!("url = \"{url}\""))).hook.unwrap();
    assert_eq!((claims.audience.as_str(), claims.timeout, claims.max_concurrent), (url, Duration::from_secs(2), 64));
    assert_eq!(claims.url.as_str(), "https://users.internal/auth?tenant=1");
    let table = format!("url = \"{url}\"\naudience = \"users\"\ntimeout = \"300ms\"\nmax_concurrent = 1");
    let claims = good(&with(&table)).hook.unwrap();
    assert_eq!((claims.audience.as_str(), claims.timeout.as_millis(), claims.max_concurrent), ("users", 300, 1));
}

#[test]
fn what_can_be_read_on_the_way_is_warned_of() {
    for (url, warned) in [
        ("https://users.internal/", false),
        ("http://127.0.0.1:3000/", false),
        ("http://[::1]:3000/", false),
        ("http://localhost:3000/", false),
        ("http://users.internal/", true),
        ("http://10.0.0.7/", true),
    ] {
        let warnings = good(&with(&format!("url = \"{url}\""))).warnings;
        let expected = "login.toml:7: claims.url: http to a host that is not loopback: who logs in can be read on the \
                        way, and claims be forged";
        assert_eq!(warnings, if warned { vec![expected] } else { vec![] }, "{url}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_to_write() {
    let hint = "write for example \"https://users.internal/auth-ticket\"";
    for (table, told) in [
        ("url = \"users.internal\"", format!("claims.url: \"users.internal\" is not a http or https URL; {hint}")),
        ("url = \"ftp://users\"", format!("claims.url: \"ftp://users\" is not a http or https URL; {hint}")),
        ("url = \"https://users/#a\"", format!("claims.url: no fragment belongs here; {hint}")),
        (
            "url = \"https://me:canary@users/\"",
            format!("claims.url: the URL holds an @; user names and passwords do not belong here; {hint}"),
        ),
        ("audience = \"\"", "claims.audience: \"\" is not an audience; write 1 to 256 visible ASCII characters".into()),
        ("timeout = \"31s\"", "claims.timeout: \"31s\" is out of range; write \"100ms\" to \"30s\"".into()),
        ("max_concurrent = 0", "claims.max_concurrent: 0 is not a whole number from 1 to 10000".into()),
    ] {
        assert_eq!(mistakes(&with(table)), [format!("login.toml:7: {told}")], "{table}");
    }
}

#[test]
fn questions_need_an_issuer() {
    let expected = "login.toml:6: public_url: is missing, and claims.url needs it: JWTs name their issuer; write for \
                    example public_url = \"https://login.example.com\"";
    assert_eq!(mistakes(&format!("{APP}[claims]\nurl = \"https://users.internal/\"\n")), [expected]);
}
