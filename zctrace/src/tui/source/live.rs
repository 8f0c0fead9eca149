//! The running kernel as the source of moments: an observation in a thread of its own.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    sys::resource::{UsageWho, getrusage},
    unistd::gettid,
};

use crate::{
    kernel::doctor::ProbeStatus,
    ledger::{Coverage, ExitStatus, Requests, RowSizes},
    run::{self, Meter, Plan, Subject},
    target::{self, Spec, View},
    tracer::{self, Outcome, Reading, Session},
    tui::{
        Error, Incoming,
        moment::{
            Moment,
            builder::Builder,
            sides::{Part, ProbeRow, Sides},
        },
        state::Message,
    },
};

/// Observations that have ended and are being detached by their threads: the dashboard does not stand
/// still meanwhile. Dropping it waits for them.
#[derive(Default)]
pub(in crate::tui) struct Detaching(Vec<JoinHandle<()>>);

impl Drop for Detaching {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            let _ = thread.join();
        }
    }
}

/// An observation that goes on.
struct Observing {
    thread: JoinHandle<()>,
    tid: i32,
    /// It does not attach any more.
    attached: Arc<AtomicBool>,
    /// The status of a command that has ended; nothing comes any more without one.
    ended: mpsc::Receiver<ExitStatus>,
}

/// Observations, one at a time.
pub(in crate::tui) struct Live {
    template: Plan,
    number: u64,
    builder: Arc<Mutex<Builder>>,
    sender: mpsc::Sender<Incoming>,
    observing: Option<Observing>,
    detaching: Detaching,
}

impl Live {
    /// Starts the first.
    pub(in crate::tui) fn new(plan: Plan, sender: mpsc::Sender<Incoming>) -> Self {
        let template = Plan {
            subject: Subject::Target(Spec::System),
            ready: None,
            ..copy(&plan)
        };
        let mut live = Self {
            template,
            number: 0,
            builder: Arc::default(),
            sender,
            observing: None,
            detaching: Detaching::default(),
        };
        live.start(plan);
        live
    }

    fn start(&mut self, plan: Plan) {
        self.number += 1;
        self.builder = Arc::default();
        let (number, builder, sender) = (self.number, self.builder.clone(), self.sender.clone());
        let (tids, tid) = mpsc::channel();
        let (tell, ended) = mpsc::channel();
        let attached: Arc<AtomicBool> = Arc::default();
        let is_attached = attached.clone();
        let thread = thread::spawn(move || {
            let _ = tids.send(gettid().as_raw());
            let result = catch_unwind(AssertUnwindSafe(|| {
                observe(plan, number, &builder, &sender, &is_attached)
            }));
            let (result, tap) = match result.unwrap_or(Err(Error::Panicked)) {
                Ok((outcome, tap)) => (Ok(outcome), Some(tap)),
                Err(error) => (Err(error), None),
            };
            if let Ok(outcome) = &result
                && let Some(status) = outcome.snapshot.exit_status
            {
                let _ = tell.send(status);
            }
            drop(tell);
            let _ = sender.send(Incoming::Over(number, result.map(Box::new)));
            drop(tap);
        });
        self.observing = tid.recv().ok().map(|tid| Observing {
            thread,
            tid,
            attached,
            ended,
        });
    }

    /// What is not detached yet.
    pub(in crate::tui) fn detaching(&mut self) -> Detaching {
        std::mem::take(&mut self.detaching)
    }

    /// Whether a message is of the observation that goes on.
    pub(in crate::tui) const fn is_current(&self, number: u64) -> bool {
        self.number == number
    }

    /// Counts from zero.
    pub(in crate::tui) fn rebase(&self) -> Option<Arc<Moment>> {
        self.builder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .rebase()
    }

    /// Ends the observation and starts another.
    ///
    /// # Errors
    ///
    /// When there is no such target; the observation then goes on.
    pub(in crate::tui) fn switch(&mut self, spec: Spec) -> Result<(), target::Error> {
        target::resolve(&View::detect()?, &spec)?;
        self.stop();
        self.start(Plan {
            subject: Subject::Target(spec),
            ..copy(&self.template)
        });
        Ok(())
    }

    /// Ends the observation: a command is asked to end, and abandoned if it does not.
    pub(in crate::tui) fn stop(&mut self) -> Option<ExitStatus> {
        const PATIENCE: [Duration; 2] = [Duration::from_millis(1500), Duration::from_secs(10)];
        let Observing {
            thread,
            tid,
            attached,
            ended,
        } = self.observing.take()?;
        let own = std::process::id();
        let mut told = ended.recv_timeout(Duration::ZERO);
        for patience in PATIENCE {
            if told == Err(mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: tgkill takes three integers.
                unsafe { libc::syscall(libc::SYS_tgkill, own, tid, libc::SIGTERM) };
                // Asked after the signal: from then on nothing begins that is not waited for. What
                // attaches still ends when it has done so, or with the process.
                if !attached.load(Ordering::SeqCst) {
                    return None;
                }
                told = ended.recv_timeout(patience);
            }
        }
        if told != Err(mpsc::RecvTimeoutError::Timeout) {
            self.detaching.0.push(thread);
        }
        told.ok()
    }
}

