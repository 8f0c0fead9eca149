//! The `zctrace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    zctrace::cli::main()
}
