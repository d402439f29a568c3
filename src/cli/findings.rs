//! What a check found: one line each, with what to do about it; for people and, as JSON, for programs.

use std::io::{self, Write};
use std::path::Path;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use super::config::{self, Config};
use super::report::WithHint;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Worth a look; no reason to fail.
    Warn,
    /// Somebody has to act.
    Fail,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Finding {
    level: Level,
    subject: String,
    what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// All findings, in the order in which they were made.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Findings {
    findings: Vec<Finding>,
}

impl Findings {
    /// `subject` is as it should be.
    pub(crate) fn ok(&mut self, subject: impl Into<String>, what: impl Into<String>) {
        self.add(Level::Ok, subject, what, None);
    }

    /// The configuration at `path`. Whoever asked for JSON gets it, whatever is wrong: there each mistake is a finding.
    ///
    /// # Errors
    /// The configuration is not right, and nobody asked for JSON.
    pub(crate) fn load_config(&mut self, path: &Path, as_json: bool) -> anyhow::Result<Option<Config>> {
        match Config::load(path, config::environment(), &[]) {
            Ok(config) => Ok(Some(config)),
            Err(error) if as_json => {
                for line in error.lines() {
                    self.add(Level::Fail, "config", line, Some(config::HINT.to_owned()));
                }
                Ok(None)
            }
            Err(error) => Err(error).hint(config::HINT),
        }
    }

    /// Adds a finding with what to do about it.
    pub(crate) fn add(
        &mut self,
        level: Level,
        subject: impl Into<String>,
        what: impl Into<String>,
        remedy: Option<String>,
    ) {
        self.findings.push(Finding { level, subject: subject.into(), what: what.into(), remedy });
    }

    /// Adds what another process printed as JSON; `false` if it is none.
    pub(crate) fn add_json(&mut self, json: &[u8]) -> bool {
        let theirs: Result<Self, _> = serde_json::from_slice(json);
        theirs.map(|theirs| self.findings.extend(theirs.findings)).is_ok()
    }

    /// Prints everything, and fails if somebody has to act.
    pub(crate) fn conclude(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if as_json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        } else {
            let width = self.findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or_default();
            for Finding { level, subject, what, remedy } in &self.findings {
                writeln!(out, "{:<4}  {subject:<width$}  {what}", level.as_str())?;
                if let Some(remedy) = remedy {
                    writeln!(out, "      {:<width$}  -> {remedy}", "")?;
                }
            }
        }
        match self.findings.iter().filter(|finding| finding.level == Level::Fail).count() {
            0 => Ok(()),
            1 => bail!("1 check failed"),
            several => bail!("{several} checks failed"),
        }
    }
}