/// A plan of the same kind.
fn copy(plan: &Plan) -> Plan {
    Plan {
        stack_bytes: plan.stack_bytes,
        unwind: plan.unwind,
        sizes: plan.sizes,
        ended: plan.ended,
        subject: Subject::Target(Spec::System),
        user: None,
        follow: plan.follow,
        faults: plan.faults,
        by: plan.by,
        channel: None,
        without: plan.without.clone(),
        own_cost: plan.own_cost,
        audit: None,
        duration: plan.duration,
        interval: plan.interval,
        settle: plan.settle,
        max_rows: plan.max_rows,
        max_threads: plan.max_threads,
        ready: None,
    }
}

fn observe(
    plan: Plan,
    number: u64,
    builder: &Mutex<Builder>,
    sender: &mpsc::Sender<Incoming>,
    attached: &AtomicBool,
) -> Result<(run::Outcome, Tap), Error> {
    let beside: Arc<Mutex<Beside>> = Arc::default();
    let tap = beside.clone();
    let stacks = match plan.stack_bytes {
        0 => Part::Missing("stacks are not sampled: --no-stacks"),
        every => Part::Here(every),
    };
    let mut cpu = own_cpu();
    Ok(run::follow(
        plan,
        |config| {
            let session = run::attach_unwatched(config)?;
            attached.store(true, Ordering::SeqCst);
            Ok(Tap {
                session,
                view: View::detect().ok(),
                beside: tap,
                notes: Vec::new(),
                sender: sender.clone(),
            })
        },
        &mut |snapshot, elapsed| {
            let beside = beside
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let now = own_cpu();
            let spent = now.saturating_sub(cpu);
            cpu = now;
            let sides = Sides {
                probes: Part::Here(beside.probes),
                requests: Part::Here(beside.requests),
                sizes: Part::Here(beside.sizes),
                stacks: stacks.clone(),
                own_cpu: Some(spent),
            };
            let moment = builder
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .build(snapshot, elapsed, sides);
            let _ = sender.send(Incoming::Moment(number, moment));
            Ok(())
        },
    )?)
}

/// Processor time of this process so far.
fn own_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    let time = usage.user_time() + usage.system_time();
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// What a reading says that is no part of the ledger's document.
#[derive(Clone, Default)]
struct Beside {
    probes: Arc<Vec<ProbeRow>>,
    requests: Arc<Vec<Requests>>,
    sizes: Arc<Vec<RowSizes>>,
}

/// A session whose probes are looked at with every reading.
struct Tap {
    session: Session,
    view: Option<View>,
    beside: Arc<Mutex<Beside>>,
    /// What there is to tell of the target.
    notes: Vec<String>,
    sender: mpsc::Sender<Incoming>,
}

impl Meter for Tap {
    fn tell(&mut self, note: &str) {
        let note = note.strip_prefix("note: ").unwrap_or(note);
        self.notes.push(note.to_owned());
        // A later notice replaces an earlier one.
        let notice = Message::Notice(self.notes.join("; "));
        let _ = self.sender.send(Incoming::Message(notice));
    }

    fn add_task(&mut self, tid: u32) -> Result<(), tracer::Error> {
        self.session.add_task(tid)
    }

    fn coverage(&self) -> &Coverage {
        self.session.coverage()
    }

    fn backend(&self) -> &str {
        self.session.backend()
    }

    fn live_threads(&mut self) -> Result<BTreeSet<u32>, tracer::Error> {
        self.session.live_threads()
    }

    fn keep_up(&mut self) -> Result<(), tracer::Error> {
        self.session.keep_up()
    }

    fn read(&mut self) -> Result<Reading, tracer::Error> {
        let mut reading = self.session.read()?;
        let noted = run::noted::take(&mut reading, self.view.as_ref());
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &beside.probes;
        let rows = self
            .session
            .attempts()
            .iter()
            .zip(self.session.activity())
            .map(|(attempt, activity)| {
                let before = last.iter().find(|row| row.name == attempt.probe.name);
                let (state, kind, reason) = match &attempt.outcome {
                    Outcome::Attached(way) => {
                        (ProbeStatus::Attached, way.kind.name(), String::new())
                    }
                    Outcome::Refused(refusal) => (ProbeStatus::Refused, "", refusal.cause.clone()),
                    Outcome::Silent(way) => (
                        ProbeStatus::Silent,
                        way.kind.name(),
                        "did not see the test bytes".into(),
                    ),
                    Outcome::NotNeeded => (ProbeStatus::NotNeeded, "", String::new()),
                };
                let runs_before = before.and_then(|row| row.runs).unwrap_or(0);
                ProbeRow {
                    name: attempt.probe.name.into(),
                    family: attempt.probe.family.name(),
                    kind,
                    state,
                    runs: activity.runs,
                    ns: activity.ns,
                    runs_step: activity
                        .runs
                        .map_or(0, |runs| runs.saturating_sub(runs_before)),
                    missed: activity.missed,
                    reason,
                    lost: attempt.probe.lost.into(),
                }
            });
        let rows = rows.collect();
        *beside = Beside {
            probes: Arc::new(rows),
            requests: Arc::new(noted.requests),
            sizes: Arc::new(noted.sizes),
        };
        Ok(reading)
    }
}
