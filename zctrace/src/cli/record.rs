//! `zctrace record`: intervals and stacks into a file.

use std::{
    os::fd::RawFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use zctrace_common::By;

use super::args::{
    by::Dimension, duration, exit, failure::Failure, least, ready_fd, size, target::TargetArgs,
};
use crate::{
    kernel::privileges::Keep,
    recording::{Beside, Error, Rotation, Writer},
    run::{self, Plan, Subject, noted::Noted},
    text::{bytes, message::say, sink},
    tracer::Config,
};

const EXAMPLES: &str = "\
Examples:
  zctrace record -o cp.zct -- cp a b              a command from start to end
  zctrace record --port 8080 --duration 1h        the server on a port, for an hour
  zctrace record --rotate-time 1h --keep 24       the last day of the whole machine, by the hour
  zctrace report cp.zct                           look at it

A crash, a full disk or kill -9 loses at most the last interval. Exit status: 0 done, 2 usage error,
3 could not measure; with a command the command's own, or 128 + the number of the signal that ended
it.";

/// Arguments of `record`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Write to this file
    #[arg(short, long, value_name = "FILE", default_value = "zctrace.zct")]
    output: PathBuf,

    /// Record for this long after every probe is attached; a command is then ended with SIGTERM
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = duration::duration)]
    duration: Option<Duration>,

    /// Length of the intervals
    #[arg(long, value_name = "TIME", default_value = "1s", allow_hyphen_values = true,
          value_parser = duration::interval)]
    interval: Duration,

    /// Split rows by thread, file, mount, connection or cgroup
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    by: Option<Dimension>,

    /// Leave the page fault probes out: no mapped files, no copy-on-write, less overhead
    #[arg(long)]
    no_faults: bool,

    /// Leave a probe out; its bytes become unexplained. May be given several times
    #[arg(long, value_name = "NAME")]
    without_probe: Vec<String>,

    /// Take a stack whenever this many bytes were copied on a processor
    #[arg(long, value_name = "SIZE", default_value = "256K", value_parser = size::at_least_a_page)]
    stack_every: u64,

    /// Take no stacks
    #[arg(long, conflicts_with = "stack_every")]
    no_stacks: bool,

    /// Find the callers of code without frame pointers, too: some of each sampled stack's memory is looked at
    #[arg(long, conflicts_with = "no_stacks")]
    unwind: bool,

    /// Continue in another file, FILE.1, FILE.2 and so on, at this size. Files of an earlier recording are kept: the
    /// new one continues after them
    #[arg(long, value_name = "SIZE", value_parser = size::positive)]
    rotate_size: Option<u64>,

    /// Continue in another file after this time
    #[arg(long, value_name = "TIME", value_parser = duration::duration)]
    rotate_time: Option<Duration>,

    /// Keep this many files, including those of earlier recordings, and remove the oldest
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,

    /// Write a line to this file descriptor when every probe is attached
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(RawFd).range(0..))]
    ready_fd: Option<RawFd>,
}

/// Runs `record`; the result is the exit code.
pub(crate) fn run(args: RecordArgs) -> Result<u8, Failure> {
    if args.keep.is_some() && args.rotate_size.is_none() && args.rotate_time.is_none() {
        return Err(Failure::usage(
            "--keep needs several files",
            "use --rotate-size or --rotate-time to say when to begin another file",
        ));
    }
    if args.by.is_some_and(Dimension::is_of_several) {
        return Err(Failure::usage(
            "a recording keeps each process",
            "give --by command or --by container to `zctrace report`",
        ));
    }
    let ready = args.ready_fd.map(ready_fd::inherited).transpose()?;
    let stack_bytes = if args.no_stacks { 0 } else { args.stack_every };
    let plan = Plan {
        subject: args.target.subject()?,
        user: args.target.account()?,
        follow: !args.target.no_follow,
        faults: !args.no_faults,
        by: args.by.map_or(By::Nothing, Into::into),
        channel: None,
        without: args.without_probe,
        own_cost: false,
        audit: None,
        stack_bytes,
        unwind: args.unwind,
        sizes: true,
        ended: crate::tracer::Ended::Forget,
        duration: args.duration,
        interval: Some(args.interval),
        settle: Duration::ZERO,
        max_rows: args.target.max_rows,
        max_threads: args.target.max_threads,
        ready,
    };
    let rotation = Rotation {
        size: args.rotate_size,
        time: args.rotate_time,
        keep: args.keep.map(usize::from),
    };
    let mut writer = Writer::create(&args.output, rotation, stack_bytes)?;
    let earlier = writer.earlier().count();
    if earlier > 0 {
        say(&format!(
            "continuing in {}, after {earlier} file{} of an earlier recording",
            writer.next_file().display(),
            if earlier == 1 { "" } else { "s" },
        ));
    }
    let mut intervals = 0_u64;
    let readings: Arc<Mutex<Vec<Beside>>> = Arc::default();
    let noted = readings.clone();
    // Of what runs already, a reading tells what there was before; a command begins with nothing.
    let mut before = matches!(plan.subject, Subject::Command(_)).then(Beside::default);
    let attach = least::attach_and_keep(Keep::Stacks);
    let attach = |config: &Config| Ok(Noted::new(attach(config)?, noted));
    let (outcome, meter) = run::observe(plan, attach, &mut |snapshot, _| {
        intervals += 1;
        let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = readings.drain(..);
        let first = before.take().or_else(|| new.next()).unwrap_or_default();
        let last = new.next_back().unwrap_or_else(|| first.clone());
        let gained = last.since(&first);
        before = Some(last);
        writer.append_with(snapshot, &gained).map_err(written)
    })?;
    writer.finish()?;
    let length: u64 = writer
        .files()
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum();
    let files = writer.files().count();
    let first = writer.files().next().unwrap_or(&args.output);
    say(&format!(
        "recorded {intervals} interval{}, {} in {}{}",
        if intervals == 1 { "" } else { "s" },
        bytes::bytes(length),
        first.display(),
        if files > 1 {
            format!(" and {} more", files - 1)
        } else {
            String::new()
        },
    ));
    for note in outcome.notes() {
        say(&note);
    }
    run::detach(meter);
    if let Some(signal) = outcome.abandoned_by {
        return Ok(exit::code_of_signal(signal));
    }
    Ok(outcome.snapshot.exit_status.map_or(0, exit::code_of))
}

/// A file that cannot be written, in the words of other outputs.
fn written(error: Error) -> sink::Error {
    match error {
        Error::Write { path, source } => sink::Error::Write {
            name: path.display().to_string(),
            source,
        },
        other => sink::Error::Write {
            name: "the recording".into(),
            source: std::io::Error::other(other),
        },
    }
}
