//! The `zctrace` command.

use std::process::ExitCode;

use clap::Parser;
use zctrace::cli::traffic;

#[derive(Parser)]
enum Cli {
    /// Known traffic.
    Traffic(traffic::Args),
}

fn main() -> ExitCode {
    let Cli::Traffic(args) = Cli::parse();
    traffic::run(&args).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
