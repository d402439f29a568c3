//! `completions` and `man`: what a packager installs beside the binary.

mod page;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command, ValueHint};
use clap_complete::Shell;

use super::report::WithHint;

const PROGRAM: &str = "auth-ticket";

/// Print the completion script for a shell
///
/// For bash: auth-ticket completions bash > /etc/bash_completion.d/auth-ticket
///
/// For zsh, write it to a file _auth-ticket in a directory of $fpath; for fish, to
/// ~/.config/fish/completions/auth-ticket.fish.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// `program` is the whole command line.
    pub(crate) fn run(&self, mut program: Command) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, PROGRAM, &mut script);
        let script = String::from_utf8(script).context("the completion script is not text")?;
        let script = match self.shell {
            Shell::Bash => with_one_name(&script),
            Shell::Fish => script + &argument_values(&program),
            _ => script,
        };
        Ok(io::stdout().write_all(script.as_bytes())?)
    }
}

/// The bash script of `clap_complete` finds out which command is being typed, under one spelling of the program's name, and
/// looks its words up under another one if the name has a dash. It then completes nothing below the first word.
fn with_one_name(script: &str) -> String {
    script.replace("auth__subcmd__ticket", "auth__ticket")
}

/// What the fish script of `clap_complete` leaves out: the values of arguments that are no options.
fn argument_values(program: &Command) -> String {
    let line = |command: &Command| {
        let values = command.get_positionals().flat_map(clap::Arg::get_possible_values);
        let values: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        let (name, values) = (command.get_name(), values.join(" "));
        let is = format!("__fish_auth_ticket_using_subcommand {name}");
        if values.is_empty() {
            String::new()
        } else {
            format!("complete -c {PROGRAM} -n \"{is}\" -f -a \"{values}\"\n")
        }
    };
    program.get_subcommands().map(line).collect()
}

/// Print the manual page, or write the pages of all commands to a directory
///
/// To read it: auth-ticket man | man -l -
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page for each command to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

impl Man {
    /// `program` is the whole command line.
    pub(crate) fn run(&self, program: Command) -> anyhow::Result<()> {
        // `help` is no command that anybody looks up.
        let mut program = program.disable_help_subcommand(true);
        program.build();
        match &self.out {
            None => Ok(io::stdout().write_all(&page::render(&program, &program)?)?),
            Some(directory) => write_pages(&program, &program, directory)
                .with_context(|| format!("cannot write manual pages into {}", directory.display()))
                .hint(format!("make the directory first: install -d {}", directory.display())),
        }
    }
}

fn write_pages(program: &Command, command: &Command, directory: &Path) -> io::Result<()> {
    let path = directory.join(format!("{}.{}", page::name(command), page::SECTION));
    File::create(path)?.write_all(&page::render(program, command)?)?;
    command.get_subcommands().try_for_each(|below| write_pages(program, below, directory))
}
