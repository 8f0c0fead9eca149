//! `zctrace doctor`: what can be measured here, and how to get more.

use clap::Args;

use super::failure::{Failure, NOT_MEASURED};
use crate::{
    kernel::{
        doctor::{Facts, Survey},
        privileges::Privileges,
    },
    output::{checkup, json, sink::Sink},
    tracer::{self, Config},
};

const AFTER_HELP: &str = "\
Every probe of the catalog is attached for a moment and taken off again. Exit status: 0 when
`zctrace stat` can measure here, 3 when it cannot.";

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DoctorArgs {
    /// Write JSON
    #[arg(long)]
    json: bool,

    /// Send known bytes through every family: a probe that can be attached can still be silent
    #[arg(long, hide = true)]
    self_test: bool,

    /// Show the probes that are as they should be, too
    #[arg(long, conflicts_with = "json")]
    all: bool,
}

/// Runs `doctor`; the result is the exit code.
pub(crate) fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let document = Facts::gather(survey(args.self_test)).conclude();
    let mut sink = Sink::stdout();
    let surface = sink.surface();
    sink.write(|out| {
        if args.json {
            json::document(&document, out)
        } else {
            out.write_all(checkup::report(&document, args.all, surface).as_bytes())
        }
    })?;
    sink.finish()?;
    Ok(if document.can_measure {
        0
    } else {
        NOT_MEASURED
    })
}

fn survey(self_test: bool) -> Result<Survey, String> {
    if !Privileges::current().missing().is_empty() {
        return Err("not permitted".into());
    }
    tracer::survey(&Config::default(), self_test).map_err(|error| error.to_string())
}
