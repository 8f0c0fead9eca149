//! `zctrace explain`: what a word of a report means.

use clap::Args;

use super::args::failure::Failure;
use crate::{explain, report::prose, text::sink::Sink};

/// Arguments of `explain`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct ExplainArgs {
    /// A class, field, operation, object or workload as reports show it: spliced, sendfile, file:ext4
    #[arg(required_unless_present_any = ["list", "search"], conflicts_with_all = ["list", "search"])]
    name: Option<String>,

    /// List every name that can be explained, or the names of a topic: classes, operations, errors
    #[arg(long, value_name = "TOPIC", num_args = 0..=1, default_missing_value = "")]
    list: Option<String>,

    /// List the names whose explanation contains this word
    #[arg(long, value_name = "WORD", conflicts_with = "list")]
    search: Option<String>,
}

/// Runs `explain`; the result is the exit code.
pub(crate) fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let mut sink = Sink::stdout();
    let surface = sink.surface();
    let text = if let Some(name) = &args.name {
        match explain::find(name) {
            Some(entry) => prose::section(&entry, surface),
            None => return Err(unknown(name)),
        }
    } else {
        let (wanted, found) = match (&args.search, &args.list) {
            (Some(word), _) => (word.as_str(), explain::search(word)),
            (None, topic) => {
                let topic = topic.as_deref().unwrap_or_default();
                (topic, explain::of_topic(topic))
            }
        };
        if found.is_empty() {
            return Err(Failure::usage(
                format!("nothing was found for {wanted:?}"),
                "`zctrace explain --list` shows every name by topic",
            ));
        }
        prose::list(&found, surface)
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
