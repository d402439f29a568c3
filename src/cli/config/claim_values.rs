//! Claims of the owner's own, `[jwt.audience.NAME] claims`: from TOML to JSON, and where each part of them stands.

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Origin, quoted};

/// Claims as JSON, without the parts that JSON has no word for.
#[derive(Clone, Default)]
pub(super) struct ClaimValues {
    pub(super) values: Map<String, Json>,
    /// What has to be looked at.
    pub(super) spots: Vec<Spot>,
}

/// A part of the claims and where it stands.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) origin: Origin,
    /// Its path below the claims: `.role`, `.roles[0]`.
    pub(super) key: String,
    pub(super) what: What,
}

/// What may be wrong about a part.
#[derive(Clone)]
pub(super) enum What {
    /// The name of a claim.
    Name(String),
    /// A text, at any depth.
    Text(String),
    /// Something that JSON has not: what to write instead.
    Unfit(&'static str),
}

impl ClaimValues {
    /// The claims in `table`; `origin_at` is where a byte of the file stands.
    pub(super) fn of(table: &DeTable<'_>, origin_at: &dyn Fn(usize) -> Origin) -> Self {
        let mut claims = Self::default();
        for (name, _) in table {
            let what = What::Name(name.get_ref().clone().into_owned());
            claims.spots.push(Spot { origin: origin_at(name.span().start), key: below("", name.get_ref()), what });
        }
        claims.values = claims.members("", table, origin_at);
        claims
    }

    fn members(&mut self, path: &str, table: &DeTable<'_>, origin_at: &dyn Fn(usize) -> Origin) -> Map<String, Json> {
        let mut members = Map::new();
        for (name, value) in table {
            let name = name.get_ref();
            if let Some(value) = self.value(below(path, name), value, origin_at) {
                members.insert(name.clone().into_owned(), value);
            }
        }
        members
    }

    fn value(
        &mut self,
        key: String,
        value: &Spanned<DeValue<'_>>,
        origin_at: &dyn Fn(usize) -> Origin,
    ) -> Option<Json> {
        let json = match value.get_ref() {
            DeValue::String(text) => {
                let (origin, text) = (origin_at(value.span().start), text.clone().into_owned());
                self.spots.push(Spot { origin, key, what: What::Text(text.clone()) });
                return Some(Json::String(text));
            }
            DeValue::Boolean(value) => return Some(Json::Bool(*value)),
            DeValue::Table(table) => return Some(Json::Object(self.members(&key, table, origin_at))),
            DeValue::Array(items) => {
                let mut values = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    values.extend(self.value(format!("{key}[{at}]"), item, origin_at));
                }
                return Some(Json::Array(values));
            }
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Json::from)
                .map_err(|_| "is not a whole number of 64 bits; write it as text, in quotes"),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map(Json::Number)
                .ok_or("is not finite, and JSON has no such number; write another, or text in quotes"),
            DeValue::Datetime(_) => Err("is a date, and JSON has none; write it as text, in quotes"),
        };
        match json {
            Ok(json) => Some(json),
            Err(why) => {
                self.spots.push(Spot { origin: origin_at(value.span().start), key, what: What::Unfit(why) });
                None
            }
        }
    }
}

fn below(path: &str, name: &str) -> String {
    format!("{path}.{}", toml_key(name))
}

/// `name` as a key in TOML.
pub(super) fn toml_key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_owned() } else { quoted(name) }
}
