//! What a run can be told by the environment.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, ensure};

/// How long to measure, and what.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Length of one turn, in whole seconds (`BENCH_SECONDS`).
    pub(crate) seconds: u64,
    /// How often each has its turn (`BENCH_ROUNDS`).
    pub(crate) rounds: usize,
    /// The auth-ticket to measure (`BENCH_PROGRAM`).
    program: PathBuf,
}

impl Settings {
    /// What the environment says, or else so many seconds and rounds.
    pub(crate) fn from_environment(seconds: u64, rounds: usize) -> anyhow::Result<Self> {
        let seconds = number("BENCH_SECONDS")?.unwrap_or(seconds);
        let rounds = number("BENCH_ROUNDS")?.map_or(Ok(rounds), usize::try_from)?;
        ensure!(seconds > 0 && rounds > 0, "BENCH_SECONDS and BENCH_ROUNDS are at least 1");
        let program = env::var_os("BENCH_PROGRAM").map_or_else(|| target().join("release/auth-ticket"), PathBuf::from);
        Ok(Self { seconds, rounds, program })
    }

    /// The absolute path of the auth-ticket to measure.
    pub(crate) fn program(&self) -> anyhow::Result<String> {
        let program = self.program.canonicalize();
        let program = program.with_context(|| format!("no program at {}", self.program.display()))?;
        program.into_os_string().into_string().ok().context("a path in UTF-8")
    }
}

fn number(name: &str) -> anyhow::Result<Option<u64>> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("{name}={text} is no number"))
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
}
