//! Reads values out of the tree: each has its type and its check, and every mistake is noted on the way.
//!
//! A value that is wrong is read as if it were left out, so that reading goes on and no mistake hides another;
//! [`Tree::mistakes`] decides in the end.

use std::fmt::Display;
use std::time::Duration;

use super::check;
use super::mistake::{Mistake, Origin, quoted};
use super::schema;
use super::setting::{ValueType, join};
use super::tree::{Leaf, Tree, Value};

/// An element of a list and where it stands.
pub(super) struct Item<T> {
    pub(super) origin: Origin,
    pub(super) key: String,
    pub(super) value: T,
}

impl Tree {
    pub(super) fn report(&mut self, origin: Origin, key: impl Into<String>, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(origin, key, message));
    }

    /// The same where the value at `path` stands.
    pub(super) fn report_at(&mut self, path: &str, message: impl Into<String>) {
        self.report(self.given_or_file(path), path, message);
    }

    /// Whether a mistake is noted in the value at `path`.
    pub(super) fn is_wrong(&self, path: &str) -> bool {
        let rest_of =
            |mistake: &Mistake| mistake.key.strip_prefix(path).map(|rest| rest.is_empty() || rest.starts_with('['));
        self.mistakes.iter().any(|mistake| rest_of(mistake) == Some(true))
    }

    /// Where the value at `path` stands, if it was given.
    pub(super) fn origin(&self, path: &str) -> Option<Origin> {
        self.leaves.get(path).map(|leaf| leaf.origin.clone())
    }

    /// Where the value at `path` stands; the file as a whole when it was left out.
    pub(super) fn given_or_file(&self, path: &str) -> Origin {
        self.origin(path).unwrap_or(Origin::File { line: 0 })
    }

    /// Of two keys that exclude each other, forgets the one of the lower layer: whoever sets a variable means that one,
    /// whatever the file says.
    pub(super) fn keep_upper(&mut self, one: &str, other: &str) {
        let layer = |path: &str| self.leaves.get(path).map(|leaf| leaf.origin.layer());
        match (layer(one), layer(other)) {
            (Some(first), Some(second)) if first > second => drop(self.leaves.remove(other)),
            (Some(first), Some(second)) if first < second => drop(self.leaves.remove(one)),
            _ => {}
        }
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

    /// The same with where each stands.
    pub(super) fn shown_items(&self, path: &str) -> Vec<Item<String>> {
        let of_leaves: &[Leaf] = match self.leaves.get(path).map(|leaf| &leaf.value) {
            Some(Value::List(leaves)) => leaves.as_slice(),
            _ => &[],
        };
        let item = |(index, value): (usize, String)| {
            let origin = of_leaves.get(index).map_or_else(|| self.given_or_file(path), |leaf| leaf.origin.clone());
            Item { origin, key: format!("{path}[{index}]"), value }
        };
        self.shown_list(path).into_iter().enumerate().map(item).collect()
    }

    /// Where the table at `path`, such as `app[1]`, begins.
    pub(super) fn table_origin(&self, name: &str, index: usize) -> Origin {
        let origin = self.tables.get(name).and_then(|tables| tables.get(index));
        origin.cloned().unwrap_or(Origin::File { line: 0 })
    }

    /// How many tables `[[name]]` there are.
    pub(super) fn count(&self, name: &str) -> usize {
        self.tables.get(name).map_or(0, Vec::len)
    }

    /// A text that may be left out.
    pub(super) fn optional<T>(&mut self, path: &str, check: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let Leaf { origin, value } = self.leaves.get(path).cloned()?;
        let checked = match &value {
            Value::Text(text) | Value::Words(text) => check(text),
            other => Err(mistyped(path, &origin, other, "text in quotes")),
        };
        checked.map_err(|message| self.report(origin, path, message)).ok()
    }

    /// A text with a default.
    pub(super) fn text<T>(&mut self, path: &str, check: impl Fn(&str) -> Result<T, String>) -> T {
        self.optional(path, &check).unwrap_or_else(|| check(default(path)).expect(DEFAULTS))
    }

    /// A text that must be there, in table number `index` of `[[name]]`.
    pub(super) fn required<T>(
        &mut self,
        (name, index): (&str, usize),
        key: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let table = format!("{name}[{index}]");
        let path = join(&table, key);
        if self.leaves.contains_key(&path) {
            return self.optional(&path, check);
        }
        if !self.refused.contains(&table) && !self.refused.contains(&path) {
            let origin = self.table_origin(name, index);
            let message = match origin {
                Origin::Variable(_) => format!("is missing; set {}", schema::variable_name(&path)),
                _ => format!("is missing; write for example {}", schema::example(&path)),
            };
            self.report(origin, path, message);
        }
        None
    }

    /// A duration within its bounds.
    pub(super) fn duration(&mut self, path: &str) -> Duration {
        if let Some(leaf) = self.leaves.get_mut(path)
            && let Value::Integer(Some(number)) = leaf.value
        {
            leaf.value = Value::Text(number.to_string()); // the check has the right words for a number without unit
        }
        let ValueType::Duration(least, most) = schema::at(path).value else { unreachable!("{path} is a duration") };
        self.text(path, |text| check::duration(text, (least, most)))
    }

    /// A duration of whole seconds.
    pub(super) fn seconds(&mut self, path: &str) -> u64 {
        let duration = self.duration(path);
        if duration.subsec_nanos() != 0 {
            self.report_at(path, format!("has a fraction of a second; write for example \"{}s\"", duration.as_secs()));
        }
        duration.as_secs()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, path: &str) -> bool {
        let default = default(path).parse().expect(DEFAULTS);
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return default };
        let message = match &value {
            Value::Boolean(value) => return *value,
            Value::Words(text) => match text.parse() {
                Ok(value) => return value,
                Err(_) => format!("{} is not a boolean; write true or false", quoted(text)),
            },
            other => mistyped(path, &origin, other, "true or false, without quotes"),
        };
        self.report(origin, path, message);
        default
    }

    /// A whole number within its bounds.
    pub(super) fn integer(&mut self, path: &str) -> usize {
        let ValueType::Integer(least, most) = schema::at(path).value else { unreachable!("{path} is a number") };
        let default = default(path).parse().expect(DEFAULTS);
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return default };
        let fits = |number: &usize| (least..=most).contains(number);
        let out_of_range = |shown: &dyn Display| format!("{shown} is not a whole number from {least} to {most}");
        let message = match &value {
            Value::Integer(number) => match number.and_then(|number| usize::try_from(number).ok()).filter(fits) {
                Some(number) => return number,
                None => out_of_range(&number.map_or_else(|| "this".to_owned(), |number| number.to_string())),
            },
            Value::Words(text) => match text.parse().ok().filter(fits) {
                Some(number) => return number,
                None => out_of_range(&quoted(text)),
            },
            other => mistyped(path, &origin, other, "a whole number without quotes"),
        };
        self.report(origin, path, message);
        default
    }

    /// A list of different texts, with where each stands; in a variable they are separated by commas.
    pub(super) fn items<T: PartialEq>(
        &mut self,
        path: &str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Item<T>> {
        let Some(Leaf { origin, value }) = self.leaves.get(path).cloned() else { return Vec::new() };
        let leaves = match value {
            Value::List(leaves) => leaves,
            Value::Words(text) if text.trim().is_empty() => Vec::new(),
            Value::Words(text) => text
                .split(',')
                .map(|word| Leaf { origin: origin.clone(), value: Value::Words(word.trim().to_owned()) })
                .collect(),
            other => {
                self.report(origin.clone(), path, mistyped(path, &origin, &other, "a list"));
                return Vec::new();
            }
        };
        let count = leaves.len();
        let mut items: Vec<Item<T>> = Vec::with_capacity(count);
        for (index, Leaf { origin, value }) in leaves.into_iter().enumerate() {
            let is_alone = count == 1 && matches!(value, Value::Words(_));
            let key = if is_alone { path.to_owned() } else { format!("{path}[{index}]") };
            let checked = match &value {
                Value::Text(text) | Value::Words(text) => check(text),
                other => Err(mistyped(path, &origin, other, "a list of texts in quotes")),
            };
            match checked {
                Ok(value) if items.iter().any(|item| item.value == value) => {
                    self.report(origin, key, "stands in the list twice; remove one");
                }
                Ok(value) => items.push(Item { origin, key, value }),
                Err(message) => self.report(origin, key, message),
            }
        }
        if items.len() == count { items } else { Vec::new() }
    }

    /// The same for a setting that may also be one text, and has a default.
    pub(super) fn one_or_more<T: PartialEq>(
        &mut self,
        path: &str,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Item<T>> {
        if let Some(Value::List(_) | Value::Words(_)) = self.leaves.get(path).map(|leaf| &leaf.value) {
            return self.items(path, check);
        }
        let origin = self.given_or_file(path);
        vec![Item { origin, key: path.to_owned(), value: self.text(path, check) }]
    }

    /// As [`Self::items`], where nobody asks where each stands.
    pub(super) fn list<T: PartialEq>(&mut self, path: &str, check: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        values(self.items(path, check))
    }
}

/// The items without where they stand.
pub(super) fn values<T>(items: Vec<Item<T>>) -> Vec<T> {
    items.into_iter().map(|item| item.value).collect()
}

const DEFAULTS: &str = "the defaults of the table are right";

fn default(path: &str) -> &'static str {
    schema::at(path).default.unwrap_or_default()
}

pub(super) fn mistyped(path: &str, origin: &Origin, value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Text(_) | Value::Words(_) => "text",
        Value::Integer(_) => "an integer",
        Value::Boolean(_) => "a boolean",
        Value::List(_) => "a list",
        Value::Claims(_) => "a table",
        Value::Other(kind) => kind,
    };
    match origin {
        Origin::File { .. } => format!("is {kind}; write {wanted}, for example {}", schema::example(path)),
        _ => format!("is {kind}; unset it, or write it anew"),
    }
}
