//! Key by key: what is accepted, what is refused, and with which words.

use std::path::Path;
use std::time::Duration;

use auth_ticket::http::{Settings, Subject};
use url::Url;

use super::{APP, good, mistakes, mistakes_with, shown};

#[test]
fn everything_but_one_app_may_be_left_out() {
    let config = good(APP);
    assert_eq!(shown(&config.listen), ["[::]:8080"]);
    assert_eq!(shown(&config.admin_listen), ["127.0.0.1:9090"]);
    assert_eq!((config.listen_mode, config.admin_listen_mode), (0o660, 0o600));
    assert_eq!(config.settings.issuer, None);
    assert_eq!(config.keys_dir, Path::new("keys"));
    assert!(!config.allow_group_read);
    assert_eq!(config.workers, 0);
    assert_eq!((config.settings.policy.ttl_s, config.settings.policy.max_session_s), (7200, 30 * 86400));
    let [app] = config.apps.as_slice() else { panic!("one app") };
    assert_eq!((app.id.as_str(), app.kind.name, app.subject), ("wx1", "weapp", Subject::Openid));
    assert_eq!(app.platform.base_url, None);
    assert!(config.services.is_empty());
    assert_eq!((config.settings.jwt.ttl_s, config.settings.jwt.phone), (300, false));
    assert!(config.settings.jwt.audiences.is_empty() && config.settings.assertion_audiences.is_empty());
    assert_eq!((config.apps[0].platform.timeout, config.apps[0].platform.max_concurrent), (Duration::from_secs(5), 64));
    assert!(!config.settings.any_app && !config.settings.compat.enabled && config.settings.cors_origins.is_empty());
    assert_eq!(config.settings.default_app, None);
    let limits = config.connections;
    assert_eq!(limits.max_connections, 10_000);
    let timeouts = [limits.header_timeout, config.settings.body_timeout, limits.shutdown_grace];
    assert_eq!(timeouts, [Duration::from_secs(10); 3]);
    assert_eq!(limits.idle_timeout, Duration::from_secs(75));
    assert!(config.warnings.is_empty());
    let library = Settings::default();
    assert_eq!(format!("{:?}", config.settings), format!("{library:?}"), "the library has the same defaults");
}

#[test]
fn every_key_can_be_set() {
    let config = good(
        r#"
        listen = "[::]:80"
        admin_listen = ""
        public_url = "http://localhost:8080"
        keys_dir = "/var/lib/keys"
        allow_group_read = true
        workers = 4
        ticket = { ttl = "1h 30m", max_session = "90m" }
        [[app]]
        appid = "wx1"
        platform = "weapp"
        subject = "unionid"
        secret_env = "WX_SECRET"
        base_url = "https://api.example.com/wx/"
        [[service]]
        id = "orders"
        secret_env = "ORDERS_SECRET"
        may_sign = true
        [jwt]
        ttl = "60s"
        audiences = ["orders", "https://stock.example.com"]
        public_audiences = ["orders"]
        phone = true
        [upstream]
        timeout = "100ms"
        max_concurrent = 10_000
        [verify]
        any_app = true
        assertion_audience = "gateway"
        [compat]
        enabled = true
        [cors]
        origins = ["https://h5.example.com", "http://127.0.0.1:10086"]
        [handover]
        origins = ["https://page.example.com"]
        [limits]
        max_connections = 1
        header_timeout = "10m"
        body_timeout = "1s 500ms"
        idle_timeout = "5m"
        shutdown_grace = "1m"
        "#,
    );
    assert_eq!((shown(&config.listen), config.admin_listen), (vec!["[::]:80".to_owned()], vec![]));
    assert_eq!(config.settings.issuer.as_deref(), Some("http://localhost:8080"));
    assert_eq!((config.settings.policy.ttl_s, config.settings.policy.max_session_s), (5400, 5400));
    assert_eq!(config.apps[0].subject, Subject::Unionid);
    assert_eq!(config.apps[0].platform.base_url.as_ref().map(Url::as_str), Some("https://api.example.com/wx"));
    let [service] = config.services.as_slice() else { panic!("one service") };
    assert_eq!((service.id.as_str(), service.apps[0].as_str(), service.apps.len()), ("orders", "wx1", 1));
    assert!(service.may_sign);
    let audiences = &config.settings.jwt.audiences;
    assert_eq!(audiences.iter().map(|audience| audience.is_public).collect::<Vec<_>>(), [true, false]);
    assert_eq!(audiences[1].name, "https://stock.example.com");
    assert_eq!(config.settings.assertion_audiences[&config.apps[0].id], "gateway");
    assert_eq!(config.settings.cors_origins, ["https://h5.example.com", "http://127.0.0.1:10086"]);
    assert_eq!(config.settings.handover_origins[0].as_str(), "https://page.example.com");
    assert_eq!(config.settings.body_timeout, Duration::from_millis(1500));
    assert_eq!(config.workers, 4);
    assert!(
        config.allow_group_read
            && config.settings.jwt.phone
            && config.settings.any_app
            && config.settings.compat.enabled
    );
}

