//! `zctrace top`: the dashboard, or, where there is no terminal, a table for each interval.

use std::{
    env,
    ffi::OsString,
    io::{IsTerminal as _, stdin, stdout},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use zctrace_common::By;

use super::args::{
    by::{Blocks, Dimension},
    duration, exit,
    failure::Failure,
    least, size,
    target::TargetArgs,
};
use crate::{
    cli::settings,
    kernel::privileges::Keep,
    recording::Recording,
    report::{json, table},
    run::{self, Plan},
    text::sink::Sink,
    tui::{self, Input, source::synthetic, state::keys::Keymap, theme},
};

/// Time between two moments.
const REFRESH: Duration = Duration::from_secs(1);

/// Arguments of `top`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  zctrace top                       the whole machine
  zctrace top --port 80             the servers of a port
  zctrace top --comm nginx,haproxy  processes by name
  zctrace top --once --duration 5s  one frame as text
  zctrace top --replay run.zct      a recording

? shows the keys. Without a terminal, a table is printed for each interval.\n\
Quitting ends a command (SIGTERM). Its output is shown then, and its status is passed on.")]
pub(crate) struct TopArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Show a recording of `zctrace record` instead
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "pid", "comm", "cgroup", "port", "unit", "container", "command", "no_follow", "refresh", "duration", "by",
        "no_faults", "no_own_cost", "stack_every", "no_stacks", "unwind"])]
    replay: Option<PathBuf>,

    /// Time between two moments [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration::interval)]
    refresh: Option<Duration>,

    /// Quit after this time
    #[arg(long, value_name = "TIME", value_parser = duration::duration)]
    duration: Option<Duration>,

    /// Print one frame and quit: after --duration, after one moment, or when the command ends
    #[arg(long, conflicts_with = "replay")]
    once: bool,

    /// Split rows by thread, file, mount, connection or cgroup; with `command`, processes of one name
    /// are one row, as they are on the whole machine
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    by: Option<Dimension>,

    /// The same as --by command
    #[arg(long, conflicts_with = "by")]
    group: bool,

    /// Leave the page fault probes out
    #[arg(long)]
    no_faults: bool,

    /// Take a stack whenever this many bytes were copied on a processor
    #[arg(long, value_name = "SIZE", default_value = "256K", value_parser = size::at_least_a_page)]
    stack_every: u64,

    /// Take no stacks
    #[arg(long, conflicts_with = "stack_every")]
    no_stacks: bool,

    /// Find the callers of code without frame pointers, too: some of each sampled stack's memory is looked at
    #[arg(long, conflicts_with = "no_stacks")]
    unwind: bool,

    /// Do not let the kernel time the probes
    #[arg(long)]
    no_own_cost: bool,

    /// Colours
    #[arg(long, value_enum)]
    theme: Option<theme::Name>,

    /// Only ASCII characters
    #[arg(long)]
    ascii: bool,

    /// Leave the mouse to the terminal; without this, hold shift to select text
    #[arg(long)]
    no_mouse: bool,

    /// Made-up processes and rows, to measure the dashboard itself; timings go to standard error
    #[arg(long, value_names = ["PROCESSES", "ROWS"], num_args = 2, hide = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    synthetic: Vec<u32>,

    /// Panic after the first frame, to test that the terminal is given back
    #[arg(long, requires = "synthetic", hide = true)]
    panic: bool,

    /// Use another settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs `top`; the result is the exit code.
