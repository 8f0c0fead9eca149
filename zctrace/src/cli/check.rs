//! `zctrace check`: the verdict.

use std::{
    io,
    os::fd::RawFd,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use zctrace_common::By;

use super::args::{
    duration,
    exit::{FAILED, NOT_MEASURED},
    failure::Failure,
    files, least, limit, ready_fd, size,
    target::{MEASURES, TargetArgs},
};
use crate::{
    claims::{
        Circumstances, Claim, Document, Expectation, MIN_BYTES, Policy, Verdict, ZERO_COPY, judge,
    },
    kernel::{self, privileges::Keep},
    ledger::Snapshot,
    recording::Recording,
    report::{json, junit, verdict},
    run::{self, Outcome, Plan},
    text::{named_file, sink::Sink},
    tracer::Session,
};

const EXAMPLES: &str = "\
Examples:
  zctrace check --max-copies-per-byte 0.02 --path sendfile --port 80 --duration 30s
  zctrace check --max-copies-per-sent-byte 1 -- ./benchmark --zerocopy
  zctrace check --expect 'sendfile>=0.95' --port 80 --duration 30s
  zctrace check --policy zero-copy.toml --junit report.xml --json -o report.json -p 1234

Every path of at least --min-bytes is judged by itself, smaller paths together: a total would hide
copies behind other bytes. Copies and unexplained bytes count, and so do passes of a cipher unless
--allow-encryption is given. Reports go to standard output, or to standard error with a command.
Exit status: 0 pass, 1 fail, 2 usage error, 3 inconclusive or could not measure; 126 or 127 if the
command cannot be run or does not exist.";

/// The maximum length of a policy.
const MAX_POLICY: u64 = 1 << 20;

/// Arguments of `check`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Judge a recording instead of measuring
    #[arg(long, value_name = "FILE", conflicts_with_all = MEASURES)]
    from: Option<PathBuf>,

    #[command(flatten)]
    claim: ClaimArgs,

    #[command(flatten)]
    measure: MeasureArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The claim.
#[derive(Args, Debug)]
#[command(next_help_heading = "Claim")]
struct ClaimArgs {
    /// Maximum copies per moved byte; 0.02 means zero-copy
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = limit::limit)]
    max_copies_per_byte: Option<f64>,

    /// Maximum copies per byte that a process sends to the network, counting all its copies
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = limit::limit)]
    max_copies_per_sent_byte: Option<f64>,

    /// Maximum copies per byte that a process receives from the network, counting all its copies
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = limit::limit)]
    max_copies_per_received_byte: Option<f64>,

    /// Maximum milliseconds from a zero-copy send (MSG_ZEROCOPY, SEND_ZC) to its notification, for
    /// 99% of the sends
    #[arg(long, value_name = "MS", allow_negative_numbers = true,
          value_parser = limit::milliseconds)]
    max_notification_ms: Option<f64>,

    /// Minimum bytes to judge a path by itself [default: 1MiB]
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = size::positive)]
    min_bytes: Option<u64>,

    /// Judge only this operation, such as sendfile, or uring.* for a family
    #[arg(long, value_name = "OP")]
    path: Option<String>,

    /// Judge which share of the bytes went one way, such as 'sendfile>=0.95', 'read,direct>=0.99' or
    /// 'write,network<=0.1'. May be given several times
    #[arg(long, value_name = "EXPECTATION", value_parser = expectation)]
    expect: Vec<Expectation>,

    /// Let paths pass whose copies were inferred from the calls, not measured
    #[arg(long)]
    accept_inferred: bool,

    /// Do not count a cipher's pass over the data (kernel TLS)
    #[arg(long)]
    allow_encryption: bool,

    /// Read several claims from a TOML file ('-' for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "max_copies_per_byte", "max_copies_per_sent_byte", "max_copies_per_received_byte",
        "max_notification_ms", "min_bytes", "path", "expect", "accept_inferred",
        "allow_encryption"])]
    policy: Option<PathBuf>,

    /// Print the claims as a policy file, and measure nothing. Without a limit, print one for
    /// zero-copy
    #[arg(long)]
    print_policy: bool,
}