/// Each text is the first line of a file that is good but for it.
#[test]
fn a_mistake_at_the_top_level_is_answered_with_the_remedy() {
    for (line, expected) in [
        ("listen = 8080", "listen: is an integer; write text in quotes, for example listen = \"[::]:8080\""),
        ("workers = 1025", "workers: 1025 is not a whole number from 0 to 1024"),
        ("workers = \"auto\"", "workers: is text; write a whole number without quotes, for example workers = 0"),
        ("listen = \"\"", "listen: \"\" is not an address; write an IP and a port, for example \"[::]:8080\", "),
        ("listen = \":8080\"", "listen: \":8080\" is not an address;"),
        ("listen = \"example.com:80\"", "listen: \"example.com:80\" is not an address; write an IP"),
        ("listen = \"1.2.3.4:65536\"", "listen: \"1.2.3.4:65536\" is not an address"),
        ("listen = []", "listen: lists nothing; write for example \"[::]:8080\""),
        ("listen = [1]", "listen[0]: is an integer; write a list of texts in quotes"),
        ("listen = [\"0.0.0.0:1\", \"x\"]", "listen[1]: \"x\" is not an address; write an IP and a port"),
        ("listen = [\"0.0.0.0:1\", \"0.0.0.0:1\"]", "listen[1]: stands in the list twice; remove one"),
        (
            "listen = [\"0.0.0.0:1\", \"[::]:1\"]",
            "listen[1]: listen[0] is 0.0.0.0:1 and listen[1] is [::]:1: give them",
        ),
        ("listen = \"unix:http.sock\"", "listen: \"unix:http.sock\" is not an address; write an absolute path, for"),
        ("listen = \"systemd:\"", "listen: \"systemd:\" is not an address; write the FileDescriptorName= of"),
        ("listen_mode = 660", "listen_mode: is an integer; write text in quotes, for example listen_mode = \"0660\""),
        ("listen_mode = \"0o660\"", "listen_mode: \"0o660\" is not the mode of a socket; write for example \"0660\""),
        ("listen_mode = \"0060\"", "listen_mode: \"0060\" keeps the server's own user out"),
        ("admin_listen_mode = \"1777\"", "admin_listen_mode: \"1777\" is not the mode of a socket"),
        ("listen = { port = 1 }", "listen: is a table; write text in quotes"),
        ("listen = \"127.0.0.1:9090\"", "listen: listen is 127.0.0.1:9090 and admin_listen is 127.0.0.1:9090: give"),
        ("admin_listen = \"127.0.0.1:8080\"", "admin_listen: listen is [::]:8080 and admin_listen is 127.0.0.1:"),
        ("admin_listen = false", "admin_listen: is a boolean; write text in quotes"),
        (
            "admin_hosts = [\"ops.example.com:9090\"]",
            "admin_hosts[0]: \"ops.example.com:9090\" is not a host name; write",
        ),
        (
            "admin_hosts = [\"http://ops\"]",
            "admin_hosts[0]: \"http://ops\" is not a host name; write it without scheme",
        ),
        ("admin_hosts = [\"ops..example\"]", "admin_hosts[0]: \"ops..example\" is not a host name"),
        ("admin_hosts = [\"\"]", "admin_hosts[0]: \"\" is not a host name"),
        ("admin_hosts = [\"10.0.0.7\"]", "admin_hosts[0]: \"10.0.0.7\" is always allowed; leave it out"),
        ("admin_hosts = [\"ops\", \"OPS\"]", "admin_hosts[1]: stands in the list twice; remove one"),
        ("admin_hosts = \"ops\"", "admin_hosts: is text; write a list"),
        ("public_url = \"\"", "public_url: \"\" is not a http or https URL; write for example \"https://login.exam"),
        ("public_url = \"login.example.com\"", "public_url: \"login.example.com\" is not a http or https URL"),
        ("public_url = \"ftp://a.example\"", "public_url: \"ftp://a.example\" is not a http or https URL"),
        ("public_url = \"https://a.example/\"", "public_url: only scheme and host belong here, without path and"),
        ("public_url = \"https://a.example/x\"", "public_url: only scheme and host"),
        ("public_url = \"https://a.example?x\"", "public_url: only scheme and host"),
        ("public_url = \"https:a.example\"", "public_url: the scheme is written in lower case and followed by ://"),
        ("public_url = \"HTTPS://a.example\"", "public_url: the scheme is written in lower case and followed by ://"),
        ("public_url = \"https:///a.example\"", "public_url: only scheme and host"),
        ("public_url = \"https://a.example:\"", "public_url: the port after the colon is missing"),
        ("public_url = \"https://u:canary@a.example\"", "public_url: the URL holds an @; user names and passwords"),
        ("public_url = \"http://a.example\"", "public_url: http is for loopback only"),
        ("public_url = \"https://a.example\\n\"", "public_url: \"https://a.example\\n\" is not a http or https URL"),
        ("keys_dir = \"\"", "keys_dir: \"\" is not a path; write for example \"keys\""),
        ("keys_dir = \"a\\u0000b\"", "keys_dir: \"a\\0b\" is not a path"),
        ("keys_dir = 1.5", "keys_dir: is a number with a fraction; write text in quotes, for example keys_dir = \"ke"),
        ("allow_group_read = \"true\"", "allow_group_read: is text; write true or false, without quotes, for examp"),
        ("allow_group_read = 1", "allow_group_read: is an integer; write true or false, without quotes"),
        ("lsiten = \"0.0.0.0:1\"", "lsiten: there is no such key; did you mean listen?"),
        (
            "port = 1",
            "port: there is no such key; here are: listen, listen_mode, admin_listen, admin_listen_mode, admin_h",
        ),
        ("\"a b\\n\" = 1", "\"a b\\n\": there is no such key; here are: "),
        ("ticket = \"2h\"", "ticket: is text; write [ticket] and its keys in the lines below"),
        ("jwt = [{ ttl = \"5m\" }]", "jwt: there is one such table; write [jwt], with single brackets"),
        ("service = \"orders\"", "service: is text; write [[service]] and its keys in the lines below"),
        ("service = [\"orders\"]", "service[0]: is text; write [[service]] and its keys in the lines below"),
    ] {
        let found = mistakes(&format!("{line}\n{APP}"));
        assert!(found.len() == 1 && found[0].starts_with(&format!("login.toml:1: {expected}")), "{line}: {found:#?}");
    }
}

