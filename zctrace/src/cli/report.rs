//! `zctrace report`: shows recordings to people and programs.

use std::path::PathBuf;

use clap::Args;

use super::args::{by::Blocks, damage, exit, failure::Failure, files, percent};
use crate::{
    claims::Verdict,
    recording::Recording,
    report::{
        compared::{self, Comparison, MostIncrease},
        csv, flame, html, json, pprof,
        recorded::{self, Document},
        requested, table,
    },
    text::sink::{self, Sink},
};

const EXAMPLES: &str = "\
Examples:
  zctrace report zctrace.zct                       totals, data paths, stacks
  zctrace report before.zct after.zct              what a change has changed
  zctrace report before.zct after.zct --max-increase 5% --markdown
                                                   whether it copies more, for CI
  zctrace report zctrace.zct --html page.html      a page that needs nothing else
  zctrace report zctrace.zct --folded              for flame graph tools
  zctrace report zctrace.zct --pprof copied.pb.gz  for `go tool pprof` and the like";

/// Arguments of `report`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReportArgs {
    /// A recording
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Another recording, to compare with
    #[arg(value_name = "OTHER", conflicts_with_all = ["csv", "folded", "pprof"])]
    other: Option<PathBuf>,

    /// Write JSON
    #[arg(long, group = "format")]
    json: bool,

    /// Write CSV, a line for each data path
    #[arg(long, group = "format")]
    csv: bool,

    /// Write the stacks with their bytes, one per line, for flame graph tools
    #[arg(long, group = "format")]
    folded: bool,

    /// Write the stacks with their bytes as a profile for pprof and what reads its format
    #[arg(long, value_name = "PB.GZ", group = "format")]
    pprof: Option<PathBuf>,

    /// Draw the stacks as a flame graph; those of two recordings coloured by their difference
    #[arg(long, value_name = "SVG", group = "format")]
    flame: Option<PathBuf>,

    /// Write a self-contained web page with everything
    #[arg(long, value_name = "HTML", group = "format")]
    html: Option<PathBuf>,

    /// Write Markdown, such as for the summary of a CI job
    #[arg(long, group = "format", requires = "other")]
    markdown: bool,

    /// Fail if OTHER copies this much more for the same work; exit status 1 if so, 3 if it is not known
    #[arg(long, value_name = "PERCENT", requires = "other", value_parser = percent::percent)]
    max_increase: Option<f64>,

    /// Let inferred rows decide --max-increase
    #[arg(long, requires = "max_increase")]
    accept_inferred: bool,

    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["flame", "html", "pprof"])]
    output: Option<PathBuf>,

    /// With `command`, processes of one name are one block; with `container`, those of one container
    #[arg(long, value_name = "WHAT", value_parser = ["command", "container"], hide_possible_values = true)]
    by: Option<String>,

    /// The same as --by command
    #[arg(long, conflicts_with = "by")]
    group: bool,

    /// Show every process and data path in the table, not only the largest
    #[arg(long, conflicts_with = "format")]
    all: bool,
}

/// Runs `report`; the result is the exit code.
pub(crate) fn run(args: &ReportArgs) -> Result<u8, Failure> {
    let path = args
        .output
        .as_ref()
        .or(args.flame.as_ref())
        .or(args.html.as_ref())
        .or(args.pprof.as_ref());
    for file in [Some(&args.file), args.other.as_ref()] {
        files::distinct(&[("the recording", file), ("the output", path)])?;
    }
    let blocks = match args.by.as_deref() {
        Some("container") => Blocks::Container,
        Some(_) => Blocks::Command,
        None if args.group => Blocks::Command,
        None => Blocks::Process,
    };
    let load = |path: &std::path::Path| -> Result<Document, Failure> {
        let mut document = load(path)?;
        document.stat = blocks.of(document.stat);
        Ok(document)
    };
    let document = load(&args.file)?;
    let mut sink = match path {
        Some(path) => Sink::file(path, false)?,
        None => Sink::stdout(),
    };
    let surface = sink.surface();
    if let Some(other) = &args.other {
        let limit = args.max_increase.map(|part| MostIncrease {
            part,
            accept_inferred: args.accept_inferred,
        });
        let comparison = Comparison::new(document, load(other)?, limit);
        if args.json {
            sink.write(|out| json::document(&comparison, out))?;
        } else {
            let text = if args.html.is_some() {
                compared::page(&comparison)
            } else if args.flame.is_some() {
                let (before, after) = (comparison.before.stacks(), comparison.after.stacks());
                flame::differential(before, after, true).map_err(no_stacks)?
            } else if args.markdown {
                compared::markdown(&comparison)
            } else {
                compared::text(&comparison, surface)
            };
            sink.write(|out| out.write_all(text.as_bytes()))?;
        }
        sink.finish()?;
        let verdict = comparison.judged.map(|judged| judged.verdict);
        return Ok(match verdict {
            None | Some(Verdict::Pass) => 0,
            Some(Verdict::Fail) => exit::FAILED,
            Some(Verdict::Inconclusive) => exit::NOT_MEASURED,
        });
    } else if args.json {
        sink.write(|out| json::document(&document, out))?;
    } else if args.csv {
        sink.write(|out| {
            csv::header(&mut *out)?;
            csv::rows(&document.stat, out)
        })?;
    } else if args.folded {
        let text = document.stacks().folded();
        sink.write(|out| out.write_all(text.as_bytes()))?;
    } else if args.pprof.is_some() {
        if document.stacks().bytes.is_empty() {
            return Err(no_stacks(flame::Error::Nothing));
        }
        sink.write(|out| out.write_all(&pprof::profile(&document.stat)?))?;
    } else if args.flame.is_some() {
        let svg = flame::svg(document.stacks(), true).map_err(no_stacks)?;
        sink.write(|out| out.write_all(svg.as_bytes()))?;
    } else if args.html.is_some() {
        let page = html::page(&document);
        sink.write(|out| out.write_all(page.as_bytes()))?;
    } else {
        let options = table::Options {
            surface,
            all: args.all,
        };
        let mut text = table::report(&document.stat, options);
        text.push_str(&recorded::verdicts(&document));
        text.push_str(&requested::text(&document.requests));
        text.push_str(&recorded::stacks(&document));
        sink.write(|out| out.write_all(text.as_bytes()))?;
    }
    sink.finish()?;
    Ok(0)
}

fn load(path: &std::path::Path) -> Result<Document, Failure> {
    let mut recording = Recording::open(path)?;
    let document = Document::read(&mut recording)?;
    damage::warn_of(&recording);
    Ok(document)
}

fn no_stacks(error: flame::Error) -> Failure {
    match error {
        flame::Error::Nothing => Failure::usage(
            "the recording has no stacks",
            "nothing was copied, or it was made with --no-stacks; record longer, or with a smaller --stack-every",
        ),
        flame::Error::Drawing(error) => Failure::from(sink::Error::Write {
            name: "the flame graph".into(),
            source: error,
        }),
    }
}