pub(crate) fn run(args: TopArgs) -> Result<u8, Failure> {
    let config = settings::load(args.config.as_deref())?;
    let keymap = Keymap::new(&config.keys)
        .map_err(|error| Failure::usage(error.to_string(), "`zctrace config` prints every key"))?;
    let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let theme = match (args.theme, no_colour) {
        (Some(theme), _) => theme,
        (None, true) => theme::Name::Mono,
        (None, false) => config.top.theme.unwrap_or_default(),
    };
    // A dumb terminal moves no cursor: an editor's shell, or a log of a build.
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    let is_terminal = stdout().is_terminal() && stdin().is_terminal() && !is_dumb;
    let ascii = args.ascii || config.top.ascii || !is_utf8(|name| env::var_os(name));
    let mut look = tui::Look::new(theme::Theme::new(theme, ascii), keymap);
    look.mouse = !args.no_mouse && config.top.mouse.unwrap_or(true);
    if args.by.is_some_and(|by| by.blocks() == Blocks::Container) {
        return Err(Failure::usage(
            "top does not group processes by container",
            "its column `container` names the container of each process: press c; or use `zctrace stat --by container`",
        ));
    }
    if args.group || args.by.is_some_and(Dimension::is_of_several) {
        look.grouped = Some(true);
    }
    if let Some(path) = &args.replay {
        let recording = Recording::open(path)?;
        if !is_terminal {
            return Err(Failure::usage(
                "--replay needs a terminal that can move the cursor",
                format!("`zctrace report {}` prints it", path.display()),
            ));
        }
        let end = tui::run(Input::Replay(Box::new(recording)), look)?;
        return Ok(end.signal.map_or(0, exit::code_of_signal));
    }
    if let [processes, rows] = args.synthetic[..] {
        let size = synthetic::Size {
            processes,
            rows,
            refresh: args.refresh.unwrap_or(REFRESH),
            panics: args.panic,
        };
        let end = tui::run(Input::Synthetic(size), look)?;
        if let Some(timings) = end.timings {
            let mut sink = Sink::stderr();
            sink.write(|out| json::document(&timings, out))?;
            sink.finish()?;
        }
        return Ok(0);
    }
    let is_command = args.target.is_command();
    let plan = Plan {
        // Without a terminal nobody sees them.
        stack_bytes: if args.no_stacks || !is_terminal {
            0
        } else {
            args.stack_every
        },
        unwind: args.unwind,
        sizes: is_terminal,
        ended: crate::tracer::Ended::Fold,
        subject: args.target.subject()?,
        user: args.target.account()?,
        follow: !args.target.no_follow,
        faults: !args.no_faults,
        by: args.by.map_or(By::Nothing, Into::into),
        channel: None,
        without: Vec::new(),
        own_cost: !args.no_own_cost,
        audit: None,
        duration: args.duration,
        interval: Some(args.refresh.or(config.top.refresh).unwrap_or(REFRESH)),
        settle: Duration::ZERO,
        max_rows: args.target.max_rows,
        max_threads: args.target.max_threads,
        ready: None,
    };
    if args.once {
        return once(plan, look, is_command);
    }
    if !is_terminal {
        return plain(plan, is_command);
    }
    // Before the first thread: each has capabilities of its own.
    least::give_up(Keep::Dashboard);
    let end = tui::run(Input::Live(Box::new(plan)), look)?;
    Ok(match (end.signal, end.exit_status) {
        (Some(signal), _) => exit::code_of_signal(signal),
        (None, Some(status)) => exit::code_of(status),
        (None, None) => 0,
    })
}

/// Whether programs on this terminal may write UTF-8. If no locale is set, they may.
fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let chosen = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    let mut chosen = chosen
        .filter_map(variable)
        .filter(|value| !value.is_empty());
    chosen.next().is_none_or(|locale| {
        let locale = locale.to_string_lossy().to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The first frame, as large as the terminal, or as `COLUMNS` and `LINES` say, or 80 by 24.
fn once(mut plan: Plan, look: tui::Look, is_command: bool) -> Result<u8, Failure> {
    if !is_command {
        plan.duration = plan.duration.or(plan.interval);
    }
    // The first view shows no stacks.
    plan.stack_bytes = 0;
    let number = |name: &str| env::var(name).ok()?.parse().ok().filter(|size| *size > 0);
    let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
    let size = (
        number("COLUMNS").unwrap_or(width),
        number("LINES").unwrap_or(height),
    );
    let mut sink = if is_command {
        Sink::stderr()
    } else {
        Sink::stdout()
    };
    least::give_up(Keep::Dashboard);
    let (text, exit_status) = tui::frame(plan, look, size)?;
    sink.write(|out| out.write_all(text.as_bytes()))?;
    sink.finish()?;
    Ok(exit_status.map_or(0, exit::code_of))
}

/// As `stat --interval` prints it.
fn plain(plan: Plan, is_command: bool) -> Result<u8, Failure> {
    let mut sink = if is_command {
        Sink::stderr()
    } else {
        Sink::stdout()
    };
    let options = table::Options {
        surface: sink.surface(),
        all: false,
    };
    let (outcome, session) = run::observe(
        plan,
        least::attach_and_keep(Keep::Report),
        &mut |snapshot, elapsed| {
            let text = table::interval(snapshot, elapsed, options);
            sink.write(|out| out.write_all(text.as_bytes()))
        },
    )?;
    let text = table::report(&outcome.snapshot, options);
    sink.write(|out| out.write_all(text.as_bytes()))?;
    sink.finish()?;
    run::detach(session);
    Ok(match (outcome.abandoned_by, outcome.snapshot.exit_status) {
        (Some(signal), _) => exit::code_of_signal(signal),
        (None, Some(status)) => exit::code_of(status),
        (None, None) => 0,
    })
}

impl From<tui::Error> for Failure {
    fn from(error: tui::Error) -> Self {
        match error {
            tui::Error::Run(error) => error.into(),
            tui::Error::Recording(error) => error.into(),
            tui::Error::Nothing => Self::not_measured(
                error.to_string(),
                "`zctrace report FILE` shows what is in it",
            ),
            tui::Error::Terminal { .. } | tui::Error::Panicked => Self::not_measured(
                error.to_string(),
                "without a terminal, `zctrace stat --interval 1s` shows the same",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_utf8;

    #[test]
    fn the_locale_says_whether_lines_can_be_drawn() {
        let of = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(other, _)| *other == name);
            is_utf8(|name| value(name).map(|(_, value)| value.into()))
        };
        assert!(of(&[]));
        assert!(of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LC_CTYPE", "C.utf8")]));
        assert!(!of(&[("LANG", "C")]) && !of(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(!of(&[("LC_ALL", "POSIX"), ("LANG", "en_US.UTF-8")]));
        assert!(of(&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")]));
    }
}