/// Each case is a table and one line in it, below the four lines of a good app: line 6.
#[test]
fn a_mistake_in_a_table_is_answered_with_the_remedy() {
    for (table, line, expected) in [
        ("ticket", "ttl = \"2 hourz\"", "ttl: \"2 hourz\" is not a duration; write for example \"2h\" or \"30m\""),
        ("ticket", "ttl = 7200", "ttl: \"7200\" has no unit; write \"2h\", with a unit"),
        ("ticket", "ttl = \"7200\"", "ttl: \"7200\" has no unit; write \"2h\", with a unit"),
        ("ticket", "ttl = 1.5", "ttl: is a number with a fraction; write text in quotes, for example ttl = \"2h\""),
        ("ticket", "ttl = \"\"", "ttl: \"\" is not a duration"),
        ("ticket", "ttl = \"-2h\"", "ttl: \"-2h\" is not a duration"),
        ("ticket", "ttl = \"59s\"", "ttl: \"59s\" is out of range; write \"60s\" to \"90d\""),
        ("ticket", "ttl = \"91d\"", "ttl: \"91d\" is out of range"),
        ("ticket", "ttl = \"99999999999999999999y\"", "ttl: \"99999999999999999999y\" is not a duration"),
        ("ticket", "ttl = \"18446744073709551615s 18446744073709551615s\"", "ttl: \"18446744073709551615s 1844"),
        ("ticket", "ttl = \"60s 1ms\"", "ttl: has a fraction of a second; write for example \"60s\""),
        ("ticket", "ttl = \"31d\"", "ttl: is longer than max_session, which is \"30d\" unless set"),
        ("ticket", "max_session = \"1h\"", "max_session: is shorter than ttl; write a longer max_session or a shorter"),
        ("ticket", "max_session = \"3651d\"", "max_session: \"3651d\" is out of range; write \"60s\" to \"3650d\""),
        ("ticket", "tll = \"2h\"", "tll: there is no such key; did you mean ttl?"),
        (
            "ticket",
            "listen = \"0.0.0.0:1\"",
            "listen: there is no such key here; listen belongs at the top level, above",
        ),
        ("jwt", "ttl = \"0s\"", "ttl: \"0s\" is out of range; write \"1s\" to \"1d\""),
        ("jwt", "audiences = \"orders\"", "audiences: is text; write a list, for example audiences = [\"orders\"]"),
        (
            "jwt",
            "public_audiences = [\"orders\"]",
            "public_audiences[0]: \"orders\" is not one of jwt.audiences; there",
        ),
        ("jwt", "phone = \"yes\"", "phone: is text; write true or false"),
        ("upstream", "timeout = \"99ms\"", "timeout: \"99ms\" is out of range; write \"100ms\" to \"60s\""),
        ("upstream", "timeout = 2026-01-01", "timeout: is a date; write text in quotes"),
        ("upstream", "max_concurrent = 0", "max_concurrent: 0 is not a whole number from 1 to 10000"),
        ("upstream", "max_concurrent = -1", "max_concurrent: -1 is not a whole number from 1 to 10000"),
        ("upstream", "max_concurrent = 0xffff", "max_concurrent: 65535 is not a whole number from 1 to 10000"),
        ("upstream", "max_concurrent = 99999999999999999999", "max_concurrent: this is not a whole number from 1 to"),
        ("upstream", "max_concurrent = \"64\"", "max_concurrent: is text; write a whole number without quotes, for ex"),
        ("verify", "any_app = \"\"", "any_app: is text; write true or false"),
        ("verify", "assertion_audience = true", "assertion_audience: is a boolean; write text in quotes"),
        ("verify", "assertion_audience = \"\"", "assertion_audience: \"\" is not an audience; write 1 to 256"),
        ("compat", "enabled = []", "enabled: is a list; write true or false"),
        (
            "cors",
            "origins = [\"https://a.example/\"]",
            "origins[0]: \"https://a.example/\" is not spelled as browsers sen",
        ),
        (
            "cors",
            "origins = [\"https://a.example:443\"]",
            "origins[0]: \"https://a.example:443\" is not spelled as brow",
        ),
        (
            "cors",
            "origins = [\"a.example\"]",
            "origins[0]: \"a.example\" is not a http or https URL; write for example",
        ),
        ("cors", "origins = [\"\"]", "origins[0]: \"\" is not a http or https URL"),
        (
            "cors",
            "origins = [\"*\", \"https://a.example\"]",
            "origins[0]: \"*\" stands for every origin; write it alone",
        ),
        ("cors", "origins = [\"*\", \"*\"]", "origins[1]: stands in the list twice; remove one"),
        (
            "cors",
            "origins = [1]",
            "origins[0]: is an integer; write a list of texts in quotes, for example origins = [",
        ),
        ("cors", "origins = [{}]", "origins: is a list of tables; write a list, for example origins = ["),
        (
            "handover",
            "origins = [\"*\"]",
            "origins[0]: \"*\" is not a http or https URL; write for example \"https://h5.example.com\"",
        ),
        (
            "handover",
            "origins = [\"https://a.example/x\"]",
            "origins[0]: \"https://a.example/x\" is not spelled as brow",
        ),
        ("limits", "max_connections = 1_000_001", "max_connections: 1000001 is not a whole number from 1 to 1000000"),
        ("limits", "header_timeout = \"11m\"", "header_timeout: \"11m\" is out of range; write \"100ms\" to \"10m\""),
        ("limits", "body_timeout = true", "body_timeout: is a boolean; write text in quotes"),
        ("limits", "idle_timeout = \"0s\"", "idle_timeout: \"0s\" is out of range"),
        ("limits", "shutdown_grace = \"soon\"", "shutdown_grace: \"soon\" is not a duration"),
    ] {
        let found = mistakes_with(
            &format!("{APP}[{table}]\n{line}\n"),
            &[("AUTH_TICKET_PUBLIC_URL", "https://login.example.com")],
        );
        let expected = format!("login.toml:6: {table}.{expected}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{line}: {found:#?}\n{expected}");
    }
}

