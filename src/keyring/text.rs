//! The text of a key file <-> [`Key`]. Knows no files.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Alg, FieldError, Key, KeyError, KeyId, KeyName, KeySpec, KeyUse, fields};
use crate::secret::{KeyBytes, KeyBytesError, Zeroizing};

/// Largest key file, in bytes.
pub const MAX_LEN: usize = 4096;

/// What a key file turned out to be.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a file is taken, passed over or refused")]
pub enum Parsed {
    /// A key.
    Key(Key),
    /// A file that a newer version wrote: to be passed over, with a warning that says why.
    Unsupported(String),
}

/// Why the text of a key file is refused. Never holds any of its secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Not one JSON object, or a field stands in it twice.
    #[error("not a key file: no JSON object with each field once (line {line}, column {column})")]
    Shape {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A field is missing, or of another type.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The secret is not 64 lower-case hex digits, or no secret at all.
    #[error(transparent)]
    Secret(#[from] KeyBytesError),
    /// The fields do not go together.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file's name says another use or kid than the file.
    #[error("the file is named {name}, but says {said}")]
    OtherName {
        /// From the file name.
        name: KeyName,
        /// From the fields.
        said: String,
    },
    /// The kid is not the fingerprint of the secret: one of the two was mangled.
    #[error("the secret belongs to kid {0}, not to the one that the file says")]
    OtherSecret(KeyId),
}

/// Each field as it stands, so that an error can name the field without quoting it.
#[derive(Deserialize)]
struct RawKey<'a> {
    #[serde(borrow)]
    v: Option<&'a RawValue>,
    #[serde(borrow, rename = "use")]
    key_use: Option<&'a RawValue>,
    #[serde(borrow)]
    alg: Option<&'a RawValue>,
    #[serde(borrow)]
    kid: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    seal_from: Option<&'a RawValue>,
    #[serde(borrow)]
    seal_until: Option<&'a RawValue>,
    #[serde(borrow)]
    max_ttl_s: Option<&'a RawValue>,
    #[serde(borrow)]
    secret: Option<&'a RawValue>,
}

/// Parses the text of the file named `name`.key.
///
/// # Errors
/// [`TextError`]. A version, use or algorithm that this program does not know is no error but [`Parsed::Unsupported`].
pub fn parse(name: KeyName, text: &str) -> Result<Parsed, TextError> {
    let raw: RawKey<'_> =
        serde_json::from_str(text).map_err(|error| TextError::Shape { line: error.line(), column: error.column() })?;
    let version = fields::number("v", raw.v)?;
    if version != 1 {
        return Ok(Parsed::Unsupported(format!("version {version} is unknown to this program")));
    }
    let use_text = fields::text("use", raw.key_use)?;
    let Ok(key_use) = use_text.parse::<KeyUse>() else {
        return Ok(Parsed::Unsupported(format!("use {use_text:?} is unknown to this program")));
    };
    let alg_text = fields::text("alg", raw.alg)?;
    let Some(alg) = alg_text.parse::<Alg>().ok().filter(|alg| alg.serves(key_use)) else {
        return Ok(Parsed::Unsupported(format!("algorithm {alg_text:?} is unknown to this program for use {key_use}")));
    };
    let kid = fields::kid("kid", raw.kid)?;
    if (KeyName { key_use, kid }) != name {
        return Err(TextError::OtherName { name, said: format!("{key_use}-{kid}") });
    }
    let spec = KeySpec {
        key_use,
        alg,
        created: fields::time("created", raw.created)?,
        seal_from: fields::time("seal_from", raw.seal_from)?,
        seal_until: fields::time("seal_until", raw.seal_until)?,
        max_ttl_s: fields::number("max_ttl_s", raw.max_ttl_s)?,
    };
    let secret = KeyBytes::parse_hex(&fields::text("secret", raw.secret)?)?;
    let key = Key::new(spec, secret)?;
    if key.kid() != kid {
        return Err(TextError::OtherSecret(key.kid()));
    }
    Ok(Parsed::Key(key))
}

/// The text of `key`'s file: one JSON object and a line feed.
// Hidden: key files are written by `auth-ticket keys`, and by tests that play its part.
#[doc(hidden)]
#[must_use]
pub fn encode(key: &Key) -> Zeroizing<String> {
    let spec = key.spec();
    let secret = key.secret().expose_hex();
    Zeroizing::new(format!(
        "{{\"v\":1, \"use\":\"{}\", \"alg\":\"{}\", \"kid\":\"{}\",\n \"created\":\"{}\", \"seal_from\":\"{}\", \
         \"seal_until\":\"{}\",\n \"max_ttl_s\":{}, \"secret\":\"{}\"}}\n",
        spec.key_use,
        spec.alg,
        key.kid(),
        spec.created,
        spec.seal_from,
        spec.seal_until,
        spec.max_ttl_s,
        *secret,
    ))
}

#[cfg(test)]
mod tests;
