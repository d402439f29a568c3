//! Reads values out of the tree: each has its type and its check, and every mistake is noted on the way.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::check;
use super::problem::{Origin, Problem, quoted};
use super::schema::{self, join};
use super::tree::{Leaf, Tree, Value};

/// The mistake is in [`Tree::problems`]; there is no value to go on with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// A value, or the knowledge that its mistake is noted.
pub(super) type Read<T> = Result<T, Reported>;

/// An element of a list and where it stands.
pub(super) struct Item<T> {
    pub(super) origin: Origin,
    pub(super) key: String,
    pub(super) value: T,
}

impl Tree {
    pub(super) fn report(&mut self, origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Reported {
        self.problems.push(Problem::new(origin, key, message));
        Reported
    }

    /// Where the value at `path` stands, if it was given.
    pub(super) fn origin(&self, path: &str) -> Option<Origin> {
        self.leaves.get(path).map(|leaf| leaf.origin.clone())
    }

    /// Where the value at `path` stands; the file as a whole when it was left out.
    pub(super) fn given_or_file(&self, path: &str) -> Origin {
        self.origin(path).unwrap_or(Origin::File { line: 0 })
    }

    /// The text at `path`, whatever its checks say.
    pub(super) fn shown_text(&self, path: &str) -> Option<String> {
        self.leaves.get(path)?.value.text().map(str::to_owned)
    }

    /// The texts of the list at `path`, whatever their checks say.
    pub(super) fn shown_list(&self, path: &str) -> Vec<String> {
        match self.leaves.get(path).map(|leaf| &leaf.value) {
            Some(Value::List(leaves)) => {
                leaves.iter().filter_map(|leaf| leaf.value.text()).map(str::to_owned).collect()
            }
            Some(Value::Words(text)) => {
                text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Where the table at `path`, such as `app[1]`, begins.
    pub(super) fn table_origin(&self, name: &str, index: usize) -> Origin {
        let origin = self.tables.get(name).and_then(|tables| tables.get(index));
        origin.cloned().unwrap_or(Origin::File { line: 0 })
    }

    /// A text that may be left out.
    pub(super) fn optional<T>(&mut self, path: &str, check: impl FnOnce(&str) -> Result<T, String>) -> Read<Option<T>> {
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return Ok(None) };
        let checked = match &value {
            Value::Text(text) | Value::Words(text) => check(text),
            other => Err(mistyped(path, &origin, other, "text in quotes")),
        };
        checked.map(Some).map_err(|message| self.report(origin, path, message))
    }

    /// A text that stands for `default` when it is left out.
    pub(super) fn text<T>(&mut self, path: &str, default: &str, check: impl Fn(&str) -> Result<T, String>) -> Read<T> {
        match self.optional(path, &check)? {
            Some(value) => Ok(value),
            None => check(default).map_err(|message| self.report(Origin::File { line: 0 }, path, message)),
        }
    }

    /// A text that must be there, in table number `index` of `[[name]]`.
    pub(super) fn required<T>(
        &mut self,
        (name, index): (&str, usize),
        key: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Read<T> {
        let table = format!("{name}[{index}]");
        let path = join(&table, key);
        if let Some(value) = self.optional(&path, check)? {
            return Ok(value);
        }
        if self.refused.contains(&table) || self.refused.contains(&path) {
            return Err(Reported);
        }
        let origin = self.table_origin(name, index);
        let message = match origin {
            Origin::Variable(_) => format!("is missing; set {}", schema::variable_name(&path)),
            _ => format!("is missing; write for example {}", schema::example(&path)),
        };
        Err(self.report(origin, path, message))
    }

    /// A duration between the two bounds, which are written as a user would write them.
    pub(super) fn duration(&mut self, path: &str, default: &str, bounds: (&str, &str)) -> Read<Duration> {
        if let Some(leaf) = self.leaves.get_mut(path)
            && let Value::Integer(Some(number)) = leaf.value
        {
            leaf.value = Value::Text(number.to_string()); // the check has the right words for a number without unit
        }
        self.text(path, default, |text| check::duration(text, bounds))
    }

    /// A duration of whole seconds.
    pub(super) fn seconds(&mut self, path: &str, default: &str, bounds: (&str, &str)) -> Read<u64> {
        let duration = self.duration(path, default, bounds)?;
        if duration.subsec_nanos() == 0 {
            return Ok(duration.as_secs());
        }
        let origin = self.given_or_file(path);
        Err(self.report(
            origin,
            path,
            format!("has a fraction of a second; write for example \"{}s\"", duration.as_secs()),
        ))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, path: &str, default: bool) -> Read<bool> {
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return Ok(default) };
        let message = match &value {
            Value::Boolean(value) => return Ok(*value),
            Value::Words(text) => match text.parse() {
                Ok(value) => return Ok(value),
                Err(_) => format!("{} is not a boolean; write true or false", quoted(text)),
            },
            other => mistyped(path, &origin, other, "true or false, without quotes"),
        };
        Err(self.report(origin, path, message))
    }

    /// A whole number in `range`.
    pub(super) fn integer(&mut self, path: &str, default: usize, range: RangeInclusive<usize>) -> Read<usize> {
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return Ok(default) };
        let message = match &value {
            Value::Integer(number) => match number.and_then(|number| usize::try_from(number).ok()) {
                Some(number) if range.contains(&number) => return Ok(number),
                _ => out_of_range(number.map_or_else(|| "this".to_owned(), |number| number.to_string()), &range),
            },
            Value::Words(text) => match text.parse() {
                Ok(number) if range.contains(&number) => return Ok(number),
                _ => out_of_range(quoted(text), &range),
            },
            other => mistyped(path, &origin, other, "a whole number without quotes"),
        };
        Err(self.report(origin, path, message))
    }

    /// A list of different texts; in a variable they are separated by commas. `None` when it is left out.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        path: &str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Read<Option<Vec<Item<T>>>> {
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return Ok(None) };
        let leaves = match value {
            Value::List(leaves) => leaves,
            Value::Words(text) if text.trim().is_empty() => Vec::new(),
            Value::Words(text) => text
                .split(',')
                .map(|word| Leaf { origin: origin.clone(), value: Value::Words(word.trim().to_owned()) })
                .collect(),
            other => {
                let message = mistyped(path, &origin, &other, "a list");
                return Err(self.report(origin, path, message));
            }
        };
        let count = leaves.len();
        let mut items: Vec<Item<T>> = Vec::with_capacity(count);
        for (index, Leaf { origin, value }) in leaves.into_iter().enumerate() {
            let key = format!("{path}[{index}]");
            let checked = match &value {
                Value::Text(text) | Value::Words(text) => check(text),
                other => Err(mistyped(path, &origin, other, "a list of texts in quotes")),
            };
            match checked {
                Ok(value) if items.iter().any(|item| item.value == value) => {
                    self.report(origin, key, "stands in the list twice; remove one");
                }
                Ok(value) => items.push(Item { origin, key, value }),
                Err(message) => {
                    self.report(origin, key, message);
                }
            }
        }
        if items.len() == count { Ok(Some(items)) } else { Err(Reported) }
    }
}

fn out_of_range(shown: impl Display, range: &RangeInclusive<usize>) -> String {
    format!("{shown} is not a whole number from {} to {}", range.start(), range.end())
}

fn mistyped(path: &str, origin: &Origin, value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Text(_) | Value::Words(_) => "text",
        Value::Integer(_) => "an integer",
        Value::Boolean(_) => "a boolean",
        Value::List(_) => "a list",
        Value::Other(kind) => kind,
    };
    match origin {
        Origin::File { .. } => format!("is {kind}; write {wanted}, for example {}", schema::example(path)),
        _ => format!("is {kind}; unset it, or write it anew"),
    }
}
