//! Nothing is passed on here. A setting that asks for it is refused when it is read.

use std::ffi::OsString;

use anyhow::bail;
use auth_ticket::http::Listener;

/// Nothing.
pub(crate) struct Passed;

#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as elsewhere")]
impl Passed {
    pub(crate) fn from_env(_env: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn take(&mut self, name: &str, _setting: &str) -> anyhow::Result<Vec<Listener>> {
        bail!("there is no socket called {name}: nothing passes sockets on here")
    }

    pub(crate) fn left_over(&self) -> Vec<&str> {
        Vec::new()
    }
}