/// Each line replaces the appid, the platform or nothing of the only app.
#[test]
fn a_mistake_in_an_app_is_answered_with_the_remedy() {
    let long = format!("appid = \"{}\"", "x".repeat(65));
    for (line, expected) in [
        ("appid = \"\"", "appid: \"\" is not an appid; write 1 to 64 visible ASCII characters without / , % \" \\"),
        (long.as_str(), "appid: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"... is not an appid"),
        ("appid = \"a/b\"", "appid: \"a/b\" is not an appid"),
        ("appid = \"a,b\"", "appid: \"a,b\" is not an appid"),
        ("appid = \"a%b\"", "appid: \"a%b\" is not an appid"),
        ("appid = 'a\"b'", "appid: \"a\\\"b\" is not an appid"),
        ("appid = 'a\\b'", "appid: \"a\\\\b\" is not an appid"),
        ("appid = \"a b\"", "appid: \"a b\" is not an appid"),
        ("appid = \"微信\"", "appid: \"微信\" is not an appid"),
        ("appid = 1", "appid: is an integer; write text in quotes, for example appid = \"wx0123456789abcdef\""),
        ("platform = \"h5\"", "platform: \"h5\" is not a platform of this version; auth-ticket platforms lists them"),
        (
            "platform = \"wechat\"",
            "platform: \"wechat\" is not a platform of this version; auth-ticket platforms lists them",
        ),
        ("subject = \"unionId\"", "subject: \"unionId\" is not a subject; did you mean \"unionid\"?"),
        ("subject = \"\"", "subject: \"\" is not a subject; write \"openid\" or \"unionid\""),
        ("base_url = \"api.example.com\"", "base_url: \"api.example.com\" is not a http or https URL; write for examp"),
        ("base_url = \"https://a.example?x\"", "base_url: neither a query nor a fragment belongs here"),
        ("base_url = \"https://a.example#x\"", "base_url: neither a query nor a fragment belongs here"),
        ("base_url = \"https://u:canary@a.example\"", "base_url: the URL holds an @"),
        ("appId = \"wx1\"", "appId: there is no such key; did you mean appid?"),
        ("listen = \"wx1\"", "listen: there is no such key here; listen belongs at the top level"),
    ] {
        let key = line.split(' ').next().unwrap();
        let mut text = String::from("[[app]]\n");
        text.push_str(line);
        for line in APP.lines().skip(1).filter(|other| !other.starts_with(&format!("{key} "))) {
            text.push('\n');
            text.push_str(line);
        }
        let found = mistakes(&text);
        assert!(found.len() == 1 && found[0].starts_with(&format!("login.toml:2: app[0].{expected}")), "{found:#?}");
    }
}

#[test]
fn audiences_need_a_public_url() {
    let text = format!("{APP}[jwt]\naudiences = [\"orders\"]\npublic_audiences = [\n\"orders\",\n\"stock\"]\n");
    assert_eq!(
        mistakes(&text),
        [
            "login.toml:6: public_url: is missing, and jwt.audiences needs it: JWTs name their issuer; write for example \
             public_url = \"https://login.example.com\"",
            "login.toml:9: jwt.public_audiences[1]: \"stock\" is not one of jwt.audiences; write one of \"orders\"",
        ]
    );
}

#[test]
fn an_assertion_needs_a_public_url_and_an_audience_of_its_own() {
    let needed = "login.toml:6: public_url: is missing, and verify.assertion_audience needs it: assertions name";
    let found = mistakes(&format!("{APP}[verify]\nassertion_audience = \"gateway\"\n"));
    assert!(found.len() == 1 && found[0].starts_with(needed), "{found:#?}");
    let taken = "login.toml:7: verify.assertion_audience: is one of jwt.audiences, too: who asks for such a JWT could";
    let url = "public_url = \"https://login.example.com\"";
    let tables = "[verify]\nassertion_audience = \"orders\"\n[jwt]\naudiences = [\"orders\"]\n";
    let found = mistakes(&format!("{url}\n{APP}{tables}"));
    assert!(found.len() == 1 && found[0].starts_with(taken), "{found:#?}");
    let distinct = tables.replacen("orders", "gateway", 1);
    assert!(mistakes(&format!("{url}\n{APP}{distinct}x = 1\n"))[0].contains("x: there is no such key"));
}

#[test]
fn addresses_on_one_port_must_not_overlap() {
    let with = |listen: &str, admin: &str| {
        super::parse(&format!("listen = \"{listen}\"\nadmin_listen = \"{admin}\"\n{APP}"), &[]).is_ok()
    };
    assert!(with("127.0.0.1:0", "127.0.0.1:0"));
    assert!(with("127.0.0.1:80", "127.0.0.2:80"));
    assert!(with("0.0.0.0:80", "[::1]:80"));
    assert!(!with("127.0.0.1:80", "localhost:80"));
    assert!(!with("127.0.0.1:80", "0.0.0.0:80"));
    assert!(!with("[::]:80", "127.0.0.1:80"));
    assert!(!with("[::]:80", "[::1]:80"));
    assert!(!with("localhost:80", "[::1]:80"));
    assert!(!with("[::]:80", "localhost:80"));
}
