//! What the run was made on, and how quiet it was there.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::servers::SERVER_CORE;

/// Which threads the core of the server has.
const SIBLINGS: &str = "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list";

/// Where figures come from.
#[derive(Debug, Deserialize, Serialize)]
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
    /// The redis-server that was measured.
    pub(crate) redis: String,
}

impl Machine {
    pub(crate) fn describe(program: &str, redis_server: &str) -> anyhow::Result<Self> {
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
            redis: said(Command::new(redis_server).arg("--version"))?,
        })
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

/// How many ticks of `/proc` make a second.
pub(crate) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}
