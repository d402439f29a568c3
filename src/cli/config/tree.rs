//! File, environment and flags as one flat map from key paths to values; each value knows where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::claim_values::ClaimValues;
use super::mistake::{Mistake, Origin, nearest, quoted};
use super::schema::{self, Variable};
use super::setting::{Table, ValueType, join};
use super::table::TOP;

/// The environment, or a test's idea of it. Holds secrets: no `Debug`.
pub(super) type Environment = BTreeMap<OsString, OsString>;

/// What stands at a key.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    /// `None` when it does not fit.
    Integer(Option<i64>),
    Boolean(bool),
    List(Vec<Leaf>),
    /// A table of the owner's own names, where one may stand.
    Claims(ClaimValues),
    /// The text of a variable or a flag; its type is the key's.
    Words(String),
    /// Something that no key takes, as messages call it.
    Other(&'static str),
}

impl Value {
    /// A text, as it stands in the file or in a variable.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Words(text) => Some(text),
            _ => None,
        }
    }
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// `[jwt.audience.orders]`: its last name, and where it begins. What stands in it is at `jwt.audience[orders]`.
#[derive(Clone)]
pub(super) struct NamedTable {
    pub(super) origin: Origin,
    pub(super) name: String,
}

/// All settings, and all mistakes found so far.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) leaves: BTreeMap<String, Leaf>,
    /// Where each table of a repeated table begins.
    pub(super) tables: BTreeMap<&'static str, Vec<Origin>>,
    /// The tables whose names are the owner's, by what stands before the name.
    pub(super) named: BTreeMap<&'static str, Vec<NamedTable>>,
    /// Paths about which a mistake is reported already, so that nobody calls them missing.
    pub(super) refused: BTreeSet<String>,
    pub(super) mistakes: Vec<Mistake>,
    /// What is allowed and yet deserves a word at start.
    pub(super) warnings: Vec<Mistake>,
    pub(super) env: Environment,
}

impl Tree {
    /// Reads the file's text; the higher layers come with [`Self::apply_variables`] and [`Self::apply_flag`].
    ///
    /// # Errors
    /// The text is not TOML. A key that stands twice is a mistake like any other and hides none of the others.
    pub(super) fn parse(source: &str, env: Environment) -> Result<Self, Vec<Mistake>> {
        let (table, errors) = DeTable::parse_recoverable(source);
        let lines = Lines::new(source);
        let mut only_twice = true;
        let mut mistakes = Vec::new();
        for error in errors {
            let span = error.span().unwrap_or_default();
            let (line, column) = lines.position(span.start);
            let (key, message) = if error.message() == "duplicate key" {
                let name = source.get(span).unwrap_or_default();
                (if is_bare(name) { name } else { "" }, "this name stands twice; remove one of the two".to_owned())
            } else {
                only_twice = false;
                ("", format!("column {column}: {}; {SYNTAX_HINT}", error.message()))
            };
            mistakes.push(Mistake::new(Origin::File { line }, key, message));
        }
        if !only_twice {
            return Err(mistakes);
        }
        let mut tree = Self { mistakes, env, ..Self::default() };
        tree.flatten(&lines, "", &TOP, table.get_ref());
        Ok(tree)
    }

    /// Takes what stands below `table`, whose path is `prefix`.
    fn flatten(&mut self, lines: &Lines<'_>, prefix: &str, table: &'static Table, values: &DeTable<'_>) {
        for (name, value) in values {
            let origin = lines.origin(name);
            if let Some(setting) = table.setting(name.get_ref()) {
                let leaf = match (setting.value, value.get_ref()) {
                    (ValueType::Claims, DeValue::Table(claims)) => {
                        let origin_at = |offset| Origin::File { line: lines.position(offset).0 };
                        Leaf { origin, value: Value::Claims(ClaimValues::of(claims, &origin_at)) }
                    }
                    (_, value) => lines.leaf(origin, value),
                };
                self.leaves.insert(join(prefix, setting.name), leaf);
            } else if let Some(inner) = schema::table(&join(prefix, name.get_ref())) {
                self.flatten_table(lines, origin, inner, value.get_ref());
            } else {
                self.refuse_unknown(origin, prefix, name.get_ref(), table);
            }
        }
    }

