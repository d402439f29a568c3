//! The table of settings: everything that a configuration may say, in the order in which the manual lists it.
//!
//! To add a setting, add a row here, read it in `assemble`, add its row to `docs/CONFIGURATION.md` and its test to `tests`.
//! Everything else follows from the row: unknown keys and what was probably meant, the environment variable, the default and
//! the bounds, the example in messages, `serve --print-example-config` and the manual page.

use super::setting::Repeats::{AnyTimes, AtLeastOnce, Named, Never};
use super::setting::ValueType::{Boolean, Claims, Duration, Integer, List, Text};
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
        "The address for clients, or a list of addresses: IP and port, localhost and port, \"unix:\" and a path, or \
         \"systemd:\" and the FileDescriptorName of a .socket unit. \"[::]:8080\" is every IPv6 and IPv4 address; on a host \
         without IPv6, every IPv4 address."),
    with("listen_mode", Text, "0660", "Permissions of Unix sockets in listen: who may connect."),
    with("admin_listen", Text, "127.0.0.1:9090",
        "The address for operators, or a list, as listen: health, metrics and key states. Keep it away from clients; \"\" \
         turns it off."),
    with("admin_listen_mode", Text, "0600", "Permissions of Unix sockets in admin_listen."),
    with("admin_hosts", List, "[]",
        "Names, besides IP addresses and localhost, that operators and their programs may use for that address. Other \
         names are refused, because a web page could make its own name resolve to it.")
        .such_as(r#"["ops.example.com"]"#),
    bare("public_url", Text, "https://login.example.com",
        "The URL by which clients and services reach this server; the issuer of JWTs, byte for byte. https (or http on \
         loopback), a host, optionally a port, and nothing else. Required if [jwt] has audiences."),
    with("keys_dir", Text, "keys",
        "The keys directory. A relative path starts at the working directory of the server."),
    with("allow_group_read", Boolean, "false",
        "Accept key files that are readable by their group, as Kubernetes' fsGroup creates them."),
    with("keys_poll", Duration("100ms", "10m"), "5s",
        "How often to check whether the files in keys_dir have changed. SIGHUP and a ticket with an unknown key trigger a \
         check at once."),
    with("workers", Integer(0, 1024), "0",
        "Threads that answer requests; 0 is one per processor that the process may use."),
    with("secret_files", Text, "private",
        "Who else may read the files named by secret_file: nobody (\"private\"), or every user (\"shared\"), for \
         containers that mount them like that. Root's files on a read-only mount, as in Docker and Swarm, are accepted in \
         any case."),
] };

