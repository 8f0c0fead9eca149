//! `zctrace explain`: what a word of a report means.

use clap::Args;

use super::args::failure::Failure;
use crate::{explain, report::prose, text::sink::Sink};

/// Arguments of `explain`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct ExplainArgs {
    /// A class, field, operation, object or workload as reports show it: spliced, sendfile, file:ext4
    #[arg(required_unless_present = "list", conflicts_with = "list")]
    name: Option<String>,

    /// Show every name that can be explained
    #[arg(long)]
    list: bool,
}

/// Runs `explain`; the result is the exit code.
pub(crate) fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let mut sink = Sink::stdout();
    let surface = sink.surface();
    let text = match &args.name {
        Some(name) => match explain::find(name) {
            Some(entry) => prose::section(&entry, surface),
            None => return Err(unknown(name)),
        },
        None => prose::list(&explain::entries(), surface),
    };
    sink.write(|out| out.write_all(text.as_bytes()))?;
    sink.finish()?;
    Ok(0)
}

fn unknown(name: &str) -> Failure {
    let suggestions = explain::suggestions(name);
    let remedy = if suggestions.is_empty() {
        "`zctrace explain --list` shows every name".into()
    } else {
        format!("did you mean {}?", suggestions.join(", "))
    };
    Failure::usage(format!("nothing is called {name:?}"), remedy)
}
