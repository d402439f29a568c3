//! Fields of key and verifier files, read one by one, so that an error names a field without quoting it.

use serde_json::value::RawValue;

use super::KeyId;
use crate::clock::UnixSeconds;
use crate::secret::Zeroizing;

/// Why a field is not taken. Never holds its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// It is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// It is not what it has to be.
    #[error("`{0}` is not {1}")]
    Other(&'static str, &'static str),
}

/// A text; it may be a secret.
pub(crate) fn text(field: &'static str, raw: Option<&RawValue>) -> Result<Zeroizing<String>, FieldError> {
    let raw = raw.ok_or(FieldError::Missing(field))?;
    serde_json::from_str(raw.get()).map(Zeroizing::new).map_err(|_| FieldError::Other(field, "a text"))
}

pub(crate) fn number(field: &'static str, raw: Option<&RawValue>) -> Result<u64, FieldError> {
    let raw = raw.ok_or(FieldError::Missing(field))?;
    serde_json::from_str(raw.get()).map_err(|_| FieldError::Other(field, "a whole number"))
}

pub(crate) fn time(field: &'static str, raw: Option<&RawValue>) -> Result<UnixSeconds, FieldError> {
    UnixSeconds::parse_rfc3339(&text(field, raw)?)
        .map_err(|_| FieldError::Other(field, "a time like 2026-11-22T21:00:00Z"))
}

pub(crate) fn kid(field: &'static str, raw: Option<&RawValue>) -> Result<KeyId, FieldError> {
    KeyId::parse(&text(field, raw)?).map_err(|_| FieldError::Other(field, "8 lower-case hex digits"))
}