/// All tables.
#[rustfmt::skip]
pub(super) const TABLES: &[Table] = &[
    Table { name: "ticket", repeats: Never, about: "", settings: &[
        with("ttl", Duration("60s", "90d"), "2h",
            "Lifetime of a ticket, in whole seconds. A renewal issues a new one."),
        with("max_session", Duration("60s", "3650d"), "30d",
            "Time after which the user must log in again, however often the ticket was renewed. Not shorter than ttl."),
    ] },
    Table { name: "app", repeats: AtLeastOnce, about: "One table for each mini-program; at least one.", settings: &[
        bare("appid", Text, "wx0123456789abcdef", "The app's id at the platform. Required."),
        bare("platform", Text, "weapp", "\"weapp\" is WeChat; auth-ticket platforms lists all of them. Required."),
        with("subject", Text, "openid", "The \"sub\" of JWTs: \"openid\" or \"unionid\"."),
        with("default", Boolean, "false",
            "Of several apps the one that is meant by logins and checks that name none. At most one."),
        bare("assertion_audience", Text, "shop-gateway",
            "As that of [verify], for checks of this app's tickets; with several apps, each needs its own."),
        bare("secret_env", Text, "WX_SECRET",
            "Name of the environment variable that holds the app's secret; either this or secret_file. The secret itself \
             does not belong here."),
        bare("secret_file", Text, "/run/secrets/wx", "File that holds the secret, not readable by every user."),
        bare("base_url", Text, "http://127.0.0.1:9999",
            "Another host of the platform's API: a simulator, or a regional one. Whoever answers there decides who users \
             are, so that it is warned of. Default: the platform's own."),
        bare("corp_id", Text, "ding0123456789abcdef", "The organisation whose users log in."),
        bare("private_key_file", Text, "/run/secrets/alipay-app.pem",
            "PEM file with the RSA key that signs the app's requests, not readable by every user."),
        bare("alipay_public_key_file", Text, "alipay-public.pem",
            "PEM file with Alipay's public key for this app, which proves its answers."),
        bare("aes_key_env", Text, "ALIPAY_AES_KEY",
            "Name of the environment variable that holds the app's AES key in base64; either this or aes_key_file."),
        bare("aes_key_file", Text, "/run/secrets/alipay-aes", "File that holds that key, not readable by every user."),
        with("subject_id", Text, "open_id", "Which of Alipay's ids becomes the openid: \"open_id\" or \"user_id\"."),
        with("phone", Boolean, "false",
            "Take phone numbers that nothing ties to a user or a time: who has seen one can send it again."),
        bare("phone_private_key_file", Text, "/run/secrets/tt-phone.pem",
            "PEM file with the RSA key to whose public half the platform encrypts phone numbers, not readable by every user."),
        with("experimental", Boolean, "false", "Serve a platform that is known from one program only.").such_as("true"),
        with("phone_unbound", Boolean, "false",
            "Take phone codes though the platform does not check whose they are: a user can send another user's."),
        with("phone_unverified", Boolean, "false",
            "Take encrypted phone numbers though nobody can say who made them: users can forge the number."),
        with("userdata_unbound", Boolean, "false",
            "Take encrypted data though it does not say for which app it is."),
        with("login_with_token", Boolean, "false",
            "Exchange codes of Baidu at the newer interface, which wants an access token."),
        bare("component_appid", Text, "wxfedcba9876543210",
            "WeChat's third-party platform that acts for the mini-program, which then needs no secret."),
        bare("component_access_token_file", Text, "/run/wechat/component_access_token",
            "File with that platform's component_access_token, not readable by every user. You keep it fresh; it is read for each \
             login."),
    ] },
    Table { name: "service", repeats: AnyTimes,
        about: "One table for each back-end service that may introspect tickets or exchange them for JWTs. Default: none.",
        settings: &[
        bare("id", Text, "orders",
            "1 to 128 visible ASCII characters without % + : (the secret: 16 to 128). No appid. Required."),
        bare("secret_env", Text, "ORDERS_SECRET", "As for an app: either this or secret_file."),
        bare("secret_file", Text, "/run/secrets/orders", "File that holds the secret, not readable by every user."),
        bare("apps", List, r#"["wx0123456789abcdef"]"#,
            "The appids whose tickets it may see. Optional if there is only one app."),
        with("may_sign", Boolean, "false",
            "Let it have data signed with the session_key of a ticket (POST /v1/signature), as payments need it."),
    ] },
    Table { name: "jwt", repeats: Never, about: "", settings: &[
        with("ttl", Duration("1s", "1d"), "5m", "Lifetime of a JWT, in whole seconds."),
        with("audiences", List, "[]",
            "Audiences that JWTs may be issued for. With several apps, each needs a table [jwt.audience.NAME]. Needs public_url.")
            .such_as(r#"["orders"]"#),
        with("public_audiences", List, "[]",
            "The audiences that a mini-program itself may request, without a service's secret.")
            .such_as(r#"["orders"]"#),
        with("phone", Boolean, "false", "Include the phone number, if the ticket has one, in JWTs."),
        with("typ", Text, "at+jwt",
            "What access tokens and assertions call themselves in the header: \"at+jwt\", or \"JWT\" for consumers that \
             refuse the first.")
            .such_as("JWT"),
    ] },
    Table { name: "jwt.audience", repeats: Named,
        about: "More about the audience NAME, which need not be in audiences then. No variable sets it.",
        settings: &[
        bare("apps", List, r#"["wx0123456789abcdef"]"#,
            "The appids whose tickets are exchanged for its JWTs. Optional if there is only one app."),
        with("public", Boolean, "false", "As if it were in public_audiences."),
        with("scopes", List, "[]", "The scopes that a request may ask for; they are then in the JWT.").such_as(r#"["read"]"#),
        bare("claims", Claims, r#"{ role = "authenticated" }"#,
            "Claims that are added to its JWTs: at most 2 KiB as JSON, and none of the server's own. A text that is \"$sub\", \
             \"$openid\", \"$unionid\", \"$appid\", \"$platform\", \"$login_id\", \"$phone\" (with jwt.phone) or \
             \"$claims\" is replaced by the user's value, or left out where the user has none. Default: none."),
    ] },
    Table { name: "claims", repeats: Never,
        about: "Claims of your own: at every login and renewal, the server asks a service of yours about the user.",
        settings: &[
        bare("url", Text, "https://users.internal/auth-ticket",
            "URL of that service; it receives a POST with a signed JWT as the body. Default: none. Needs public_url and a \
             jwt key."),
        bare("audience", Text, "users", "The audience (\"aud\") of that JWT. Default: the url, byte for byte."),
        with("timeout", Duration("100ms", "30s"), "2s", "Deadline for its answer, time in the queue included."),
        with("max_concurrent", Integer(1, 10_000), "64", "Concurrent requests to it, for each app."),
    ] },
    Table { name: "upstream", repeats: Never, about: "", settings: &[
        with("timeout", Duration("100ms", "60s"), "5s", "Deadline for a call to the platform, time in the queue included."),
        with("max_concurrent", Integer(1, 10_000), "64", "Concurrent calls for each app."),
        with("allow_simulator", Boolean, "false",
            "Accept the answers of auth-ticket simulator although listen is more than loopback. Anybody who reaches this \
             server can then log in as anybody: for test systems only."),
    ] },
    Table { name: "log", repeats: Never, about: "", settings: &[
        with("format", Text, "text",
            "Format of the lines on standard error: \"text\" for people, \"json\" for programs. The variable RUST_LOG \
             selects the lines."),
    ] },
    Table { name: "verify", repeats: Never, about: "", settings: &[
        with("any_app", Boolean, "false",
            "Let /v1/verify without an appid accept tickets of every app, if several are configured."),
        bare("assertion_audience", Text, "gateway",
            "Sign the answers of checks, for services that must not trust the network: the \"aud\" of the JWT in \
             X-Auth-Assertion. Must not be an audience of [jwt] or [claims]. With several apps, only beside any_app. Needs \
             public_url. Default: no JWT, the header is empty."),
    ] },
    Table { name: "phone", repeats: Never, about: "", settings: &[
        with("check_origin", Boolean, "true",
            "Accept an encrypted phone number only after the platform has confirmed that it encrypted it. Otherwise users \
             can forge the number."),
    ] },
    Table { name: "compat", repeats: Never, about: "", settings: &[
        with("enabled", Boolean, "false",
            "Serve /miniLogin/login.ajax, loginCheck.ajax and phone.ajax for older clients."),
        with("require_phone", Boolean, "false",
            "Let loginCheck.ajax answer code 400 until the user has proven a phone number with phone.ajax."),
    ] },
    Table { name: "cors", repeats: Never, about: "", settings: &[
        with("origins", List, "[]", "Origins whose pages may call from a browser; [\"*\"] is every origin.")
            .such_as(r#"["https://h5.example.com"]"#),
    ] },
    Table { name: "handover", repeats: Never, about: "", settings: &[
        with("origins", List, "[]",
            "Origins of web pages that may take over a session from a mini-program, which opens them in a web-view \
             (POST /v1/handover). At most 128 characters each.")
            .such_as(r#"["https://h5.example.com"]"#),
    ] },
    Table { name: "limits", repeats: Never, about: "", settings: &[
        with("max_connections", Integer(1, 1_000_000), "10000", "Concurrent connections; further ones wait."),
        with("max_connections_per_address", Integer(0, 1_000_000), "0",
            "Concurrent connections of one address; 0 for no limit. Further ones are closed at once. Connections of \
             trusted_proxies are not counted; behind these, it limits the requests in flight of each client address, \
             except checks.")
            .such_as("100"),
        with("login_rate_per_address", Text, "",
            "Logins of one address at one app, such as \"10/m\": a burst of ten, then ten a minute, evenly spaced. 1 to 1000000, a \
             slash, and s, m, h or a time from \"1s\" to \"1d\", as in \"5/15m\"; \"\" for no limit. Further logins get \
             429 with Retry-After, and their codes remain valid. Each process counts for itself. 64 bits of IPv6 count as \
             one address.")
            .such_as("10/m"),
        with("login_rate_per_app", Text, "", "The same for all users of one app.").such_as("100/s"),
        with("trusted_proxies", List, "[]",
            "The proxies and gateways in front of this server, as addresses or prefixes: [\"10.0.0.7\", \"fd00::/8\"]. A \
             request from one of them counts for the last address in its X-Forwarded-For that is not one of them; any \
             other request counts for its sender. \"unix\" is whoever may connect to a Unix socket of listen; its peers \
             have no address of their own.")
            .such_as(r#"["10.0.0.0/8"]"#),
        with("header_timeout", Duration("100ms", "10m"), "10s", "Deadline for the headers of a request."),
        with("body_timeout", Duration("100ms", "10m"), "10s", "Deadline for its body."),
        with("idle_timeout", Duration("100ms", "10m"), "75s", "Longest time between two requests on one connection."),
        with("shutdown_grace", Duration("100ms", "10m"), "10s",
            "Time for running requests to finish after SIGTERM or SIGINT."),
    ] },
];