/// How it is measured.
#[derive(Args, Debug)]
#[command(next_help_heading = "Measurement")]
struct MeasureArgs {
    /// Measure for this long after every probe is attached; a command is then ended with SIGTERM
    #[arg(long, value_name = "TIME", allow_hyphen_values = true,
          value_parser = duration::duration)]
    duration: Option<Duration>,

    /// Judge what a command did even if it failed
    #[arg(long)]
    ignore_command_status: bool,

    /// Leave a probe out; its bytes become unexplained. May be given several times
    #[arg(long, value_name = "NAME", hide = true)]
    without_probe: Vec<String>,

    /// Write a line to this file descriptor when every probe is attached
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(RawFd).range(0..))]
    ready_fd: Option<RawFd>,
}

/// How a verdict is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// The whole document
    Json,
    /// A test report for CI
    Junit,
    /// For comments and summaries
    Markdown,
}

/// Where the verdict goes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Write JSON, as --format json does
    #[arg(long, conflicts_with_all = ["format", "quiet"])]
    json: bool,

    /// How the report is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,

    /// Write one line only
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,

    /// Write to a file instead
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also write a test report for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs `check`; the result is the exit code.
pub(crate) fn run(args: CheckArgs) -> Result<u8, Failure> {
    let claims = args.claim.claims()?;
    if args.claim.print_policy {
        let mut sink = match &args.output.output {
            Some(path) => Sink::file(path, false)?,
            None => Sink::stdout(),
        };
        let text = Policy { claims }.text();
        sink.write(|out| out.write_all(text.as_bytes()))?;
        sink.finish()?;
        return Ok(0);
    }
    let commands = args.target.is_command() || args.from.is_some();
    if args.measure.ignore_command_status && !commands {
        return Err(Failure::usage(
            "--ignore-command-status needs a command",
            "put the command after --",
        ));
    }
    files::distinct(&[
        ("--from", args.from.as_ref()),
        ("--output", args.output.output.as_ref()),
        ("--junit", args.output.junit.as_ref()),
    ])?;
    // Opened before anything runs: a verdict that cannot be written is worth nothing.
    let mut sink = match &args.output.output {
        Some(path) => Sink::file(path, false)?,
        None if args.target.is_command() => Sink::stderr(),
        None => Sink::stdout(),
    };
    let junit = match &args.output.junit {
        Some(path) => Some(Sink::file(path, false)?),
        None => None,
    };
    let (snapshot, circumstances, key_pressed, session) = match &args.from {
        Some(path) => {
            let snapshot = recorded(path)?;
            let circumstances = Circumstances {
                ignore_command_status: args.measure.ignore_command_status,
                ..Circumstances::recorded(&snapshot)
            };
            (snapshot, circumstances, false, None)
        }
        None => {
            let by = if claims.iter().any(Claim::counts_over_the_network) {
                By::Unnamed
            } else {
                By::Nothing
            };
            measured(args.target, args.measure, by)?
        }
    };
    let judgements = claims
        .iter()
        .map(|claim| judge(claim, &snapshot, circumstances))
        .collect();
    let document = Document::new(judgements, snapshot);
    if let Some(mut junit) = junit {
        let text = junit::report(&document);
        junit.write(|out| out.write_all(text.as_bytes()))?;
        junit.finish()?;
    }
    let format = if args.output.json {
        Format::Json
    } else {
        args.output.format
    };
    let text = match format {
        Format::Json => None,
        Format::Junit => Some(junit::report(&document)),
        Format::Markdown => Some(verdict::markdown(&document)),
        Format::Text if args.output.quiet => Some(verdict::line_of(&document)),
        Format::Text => Some(verdict::report(&document, sink.surface())),
    };
    match text {
        None => sink.write(|out| json::document(&document, out))?,
        Some(mut text) => {
            if key_pressed && sink.is_terminal() {
                text.insert(0, '\n');
            }
            sink.write(|out| out.write_all(text.as_bytes()))?;
        }
    }
    sink.finish()?;
    if let Some(session) = session {
        run::detach(session);
    }
    Ok(match document.verdict {
        Verdict::Pass => 0,
        Verdict::Fail => FAILED,
        Verdict::Inconclusive => NOT_MEASURED,
    })
}

