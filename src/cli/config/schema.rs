//! The keys that a configuration may have, and an example of each for messages.

/// What may stand under a key.
pub(super) enum Shape {
    /// A single value or a list of texts; the example shows how it is written in the file.
    Value(&'static str),
    /// `[name]`.
    Table(&'static [Key]),
    /// `[[name]]`, any number of times.
    Tables(&'static [Key]),
}

/// One key and what may stand under it.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

const fn value(name: &'static str, example: &'static str) -> Key {
    Key { name, shape: Shape::Value(example) }
}

const fn table(name: &'static str, keys: &'static [Key]) -> Key {
    Key { name, shape: Shape::Table(keys) }
}

const fn tables(name: &'static str, keys: &'static [Key]) -> Key {
    Key { name, shape: Shape::Tables(keys) }
}

/// The top level.
pub(super) const ROOT: &[Key] = &[
    value("listen", r#""[::]:8080""#),
    value("admin_listen", r#""127.0.0.1:9090""#),
    value("admin_hosts", r#"["ops.example.com"]"#),
    value("public_url", r#""https://login.example.com""#),
    value("keys_dir", r#""keys""#),
    value("allow_group_read", "false"),
    value("keys_poll", r#""5s""#),
    value("workers", "0"),
    value("secret_files", r#""private""#),
    table("ticket", &[value("ttl", r#""2h""#), value("max_session", r#""30d""#)]),
    tables(
        "app",
        &[
            value("appid", r#""wx0123456789abcdef""#),
            value("platform", r#""weapp""#),
            value("subject", r#""openid""#),
            value("secret_env", r#""WX_SECRET""#),
            value("secret_file", r#""/run/secrets/wx""#),
            value("base_url", r#""http://127.0.0.1:9999""#),
        ],
    ),
    tables(
        "service",
        &[
            value("id", r#""orders""#),
            value("secret_env", r#""ORDERS_SECRET""#),
            value("secret_file", r#""/run/secrets/orders""#),
            value("apps", r#"["wx0123456789abcdef"]"#),
        ],
    ),
    table(
        "jwt",
        &[
            value("ttl", r#""5m""#),
            value("audiences", r#"["orders"]"#),
            value("public_audiences", r#"["orders"]"#),
            value("phone", "false"),
        ],
    ),
    table(
        "claims",
        &[
            value("url", r#""https://users.internal/auth-ticket""#),
            value("audience", r#""users""#),
            value("timeout", r#""2s""#),
            value("max_concurrent", "64"),
        ],
    ),
    table("upstream", &[value("timeout", r#""5s""#), value("max_concurrent", "64")]),
    table("log", &[value("format", r#""text""#)]),
    table("verify", &[value("any_app", "false"), value("assertion_audience", r#""gateway""#)]),
    table("phone", &[value("check_origin", "true")]),
    table("compat", &[value("enabled", "false"), value("require_phone", "false")]),
    table("cors", &[value("origins", r#"["https://h5.example.com"]"#)]),
    table(
        "limits",
        &[
            value("max_connections", "10000"),
            value("max_connections_per_address", "100"),
            value("login_rate_per_address", r#""10/m""#),
            value("login_rate_per_app", r#""100/s""#),
            value("trusted_proxies", r#"["10.0.0.0/8"]"#),
            value("header_timeout", r#""10s""#),
            value("body_timeout", r#""10s""#),
            value("idle_timeout", r#""75s""#),
            value("shutdown_grace", r#""10s""#),
        ],
    ),
];

pub(super) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// `app[0].appid` and the like: `name` under `prefix`, which is empty at the top level.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// How the setting at `path` is written in the file: `ttl = "2h"`.
pub(super) fn example(path: &str) -> String {
    let mut keys = ROOT;
    for part in path.split('.') {
        let name = part.split('[').next().unwrap_or_default();
        match find(keys, name).map(|key| &key.shape) {
            Some(Shape::Value(example)) => return format!("{name} = {example}"),
            Some(Shape::Table(inner) | Shape::Tables(inner)) => keys = inner,
            None => break,
        }
    }
    String::new()
}

/// The prefix of every environment variable that is a setting.
pub(super) const PREFIX: &str = "AUTH_TICKET_";

/// The variable that names the configuration file; read by the command line, not here.
pub(super) const CONFIG_VARIABLE: &str = "AUTH_TICKET_CONFIG";

/// What an environment variable stands for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Variable {
    /// A key outside of repeated tables, by its path.
    Plain(String),
    /// A key of table number `index` of the repeated table `table`.
    Indexed { table: &'static str, index: usize, name: &'static str },
}

/// Finds the key that a variable such as `AUTH_TICKET_TICKET__TTL` or `AUTH_TICKET_APP__0__APPID` names.
pub(super) fn variable(name: &str) -> Option<Variable> {
    let parts: Vec<&str> = name.strip_prefix(PREFIX)?.split("__").collect();
    let (first, rest) = parts.split_first()?;
    let key = find_upper(ROOT, first)?;
    match (&key.shape, rest) {
        (Shape::Value(_), []) => Some(Variable::Plain(key.name.to_owned())),
        (Shape::Table(inner), [second]) => {
            leaf(inner, second).map(|name| Variable::Plain(format!("{}.{name}", key.name)))
        }
        (Shape::Tables(inner), [number, third]) => {
            // No key, but known by name: it deserves an answer of its own.
            let name = if *third == "SECRET" { "secret" } else { leaf(inner, third)? };
            Some(Variable::Indexed { table: key.name, index: index(number)?, name })
        }
        _ => None,
    }
}

/// The variable that sets the key at `path`.
pub(super) fn variable_name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('[', "__").replace(']', "").replace('.', "__").to_ascii_uppercase())
}

/// Every variable there can be, with `index` for the number of a repeated table.
pub(super) fn variables(index: &str) -> Vec<String> {
    let mut all = vec![CONFIG_VARIABLE.to_owned()];
    for key in ROOT {
        match &key.shape {
            Shape::Value(_) => all.push(variable_name(key.name)),
            Shape::Table(inner) => all.extend(inner.iter().map(|k| variable_name(&format!("{}.{}", key.name, k.name)))),
            Shape::Tables(inner) => {
                all.extend(inner.iter().map(|k| variable_name(&format!("{}[{index}].{}", key.name, k.name))));
            }
        }
    }
    all
}

/// A number without sign or leading zero, so that every table has one spelling.
fn index(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &usize| number.to_string() == text)
}

fn leaf(keys: &'static [Key], upper: &str) -> Option<&'static str> {
    find_upper(keys, upper).filter(|key| matches!(key.shape, Shape::Value(_))).map(|key| key.name)
}

fn find_upper(keys: &'static [Key], upper: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name.to_ascii_uppercase() == upper)
}
