//! The command line: one file for each command.

mod advise;
pub(crate) mod args;
mod assets;
mod bench;
mod check;
mod completions;
mod config;
mod doctor;
mod explain;
mod hunt;
mod man;
mod record;
mod report;
mod serve;
pub mod settings;
mod stat;
mod test;
mod top;
pub mod traffic;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::{
    CommandFactory as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    cli::args::failure::Failure,
    text::{message::say, named_file},
    verbose,
};

const ABOUT: &str = "Shows where the kernel copied every I/O byte, and where it did not";

const LONG_ABOUT: &str = "\
Shows where the kernel copied every I/O byte, and where it did not: per process and data path, \
counted in the running kernel with eBPF.

Every byte that read, write, send, recv, sendfile, splice, io_uring and similar calls report as \
moved is explained: copied by a CPU, passed by reference, moved past the page cache, shared, mapped \
or generated. Otherwise it is shown as unexplained.";

const AFTER_HELP: &str = "\
Examples:
  zctrace doctor                   what can be measured here
  zctrace stat -- cp a b           how a command moves its bytes
  zctrace top --port 80            a dashboard of a server
  zctrace check --max-copies-per-byte 0.02 --path sendfile --port 80 --duration 30s

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

    /// Permissions of new files, in octal
    #[arg(long, global = true, value_name = "MODE", default_value = "600", value_parser = file_mode,
          hide_short_help = true)]
    file_mode: u32,

    /// Show on standard error what zctrace decides, and what its BPF programs report
    #[arg(short, long, global = true, hide_short_help = true)]
    verbose: bool,
}

fn file_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("write three octal digits, such as 600 or 644".into()),
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count how bytes move, and report at the end or in intervals
    Stat(stat::StatArgs),
    /// Watch how bytes move on a dashboard
    Top(top::TopArgs),
    /// Record how bytes move, and the stacks that copy them, to a file
    Record(record::RecordArgs),
    /// Show a recording: text, JSON, CSV, flame graph, web page; or compare two
    Report(report::ReportArgs),
    /// Serve metrics to Prometheus, and push them to an OpenTelemetry collector
    Serve(serve::ServeArgs),
    /// Judge a claim such as "this path is zero-copy": pass, fail or inconclusive
    Check(check::CheckArgs),
    /// Run a command that marks regions, and judge each by figures that only go down
    Test(test::TestArgs),
    /// Run workloads whose truth is known, and show expected beside measured numbers
    Bench(bench::BenchArgs),
    /// Say what another technique would save a running target, by running both here
    Advise(advise::AdviseArgs),
    /// Show what this kernel and these privileges allow, and how to get more
    Doctor(doctor::DoctorArgs),
    /// Print the settings file, with a comment on every setting
    Config(config::ConfigArgs),
    /// Explain a word of a report: what happens in the kernel, and when it copies after all
    Explain(explain::ExplainArgs),
    /// Print a shell's completions
    Completions(completions::CompletionsArgs),
    /// Print a manual page
    Man(man::ManArgs),
    /// Write shell completions and manual pages
    #[command(hide = true)]
    Assets(assets::AssetsArgs),
    /// Generate traffic whose truth is known
    #[command(hide = true)]
    Traffic(traffic::Args),
    /// Compare what tracepoints conclude with what functions measure, for random operations
    #[command(hide = true)]
    Hunt(hunt::Args),
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| hinted(error).exit());
    named_file::set_mode(cli.file_mode);
    // The dashboard has the terminal for itself.
    if !(matches!(cli.command, Command::Top(_)) && io::stderr().is_terminal()) {
        verbose::start(cli.verbose);
    }
    let result = match cli.command {
        Command::Stat(args) => stat::run(args),
        Command::Top(args) => top::run(args),
        Command::Config(args) => config::run(&args),
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Advise(args) => advise::run(&args),
        Command::Record(args) => record::run(args),
        Command::Report(args) => report::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Assets(args) => assets::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Traffic(args) => return status(traffic::run(&args)),
        Command::Hunt(args) => return status(hunt::run(&args)),
    };
    ExitCode::from(result.unwrap_or_else(|failure: Failure| failure.report()))
}

/// The status of a hidden command.
fn status(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Tells users of `perf stat ls` where a command goes.
fn hinted(mut error: clap::Error) -> clap::Error {
    let word = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) => word.clone(),
        _ => return error,
    };
    if !word.starts_with('-') {
        let hint = format!("to run a command, put -- before it: -- {word} ...");
        let hint = ContextValue::StyledStrs(vec![hint.into()]);
        error.insert(ContextKind::Suggested, hint);
    } else if error.get(ContextKind::Suggested).is_some() {
        // clap would have it be a command after `--`, which nobody means.
        let hint = "put options of zctrace before --, and options of the command after its name";
        let hint = ContextValue::StyledStrs(vec![hint.into()]);
        error.insert(ContextKind::Suggested, hint);
    }
    error
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

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(file_mode("644"), Ok(0o644));
        for wrong in ["", "rw", "888", "4755", "-1"] {
            let error = file_mode(wrong).expect_err(wrong);
            assert_eq!(error, "write three octal digits, such as 600 or 644");
        }
    }
}
