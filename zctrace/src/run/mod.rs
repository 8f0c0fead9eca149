//! One observation: from what the user asked for to the last reading.

pub mod command;
mod error;
mod in_flight;
mod interrupted;
pub mod noted;
mod pidfd;
mod self_test;
mod signals;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    mem,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};
use zctrace_common::By;

pub use error::Error;
pub use self_test::self_test;

use self::{
    command::{Prepared, Running},
    interrupted::Watch,
    pidfd::Alive,
    signals::{Asked, Signals},
};
use crate::{
    kernel::{self, privileges::Privileges},
    ledger::{
        Counted, Coverage, ExitStatus, SCHEMA, Snapshot, Stacks, Target,
        audit::{Counts, Setup},
    },
    target::{self, Resolved, Spec, View},
    text::{escape, message::say, sink},
    tracer::{self, Config, Reading, RequestId, Session},
};

/// Two requests to end within this time end the wait for a command. A program may use ctrl-c for
/// something of its own, so two in a day must not.
const IMPATIENCE: Duration = Duration::from_secs(2);

/// How long [`detach`] is silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the maps are read although nobody asked: what has ended makes room for others.
const UPKEEP: Duration = Duration::from_millis(500);

/// How often to look whether bytes have arrived.
const SETTLING: Duration = Duration::from_millis(50);

/// What to observe.
#[derive(Debug)]
pub enum Subject {
    /// Something that runs already.
    Target(Spec),
    /// A command to run, its program first.
    Command(Vec<OsString>),
}

/// What to observe, and how.
#[derive(Debug)]
pub struct Plan {
    /// What.
    pub subject: Subject,
    /// Children of a target are targets.
    pub follow: bool,
    /// Count page faults.
    pub faults: bool,
    /// The extra dimension of rows.
    pub by: By,
    /// Probes that are not to be attached.
    pub without: Vec<String>,
    /// Measure what zctrace itself costs.
    pub own_cost: bool,
    /// Copy routines to set breakpoints on: empty for the usual choice, `None` for none.
    pub audit: Option<Vec<String>>,
    /// A stack is sampled whenever this many bytes were copied; 0: never.
    pub stack_bytes: u64,
    /// Operations are counted by their size too.
    pub sizes: bool,
    /// Leave out of the whole what has ended before: for traces that last, of which only the
    /// intervals matter.
    pub forget_ended: bool,
    /// How long; `None` for as long as the target lives and nobody interrupts.
    pub duration: Option<Duration>,
    /// How often to report.
    pub interval: Option<Duration>,
    /// How long to wait at the end for bytes that are still on their way.
    pub settle: Duration,
    /// Told `ready` when everything is attached.
    pub ready: Option<OwnedFd>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The ledger of the whole time.
    pub snapshot: Snapshot,
    /// What breakpoints counted in that time, and which there were.
    pub audit: Option<(Counts, Setup)>,
    /// The command was told to end because the time was up.
    pub cut_short: bool,
    /// The duration that was asked for is over.
    pub time_is_up: bool,
    /// Of the operations in flight at the end, those that only wait for input.
    pub waiting: u64,
    /// The signal that ended the wait for a command which still runs.
    pub abandoned_by: Option<i32>,
    /// A key was pressed to end it, so the terminal shows `^C` in the line of the cursor.
    pub key_pressed: bool,
    /// The last signal that asked for the end.
    pub asked: Option<i32>,
}

/// Where readings come from.
pub trait Meter {
    /// Makes a thread part of the target.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    fn add_task(&mut self, tid: u32) -> Result<(), tracer::Error>;
    /// Which probes take part.
    fn coverage(&self) -> &Coverage;
    /// `functions`, `tracepoints` or `mixed`.
    fn backend(&self) -> &str;
    /// Which copy routines have a breakpoint; `None` where no audit was asked for.
    fn audit(&self) -> Option<&Setup> {
        None
    }
    /// Everything counted since the start.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn read(&mut self) -> Result<Reading, tracer::Error>;
    /// Requests that wait for input and have copied nothing so far.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn idle_requests(&mut self) -> Result<BTreeSet<RequestId>, tracer::Error> {
        Ok(BTreeSet::new())
    }
    /// Makes room where processes have ended; the next reading has what they did.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn keep_up(&mut self) -> Result<(), tracer::Error>;
}

