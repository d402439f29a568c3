//! The load: [wrk](https://github.com/wg/wrk), one thread on each core that it is given.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::process::Process;

const SCRIPT: &str = include_str!("wrk.lua");

/// What is sent, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// `$N` in it is another number each time.
    pub(crate) body: Option<String>,
}

/// What wrk saw.
#[derive(Debug, Deserialize)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) duration_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    failures: u64,
}

impl Load {
    pub(crate) fn duration_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let duration_us = self.duration_us as f64;
        duration_us / 1e6
    }
}

/// Sends `request` to the server at `url` over `connections` for some whole seconds.
///
/// # Errors
/// One answer with a status above 399, or one that did not come, makes the figures worthless.
pub(crate) fn run(
    cores: &[usize],
    scratch: &Path,
    url: &str,
    request: &Request,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Load> {
    let script = scratch.join("wrk.lua");
    std::fs::write(&script, SCRIPT)?;
    let mut command = Process::pinned(cores, "wrk");
    command.args(["--threads", &cores.len().to_string(), "--connections", &connections.to_string()]);
    command.args(["--duration", &format!("{}s", duration.as_secs()), "--script"]).arg(&script);
    for (name, value) in &request.headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    command.env("BENCH_METHOD", request.method).arg(format!("{url}{}", request.path));
    if let Some(body) = &request.body {
        command.env("BENCH_BODY", body);
    }
    let output = command.output().context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().rfind(|line| line.starts_with('{')) else {
        bail!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let load: Load = serde_json::from_str(line)?;
    ensure!(load.failures == 0, "{} of {} answers failed: {}{}", load.failures, load.requests, url, request.path);
    ensure!(load.requests > 0, "no answers: {url}{}", request.path);
    Ok(load)
}
