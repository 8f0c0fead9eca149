//! The loop of an observation: it waits, reads, reports, and ends.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    mem,
    os::fd::{AsFd as _, BorrowedFd},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};

use super::{
    account,
    channel::Channel,
    command::{Prepared, Running},
    error::Error,
    in_flight::Watch,
    latecomers::Latecomers,
    meter::Meter,
    owners,
    pidfd::Alive,
    plan::{Outcome, Plan, Subject},
    signals::{Asked, Signals},
    system,
};
use crate::{
    kernel,
    ledger::{Counted, ExitStatus, Moves, SCHEMA, Snapshot, Stacks},
    target::{self, Resolved, Spec, View},
    text::{bytes, escape, message::say, sink},
    tracer::{Config, RequestId},
};

/// Two requests to end within this time end the wait for a command. A program may use ctrl-c for
/// something of its own, so two in a day must not.
const IMPATIENCE: Duration = Duration::from_secs(2);

/// How often to look, although nobody asked, whether what has ended takes the room of others: thousands of processes can
/// end in half a second.
const UPKEEP: Duration = Duration::from_millis(100);

/// How often to look whether bytes have arrived.
const SETTLING: Duration = Duration::from_millis(50);

/// How long processes that outlive their command are waited for.
const LEAVING: Duration = Duration::from_millis(500);

/// Observes according to `plan`; `attach` makes the meter, and `each` gets every interval's
/// document with the time since the start. The meter comes back, still attached: its end takes time
/// ([`super::detach`]), in which what it measured can be told.
///
/// # Errors
///
/// When the target, the probes or the command are not to be had, or `each` fails.
pub fn observe<M: Meter>(
    plan: Plan,
    attach: impl FnOnce(&Config) -> Result<M, Error>,
    each: &mut dyn FnMut(&Snapshot, Duration) -> Result<(), sink::Error>,
) -> Result<(Outcome, M), Error> {
    start(plan, attach, Documents::OfIntervals, each)
}

/// Like [`observe`], but every document is of the whole time so far.
///
/// # Errors
///
/// As [`observe`].
pub fn follow<M: Meter>(
    plan: Plan,
    attach: impl FnOnce(&Config) -> Result<M, Error>,
    each: &mut dyn FnMut(&Snapshot, Duration) -> Result<(), sink::Error>,
) -> Result<(Outcome, M), Error> {
    start(plan, attach, Documents::OfAll, each)
}

/// What the documents of the intervals tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Documents {
    /// The time since the one before.
    OfIntervals,
    /// The time since the start.
    OfAll,
}

fn start<M: Meter>(
    mut plan: Plan,
    attach: impl FnOnce(&Config) -> Result<M, Error>,
    documents: Documents,
    each: &mut dyn FnMut(&Snapshot, Duration) -> Result<(), sink::Error>,
) -> Result<(Outcome, M), Error> {
    let view = View::detect()?;
    let signals = Signals::hold().map_err(system("hold signals back"))?;
    // Everything the command could inherit is made after the fork.
    let (spec, prepared) = match &plan.subject {
        Subject::Target(spec) => (spec.clone(), None),
        Subject::Command(words) => {
            let prepared = Prepared::new(
                words,
                &signals.before(),
                plan.user.as_ref(),
                plan.channel.as_ref(),
            )?;
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            let spec = Spec::Command {
                pid: prepared.pid(),
                shown: escape::command_line(words.iter().map(AsRef::as_ref)),
            };
            (spec, Some(prepared))
        }
    };
    let mut resolved = target::resolve(&view, &spec)?;
    // Attaching takes time, in which an id can go to another process; a descriptor cannot.
    let mut alive = Alive::watch(&view, resolved.processes.iter().copied());
    let mut meter = attach(&config(&plan, &resolved)?)?;
    for tid in resolved.joined(&view)? {
        meter.add_task(tid)?;
    }
    if !resolved.processes.is_empty() && !alive.any(&view) {
        return Err(target::Error::Ended.into());
    }
    let subject = match prepared {
        // It has done nothing yet that counts.
        Some(_) => Counted::default(),
        // What was seen while only some probes were attached is not to be judged.
        None => Counted::from(meter.read()?),
    };
    let mut notes = resolved.nobody_yet(&view);
    notes.extend(resolved.note_of_several().map(str::to_owned));
    notes.extend(resolved.unseen.notes());
    if documents == Documents::OfAll {
        for note in &notes {
            meter.tell(note);
        }
    }
    let observation = Observation {
        ended: subject.moves(),
        baseline: subject.clone(),
        last: subject,
        resolved: resolved.clone(),
        late: Latecomers::of(&resolved, plan.follow, documents == Documents::OfIntervals),
        started: Instant::now(),
        started_at: Timestamp::now(),
        last_at: Duration::ZERO,
        seq: 0,
        key_pressed: false,
        open: Watch::new(!plan.settle.is_zero()),
        waiting: 0,
        asked: None,
        documents,
        view,
        meter,
    };
    // Before a command begins.
    if let Some(asked) = signals.next().map_err(system("read signals"))? {
        let signal = asked.signal as i32;
        return Err(Error::Interrupted { signal });
    }
    if let Some(ready) = plan.ready.take() {
        // Nobody may be listening; that is theirs to notice.
        let _ = File::from(ready).write_all(b"ready\n");
    }
    if documents == Documents::OfIntervals {
        announce(&plan, &resolved, &notes);
    }
    let life = match prepared {
        Some(prepared) => Life::Command(prepared.release()?),
        None if resolved.processes.is_empty() => Life::Endless,
        None => Life::Processes(alive),
    };
    observation.run(&plan, life, &signals, each)
}

