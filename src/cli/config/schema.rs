//! Finds settings in the table: by path, and by the variable that stands for them.

use std::iter;

use super::setting::{Setting, Table};
use super::table::{TABLES, TOP};

/// The table of this name.
pub(super) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// The setting at `path`, which the program reads.
pub(super) fn at(path: &str) -> &'static Setting {
    let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
    // `app[0]`, `jwt.audience[https://orders.example]`
    let table = table.split('[').next().and_then(self::table).unwrap_or(&TOP);
    table.setting(name).expect("all that is read stands in the table")
}

/// What may stand below `table`; at the top level that is the tables, too.
pub(super) fn names(table: &Table) -> impl Iterator<Item = &'static str> + use<> {
    let prefix = if table.name.is_empty() { String::new() } else { format!("{}.", table.name) };
    let below = TABLES.iter().filter_map(move |other| other.name.strip_prefix(&prefix));
    table.settings.iter().map(|setting| setting.name).chain(below.filter(|name| !name.contains('.')))
}

/// All settings with their paths; `index` is the number of each repeated table.
pub(super) fn all(index: &str) -> impl Iterator<Item = (String, &'static Setting)> {
    let of = move |table: &'static Table| {
        table.settings.iter().map(move |setting| (table.path(index, setting.name), setting))
    };
    iter::once(&TOP).chain(TABLES).flat_map(of)
}

/// The variables of all settings that have one; `index` is the number of each repeated table.
pub(super) fn variables(index: &str) -> impl Iterator<Item = String> {
    let is_settable = |table: &&'static Table| !table.is_named();
    let of = move |table: &'static Table| {
        table.settings.iter().map(move |setting| variable_name(&table.path(index, setting.name)))
    };
    iter::once(&TOP).chain(TABLES).filter(is_settable).flat_map(of)
}

/// How the setting at `path` is written in the file: `ttl = "2h"`.
pub(super) fn example(path: &str) -> String {
    let setting = at(path);
    format!("{} = {}", setting.name, setting.literal(setting.example))
}

/// The prefix of every environment variable that is a setting.
pub(super) const PREFIX: &str = "AUTH_TICKET_";

/// The variable that names the configuration file; read by the command line, not here.
pub(super) const CONFIG_VARIABLE: &str = "AUTH_TICKET_CONFIG";

/// What an environment variable stands for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Variable {
    /// A setting outside of repeated tables, by its path.
    Plain(String),
    /// A setting of table number `index` of the repeated table `table`.
    Indexed { table: &'static str, index: usize, name: &'static str },
}

/// Finds the setting that a variable such as `AUTH_TICKET_TICKET__TTL` or `AUTH_TICKET_APP__0__APPID` names.
pub(super) fn variable(name: &str) -> Option<Variable> {
    let parts: Vec<&str> = name.strip_prefix(PREFIX)?.split("__").collect();
    let table = |upper: &str| TABLES.iter().find(|table| table.name.to_ascii_uppercase() == upper);
    match *parts.as_slice() {
        [name] => TOP.setting_in_upper_case(name).map(|name| Variable::Plain(name.to_owned())),
        [first, name] => {
            let table = table(first).filter(|table| !table.is_repeated())?;
            Some(Variable::Plain(table.path("", table.setting_in_upper_case(name)?)))
        }
        [first, number, name] => {
            let table = table(first).filter(|table| table.is_repeated())?;
            // No key, but known by name: it deserves an answer of its own.
            let name = if name == "SECRET" { "secret" } else { table.setting_in_upper_case(name)? };
            Some(Variable::Indexed { table: table.name, index: index(number)?, name })
        }
        _ => None,
    }
}

/// A number without sign or leading zero, so that every table has one spelling.
fn index(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &usize| number.to_string() == text)
}

/// The variable that sets the key at `path`.
pub(super) fn variable_name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('[', "__").replace(']', "").replace('.', "__").to_ascii_uppercase())
}
