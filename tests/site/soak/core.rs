//! The server's core: how much of it others take while latencies are measured. Only where `make soak` names a core.

use std::process::Command;

use super::stage::Stage;

/// Above this share, somebody else's work is measured along.
const DISTURBED: f64 = 0.05;

/// Where `make soak` wants the server to run.
pub(super) fn of_server() -> Option<String> {
    std::env::var_os("SOAK_SERVER_CORE")?.into_string().ok().filter(|core| !core.is_empty())
}

/// What was used of the core, in ticks of the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    by_server: u64,
    by_all: u64,
    in_total: u64,
}

/// The share of the core that neither the server nor nobody had.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Others(pub(super) f64);

impl Others {
    pub(super) fn disturb(self) -> bool {
        self.0 > DISTURBED
    }
}

impl Watch {
    pub(super) fn begin(stage: &Stage) -> Option<Self> {
        let core = format!("cpu{} ", of_server()?);
        let all = std::fs::read_to_string("/proc/stat").unwrap();
        // proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
        let all = numbers(all.lines().find_map(|line| line.strip_prefix(&core)).expect("the server's core"));
        let idle = all[3] + all[4];
        let in_total: u64 = all[..8].iter().sum();
        // proc_pid_stat(5): user and system time are the 14th and 15th field, and the name in front may hold blanks.
        let process = std::fs::read_to_string(format!("/proc/{}/stat", stage.server.pid())).unwrap();
        let process: Vec<&str> = process.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let by_server = numbers(&process[11..13].join(" ")).iter().sum();
        Some(Self { by_server, by_all: in_total - idle, in_total })
    }

    /// Since the beginning.
    pub(super) fn others(self, stage: &Stage) -> Option<Others> {
        let now = Self::begin(stage)?;
        let [by_server, by_all, in_total] =
            [now.by_server - self.by_server, now.by_all - self.by_all, now.in_total - self.in_total];
        #[expect(clippy::cast_precision_loss, reason = "ticks of some minutes")]
        let share = by_all.saturating_sub(by_server) as f64 / in_total.max(1) as f64;
        Some(Others(share))
    }
}

fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// Lets this thread run before all others of its core, where that is allowed: it is to measure the server, and not how
/// long the other clients keep their core.
pub(super) fn prefer_this_thread() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let chrt = Command::new("chrt").args(["--fifo", "--pid", "1"]).arg(thread.file_name().unwrap()).output();
    if !chrt.is_ok_and(|chrt| chrt.status.success()) {
        crate::drill::say("soak: the client that measures has no priority, and measures the other clients along");
    }
}
