//! `completions` and `man`: what a packager installs beside the binary.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory, ValueHint};
use clap_complete::Shell;

/// Print the completion script of a shell
///
/// For bash: auth-ticket completions bash > /etc/bash_completion.d/auth-ticket
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "auth-ticket", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}

/// Print the manual page, or write those of all commands into a directory
///
/// To read it: auth-ticket man | man -l -
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page for each command into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let command = super::Cli::command();
        if let Some(directory) = &self.out {
            return clap_mangen::generate_to(command, directory)
                .with_context(|| format!("cannot write manual pages into {}", directory.display()));
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        Ok(io::stdout().write_all(&page)?)
    }
}
