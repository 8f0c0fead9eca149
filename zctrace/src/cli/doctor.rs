//! `zctrace doctor`: what can be measured here, and how to get more.

use std::io::{IsTerminal as _, Write as _, stderr};

use clap::Args;

use super::args::{exit::NOT_MEASURED, failure::Failure};
use crate::{
    kernel::{
        doctor::{Facts, Survey},
        privileges::Privileges,
    },
    report::{bug, checkup, json},
    run,
    text::sink::Sink,
    tracer::{self, Config},
};

const AFTER_HELP: &str = "\
Examples:
  zctrace doctor                     what can be measured here
  zctrace doctor --self-test         whether the ledger gets known bytes right
  zctrace doctor --report > bug.md   what a bug report needs

Every probe of the catalog is attached for a moment and then detached. Exit status: 0 if
`zctrace stat` can measure here, 3 if it cannot. With --self-test, 1 if the ledger gets known
bytes wrong.";

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DoctorArgs {
    /// Write JSON
    #[arg(long)]
    json: bool,

    /// Send known bytes through every family, because a probe that can be attached may still be silent
    #[arg(long)]
    self_test: bool,

    /// Also show the probes without problems
    #[arg(long, conflicts_with = "json")]
    all: bool,

    /// Write what a bug report needs, in Markdown: no host name, no processes, no paths of yours
    #[arg(long, conflicts_with_all = ["json", "all"])]
    report: bool,
}

/// Runs `doctor`; the result is the exit code.
pub(crate) fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let document = Facts::gather(survey(args.self_test)).conclude();
    let mut sink = Sink::stdout();
    let surface = sink.surface();
    sink.write(|out| {
        if args.json {
            json::document(&document, out)
        } else if args.report {
            out.write_all(bug::report(&document).as_bytes())
        } else {
            out.write_all(checkup::report(&document, args.all, surface).as_bytes())
        }
    })?;
    sink.finish()?;
    let failed = document
        .self_test
        .as_ref()
        .is_some_and(|test| !test.passed());
    Ok(if !document.can_measure {
        NOT_MEASURED
    } else {
        failed.into()
    })
}

fn survey(self_test: bool) -> Result<Survey, String> {
    if !Privileges::current().missing().is_empty() {
        return Err("not permitted".into());
    }
    let survey = if self_test {
        run::self_test(&mut progress())
    } else {
        tracer::survey(&Config::default())
    };
    survey.map_err(|error| error.to_string())
}

/// One line that is overwritten, only on a terminal.
fn progress() -> impl FnMut(&str) {
    let shown = stderr().is_terminal();
    move |name| {
        if shown {
            // Progress that cannot be shown is no reason to fail.
            let _ = write!(stderr(), "\r\x1b[Kself-test: {name}\r");
        }
    }
}
