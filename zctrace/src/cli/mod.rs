//! The command line: one file for each command.

mod duration;
mod failure;
mod stat;
mod target_args;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use failure::Failure;

const ABOUT: &str = "Shows where the kernel copied every I/O byte, and where it did not";

const LONG_ABOUT: &str = "\
Shows where the kernel copied every I/O byte, and where it did not: per process and data path, \
measured in the running kernel with eBPF.

Every byte that read, write, send, recv, sendfile, splice, io_uring and the like report as moved \
is explained: copied by a CPU, passed by reference, read past the page cache, shared, mapped, \
generated - or shown as unexplained.";

const AFTER_HELP: &str = "\
Start with `zctrace doctor` (what can be measured here), then `zctrace stat -- COMMAND`.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "zctrace",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    max_term_width = 100,
    propagate_version = false
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count how bytes move, and report when it ends or in intervals
    Stat(stat::StatArgs),
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Stat(args) => stat::run(args),
    };
    ExitCode::from(result.unwrap_or_else(|failure: Failure| failure.report()))
}

/// The command line's definition, for completions and the manual page.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }
}
