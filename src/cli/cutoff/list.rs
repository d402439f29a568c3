//! `cutoff list`.

use std::io::{self, Write};

use anyhow::anyhow;
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::cutoffs::{Cutoff, list};
use clap::Args;

use super::options::{MEND, describe, place, unreadable};
use crate::cli::keys::options::KeysOptions;
use crate::cli::keys::owner::Access;
use crate::cli::report::WithHint;
use crate::cli::text::{self, Columns};

/// List the cut-offs
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    keys: KeysOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let directory = self.keys.open(Access::Read)?;
        let (list, problem) = directory.recover_cutoffs().map_err(|problem| unreadable(&problem))?;
        let cutoffs: Vec<Cutoff> = list.cutoffs().cloned().collect();
        let mut out = io::stdout().lock();
        if self.json {
            write!(out, "{}", list::encode(&cutoffs))?;
        } else if cutoffs.is_empty() {
            writeln!(out, "nobody is cut off")?;
        } else {
            let now = SystemClock.now();
            let mut table = Columns::new(&["MADE", "REFUSED"]);
            for cutoff in &cutoffs {
                table.row(vec![text::relative(cutoff.created, now), describe(&cutoff.who)]);
            }
            write!(out, "{}", table.render())?;
        }
        // What was understood is in force, and is shown; that there may be more is a failure.
        match (list.fault, problem) {
            (Some(fault), _) => Err(anyhow!("{}: {fault}", place(&directory))).hint(MEND),
            (None, Some(problem)) => Err(anyhow!("{problem}")),
            (None, None) => Ok(()),
        }
    }
}