/// Says what is traced, for a person who would otherwise look at an empty terminal. The dashboard
/// has a screen of its own.
fn announce(plan: &Plan, resolved: &Resolved, notes: &[String]) {
    for note in notes {
        say(note);
    }
    if !io::stderr().is_terminal() {
        return;
    }
    let end = match (&plan.subject, plan.duration) {
        (_, Some(time)) => format!("for {}, or until ctrl-c", bytes::duration(time)),
        (Subject::Command(_), None) => "until it ends".to_owned(),
        (Subject::Target(_), None) => "until ctrl-c".to_owned(),
    };
    let whom = match (&plan.subject, &plan.user) {
        (Subject::Command(_), Some(user)) => format!(" as {}", user.name),
        (Subject::Command(_), None) => format!(" as {}", account::own_name()),
        (Subject::Target(_), _) => String::new(),
    };
    say(&format!("tracing {}{whom}, {end}", resolved.named.words()));
}

fn config(plan: &Plan, resolved: &Resolved) -> Result<Config, Error> {
    let channel = plan.channel.as_ref().map(Channel::known_by).transpose();
    Ok(Config {
        tasks: resolved.tasks.iter().copied().collect(),
        scope: resolved.scope,
        comm: resolved.comm.clone(),
        cgroup: resolved.cgroup,
        several: resolved.several.clone(),
        follow: plan.follow,
        faults: plan.faults,
        by: plan.by,
        regions: channel.map_err(system("make a pipe for markers"))?,
        without: plan.without.clone(),
        own_cost: plan.own_cost,
        audit: plan.audit.clone(),
        stack_bytes: plan.stack_bytes,
        unwind: plan.unwind,
        sizes: plan.sizes,
        batches: plan.sizes,
        ended: plan.ended,
        max_rows: plan.max_rows,
        max_threads: plan.max_threads,
        ..Config::default()
    })
}

/// What ends by itself.
enum Life {
    Command(Running),
    Processes(Alive),
    Endless,
}

struct Observation<M> {
    view: View,
    meter: M,
    resolved: Resolved,
    late: Latecomers,
    baseline: Counted,
    started: Instant,
    started_at: Timestamp,
    /// The reading at the end of the last interval, and when that was.
    last: Counted,
    last_at: Duration,
    /// What had ended at the last reading.
    ended: Moves,
    seq: u64,
    key_pressed: bool,
    /// Operations that are open.
    open: Watch,
    /// Of the operations open at the last reading, those that only wait for input.
    waiting: u64,
    /// The last signal that asked for the end.
    asked: Option<i32>,
    documents: Documents,
}

