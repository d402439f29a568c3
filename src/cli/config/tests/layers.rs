//! File, environment and flags: which wins, and what each says about its mistakes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::super::Config;
use super::{APP, TWO_APPS, lines, mistakes_with, parse, shown, with_secrets};

#[test]
fn the_environment_wins_over_the_file_and_a_flag_over_both() {
    let text =
        format!("listen = \"1.1.1.1:1\"\nkeys_dir = \"file\"\nallow_group_read = true\n{APP}[ticket]\nttl = \"1h\"\n");
    let env = [("AUTH_TICKET_LISTEN", "2.2.2.2:2"), ("AUTH_TICKET_KEYS_DIR", "env"), ("AUTH_TICKET_TICKET__TTL", "3h")];
    let flags = [
        ("listen", Some("3.3.3.3:3".to_owned())),
        ("admin_listen", Some(String::new())),
        ("public_url", Some("https://a.example".to_owned())),
        ("keys_dir", None),
        ("allow_group_read", Some("false".to_owned())),
    ];
    let config = Config::parse("login.toml", &text, with_secrets(&env), &flags).unwrap();
    assert_eq!(shown(&config.listen), ["3.3.3.3:3"]);
    assert_eq!(config.admin_listen, []);
    assert_eq!(config.settings.issuer.as_deref(), Some("https://a.example"));
    assert_eq!(config.keys_dir, Path::new("env"));
    assert!(!config.allow_group_read);
    assert_eq!(config.settings.policy.ttl_s, 3 * 3600);
}

#[test]
fn numbers_switches_and_lists_are_read_from_variables() {
    let env = [
        ("AUTH_TICKET_UPSTREAM__MAX_CONCURRENT", "7"),
        ("AUTH_TICKET_COMPAT__ENABLED", "true"),
        ("AUTH_TICKET_CORS__ORIGINS", "https://a.example, https://b.example"),
        ("AUTH_TICKET_PUBLIC_URL", "https://login.example.com"),
        ("AUTH_TICKET_JWT__AUDIENCES", "orders"),
        ("AUTH_TICKET_JWT__PUBLIC_AUDIENCES", ""),
        ("AUTH_TICKET_LIMITS__LOGIN_RATE_PER_APP", ""),
        ("AUTH_TICKET_LIMITS__TRUSTED_PROXIES", "10.0.0.7, fd00::/8"),
    ];
    let tables = "[jwt]\npublic_audiences = [\"stock\"]\n[limits]\nlogin_rate_per_app = \"10/m\"\n";
    let config = parse(&format!("{APP}{tables}"), &env).unwrap();
    assert_eq!(config.apps[0].platform.max_concurrent, 7);
    assert!(config.settings.compat.enabled);
    assert_eq!(config.settings.cors_origins, ["https://a.example", "https://b.example"]);
    let [audience] = config.settings.jwt.audiences.as_slice() else { panic!("{:?}", config.settings.jwt) };
    assert_eq!((audience.name.as_str(), audience.is_public), ("orders", false));
    assert_eq!(config.settings.limits.login_rate_per_app, None);
    assert_eq!(config.settings.limits.trusted_proxies.len(), 2);
}

#[test]
fn one_app_can_come_from_the_environment_alone() {
    let env = [
        ("AUTH_TICKET_APP__0__APPID", "wx9"),
        ("AUTH_TICKET_APP__0__PLATFORM", "weapp"),
        ("AUTH_TICKET_APP__0__SECRET_ENV", "AUTH_TICKET_WX"),
        ("AUTH_TICKET_WX", "canary"),
    ];
    let config = parse("", &env).unwrap();
    assert_eq!((config.apps.len(), config.apps[0].id.as_str()), (1, "wx9"));
    // The same variables change the first app of a file, and a further number adds one.
    assert_eq!(parse(APP, &env).unwrap().apps[0].id.as_str(), "wx9");
    let second = env.map(|(name, value)| (name.replace("__0__", "__1__"), value));
    let second: Vec<(&str, &str)> = second.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(parse(APP, &second).unwrap().apps[1].id.as_str(), "wx9");
}

