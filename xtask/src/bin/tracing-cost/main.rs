//! Measures, from the inside, what tracing costs. `cargo xtask bench cost`, `attach` and `servers` run it,
//! the first in a guest where a tick of the time stamp counter is an instruction.

mod attach;
mod bpf;
mod calls;
mod hooks;
mod load;
mod operations;
mod servers;
mod tracer;

use anyhow::Result;
use clap::Parser;

/// Measures what tracing costs.
#[derive(Parser)]
enum Options {
    Calls(calls::Options),
    Attach(attach::Options),
    Servers(servers::Options),
}

fn main() -> Result<()> {
    match Options::parse() {
        Options::Calls(options) => calls::run(&options),
        Options::Attach(options) => attach::run(&options),
        Options::Servers(options) => servers::run(&options),
    }
}