impl<M: Meter> Observation<M> {
    fn run(
        mut self,
        plan: &Plan,
        mut life: Life,
        signals: &Signals,
        each: &mut dyn FnMut(&Snapshot, Duration) -> Result<(), sink::Error>,
    ) -> Result<(Outcome, M), Error> {
        let mut asked_at: Option<Instant> = None;
        let mut next = plan.interval;
        let mut upkeep = UPKEEP;
        // A report that could not be made: a command runs on to its end, without further ones.
        let mut unreported: Option<sink::Error> = None;
        // The reading at the end of the duration, while a command is still ending.
        let mut closed: Option<(Counted, Duration)> = None;
        let exit_status = loop {
            // Before any wait: the end may have come just now.
            match &mut life {
                Life::Command(command) => {
                    if let Some(status) = command.try_wait() {
                        break Some(status);
                    }
                }
                Life::Processes(alive) => {
                    if !alive.any(&self.view) {
                        break None;
                    }
                }
                Life::Endless => {}
            }
            let elapsed = self.started.elapsed();
            let due = |time: Option<Duration>| time.filter(|_| closed.is_none());
            if due(plan.duration).is_some_and(|end| elapsed >= end) {
                closed = Some((self.read()?, elapsed));
                match &life {
                    Life::Command(command) => command.signal(Signal::SIGTERM),
                    Life::Processes(_) | Life::Endless => break None,
                }
                continue;
            }
            if let (Some(at), Some(interval)) = (due(next), plan.interval)
                && elapsed >= at
            {
                let now = self.read()?;
                let snapshot = self.interval(now, elapsed, None);
                if let Err(error) = each(&snapshot, elapsed) {
                    if !matches!(life, Life::Command(_)) {
                        return Err(error.into());
                    }
                    say(&format!(
                        "{error}; the command continues, but is not reported"
                    ));
                    unreported = Some(error);
                    next = None;
                    continue;
                }
                // Missed ones are not made up for.
                let mut at = at;
                while at <= self.started.elapsed() {
                    at += interval;
                }
                next = Some(at);
                upkeep = elapsed + UPKEEP;
                continue;
            }
            if due(Some(upkeep)).is_some_and(|at| elapsed >= at) {
                self.meter.keep_up()?;
                upkeep = self.started.elapsed() + UPKEEP;
                continue;
            }
            if due(self.late.due()).is_some_and(|at| elapsed >= at) {
                self.late.look_again(
                    &self.view,
                    &mut self.resolved,
                    &mut self.meter,
                    self.started,
                )?;
                continue;
            }
            let until = [
                due(plan.duration),
                due(next),
                due(Some(upkeep)),
                due(self.late.due()),
            ]
            .into_iter()
            .flatten()
            .min();
            let mut timeout = until.map(|until| until.saturating_sub(elapsed));
            if let Life::Processes(alive) = &life
                && let Some(look) = alive.look_every()
            {
                timeout = Some(timeout.map_or(look, |timeout| timeout.min(look)));
            }
            wait(signals, &life, timeout)?;

            while let Some(asked) = signals.next().map_err(system("read signals"))? {
                let again = asked_at.is_some_and(|at| at.elapsed() < IMPATIENCE);
                asked_at = Some(Instant::now());
                self.key_pressed |= asked.by_terminal;
                self.asked = Some(asked.signal as i32);
                match &life {
                    Life::Command(command) if !again => pass_on(command, asked),
                    Life::Command(_) => {
                        signals.release();
                        if let Some(error) = unreported {
                            return Err(error.into());
                        }
                        return self.outcome(closed, None, Some(asked), each, plan);
                    }
                    Life::Processes(_) | Life::Endless => {
                        signals.release();
                        return self.outcome(closed, None, None, each, plan);
                    }
                }
            }
        };
        signals.release();
        if let Some(error) = unreported {
            return Err(error.into());
        }
        self.outcome(closed, exit_status, None, each, plan)
    }

    /// The last interval and the whole.
    fn outcome(
        mut self,
        closed: Option<(Counted, Duration)>,
        exit_status: Option<ExitStatus>,
        abandoned_by: Option<Asked>,
        each: &mut dyn FnMut(&Snapshot, Duration) -> Result<(), sink::Error>,
        plan: &Plan,
    ) -> Result<(Outcome, M), Error> {
        let time_is_up = closed.is_some();
        let cut_short = time_is_up && exit_status.is_some();
        let (mut counted, mut elapsed) = match closed {
            Some(closed) => closed,
            None => {
                let elapsed = self.started.elapsed();
                (self.read()?, elapsed)
            }
        };
        // What is sent by reference can still be copied, until it is released.
        let end = Instant::now() + plan.settle;
        self.open.close();
        let is_unsettled = |this: &Self, counted: &Counted| {
            counted.is_unsettled(this.waiting) || this.open.is_uncertain()
        };
        // Requests that wait before a reading and after it were waiting then.
        let mut idle: Option<BTreeSet<RequestId>> = None;
        while is_unsettled(&self, &counted) && Instant::now() < end {
            if idle.is_none() {
                idle = Some(self.meter.idle_requests()?);
            }
            thread::sleep(SETTLING);
            elapsed = self.started.elapsed();
            counted = self.read()?;
            if let Some(idle) = &mut idle {
                let now = self.meter.idle_requests()?;
                idle.retain(|request| now.contains(request));
                self.waiting += idle.len() as u64;
            }
        }
        let has_ended = exit_status.is_some() && !cut_short;
        let mut left_behind = Vec::new();
        if has_ended {
            left_behind = self.left_behind()?;
            // Many end a moment later, such as the other end of a pipe.
            let end = Instant::now() + LEAVING;
            if !left_behind.is_empty() && !plan.settle.is_zero() {
                while !left_behind.is_empty() && Instant::now() < end {
                    thread::sleep(SETTLING);
                    left_behind = self.left_behind()?;
                }
                elapsed = self.started.elapsed();
                counted = self.read()?;
            }
        }
        self.late
            .look(&self.view, &mut self.resolved, &mut self.meter)?;
        let (untraced, unseen, unseen_since) = self.late.end(&self.resolved);
        if plan.interval.is_some() && elapsed > self.last_at {
            let snapshot = self.interval(counted.clone(), elapsed, exit_status);
            each(&snapshot, elapsed)?;
        }
        let mut whole = counted.since(&self.baseline);
        let counts = mem::take(&mut whole.audit);
        let snapshot = self.document(whole, self.started_at, elapsed, exit_status);
        let outcome = Outcome {
            snapshot,
            audit: self.meter.audit().map(|setup| (counts, setup.clone())),
            cut_short,
            time_is_up,
            waiting: self.waiting,
            left_behind,
            untraced,
            unseen,
            unseen_since,
            abandoned_by: abandoned_by.map(|asked| asked.signal as i32),
            key_pressed: self.key_pressed,
            asked: self.asked,
        };
        Ok((outcome, self.meter))
    }