    fn flatten_table(&mut self, lines: &Lines<'_>, origin: Origin, table: &'static Table, value: &DeValue<'_>) {
        let name = table.name;
        if table.is_named() {
            return self.flatten_named(lines, origin, table, value);
        }
        match (table.is_repeated(), value) {
            (false, DeValue::Table(values)) => self.flatten(lines, name, table, values),
            (false, other) => {
                let message = match other {
                    DeValue::Array(_) => format!("there is one such table; write [{name}], with single brackets"),
                    _ => format!("is {}; write [{name}] and its keys in the lines below", article(other)),
                };
                self.mistakes.push(Mistake::new(origin, name, message));
            }
            (true, DeValue::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    // An array of tables has a span for each header; the key's own span is that of the first.
                    let origin = lines.origin(item);
                    let path = format!("{name}[{index}]");
                    self.tables.entry(name).or_default().push(origin.clone());
                    if let DeValue::Table(values) = item.get_ref() {
                        self.flatten(lines, &path, table, values);
                    } else {
                        self.refuse_table(origin, path, name, article(item.get_ref()));
                    }
                }
            }
            (true, DeValue::Table(values)) => {
                self.tables.entry(name).or_default().push(origin.clone());
                let message = format!("there may be several; write [[{name}]], with double brackets");
                self.mistakes.push(Mistake::new(origin, name, message));
                self.flatten(lines, &format!("{name}[0]"), table, values);
            }
            (true, other) => self.refuse_table(origin, name.to_owned(), name, article(other)),
        }
    }

    fn flatten_named(&mut self, lines: &Lines<'_>, origin: Origin, table: &'static Table, value: &DeValue<'_>) {
        let DeValue::Table(tables) = value else {
            let message = format!("is {}; write [{}.NAME] and its keys in the lines below", article(value), table.name);
            return self.mistakes.push(Mistake::new(origin, table.name, message));
        };
        for (name, value) in tables {
            let origin = lines.origin(name);
            let name = name.get_ref().clone().into_owned();
            if let DeValue::Table(values) = value.get_ref() {
                self.flatten(lines, &format!("{}[{name}]", table.name), table, values);
                self.named.entry(table.name).or_default().push(NamedTable { origin, name });
            } else {
                let what = article(value.get_ref());
                let message = format!("is {what}; write [{}.NAME] and its keys in the lines below", table.name);
                self.mistakes.push(Mistake::new(origin, join(table.name, &quoted(&name)), message));
            }
        }
    }

    fn refuse_table(&mut self, origin: Origin, path: String, name: &str, kind: &str) {
        let message = format!("is {kind}; write [[{name}]] and its keys in the lines below");
        self.mistakes.push(Mistake::new(origin, path.clone(), message));
        self.refused.insert(path);
    }

    fn refuse_unknown(&mut self, origin: Origin, prefix: &str, name: &str, table: &'static Table) {
        let shown = if is_bare(name) { name.to_owned() } else { quoted(name) };
        let path = join(prefix, &shown);
        let message = if let Some(near) = nearest(name, schema::names(table)) {
            self.refused.insert(join(prefix, near));
            format!("there is no such key; did you mean {near}?")
        } else if table.setting("secret_env").is_some() && name.to_ascii_lowercase().contains("secret") {
            return self.refuse_literal_secret(origin, prefix, path);
        } else if schema::names(&TOP).any(|other| other == name) {
            format!("there is no such key here; {name} belongs at the top level, above the first [table]")
        } else {
            format!("there is no such key; here are: {}", schema::names(table).collect::<Vec<_>>().join(", "))
        };
        self.mistakes.push(Mistake::new(origin, path, message));
    }

    fn refuse_literal_secret(&mut self, origin: Origin, table: &str, path: String) {
        let message = "never put the secret itself here; use secret_env or secret_file";
        self.mistakes.push(Mistake::new(origin, path, message));
        self.refused.insert(join(table, "secret"));
    }

    /// Lays the variables that begin with `AUTH_TICKET_` over the file's settings.
    pub(super) fn apply_variables(&mut self) {
        let secrets = self.names_of_secrets();
        let mut indexed = Vec::new();
        for (name, text) in self.env.clone() {
            let is_ours = name.as_encoded_bytes().starts_with(schema::PREFIX.as_bytes());
            if !is_ours || name == schema::CONFIG_VARIABLE || secrets.contains(&name) {
                continue;
            }
            let value = text.into_string().map_or(Value::Other("text that is not UTF-8"), Value::Words);
            let origin = Origin::Variable(name.to_string_lossy().into_owned());
            match name.to_str().map(schema::variable) {
                None => self.mistakes.push(Mistake::new(origin, "", "the name is not UTF-8; unset this variable")),
                Some(None) => {
                    let message = unknown_variable(&name.to_string_lossy(), &value);
                    self.mistakes.push(Mistake::new(origin, "", message));
                }
                Some(Some(Variable::Plain(path))) => {
                    self.leaves.insert(path, Leaf { origin, value });
                }
                Some(Some(Variable::Indexed { table, index, name })) => {
                    indexed.push((table, index, name, Leaf { origin, value }));
                }
            }
        }
        indexed.sort_by_key(|(table, index, name, _)| (*table, *index, *name));
        for (table, index, name, leaf) in indexed {
            self.apply_indexed(table, index, name, leaf);
        }
    }

    fn apply_indexed(&mut self, table: &'static str, index: usize, name: &'static str, leaf: Leaf) {
        let tables = self.tables.entry(table).or_default();
        let path = format!("{table}[{index}]");
        if index > tables.len() {
            let message = format!("there is no {path}; the next free number is {}", tables.len());
            self.mistakes.push(Mistake::new(leaf.origin, join(&path, name), message));
            return;
        }
        if index == tables.len() {
            tables.push(leaf.origin.clone());
        }
        if name == "secret" {
            self.refuse_literal_secret(leaf.origin, &path, join(&path, name));
        } else {
            self.leaves.insert(join(&path, name), leaf);
        }
    }

    /// The variables that hold a secret, because some `secret_env` names them: never settings, whatever they are called.
    fn names_of_secrets(&self) -> BTreeSet<OsString> {
        let file = self.leaves.iter().filter_map(|(path, leaf)| match &leaf.value {
            Value::Text(name) if path.ends_with(".secret_env") => Some(name.into()),
            _ => None,
        });
        let env = self.env.iter().filter_map(|(name, value)| match schema::variable(name.to_str()?)? {
            Variable::Indexed { name: "secret_env", .. } => Some(value.clone()),
            _ => None,
        });
        file.chain(env).collect()
    }

    /// Lays one flag over everything else.
    pub(super) fn apply_flag(&mut self, path: &'static str, text: &str) {
        let leaf = Leaf { origin: Origin::Flag(path), value: Value::Words(text.to_owned()) };
        self.leaves.insert(path.to_owned(), leaf);
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(name)).map(OsString::as_os_str)
    }
}

