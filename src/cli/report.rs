//! How a failure is told: `error: what: why`, then `hint: what to do`.

use std::fmt;
use std::io;
use std::process::ExitCode;

use auth_ticket::keystore::{LoadError, WriteError};

use super::output;

/// An error with the line that says what to do about it.
#[derive(Debug)]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Adds a hint to an error.
pub(crate) trait WithHint<T> {
    /// Says, should `self` be an error, what to type or to change.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| with_hint(error.into(), Some(hint.into())))
    }
}

/// `error`, with `hint` if there is one.
pub(crate) fn with_hint(error: anyhow::Error, hint: Option<String>) -> anyhow::Error {
    match hint {
        Some(hint) => Hinted { error, hint }.into(),
        None => error,
    }
}

/// A failure to load keys, with its own remedy as the hint.
pub(crate) fn load_failed(error: LoadError) -> anyhow::Error {
    let remedy = error.remedy();
    with_hint(error.into(), remedy)
}

/// A failure to write keys, with its own remedy as the hint.
pub(crate) fn write_failed(error: WriteError) -> anyhow::Error {
    let remedy = error.remedy();
    with_hint(error.into(), remedy)
}

/// Tells of a failure on standard error; 0 or 1 for the process.
pub(crate) fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if reader_is_gone(&error) {
        return ExitCode::SUCCESS;
    }
    output::complain(&format!("error: {error:#}\n"));
    if let Some(hint) = hint_of(&error) {
        output::complain(&format!("hint: {hint}\n"));
    }
    ExitCode::FAILURE
}

/// What to do about `error`, if it says so.
pub(crate) fn hint_of(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Hinted>().map(|hinted| &*hinted.hint)
}

/// `auth-ticket keys list | head -1` is not a failure.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_hint_stands_beside_the_chain_of_causes_and_not_in_it() {
        let cause: Result<(), _> = Err(anyhow!("no such file"));
        let error = cause.context("cannot open it").hint("make it").context("cannot start").unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot start: cannot open it: no such file");
        assert_eq!(error.downcast_ref::<Hinted>().unwrap().hint, "make it");
    }
}
