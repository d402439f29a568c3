//! `auth-ticket`: the login server, its key tools and its simulator, in one binary.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
