//! `zctrace test`: a ledger for each region that a command marks.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use zctrace_common::By;

use super::{
    args::{
        exit::{self, FAILED, NOT_MEASURED},
        failure::Failure,
        files, least,
        target::may_be,
    },
    check::circumstances,
};
use crate::{
    claims::{Terms, Tested, Verdict, ratchet::Ratchet},
    kernel::privileges::Keep,
    ledger::{ByRegion, Markers, Region},
    report::{json, tested},
    run::{
        self, Outcome, Plan, Subject,
        account::Account,
        channel::{Channel, Listener},
    },
    text::{message::say, named_file, sink::Sink},
    tracer::{Config, Session},
};

const EXAMPLES: &str = "\
Examples:
  zctrace test -- pytest
  zctrace test --ratchet zctrace-ratchet.toml --update -- cargo test
  zctrace test --ratchet zctrace-ratchet.toml --junit regions.xml -- ./run-tests

The command finds the number of a descriptor in ZCTRACE_REGION_FD, and writes `begin NAME` and
`end NAME` to it, each line in one write. What the writing thread does in between, and the threads
and processes that it starts, is the region's: `zctrace explain region`.
Exit status with --ratchet: 0 pass, 1 fail, 2 usage error, 3 inconclusive or could not measure.
Without it: the command's, or 3 if the figures are not exact.";

/// Rows of a region are a few, and there can be thousands of regions.
const ROWS: u32 = 16_384;
/// The maximum length of a file of figures.
const MAX_RATCHET: u64 = 4 << 20;

/// Arguments of `test`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TestArgs {
    /// Compare each region with the figures in this TOML file
    #[arg(long, value_name = "FILE")]
    ratchet: Option<PathBuf>,

    /// Lower the figures of regions that copy less than the file allows, and add new regions. Raises none
    #[arg(long, requires = "ratchet")]
    update: bool,

    /// Regions of the file need not be begun, such as when some tests only are run
    #[arg(long, requires = "ratchet")]
    allow_missing: bool,

    /// Let regions pass whose copies were inferred from the calls, not measured
    #[arg(long)]
    accept_inferred: bool,

    /// Judge what the command did even if it failed
    #[arg(long)]
    ignore_command_status: bool,

    /// Write JSON
    #[arg(long)]
    json: bool,

    /// Write to a file instead
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also write a test report for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Leave the page fault probes out: no mapped files, no copy-on-write, less overhead
    #[arg(long)]
    no_faults: bool,

    /// How many data paths are counted at a time, each region apart; the others are counted as lost
    #[arg(long, value_name = "COUNT", default_value_t = ROWS,
          value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
    max_rows: u32,

    /// How many threads are traced at a time; each takes about 600 bytes once it does I/O
    #[arg(long, value_name = "COUNT", default_value_t = Config::THREADS,
          value_parser = clap::value_parser!(u32).range(64..=1 << 22))]
    max_threads: u32,

    /// Run the command as this user, with the user's groups and home; root only
    #[arg(long, value_name = "NAME", value_parser = Account::find)]
    user: Option<Account>,

    /// The command, which marks its regions
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<OsString>,
}

/// Runs `test`; the result is the exit code.
pub(crate) fn run(args: TestArgs) -> Result<u8, Failure> {
    may_be(args.user.as_ref())?;
    files::distinct(&[
        ("--ratchet", args.ratchet.as_ref()),
        ("--output", args.output.as_ref()),
        ("--junit", args.junit.as_ref()),
    ])?;
    let mut ratchet = match &args.ratchet {
        Some(path) => Some(read(path, args.update)?),
        None => None,
    };
    // Opened before anything runs: a verdict that cannot be written is worth nothing.
    let mut sink = match &args.output {
        Some(path) => Sink::file(path, false)?,
        None => Sink::stderr(),
    };
    let junit = match &args.junit {
        Some(path) => Some(Sink::file(path, false)?),
        None => None,
    };
    let terms = Terms {
        accept_inferred: args.accept_inferred,
        allow_missing: args.allow_missing,
    };
    let ignore_command_status = args.ignore_command_status;
    let (update, path) = (args.update, args.ratchet.clone());
    let is_json = args.json;
    let Measured {
        outcome,
        regions,
        markers,
        session,
    } = measure(args)?;
    let circumstances = circumstances(&outcome, ignore_command_status);
    let judged = |ratchet: Option<&Ratchet>| {
        let snapshot = outcome.snapshot.clone();
        let by_region = ByRegion::of(&snapshot, &regions);
        Tested::new(by_region, markers, ratchet, terms, snapshot, circumstances)
    };
    let mut document = judged(ratchet.as_ref());
    if let (true, Some(ratchet), Some(path)) = (update, &mut ratchet, &path)
        && lowered(ratchet, &document)
    {
        let mut file = Sink::file(path, false)?;
        let text = ratchet.text();
        file.write(|out| out.write_all(text.as_bytes()))?;
        file.finish()?;
        document = judged(Some(ratchet));
    }
    if let Some(mut junit) = junit {
        let text = tested::junit(&document);
        junit.write(|out| out.write_all(text.as_bytes()))?;
        junit.finish()?;
    }
    if is_json {
        sink.write(|out| json::document(&document, out))?;
    } else {
        let mut text = tested::report(&document, sink.surface());
        if outcome.key_pressed && sink.is_terminal() {
            text.insert(0, '\n');
        }
        sink.write(|out| out.write_all(text.as_bytes()))?;
    }
    sink.finish()?;
    run::detach(session);
    Ok(code(&document, &outcome))
}

