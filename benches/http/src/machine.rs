//! What the run was made on, and how quiet it was there.

use std::fmt;
use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use time::OffsetDateTime;

use crate::process::{LOAD_CORE, Process, SERVER_CORE, ended_ticks, own_ticks};

/// Which threads the core of the server has.
const SIBLINGS: &str = "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list";

/// Where figures come from.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// Whether the server's core and that of the load are two threads of one.
    pub(crate) shares_core: bool,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// What `auth-ticket --version` says.
    pub(crate) program: String,
    /// The redis-server that was measured, if one was.
    pub(crate) redis: Option<String>,
}

impl Machine {
    pub(crate) fn describe(program: &str, redis_server: Option<&str>) -> anyhow::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let of = |field: &str| cpuinfo.lines().find(|line| line.starts_with(field))?.split(": ").nth(1);
        Ok(Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            processor: of("model name").unwrap_or("unknown").to_owned(),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            shares_core: fs::read_to_string(SIBLINGS).is_ok_and(|siblings| siblings.trim() != SERVER_CORE.to_string()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            rustc: said(Command::new("rustc").arg("--version"))?,
            program: said(Command::new(program).arg("--version"))?,
            redis: redis_server.map(|program| said(Command::new(program).arg("--version"))).transpose()?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, processor, cores, kernel, rustc, program, .. } = self;
        let siblings = if self.shares_core { ", which are two threads of one" } else { "" };
        write!(f, "Measured on {date}: {processor}, {cores} cores{siblings}, Linux {kernel}, {rustc}; {program}")?;
        match &self.redis {
            Some(redis) => write!(f, "; {}.", redis.split(" sha=").next().unwrap_or_default()),
            None => f.write_str("."),
        }
    }
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
}

/// How long a core has worked since the machine started, in ticks of the clock, on whatever; what the
/// host gave to its other guests meanwhile is in it.
pub(crate) fn core_ticks(core: usize) -> anyhow::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let prefix = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&prefix));
    let line = line.with_context(|| format!("this needs two cores, and /proc/stat has no core {core}"))?;
    let numbers: Vec<u64> = line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    // proc_stat(5). Work for the network counts here as interrupts, and there as time of the process that it interrupts.
    let [user, nice, system, _idle, _iowait, irq, softirq, stolen, ..] = numbers[..] else {
        bail!("/proc/stat has too few numbers");
    };
    Ok(user + nice + system + irq + softirq + stolen)
}

/// Ticks of `/proc` as seconds.
pub(crate) fn seconds(ticks: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (ticks, per_second) = (ticks as f64, rustix::param::clock_ticks_per_second() as f64);
    ticks / per_second
}

/// A moment from which on to tell how much of both cores others had.
pub(crate) struct Moment {
    at: Instant,
    worked: u64,
    ours: u64,
}

impl Moment {
    /// Now; `running` are the programs of the bench that run here, this one excepted.
    pub(crate) fn now(running: &[&Process]) -> anyhow::Result<Self> {
        let mut ours = own_ticks()? + ended_ticks()?;
        for process in running {
            ours = ours + process.ticks()?;
        }
        let worked = core_ticks(SERVER_CORE)? + core_ticks(LOAD_CORE)?;
        Ok(Self { at: Instant::now(), worked, ours: ours.all() })
    }

    /// Which part of both cores others had since then. `running` are the same programs, but for those that have ended.
    pub(crate) fn others(&self, running: &[&Process]) -> anyhow::Result<f64> {
        let now = Self::now(running)?;
        let others = (now.worked - self.worked).saturating_sub(now.ours - self.ours);
        Ok(seconds(others) / (2.0 * self.at.elapsed().as_secs_f64()))
    }
}
