//! The `holotype` command as a library, so that tests and the man pages reach its definition.
//!
//! ```text
//! arguments ──▶ session (credentials, repository, job) ──▶ commands ──▶ output
//!                                                             └──────▶ exit
//! ```

pub mod arguments;
mod commands;
mod credentials;
mod exit;
mod key_file;
mod logging;
mod output;
mod passwords;
mod place;
mod progress;
mod secret_text;
mod server_api;
mod session;
mod signals;
mod token_file;
mod units;

use arguments::Cli;
use clap::{CommandFactory, Parser};
use exit::{Exit, Failure};
use std::process::ExitCode;

/// The definition of the command line.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process and gives its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    logging::start(&cli);
    let json = cli.global.json;
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure, json);
            failure.exit().into()
        }
    }
}

/// Help and version are no failures; everything else is told by clap, and as JSON where that was
/// asked for.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    // Nobody is there to be told that nobody is there.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done.into();
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        output::failure_json(&Failure::usage(first));
    }
    Exit::Usage.into()
}
