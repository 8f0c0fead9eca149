//! `zctrace completions`: a shell's completions.

use clap::Args;
use clap_complete::{Shell, generate};

use super::args::failure::Failure;
use crate::text::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  zctrace completions bash > ~/.local/share/bash-completion/completions/zctrace
  zctrace completions zsh > \"${fpath[1]}/_zctrace\"
  zctrace completions fish > ~/.config/fish/completions/zctrace.fish";

/// Arguments of `completions`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// For this shell
    shell: Shell,
}

/// Runs `completions`; the result is the exit code.
pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut super::definition(), "zctrace", &mut script);
    let mut sink = Sink::stdout();
    sink.write(|out| out.write_all(&script))?;
    sink.finish()?;
    Ok(0)
}
