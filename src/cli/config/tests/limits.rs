//! What one client, and one app, may ask for.

use std::num::NonZeroU32;
use std::time::Duration;

use auth_ticket::http::{ClientLimits, Rate};

use super::{APP, good, mistakes};

fn limits(lines: &str) -> ClientLimits {
    good(&format!("{APP}[limits]\n{lines}\n")).settings.limits
}

fn rate(count: u32, per_s: u64) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(per_s) }
}

#[test]
fn nothing_is_limited_and_nobody_trusted_unless_configured() {
    for lines in ["", "max_connections_per_address = 0\nlogin_rate_per_address = \"\"\nlogin_rate_per_app = \"\""] {
        let limits = limits(lines);
        assert_eq!(limits.max_connections_per_address, 0);
        assert_eq!((limits.login_rate_per_address, limits.login_rate_per_app), (None, None));
        assert!(limits.trusted_proxies.is_empty());
    }
}

#[test]
fn a_rate_is_a_number_a_slash_and_a_time() {
    for (text, expected) in [
        ("1/s", rate(1, 1)),
        ("10/m", rate(10, 60)),
        ("10/min", rate(10, 60)),
        ("1000000/h", rate(1_000_000, 3600)),
        ("5/15m", rate(5, 900)),
        ("5/1h 30m", rate(5, 5400)),
        ("5/1d", rate(5, 86400)),
    ] {
        let limits = limits(&format!("login_rate_per_address = \"{text}\"\nlogin_rate_per_app = \"{text}\""));
        assert_eq!(limits.login_rate_per_address, Some(expected), "{text}");
        assert_eq!(limits.login_rate_per_app, Some(expected), "{text}");
    }
}

#[test]
fn a_proxy_is_an_address_or_a_prefix() {
    let proxies = ["10.0.0.7", "10.0.0.0/8", "fd00::/8", "fc00::/7", "2001:db8::1", "2606:4700::/32", "unix"];
    let limits = limits(&format!("trusted_proxies = {proxies:?}"));
    let shown: Vec<String> = limits.trusted_proxies.iter().map(ToString::to_string).collect();
    let networks = ["10.0.0.7/32", "10.0.0.0/8", "fd00::/8", "fc00::/7", "2001:db8::1/128", "2606:4700::/32", "unix"];
    assert_eq!(shown, networks);
}

/// Each line is the sixth of a file that is good but for it.
#[test]
fn a_mistake_is_answered_with_the_remedy() {
    for (line, expected) in [
        ("max_connections_per_address = -1", "max_connections_per_address: -1 is not a whole number from 0 to 1000000"),
        ("login_rate_per_app = 10", "login_rate_per_app: is an integer; write text in quotes, for example log"),
        (
            "login_rate_per_app = \"10\"",
            "login_rate_per_app: \"10\" is not a rate; write for example \"10/m\" for ten a minute",
        ),
        ("login_rate_per_app = \"0/m\"", "login_rate_per_app: \"0/m\" does not begin with a number from 1 to"),
        ("login_rate_per_app = \"+1/m\"", "login_rate_per_app: \"+1/m\" does not begin with a number from 1"),
        ("login_rate_per_app = \"1000001/s\"", "login_rate_per_app: \"1000001/s\" does not begin with a numb"),
        ("login_rate_per_app = \"10/\"", "login_rate_per_app: \"10/\" does not end with s, m, h or another t"),
        ("login_rate_per_app = \"10 / m\"", "login_rate_per_app: \"10 / m\" does not begin with a number"),
        ("login_rate_per_app = \"10/moon\"", "login_rate_per_app: \"10/moon\" does not end with s, m, h or"),
        ("login_rate_per_app = \"10/10\"", "login_rate_per_app: \"10/10\" does not end with s, m, h or another"),
        ("login_rate_per_app = \"10/1ms\"", "login_rate_per_app: \"10/1ms\" is for a time that is not from 1s"),
        ("login_rate_per_address = \"9/2d\"", "login_rate_per_address: \"9/2d\" is for a time that is not from"),
        (
            "trusted_proxies = [\"nginx\"]",
            "trusted_proxies[0]: \"nginx\" is not an IP address or prefix; write for example \"10.0.0.7\" or \"10.0.0.0/8\"",
        ),
        ("trusted_proxies = [\"\"]", "trusted_proxies[0]: \"\" is not an IP address or prefix"),
        ("trusted_proxies = [\"10.0.0.0/33\"]", "trusted_proxies[0]: \"10.0.0.0/33\" is not an IP address or"),
        ("trusted_proxies = [\"10.0.0.7/8\"]", "trusted_proxies[0]: \"10.0.0.7/8\" names an address within the"),
        ("trusted_proxies = [\"::ffff:10.0.0.7\"]", "trusted_proxies[0]: \"::ffff:10.0.0.7\" is IPv4 written as"),
        (
            "trusted_proxies = [\"0.0.0.0/0\"]",
            "trusted_proxies[0]: \"0.0.0.0/0\" holds addresses of strangers, who could then pass for anybody; write the \
             addresses of your proxies, /8 at the widest",
        ),
        ("trusted_proxies = [\"128.0.0.0/7\"]", "trusted_proxies[0]: \"128.0.0.0/7\" holds addresses of stran"),
        ("trusted_proxies = [\"::/0\"]", "trusted_proxies[0]: \"::/0\" holds addresses of strangers"),
        ("trusted_proxies = [\"2000::/8\"]", "trusted_proxies[0]: \"2000::/8\" holds addresses of strangers"),
        (
            "trusted_proxies = [\"10.0.0.7\", \"10.0.0.7/32\"]",
            "trusted_proxies[1]: stands in the list twice; remove one",
        ),
    ] {
        let found = mistakes(&format!("{APP}[limits]\n{line}\n"));
        let expected = format!("login.toml:6: limits.{expected}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{line}: {found:#?}\n{expected}");
    }
}
