//! `zctrace stat`: the ledger, when it ends or in intervals.

use std::{borrow::Cow, os::fd::RawFd, path::PathBuf, time::Duration};

use clap::{Args, builder::PossibleValuesParser};
use zctrace_common::{AUDIT_SLOTS, By};

use super::args::{
    by::{Blocks, Dimension},
    damage, duration,
    exit::{self, NOT_MEASURED},
    failure::Failure,
    files, least, ready_fd,
    target::{MEASURES, TargetArgs},
};
use crate::{
    kernel::privileges::Keep,
    ledger::{Snapshot, audit},
    recording::Recording,
    report::{audited, csv, json, table},
    run::{self, Outcome, Plan},
    target::Unseen,
    text::{
        message::say,
        sink::{self, Sink},
    },
};

const EXAMPLES: &str = "\
Examples:
  zctrace stat -- cp a b                   trace a command from start to end
  zctrace stat -p 1234 --duration 10s      a running process, for ten seconds
  zctrace stat --port 8080 --interval 1s   the server on a port, every second
  zctrace stat --json -o io.json           the whole machine, until ctrl-c

The report goes to standard output; when a command is traced, to standard error, because
standard output is the command's. Exit status: 0 done, 2 usage error, 3 could not measure; with a
command the command's own, or 128 + the number of the signal that ended it (126 or 127 if it cannot
be run or does not exist).";

/// Arguments of `stat`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Report a recording instead of measuring
    #[arg(long, value_name = "FILE", conflicts_with_all = MEASURES,
          conflicts_with_all = ["no_faults", "own_cost", "audit", "audit_routine"])]
    from: Option<PathBuf>,

    #[command(flatten)]
    measure: MeasureArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// What is counted, and for how long.
#[derive(Args, Debug)]
#[command(next_help_heading = "Measurement")]
struct MeasureArgs {
    /// Measure for this long after every probe is attached; a command is then ended with SIGTERM
    #[arg(long, value_name = "TIME", allow_hyphen_values = true,
          value_parser = duration::duration)]
    duration: Option<Duration>,

    /// Report what happened in each interval of this length. With --from, the recorded intervals are used, whatever the
    /// length
    #[arg(long, value_name = "TIME", allow_hyphen_values = true,
          value_parser = duration::interval)]
    interval: Option<Duration>,

    /// Split rows by thread, file, mount, connection or cgroup; with `command` or `container`, processes of one
    /// command or container are one block
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    by: Option<Dimension>,

    /// The same as --by command
    #[arg(long, conflicts_with = "by")]
    group: bool,

    /// Leave the page fault probes out: no mapped files, no copy-on-write, less overhead
    #[arg(long)]
    no_faults: bool,

    /// Leave a probe out; its bytes become unexplained. May be given several times
    #[arg(long, value_name = "NAME")]
    without_probe: Vec<String>,

    /// Measure what zctrace's own programs cost (the kernel then times every BPF program)
    #[arg(long)]
    own_cost: bool,

    /// Compare the ledger with breakpoints on the kernel's copy routines, on all processors
    #[arg(long, conflicts_with_all = ["interval", "csv"])]
    audit: bool,

    /// Audit this copy routine instead of the usual four. May be given up to four times
    #[arg(long, value_name = "NAME", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(audit::ROUTINES.iter().map(|r| r.name)))]
    audit_routine: Vec<String>,

    /// Write a line to this file descriptor when every probe is attached
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(RawFd).range(0..))]
    ready_fd: Option<RawFd>,
}

impl MeasureArgs {
    fn blocks(&self) -> Blocks {
        match self.group {
            true => Blocks::Command,
            false => self.by.map(Dimension::blocks).unwrap_or_default(),
        }
    }

    /// The routines to audit: empty for the usual ones, `None` without an audit.
    fn audited(&self) -> Result<Option<Vec<String>>, Failure> {
        if self.audit_routine.len() > AUDIT_SLOTS {
            return Err(Failure::usage(
                format!("a processor has {AUDIT_SLOTS} breakpoints"),
                "audit the other routines in another run",
            ));
        }
        let wanted = self.audit || !self.audit_routine.is_empty();
        Ok(wanted.then(|| self.audit_routine.clone()))
    }
}

