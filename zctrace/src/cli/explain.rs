//! `zctrace explain`: what a word of a report means.

use clap::Args;

use super::args::failure::Failure;
use crate::{
    explain,
    report::prose,
    text::sink::Sink,
    tui::{rows::views::View, state::reading::MARKS},
};

const EXAMPLES: &str = "\
Examples:
  zctrace explain spliced            a class
  zctrace explain sendfile           an operation
  zctrace explain EINVAL             an error
  zctrace explain --list errors      every name of a topic
  zctrace explain --search overlay   the names whose explanation has a word";

/// Arguments of `explain`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
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
            None => on_the_dashboard(name).ok_or_else(|| unknown(name))?,
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

/// What a mark or the title of a column of `zctrace top` means, in each view that has it.
fn on_the_dashboard(name: &str) -> Option<String> {
    let is = |word: &str| word.eq_ignore_ascii_case(name.trim());
    let marks = MARKS.iter().filter(|(mark, _)| is(mark));
    let marks = marks.map(|(mark, means)| format!("{mark} (a mark of zctrace top)\n\n  {means}\n"));
    let columns = View::ALL.into_iter().flat_map(|view| {
        let columns = view.columns().iter();
        let columns = columns.filter(|column| is(column.title) || is(column.name));
        columns.map(move |column| {
            let (view, _) = view.titles();
            format!(
                "{} (a column of {view} in zctrace top)\n\n  {}\n",
                column.title, column.help
            )
        })
    });
    let found: Vec<_> = marks.chain(columns).collect();
    (!found.is_empty()).then(|| found.join("\n"))
}

fn unknown(name: &str) -> Failure {
    let suggestions = explain::suggestions(name);
    let remedy = if !suggestions.is_empty() {
        format!("did you mean {}?", suggestions.join(", "))
    } else if !explain::search(name).is_empty() {
        "other entries mention this word: `zctrace explain --search` lists them".into()
    } else {
        "`zctrace explain --list` shows every name".into()
    };
    Failure::usage(format!("nothing is called {name:?}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_and_mark_of_the_dashboard_is_explained() {
        for view in View::ALL {
            for column in view
                .columns()
                .iter()
                .filter(|column| !column.title.is_empty())
            {
                let known = explain::find(column.title).is_some();
                assert!(
                    known || on_the_dashboard(column.title).is_some(),
                    "{}",
                    column.title
                );
            }
        }
        assert!(on_the_dashboard("!").unwrap().contains("unexplained"));
        assert_eq!(on_the_dashboard("nonsense"), None);
    }

    #[test]
    fn a_word_that_other_texts_have_leads_to_them() {
        let failure = unknown("SPLICE_F_MOVE");
        let text = format!("{failure:?}");
        assert!(
            text.contains("--search") || text.contains("did you mean"),
            "{text}"
        );
        assert!(format!("{:?}", unknown("qqqq")).contains("--list"));
    }
}