#[test]
fn tables_from_the_environment_are_numbered_without_gaps() {
    assert_eq!(
        mistakes_with(APP, &[("AUTH_TICKET_APP__2__APPID", "wx9"), ("AUTH_TICKET_SERVICE__0__ID", "orders")]),
        [
            "AUTH_TICKET_APP__2__APPID: app[2].appid: there is no app[2]; the next free number is 1",
            "AUTH_TICKET_SERVICE__0__ID: service[0].secret_env: is missing, and so is secret_file; set \
             AUTH_TICKET_SERVICE__0__SECRET_ENV to the name of a variable that holds the secret",
        ]
    );
    assert_eq!(
        mistakes_with("", &[("AUTH_TICKET_APP__0__APPID", "wx9"), ("AUTH_TICKET_APP__0__SECRET_ENV", "WX_SECRET")]),
        ["AUTH_TICKET_APP__0__APPID: app[0].platform: is missing; set AUTH_TICKET_APP__0__PLATFORM"]
    );
}

#[test]
fn a_mistake_in_a_variable_is_told_by_its_name() {
    for (name, value, expected) in [
        ("LISTEN", "8080", "listen: \"8080\" is not an address; write an IP and a port"),
        ("PUBLIC_URL", "", "public_url: \"\" is not a http or https URL"),
        ("TICKET__TTL", "7200", "ticket.ttl: \"7200\" has no unit; write \"2h\", with a unit"),
        ("ALLOW_GROUP_READ", "yes", "allow_group_read: \"yes\" is not a boolean; write true or false"),
        ("COMPAT__ENABLED", "", "compat.enabled: \"\" is not a boolean; write true or false"),
        ("LIMITS__MAX_CONNECTIONS", "many", "limits.max_connections: \"many\" is not a whole number from 1 to 1000000"),
        ("LIMITS__MAX_CONNECTIONS", "0", "limits.max_connections: \"0\" is not a whole number from 1 to 1000000"),
        ("CORS__ORIGINS", "https://a.example,,", "cors.origins[1]: \"\" is not a http or https URL"),
        (
            "TICKET_TTL",
            "2h",
            "no key has this name, and no secret_env points to it; did you mean AUTH_TICKET_TICKET__TTL?",
        ),
        ("LISTN", "2h", "no key has this name, and no secret_env points to it; did you mean AUTH_TICKET_LISTEN?"),
        ("listen", "2h", "no key has this name, and no secret_env points to it; unset it, or give it another name"),
        (
            "JWT",
            "2h",
            "no key has this name, and no secret_env points to it; this is a table; a key of it is set by, for \
          example, AUTH_TICKET_JWT__TTL",
        ),
        (
            "APP",
            "wx1",
            "no key has this name, and no secret_env points to it; this is a table; a key of it is set by, for \
          example, AUTH_TICKET_APP__0__APPID",
        ),
        (
            "APP__00__APPID",
            "wx1",
            "no key has this name, and no secret_env points to it; did you mean AUTH_TICKET_APP__0__APPID?",
        ),
        (
            "APP__3__APPIT",
            "wx1",
            "no key has this name, and no secret_env points to it; did you mean \
          AUTH_TICKET_APP__3__APPID?",
        ),
        ("WX_SECRET", "canary", "no key has this name, and no secret_env points to it; unset it"),
        ("APP__0__SECRET", "canary", "app[0].secret: never put the secret itself here; use secret_env or secret_file"),
        ("", "x", "no key has this name, and no secret_env points to it; unset it"),
    ] {
        let name = format!("AUTH_TICKET_{name}");
        let found = mistakes_with(APP, &[(&name, value)]);
        assert!(found.first().is_some_and(|line| line.starts_with(&format!("{name}: {expected}"))), "{found:#?}");
    }
}

/// Kubernetes tells pods where the Services of their namespace are, in variables that begin with the Service's name.
#[test]
fn variables_that_kubernetes_sets_are_told_with_how_to_turn_them_off() {
    for (name, value) in [
        ("SERVICE_HOST", "10.96.0.7"),
        ("SERVICE_PORT", "8080"),
        ("SERVICE_PORT_HTTP", "8080"),
        ("PORT", "tcp://10.96.0.7:8080"),
        ("PORT_8080_TCP", "tcp://10.96.0.7:8080"),
        ("PORT_8080_TCP_PROTO", "tcp"),
        ("PORT_8080_TCP_PORT", "8080"),
        ("PORT_8080_TCP_ADDR", "10.96.0.7"),
        ("ADMIN_SERVICE_HOST", "10.96.0.8"),
        ("ADMIN_PORT_9090_UDP_ADDR", "10.96.0.8"),
    ] {
        let name = format!("AUTH_TICKET_{name}");
        let found = mistakes_with(APP, &[(&name, value)]);
        assert!(found[0].contains("Kubernetes") && found[0].contains("enableServiceLinks: false"), "{found:#?}");
    }
    let found = mistakes_with(APP, &[("AUTH_TICKET_PORT", "8080")]);
    assert!(!found[0].contains("Kubernetes"), "{found:#?}");
}