/// Where the report goes and how it looks.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Write JSON (with --interval, a document on each line)
    #[arg(long, group = "format")]
    json: bool,

    /// Write CSV, a line for each data path
    #[arg(long, group = "format")]
    csv: bool,

    /// Write to a file instead
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Show every process and data path in the table, not only the largest
    #[arg(long, conflicts_with = "format")]
    all: bool,
}

/// Runs `stat`; the result is the exit code.
pub(crate) fn run(args: StatArgs) -> Result<u8, Failure> {
    files::distinct(&[
        ("--from", args.from.as_ref()),
        ("--output", args.output.output.as_ref()),
    ])?;
    if let Some(path) = &args.from {
        return replay(path, &args);
    }
    let ready = args.measure.ready_fd.map(ready_fd::inherited).transpose()?;
    let audit = args.measure.audited()?;
    let subject = args.target.subject()?;
    if audit.is_some() && subject.is_several() {
        return Err(Failure::usage(
            "--audit compares one target with the breakpoints, and these are several",
            "give one name, or audit the whole machine",
        ));
    }
    let plan = Plan {
        subject,
        user: args.target.account()?,
        follow: !args.target.no_follow,
        faults: !args.measure.no_faults,
        by: args.measure.by.map_or(By::Nothing, Into::into),
        channel: None,
        without: args.measure.without_probe.clone(),
        own_cost: args.measure.own_cost,
        audit,
        stack_bytes: 0,
        unwind: false,
        sizes: false,
        ended: match args.measure.interval {
            Some(_) => crate::tracer::Ended::Fold,
            None => crate::tracer::Ended::Keep,
        },
        duration: args.measure.duration,
        interval: args.measure.interval,
        settle: Duration::ZERO,
        max_rows: args.target.max_rows,
        max_threads: args.target.max_threads,
        ready,
    };
    let own_cost = args.measure.own_cost;
    let is_command = args.target.is_command();
    let mut report = Report::open(&args.output, is_command, &args.measure)?;
    let (outcome, session) = run::observe(
        plan,
        least::attach_and_keep(Keep::Report),
        &mut |snapshot, elapsed| report.interval(snapshot, elapsed),
    )?;
    report.end(&outcome)?;
    if own_cost && outcome.snapshot.overhead.bpf_ns.is_none() {
        say("warning: --own-cost needs cap_sys_admin: the kernel did not time zctrace's programs");
    }
    for note in outcome.notes() {
        say(&note);
    }
    run::detach(session);
    if let Some(signal) = outcome.abandoned_by {
        return Ok(exit::code_of_signal(signal));
    }
    let code = match outcome.snapshot.exit_status {
        Some(status) => exit::code_of(status),
        None => 0,
    };
    let refused = outcome
        .audit
        .is_some_and(|(_, setup)| setup.refused.is_some());
    Ok(if code == 0 && refused {
        NOT_MEASURED
    } else {
        code
    })
}

