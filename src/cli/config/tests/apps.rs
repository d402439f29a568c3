//! Apps and services: what they need, and what must not be the same.

use auth_ticket::keyring::AppId;

use super::{APP, TWO_APPS, good, mistakes};

#[test]
fn at_least_one_app_is_needed() {
    let expected = "login.toml: app: no mini-program is configured; write [[app]] and in the lines below appid, platform \
                    and secret_env";
    assert_eq!(mistakes(""), [expected]);
    assert_eq!(mistakes("app = []"), [expected]);
    assert_eq!(
        mistakes("app = 1"),
        ["login.toml:1: app: is an integer; write [[app]] and its keys in the lines below"]
    );
}

#[test]
fn what_an_app_or_a_service_lacks_is_told_at_its_head() {
    assert_eq!(
        mistakes("\n[[app]]\n\n[[service]]\n"),
        [
            "login.toml:2: app[0].appid: is missing; write for example appid = \"wx0123456789abcdef\"",
            "login.toml:2: app[0].platform: is missing; write for example platform = \"weapp\"",
            "login.toml:2: app[0].secret_env: is missing, and so is secret_file; write secret_env = \"NAME_OF_A_VARIABLE\" \
             or secret_file = \"path/of/a/file\"",
            "login.toml:4: service[0].id: is missing; write for example id = \"orders\"",
            "login.toml:4: service[0].secret_env: is missing, and so is secret_file; write secret_env = \
             \"NAME_OF_A_VARIABLE\" or secret_file = \"path/of/a/file\"",
        ]
    );
}

#[test]
fn a_misspelt_key_is_not_called_missing_as_well() {
    let text = APP.replace("appid", "app_id").replace("platform", "platfrom").replace("secret_env", "secret_evn");
    let hint = "there is no such key; did you mean";
    assert_eq!(
        mistakes(&text),
        [
            format!("login.toml:2: app[0].app_id: {hint} appid?"),
            format!("login.toml:3: app[0].platfrom: {hint} platform?"),
            format!("login.toml:4: app[0].secret_evn: {hint} secret_env?"),
        ]
    );
}

#[test]
fn single_brackets_around_app_are_answered_with_double_ones() {
    assert_eq!(
        mistakes(&APP.replace("[[app]]", "[app]").replace("weapp", "weap")),
        [
            "login.toml:1: app: there may be several; write [[app]], with double brackets",
            "login.toml:3: app[0].platform: \"weap\" is not a platform of this version; did you mean \"weapp\"?",
        ]
    );
}

#[test]
fn two_apps_differ_in_appid_and_tag() {
    assert_eq!(good(TWO_APPS).apps.len(), 2);
    assert_eq!(
        mistakes(&TWO_APPS.replace("wx2", "wx1")),
        ["login.toml:6: app[1].appid: app[0] has this appid already; remove one of the two"]
    );
    // SHA-256 of both begins with 52 6f 35 ac.
    let colliding = TWO_APPS.replace("wx1", "wx0000000000005777").replace("wx2", "wx0000000000005808");
    assert_eq!(
        mistakes(&colliding),
        ["login.toml:6: app[1].appid: tickets cannot tell this appid from that of app[0]; serve the two by different \
          servers"]
    );
}

#[test]
fn a_service_names_its_apps_when_there_are_several() {
    let service = "[[service]]\nid = \"orders\"\nsecret_env = \"ORDERS_SECRET\"\n";
    let with = |line: &str| format!("{TWO_APPS}{service}{line}");
    assert_eq!(good(&with("apps = [\"wx2\"]")).services[0].apps, [AppId::parse("wx2").unwrap()]);
    for (line, expected) in [
        (
            "",
            "10: service[0].apps: is missing; several apps are configured, so write apps = [\"wx1\", \"wx2\"] or some",
        ),
        ("apps = []", "13: service[0].apps: is empty; name at least one appid, or remove the table"),
        ("apps = \"wx1\"", "13: service[0].apps: is text; write a list, for example apps = [\"wx0123456789abcdef\"]"),
        (
            "apps = [\"wx1\",\n\"wx3\"]",
            "14: service[0].apps[1]: \"wx3\" is not the appid of a configured app; write one \
          of \"wx1\", \"wx2\"",
        ),
        ("apps = [\"wx1\", \"wx1\"]", "13: service[0].apps[1]: stands in the list twice; remove one"),
    ] {
        assert_eq!(mistakes(&with(line)), [format!("login.toml:{expected}")], "{line}");
    }
}