/// The content of a recording. An incomplete recording proves nothing.
fn recorded(path: &Path) -> Result<Snapshot, Failure> {
    let mut recording = Recording::open(path)?;
    let snapshot = recording.whole()?.snapshot();
    match recording.damage() {
        None => Ok(snapshot),
        Some(damage) => Err(Failure::not_measured(
            format!("{} is incomplete: {damage}", path.display()),
            "`zctrace report` shows what is left; or record again",
        )),
    }
}

/// What is measured now, and what is still attached.
fn measured(
    target: TargetArgs,
    measure: MeasureArgs,
    by: By,
) -> Result<(Snapshot, Circumstances, bool, Option<Session>), Failure> {
    let plan = Plan {
        subject: target.subject()?,
        user: target.account()?,
        follow: !target.no_follow,
        faults: true,
        by,
        channel: None,
        without: measure.without_probe,
        own_cost: false,
        audit: None,
        stack_bytes: 0,
        unwind: false,
        sizes: false,
        ended: crate::tracer::Ended::Keep,
        duration: measure.duration,
        interval: None,
        settle: Plan::SETTLE,
        max_rows: target.max_rows,
        max_threads: target.max_threads,
        ready: measure.ready_fd.map(ready_fd::inherited).transpose()?,
    };
    let (outcome, session) =
        run::observe(plan, least::attach_and_keep(Keep::Report), &mut |_, _| {
            Ok(())
        })?;
    let circumstances = circumstances(&outcome, measure.ignore_command_status);
    let key_pressed = outcome.key_pressed;
    Ok((outcome.snapshot, circumstances, key_pressed, Some(session)))
}

/// How a measurement went, for those who judge it.
pub(super) fn circumstances(outcome: &Outcome, ignore_command_status: bool) -> Circumstances {
    Circumstances {
        cut_short: outcome.cut_short,
        waiting: outcome.waiting,
        left_behind: outcome.left_behind.len() as u64,
        untraced: outcome.untraced.len() as u64,
        hidden: outcome.unseen.hidden.len() as u64,
        unheld: outcome.unseen.unheld.len() as u64,
        abandoned: outcome.abandoned_by.is_some(),
        ignore_command_status,
        page_size: Some(kernel::page_size()),
    }
}

impl ClaimArgs {
    fn claims(&self) -> Result<Vec<Claim>, Failure> {
        if let Some(path) = &self.policy {
            return policy(path);
        }
        let mut claim = Claim {
            name: "check".into(),
            max_copies_per_byte: self.max_copies_per_byte,
            max_copies_per_sent_byte: self.max_copies_per_sent_byte,
            max_copies_per_received_byte: self.max_copies_per_received_byte,
            max_notification_ms: self.max_notification_ms,
            min_bytes: self.min_bytes.unwrap_or(MIN_BYTES),
            path: self.path.clone(),
            accept_inferred: self.accept_inferred,
            allow_encryption: self.allow_encryption,
            expect: self.expect.clone(),
        };
        // Whoever asks for a policy to start from need not know a limit yet.
        if self.print_policy && claim.limits().next().is_none() && claim.expect.is_empty() {
            claim.max_copies_per_byte = Some(ZERO_COPY);
        }
        claim
            .check()
            .map_err(|flaw| Failure::usage(flaw.to_string(), flaw.remedy()))?;
        Ok(vec![claim])
    }
}

fn expectation(text: &str) -> Result<Expectation, String> {
    Expectation::parse(text).map_err(|flaw| format!("{flaw}; {}", flaw.remedy()))
}

/// The claims of a policy file.
pub(crate) fn policy(path: &Path) -> Result<Vec<Claim>, Failure> {
    let shown = path.display();
    let text = read(path).map_err(|error| {
        Failure::usage(
            format!("cannot read the policy {shown}: {error}"),
            "--policy takes a TOML file of at most 1 MiB",
        )
    })?;
    let policy = Policy::parse(&text).map_err(|error| {
        Failure::usage(
            format!("policy {shown}: {error}"),
            "a policy has [[claim]] tables; `zctrace check --print-policy` writes one",
        )
    })?;
    Ok(policy.claims)
}

fn read(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        return named_file::limited(io::stdin().lock(), MAX_POLICY);
    }
    named_file::read_text(path, MAX_POLICY)
}