/// Reports a recording as if it were measured now; with `--interval`, in the intervals in which it
/// was recorded.
fn replay(path: &std::path::Path, args: &StatArgs) -> Result<u8, Failure> {
    if args.measure.by.is_some_and(|by| !by.is_of_several()) {
        return Err(Failure::usage(
            "`--from` cannot be used with this `--by`: a recording is split as it was made",
            "give --by to `zctrace record`; --by command and --by container can be chosen later",
        ));
    }
    let mut recording = Recording::open(path)?;
    let intervals = args.measure.interval.is_some();
    let mut report = Report::open(&args.output, false, &args.measure)?;
    if intervals {
        let mut elapsed = Duration::ZERO;
        for snapshot in recording.by_ref() {
            let snapshot = snapshot?;
            elapsed += Duration::from_nanos(snapshot.duration_ns);
            report.interval(&snapshot, elapsed)?;
        }
        recording.seek(0)?;
    }
    let whole = recording.whole()?;
    report.end(&Outcome {
        snapshot: whole.snapshot(),
        audit: None,
        abandoned_by: None,
        key_pressed: false,
        cut_short: false,
        time_is_up: false,
        waiting: 0,
        left_behind: Vec::new(),
        untraced: Vec::new(),
        unseen: Unseen::default(),
        unseen_since: Unseen::default(),
        asked: None,
    })?;
    damage::warn_of(&recording);
    Ok(0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Table { all: bool },
    Json,
    Csv,
}

/// The report as it is being written.
struct Report {
    format: Format,
    sink: Sink,
    intervals: bool,
    blocks: Blocks,
    /// The header of a CSV stream has been written.
    begun: bool,
}

impl Report {
    fn open(
        args: &OutputArgs,
        is_command: bool,
        measure: &MeasureArgs,
    ) -> Result<Self, sink::Error> {
        let intervals = measure.interval.is_some();
        let format = match (args.json, args.csv) {
            (true, _) => Format::Json,
            (false, true) => Format::Csv,
            (false, false) => Format::Table { all: args.all },
        };
        let sink = match &args.output {
            Some(path) => Sink::file(path, intervals)?,
            None if is_command => Sink::stderr(),
            None => Sink::stdout(),
        };
        Ok(Self {
            format,
            sink,
            intervals,
            blocks: measure.blocks(),
            begun: false,
        })
    }

    fn options(&self, all: bool) -> table::Options {
        table::Options {
            surface: self.sink.surface(),
            all,
        }
    }

    /// The document as it was asked for.
    fn shaped<'a>(&self, snapshot: &'a Snapshot) -> Cow<'a, Snapshot> {
        match self.blocks {
            Blocks::Process => Cow::Borrowed(snapshot),
            blocks => Cow::Owned(blocks.of(snapshot.clone())),
        }
    }

    fn interval(&mut self, snapshot: &Snapshot, elapsed: Duration) -> Result<(), sink::Error> {
        let snapshot = &*self.shaped(snapshot);
        match self.format {
            Format::Table { all } => {
                let text = table::interval(snapshot, elapsed, self.options(all));
                self.sink.write(|out| out.write_all(text.as_bytes()))
            }
            Format::Json => self.sink.write(|out| json::line(snapshot, out)),
            Format::Csv => self.rows(snapshot),
        }
    }

    /// The report of the whole. After intervals, only the table has it too.
    fn end(mut self, outcome: &Outcome) -> Result<(), sink::Error> {
        let snapshot = &*self.shaped(&outcome.snapshot);
        let audit = outcome
            .audit
            .as_ref()
            .map(|(counts, setup)| audit::Document::new(snapshot.clone(), counts, setup));
        match self.format {
            Format::Table { all } => {
                let mut text = table::report(snapshot, self.options(all));
                if outcome.key_pressed && self.sink.is_terminal() {
                    text.insert(0, '\n');
                }
                if let Some(audit) = &audit {
                    text.push('\n');
                    text.push_str(&audited::report(audit, self.sink.surface()));
                }
                self.sink.write(|out| out.write_all(text.as_bytes()))?;
            }
            Format::Json if !self.intervals => match &audit {
                Some(audit) => self.sink.write(|out| json::document(audit, out))?,
                None => self.sink.write(|out| json::document(snapshot, out))?,
            },
            Format::Csv if !self.intervals => self.rows(snapshot)?,
            Format::Json | Format::Csv => {}
        }
        // CSV has no place for it.
        if self.format == Format::Csv {
            let missing = [table::lost(snapshot), table::unfollowed(snapshot)];
            for missing in missing.into_iter().flatten() {
                say(&format!("warning: {missing}"));
            }
        }
        self.sink.finish()
    }

    fn rows(&mut self, snapshot: &Snapshot) -> Result<(), sink::Error> {
        let header = !std::mem::replace(&mut self.begun, true);
        self.sink.write(|out| {
            if header {
                csv::header(&mut *out)?;
            }
            csv::rows(snapshot, out)
        })
    }
}