/// A mistake in one place hides none in another, however the two belong together.
#[test]
fn mistakes_of_apps_services_and_audiences_are_told_in_one_round() {
    let text = "[[app]]\nappid = \"wx 1\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n\
                [[app]]\nappid = \"wx2\"\nplatform = \"wechat\"\nsecret_env = \"WX_SECRET\"\n\
                [[service]]\nid = \"a:b\"\nsecret_env = \"NOBODY_SET_THIS\"\napps = [\"wx3\", \"wx2\"]\n\
                [[service]]\nid = \"stock\"\nsecret_env = \"ORDERS_SECRET\"\n\
                [jwt]\naudiences = [\"\", \"orders\"]\npublic_audiences = [\"order\"]\n\
                [verify]\nassertion_audience = \"orders\"\n\
                [claims]\nurl = \"https://users.internal\"\ntimeout = \"1h\"\n";
    let found = mistakes(text);
    let expected = [
        "login.toml:2: app[0].appid: ",
        "login.toml:7: app[1].platform: ",
        "login.toml:10: service[0].id: ",
        "login.toml:11: service[0].secret_env: ",
        "login.toml:12: service[0].apps[0]: \"wx3\" is not the appid of a configured app; write one of \"wx 1\", \"wx2\"",
        "login.toml:13: service[1].apps: is missing; several apps are configured",
        "login.toml:17: public_url: is missing, and jwt.audiences needs it",
        "login.toml:17: jwt.audiences[0]: ",
        "login.toml:17: jwt.audiences[1]: several apps are configured",
        "login.toml:18: jwt.public_audiences[0]: \"order\" is not one of jwt.audiences; write one of \"\", \"orders\"",
        "login.toml:20: public_url: is missing, and verify.assertion_audience needs it",
        "login.toml:20: verify.assertion_audience: is one of jwt.audiences, too",
        "login.toml:20: verify.assertion_audience: several apps are configured",
        "login.toml:22: public_url: is missing, and claims.url needs it",
        "login.toml:23: claims.timeout: ",
    ];
    for beginning in expected {
        assert!(found.iter().any(|line| line.starts_with(beginning)), "{beginning}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

/// Which appids there are is not known then, but what can be said of the service is said.
#[test]
fn an_app_without_an_appid_hides_no_mistake_of_a_service() {
    let app = "[[app]]\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n";
    let service = "[[service]]\nid = \"orders\"\nsecret_env = \"ORDERS_SECRET\"\napps = [\"wx1\", \"w x\"]\n";
    let found = mistakes(&format!("{app}{service}"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].starts_with("login.toml:7: service[0].apps[1]: \"w x\" is not an appid"), "{found:#?}");
}

#[test]
fn a_service_has_an_id_of_its_own() {
    let service = |id: &str| format!("[[service]]\nid = \"{id}\"\nsecret_env = \"ORDERS_SECRET\"\n");
    for (ids, expected) in [
        (["wx1", "b"], "6: service[0].id: is also an appid; a service needs an id of its own"),
        (["a", "a"], "9: service[1].id: another service is called \"a\" already; write another id"),
        (["", "b"], "6: service[0].id: \"\" is not a service id; use 1 to 128 visible ASCII characters without % + :"),
        (
            ["a:b", "b"],
            "6: service[0].id: \"a:b\" is not a service id; use 1 to 128 visible ASCII characters without % \
          + :",
        ),
    ] {
        let text = format!("{APP}{}{}", service(ids[0]), service(ids[1]));
        assert_eq!(mistakes(&text), [format!("login.toml:{expected}")]);
    }
}

#[test]
fn another_host_than_the_platforms_is_worth_a_warning_and_http_to_it_another() {
    for (url, host, in_clear) in [
        ("http://127.0.0.1:9999", "127.0.0.1", false),
        ("http://[::1]", "[::1]", false),
        ("http://localhost", "localhost", false),
        ("https://api.example.com", "api.example.com", false),
        ("https://api.weixin.qq.com", "api.weixin.qq.com", false),
        ("http://10.0.0.1", "10.0.0.1", true),
        ("http://localhost.example.com", "localhost.example.com", true),
    ] {
        let warnings = good(&format!("{APP}base_url = \"{url}\"")).warnings;
        let more =
            if in_clear { "; http to a host that is not loopback: the app secret travels unencrypted" } else { "" };
        let expected = format!(
            "login.toml:5: app[0].base_url: the app's platform is {host}, which decides who users are; remove it in \
             production{more}"
        );
        assert_eq!(warnings, [expected], "{url}");
    }
}

#[test]
fn a_simulator_is_allowed_beyond_loopback_only_where_the_file_says_so() {
    let allow = "[upstream]\nallow_simulator = true\n";
    for (listen, more, allowed, warned) in [
        ("127.0.0.1:8080", "", true, false),
        ("localhost:8080", allow, true, false),
        ("unix:/run/auth-ticket/http.sock", "", true, false),
        ("systemd:http", "", false, false),
        ("[::]:8080", "", false, false),
        ("10.0.0.7:8080", allow, true, true),
    ] {
        let config = good(&format!("listen = \"{listen}\"\n{APP}{more}"));
        let outbound = format!("{:?}", config.apps[0].platform.outbound);
        assert!(outbound.contains(&format!("allows_simulator: {allowed}")), "{listen}{more}: {outbound}");
        assert_eq!(config.settings.allow_simulator, warned, "{listen}{more}");
        let warnings = config.warnings.iter().filter(|warning| warning.contains("upstream.allow_simulator: ")).count();
        assert_eq!(warnings, usize::from(warned), "{:?}", config.warnings);
    }
}

#[test]
fn a_setting_of_another_platform_is_refused_with_the_platforms_that_take_it() {
    for (line, what) in [
        ("corp_id = \"corp\"", "corp_id"),
        ("experimental = false", "experimental"),
        ("private_key_file = \"/nowhere\"", "private_key_file"),
        ("aes_key_env = \"HOME\"", "aes_key_env"),
    ] {
        let found = mistakes(&format!("{APP}{line}\n"));
        let expected = format!("login.toml:5: app[0].{what}: platform \"weapp\" does not take it; ");
        assert!(
            found.iter().any(|mistake| mistake.starts_with(&expected) && mistake.ends_with("; remove it")),
            "{found:?}"
        );
    }
}