const SYNTAX_HINT: &str =
    r#"write one setting on each line: text = "in quotes", number = 64, switch = true, list = ["a", "b"]"#;

fn unknown_variable(name: &str, value: &Value) -> String {
    let word = name.strip_prefix(schema::PREFIX).unwrap_or(name);
    let number = word.split("__").nth(1).and_then(|part| part.parse::<usize>().ok()).unwrap_or_default();
    let number = number.to_string();
    let all: Vec<String> = schema::variables(&number).chain([schema::CONFIG_VARIABLE.to_owned()]).collect();
    let words = all.iter().filter_map(|known| known.strip_prefix(schema::PREFIX));
    let below = format!("{word}__");
    let hint = if is_service_link(name, value.text().unwrap_or_default()) {
        "Kubernetes sets it for a Service of this name; write enableServiceLinks: false in the spec of the pod"
            .to_owned()
    } else if word.starts_with("JWT__AUDIENCE__") {
        "no variable sets what [jwt.audience.NAME] says; write it in the file".to_owned()
    } else if let Some(near) = nearest(word, words.clone()) {
        format!("did you mean {}{near}?", schema::PREFIX)
    } else if let Some(first) = words.clone().find(|known| known.starts_with(&below)) {
        format!("this is a table; a key of it is set by, for example, {}{first}", schema::PREFIX)
    } else {
        "unset it, or give it another name".to_owned()
    };
    format!("no key has this name, and no secret_env points to it; {hint}")
}

/// Whether it is one of the variables in which Kubernetes tells a pod where the Services of its namespace are.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_of_port = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let protocol = rest.split('_').nth(1).unwrap_or_default();
        rest.starts_with(|first: char| first.is_ascii_digit()) && ["TCP", "UDP", "SCTP"].contains(&protocol)
    });
    let is_port = name.ends_with("_PORT") && is_address;
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || is_of_port || is_port
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn is_bare(name: &str) -> bool {
    (1..=60).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The file's text, and where its lines begin, to turn byte offsets into lines.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { text, starts }
    }

    /// Line and column, both from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or_default();
        let column = self.text.get(start..offset).unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    fn origin<T>(&self, spanned: &Spanned<T>) -> Origin {
        Origin::File { line: self.position(spanned.span().start).0 }
    }

    fn leaf(&self, origin: Origin, value: &DeValue<'_>) -> Leaf {
        let value = match value {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Array(items) if !items.iter().any(|item| item.get_ref().is_table()) => {
                Value::List(items.iter().map(|item| self.leaf(self.origin(item), item.get_ref())).collect())
            }
            DeValue::Array(_) => Value::Other("a list of tables"),
            other => Value::Other(article(other)),
        };
        Leaf { origin, value }
    }
}