impl Meter for Session {
    fn add_task(&mut self, tid: u32) -> Result<(), tracer::Error> {
        Self::add_task(self, tid)
    }

    fn coverage(&self) -> &Coverage {
        Self::coverage(self)
    }

    fn backend(&self) -> &str {
        Self::backend(self)
    }

    fn idle_requests(&mut self) -> Result<BTreeSet<RequestId>, tracer::Error> {
        Self::idle_requests(self)
    }

    fn keep_up(&mut self) -> Result<(), tracer::Error> {
        Self::keep_up(self)
    }

    fn audit(&self) -> Option<&Setup> {
        Self::audit(self)
    }

    fn read(&mut self) -> Result<Reading, tracer::Error> {
        Self::read(self)
    }
}

impl From<Reading> for Counted {
    fn from(reading: Reading) -> Self {
        let Reading {
            processes,
            unattributed,
            loss,
            overhead,
            total,
            audit,
            stacks,
            // For the dashboard, which reads the session itself.
            requests: _,
            sizes: _,
        } = reading;
        Self {
            processes,
            unattributed,
            total,
            loss,
            overhead,
            audit,
            stacks,
        }
    }
}

/// Attaches zctrace's probes, if this process may. A signal that is held back ends the process
/// meanwhile.
///
/// # Errors
///
/// When nothing can be measured.
pub fn attach(config: &Config) -> Result<Session, Error> {
    let _watch = Watch::start().map_err(system("watch for signals"))?;
    attach_unwatched(config)
}

/// [`attach`] for those who have an end of their own.
pub(crate) fn attach_unwatched(config: &Config) -> Result<Session, Error> {
    let missing = Privileges::current().missing();
    if !missing.is_empty() {
        return Err(Error::NotPermitted { missing });
    }
    Ok(Session::start(config)?)
}

/// Ends a meter. For each function the kernel waits until no task is in what was attached there, a tenth
/// of a second and more (`unregister_ftrace_function`); a terminal is told when that takes long.
pub fn detach<M>(meter: M) {
    let (done, is_done) = mpsc::channel::<()>();
    if io::stderr().is_terminal() {
        thread::spawn(move || {
            if is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                say("detaching, for which the kernel takes its time …");
            }
        });
    }
    drop(meter);
    drop(done);
}

/// Observes according to `plan`; `attach` makes the meter, and `each` gets every interval's
/// document with the time since the start. The meter comes back, still attached: its end takes time
/// ([`detach`]), in which what it measured can be told.
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
            let prepared = Prepared::new(words, &signals.before())?;
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
    let mut meter = attach(&config(&plan, &resolved))?;
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
        None => meter.read()?.into(),
    };
    let observation = Observation {
        baseline: subject.clone(),
        last: subject,
        named: resolved.named.clone(),
        processes: resolved.processes.clone(),
        started: Instant::now(),
        started_at: Timestamp::now(),
        last_at: Duration::ZERO,
        seq: 0,
        key_pressed: false,
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
    let life = match prepared {
        Some(prepared) => Life::Command(prepared.release()?),
        None if resolved.processes.is_empty() => Life::Endless,
        None => Life::Processes(alive),
    };
    observation.run(&plan, life, &signals, each)
}

