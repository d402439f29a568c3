//! Processes that are pinned to a core, watched in `/proc`, and ended with the run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::{Add, Sub};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};

/// Numbers of the two cores: one for the server with all that it needs, one for what stands for the rest of the world.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const LOAD_CORE: usize = 1;

/// Processor time that a process has used, in ticks of the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ticks {
    pub(crate) user: u64,
    pub(crate) system: u64,
}

impl Sub for Ticks {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

impl Add for Ticks {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

impl Ticks {
    pub(crate) const fn all(self) -> u64 {
        self.user + self.system
    }
}

/// What all programs have used that this one started and that have ended.
pub(crate) fn ended_ticks() -> anyhow::Result<Ticks> {
    let [_, ended] = ticks("/proc/self/stat")?;
    Ok(ended)
}

/// What this program has used itself.
pub(crate) fn own_ticks() -> anyhow::Result<Ticks> {
    let [own, _] = ticks("/proc/self/stat")?;
    Ok(own)
}

/// Of a process itself, and of its children that have ended.
fn ticks(path: &str) -> anyhow::Result<[Ticks; 2]> {
    let stat = fs::read_to_string(path)?;
    // proc_pid_stat(5): the second field is a name in parentheses, the 14th to 17th are what we want.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let fields: Vec<u64> =
        after_name.split_ascii_whitespace().skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    let [user, system, ended_user, ended_system] = fields[..] else { bail!("{path} is odd: {stat}") };
    Ok([Ticks { user, system }, Ticks { user: ended_user, system: ended_system }])
}

/// A program that runs until this is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// A command that runs `program` on `cores` only.
    pub(crate) fn pinned(cores: &[usize], program: &str) -> Command {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &cores.join(","), program]);
        command
    }

    /// Starts a server that prints where it listens; returns that as a URL.
    pub(crate) fn server(command: &mut Command) -> anyhow::Result<(Self, String)> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut stdout = BufReader::new(child.stdout.take().context("its output is piped")?);
        let mut process = Self { child };
        let mut line = String::new();
        let url = loop {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                bail!("{command:?} ended at once: {}", process.child.wait()?);
            }
            if let Some(at) = line.find("http://") {
                break line[at..].split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        // The other end stays open, so that the program may go on printing.
        process.child.stdout = Some(stdout.into_inner());
        Ok((process, url))
    }

    /// Starts a program that says nothing, and waits until `is_ready`.
    pub(crate) fn silent(command: &mut Command, is_ready: impl Fn() -> bool) -> anyhow::Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Self { child: command.spawn().with_context(|| format!("cannot start {command:?}"))? };
        let began = Instant::now();
        while !is_ready() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?} ended at once: {status}");
            }
            if began.elapsed() > Duration::from_secs(10) {
                bail!("{command:?} is not ready after 10 s");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(process)
    }

    /// Processor time used so far, by all of its threads.
    pub(crate) fn ticks(&self) -> anyhow::Result<Ticks> {
        let [own, _] = ticks(&self.proc("stat"))?;
        Ok(own)
    }

    /// Memory that it holds, in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        // What `status` says may lag behind by some pages for each thread.
        self.kib("smaps_rollup", "Rss:")
    }

    /// The most memory that it has held since it started or `forget_peak` was called.
    pub(crate) fn peak_kib(&self) -> anyhow::Result<u64> {
        self.kib("status", "VmHWM:")
    }

    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        // proc_pid_clear_refs(5).
        Ok(fs::write(self.proc("clear_refs"), "5")?)
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(asked.success(), "kill: {asked}");
        self.child.wait()?;
        Ok(())
    }

    fn kib(&self, file: &str, field: &str) -> anyhow::Result<u64> {
        let text = fs::read_to_string(self.proc(file))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
        number.ok_or_else(|| anyhow!("/proc/PID/{file} has no {field}"))
    }

    /// How many files and connections it has open.
    pub(crate) fn open_files(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }
}

impl From<Child> for Process {
    fn from(child: Child) -> Self {
        Self { child }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server, and the programs that it cannot do without.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
    /// Where it listens beside that.
    pub(crate) socket: Option<PathBuf>,
    /// Runs on the server's core, and its processor time counts.
    pub(crate) store: Option<Process>,
}
