//! What takes turns in a run: servers that are up, and what is sent to them.

use anyhow::{Context, ensure};

use crate::load::{Headers, Place, Request, ask};
use crate::process::{Process, Ticks, ended_ticks, own_ticks};

/// One row of the tables.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) place: Place,
    pub(crate) request: Request,
    /// Who answers, of the processes of the field.
    pub(crate) server: usize,
    /// Whom it asks: the time of both counts.
    pub(crate) behind: Option<usize>,
}

/// All of it, started. What is in it ends when this is dropped.
#[derive(Default)]
pub(crate) struct Field {
    /// On the server's core.
    pub(crate) processes: Vec<Process>,
    pub(crate) scenarios: Vec<Scenario>,
    /// On the core of the load.
    pub(crate) at_load: Vec<Process>,
}

impl Field {
    /// Adds a process on the server's core; its number.
    pub(crate) fn add(&mut self, process: Process) -> usize {
        self.processes.push(process);
        self.processes.len() - 1
    }

    /// Of the server of a row, and of whom that asks.
    pub(crate) fn ticks(&self, scenario: &Scenario) -> anyhow::Result<[Ticks; 2]> {
        let behind = scenario.behind.map(|behind| self.processes[behind].ticks()).transpose()?;
        Ok([self.processes[scenario.server].ticks()?, behind.unwrap_or_default()])
    }

    /// Of what runs where the load comes from, this program included.
    pub(crate) fn load_ticks(&self) -> anyhow::Result<Ticks> {
        let mut ticks = own_ticks()? + ended_ticks()?;
        for process in &self.at_load {
            ticks = ticks + process.ticks()?;
        }
        Ok(ticks)
    }
}

impl Scenario {
    /// The same request without what tells who is asking; its status.
    pub(crate) fn ask_as_nobody(&self) -> anyhow::Result<u16> {
        let mut request = self.request.clone();
        request.headers.clear();
        Ok(ask(&self.place, &request)?.0)
    }

    /// The headers of an answer to the request.
    pub(crate) fn probe(&self) -> anyhow::Result<Headers> {
        let (status, headers) = ask(&self.place, &self.request).with_context(|| self.name.to_owned())?;
        ensure!(status == 200, "{}, {}: status {status}", self.group, self.name);
        Ok(headers)
    }
}