fn config(plan: &Plan, resolved: &Resolved) -> Config {
    Config {
        tasks: resolved.tasks.iter().copied().collect(),
        scope: resolved.scope,
        comm: resolved.comm.clone(),
        cgroup: resolved.cgroup,
        follow: plan.follow,
        faults: plan.faults,
        by: plan.by,
        without: plan.without.clone(),
        own_cost: plan.own_cost,
        audit: plan.audit.clone(),
        stack_bytes: plan.stack_bytes,
        sizes: plan.sizes,
        forget_ended: plan.forget_ended,
        ..Config::default()
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::System { what, source }
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
    named: Target,
    /// Processes named by the user, as ids of the view.
    processes: BTreeSet<u32>,
    baseline: Counted,
    started: Instant,
    started_at: Timestamp,
    /// The reading at the end of the last interval, and when that was.
    last: Counted,
    last_at: Duration,
    seq: u64,
    key_pressed: bool,
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
                    say(&format!("{error}; the command goes on, unreported"));
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
            let until = [due(plan.duration), due(next), due(Some(upkeep))]
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
        // Requests that wait before a reading and after it were waiting then.
        let mut idle: Option<BTreeSet<RequestId>> = None;
        while counted.is_unsettled(self.waiting) && Instant::now() < end {
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
            abandoned_by: abandoned_by.map(|asked| asked.signal as i32),
            key_pressed: self.key_pressed,
            asked: self.asked,
        };
        Ok((outcome, self.meter))
    }

    fn read(&mut self) -> Result<Counted, Error> {
        let mut counted = Counted::from(self.meter.read()?);
        self.waiting = in_flight::fill_in(&self.view, &mut counted, &self.processes);
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
            target: self.named.clone(),
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

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _, process::Command as Child, thread::JoinHandle};

    use super::*;
    use crate::ledger::{Errnos, Path, Process, TargetKind, Totals};

    /// Moves ten bytes at every reading.
    #[derive(Default)]
    struct Fake {
        moved: u64,
        coverage: Coverage,
    }

    impl Meter for Fake {
        fn add_task(&mut self, _tid: u32) -> Result<(), tracer::Error> {
            Ok(())
        }

        fn coverage(&self) -> &Coverage {
            &self.coverage
        }

        fn backend(&self) -> &str {
            "functions"
        }

        fn keep_up(&mut self) -> Result<(), tracer::Error> {
            Ok(())
        }

        fn read(&mut self) -> Result<Reading, tracer::Error> {
            self.moved += 10;
            let mut total = Totals::default();
            total.add(&Totals {
                ops: self.moved / 10,
                moved: self.moved,
                copied_to_user: self.moved,
                ..Totals::default()
            });
            let path = Path {
                op: "read".into(),
                object: "pipe".into(),
                evidence: "measured".into(),
                by: None,
                errnos: Errnos::default(),
                totals: total,
            };
            let process = Process::from_paths(u32::MAX, 1, "fake".into(), "/".into(), vec![path]);
            Ok(Reading {
                processes: vec![process],
                total,
                ..Reading::default()
            })
        }
    }

    fn plan(subject: Subject) -> Plan {
        Plan {
            subject,
            follow: true,
            faults: true,
            by: By::Nothing,
            without: Vec::new(),
            own_cost: false,
            audit: None,
            stack_bytes: 0,
            sizes: false,
            forget_ended: false,
            duration: None,
            interval: None,
            settle: Duration::ZERO,
            ready: None,
        }
    }

    fn command(words: &[&str]) -> Plan {
        plan(Subject::Command(words.iter().map(Into::into).collect()))
    }

    /// Only the outcome.
    fn observed(
        plan: Plan,
        attach: impl FnOnce(&Config) -> Result<Fake, Error>,
        each: &mut dyn FnMut(&Snapshot, Duration) -> Result<(), sink::Error>,
    ) -> Result<Outcome, Error> {
        observe(plan, attach, each).map(|(outcome, _)| outcome)
    }

    fn watch(plan: Plan) -> (Result<Outcome, Error>, Vec<Snapshot>) {
        let mut intervals = Vec::new();
        let outcome = observed(plan, |_| Ok(Fake::default()), &mut |snapshot, _| {
            intervals.push(snapshot.clone());
            Ok(())
        });
        (outcome, intervals)
    }

    #[test]
    fn the_duration_counts_from_the_attaching() {
        let mut plan = plan(Subject::Target(Spec::System));
        plan.duration = Some(Duration::from_millis(80));
        // It takes longer to attach than to observe.
        let mut attached = None;
        let outcome = observed(
            plan,
            |config| {
                assert!(config.tasks.is_empty());
                thread::sleep(Duration::from_millis(120));
                attached = Some(Instant::now());
                Ok(Fake::default())
            },
            &mut |_, _| Ok(()),
        )
        .unwrap();
        let since = attached.expect("it was attached").elapsed();
        let observed = Duration::from_nanos(outcome.snapshot.duration_ns);
        assert!(observed >= Duration::from_millis(80), "{observed:?}");
        assert!(observed <= since, "{observed:?} in {since:?}");
        // Two readings; the first is where counting starts.
        assert_eq!(outcome.snapshot.total.moved, 10);
        assert_eq!(outcome.snapshot.processes[0].paths[0].totals.moved, 10);
        assert_eq!(outcome.snapshot.target.kind, TargetKind::System);
        assert!(outcome.snapshot.started_at.ends_with('Z'));
    }

    #[test]
    fn intervals_add_up_to_the_whole() {
        let directory = tempfile::tempdir().unwrap();
        let enough = directory.path().join("enough");
        let script = "until [ -e \"$0\" ]; do sleep 0.01; done";
        let mut plan = command(&["sh", "-c", script, &enough.display().to_string()]);
        plan.interval = Some(Duration::from_millis(20));
        let mut intervals = Vec::new();
        let outcome = observed(plan, |_| Ok(Fake::default()), &mut |snapshot, _| {
            intervals.push(snapshot.clone());
            if intervals.len() == 3 {
                File::create(&enough).expect("a file that ends the command");
            }
            Ok(())
        })
        .unwrap();
        let seqs: Vec<_> = intervals
            .iter()
            .filter_map(|interval| interval.seq)
            .collect();
        assert_eq!(seqs, (0..intervals.len() as u64).collect::<Vec<_>>());
        // The last one ends with the command.
        assert!(intervals.len() > 3, "{}", intervals.len());
        let sum = |f: fn(&Snapshot) -> u64| intervals.iter().map(f).sum::<u64>();
        assert_eq!(sum(|s| s.total.moved), outcome.snapshot.total.moved);
        assert_eq!(sum(|s| s.duration_ns), outcome.snapshot.duration_ns);
        assert_eq!(outcome.snapshot.seq, None);
    }

    #[test]
    fn a_command_is_traced_to_its_end() {
        let (outcome, _) = watch(command(&["sh", "-c", "exit 3"]));
        let snapshot = outcome.unwrap().snapshot;
        assert_eq!(snapshot.exit_status.unwrap().code, Some(3));
        assert_eq!(snapshot.target.kind, TargetKind::Command);
        assert_eq!(snapshot.target.value, "sh -c 'exit 3'");
        assert_eq!(snapshot.total.moved, 10, "nothing was subtracted");
    }

    #[test]
    fn a_command_outlives_no_duration() {
        let mut plan = command(&["sleep", "60"]);
        plan.duration = Some(Duration::from_millis(50));
        let (outcome, _) = watch(plan);
        let snapshot = outcome.unwrap().snapshot;
        assert_eq!(snapshot.exit_status.unwrap().signal, Some(15));
    }

    #[test]
    fn a_command_runs_to_its_end_when_a_report_fails() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("done");
        let script = format!("sleep 0.3; echo > {}", file.display());
        let mut plan = command(&["sh", "-c", &script]);
        plan.interval = Some(Duration::from_millis(20));
        let mut reports = 0;
        let outcome = observed(plan, |_| Ok(Fake::default()), &mut |_, _| {
            reports += 1;
            Err(sink::Error::Closed)
        });
        assert!(matches!(outcome, Err(Error::Output(sink::Error::Closed))));
        assert!(file.exists(), "the command was left alone");
        assert_eq!(reports, 1);
    }

    #[test]
    fn a_command_that_is_not_there_runs_no_tracer() {
        let outcome = observed(
            command(&["no-such-command-here"]),
            |_| -> Result<Fake, _> { panic!("attached") },
            &mut |_, _| Ok(()),
        );
        assert!(matches!(
            outcome,
            Err(Error::Command(command::Error::NotFound { .. }))
        ));
    }

    #[test]
    fn a_signal_while_attaching_lets_no_command_begin() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ran");
        let outcome = observed(
            command(&["touch", file.to_str().unwrap()]),
            |_| {
                // To this thread alone.
                nix::sys::signal::raise(Signal::SIGTERM).unwrap();
                Ok(Fake::default())
            },
            &mut |_, _| Ok(()),
        );
        assert!(matches!(outcome, Err(Error::Interrupted { signal: 15 })));
        assert!(!file.exists());
    }

    #[test]
    fn a_refused_attachment_leaves_no_process() {
        let mut pid = 0;
        let outcome = observed(
            command(&["sleep", "60"]),
            |config| {
                pid = config.tasks[0];
                let missing = Vec::new();
                Err::<Fake, _>(Error::NotPermitted { missing })
            },
            &mut |_, _| Ok(()),
        );
        assert!(matches!(outcome, Err(Error::NotPermitted { .. })));
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn the_trace_ends_with_its_processes() {
        let mut child = Child::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let ender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(60));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let (outcome, _) = watch(plan(Subject::Target(Spec::Pids(vec![pid]))));
        let snapshot = outcome.unwrap().snapshot;
        assert_eq!(snapshot.exit_status, None);
        ender.join().unwrap();
    }

    #[test]
    fn processes_that_end_during_the_attaching_were_not_measured() {
        let mut child = Child::new("sleep").arg("60").spawn().unwrap();
        let plan = plan(Subject::Target(Spec::Pids(vec![child.id()])));
        let attach = |_: &Config| {
            child.kill().unwrap();
            child.wait().unwrap();
            Ok(Fake::default())
        };
        let outcome = observed(plan, attach, &mut |_, _| Ok(()));
        assert!(matches!(outcome, Err(Error::Target(target::Error::Ended))));
    }

    #[test]
    fn a_reader_that_is_gone_ends_it() {
        let mut plan = plan(Subject::Target(Spec::System));
        plan.interval = Some(Duration::from_millis(10));
        let outcome = observed(plan, |_| Ok(Fake::default()), &mut |_, _| {
            Err(sink::Error::Closed)
        });
        assert!(matches!(outcome, Err(Error::Output(sink::Error::Closed))));
    }

    /// Observes in a thread of its own, which is the one that signals are sent to.
    fn in_thread(mut plan: Plan) -> (JoinHandle<Result<Outcome, Error>>, impl Fn(Signal)) {
        let (mut told, teller) = io::pipe().unwrap();
        plan.ready = Some(teller.into());
        let (tids, tid) = mpsc::channel();
        let thread = thread::spawn(move || {
            tids.send(nix::unistd::gettid().as_raw()).unwrap();
            watch(plan).0
        });
        let mut text = String::new();
        told.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ready\n");
        let tid = tid.recv().unwrap();
        let send = move |signal: Signal| {
            let own = std::process::id();
            // SAFETY: tgkill takes three integers.
            let sent = unsafe { libc::syscall(libc::SYS_tgkill, own, tid, signal as i32) };
            assert_eq!(sent, 0);
        };
        (thread, send)
    }

    #[test]
    fn an_interrupt_ends_the_trace_with_its_result() {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let (thread, send) = in_thread(plan(Subject::Target(Spec::System)));
            send(signal);
            let outcome = thread.join().unwrap().unwrap();
            assert_eq!(outcome.snapshot.total.moved, 10);
            assert_eq!(outcome.abandoned_by, None);
        }
    }

    #[test]
    fn a_signal_is_passed_on_to_the_command() {
        let (thread, send) = in_thread(command(&["sleep", "60"]));
        send(Signal::SIGTERM);
        let outcome = thread.join().unwrap().unwrap();
        assert_eq!(outcome.snapshot.exit_status.unwrap().signal, Some(15));
    }

    #[test]
    fn the_second_interrupt_waits_for_nothing() {
        let stubborn = "trap '' INT; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done";
        let (thread, send) = in_thread(command(&["sh", "-c", stubborn]));
        thread::sleep(Duration::from_millis(100));
        send(Signal::SIGINT);
        thread::sleep(Duration::from_millis(100));
        assert!(!thread.is_finished());
        send(Signal::SIGINT);
        let outcome = thread.join().unwrap().unwrap();
        assert_eq!(outcome.abandoned_by, Some(2));
        assert_eq!(outcome.snapshot.exit_status, None);
    }
}
