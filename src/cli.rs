//! The command line: parse, run, report. Declared in `main.rs`, so that the library cannot import it.

mod activation;
mod address;
mod changes;
mod config;
mod cutoff;
mod demo;
mod docs;
mod doctor;
mod endpoint;
mod findings;
mod healthcheck;
mod keys;
mod local_http;
mod log;
mod output;
mod platforms;
mod process;
mod reload;
mod report;
mod serve;
mod servers;
mod signals;
mod simulator;
mod socket_file;
mod text;
mod ticket;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Stateless login for mini-programs: a platform's login code becomes a sealed, expiring ticket
///
/// Replicas share a keys directory and nothing else: no database, no cache, no communication between them.
#[derive(Debug, Parser)]
#[command(name = "auth-ticket", version = env!("BUILD_VERSION"), propagate_version = true)]
#[command(after_help = "Exit status: 0 done, 1 refused or failed, 2 wrong usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    #[command(subcommand)]
    Keys(keys::Command),
    #[command(subcommand)]
    Cutoff(cutoff::Command),
    #[command(subcommand)]
    Ticket(ticket::Command),
    Simulator(simulator::Options),
    Doctor(doctor::Doctor),
    Platforms(platforms::Platforms),
    Healthcheck(healthcheck::Healthcheck),
    Completions(docs::Completions),
    Man(docs::Man),
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too. If nobody reads them, there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    process::protect_memory();
    signals::hold_user_signals();
    let result = match cli.command {
        Command::Demo(options) => options.run(),
        Command::Serve(options) => options.run(),
        Command::Keys(command) => command.run(),
        Command::Cutoff(command) => command.run(),
        Command::Ticket(command) => command.run(),
        Command::Simulator(options) => options.run(),
        Command::Doctor(options) => options.run(),
        Command::Platforms(options) => options.run(),
        Command::Healthcheck(options) => options.run(),
        Command::Completions(options) => options.run(Cli::command()),
        Command::Man(options) => options.run(Cli::command()),
    };
    log::finish();
    let code = report::exit_code(result);
    output::finish();
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
