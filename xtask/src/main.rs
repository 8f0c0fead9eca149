//! Development tasks, one file each: `cargo xtask --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apt;
mod arch;
mod bench;
mod binaries;
mod cross;
mod dashboard;
mod demo;
mod dist;
mod docs;
mod fuzz;
#[cfg(test)]
mod imports;
mod job;
mod paths;
mod setup;
mod soak;
mod test;
mod vm;

/// Development tasks of zctrace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Setup(setup::Options),
    Demo(demo::Options),
    Test(test::Options),
    Vm(Box<vm::Options>),
    Bench(bench::Options),
    Docs(docs::Options),
    Dist(dist::Options),
    Fuzz(fuzz::Options),
    Soak(soak::Options),
}

fn main() -> ExitCode {
    let done = match Options::parse().task {
        Task::Setup(options) => setup::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Dist(options) => dist::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::Docs(options) => docs::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Vm(options) => vm::run(&options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