    /// Processes of the target that are alive.
    fn left_behind(&mut self) -> Result<Vec<String>, Error> {
        Ok(owners::names(&self.view, &self.meter.live_threads()?))
    }

    fn read(&mut self) -> Result<Counted, Error> {
        let mut counted = Counted::from(self.meter.read()?);
        // What ended in the reading before is in the row of its command now.
        let moves = mem::replace(&mut self.ended, counted.moves());
        self.baseline.settle(&moves);
        self.last.settle(&moves);
        self.waiting = self
            .open
            .fill_in(&self.view, &mut counted, &self.resolved.processes);
        Ok(counted)
    }

    fn interval(
        &mut self,
        now: Counted,
        elapsed: Duration,
        exit_status: Option<ExitStatus>,
    ) -> Snapshot {
        let (difference, start) = match self.documents {
            Documents::OfAll => {
                self.last_at = elapsed;
                (now.since(&self.baseline), Duration::ZERO)
            }
            Documents::OfIntervals => {
                let difference = now.since(&self.last);
                self.last = now;
                (difference, mem::replace(&mut self.last_at, elapsed))
            }
        };
        let started_at = self.started_at + start;
        let mut snapshot = self.document(difference, started_at, elapsed - start, exit_status);
        snapshot.seq = Some(self.seq);
        self.seq += 1;
        snapshot
    }

    fn document(
        &self,
        counted: Counted,
        started_at: Timestamp,
        duration: Duration,
        exit_status: Option<ExitStatus>,
    ) -> Snapshot {
        let Counted {
            mut processes,
            unattributed,
            total,
            loss,
            overhead,
            audit: _,
            stacks,
        } = counted;
        for process in &mut processes {
            process.pid = self.view.to_user(process.pid);
        }
        let bytes = stacks.bytes.into_iter().map(|(mut stack, bytes)| {
            stack.pid = self.view.to_user(stack.pid);
            (stack, bytes)
        });
        let stacks = Stacks {
            bytes: bytes.collect(),
            lost: stacks.lost,
        };
        Snapshot {
            schema: SCHEMA.into(),
            seq: None,
            kernel: kernel::release(),
            arch: std::env::consts::ARCH.into(),
            backend: self.meter.backend().into(),
            target: self.resolved.named.clone(),
            exit_status,
            started_at: rfc3339(started_at),
            duration_ns: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
            total,
            processes,
            unattributed,
            coverage: self.meter.coverage().clone(),
            loss,
            overhead,
            stacks,
        }
    }
}

/// Waits for a signal, an end, or the time to pass.
fn wait(signals: &Signals, life: &Life, timeout: Option<Duration>) -> Result<(), Error> {
    let ends: Vec<BorrowedFd<'_>> = match life {
        Life::Command(command) => vec![command.as_fd()],
        Life::Processes(alive) => alive.fds().collect(),
        Life::Endless => Vec::new(),
    };
    let mut fds: Vec<_> = [signals.as_fd()]
        .into_iter()
        .chain(ends)
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    // Rounded up, so that the time has come when the wait is over.
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        let millis = timeout.as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(system("wait")(errno.into())),
    }
}

/// Lets the command have a signal too, unless the terminal has given it to it already.
fn pass_on(command: &Running, asked: Asked) {
    if !asked.by_terminal {
        command.signal(asked.signal);
    }
}

/// With microseconds, which is more than anybody can line up with another clock.
fn rfc3339(time: Timestamp) -> String {
    format!("{time:.6}")
}