#[test]
fn of_two_keys_that_exclude_each_other_the_variables_wins() {
    let file = APP.replace("secret_env = \"WX_SECRET\"", "secret_file = \"/nowhere\"");
    let config = parse(&file, &[("AUTH_TICKET_APP__0__SECRET_ENV", "WX_SECRET")]).unwrap();
    assert_eq!(config.apps.len(), 1);
    let found = mistakes_with(APP, &[("AUTH_TICKET_APP__0__SECRET_FILE", "/nowhere")]);
    let expected = "AUTH_TICKET_APP__0__SECRET_FILE: app[0].secret_file: the file cannot be opened";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:#?}");
    // In one layer nobody knows which is meant.
    let both = [("AUTH_TICKET_APP__0__SECRET_ENV", "WX_SECRET"), ("AUTH_TICKET_APP__0__SECRET_FILE", "/nowhere")];
    let found = mistakes_with(&APP.replace("secret_env = \"WX_SECRET\"\n", ""), &both);
    assert!(found[0].ends_with("app[0].secret_file: secret_env is given, too; keep one of the two"), "{found:#?}");
}

#[test]
fn the_variable_that_names_the_file_is_no_setting() {
    assert!(parse(APP, &[("AUTH_TICKET_CONFIG", "login.toml"), ("AUTHTICKET", "x")]).is_ok());
}

#[test]
fn a_variable_that_a_secret_env_names_is_no_setting() {
    let text = APP.replace("WX_SECRET", "AUTH_TICKET_LISTEN");
    let config = parse(&text, &[("AUTH_TICKET_LISTEN", "canary")]).unwrap();
    assert_eq!(shown(&config.listen), ["[::]:8080"]);
}

#[test]
fn a_variable_that_is_not_utf_8_is_told_by_its_name() {
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let mut env = with_secrets(&[]);
    env.push((bytes(b"AUTH_TICKET_LISTEN"), bytes(b"canary\xff")));
    env.push((bytes(b"AUTH_TICKET_\xff"), bytes(b"canary")));
    env.push((bytes(b"OTHER\xff"), bytes(b"canary\xff")));
    let error = Config::parse("login.toml", APP, env, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration has 2 mistakes\n  \
         AUTH_TICKET_LISTEN: listen: is text that is not UTF-8; unset it, or write it anew\n  \
         AUTH_TICKET_\u{fffd}: the name is not UTF-8; unset this variable"
    );
}

#[test]
fn a_mistake_in_a_flag_is_told_by_the_flag() {
    let bad = || Some("a b".to_owned());
    let flags = [
        ("listen", bad()),
        ("admin_listen", bad()),
        ("public_url", bad()),
        ("keys_dir", Some(String::new())),
        ("allow_group_read", bad()),
    ];
    let error = Config::parse("login.toml", APP, with_secrets(&[]), &flags).unwrap_err();
    let starts: Vec<String> = lines(&error).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(starts, ["--admin-listen:", "--allow-group-read:", "--keys-dir:", "--listen:", "--public-url:"]);
}

#[test]
fn all_mistakes_are_told_at_once_and_in_order() {
    let text =
        TWO_APPS.replace("weapp", "weap") + "[ticket]\nttl = \"2 hourz\"\ntll = 1\n[limits]\nidle_timeout = 75\n";
    let flags = [("listen", Some("x".to_owned()))];
    let env = with_secrets(&[("AUTH_TICKET_JWT__PHONE", "x"), ("AUTH_TICKET_ADMIN_LISTEN", "x")]);
    let error = Config::parse("login.toml", &text, env, &flags).unwrap_err();
    let heads: Vec<String> = error.to_string().lines().map(|l| l.split_inclusive(": ").take(2).collect()).collect();
    assert_eq!(
        heads,
        [
            "login.toml has 8 mistakes",
            "  login.toml:3: app[0].platform: ",
            "  login.toml:7: app[1].platform: ",
            "  login.toml:11: ticket.ttl: ",
            "  login.toml:12: ticket.tll: ",
            "  login.toml:14: limits.idle_timeout: ",
            "  AUTH_TICKET_ADMIN_LISTEN: admin_listen: ",
            "  AUTH_TICKET_JWT__PHONE: jwt.phone: ",
            "  --listen: listen: ",
        ]
    );
}
