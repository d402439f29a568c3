//! The table of settings: everything that a configuration may say, in the order in which the manual lists it.
//!
//! To add a setting, add a row here, read it in `assemble`, add its row to `docs/CONFIGURATION.md` and its test to `tests`.
//! Everything else follows from the row: unknown keys and what was probably meant, the environment variable, the default and
//! the bounds, the example in messages, `serve --print-example-config` and the manual page.

use super::setting::Repeats::{AnyTimes, AtLeastOnce, Never};
use super::setting::ValueType::{Boolean, Duration, Integer, List, Text};
use super::setting::{Setting, Table, ValueType};

/// With a default.
const fn with(name: &'static str, value: ValueType, default: &'static str, about: &'static str) -> Setting {
    Setting { name, value, default: Some(default), example: default, about }
}

/// Without a default: it may be left out, or is required.
const fn bare(name: &'static str, value: ValueType, example: &'static str, about: &'static str) -> Setting {
    Setting { name, value, default: None, example, about }
}

/// What stands above the first table.
#[rustfmt::skip]
pub(super) const TOP: Table = Table { name: "", repeats: Never, about: "", settings: &[
    with("listen", Text, "[::]:8080",
        "Where clients connect: IP and port, or localhost and port. \"[::]:8080\" is every address of IPv6 and IPv4, on a host \
         without IPv6 every one of IPv4."),
    with("admin_listen", Text, "127.0.0.1:9090",
        "Health, metrics and key states for operators. Keep it away from clients; \"\" turns it off."),
    with("admin_hosts", List, "[]",
        "Names by which operators and their programs call that address, beside every IP address and localhost. Other names \
         are refused, since a web page could have its own resolve to it.")
        .such_as(r#"["ops.example.com"]"#),
    bare("public_url", Text, "https://login.example.com",
        "How clients and services reach this server; the issuer of JWTs, byte for byte. https (or http on loopback), a host, \
         perhaps a port, nothing after that. Needed as soon as [jwt] has audiences."),
    with("keys_dir", Text, "keys",
        "The directory of keys. A relative path starts at the working directory of the server."),
    with("allow_group_read", Boolean, "false",
        "Accept key files that their group may read, as Kubernetes' fsGroup makes them."),
    with("keys_poll", Duration("100ms", "10m"), "5s",
        "How often to look whether the files in keys_dir have changed. SIGHUP and a ticket under an unknown key look at once."),
    with("workers", Integer(0, 1024), "0",
        "Threads that answer requests; 0 is one for each processor that the process may use."),
    with("secret_files", Text, "private",
        "Who else may read the files that secret_file names: nobody (\"private\"), or every user (\"shared\"), where a \
         container mounts them like that and the mode cannot be changed. Root's files on a read-only mount, as Docker and \
         Swarm have them, do without."),
] };

/// All tables.
#[rustfmt::skip]
pub(super) const TABLES: &[Table] = &[
    Table { name: "ticket", repeats: Never, about: "", settings: &[
        with("ttl", Duration("60s", "90d"), "2h",
            "How long a ticket is good, in whole seconds. Renewing gets a new one."),
        with("max_session", Duration("60s", "3650d"), "30d",
            "When the user has to log in again, however often the ticket was renewed. Not shorter than ttl."),
    ] },
    Table { name: "app", repeats: AtLeastOnce, about: "One table for each mini-program; at least one.", settings: &[
        bare("appid", Text, "wx0123456789abcdef", "As the platform shows it. Required."),
        bare("platform", Text, "weapp", "\"weapp\" is WeChat. Required."),
        with("subject", Text, "openid", "Whose identifier JWTs carry as \"sub\": \"openid\" or \"unionid\"."),
        bare("secret_env", Text, "WX_SECRET",
            "The name of the variable that holds the app's secret; this or secret_file. The secret itself never stands here."),
        bare("secret_file", Text, "/run/secrets/wx", "A file that holds it, not readable by every user."),
        bare("base_url", Text, "http://127.0.0.1:9999",
            "Another address of the platform's interface: a simulator or a regional host. Default: the platform's own."),
    ] },
    Table { name: "service", repeats: AnyTimes,
        about: "One table for each back-end service that may introspect tickets or exchange them for JWTs. Default: none.",
        settings: &[
        bare("id", Text, "orders",
            "1 to 128 visible ASCII characters without % + : (the secret, too). No appid. Required."),
        bare("secret_env", Text, "ORDERS_SECRET", "As for an app: this or secret_file."),
        bare("secret_file", Text, "/run/secrets/orders", "A file that holds it, not readable by every user."),
        bare("apps", List, r#"["wx0123456789abcdef"]"#,
            "The appids whose tickets it may see. May be left out while there is only one app."),
    ] },
    Table { name: "jwt", repeats: Never, about: "", settings: &[
        with("ttl", Duration("1s", "1d"), "5m", "How long a JWT is good, in whole seconds."),
        with("audiences", List, "[]", "Whom JWTs may be for. Needs public_url.").such_as(r#"["orders"]"#),
        with("public_audiences", List, "[]",
            "Those of the audiences for which the mini-program itself may ask, without a service's secret.")
            .such_as(r#"["orders"]"#),
        with("phone", Boolean, "false", "Put the phone number, where the ticket has one, into JWTs."),
    ] },
    Table { name: "claims", repeats: Never,
        about: "The owner's own claims: at a login and at each renewal, a service of yours is asked about the user.",
        settings: &[
        bare("url", Text, "https://users.internal/auth-ticket",
            "Where it is asked: POST, with a signed JWT as the body. Default: nobody is asked. Needs public_url and a jwt key."),
        bare("audience", Text, "users", "What the JWT calls it (\"aud\"). Default: the url, byte for byte."),
        with("timeout", Duration("100ms", "30s"), "2s", "How long an answer may take."),
        with("max_concurrent", Integer(1, 10_000), "64", "How many questions may be out at once."),
    ] },
    Table { name: "upstream", repeats: Never, about: "", settings: &[
        with("timeout", Duration("100ms", "60s"), "5s", "The deadline of a call to the platform."),
        with("max_concurrent", Integer(1, 10_000), "64", "How many such calls of one app may run at once."),
    ] },
    Table { name: "log", repeats: Never, about: "", settings: &[
        with("format", Text, "text",
            "Lines on standard error: \"text\" for people, \"json\" for programs. What is logged is chosen by the variable \
             RUST_LOG."),
    ] },
    Table { name: "verify", repeats: Never, about: "", settings: &[
        with("any_app", Boolean, "false",
            "With several apps configured, let the route that names no app accept tickets of all of them."),
        bare("assertion_audience", Text, "gateway",
            "Sign what a check says, for services that must not trust the network: the \"aud\" of the JWT in X-Auth-Assertion. \
             None of [jwt] audiences. Needs public_url. Default: no JWT, the header is empty."),
    ] },
    Table { name: "phone", repeats: Never, about: "", settings: &[
        with("check_origin", Boolean, "true",
            "Take a phone number that came encrypted only after the platform has confirmed that it encrypted it. Without that \
             a user can forge the number."),
    ] },
    Table { name: "compat", repeats: Never, about: "", settings: &[
        with("enabled", Boolean, "false",
            "Serve /miniLogin/login.ajax, loginCheck.ajax and phone.ajax for clients that know nothing else."),
        with("require_phone", Boolean, "false",
            "Let loginCheck.ajax answer code 400 until a phone number has been proven by phone.ajax."),
    ] },
    Table { name: "cors", repeats: Never, about: "", settings: &[
        with("origins", List, "[]", "Origins of pages that may call from a browser; [\"*\"] allows every page.")
            .such_as(r#"["https://h5.example.com"]"#),
    ] },
    Table { name: "limits", repeats: Never, about: "", settings: &[
        with("max_connections", Integer(1, 1_000_000), "10000", "Connections at once; further ones wait."),
        with("max_connections_per_address", Integer(0, 1_000_000), "0",
            "Of those, connections of one address; 0 for no limit. Further ones are closed at once. Those of trusted_proxies \
             are not counted; there it is how many requests of one client address may be in flight, checks apart.")
            .such_as("100"),
        with("login_rate_per_address", Text, "",
            "Logins of one address, such as \"10/m\": ten at once, and after that ten a minute, evenly. 1 to 1000000, a slash, \
             and s, m, h or a time from \"1s\" to \"1d\", as in \"5/15m\"; \"\" for no limit. Further ones get 429 with \
             Retry-After, and keep their codes. Each process counts for itself. 64 bits of IPv6 count as one address.")
            .such_as("10/m"),
        with("login_rate_per_app", Text, "", "The same for all users of one app.").such_as("100/s"),
        with("trusted_proxies", List, "[]",
            "The proxies and gateways in front of this server, as addresses or prefixes: [\"10.0.0.7\", \"fd00::/8\"]. Only \
             what comes from there is counted for the last address in its X-Forwarded-For that is not one of these; all else \
             for its sender.")
            .such_as(r#"["10.0.0.0/8"]"#),
        with("header_timeout", Duration("100ms", "10m"), "10s", "For the header section of a request to arrive."),
        with("body_timeout", Duration("100ms", "10m"), "10s", "For its body to arrive."),
        with("idle_timeout", Duration("100ms", "10m"), "75s", "Between two requests on one connection."),
        with("shutdown_grace", Duration("100ms", "10m"), "10s",
            "For running requests to finish when the server is told to stop."),
    ] },
];