/// The exit code.
fn code(document: &Tested, outcome: &Outcome) -> u8 {
    match document.verdict {
        Some(Verdict::Pass) => return 0,
        Some(Verdict::Fail) => return FAILED,
        Some(Verdict::Inconclusive) => return NOT_MEASURED,
        None => {}
    }
    if let Some(signal) = outcome.abandoned_by {
        return exit::code_of_signal(signal);
    }
    match outcome.snapshot.exit_status.map(exit::code_of) {
        Some(0) | None if document.flaw().is_some() => NOT_MEASURED,
        Some(code) => code,
        None => 0,
    }
}

/// Lowers figures. Returns whether there is anything to write.
fn lowered(ratchet: &mut Ratchet, document: &Tested) -> bool {
    document.tighten(ratchet).unwrap_or_else(|| {
        say("the ratchet file was not changed: the measurement is incomplete");
        false
    })
}

/// The figures. A file that is to be updated need not exist.
fn read(path: &Path, update: bool) -> Result<Ratchet, Failure> {
    let shown = path.display();
    let text = match named_file::read_text(path, MAX_RATCHET) {
        Ok(text) => text,
        Err(error) if update && error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(Failure::usage(
                format!("cannot read the ratchet file {shown}: {error}"),
                "--update makes the file, or lowers its figures",
            ));
        }
    };
    Ratchet::parse(&text).map_err(|error| {
        Failure::usage(
            format!("ratchet file {shown}: {error}"),
            "a file has a table [region.\"NAME\"] for each region, and figures in bytes",
        )
    })
}

/// What came of it.
struct Measured {
    outcome: Outcome,
    regions: Vec<Region>,
    markers: Markers,
    session: Session,
}

fn measure(args: TestArgs) -> Result<Measured, Failure> {
    let unusable = |error: io::Error| {
        Failure::not_measured(
            format!("cannot set up the marker pipe: {error}"),
            "check the limits on open files and threads (ulimit -a)",
        )
    };
    let channel = Channel::new().map_err(unusable)?;
    let reader = channel.reader().map_err(unusable)?;
    let plan = Plan {
        user: args.user,
        faults: !args.no_faults,
        by: By::Region,
        channel: Some(channel),
        settle: Plan::SETTLE,
        max_rows: args.max_rows,
        max_threads: args.max_threads,
        ..Plan::of(Subject::Command(args.command))
    };
    let mut listener: Option<io::Result<Listener>> = None;
    let attach = |config: &Config| {
        let session = least::attach_and_keep(Keep::Report)(config)?;
        // With no more privileges than are left now, and before the command begins.
        listener = Some(reader.listen());
        Ok(session)
    };
    let (outcome, mut session) = run::observe(plan, attach, &mut |_, _| Ok(()))?;
    let lines = match listener {
        Some(listener) => listener.and_then(Listener::finish).map_err(unusable)?,
        None => return Err(unusable(io::Error::other("nobody has read it"))),
    };
    if !session.has_regions() {
        return Err(Failure::not_measured(
            "the kernel rejected the marker program, so regions cannot be separated",
            "`zctrace doctor` says what the kernel allows",
        ));
    }
    let (regions, markers) = session.regions().map_err(run::Error::from)?;
    let markers = lines.compare(&regions, markers);
    Ok(Measured {
        outcome,
        regions,
        markers,
        session,
    })
}
